"""Score against the number of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_transfer_score.leaderboard.drawing.axes import Axis, linear_axis, log_axis
from hf_transfer_score.leaderboard.drawing.cloud import (
    MOST_WHISKERS,
    Cloud,
    Ends,
    Entry,
    Fact,
    Mark,
    clean_name,
    front,
    interval_text,
    shown_marks,
    with_ends,
)
from hf_transfer_score.leaderboard.drawing.figure import Figure, Table, drawn, sentence_figure, table_of
from hf_transfer_score.leaderboard.drawing.scatter import scatter
from hf_transfer_score.leaderboard.drawing.text import counted, finite, in_sentence, listed, short_count
from hf_transfer_score.leaderboard.drawing.words import Best, capital, ends, joined, said, sample_note, too_few, used


@dataclass(frozen=True)
class SizePoint:
    """A model with its score and its size.

    Attributes:
        name: of the model.
        score: higher or lower is better, as the figure is told.
        parameters: how many it has, None where nobody knows.
        interval: ends of the interval of the score, such as the best and the worst rank.
    """

    name: str
    score: float | None
    parameters: float | None
    interval: Ends | None = None


def size_figure(points: Sequence[SizePoint], *, score: str = "score", best: Best = "high") -> Figure:
    """Return the score against the number of parameters, with the front of the best for their size.

    Args:
        points: the models.
        score: name of the score.
        best: which scores are good; with "low", the score is a rank, and 1 is drawn on top.
    """
    title = f"{capital(score)} against parameters"
    marks = _size_marks(points, score, best)
    without = len(points) - len(marks)
    left_out = f"{counted(without, 'model')} without a score or a parameter count left out." if without else ""
    table = _size_table(points, score, best)
    if len(marks) < 2:
        return sentence_figure(title, f"{too_few(marks, score, 'parameters')} {left_out}".strip(), table)
    sign = -1.0 if best == "low" else 1.0
    places = front([(mark.x, sign * mark.y) for mark in marks])
    on_front = [marks[place] for place in places]
    shown = shown_marks(marks, best=0, front=places)
    cloud = _size_cloud(title, shown, on_front, score, best)
    words = _size_words(marks, on_front, score)
    caption = joined(words[1], sample_note(len(shown), len(marks)), left_out)
    description = joined(words[0], caption)
    return drawn(title, description, caption, lambda size: scatter(cloud, description, size), table)


def _size_marks(points: Sequence[SizePoint], score: str, best: Best) -> list[Mark]:
    """Return the points that can be drawn, the best first; of equal ones the smallest first."""
    marks = []
    for point in points:
        x, y, upwards = finite(point.parameters), finite(point.score), ends(point.interval)
        if x is not None and y is not None and x > 0:
            facts = (Fact(score, y, upwards), Fact("parameters", x, counted=True))
            marks.append(Mark(point.name, x, y, upwards=upwards, facts=facts))
    sign = -1.0 if best == "low" else 1.0
    return sorted(marks, key=lambda mark: (-sign * mark.y, mark.x))


def _size_cloud(title: str, marks: tuple[Mark, ...], on_front: list[Mark], score: str, best: Best) -> Cloud:
    values = with_ends([mark.y for mark in marks], [mark.upwards for mark in marks], len(marks) <= MOST_WHISKERS)
    sizes = [mark.x for mark in marks]
    ranks = best == "low"

    def upwards(ticks: int) -> Axis:
        return linear_axis(values, whole=ranks, turned=ranks, ticks=ticks)

    entries = [
        Entry("best", f"best {score}"),
        Entry("front", "best up to its size"),
        Entry("plain", "other models"),
        Entry("steps", "front"),
    ]
    return Cloud(
        title,
        "parameters (logarithmic) →",
        f"{score}, 1 is the best" if ranks else f"↑ {score}, higher is better",
        lambda ticks: log_axis(sizes, short_count, ticks=ticks),
        upwards,
        marks,
        used(entries, marks, steps=len(on_front) > 1),
        tuple((mark.x, mark.y) for mark in on_front),
        stepped=True,
    )


def _size_words(marks: list[Mark], on_front: list[Mark], score: str) -> tuple[str, str]:
    """Return what the picture shows in words, and its caption."""
    best = marks[0]
    names = listed([f"{in_sentence(mark.clean)} ({short_count(mark.x)})" for mark in on_front], 8)
    shows = f"{counted(len(marks), 'model')} with their {score} and number of parameters. Best: {said(best)}."
    whole = f"{counted(len(on_front), 'model')} of {len(marks):,} on the front (no smaller one does as well): {names}."
    return shows, whole


def _size_table(points: Sequence[SizePoint], score: str, best: Best) -> Table:
    sign = -1.0 if best == "low" else 1.0

    def order(point: SizePoint) -> tuple[float, ...]:
        value = finite(point.score)
        return value is None, -sign * (value or 0.0), finite(point.parameters) or 0.0

    def cells(point: SizePoint) -> tuple[str, ...]:
        value, size = finite(point.score), finite(point.parameters)
        known = "" if value is None else interval_text(value, ends(point.interval))
        return clean_name(point.name), known, short_count(size) if size and size > 0 else ""

    return table_of(("model", score, "parameters"), points, cells, order)
