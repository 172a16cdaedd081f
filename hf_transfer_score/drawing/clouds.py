"""The charts of a board's models: score against size, the terms of FaCe, and score against measured accuracy."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Literal

from hf_transfer_score.drawing.axes import Axis, fitting_axis, linear_axis, log_axis, rank_axis
from hf_transfer_score.drawing.figure import MOST_ROWS, WIDTH, Figure, Table
from hf_transfer_score.drawing.look import COLOURS, STAR, title_of
from hf_transfer_score.drawing.scatter import NARROW, Cloud, Kind, Mark, scatter
from hf_transfer_score.drawing.words import (
    Ends,
    capital,
    ends_of,
    finite,
    in_sentence,
    interval_text,
    named,
    number,
    sentences,
    tau_text,
)
from hf_transfer_score.text import counted, joined, short_count

MOST_POINTS = 1000
SURELY = 50
"""Points that are always drawn: the best ones."""

MOST_WHISKERS = 60
"""With more points, their intervals would hide them and are left out."""

SEED = 20240
FEWEST_FOR_TREND = 6
HEIGHT = 340
LABELLED, LABELLED_NARROW = 10, 6
PLAIN, FRONT, BEST, TRUTH = "plain", "front", "best", "truth"
RANK = "rank"
"""The score whose axis has whole numbers."""

MakeAxis = Callable[[Sequence[float]], Axis]
Better = Literal["high", "low"]
"""Which values of a score are good: for a rank, the low ones."""


@dataclass(frozen=True)
class ModelPoint:
    """A model with two numbers, their intervals (`across` is that of x), and its rank where neither number gives it."""

    name: str
    x: float | None
    y: float | None
    across: Ends | None = None
    upwards: Ends | None = None
    rank: int | None = None


@dataclass(frozen=True)
class _Plan:
    """What a chart of models has besides its models.

    Attributes:
        names: of the numbers across and upwards.
        write: how these are written.
        order: sort key that puts points that matter most first.
        missing: what points lack that are left out.
        axes: make both axes from the values across and upwards.
    """

    title: str
    names: tuple[str, str]
    write: tuple[Callable[..., str], Callable[..., str]]
    order: Callable[[Mark], tuple[float, ...]]
    missing: str
    axes: tuple[MakeAxis, MakeAxis]
    kinds: dict[str, Kind]


def size_figure(
    points: Sequence[ModelPoint],
    *,
    score: str = "score",
    better: Better = "high",
    marked: str | None = None,
    width: int = WIDTH,
) -> Figure:
    """Return a score, upwards, against the number of parameters, with the front of the models best for their size.

    Models are ordered by the score, or by their rank where they have one. With low scores better, these are on top.
    """
    sign = -1.0 if better == "low" else 1.0
    ranks = {named(one.name): one.rank for one in points}

    def worth(mark: Mark) -> float:
        rank = ranks[mark.name]
        return sign * mark.y if rank is None else -float(rank)

    upwards = partial(linear_axis, f"↑ {score}, {better}er is better", turned=better == "low")
    plan = _Plan(
        f"{capital(score)} against parameters",
        ("parameters", score),
        (lambda value, _: short_count(value), interval_text),
        lambda mark: (-worth(mark), mark.x),
        "a score or a parameter count",
        (partial(log_axis, "parameters"), partial(rank_axis, "rank, 1 is the best") if score == RANK else upwards),
        _kinds(best="ranked first" if any(ranks.values()) else f"best {score}", front="best for its size"),
    )
    marks, left_out, table = _marks([one for one in points if (finite(one.x) or 0) > 0], points, plan)
    if len(marks) < 2:
        return _too_few(plan, marks, left_out, table)
    places = front([(mark.x, worth(mark)) for mark in marks])
    leaders = joined([f"{in_sentence(marks[place].name)} ({short_count(marks[place].x)})" for place in places], 8)
    many = f"{counted(len(places), 'model')} of {len(marks):,} on the front (no smaller model does as well): {leaders}."
    shows = f"{counted(len(marks), 'model')} with their {score} and number of parameters. Best: {_said(marks[0])}."
    path = [(marks[place].x, marks[place].y) for place in places]
    caption = [many, "The dashed line is the front." if len(path) > 1 else "", left_out]
    parts = dict.fromkeys(places, FRONT) | {0: BEST}
    return _figure(plan, marks, parts, table, shows, caption, path=path, stepped=True, marked=marked, width=width)


def collapse_figure(
    points: Sequence[ModelPoint], *, notes: Sequence[str] = (), marked: str | None = None, width: int = WIDTH
) -> Figure:
    """Return variance collapse, upwards, against class fairness, the two terms of FaCe; models have a rank by FaCe."""
    ranks = {named(one.name): one.rank for one in points}

    def order(mark: Mark) -> tuple[float, ...]:
        rank = ranks[mark.name]
        return (rank is None, rank or 0.0, -mark.y, -mark.x)

    plan = _Plan(
        "Variance collapse against class fairness",
        ("class fairness", "variance collapse"),
        (interval_text, interval_text),
        order,
        "these terms",
        (
            partial(linear_axis, "class fairness, higher is better →"),
            partial(fitting_axis, "↑ variance collapse, 0 is the best"),
        ),
        _kinds(best="best by FaCe", front="not beaten in both terms"),
    )
    marks, left_out, table = _marks(points, points, plan)
    if len(marks) < 2:
        return _too_few(plan, marks, left_out, table)
    places = front([(-mark.x, mark.y) for mark in marks])
    ranked = ranks[marks[0].name] is not None
    first = f"Best by FaCe: {_said(marks[0])}." if ranked else ""
    leaders = joined([in_sentence(marks[place].name) for place in places], 5)
    shows = f"{counted(len(marks), 'model')} with the two terms of FaCe; further right and up is better."
    caption = [first, f"No other model is better in both terms than {leaders}.", left_out, *notes]
    parts = dict.fromkeys(places, FRONT) | ({0: BEST} if ranked else {})
    return _figure(plan, marks, parts, table, shows, caption, marked=marked, width=width)


def accuracy_figure(
    points: Sequence[ModelPoint],
    agreement: tuple[float, Ends | None] | None = None,
    *,
    score: str = "score",
    truth: str = "measured accuracy",
    better: Better = "high",
    notes: Sequence[str] = (),
    marked: str | None = None,
    width: int = WIDTH,
) -> Figure:
    """Return the accuracy measured after fine-tuning, upwards, against a score, with the trend.

    The agreement is τ_w of the two orders, from -1 to 1, with its interval. Where the score is a rank, `better` is
    "low", and low values are on the right. The model of the name `marked` is marked.
    """
    low = better == "low"

    def across(scores: Sequence[float]) -> Axis:
        words, whole = f"{score}, {better}er is better →", low and all(value == int(value) for value in scores)
        return rank_axis(words, scores) if whole else linear_axis(words, scores, turned=low)

    plan = _Plan(
        f"{capital(score)} against {truth}",
        (score, truth),
        (interval_text, interval_text),
        lambda mark: (mark.x if low else -mark.x, -mark.y),
        "a score or a measurement",
        (across, partial(linear_axis, f"↑ {truth}")),
        _kinds(best=f"best by {score}", truth=f"best by {truth}"),
    )
    marks, left_out, table = _marks(points, points, plan)
    if len(marks) < 2:
        return _too_few(plan, marks, left_out, table)
    said = "" if agreement is None else f"τ_w {tau_text(*agreement)}"
    plan = replace(plan, title=f"{plan.title}: {said}") if said else plan
    truest = max(range(len(marks)), key=lambda place: (marks[place].y, -place))
    both = f"Best by both: {_said(marks[0])}."
    if truest:
        lost = number(marks[truest].y - marks[0].y, 2)
        both = f"Best by {score}: {_said(marks[0])}; best by {truth}: {_said(marks[truest])}, {lost} higher."
    path = trend([(mark.x, mark.y) for mark in marks])
    shows = f"{counted(len(marks), 'model')} with their {score} and {truth}."
    dotted = f"The dotted line is the median {truth} of neighbouring models." if len(path) > 1 else ""
    means = f"{said}: 1 is the same order, 0 is chance." if said else ""
    if truest == 0:
        plan = replace(plan, kinds=plan.kinds | {BEST: replace(plan.kinds[BEST], words="best by both")})
    parts = {truest: TRUTH, 0: BEST}
    caption = [means, both, dotted, left_out, *notes]
    return _figure(plan, marks, parts, table, shows, caption, path=path, marked=marked, width=width)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of points that no other beats with a lower first and a higher second value, left to right.

    Example:
        >>> front([(1, 0.5), (2, 0.4), (3, 0.9), (3, 0.8)])
        [0, 2]
    """
    order = sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1], place))
    found: list[int] = []
    for place in order:
        if not found or points[place][1] > points[found[-1]][1] or points[place] == points[found[-1]]:
            found.append(place)
    return found


