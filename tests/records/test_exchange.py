"""Records pulled, merged and looked through, between folders and a repository on a local Hub."""

import json
from dataclasses import replace
from functools import partial

import pytest

from hf_transfer_score.errors import HubError, StoreError
from hf_transfer_score.records import exchange
from hf_transfer_score.records.exchange import merge, pull, validate
from hf_transfer_score.records.place import FolderPlace, MemoryPlace, PlaceView
from hf_transfer_score.records.publishing import publish
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.store import SNAPSHOT, load
from tests.hub.server import LocalHub
from tests.records.test_publishing import FAILED, NAME, OK, SKIPPED, at, files, made, place, put, shared, stored
from tests.records.test_schema import FIXTURES, IDENTITIES

__all__ = ["shared"]
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client's own making


@pytest.fixture
def folder(tmp_path):
    return FolderPlace(tmp_path / "mine")


def held(target: FolderPlace) -> dict[str, Record]:
    return {str(path.relative_to(target.folder)): read(path) for path in target.folder.rglob("*.json")}


def read(path) -> Record:
    return Record.from_json(path.read_bytes())


def fetched(hub: LocalHub, since: int) -> list[str]:
    found = [one.path.split("/resolve/")[1].split("/", 1)[1] for one in hub.requests[since:] if "/resolve/" in one.path]
    return sorted(found)


class TestPull:
    def test_only_what_changed_is_fetched(self, shared, folder):
        publish(place(shared), [OK, FAILED, SKIPPED])
        since = len(shared.requests)
        done = pull(place(shared), folder)
        assert (done.published.written, done.unchanged, done.problems) == (3, 0, ())
        assert fetched(shared, since) == sorted(stored(shared)) and held(folder) == stored(shared)
        since = len(shared.requests)
        done = pull(place(shared), folder)
        assert (done.published.written, done.unchanged) == (0, 3) and fetched(shared, since) == []
        newer = replace(OK, run=replace(OK.run, time="2026-01-01T00:00:00+00:00"))
        publish(place(shared), [newer, made("a/new")])
        since = len(shared.requests)
        done = pull(place(shared), folder)
        assert (done.published.written, done.unchanged) == (2, 2)
        assert fetched(shared, since) == sorted([at(OK), at(made("a/new"))]) and held(folder) == stored(shared)

    def test_many_come_from_the_table_where_it_is_proved_right(self, shared, folder, monkeypatch):
        monkeypatch.setattr(exchange, "FEW", 3)
        many = [made(f"a/{number}") for number in range(8)]
        publish(place(shared), many)
        put(shared, at(many[0]), json.dumps(json.loads(many[0].to_json())).encode())
        put(shared, at(many[1]), replace(many[1], warnings=("later",)).to_json().encode())
        since = len(shared.requests)
        assert pull(place(shared), folder).published.written == 8
        assert fetched(shared, since) == sorted([SNAPSHOT, at(many[0]), at(many[1])]) and held(folder) == stored(shared)

    def test_a_table_that_lies_is_not_believed(self, shared, folder, monkeypatch):
        monkeypatch.setattr(exchange, "FEW", 0)
        publish(place(shared), [made("a/b", 0.1), made("a/c", 0.2)])
        other = MemoryPlace(shared=True)
        publish(other, [made("a/b", 0.9), made("a/c", 0.2)])
        table = load(other).table
        stamps = {path: file.blob for path, file in shared.repository(NAME, "dataset").head.files.items()}
        lies = table.data.set_column(1, "stamp", [[stamps[path] for path in table.data.column("path").to_pylist()]])
        replace(table, data=lies).write(shared.repository(NAME, "dataset").folder / SNAPSHOT)
        pull(place(shared), folder)
        assert held(folder) == stored(shared)

    def test_bad_ones_are_reported_and_left(self, shared, folder):
        publish(place(shared), [OK])
        name = at(FAILED)
        put(shared, name, FAILED.to_json().replace('"gated"', "7").encode())
        put(shared, "records/a/b/not-its-name.json", SKIPPED.to_json().encode())
        put(shared, "records/notes.txt", b"hello")
        done = pull(place(shared), folder)
        assert set(held(folder)) == {at(OK)} and done.published.written == 1
        assert {one.path: one.reason for one in done.problems}.keys() == {name, "records/a/b/not-its-name.json"}
        assert any("A record's field 'kind': expected text, got 7" in one.reason for one in done.problems)

    def test_what_is_newer_here_stays(self, shared, folder):
        publish(place(shared), [OK])
        newer = replace(OK, run=replace(OK.run, time="2026-01-01T00:00:00+00:00"))
        publish(folder, [newer])
        assert pull(place(shared), folder).published.older == 1 and held(folder) == {at(OK): newer}

    def test_what_is_not_there_is_said(self, shared, folder, tmp_path):
        with pytest.raises(HubError, match="There is no dataset owner/results on the Hub that this token may see"):
            pull(place(shared), folder)
        with pytest.raises(HubError, match="or it is private: check the name, or log in with `hf auth login`"):
            pull(place(shared, token=False), folder)
        with pytest.raises(StoreError, match=r"There is no folder .*none; a dataset on the Hub is written OWNER/NAME"):
            pull(FolderPlace(tmp_path / "none"), folder)


