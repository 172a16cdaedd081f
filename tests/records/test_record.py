"""Records: nothing gets in that does not come out again, and each has one place."""

import copy
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest

from hf_transfer_score.errors import InputError
from hf_transfer_score.records.record import (
    SCHEMA_VERSION,
    Record,
    RecordedDataset,
    RecordedFacts,
    RecordedMetric,
    RecordedModel,
    RecordedOverlap,
    RecordedRun,
    identity,
    record_path,
)

MODEL = RecordedModel(
    "timm/resnet18", None, "c" * 40, "timm_images", "last", "mean", "float32", 11_000_000, 512, {"size": [224, 224]}
)
DATASET = RecordedDataset(
    "owner/pets",
    "image-classification",
    "f" * 32,
    "plain",
    "train",
    "d" * 40,
    {"label": "breed"},
    60,
    60,
    4,
    {"seed": 0},
)
METRIC = RecordedMetric(
    "face", parameters={"temperature": 0.05, "pca": "auto"}, directions={"fairness": 1, "collapse": -1}
)
RUN = RecordedRun("0.1.0", "2025-01-01T00:00:00+00:00", {"numpy": "2.0"}, "cpu", 1.5, 0.25, from_cache=True)
OK = Record(
    MODEL,
    DATASET,
    METRIC,
    RUN,
    terms={"fairness": 0.1 + 0.2, "collapse": 1e-300},
    interval={"fairness": (0.25, 0.5)},
    interval_level=0.9,
    used={"pca_components": 64},
    warnings=("small sample",),
    overlap=RecordedOverlap(("cat", "dog", "<b>ox</b>"), (0.0, 0.25, 1.0)),
    facts=RecordedFacts(license="apache-2.0", downloads=12),
    source="a paper",
)
FAILED = Record(MODEL, DATASET, None, RUN, "failed", "gated", "needs access; ask for it — «名»")
ACCURACY = RecordedMetric("accuracy", 2, "truth", {"method": "full", "seed": 0}, {"accuracy": 1})
UNMEASURED = Record(MODEL, DATASET, ACCURACY, RUN, "failed", "non_finite", "the loss is not finite")
SKIPPED = Record(MODEL, DATASET, METRIC, RUN, "skipped", reason="face needs class labels")


def changed(record: Record, where: str, value: object) -> str:
    """Return the JSON of a record with one field set by its dotted name, or taken out with `...`."""
    return json.dumps(changed_plain(json.loads(record.to_json()), where.split("."), value))


def changed_plain(plain: Any, place: Sequence[Any], value: Any) -> Any:
    """Return a copy of plain values with one set, or taken out with `...`."""
    plain = copy.deepcopy(plain)
    block = plain
    for name in place[:-1]:
        block = block[name]
    if value is ...:
        del block[place[-1]]
    else:
        block[place[-1]] = value
    return plain


@pytest.mark.parametrize("record", [OK, FAILED, UNMEASURED, SKIPPED], ids=["ok", "failed", "unmeasured", "skipped"])
def test_a_record_comes_back_equal(record):
    text = record.to_json()
    again = Record.from_json(text)
    assert again == record
    assert again.to_json() == text
    assert type(again.interval.get("fairness", ())) is tuple


def test_the_json_is_what_other_tools_read():
    plain = json.loads(OK.to_json())
    assert plain["schema_version"] == SCHEMA_VERSION == 3
    assert plain["terms"] == {"fairness": 0.30000000000000004, "collapse": 1e-300}
    assert plain["interval"] == {"fairness": [0.25, 0.5]}
    assert set(plain) == {field.name for field in fields(Record)}