def trend(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the medians of both values over neighbours in the order of the first; none for fewer than six points.

    Neighbours are a quarter of the points, at least three and at most 50.
    """
    ordered = sorted(points)
    if len(ordered) < FEWEST_FOR_TREND:
        return []
    width = min(50, max(3, len(ordered) // 4))
    starts = range(0, len(ordered) - width + 1, max(1, (len(ordered) - width) // 40))
    groups = [ordered[start : start + width] for start in starts]
    return list({median(x for x, _ in group): median(y for _, y in group) for group in groups}.items())


def sampled(count: int, kept: Sequence[int]) -> list[int]:
    """Return the places of the points to draw: all if they are few, else the first, those to keep, and a sample."""
    if count <= MOST_POINTS:
        return list(range(count))
    sure = {*range(SURELY), *kept}
    others = [place for place in range(count) if place not in sure]
    drawn = random.Random(SEED).sample(others, max(0, min(len(others), MOST_POINTS - len(sure))))  # noqa: S311
    return sorted({*sure, *drawn})


def _kinds(**words: str) -> dict[str, Kind]:
    looks = {BEST: (COLOURS[4], STAR), FRONT: (COLOURS[2], "diamond"), TRUTH: (COLOURS[2], "triangle-up")}
    return {kind: Kind(text, *looks[kind]) for kind, text in words.items()} | {PLAIN: Kind("other models", COLOURS[1])}


def _marks(usable: Sequence[ModelPoint], points: Sequence[ModelPoint], plan: _Plan) -> tuple[list[Mark], str, Table]:
    """Return the points to draw, those that matter most first, how many are left out, and all points as a table."""
    found = []
    for point in usable:
        x, y = finite(point.x), finite(point.y)
        if x is not None and y is not None:
            across, upwards = ends_of(point.across), ends_of(point.upwards)
            facts = ((plan.names[1], plan.write[1](y, upwards)), (plan.names[0], plan.write[0](x, across)))
            found.append(Mark(named(point.name), x, y, across, upwards, facts, PLAIN))
    marks = sorted(found, key=plan.order)
    left = len(points) - len(marks)
    left_out = f"{counted(left, 'model')} without {plan.missing} left out." if left else ""
    drawn = [(mark.name, *(value for _, value in mark.facts)) for mark in marks[:MOST_ROWS]]
    names = {mark.name for mark in marks}
    others = [one for one in points if named(one.name) not in names][: MOST_ROWS - len(drawn)]
    for point in others:
        pair = ((plan.write[1], point.y, point.upwards), (plan.write[0], point.x, point.across))
        cells = ("" if finite(value) is None else write(finite(value), ends_of(ends)) for write, value, ends in pair)
        drawn.append((named(point.name), *cells))
    return marks, left_out, Table(("model", plan.names[1], plan.names[0]), tuple(drawn), len(points))


def _said(mark: Mark) -> str:
    """Return a model with its numbers, for a sentence."""
    return f"{in_sentence(mark.name)} ({', '.join(f'{name} {value}' for name, value in mark.facts)})"


def _too_few(plan: _Plan, marks: Sequence[Mark], left_out: str, table: Table) -> Figure:
    """Return the reason why there is no chart of fewer than two models."""
    both = f"both {plan.names[1]} and {plan.names[0]}"
    text = f"No model has {both} yet."
    if marks:
        text = f"Only one model has {both}: {_said(marks[0])}. A chart needs two."
    return Figure(plan.title, sentences(text, left_out), table=table)


def _figure(
    plan: _Plan,
    marks: Sequence[Mark],
    parts: dict[int, str],
    table: Table,
    shows: str,
    caption: Sequence[str],
    *,
    path: Sequence[tuple[float, float]] = (),
    stepped: bool = False,
    marked: str | None,
    width: int,
) -> Figure:
    """Return the chart of the points, or of some of them, with its words."""
    chosen = None if marked is None else named(marked)
    places = sampled(len(marks), [*parts, *(place for place, one in enumerate(marks) if one.name == chosen)])
    drawn = tuple(replace(marks[place], kind=parts.get(place, PLAIN)) for place in places)
    ends = len(drawn) <= MOST_WHISKERS
    xs = [one for mark in drawn for one in (mark.x, *((mark.across or ()) if ends else ()))]
    ys = [one for mark in drawn for one in (mark.y, *((mark.upwards or ()) if ends else ()))]
    used = {kind: look for kind, look in plan.kinds.items() if any(mark.kind == kind for mark in drawn)}
    matter = [(mark.name != chosen, mark.kind == PLAIN, place) for place, mark in enumerate(drawn)]
    first = [place for _, _, place in sorted(matter)]
    shown = any(mark.name == chosen for mark in drawn)
    cloud = Cloud(
        plan.axes[0](xs),
        plan.axes[1](ys),
        drawn,
        used,
        path=tuple(path),
        stepped=stepped,
        named=tuple(first[: LABELLED if width > NARROW else LABELLED_NARROW]),
        marked=chosen if shown else None,
        whiskers=ends,
    )
    sample = f"{len(drawn):,} of {len(marks):,} models are drawn: the best, those marked, and a random sample."
    ring = f"The ring is {in_sentence(str(chosen))}." if shown else ""
    said = sentences(*caption[:-1], sample if len(drawn) < len(marks) else "", *caption[-1:], ring)
    words, title = sentences(shows, said), title_of(plan.title, width)
    chart = scatter(cloud, width, HEIGHT, title=title, description=f"{plan.title}. {words}")
    return Figure(plan.title, words, said, chart, table)
