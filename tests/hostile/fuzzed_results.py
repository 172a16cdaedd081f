"""Changed records, requests and tables in places of results, beside valid ones."""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from hf_transfer_score.errors import RecordError
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.leaderboard.pages.board_tab import board_csv
from hf_transfer_score.records import store
from hf_transfer_score.records.place import MemoryPlace
from hf_transfer_score.records.publishing import Snapshot, renewed
from hf_transfer_score.records.record import Record, RecordedOverlap, record_path
from hf_transfer_score.records.store import SNAPSHOT, load
from hf_transfer_score.records.table import RecordTable, Stored
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.requests.request import Request, request_path
from tests.hostile.judging import check_message, outcome
from tests.hostile.mutating import HOSTILE, changed_bytes, changed_json, json_of
from tests.leaderboard.made import accuracy, face, failed, files_of, score

Drawn = tuple[st.SearchStrategy[Any], Callable[[Any, Path], None]]


@cache
def sound() -> tuple[Record, ...]:
    """Return the valid records, which must stay."""
    return (
        score("owner/sound", "face", face(-1.0, 0.5), spread=0.1),
        score("owner/sound", "knn", 0.75),
        score("owner/second", "face", face(-2.0, 0.25), spread=0.2),
        accuracy("owner/sound", 0.875, seed=0),
        failed("owner/closed"),
    )


@cache
def examples() -> tuple[Record, ...]:
    """Return the records to change."""
    overlap = RecordedOverlap(("a", "b", "c"), (0.1, 0.2, 0.3))
    return (
        score("owner/other", "face", face(-1.5, 0.375), spread=0.1, overlap=overlap, warnings=("few rows",)),
        score("owner/other", "ncti", {"seli": 0.5, "ncc": 0.5, "vc": -0.25}),
        accuracy("owner/other", 0.5, seed=1),
        failed("owner/other", reason="has no weights"),
    )


@cache
def sound_files() -> dict[str, bytes]:
    """Return the files of valid records by path."""
    return files_of(sound())


def by_path(records: Iterable[Record]) -> dict[str, Record]:
    return {str(record_path(record)): record for record in records}


SOUND = by_path(sound())


def records() -> Drawn:
    return changed_json([json.loads(record.to_json()) for record in examples()]), _check_record


def _check_record(content: bytes, _: Path) -> None:
    record = outcome(lambda: Record.from_json(content), RecordError)
    path = record_path(record if record is not None else examples()[0])
    if record is not None:
        assert Record.from_json(record.to_json()) == record
    place = MemoryPlace(contents={**sound_files(), str(path): content})
    loaded = load(place)
    assert by_path(loaded.table.records()).items() >= SOUND.items()
    for problem in loaded.problems:
        check_message(problem.reason)
    assert len(loaded.table) + len(loaded.problems) == len(place.contents)
    if record is not None:
        _check_library(place)


def _check_library(place: MemoryPlace) -> None:
    """Check that the leaderboard shows all valid records with their values, whatever is beside them."""
    library = Library(place)
    library.refresh()
    assert library.status.error is None, library.status.error
    catalogue = library.catalogue
    for model in {one.model.id for one in sound()}:
        found = by_path(catalogue.model_records(model))
        assert found == {path: record for path, record in SOUND.items() if record.model.id == model}
    boards = [catalogue.board(summary.key) for summary in catalogue.boards()]
    rows = {row.label: row for board in boards for row in board.rows if board.key.dataset == "owner/pets"}
    assert rows["owner/sound"].terms["face"] == face(-1.0, 0.5)
    assert rows["owner/second"].terms["face"] == face(-2.0, 0.25)
    for board in boards:
        assert board_csv(board, board.rows).replace("\n", "").isprintable()


def requests() -> Drawn:
    pending = Request("owner/other", "owner/pets", asked="2025-01-01T00:00:00.000+00:00", asked_by="somebody")
    until = "2025-01-01T01:00:00.000+00:00"
    changed = [
        pending,
        replace(pending, state="running", claimed_by="worker-9", claimed_until=until, attempts=1, metrics=("knn",)),
        replace(pending, state="done", finished=until, records=3, revision="main", config="plain", split="train"),
        replace(pending, state="failed", finished=until, kind="error", reason="no memory", label_column="label"),
    ]
    trees = [json.loads(one.to_json()) for one in changed]
    return st.tuples(changed_json(trees), st.booleans()), _check_request