def test_whole_numbers_are_numbers():
    assert Record.from_json(changed(OK, "terms.fairness", 3)).terms["fairness"] == 3.0


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("terms.fairness", "nan"),
        ("interval.fairness", [0.1, "inf"]),
        ("run.metric_seconds", "-inf"),
        ("used", {"deep": [{"er": "nan"}]}),
        ("model.details", {"scale": "inf"}),
    ],
)
def test_what_is_not_finite_is_refused_both_ways(where, value):
    text = changed(OK, where, value)
    for word, literal in (("nan", "NaN"), ("-inf", "-Infinity"), ("inf", "1e999")):
        text = text.replace(f'"{word}"', literal)
    with pytest.raises(InputError, match=rf"field '{where}.*expected a finite number, got (nan|-?inf)"):
        Record.from_json(text)
    broken = replace(OK, terms={"fairness": float("nan"), "collapse": 0.0})
    with pytest.raises(InputError, match=r"field 'terms.fairness': expected a finite number, got nan"):
        broken.to_json()


@pytest.mark.parametrize("where", ["status", "model", "model.details", "dataset.fingerprint", "run.time", "warnings"])
def test_a_missing_field_is_named(where):
    with pytest.raises(InputError, match=f"field '{where}' is missing"):
        Record.from_json(changed(OK, where, ...))


