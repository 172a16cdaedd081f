"""Every way to rank a pool, to the last bit as loops over single numbers rank it, on pools of all shapes and scales."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from math import ceil, floor
from operator import add

import numpy as np
import pytest

from hf_transfer_score import MetricResult, get_metric, rank_confidence, rank_pool
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.ranking.confidence import stored_confidence
from hf_transfer_score.ranking.intervals import DrawnPool
from hf_transfer_score.ranking.kernel import tie_groups
from hf_transfer_score.ranking.pools import HeadlineRanks, headline_ranks

SEEDS = range(300)
DECIDING = (("face", "ncti"), ("ncti", "face"), ("nc1",), ("knn",), ("face", "ncti", "logme"))


@dataclass(frozen=True)
class MadePool:
    """A pool: values (T, M) of each metric, which models have it (M,), and replicates (T, M, B)."""

    metrics: tuple[Metric, ...]
    values: tuple[np.ndarray, ...]
    there: tuple[np.ndarray, ...]
    replicates: tuple[np.ndarray, ...]
    level: float

    @property
    def names(self) -> list[str]:
        return [f"m{place}" for place in range(self.values[0].shape[1])]

    @property
    def results(self) -> dict[str, dict[str, MetricResult]]:
        found: dict[str, dict[str, MetricResult]] = {name: {} for name in self.names}
        for metric, values, there in zip(self.metrics, self.values, self.there, strict=True):
            for name, column, has in zip(self.names, values.T.tolist(), there, strict=True):
                terms = dict(zip((term.name for term in metric.terms), column, strict=True))
                found[name][metric.name] = MetricResult(metric.name, "ok" if has else "skipped", terms if has else {})
        return found


def made(seed: int) -> MadePool:
    """One or more models; ties, terms that tell nothing, huge and tiny scales, missing values and replicates."""
    generator = np.random.default_rng(seed)
    count, replicates = int(generator.integers(1, 11)), int(generator.integers(1, 40))
    metrics = tuple(get_metric(name) for name in DECIDING[seed % len(DECIDING)])
    values, there, drawn = [], [], []
    for metric in metrics:
        shape = (len(metric.terms), count)
        one = np.round(generator.normal(size=shape), int(generator.integers(0, 4)))
        narrow = generator.random(len(one)) < 0.2
        one[narrow] = 1 + 10.0 ** -generator.integers(2, 6) * one[narrow]
        size = 10.0 ** generator.choice([-290, -8, -3, 0, 0, 0, 3, 8, 290], size=(len(one), 1))
        noise = generator.choice([0.0, 1e-3, 0.1, 1.0]) * generator.normal(size=(*shape, replicates))
        if generator.random() < 0.3:
            noise = np.round(noise, 1)
        again = (one[..., None] + noise + generator.normal(size=(*shape, 1))) * size[..., None]
        again[generator.random(again.shape) < 0.002] = np.nan
        again[generator.random(shape) < 0.05] = np.nan
        values.append(one * size)
        there.append(generator.random(count) < 0.9)
        drawn.append(again)
    return MadePool(metrics, tuple(values), tuple(there), tuple(drawn), float(generator.choice([0.5, 0.8, 0.9, 0.99])))


def added(values: Iterable[float]) -> float:
    """Return a sum from left to right; from Python 3.12 on `sum` rounds once."""
    return reduce(add, values, 0)


def scaled(metric: Metric, place: int, values: list[float]) -> list[float]:
    low, high = min(values), max(values)
    size = 1.0 if metric.terms[place].bounded else max(map(abs, values))
    if len(values) < 2 or high - low < 1e-3 * size or high == low:
        return [0.0] * len(values)
    return [(value - low) / (high - low) for value in values] if metric.pool_rule == "minmax_sum" else values


def scores(metric: Metric, values: np.ndarray) -> list[float]:
    terms = [scaled(metric, place, row) for place, row in enumerate(values.tolist())]
    return [
        added(term.direction * row[model] for term, row in zip(metric.terms, terms, strict=True))
        for model in range(values.shape[1])
    ]


def ranks(values: list[float]) -> list[int]:
    return [1 + sum(other > value for other in values) for value in values]


def order(pool: MadePool) -> tuple[list[int], list[float], list[int]]:
    """The models that all metrics rank, their mean ranks and their places, the best first."""
    shared = np.flatnonzero(np.all(pool.there, axis=0)).tolist()
    table = []
    for metric, values, there in zip(pool.metrics, pool.values, pool.there, strict=True):
        known = np.flatnonzero(there).tolist()
        of = ranks(scores(metric, values[:, known])) if known else []
        table.append([of[known.index(model)] for model in shared])
    means = [added(column) / len(table) for column in zip(*table, strict=True)]
    ordered = sorted(range(len(shared)), key=means.__getitem__)
    places = [1 + sum(other < means[one] for other in means) for one in ordered]
    return [shared[one] for one in ordered], [means[one] for one in ordered], places


def summary(rows: list[list[float]], places: list[int], level: float, known: list[bool]) -> dict[str, list]:
    """Ranges and groups of models in order from their mean ranks in each replicate."""
    count, last = len(places), len(rows) - 1
    best = [sorted(1 + sum(other < row[i] for other in row) for row in rows) for i in range(count)]
    worst = [sorted(sum(other <= row[i] for other in row) for row in rows) for i in range(count)]
    ahead = [
        [(sum(np.sign(row[j] - row[i]) for row in rows) / len(rows) + 1) / 2 for j in range(count)]
        for i in range(count)
    ]
    groups, leader = [], known.index(True)
    for place in range(count):
        new = known[place] and ahead[leader][place] >= (1 + level) / 2
        leader = place if new else leader
        groups.append(groups[-1] + new if groups else 1)
    shared = [groups.index(group) + 1 for group in groups]
    low = [min(best[i][floor(last * ((1 - level) / 2))], shared[i]) for i in range(count)]
    high = [max(worst[i][ceil(last * ((1 + level) / 2))], places[i]) for i in range(count)]
    return {"ranks": shared, "groups": groups, "low": low, "high": high, "ahead": ahead}


@pytest.mark.parametrize("part", range(3))
def test_a_pool_is_scaled_and_ranked_as_by_loops(part):
    for seed in SEEDS[part::3]:
        pool = made(seed)
        pools = {}
        for metric, values, there in zip(pool.metrics, pool.values, pool.there, strict=True):
            found = rank_pool(metric, {name: one[metric.name] for name, one in pool.results.items()})
            known = np.flatnonzero(there)
            expected = scores(metric, values[:, known]) if len(known) else []
            names = [pool.names[one] for one in known]
            assert list(found.scores.items()) == list(zip(names, expected, strict=True)), seed
            assert list(found.ranks.items()) == list(zip(names, ranks(expected), strict=True)), seed
            for place, term in enumerate(metric.terms):
                row = scaled(metric, place, values[place, known].tolist()) if len(known) else []
                assert [found.scaled[name][term.name] for name in names] == row, seed
                told = len(row) > 1 and any(row)
                assert (term.name not in found.flags) == told, seed
            pools[metric.name] = found
        headline = headline_ranks(pools, [metric.name for metric in pool.metrics])
        models, means, places = order(pool)
        names = [pool.names[one] for one in models]
        assert list(headline.mean_ranks.items()) == list(zip(names, means, strict=True)), seed
        assert list(headline.ranks.items()) == list(zip(names, places, strict=True)), seed


def replicate_rows(pool: MadePool, models: list[int]) -> list[list[float]]:
    """Mean ranks of the models in each replicate in which all values are there, as the sum of shares."""
    moved = []
    for values, there, again in zip(pool.values, pool.there, pool.replicates, strict=True):
        table = np.repeat(values[..., None], again.shape[-1], axis=2)
        for at in np.ndindex(values.shape):
            if np.isfinite(again[at]).any():
                table[at] = values[at] + (again[at] - again[at][np.isfinite(again[at])].mean())
        moved.append(table[:, there])
    rows = []
    for b in range(pool.replicates[0].shape[-1]):
        if all(np.isfinite(table[..., b]).all() for table in moved):
            row = [0.0] * len(models)
            for metric, there, table in zip(pool.metrics, pool.there, moved, strict=True):
                known, of = np.flatnonzero(there).tolist(), ranks(scores(metric, table[..., b]))
                row = [one + of[known.index(model)] / len(pool.metrics) for one, model in zip(row, models, strict=True)]
            rows.append(row)
    return rows


@pytest.mark.parametrize("part", range(3))
def test_confidence_is_what_loops_over_replicates_give(part):
    for seed in SEEDS[part::3]:
        pool = made(seed)
        models, _, places = order(pool)
        if not all(there.any() for there in pool.there):
            continue
        terms = {
            name: {
                metric.name: {term.name: again[place, at] for place, term in enumerate(metric.terms)}
                for metric, again in zip(pool.metrics, pool.replicates, strict=True)
            }
            for at, name in enumerate(pool.names)
        }
        deciding = [metric.name for metric in pool.metrics]
        found = rank_confidence(terms, pool.results, pool.metrics, names=deciding, level=pool.level)
        names = [pool.names[one] for one in models]
        rows = replicate_rows(pool, models)
        assert (found.replicates, list(found.ranks)) == (len(rows), names), seed
        if not rows:
            assert set(found.ranks.values()) <= {1}
            assert set(found.ranges.values()) <= {(1, len(names))}
            continue
        if not names:
            continue
        expected = summary(rows, places, pool.level, [True] * len(names))
        assert list(found.ranks.values()) == expected["ranks"], seed
        assert list(found.groups.values()) == expected["groups"], seed
        assert list(found.ranges.values()) == list(zip(expected["low"], expected["high"], strict=True)), seed
        shares = [[(one == min(row)) / row.count(min(row)) for one in row] for row in rows]
        assert list(found.first.values()) == [float(np.mean(one)) for one in zip(*shares, strict=True)], seed
        pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
        sure = [(names[i], names[j]) for i, j in pairs if expected["ahead"][i][j] >= (1 + pool.level) / 2]
        assert list(found.separated) == sure, seed


@pytest.mark.parametrize("part", range(3))
def test_ranges_of_stored_intervals_are_what_loops_over_draws_give(part, monkeypatch):
    monkeypatch.setattr("hf_transfer_score.ranking.intervals.MOST_REPLICATES", 30)
    monkeypatch.setattr("hf_transfer_score.ranking.intervals.LARGEST_BLOCK", 100)
    for seed in SEEDS[part::3]:
        pool, generator = made(seed), np.random.default_rng(seed)
        models, _, places = order(pool)
        if not models:
            continue
        known = generator.random(len(models)) < 0.8
        known[generator.integers(len(models))] = True
        pools = []
        for metric, values, there in zip(pool.metrics, pool.values, pool.there, strict=True):
            own = np.flatnonzero(there)
            sizes = generator.choice([0.0, 0.01, 0.3], size=(len(values), len(own)))
            spreads = sizes * np.abs(values[:, own])
            pools.append(DrawnPool(metric, values[:, own], spreads, np.searchsorted(own, models)))
        headline = HeadlineRanks((), {}, {f"m{number}": place for number, place in enumerate(places)})
        found = stored_confidence(pools, headline, level=pool.level, seed=seed, known=known.tolist())
        again, rows = np.random.default_rng(seed), []
        for _ in range(15):
            pair = [np.zeros(len(models)), np.zeros(len(models))]
            for one in pools:
                noise = one.spreads * again.standard_normal(one.values.shape)
                for row, moved in zip(pair, (one.values + noise, one.values - noise), strict=True):
                    row += np.array(ranks(scores(one.metric, moved)))[one.chosen]
            rows += [(row.astype(np.float32) / np.float32(len(pools))).tolist() for row in pair]
        expected = summary(rows, places, pool.level, known.tolist())
        assert list(found.ranks.values()) == expected["ranks"], seed
        assert list(found.groups.values()) == expected["groups"], seed
        assert [low for low, _ in found.ranges.values()] == expected["low"], seed
        assert [high for _, high in found.ranges.values()] == expected["high"], seed


@pytest.mark.parametrize(("wins", "groups"), [(19, [1, 2]), (18, [1, 1])])
def test_the_share_that_tells_apart_is_counted_exactly(wins, groups):
    """At level 0.9 it is 95 %: 19 of 20 replicates."""
    ahead = np.array([[1.0, 2.0]] * wins + [[2.0, 1.0]] * (20 - wins), np.float32)
    assert tie_groups(ahead, 0.9) == groups
