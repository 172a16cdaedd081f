"""The two terms of FaCe against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_transfer_score.leaderboard.drawing.axes import fitting_axis, linear_axis
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
from hf_transfer_score.leaderboard.drawing.text import counted, finite, in_sentence, listed, number
from hf_transfer_score.leaderboard.drawing.words import ends, joined, said, sample_note, too_few, used


@dataclass(frozen=True)
class TermPoint:
    """A model with the two terms of FaCe.

    Attributes:
        name: of the model.
        collapse: variance collapse; higher is better.
        fairness: class fairness; higher is better.
        rank: by FaCe.
        collapse_interval: ends of the interval of the first.
        fairness_interval: ends of the interval of the second.
    """

    name: str
    collapse: float | None
    fairness: float | None
    rank: int | None = None
    collapse_interval: Ends | None = None
    fairness_interval: Ends | None = None


def collapse_figure(points: Sequence[TermPoint], *, notes: Sequence[str] = ()) -> Figure:
    """Return variance collapse against class fairness, the two terms that FaCe adds up.

    Args:
        points: the models.
        notes: what to know of a term, such as that it tells nothing in this pool.
    """
    title = "Variance collapse against class fairness"
    marks = _term_marks(points)
    without = len(points) - len(marks)
    left_out = f"{counted(without, 'model')} without these terms left out." if without else ""
    table = _term_table(points)
    if len(marks) < 2:
        return sentence_figure(title, f"{too_few(marks, 'variance collapse', 'class fairness')} {left_out}", table)
    places = front([(-mark.x, mark.y) for mark in marks])
    ranked = any(finite(point.rank) is not None for point in points)
    shown = shown_marks(marks, best=0 if ranked else None, front=places)
    leaders = [in_sentence(marks[place].clean) for place in places]
    first = f"Best by FaCe: {said(marks[0])}. " if ranked else ""
    caption = joined(
        f"{first}No other model is better in both terms than {listed(leaders, 5)}.",
        sample_note(len(shown), len(marks)),
        left_out,
        *notes,
    )
    description = (
        f"{counted(len(marks), 'model')} with the two terms of FaCe; further right and up is better. {caption}"
    )
    cloud = _term_cloud(title, shown)
    return drawn(title, description, caption, lambda size: scatter(cloud, description, size), table)


def _term_marks(points: Sequence[TermPoint]) -> list[Mark]:
    """Return the points that can be drawn, the best by FaCe first."""
    found = []
    for point in points:
        x, y, rank = finite(point.fairness), finite(point.collapse), finite(point.rank)
        if x is None or y is None:
            continue
        across, upwards = ends(point.fairness_interval), ends(point.collapse_interval)
        facts = [Fact("variance collapse", y, upwards), Fact("class fairness", x, across)]
        facts += [Fact("rank by FaCe", rank)] if rank is not None else []
        order = (rank is None, rank or 0.0, -y, -x)
        found.append((order, Mark(point.name, x, y, across, upwards, tuple(facts))))
    return [mark for _, mark in sorted(found, key=lambda pair: pair[0])]


def _term_cloud(title: str, marks: tuple[Mark, ...]) -> Cloud:
    whiskered = len(marks) <= MOST_WHISKERS
    across = with_ends([mark.x for mark in marks], [mark.across for mark in marks], whiskered)
    upwards = with_ends([mark.y for mark in marks], [mark.upwards for mark in marks], whiskered)
    entries = [
        Entry("best", "best by FaCe"),
        Entry("front", "not beaten in both terms"),
        Entry("plain", "other models"),
    ]
    return Cloud(
        title,
        "class fairness, higher is better →",
        "↑ variance collapse, 0 is the best",
        lambda ticks: linear_axis(across, ticks=ticks),
        lambda ticks: fitting_axis(upwards, ticks=ticks),
        marks,
        used(entries, marks),
    )


def _term_table(points: Sequence[TermPoint]) -> Table:
    def order(point: TermPoint) -> tuple[float, ...]:
        rank = finite(point.rank)
        return rank is None, rank or 0.0, -(finite(point.collapse) or 0.0)

    def cells(point: TermPoint) -> tuple[str, ...]:
        x, y, rank = finite(point.fairness), finite(point.collapse), finite(point.rank)
        return (
            clean_name(point.name),
            "" if rank is None else number(rank),
            "" if y is None else interval_text(y, ends(point.collapse_interval)),
            "" if x is None else interval_text(x, ends(point.fairness_interval)),
        )

    return table_of(("model", "rank by FaCe", "variance collapse", "class fairness"), points, cells, order)
