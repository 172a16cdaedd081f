"""Who published accuracies: many datasets of one source do not outweigh a few sources."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score.leaderboard.boards import outlook
from hf_transfer_score.ranking.board import board_of
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import MOST_COLUMNS, History, MeasuredColumn, in_shares
from hf_transfer_score.ranking.looks import Looks, worth_of
from hf_transfer_score.records.record import Record, RecordedFacts
from tests.leaderboard.made import DATASET, accuracy, catalogue, score, table

NAMES = tuple(f"owner/model-{place}" for place in range(20))
QUALITY = np.linspace(-1.5, 1.5, len(NAMES))


def columns(source: str, count: int, quality=QUALITY, noise: float = 0.5) -> list[MeasuredColumn]:
    """Return the accuracies of a source on some datasets of its own."""
    generator = np.random.default_rng(len(source))
    drawn = [0.8 + 0.05 * np.tanh((quality + generator.normal(0, noise, len(NAMES))) / 2) for _ in range(count)]
    return [
        MeasuredColumn(f"{source}/{number}", DATASET.task, "full", dict(zip(NAMES, one.tolist(), strict=True)), source)
        for number, one in enumerate(drawn)
    ]


HONEST = [one for number in range(10) for one in columns("publisher" + number * "s", 1)]


def agreement(found: list[MeasuredColumn]) -> float:
    """Return the correlation of the forecast with the quality of the models."""
    told = Forecaster(History(tuple(found))).forecast(Looks(NAMES))
    return float(np.corrcoef([one.score for one in told], QUALITY)[0, 1])


@pytest.mark.parametrize("count", [20, 400])
def test_many_datasets_of_one_source_do_not_turn_what_ten_say(count):
    invented = columns("stranger", count, -QUALITY, 0.1)
    assert agreement([*HONEST, *invented]) > 0.9
    unsigned = [replace(one, source="") for one in invented]  # as records that this package measured
    assert agreement([*HONEST, *unsigned]) > 0.9


def test_one_source_makes_no_model_the_best_nor_one_that_fails():
    invented = columns("stranger", 50, noise=0.3)
    for name, value, place in ((NAMES[0], 0.99, slice(5, None)), (NAMES[-1], 0.05, slice(8))):
        told = [replace(one, values={**one.values, name: value}) for one in invented]
        found = Forecaster(History((*HONEST, *told))).forecast(Looks(NAMES))
        order = sorted(range(len(NAMES)), key=lambda one: -found[one].score)
        assert name in [NAMES[one] for one in order[place]]


def test_a_source_alone_and_sources_of_one_dataset_each_are_as_before():
    alone = [replace(one, source="one") for one in HONEST]
    first, second = (Forecaster(History(tuple(some))) for some in (alone, HONEST))
    assert first.forecast(Looks(NAMES)) == second.forecast(Looks(NAMES))


def test_what_a_metric_is_worth_is_not_up_to_one_source():
    def scored(some: list[MeasuredColumn], sign: float) -> list[MeasuredColumn]:
        return [
            replace(one, protocol="logme", values={name: sign * value for name, value in one.values.items()})
            for one in some
        ]

    invented = columns("stranger", 90)
    scores = [*scored(HONEST, 1), *scored(invented, -1)]
    rho, _ = worth_of(["logme"], [*HONEST, *invented], scores)
    assert rho[0] > 0.4


def test_a_flood_leaves_room_for_the_others():
    flood = [
        MeasuredColumn(f"x/{number}", "", "full", dict.fromkeys(NAMES, number / 2000), "x") for number in range(999)
    ]
    small = [replace(one, values=dict(list(one.values.items())[:3])) for one in HONEST]
    kept = History((*flood, *small)).bounded().accuracies
    assert len(kept) == MOST_COLUMNS and all(one in kept for one in small)
    assert Counter(one.source for one in in_shares([*HONEST, *flood[:90]]))["x"] < 30
    scores = tuple(replace(one, protocol="logme") for one in flood)
    assert len(History((), scores).bounded().scores) == MOST_COLUMNS
    few = History(tuple(HONEST))
    assert few.bounded() is few


def made(source: str, number: int, names=NAMES) -> list[Record]:
    """Return records of accuracies that a source published of a dataset of its own."""
    on = replace(DATASET, id=f"{source}/{number}", fingerprint=f"{number:032x}")
    found = [accuracy(name, 0.5 + place / 100, dataset=on) for place, name in enumerate(names)]
    return [
        replace(one, metric=replace(one.metric, parameters={**one.metric.parameters, "published_by": source}))
        for one in found
    ]


def test_a_leaderboard_learns_from_every_source(monkeypatch):
    flood = [one for number in range(30) for one in made("stranger", number)]
    others = [one for number in range(5) for one in made(f"publisher-{number}", number, NAMES[:8])]
    own = [score(name, "logme", float(place)) for place, name in enumerate(NAMES)]
    monkeypatch.setattr(outlook, "MOST_COLUMNS", 10)
    found = catalogue([*flood, *others, *own])
    board = found.board(next(one.key for one in found.boards() if one.key.dataset == DATASET.id))
    learnt = outlook.learned_rows(found._rows, found._grouped, board)
    measured = learnt[found._grouped.truth[learnt]].tolist()
    datasets = Counter(found._rows.coded("dataset_id").at(row) for row in measured)
    assert {f"publisher-{number}/{number}" for number in range(5)} <= datasets.keys() and len(datasets) == 10


def test_a_board_of_a_flood_is_soon_there():
    flood = [one for number in range(150) for one in made("stranger", number, NAMES[:4])]
    found = board_of([table(flood)], "owner/new")
    assert len(found.ranks) == 4
    assert any(f"on {MOST_COLUMNS} other datasets count" in note for note in found.notes)


def test_what_is_said_of_a_model_is_what_most_sources_say():
    def told(source: str, number: int, family: str, size: int) -> list[Record]:
        return [
            replace(one, model=replace(one.model, parameters=size), facts=RecordedFacts(family=family))
            for one in made(source, number, NAMES[:1])
        ]

    honest = [one for number in range(3) for one in told(f"publisher-{number}", number, "vit", 86_000_000)]
    flood = [one for number in range(9) for one in told("stranger", number, "swin", 1)]
    for records in (honest + flood, flood + honest):
        known = History.of(records).models[NAMES[0]]
        assert (known.family, known.parameters) == ("vit", 86_000_000)
    assert History.of(honest[:1] + flood[:1]).models[NAMES[0]].family == "swin", "the last of as many"


def test_what_the_first_place_measured_counts_as_measured():
    mine = [accuracy(NAMES[0], 0.9), accuracy(NAMES[1], 0.8)]
    theirs = [
        replace(one, dataset=replace(DATASET, fingerprint="e" * 32))
        for one in (accuracy(name, 0.1 + place / 100) for place, name in enumerate(NAMES))
    ]
    told = board_of([table(mine), table(theirs)], DATASET.id).forecasts
    assert [told[name].expected_accuracy.value for name in NAMES[:2]] == [0.9, 0.8]
    assert [name for name in NAMES if told[name].measured] == list(NAMES[:2])
    other = board_of([table(theirs), table(mine)], DATASET.id)
    assert all(one.measured for one in other.forecasts.values())
    assert any("of those of the first place" in note for note in other.notes)
