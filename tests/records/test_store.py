"""A store is its files: the table says what they hold, however much of it was known before."""

import json
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hf_transfer_score.errors import RecordError, StoreError
from hf_transfer_score.records.by_field import read_by_field
from hf_transfer_score.records.place import FolderPlace, MemoryPlace, PlaceView
from hf_transfer_score.records.record import Record, identity, record_path
from hf_transfer_score.records.store import SNAPSHOT, LoadedRecords, is_record_path, load
from hf_transfer_score.records.table import COLUMNS, RecordTable, Stored
from tests.records.test_record import FAILED, METRIC, MODEL, OK, RUN, SKIPPED


def made(name: str, fairness: float = 0.5, **changed: object) -> Record:
    record = replace(OK, model=replace(MODEL, id=name), terms={"fairness": fairness, "collapse": -1.0})
    return replace(record, **changed)


def put(place: FolderPlace | MemoryPlace, *records: Record) -> None:
    files = {str(record_path(one)): one.to_json().encode() for one in records}
    place.update(lambda view: files, title="records")


def held(loaded: LoadedRecords) -> dict[str, Record]:
    return {identity(one): one for one in loaded.table.records()}


def by_identity(*records: Record) -> dict[str, Record]:
    return {identity(one): one for one in records}


MANY = [made(f"owner/model-{number}", number / 7) for number in range(7)]
ALL = [OK, FAILED, replace(SKIPPED, metric=replace(METRIC, name="leep")), *MANY]


@pytest.fixture
def place(tmp_path):
    return FolderPlace(tmp_path / "results")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "kept" / "records.parquet"


def stored(record: Record) -> Stored:
    return Stored.of(str(record_path(record)), "stamp", record)


def outcome(path: str, text: str | bytes) -> Stored | str:
    try:
        return Stored.read(path, "stamp", text)
    except RecordError as error:
        return str(error)


def spoiled(text: str, draw: random.Random) -> str:
    """Return a text with a few lines or letters lost, doubled or replaced, at places that matter to a parser."""
    lines = text.split("\n")
    for _ in range(draw.randint(1, 2)):
        place, what = draw.randrange(len(lines)), draw.choice(["gone", "twice", "letter", "less", "other"])
        line = lines[place]
        if what in ("gone", "twice"):
            lines[place : place + 1] = [] if what == "gone" else [line, line]
        elif what == "less":
            lines[place] = line.removeprefix("  ")
        elif what == "other":
            lines[place] = draw.choice(lines)
        elif line:
            at = draw.randrange(len(line))
            lines[place] = line[:at] + draw.choice('",:{}[]01e-\\ x\u2028') + line[at + 1 :]
    return "\n".join(lines)


def test_a_file_read_by_field_is_what_it_is_as_a_whole():
    draw = random.Random(0)
    for record in ALL:
        path, text = str(record_path(record)), record.to_json()
        found, _ = read_by_field(text.encode())
        assert list(found) == list(json.loads(text)) and found == outcome(path, text).plain
        for wrong in (spoiled(text, draw) for _ in range(60)):
            assert outcome(path, wrong.encode()) == outcome(path, wrong), wrong  # text is always read as a whole
    assert read_by_field(OK.to_json()) is None and read_by_field(json.dumps(json.loads(OK.to_json())).encode()) is None


def test_a_table_gives_every_record_back(tmp_path):
    table = RecordTable.of(map(stored, ALL), "state")
    assert table.records() == ALL
    table.write(tmp_path / "a.parquet")
    again = RecordTable.read(tmp_path / "a.parquet")
    assert again.at == "state" and len(again) == len(ALL)
    assert again.records([]) == [] and again.records() == ALL and again.records([9, 0]) == [ALL[9], ALL[0]]
    assert again.whole().data.equals(table.data)


