"""What a picture of a ranking shows, before it is an image or a page: places are shares of the width and height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hf_transfer_score.ranking.ranking import RankedModel
from hf_transfer_score.selection.records import dataset_id
from hf_transfer_score.selection.report import RankReport
from hf_transfer_score.selection.words import short_count

LONGEST_LABEL, LONGEST_TITLE = 40, 64
ALL_LABELLED, LABELLED = 40, 20
"""Up to so many models all have a label; of more, only so many of the best."""

SIDE, SIDE_START = 0.93, 0.87
"""Where models stand whose size is not known, and where the ground for them begins; the scale ends before."""

STEP, STEPS = 0.008, (0, 1, -1, 2, -2, 3, -3)
"""How far a model steps aside, as a share of the width, where its bar would cover that of a better one."""

MARGIN = 0.05
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Point:
    """One ranked model.

    Attributes:
        name: as it is, made printable.
        rank: its rank.
        low: the best rank of its range.
        high: the worst rank of its range.
        x: share of the width.
        size: its parameters or width; None where it is not known, and it stands at the side.
        tie: the letter of its tie group; empty for a model that stands alone.
        facts: what is known of it, in pairs of words.
    """

    name: str
    rank: int
    low: int
    high: int
    x: float
    size: int | None
    tie: str
    facts: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """The name, not too long."""
        return shorten(self.name, LONGEST_LABEL)

    @property
    def told(self) -> str:
        """The name and all facts in one text."""
        return "\n".join([self.name, *(f"{key}: {value}" for key, value in self.facts)])


@dataclass(frozen=True)
class Picture:
    """All that is drawn.

    Attributes:
        title: the dataset and how much of it.
        subtitle: what the ranks are by.
        points: ranked models, the best first.
        axis: what the horizontal axis shows.
        ticks: shares of the width with what is written there.
        side: whether models stand at the side.
        ties: models in each tie group of several, by letter.
        alone: models that stand alone where others do not.
        front: places (share of the width, rank) where more parameters first reach a better rank.
        bars: whether ranks have ranges.
        scale: which size lies where across.
        remark: how many models are not drawn.
    """

    title: str
    subtitle: str
    points: tuple[Point, ...]
    axis: str
    ticks: tuple[tuple[float, str], ...]
    side: bool
    ties: dict[str, int]
    alone: int
    front: tuple[tuple[float, int], ...]
    bars: bool
    scale: Scale
    remark: str

    @property
    def worst(self) -> int:
        """The highest number on the axis of ranks."""
        return max((point.high for point in self.points), default=1)

    @property
    def labelled(self) -> int:
        """How many of the best have a label."""
        return len(self.points) if len(self.points) <= ALL_LABELLED else LABELLED

    @property
    def rank_ticks(self) -> list[int]:
        """Ranks that are written at their axis."""
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**9) if self.worst / step <= 14)
        return list(range(1, self.worst + 1, step)) if step < 5 else [1, *range(step, self.worst + 1, step)]

    @property
    def front_lines(self) -> list[tuple[float, float, int, int]]:
        """The horizontal and vertical parts of the front: shares of the width from and to, ranks from and to."""
        lines = []
        for (x, rank), (next_x, next_rank) in pairwise(self.front):
            lines += [(x, next_x, rank, rank), (next_x, next_x, next_rank, rank)]
        return lines

    def down(self, rank: float) -> float:
        """Return the share of the height at which a rank lies."""
        return (rank - 0.4) / (self.worst + 0.2)

    def rank_at(self, share: float) -> float:
        """Return the rank that lies at a share of the height."""
        return 0.4 + share * (self.worst + 0.2)


def picture_of(report: RankReport) -> Picture:
    """Return what is drawn of a ranking."""
    sizes, axis = _sizes(report)
    scale = Scale([size for size in sizes.values() if size], side=not all(sizes.values()))
    letters = report.tie_letters
    points = _apart([_point(report, name, sizes[name], scale, letters[name]) for name in report.ranks])
    side = any(point.size is None for point in points)
    ticks = (*scale.ticks(), *([(SIDE, NOT_KNOWN)] if side else []))
    shared = [letter for letter in letters.values() if letter]
    return Picture(
        title=_title(report),
        subtitle=_subtitle(report),
        points=points,
        axis=axis,
        ticks=ticks,
        side=side,
        ties={letter: shared.count(letter) for letter in dict.fromkeys(shared)},
        alone=len(letters) - len(shared) if report.confidence and len(letters) > 1 else 0,
        front=_front(points),
        bars=report.confidence is not None and len(points) > 1,
        scale=scale,
        remark=_remark(report),
    )


def _sizes(report: RankReport) -> tuple[dict[str, int | None], str]:
    """Return parameters of ranked models, or the width of their features where no count is known."""
    ranked = {name: report.models[name] for name in report.ranks}
    counts = {name: outcome.parameters or None for name, outcome in ranked.items()}
    if any(counts.values()) or not ranked:
        left = sum(not count for count in counts.values())
        return counts, "parameters" + (f" ({_models(left)} without a count at the side)" if left else "")
    return {name: outcome.width or None for name, outcome in ranked.items()}, (
        "width of the features (no parameter counts are known)"
    )


class Scale:
    """A logarithmic scale over some sizes, as shares of the width."""

    def __init__(self, sizes: Sequence[int], *, side: bool) -> None:
        self.end = (SIDE_START if side else 1) - MARGIN
        low, high = (min(sizes), max(sizes)) if sizes else (1, 10)
        spare = 1.5 if high < 4 * low else 1.1
        self.low, self.high = math.log10(low / spare), math.log10(high * spare)
        self.used = bool(sizes)

    def place(self, size: float) -> float:
        """Return the share of the width at which a size lies."""
        return MARGIN + (math.log10(size) - self.low) / (self.high - self.low) * (self.end - MARGIN)

    def value(self, share: float) -> float:
        """Return the size that lies at a share of the width."""
        return float(10 ** (self.low + (share - MARGIN) / (self.end - MARGIN) * (self.high - self.low)))

    def ticks(self) -> list[tuple[float, str]]:
        """Return shares of the width with the sizes that are written there."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        choices = [[factor * 10**power for power in powers if power >= 0 for factor in factors] for factors in FACTORS]
        inside = [[one for one in choice if self.low <= math.log10(one) <= self.high] for choice in choices]
        chosen = next((choice for choice in inside if len(choice) >= 3), inside[-1])
        return [(self.place(one), short_count(one)) for one in chosen] if self.used else []


