"""Folders and memory as places: a state has a name that changes with any file, and writers take turns."""

import os
import subprocess
import sys

import pytest

from hf_transfer_score.errors import StoreError
from hf_transfer_score.records import place as places
from hf_transfer_score.records.place import FolderPlace, MemoryPlace, is_hub_name

COUNT = """
import sys
from pathlib import Path
from hf_transfer_score.records.place import FolderPlace
place = FolderPlace(Path(sys.argv[1]))
for number in range(25):
    place.update(
        lambda view: {
            "sum": b"%d" % (int(view.read(["sum"]).get("sum", b"0")) + 1),
            f"all/{sys.argv[2]}-{number}": b"",
        },
        title="one more",
    )
"""


def put(place: FolderPlace | MemoryPlace, **files: bytes | None) -> str:
    return place.update(lambda view: {name.replace("__", "/"): content for name, content in files.items()}, title="x")


@pytest.fixture(params=["folder", "memory"])
def place(request, tmp_path):
    return FolderPlace(tmp_path / "in") if request.param == "folder" else MemoryPlace()


class TestBoth:
    def test_what_is_written_is_there(self, place):
        version = put(place, a__one=b"1", two=b"2")
        view = place.view()
        assert view.version == version == place.version()
        assert set(view.files) == {"a/one", "two"} and view.attempt == 0
        assert view.read(["a/one", "two", "none", "a"]) == {"a/one": b"1", "two": b"2"}

    def test_none_removes_also_what_is_not_there(self, place):
        put(place, a__one=b"1", two=b"2")
        put(place, two=None, three=None)
        assert set(place.view().files) == {"a/one"}

    def test_a_change_that_fails_writes_nothing(self, place):
        before = put(place, one=b"1")
        with pytest.raises(KeyError):
            place.update(lambda view: {"two": view.read([])["none"]}, title="x")
        assert place.version() == before and set(place.view().files) == {"one"}


class TestFolder:
    def test_one_that_is_not_there_has_no_state(self, tmp_path):
        place = FolderPlace(tmp_path / "none")
        assert place.version() is None and place.view().version == "" and dict(place.view().files) == {}
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize("age", [0, 1000])
    def test_the_version_changes_with_any_file_within_a_second(self, tmp_path, age):
        place = FolderPlace(tmp_path)
        put(place, a__one=b"1", b__c__two=b"2")
        for path in [tmp_path, *tmp_path.rglob("*")]:
            os.utime(path, (path.stat().st_mtime - age,) * 2)
        seen = [place.version()]
        for files in ({"a__three": b"3"}, {"a__three": b"4"}, {"b__c__two": b"5"}, {"a__three": None}):
            put(place, **files)
            seen.append(place.version())
        assert len(set(seen)) == 5 and place.version() == seen[-1]

    def test_a_file_replaced_at_the_same_instant_is_noticed(self, tmp_path):
        place = FolderPlace(tmp_path)
        put(place, a__one=b"1")
        facts, before, stamp = (tmp_path / "a" / "one").stat(), place.version(), place.view().files["a/one"]
        (tmp_path / "other").write_bytes(b"2")
        os.utime(tmp_path / "other", ns=(facts.st_atime_ns, facts.st_mtime_ns))
        (tmp_path / "other").replace(tmp_path / "a" / "one")
        assert place.version() != before and place.view().files["a/one"] != stamp

    def test_a_file_that_grows_in_place_is_noticed(self, tmp_path):
        place = FolderPlace(tmp_path)
        put(place, a__one=b"1")
        before = place.version()
        with (tmp_path / "a" / "one").open("ab") as file:
            file.write(b"2")
        assert place.version() != before

    def test_hidden_files_and_links_do_not_count(self, tmp_path):
        place = FolderPlace(tmp_path / "in")
        put(place, a__one=b"1")
        (tmp_path / "in" / ".hidden").mkdir()
        (tmp_path / "in" / ".hidden" / "two").write_bytes(b"2")
        (tmp_path / "in" / "a" / ".one.tmp").write_bytes(b"2")
        (tmp_path / "secret").write_bytes(b"3")
        (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
        (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
        assert set(place.view().files) == {"a/one"}

    def test_nothing_is_left_beside_the_files(self, tmp_path):
        put(FolderPlace(tmp_path), a__one=b"1")
        assert {path.name for path in tmp_path.rglob("*")} <= {"a", "one", places.LOCK}

    def test_two_processes_lose_nothing(self, tmp_path):
        commands = [[sys.executable, "-c", COUNT, str(tmp_path / "in"), name] for name in ("first", "second")]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
        assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0), (b"", 0)]
        view = FolderPlace(tmp_path / "in").view()
        assert view.read(["sum"]) == {"sum": b"50"} and len(view.files) == 51

    def test_a_lock_that_stays_is_named(self, tmp_path, monkeypatch):
        from filelock import FileLock

        monkeypatch.setattr(places, "LOCK_SECONDS", 0.05)
        with (
            FileLock(tmp_path / places.LOCK, is_singleton=False),
            pytest.raises(StoreError, match="has been locked by another process"),
        ):
            put(FolderPlace(tmp_path), one=b"1")

    def test_a_file_where_a_folder_belongs(self, tmp_path):
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(StoreError, match="cannot be written"):
            put(FolderPlace(tmp_path), a__one=b"1")
        assert FolderPlace(tmp_path).view().read(["a/one"]) == {}


def test_names_of_repositories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "results").mkdir(parents=True)
    hub = ["owner/results", "o-1/r.2_x", "hf://datasets/here/results"]
    folders = ["here/results", "./owner/results", "/owner/results", "results", "a/b/c", "../a", "a/..", "", "owner/"]
    assert [name for name in [*hub, *folders] if is_hub_name(name)] == hub