def test_a_table_holds_every_field_of_a_record():
    def places(plain: dict, before: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        blocks = {"model", "dataset", "metric", "run", "facts"}
        inner = [places(value, (name,)) for name, value in plain.items() if not before and name in blocks]
        return {(*before, name) for name in plain if before or name not in blocks} | set().union(*inner)

    assert {column.place for column in COLUMNS} == places(stored(OK).plain) - {("schema_version",)}


def test_any_reader_of_parquet_sees_plain_columns(tmp_path):
    from pyarrow import parquet

    RecordTable.of(map(stored, ALL)).write(tmp_path / "a.parquet")
    schema = parquet.read_schema(tmp_path / "a.parquet")
    assert {str(field.type) for field in schema} == {"string", "int64", "double", "bool"}
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert (
        rows[0]["model_id"] == OK.model.id and rows[0]["terms"] == '{"collapse":1e-300,"fairness":0.30000000000000004}'
    )


def test_heavy_columns_follow_a_file_that_was_written_anew(tmp_path):
    RecordTable.of(map(stored, [OK, *MANY])).write(tmp_path / "a.parquet")
    table = RecordTable.read(tmp_path / "a.parquet")
    plain = [replace(one, overlap=None) for one in reversed(MANY)]
    RecordTable.of(map(stored, [*plain, OK])).write(tmp_path / "a.parquet")
    assert table.records([0]) == [OK]
    assert table.records([1]) == [replace(MANY[0], overlap=None)]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_table_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(StoreError, match="a.parquet cannot be read as a table of records"):
        RecordTable.read(tmp_path / "a.parquet")


def test_a_table_of_something_else_is_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"model_id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(StoreError, match="is not a table of records of schema version 3"):
        RecordTable.read(tmp_path / "a.parquet")


def test_a_row_that_was_changed_is_no_record():
    table = RecordTable.of([stored(OK)])
    place = table.data.schema.get_field_index("model_id")
    import pyarrow

    other = pyarrow.array(["somebody/else"]).dictionary_encode()
    changed = RecordTable(table.data.set_column(place, "model_id", other))
    with pytest.raises(RecordError, match="holds another record than its identity says"):
        changed.records()


def test_nothing_there_is_an_empty_table(place, cache):
    assert len(load(place).table) == 0
    assert len(load(place, cache=cache).table) == 0


@pytest.mark.parametrize("kept", [True, False])
def test_what_comes_goes_and_changes_is_seen(place, cache, kept):
    cache = cache if kept else None
    put(place, *ALL)
    first = load(place, cache=cache)
    assert held(first) == by_identity(*ALL) and first.read == len(ALL)
    newer = made("owner/model-3", 0.9, run=replace(RUN, time="2026-01-01T00:00:00+00:00"))
    put(place, newer, made("owner/new"))
    (place.folder / record_path(MANY[0])).unlink()
    expected = by_identity(*ALL, newer, made("owner/new"))
    del expected[identity(MANY[0])]
    second = load(place, cache=cache, previous=first)
    assert held(second) == expected and second.read == 2
    assert held(load(place, cache=cache)) == expected


def test_what_did_not_change_is_not_read_again(place, cache):
    put(place, *ALL)
    time.sleep(0.01)
    load(place, cache=cache)
    again = load(place, cache=cache)
    assert again.read == 0 and held(again) == by_identity(*ALL)
    assert load(place, cache=cache, previous=again) is again


def test_progress_is_told(place):
    put(place, *ALL)
    told = []
    load(place, watch=lambda done, total: told.append((done, total)))
    assert told == [(len(ALL), len(ALL))]


@pytest.mark.parametrize("damage", [b"", b"garbage" * 100])
def test_a_damaged_cache_is_made_anew(place, cache, damage):
    put(place, *ALL)
    load(place, cache=cache)
    cache.write_bytes(damage)
    assert held(load(place, cache=cache)) == by_identity(*ALL)
    assert RecordTable.read(cache).records()


def test_a_cache_that_cannot_be_written_is_no_failure(place, tmp_path):
    """Nothing can be made below a file, whoever tries."""
    put(place, OK)
    (tmp_path / "taken").write_text("a file where the folder should be")
    cache = tmp_path / "taken" / "a.parquet"
    first = load(place, cache=cache)
    assert held(first) == by_identity(OK) and not cache.exists()
    put(place, *MANY)
    assert held(load(place, cache=cache, previous=first)) == by_identity(OK, *MANY)


def test_a_bad_file_is_a_problem_and_no_more(place, cache):
    put(place, *ALL)
    bad = {
        "records/a/b/0.json": b"{}",
        "records/a/b/1.json": OK.to_json().encode(),
        "records/a/b/2.json": b"\xff\xfe",
        "records/a/b/3.json": b"[" * 100_000,
        "records/a/b/readme.txt": b"no record",
        "notes.json": b"no record",
    }
    place.update(lambda view: bad, title="bad")
    loaded = load(place, cache=cache)
    assert held(loaded) == by_identity(*ALL)
    assert {one.path: one.reason for one in loaded.problems}.keys() == {
        f"records/a/b/{number}.json" for number in range(4)
    }
    reasons = " ".join(one.reason for one in loaded.problems)
    assert "A record is named 1" in reasons and "field 'model' is missing" in reasons
    put(place, made("owner/later"))
    again = load(place, cache=cache, previous=loaded)
    assert again.read == 1 and len(again.problems) == 4


def test_a_record_whose_file_is_spoilt_no_longer_counts(place, cache):
    put(place, *ALL)
    first = load(place, cache=cache)
    (place.folder / record_path(MANY[2])).write_bytes(b"{}")
    second = load(place, cache=cache, previous=first)
    expected = by_identity(*(one for one in ALL if one is not MANY[2]))
    assert held(second) == expected and len(second.problems) == 1
    assert held(load(place, cache=cache)) == expected


@pytest.mark.parametrize("rules_changed", [False, True])
def test_a_bad_file_is_not_read_again_by_the_next_run(place, cache, monkeypatch, rules_changed):
    put(place, *ALL)
    late = replace(OK, model=replace(MODEL, id="a/late"))
    in_future = late.to_json().replace(late.run.time[:4], "2999").encode()
    bad, ahead = "records/a/b/bad.json", str(record_path(late))
    place.update(lambda view: {bad: b"{", ahead: in_future}, title="bad")
    assert load(place, cache=cache).read == len(ALL) + 2
    put(place, made("owner/new"))
    if rules_changed:
        monkeypatch.setattr("hf_transfer_score.records.store.rules", lambda: "others")
    again = load(place, cache=cache)
    assert again.read == (len(ALL) + 3 if rules_changed else 2), "the new one, and the one that time may make valid"
    assert {one.path for one in again.problems} == {bad, ahead} and again.left_out == 2
    place.update(lambda view: {bad: b"[]"}, title="changed")
    assert bad in {one.path for one in load(place, cache=cache).problems}
    (cache.parent / "records-refused.json").write_text('{"rules": 1, "files": [3]}')
    assert load(place, cache=cache).left_out == 2


def test_a_bad_file_that_changed_is_kept_as_it_is_now(place, cache):
    put(place, *ALL)
    for content in (b"{", b"[]"):
        place.update(lambda view, content=content: {"records/a/b/bad.json": content}, title="bad")
        assert load(place, cache=cache).left_out == 1
    assert load(place, cache=cache).read == 0


def test_what_changed_is_told(place, cache):
    """The rows that stay keep their order, and the datasets of everything that changed are named."""
    elsewhere = replace(MANY[1], dataset=replace(MANY[1].dataset, id="owner/elsewhere"))
    gone = replace(MANY[3], dataset=replace(MANY[3].dataset, id="owner/gone"))
    put(place, *ALL, gone)
    first = load(place, cache=cache)
    assert first.difference is None
    put(place, elsewhere, made("owner/model-5", 0.125))
    (place.folder / record_path(gone)).unlink()
    second = load(place, cache=cache, previous=first)
    assert second.difference.datasets == {"owner/gone", "owner/elsewhere", OK.dataset.id}
    before, after = first.table.records(), second.table.records()
    stayed = [one for row, one in enumerate(before) if row not in second.difference.removed]
    assert after[: len(stayed)] == stayed and len(after) == len(stayed) + 2
    assert set(map(identity, before)) - set(map(identity, stayed)) == {identity(gone), identity(MANY[5])}


@dataclass
class CountingView:
    """A view that keeps what was read through it."""

    inner: PlaceView
    asked: list[str]
    version: str = "counted"
    attempt: int = 0

    @property
    def files(self):
        return self.inner.files

    def entries(self):
        return self.inner.entries()

    def read(self, paths):
        self.asked += (wanted := list(paths))
        return self.inner.read(wanted)


@pytest.mark.parametrize("damaged", [False, True])
def test_the_snapshot_of_a_shared_place_saves_reading(tmp_path, damaged, monkeypatch):
    monkeypatch.setattr("hf_transfer_score.records.store.CHUNK", 10)
    place = MemoryPlace(shared=True)
    put(place, *ALL)
    view = place.view()
    in_step = [Stored.read(path, stamp, view.read([path])[path]) for path, stamp in view.files.items()]
    RecordTable.of(in_step[:-1]).write(tmp_path / "s.parquet")
    snapshot = b"PAR1 damaged" if damaged else (tmp_path / "s.parquet").read_bytes()
    place.update(lambda view: {SNAPSHOT: snapshot}, title="snapshot")
    asked = []
    before = place.view
    place.view = lambda: CountingView(before(), asked)
    assert held(load(place)) == by_identity(*ALL)
    assert sorted(asked) == sorted([SNAPSHOT, *([one.path for one in in_step] if damaged else [in_step[-1].path])])


@pytest.mark.parametrize("tabled", [False, True])
def test_a_record_in_the_folder_of_another_model_does_not_count(tmp_path, tabled, monkeypatch):
    monkeypatch.setattr("hf_transfer_score.records.store.CHUNK", 10)
    place, content = MemoryPlace(shared=True), OK.to_json().encode()
    put(place, *ALL)
    copies = {f"records/owner/model-{number}/{identity(OK)}.json": content for number in range(7)}
    place.update(lambda view: copies, title="copies")
    if tabled:
        files = place.view().files
        of = {**{str(record_path(one)): one for one in ALL}, **dict.fromkeys(copies, OK)}
        rows = RecordTable.of(Stored.of(path, files[path], one) for path, one in of.items())
        rows.write(tmp_path / "s.parquet")
        place.update(lambda view: {SNAPSHOT: (tmp_path / "s.parquet").read_bytes()}, title="table")
    found = load(place)
    assert len(found.table) == len(ALL) and held(found) == by_identity(*ALL)
    assert {one.path: one.reason for one in found.problems} == dict.fromkeys(
        copies, "A record of timm/resnet18 belongs in records/timm/resnet18."
    )


@pytest.mark.parametrize("path", ["records/a.json", "records/a/b/c/d.json", "a/records/b/c.json", "records/a/b/c.txt"])
def test_other_files_are_no_records(path):
    assert not is_record_path(path)
    assert is_record_path(str(Path("records") / "a" / "b" / "c.json"))