@pytest.mark.parametrize("where", ["accuracy", "model.token", "metric.colour"])
def test_an_unknown_field_is_named(where):
    with pytest.raises(InputError, match=f"has an unknown field '{where}'"):
        Record.from_json(changed(OK, where, 1))


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        ("model.id", 7, "text"),
        ("model.width", 1.5, "a whole number"),
        ("model.width", True, "a whole number"),
        ("run.from_cache", 0, "true or false"),
        ("terms.fairness", True, "a finite number"),
        ("terms", [1.0], "values that JSON can hold"),
        ("status", "fine", "one of ok, failed, skipped"),
        ("metric.directions.fairness", 2, "one of 1, -1"),
        ("metric.directions.fairness", True, "one of 1, -1"),
        ("interval.fairness", [1, 2, 3], "a list of 2"),
        ("warnings", "small", "a list"),
        ("run", None, "an object"),
        ("model.parameters", 2**63, "a whole number up to"),
        ("model.id", "\ud800", "valid UTF-8 text"),
        ("model.details", {"\udfff": 1}, "valid UTF-8 text"),
        ("metric.kind", "guess", "one of score, baseline, truth"),
        ("facts.downloads", "1", "a whole number"),
        ("schema_version", 0, "a whole number from 1 to 3"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(where, value, expected):
    with pytest.raises(InputError, match=rf"field '{where}': expected {expected}.*, got"):
        Record.from_json(changed(OK, where, value))


@pytest.mark.parametrize(
    ("record", "where"),
    [
        (replace(OK, metric=None), "metric"),
        (replace(OK, terms={}), "terms"),
        (replace(OK, reason="why not"), "reason"),
        (replace(OK, kind="error"), "kind"),
        (replace(OK, interval={"other": (0.0, 1.0)}), "interval.other"),
        (replace(OK, interval={"fairness": (1.0, 0.0)}), "interval.fairness"),
        (replace(OK, metric=replace(METRIC, directions={"fairness": 1})), "metric.directions"),
        (replace(OK, interval_level=1.0), "interval_level"),
        (replace(OK, overlap=RecordedOverlap(("a", "b"), ())), "overlap.values"),
        (replace(OK, overlap=RecordedOverlap(("a", "b"), (1.5,))), "overlap.values"),
        (replace(FAILED, metric=METRIC), "metric"),
        (replace(FAILED, kind=None), "kind"),
        (replace(UNMEASURED, kind=None), "kind"),
        (replace(UNMEASURED, reason=None), "reason"),
        (replace(UNMEASURED, terms={"accuracy": 0.5}), "terms"),
        (replace(FAILED, reason=None), "reason"),
        (replace(SKIPPED, terms={"fairness": 1.0}), "terms"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(record, where):
    with pytest.raises(InputError, match=f"field '{where}': expected"):
        record.to_json()


def test_a_newer_layout_asks_for_a_newer_package():
    text = changed(OK, "schema_version", 4)
    with pytest.raises(InputError, match=r"schema version 4.*only reads up to 3\. Install a newer one: pip install -U"):
        Record.from_json(text)
    with pytest.raises(InputError, match="schema version 99"):
        Record.from_json('{"schema_version": 99, "unheard": "of"}')


@pytest.mark.parametrize("text", ["", "{", "not json", '{"status": 1, "status": 2}'])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(InputError, match="A record is not JSON"):
        Record.from_json(text)


@pytest.mark.parametrize("value", ["[" * 100_000 + "]" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000])
def test_what_is_nested_too_deeply_is_refused(value):
    with pytest.raises(InputError, match="A record is nested too deeply|expected an object"):
        Record.from_json(value)
    deep = OK.to_json().replace('"pca": "auto"', f'"pca": {value}')
    with pytest.raises(InputError, match="A record is nested too deeply"):
        Record.from_json(deep)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(InputError, match="field 'itself': expected an object"):
        Record.from_json(text)


def test_a_long_value_is_not_repeated_in_full():
    with pytest.raises(InputError) as caught:
        Record.from_json(changed(OK, "status", "x" * 10_000))
    assert len(str(caught.value)) < 300


def other(value: object) -> object:
    return {
        str: lambda: "truth" if value == "score" else f"{value}x",
        int: lambda: value + 1,
        dict: lambda: {**value, "more": 1},
    }.get(type(value), lambda: "there")()


@pytest.mark.parametrize("block", ["model", "dataset", "metric"])
def test_the_identity_changes_with_what_was_measured(block):
    found = {identity(OK)}
    content = getattr(OK, block)
    for field in fields(content):
        one = replace(content, **{field.name: other(getattr(content, field.name))})
        found.add(identity(replace(OK, **{block: one})))
    assert len(found) == 1 + len(fields(content))


def test_the_identity_does_not_change_with_the_outcome():
    same = replace(
        OK, run=replace(RUN, time="later", device="cuda", version="9"), terms={"fairness": 1.0}, interval={}, used={}
    )
    assert identity(same) == identity(replace(same, warnings=(), status="skipped")) == identity(OK)
    assert identity(OK) != identity(FAILED)
    turned = replace(OK, metric=replace(METRIC, parameters=dict(reversed(METRIC.parameters.items()))))
    assert identity(turned) == identity(OK)
    assert identity(Record.from_json(OK.to_json())) == identity(OK)


def test_a_record_lies_below_owner_and_name():
    assert str(record_path(OK)) == f"records/timm/resnet18/{identity(OK)}.json"
    local = replace(OK, model=replace(MODEL, id="my checkpoint"))
    assert str(record_path(local)) == f"records/_local/my-checkpoint/{identity(local)}.json"


HOSTILE = ["..", "../..", "a/..", "../a", "/etc/passwd", "a/../../b", "a\\..\\b", "~/x", "", "/", ".", "_local/x"]
HOSTILE += ["a/" + "n" * 300, "C:/x", "a\x00b/c\n", "名/前", "-/-", "a/b/c/d", ".git/config", "con/\u202egnp"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_folder(name, tmp_path):
    path = record_path(replace(OK, model=replace(MODEL, id=name)))
    assert len(path.parts) == 4
    assert path.parts[0] == "records"
    assert not {"", ".", ".."} & set(path.parts)
    assert not any(part.startswith(".") or len(part) > 80 for part in path.parts)
    assert all(letter.isascii() and letter.isprintable() and letter not in '\\:*?"<>|' for letter in str(path))
    assert (tmp_path / path).resolve().is_relative_to(tmp_path.resolve())
    if "/" in name:
        assert path.parts[1] != "_local"


def test_names_that_look_alike_on_disk_stay_apart():
    paths = {record_path(replace(OK, model=replace(MODEL, id=name))) for name in ("a/b c", "a/b?c", "a/b-c")}
    assert len({path.parent for path in paths}) == 1
    assert len(paths) == 3
