"""The records of a running leaderboard: read in the background, replaced as a whole, kept when a look fails."""

import threading
from types import SimpleNamespace

import pytest

from hf_transfer_score.errors import StoreError
from hf_transfer_score.home import HOME_VARIABLE
from hf_transfer_score.leaderboard import library as watching
from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.records.place import FolderPlace, MemoryPlace
from hf_transfer_score.records.store import cache_file
from tests.leaderboard.made import face, files_of, score


def files(*names):
    return files_of(score(name, "face", face(-1.0, 0.5)) for name in names)


@pytest.fixture
def place():
    made = MemoryPlace()
    made.update(lambda _: files("a/one", "a/two"), title="first")
    return made


@pytest.fixture
def library(place):
    made = Library(place, poll_seconds=3600)
    yield made
    made.stop()


def test_it_is_empty_before_it_was_read(library):
    assert library.status.loading and library.status.records == 0 and library.catalogue.boards() == []


def test_it_reads_follows_and_keeps_what_it_has(library, place):
    assert library.refresh() is True
    first = library.status
    assert (first.records, first.loading, first.error) == (2, False, None)
    assert library.refresh() is False and library.status == first
    place.update(lambda _: files("a/three"), title="second")
    assert library.refresh() is True
    assert library.catalogue.models() == ["a/one", "a/three", "a/two"]
    assert library.status.version != first.version


def test_a_file_that_is_no_record_is_counted(library, place):
    place.update(lambda _: {f"records/a/one/{'0' * 32}.json": b"{}"}, title="wrong")
    library.refresh()
    assert (library.status.records, library.status.problems) == (2, 1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("the folder is closed"), "the folder is closed"),
        (PermissionError("not allowed"), "not allowed"),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
def test_a_look_that_fails_leaves_what_was_there(library, place, error, said):
    library.refresh()

    class Closed(MemoryPlace):
        def version(self):
            raise error

    library.place = Closed()
    assert library.refresh() is False
    assert library.status.error == said and library.status.records == 2 and len(library.catalogue.models()) == 2
    library.place = place
    library.refresh()
    assert library.status.error is None


def test_the_thread_looks_when_it_is_asked(library, place):
    library.start()
    library.ask(10)
    assert library.status.records == 2
    place.update(lambda _: files("a/three"), title="second")
    library.ask(10)
    assert library.status.records == 3


def test_many_may_ask_at_once(library, place):
    library.start()
    library.ask(10)
    place.update(lambda _: files("a/three"), title="second")
    seen = []
    asking = [threading.Thread(target=lambda: (library.ask(10), seen.append(library.status.records))) for _ in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert seen == [3] * 8


def test_the_cache_lies_in_the_folder_or_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    (tmp_path / "results").mkdir()
    assert cache_file(FolderPlace(tmp_path / "results")) == tmp_path / "results" / ".index" / "records.parquet"
    elsewhere = cache_file(MemoryPlace("owner/results", shared=True))
    assert elsewhere == tmp_path / "home" / "results" / "owner--results.parquet"
    assert cache_file(MemoryPlace("../..")).parent == tmp_path / "home" / "results"


def test_a_second_start_reads_the_cache(tmp_path):
    folder = tmp_path / "results"
    FolderPlace(folder).update(lambda _: files("a/one", "a/two"), title="first")
    place = FolderPlace(folder)
    first = Library(place, cache=cache_file(place))
    first.refresh()
    assert cache_file(place).is_file()
    again = Library(place, cache=cache_file(place))
    told = []
    again._tell = told.append
    again.refresh()
    assert again.catalogue.models() == first.catalogue.models() and told == []


def test_the_longer_a_look_takes_the_rarer_it_is(monkeypatch):
    library, waits, clock = Library(MemoryPlace(), poll_seconds=30), [], iter(range(0, 10_000, 10))
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            library.stop()

    library._wake = SimpleNamespace(wait=wait, clear=lambda: None, set=lambda: None)
    library._run()
    assert waits == [30, 200], "the first one found something; the second one took ten seconds in vain"