FACTORS = ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10)), tuple(one / 2 for one in range(2, 20)))


def _point(report: RankReport, name: str, size: int | None, scale: Scale, letter: str) -> Point:
    rank, sure = report.ranks[name], report.confidence
    low, high = sure.ranges.get(name, (rank, rank)) if sure else (rank, rank)
    x = SIDE if not size else scale.place(size)
    facts = tuple(_facts(report, name, (low, high), letter))
    return Point(printable(name), rank, low, high, x, size, letter, facts)


def _apart(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points with a little step aside for those that would stand on the bar of a better one."""
    placed: list[Point] = []
    for point in points:
        choices = [replace(point, x=point.x + step * STEP) for step in STEPS]
        placed.append(min(choices, key=lambda choice: sum(_in_the_way(choice, other) for other in placed)))
    return tuple(placed)


def _in_the_way(point: Point, other: Point) -> bool:
    return abs(point.x - other.x) < 0.9 * STEP and point.low <= other.high and other.low <= point.high


def _facts(report: RankReport, name: str, ends: tuple[int, int], letter: str) -> list[tuple[str, str]]:
    outcome = report.models[name]
    facts = [("rank", f"{report.ranks[name]}{f' (range {ends[0]}-{ends[1]})' if ends[1] > ends[0] else ''}")]
    if letter:
        facts.append(("tie group", letter))
    if len(report.headline) > 1:
        facts.append(("mean rank", f"{report.mean_ranks[name]:.1f}"))
    facts += [(metric, f"{report.pools[metric].scores[name]:.4g}") for metric in report.headline]
    return facts + size_facts(outcome)


def size_facts(outcome: RankedModel) -> list[tuple[str, str]]:
    """Return parameters, width and examples a second, as far as they are known."""
    known = {
        "parameters": short_count(outcome.parameters) if outcome.parameters else None,
        "width": None if outcome.width is None else str(outcome.width),
        "examples a second": None if outcome.throughput is None else f"{outcome.throughput:.3g}",
    }
    return [(name, value) for name, value in known.items() if value is not None]


def _front(points: Sequence[Point]) -> tuple[tuple[float, int], ...]:
    """Return where the best rank so far improves on the way from small to large."""
    front: list[tuple[float, int]] = []
    for point in sorted(points, key=lambda point: (point.size or 0, point.rank)):
        if point.size and (not front or point.rank < front[-1][1]):
            front.append((point.x, point.rank))
    return tuple(front)


def _title(report: RankReport) -> str:
    sample = report.sample
    labels = sample.labels
    rows = "" if sample.rows == len(sample) else f", {sample.rows:,} {sample.task.unit}s"
    classes = "regression" if labels is None else f"{len(set(labels.tolist())):,} classes"
    return f"{shorten(printable(dataset_id(sample)), LONGEST_TITLE)}: {len(sample):,} examples{rows}, {classes}"


def _subtitle(report: RankReport) -> str:
    if not report.ranks:
        return "No model could be ranked."
    names = " and ".join(printable(name) for name in report.headline)
    text = f"ranked by the mean rank of {names}" if len(report.headline) > 1 else f"ranked by {names}"
    sure = report.confidence
    if sure is None or len(report.ranks) < 2:
        return text
    return f"{text}; bars hold the rank in {sure.level:.0%} of {sure.replicates} bootstrap samples"


def _remark(report: RankReport) -> str:
    without = len(report.models) - len(report.ranks)
    return f"{_models(without)} without a rank" if without else ""


def _models(count: int) -> str:
    return f"{count} model{'s' if count != 1 else ''}"


def printable(text: str) -> str:
    r"""Return a text with a space for every character that shows nothing or turns the direction of writing.

    Example:
        >>> printable("a\x1b[31m\u202egnp")
        'a [31m gnp'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def shorten(text: str, most: int) -> str:
    """Return a text with its middle left out where it is too long.

    Example:
        >>> shorten("owner/quite-a-long-name", 13)
        'owner/...name'
    """
    head = (most - 2) // 2 + 1
    return text if len(text) <= most else f"{text[:head]}...{text[len(text) - (most - 3 - head) :]}"