class TestMerge:
    def test_folders_into_a_folder(self, tmp_path, folder):
        old, new = made("a/b", 0.1), made("a/b", 0.2, "2026-01-01T00:00:00+00:00")
        for name, records in {"one": [old, OK], "two": [new, FAILED], "three": [old]}.items():
            publish(FolderPlace(tmp_path / name), records)
        done = merge([FolderPlace(tmp_path / name) for name in ("one", "two", "three")], folder)
        assert done.published.written == 3 and held(folder) == {at(one): one for one in (new, OK, FAILED)}
        done = merge([FolderPlace(tmp_path / "one")], folder)
        assert (done.published.written, done.published.unchanged, done.published.older) == (0, 1, 1)

    def test_a_repository_and_a_folder_into_a_repository(self, shared, folder):
        publish(folder, [OK, FAILED])
        publish(place(shared), [SKIPPED, FAILED])
        done = merge([place(shared), folder], place(shared))
        assert (done.published.written, done.unchanged) == (1, 3)  # one that both have counts twice
        assert len(stored(shared)) == 3 and validate(place(shared)).problems == ()

    def test_the_table_comes_in_step_after_a_pull_request(self, shared):
        publish(place(shared), [OK])
        publish(place(shared, "hf_reader", create_pr=True), [FAILED])
        place(shared).api.merge_pull_request(NAME, 1, repo_type="dataset")
        [problem] = validate(place(shared)).problems
        assert problem.path == SNAPSHOT and "1 of 2 differ, 0 rows have no record" in problem.reason
        merge([], place(shared))
        assert validate(place(shared)).problems == () and len(stored(shared)) == 2
        before = len(shared.repository(NAME, "dataset").commits)
        merge([], place(shared))
        assert len(shared.repository(NAME, "dataset").commits) == before

    def test_records_of_an_earlier_version_come_as_this_one(self, folder, tmp_path):
        old = FolderPlace(tmp_path / "old")
        for name in ("version_1_baseline", "version_1_failed", "version_1_ok"):
            content = (FIXTURES / f"{name}.json").read_bytes()
            old.update(partial(renamed, f"records/timm/resnet18/{IDENTITIES[name]}.json", content), title="x")
        assert merge([old], folder).published.written == 3
        assert {json.loads(path.read_bytes())["schema_version"] for path in folder.folder.rglob("*.json")} == {3}
        assert sorted(map(str, held(folder).values())) == sorted(map(str, load(old).table.records()))
        assert merge([old], folder).published.unchanged == 3 and validate(folder).problems == ()


def renamed(path: str, content: bytes, view: PlaceView) -> dict[str, bytes]:
    return {path: content}


class TestValidate:
    def test_all_is_well(self, shared, folder):
        for target in (place(shared), folder):
            publish(target, [OK, FAILED, SKIPPED])
            found = validate(target)
            assert (found.checked, found.problems) == (3, ())

    def test_what_is_wrong_is_named(self, folder):
        publish(folder, [OK, FAILED])
        inside = folder.folder / "records"
        (inside / "other").mkdir()
        (inside / "other" / "model").mkdir()
        (folder.folder / at(OK)).rename(inside / "other" / "model" / at(OK).split("/")[-1])
        (inside / "notes.txt").write_text("x")
        (folder.folder / at(FAILED)).write_text(FAILED.to_json().replace('"rows"', '"raws"'))
        found = {one.path: one.reason for one in validate(folder).problems}
        assert found.keys() == {"records/notes.txt", at(FAILED), f"records/other/model/{at(OK).split('/')[-1]}"}
        assert "'dataset.rows' is missing" in found[at(FAILED)]
        assert "A record of timm/resnet18 belongs in records/timm/resnet18." in str(found)

    def test_a_table_that_is_missing_or_no_table(self, shared):
        publish(place(shared), [OK])
        place(shared).update(lambda view: {SNAPSHOT: None}, title="x")
        assert [one.reason for one in validate(place(shared)).problems] == ["is missing"]
        put(shared, SNAPSHOT, b"no")
        assert [one.reason for one in validate(place(shared)).problems] == ["cannot be read as a table of records"]
        assert files(shared)[SNAPSHOT] == b"no"
