"""Tables of shipped records are one place that is only read: whole, fast to open, and clear about what is wrong."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from hf_transfer_score.errors import StoreError
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.exchange import merge, pull, validate
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.record import Record, record_path
from hf_transfer_score.records.shipped import ShippedPlace, read_shipped, shipped_folder, write_shipped
from hf_transfer_score.records.store import load
from hf_transfer_score.records.table import RecordTable
from tests.records.test_record import FAILED, METRIC, MODEL, OK, RUN, SKIPPED
from tests.records.test_schema import VALIDATOR

LATER = replace(RUN, time="2025-01-01T00:30:00-01:00")
"""Half an hour after EARLIER, which is greater as a text."""
EARLIER = replace(RUN, time="2025-01-01T01:00:00+00:00")


def made(name: str, **changed: object) -> Record:
    return replace(OK, model=replace(MODEL, id=name), **changed)


FIRST = [OK, FAILED, replace(SKIPPED, metric=replace(METRIC, name="leep")), made("zoo/last"), made("no owner")]
SECOND = [made("owner/b"), made("aaa/first", overlap=None), made("owner/a", source="another paper")]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two tables, and the same records as files."""
    write_shipped(FIRST, tmp_path / "shipped" / "one.parquet")
    write_shipped(SECOND, tmp_path / "shipped" / "two.parquet")
    for record in [*FIRST, *SECOND]:
        path = tmp_path / "files" / record_path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json(), encoding="utf-8")
    return tmp_path / "shipped"


@pytest.fixture
def place(folder) -> ShippedPlace:
    return ShippedPlace(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}


def test_two_tables_are_one_place_of_files(place, folder):
    files, view = contents(folder.parent / "files"), place.view()
    assert len(files) == len(FIRST) + len(SECOND)
    assert view.read(view.files) == files
    assert view.files == dict(view.entries()) == {path: blob_id(content) for path, content in files.items()}
    some = sorted(files)[2]
    assert view.read([some, "records/none/such/0.json", some]) == {some: files[some]}
    assert view.read(["records/none/such/0.json"]) == {} and not place.shared


def test_they_open_like_the_same_files_and_no_record_is_read(place, folder, monkeypatch):
    expected = load(FolderPlace(folder.parent / "files"))
    assert expected.read == len(FIRST) + len(SECOND)
    with monkeypatch.context() as patched:
        for name in ("checked", "plain_record", "_record"):
            patched.setattr(f"hf_transfer_score.records.table.{name}", lambda *_: pytest.fail("a record was read"))
        found = load(place)
    assert (found.read, found.problems, found.version) == (0, (), place.version())
    assert found.table.records() == expected.table.records()
    drop = ["stamp"]
    assert found.table.data.drop_columns(drop).to_pylist() == expected.table.data.drop_columns(drop).to_pylist()


def test_overlaps_are_found_in_all_tables(place):
    records = load(place).table.records()
    assert [one.overlap for one in records if one.model.id == "zoo/last"] == [OK.overlap]
    assert [one.overlap for one in records if one.model.id == "owner/b"] == [OK.overlap]
    assert [one.overlap for one in records if one.model.id == "aaa/first"] == [None]


def test_a_look_that_finds_nothing_new_returns_what_was_known(place, folder):
    first = load(place)
    assert load(place, previous=first) is first
    write_shipped(FIRST[:1], folder / "one.parquet")
    second = load(place, previous=first)
    assert (len(second.table), second.difference) == (1 + len(SECOND), None)
    assert second.version not in (None, first.version)


@pytest.mark.parametrize("order", [(EARLIER, LATER), (LATER, EARLIER)])
def test_the_newest_of_the_same_identity_counts(order, tmp_path):
    one, other = (made("owner/a", run=run) for run in order)
    newest = made("owner/a", run=LATER)
    assert write_shipped([one, other], tmp_path / "a" / "both.parquet") == 1
    assert read_shipped(tmp_path / "a" / "both.parquet") == [newest]
    write_shipped([one], tmp_path / "b" / "one.parquet")
    write_shipped([other], tmp_path / "b" / "two.parquet")
    assert load(ShippedPlace(tmp_path / "b")).table.records() == [newest]


