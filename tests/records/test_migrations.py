"""Records of earlier versions load as this version's, and keep the name they were found by."""

import json
from pathlib import Path

import pytest

from hf_transfer_score.errors import RecordError
from hf_transfer_score.records.checks import BASELINES, MIGRATIONS, SCHEMA_VERSION
from hf_transfer_score.records.record import Record, RecordedFacts, plain_identity, plain_record

FIXTURES = Path(__file__).parent / "fixtures"

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
    for path in FIXTURES.glob(f"version_{SCHEMA_VERSION}_*.json"):
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
