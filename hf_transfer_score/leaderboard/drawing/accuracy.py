"""Score against measured accuracy: how far the order of the one is the order of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hf_transfer_score.leaderboard.drawing.axes import linear_axis
from hf_transfer_score.leaderboard.drawing.cloud import (
    MOST_WHISKERS,
    Cloud,
    Ends,
    Entry,
    Fact,
    Mark,
    clean_name,
    interval_text,
    shown_marks,
    with_ends,
)
from hf_transfer_score.leaderboard.drawing.figure import Figure, Table, drawn, sentence_figure, table_of
from hf_transfer_score.leaderboard.drawing.scatter import scatter
from hf_transfer_score.leaderboard.drawing.text import counted, finite, number
from hf_transfer_score.leaderboard.drawing.words import (
    Best,
    capital,
    ends,
    joined,
    said,
    sample_note,
    too_few,
    used,
)

FEWEST_FOR_TREND = 6


@dataclass(frozen=True)
class AccuracyPoint:
    """A model with its score and the accuracy that fine-tuning gave.

    Attributes:
        name: of the model.
        score: higher or lower is better, as the figure is told.
        accuracy: as it was measured; None where it was not.
        score_interval: ends of the interval of the score.
        accuracy_interval: lowest and highest of the single measurements.
    """

    name: str
    score: float | None
    accuracy: float | None
    score_interval: Ends | None = None
    accuracy_interval: Ends | None = None


@dataclass(frozen=True)
class Agreement:
    """How far two orders agree.

    Attributes:
        value: τ_w, from -1 to 1.
        low: lower end of its interval, None where there is none.
        high: upper end of its interval.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """As a title says it."""
        shown = f"τ_w {self.value:.2f}"
        return (
            shown if self.low is None or self.high is None else f"{shown} ({self.low:.2f} to {self.high:.2f})"
        ).replace("-", "−")


def accuracy_figure(
    points: Sequence[AccuracyPoint],
    agreement: Agreement | None = None,
    *,
    score: str = "score",
    truth: str = "measured accuracy",
    best: Best = "high",
    notes: Sequence[str] = (),
) -> Figure:
    """Return the score against measured accuracy, with the trend over neighbours in the order of the score.

    Args:
        points: the models; those that were not measured are counted.
        agreement: of the two orders.
        score: name of the score.
        truth: what was measured.
        best: which scores are good; with "low", the score is a rank, and low values lie on the right.
        notes: what to know of the measurements.
    """
    title = f"{capital(score)} against {truth}"
    marks = _marks(points, score, truth, best)
    without = len(points) - len(marks)
    left_out = f"{counted(without, 'model')} not measured or without a score left out." if without else ""
    table = _table(points, score, truth, best)
    if len(marks) < 2:
        return sentence_figure(title, joined(too_few(marks, score, truth), left_out), table)
    title = title if agreement is None else f"{title}: {agreement.text}"
    truest = max(range(len(marks)), key=lambda place: (marks[place].y, -place))
    shown = shown_marks(marks, best=0, truth=truest)
    path = trend([(mark.x, mark.y) for mark in marks])
    words = _words(marks, truest, agreement, score, truth)
    caption = joined(*words, _trend_words(path, score, truth), sample_note(len(shown), len(marks)), left_out, *notes)
    description = f"{counted(len(marks), 'model')} with their {score} and {truth}. {caption}"
    cloud = _cloud(title, shown, path, score, truth, best, one=truest == 0)
    return drawn(title, description, caption, lambda size: scatter(cloud, description, size), table)


def trend(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the middle of both values of neighbours in the order of the first; nothing for a few points.

    Neighbours are a quarter of the points, at least three and at most 50; the order alone decides who they are.

    Args:
        points: in any order.
    """
    ordered = sorted(points)
    if len(ordered) < FEWEST_FOR_TREND:
        return ()
    width = min(50, max(3, len(ordered) // 4))
    starts = range(0, len(ordered) - width + 1, max(1, (len(ordered) - width) // 40))
    groups = [ordered[start : start + width] for start in starts]
    found = [(median(x for x, _ in group), median(y for _, y in group)) for group in groups]
    return tuple(dict(found).items())


def _marks(points: Sequence[AccuracyPoint], score: str, truth: str, best: Best) -> list[Mark]:
    """Return the points that can be drawn, the best by score first; of equal ones the truly best first."""
    marks = []
    for point in points:
        x, y = finite(point.score), finite(point.accuracy)
        if x is not None and y is not None:
            across, upwards = ends(point.score_interval), ends(point.accuracy_interval)
            facts = (Fact(score, x, across), Fact(truth, y, upwards))
            marks.append(Mark(point.name, x, y, across, upwards, facts))
    sign = -1.0 if best == "low" else 1.0
    return sorted(marks, key=lambda mark: (-sign * mark.x, -mark.y))


def _cloud(
    title: str,
    marks: tuple[Mark, ...],
    path: tuple[tuple[float, float], ...],
    score: str,
    truth: str,
    best: Best,
    *,
    one: bool,
) -> Cloud:
    whiskered = len(marks) <= MOST_WHISKERS
    across = with_ends([mark.x for mark in marks], [mark.across for mark in marks], whiskered)
    upwards = with_ends([mark.y for mark in marks], [mark.upwards for mark in marks], whiskered)
    entries = [
        Entry("best", "best by both" if one else f"best by {score}"),
        Entry("truth", f"best by {truth}"),
        Entry("plain", "other models"),
        Entry("trend", "middle of neighbours"),
    ]
    return Cloud(
        title,
        f"{score}, lower is better →" if best == "low" else f"{score}, higher is better →",
        f"↑ {truth}",
        lambda ticks: linear_axis(across, turned=best == "low", ticks=ticks),
        lambda ticks: linear_axis(upwards, ticks=ticks),
        marks,
        (*used(entries[:3], marks), *(entries[3:] if len(path) > 1 else ())),
        path if len(path) > 1 else (),
    )


def _words(marks: list[Mark], truest: int, agreement: Agreement | None, score: str, truth: str) -> list[str]:
    said_agreement = "" if agreement is None else f"{agreement.text}: 1 is the same order, 0 is chance."
    if truest == 0:
        return [said_agreement, f"Best by {score} and by {truth}: {said(marks[0])}."]
    lost = marks[truest].y - marks[0].y
    return [
        said_agreement,
        f"Best by {score}: {said(marks[0])}; best by {truth}: {said(marks[truest])}, {number(lost, 2)} higher.",
    ]


def _trend_words(path: Sequence[tuple[float, float]], score: str, truth: str) -> str:
    if len(path) < 2:
        return ""
    return f"The dotted line is the middle {truth} of neighbours in the order of {score}."


def _table(points: Sequence[AccuracyPoint], score: str, truth: str, best: Best) -> Table:
    sign = -1.0 if best == "low" else 1.0

    def order(point: AccuracyPoint) -> tuple[float, ...]:
        x, y = finite(point.score), finite(point.accuracy)
        return x is None or y is None, x is None, -sign * (x or 0.0)

    def cells(point: AccuracyPoint) -> tuple[str, ...]:
        x, y = finite(point.score), finite(point.accuracy)
        known = "" if x is None else interval_text(x, ends(point.score_interval))
        measured = "" if y is None else interval_text(y, ends(point.accuracy_interval))
        return clean_name(point.name), known, measured

    return table_of(("model", score, truth), points, cells, order)
