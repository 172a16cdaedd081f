"""Boards after a change are those that a fresh look would make; those that cannot have changed are not made anew."""

from dataclasses import replace

import pytest

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.record import Record, RecordedOverlap, record_path
from hf_transfer_score.records.store import load
from tests.leaderboard.made import DATASET, metric, score

OVERLAP = RecordedOverlap(("cat", "dog"), (0.25,))


def records_on(name: str, models: int) -> list[Record]:
    dataset = replace(DATASET, id=name)
    found = []
    for number in range(models):
        terms = {"variance_collapse": -float(number), "class_fairness": 0.1 + number / 20}
        mine = replace(OVERLAP, values=(number / 100,))
        found.append(replace(score(f"owner/m{number}", "face", terms, dataset=dataset, spread=0.1), overlap=mine))
        found.append(score(f"owner/m{number}", "logme", float(number), dataset=dataset))
    return found


def put(place: FolderPlace, records: list[Record]) -> None:
    files = {str(record_path(one)): one.to_json().encode() for one in records}
    place.update(lambda view: files, title="records")


def take_away(place: FolderPlace, records: list[Record]) -> None:
    place.update(lambda view: {str(record_path(one)): None for one in records}, title="records")


FIRST, SECOND, THIRD = (records_on(f"owner/{name}", 5) for name in ("cats", "dogs", "oxen"))
TRUTH = score("owner/m1", metric("accuracy", kind="truth", method="full"), {"accuracy": 0.5}, dataset=SECOND[0].dataset)


@pytest.mark.parametrize(
    ("gone", "new", "touched"),
    [
        ([], records_on("owner/new", 2), set()),
        (FIRST[2:4], [], {"owner/cats"}),
        (FIRST, [], {"owner/cats"}),
        (FIRST[:1] + THIRD[4:5], [TRUTH], {"owner/cats", "owner/dogs", "owner/oxen"}),
        (
            [],
            [replace(SECOND[0], terms={"variance_collapse": -9.0, "class_fairness": 0.1}, interval={})],
            {"owner/dogs"},
        ),
        ([], [replace(THIRD[0], dataset=replace(THIRD[0].dataset, fingerprint="a" * 32))], {"owner/oxen"}),
    ],
)
def test_boards_are_those_of_a_fresh_look(tmp_path, gone, new, touched):
    place = FolderPlace(tmp_path)
    put(place, [*FIRST, *SECOND, *THIRD])
    before = load(place)
    earlier = Catalogue(before.table)
    kept = {one.key: earlier.board(one.key) for one in earlier.boards()}
    take_away(place, gone)
    put(place, new)
    after = load(place, previous=before)
    later, fresh = Catalogue(after.table, previous=earlier, difference=after.difference), Catalogue(load(place).table)
    assert later.boards() == fresh.boards()
    for one in later.boards():
        board = later.board(one.key)
        assert board == fresh.board(one.key)
        assert [later.overlap(board, row) for row in board.rows] == [fresh.overlap(board, row) for row in board.rows]
        assert (board is kept.get(one.key)) is (one.key in kept and one.key.dataset not in touched)


def test_after_a_fresh_load_nothing_is_taken_over(tmp_path):
    place = FolderPlace(tmp_path)
    put(place, FIRST)
    first, second = load(place), load(place)
    earlier = Catalogue(first.table)
    key = earlier.boards()[0].key
    later = Catalogue(second.table, previous=earlier, difference=second.difference)
    assert later.board(key) == earlier.board(key) and later.board(key) is not earlier.board(key)