def _check_request(drawn: tuple[bytes, bool], _: Path) -> None:
    content, shared = drawn
    request = outcome(lambda: Request.from_json(content), RecordError)
    path = request_path(request if request is not None else Request("owner/other", "owner/pets"))
    waiting = [Request(f"owner/model-{n}", "owner/pets", asked=f"2025-01-0{n}T00:00:00.000+00:00") for n in (1, 2, 3)]
    contents = {str(request_path(one)): one.to_json().encode() for one in waiting}
    queue = RequestQueue(MemoryPlace(shared=shared, contents={**contents, str(path): content}))
    found = queue.requests()
    assert [one for one in found if one.model.startswith("owner/model-")] == waiting
    for problem in queue.problems:
        check_message(problem.reason)
    assert len(found) + len(queue.problems) == 4
    served = [queue.claim(f"worker-{turn}", 60) for turn in range(5)]
    assert {one.model for one in waiting} <= {one.model for one in served if one is not None}
    assert queue.submit(Request("owner/new", "owner/pets", asked_by="another")).state == "new"


KINDS = ("cell", "cell", "cell", "terms", "kind", "drop", "double", "rename", "rows", "metadata", "bomb")


@st.composite
def changed_table(draw: st.DrawFn) -> bytes:
    """Draw a forged table of records, as a file."""
    kind, column, row, other = draw(st.tuples(st.sampled_from(KINDS), *map(st.integers, (0, 0, 0), (100, 10, 100))))
    value = HOSTILE[draw(st.integers(0, len(HOSTILE) - 1))]
    data = table().cast(pa.schema([(one.name, _plain(one.type)) for one in table().schema]))
    name = data.column_names[column % data.num_columns]
    place, metadata = data.column_names.index(name), dict(written()[1])
    if kind in ("cell", "terms"):
        data = _with_cell(data, "terms" if kind == "terms" else name, row % len(data), value)
    elif kind == "kind":
        data = data.set_column(place, name, _hostile_column(value, len(data)))
    elif kind == "drop":
        data = data.drop_columns([name])
    elif kind == "double":
        data = data.append_column(name, data.column(other % data.num_columns))
    elif kind == "rename":
        data = data.rename_columns([f"{one}\x1b" if one == name else one for one in data.column_names])
    elif kind == "rows":
        data = pa.concat_tables([data, data.slice(row % len(data), 1)])
    elif kind == "metadata":
        metadata = {key: json_of(value)[:1000] for key in metadata}
    else:
        data = pa.concat_tables([data] * 300)
    buffer = io.BytesIO()
    try:
        parquet.write_table(data.replace_schema_metadata(metadata), buffer, compression="zstd")
    except pa.ArrowException:  # a kind of column that no such file holds
        return written()[0][::-1]
    return buffer.getvalue()


@cache
def table() -> pa.Table:
    files = sound_files()
    return RecordTable.of(Stored.of(path, blob_id(files[path]), record) for path, record in SOUND.items()).data


@cache
def written() -> tuple[bytes, dict[bytes, bytes]]:
    """Return that table as a file, and its metadata."""
    place = MemoryPlace(shared=True, contents=sound_files())
    content = renewed(place.view(), {})
    assert content is not None
    return content, dict(parquet.read_metadata(io.BytesIO(content)).metadata)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _with_cell(data: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    """Return a table with another cell, as JSON if its column holds text."""
    column, place = data.column(name).to_pylist(), data.column_names.index(name)
    kind = data.schema.field(name).type
    text = json_of({"face": value}) if name == "terms" else json_of(value)
    try:
        column[row] = text.decode() if pa.types.is_string(kind) else value
        return data.set_column(place, name, pa.array(column, kind))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return data.set_column(place, name, pa.array([text] * len(data)))


def _hostile_column(value: Any, count: int) -> pa.Array:
    try:
        return pa.array([value] * count)
    except (pa.ArrowException, OverflowError, TypeError, ValueError, UnicodeError):
        return pa.array([b"\xff\xfe\x00"] * count)


def tables() -> Drawn:
    return st.one_of(changed_table(), changed_bytes([written()[0]])), _check_table


def _check_table(content: bytes, _: Path) -> None:
    files = sound_files()
    place = MemoryPlace(shared=True, contents={**files, SNAPSHOT: content})
    view = place.view()
    before, store.CHUNK = store.CHUNK, 5  # so that the table is asked for few files too
    try:
        loaded = load(place)
    finally:
        store.CHUNK = before
    assert by_path(loaded.table.records()) == SOUND
    known = Snapshot.of(view)
    if known is not None:
        assert known.contents({path: blob_id(content) for path, content in files.items()}).items() <= files.items()
    again = renewed(view, {}, prove=True)
    if again is not None:
        assert _paths_in(again) == files.keys()


@cache
def _paths_in(table: bytes) -> set[str]:
    """Return the paths of the records in a table beside the valid files."""
    found = store.snapshot_of(MemoryPlace(shared=True, contents={**sound_files(), SNAPSHOT: table}).view())
    assert found is not None
    return set(by_path(found.records()))
