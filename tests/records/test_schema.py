"""The JSON Schema says of a record's text what reading it says; records of earlier versions load as this version's."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hf_transfer_score.errors import RecordError
from hf_transfer_score.records import record as records
from hf_transfer_score.records.checks import BASELINES, MIGRATIONS, SCHEMA_VERSION
from hf_transfer_score.records.record import Record, RecordedFacts, plain_identity, plain_record
from tests.records.test_record import changed_plain

FIXTURES = Path(__file__).parent / "fixtures"
CURRENT = sorted(FIXTURES.glob(f"version_{SCHEMA_VERSION}_*.json"))
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
OTHERS = (None, True, 0, 7, -1.5, 0.25, 2**70, "", "x", "score", [], ["x"], [1.5, 2.5], {}, {"x": "y"}, {"x": 1.5})
FREE = {("dataset", "options"), ("metric", "parameters"), ("model", "details"), ("used",)}
"""Blocks that hold whatever a metric, a model or a sample has."""

BETWEEN_FIELDS = ("directions", "interval.", "overlap.values", "metric.kind", "terms.")
"""Fields whose agreement with others, or with what a metric can give, no schema can ask for."""


def read(plain: Any) -> str | None:
    """Return why a record is refused, None where it is not."""
    try:
        Record.from_json(json.dumps(plain))
    except RecordError as error:
        return str(error)
    return None


def places(plain: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value of a record."""
    pairs = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for name, value in pairs:
        yield (*before, name)
        yield from places(value, (*before, name))


@pytest.mark.parametrize("path", CURRENT, ids=lambda path: path.stem)
def test_what_this_version_writes_is_valid(path):
    assert VALIDATOR.is_valid(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", CURRENT, ids=lambda path: path.stem)
def test_the_schema_refuses_what_reading_refuses(path):
    plain = json.loads(path.read_text(encoding="utf-8"))
    refused = accepted = 0
    for place in places(plain) if path.stem.endswith("_ok") else [(name,) for name in plain]:  # blocks are alike in all
        for value in (..., *OTHERS):
            other = changed_plain(plain, place, value)
            reason, valid = read(other), VALIDATOR.is_valid(other)
            if valid and reason and (place[:2] in FREE or place[:1] in FREE):
                continue  # a number in a free block that a table cannot hold
            if valid and reason and any(word in reason for word in BETWEEN_FIELDS):
                continue
            assert valid is (reason is None), f"{place} = {value!r}: {reason}"
            refused, accepted = refused + (not valid), accepted + valid
    assert refused > 100 and accepted > 10


@pytest.mark.parametrize("place", [(), ("model",), ("dataset",), ("metric",), ("run",), ("facts",), ("overlap",)])
def test_nothing_may_be_added(place):
    plain = json.loads(next(path for path in CURRENT if path.stem.endswith("_ok")).read_text(encoding="utf-8"))
    assert not VALIDATOR.is_valid(changed_plain(plain, (*place, "colour"), "red"))


@pytest.mark.parametrize(
    ("status", "other", "valid"),
    [
        ("ok", {"reason": "because"}, False),
        ("ok", {"terms": {}}, False),
        ("ok", {"metric": None}, False),
        ("ok", {"kind": "gated"}, False),
        ("ok", {"overlap": None, "interval": {}, "interval_level": None}, True),
        ("failed", {"kind": None}, False),
        ("failed", {"reason": None}, False),
        ("failed", {"terms": {"x": 1.0}}, False),
        ("failed", {"kind": "missing"}, True),
        ("skipped", {"metric": None}, False),
        ("skipped", {"reason": "no labels"}, True),
    ],
)
def test_a_status_asks_for_its_fields(status, other, valid):
    path = next(path for path in CURRENT if path.stem.endswith(f"_{status}"))
    plain = {**json.loads(path.read_text(encoding="utf-8")), **other}
    assert VALIDATOR.is_valid(plain) is valid
    assert (read(plain) is None) is valid


def test_every_field_is_described_in_words():
    Draft202012Validator.check_schema(SCHEMA)
    kinds = [one for one in vars(records).values() if is_dataclass(one) and one.__module__ == records.__name__]
    blocks = {**SCHEMA["$defs"], "Record": SCHEMA}
    assert {one.__name__ for one in kinds} == set(blocks)
    for kind in kinds:
        found = blocks[kind.__name__]["properties"]
        assert list(found) == [one.name for one in fields(kind)]
        assert all(one["description"].endswith(".") and len(one["description"]) > 8 for one in found.values())
    assert blocks["RecordedFacts"]["properties"]["license"]["description"] == "as its card states it."


IDENTITIES = {
    "version_1_baseline": "50077c0bd309e49a93488b0c30b08dd8",
    "version_1_failed": "c01e0bc737ce931c5daed3be1eca1627",
    "version_1_ok": "0ef0fc962b4ae215483aefb386e32566",
    "version_1_skipped": "0ef0fc962b4ae215483aefb386e32566",
}
"""The names that version 1 gave its files, as it printed them."""


def text_of(name: str) -> str:
    return (FIXTURES / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", IDENTITIES)
def test_an_earlier_record_keeps_its_name(name):
    assert plain_identity(plain_record(text_of(name))) == IDENTITIES[name]


@pytest.mark.parametrize("name", IDENTITIES)
def test_an_earlier_record_loads_with_all_it_had(name):
    old, record = json.loads(text_of(name)), Record.from_json(text_of(name))
    new = json.loads(record.to_json())
    assert record.schema_version == SCHEMA_VERSION
    for field in old.keys() - {"schema_version", "metric"}:
        assert new[field] == old[field]
    if old["metric"] is not None:
        assert {key: new["metric"][key] for key in old["metric"]} == old["metric"]


def test_what_was_not_kept_is_not_invented():
    record = Record.from_json(text_of("version_1_ok"))
    assert (record.interval_level, record.overlap, record.source) == (None, None, None)
    assert record.facts == RecordedFacts()
    assert record.metric.kind == "score" and record.metric.version == 1


def test_version_2_knew_of_no_relatives():
    record = Record.from_json(text_of("version_2_ok"))
    assert record.facts.license == json.loads(text_of("version_2_ok"))["facts"]["license"]
    assert (record.facts.family, record.facts.base_model, record.facts.pretrained_on) == (None, None, None)


def test_a_baseline_of_version_1_is_told_from_a_score():
    assert Record.from_json(text_of("version_1_baseline")).metric.kind == "baseline"


def test_the_baselines_are_those_of_the_registry():
    from hf_transfer_score.metrics.registry import all_metrics

    assert {name for name, metric in all_metrics().items() if metric.baseline} >= set(BASELINES)


def test_every_version_has_a_way_to_the_next_and_a_fixture():
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))
    for version in range(1, SCHEMA_VERSION + 1):
        assert list(FIXTURES.glob(f"version_{version}_*.json")), f"no fixture of version {version}"


def test_the_fixtures_of_this_version_are_what_it_writes():
    for path in CURRENT:
        text = path.read_text(encoding="utf-8")
        assert Record.from_json(text).to_json() == text


@pytest.mark.parametrize("missing", ["metric", "model", "terms"])
def test_an_earlier_record_is_checked_as_strictly(missing):
    plain = json.loads(text_of("version_1_ok"))
    del plain[missing]
    with pytest.raises(RecordError, match=f"field '{missing}' is missing"):
        Record.from_json(json.dumps(plain))
    with pytest.raises(RecordError, match=r"field 'metric': expected an object, got 3"):
        Record.from_json(json.dumps({**json.loads(text_of("version_1_ok")), "metric": 3}))