def test_the_same_records_give_the_same_bytes(tmp_path):
    tied = [made("owner/a", terms={"fairness": value, "collapse": -1.0}) for value in (0.25, 0.5)]
    orders = list(itertools.permutations([*tied, *FIRST[:2]]))
    files = [tmp_path / f"{number}.parquet" for number in range(len(orders))]
    assert {write_shipped(order, file) for order, file in zip(orders, files, strict=True)} == {3}
    assert len({file.read_bytes() for file in files}) == 1
    paths = [record_path(one) for one in read_shipped(files[0])]
    assert paths == sorted(paths)


def test_numbers_are_stamped_as_they_read_back(tmp_path):
    whole = made("owner/a", terms={"fairness": 1, "collapse": -1})
    write_shipped([whole], tmp_path / "a.parquet")
    view = ShippedPlace(tmp_path).view()
    ((path, stamp),) = view.files.items()
    assert stamp == blob_id(view.read([path])[path]) and b"1.0" in view.read([path])[path]


def test_they_are_copied_and_valid(place, folder, tmp_path):
    assert validate(place).problems == () and validate(place).checked == len(FIRST) + len(SECOND)
    mine = FolderPlace(tmp_path / "mine")
    assert pull(place, mine).published.written == len(FIRST) + len(SECOND)
    assert contents(mine.folder) == contents(folder.parent / "files")
    assert merge([place, mine], mine).published.written == 0


def test_nothing_is_written_there(place, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StoreError, match=r"that ship with the package, in .*shipped, cannot be changed\. Copy them"):
        merge([FolderPlace(folder.parent / "files")], place)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("there", [True, False])
def test_missing_tables_are_said(tmp_path, there):
    if there:
        (tmp_path / "shipped").mkdir()
    with pytest.raises(StoreError, match=r"are missing: .* no parquet table in .*shipped\. Reinstall the package"):
        load(ShippedPlace(tmp_path / "shipped"))


def damaged(file: Path, how: str) -> None:
    """Leave a file as a broken download does, or as another version of the package wrote it."""
    content = file.read_bytes()
    if how == "other":
        RecordTable(RecordTable.read(file).data.slice(0, 0)).light().data.to_pandas().to_parquet(file)
    else:
        kept = {"cut": content[: len(content) // 2], "empty": b"", "zeros": bytes(len(content))}
        file.write_bytes(kept[how])


@pytest.mark.parametrize("how", ["cut", "empty", "zeros", "other"])
def test_a_damaged_table_is_said(place, folder, how):
    damaged(folder / "two.parquet", how)
    sentence = r"that ship with the package are damaged; reinstall the package\. .*two\.parquet"
    for look in (lambda: load(place), lambda: place.view().files, lambda: read_shipped(folder / "two.parquet")):
        with pytest.raises(StoreError, match=sentence):
            look()


def test_a_row_that_holds_another_record_is_said(place, folder):
    import pyarrow

    table = RecordTable.read(folder / "two.parquet", whole=True)
    names = pyarrow.array(["owner/c"] * len(table)).dictionary_encode()
    at = table.data.column_names.index("model_id")
    RecordTable(table.data.set_column(at, "model_id", names)).write(folder / "two.parquet")
    view = place.view()
    for look in (lambda: view.read(view.files), lambda: read_shipped(folder / "two.parquet")):
        with pytest.raises(StoreError, match=r"reinstall the package\. The row of records/.* another record"):
            look()


@pytest.mark.parametrize("file", sorted(shipped_folder().glob("*.parquet")), ids=lambda file: file.name)
def test_each_table_of_the_package_is_as_it_is_written(file, tmp_path):
    table = RecordTable.read(file, whole=True)
    entries, step = list(table.stamps()), 1 + len(table) // 300
    records = table.records(range(0, len(table), step))
    for record, (path, stamp) in zip(records, entries[::step], strict=True):
        text = record.to_json()
        assert (path, stamp) == (str(record_path(record)), blob_id(text.encode()))
        assert VALIDATOR.is_valid(json.loads(text)), path
    paths = [path for path, _ in entries]
    assert paths == sorted(set(paths)) and len(paths) == len(table)
    write_shipped(records[::-1], tmp_path / "some.parquet")
    assert read_shipped(tmp_path / "some.parquet") == records
