"""Scores as tables: four significant digits, one line per model, split into blocks if too wide for the page.

Below a table, short lines name what to know before trusting it: failures, skipped metrics, flags and warnings.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Page, Rendered, render, words
from hf_transfer_score.drawing.words import shorten
from hf_transfer_score.ranking.models import is_baseline
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.text import Cell, shown

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.table import Table

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MISSING = "–"

DIGITS = 4
GAP = 3
NAME_SHARE = 4
"""Beside columns that need several blocks, model names take at most this fraction (a quarter) of the width."""
LEAST_NAME = 16
"""Longer names may be shortened; they are listed in full below the table."""
MOST_NAME = 200
"""Longer names always are; an id on the Hub has at most 193 letters."""
LEAST_FOLDED = 9
"""Headers of this length are folded at an underscore."""
SHOWN_NAMES = 3


@dataclass(frozen=True)
class Group:
    """Columns under one title that stay together, such as a metric's rank, score and terms, as cells by model.

    A model without cells shows dashes; the cells of the best models are emphasised.
    """

    title: str
    headers: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]
    best: frozenset[str] = frozenset()

    @property
    def width(self) -> int:
        """Characters of the widest line."""
        return max(len(self.title), len(self.line(self.dashes())))

    @property
    def head(self) -> str:
        """The title, and below it the headers, of which long ones take two lines."""
        above, below = zip(*map(_folded, self.headers), strict=True)
        return "\n".join([self.title, *([self.line(above)] if any(above) else []), self.line(below)])

    @property
    def columns(self) -> list[Group]:
        """Each column as a group of its own, under the same title."""
        return [
            Group(self.title, (header,), {model: (cells[column],) for model, cells in self.cells.items()}, self.best)
            for column, header in enumerate(self.headers)
        ]

    def line(self, cells: Sequence[str]) -> str:
        """Return cells aligned to the right, each in its column."""
        columns = zip(map(_folded, self.headers), *self.cells.values(), strict=True)
        widths = [max(len(cell) for cell in (*header, *column)) for header, *column in columns]
        return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))

    def row(self, model: str) -> str:
        """Return the cells of one model."""
        return self.line(self.cells.get(model, self.dashes()))

    def dashes(self, first: str = MISSING) -> tuple[str, ...]:
        """Return the cells of a model without numbers."""
        return (first, *[MISSING] * (len(self.headers) - 1))


def number(value: float | None) -> str:
    """Return a number with four significant digits; large whole numbers in full.

    Example:
        >>> number(0.98765), number(-1234.56), number(1e-7), number(0), number(25557032)
        ('0.9877', '-1235', '1.000e-07', '0', '25557032')
    """
    if value is None:
        return MISSING
    if value == 0 or not math.isfinite(value):
        return f"{value + 0.0:g}"
    if value == int(value) and 10 <= abs(value) < 1e15:
        return f"{value:.0f}"
    exponent = int(f"{value:.{DIGITS - 1}e}".partition("e")[2])
    if -4 <= exponent < 6:
        return f"{value:.{max(DIGITS - 1 - exponent, 0)}f}"
    return f"{value:.{DIGITS - 1}e}"


def groups_text(names: Sequence[str], groups: Sequence[Group], page: Page, *, failed: Mapping[str, str]) -> Rendered:
    """Return one row per model with its groups of columns, in several blocks if the page is too narrow.

    There is at least one group; `failed` has the first cell of each model without numbers. Names that had to be
    shortened are listed in full below.
    """
    marked = {model: groups[0].dashes(word) for model, word in failed.items()}
    groups = [replace(groups[0], cells={**groups[0].cells, **marked}), *groups[1:]]
    longest = max(len(shown(name)) for name in ("model", *names))
    beside = page.width - sum(group.width + GAP for group in groups)
    room = min(beside, MOST_NAME) if beside >= LEAST_NAME else max(page.width // NAME_SHARE, LEAST_NAME)
    short = {name: shorten(shown(name), room) for name in names}
    if len(set(short.values())) < len(names):  # two names would look the same
        short = {name: shown(name) for name in names}
    name_width = min(longest, room)
    packed = _packed(groups, page.width - name_width)
    needed = name_width + max(sum(group.width + GAP for group in block) for block in packed)
    blocks: list[RenderableType] = [
        part for block in packed for part in (_block(short, list(failed), block, name_width), "")
    ]
    cut = [(text, shown(name)) for name, text in short.items() if text != shown(name)]
    if cut:
        blocks += [pairs(cut), ""]
    return render(blocks, replace(page, width=max(page.width, needed)))


def _folded(header: str) -> tuple[str, str]:
    """Return the two lines of a header: the first is empty unless it is long and has an underscore."""
    above, mark, below = header.partition("_") if len(header) >= LEAST_FOLDED else ("", "", header)
    return (f"{above}{mark}", below) if mark else ("", header)


def metric_group(ranking: Ranking, metric: str, *, terms: bool = False) -> Group:
    """Return a metric's ranks and scores, and its raw terms on request; the score is left out where it is the term."""
    pool = ranking.pools[metric]
    names = metric_terms(ranking)[metric] if terms else []
    raw = {model: [ranking.models[model][metric].terms[term] for term in names] for model in pool.scores}
    same = all(raw[model] == [score] for model, score in pool.scores.items())
    cells = {
        model: (str(pool.ranks[model]), *([] if same else [number(score)]), *map(number, raw[model]))
        for model, score in pool.scores.items()
    }
    headers = ("rank", *([] if same else ["score"]), *("raw" if term == metric else term for term in names))
    return Group(metric, headers, cells, best_of(pool.ranks))


def metric_terms(ranking: Ranking) -> dict[str, list[str]]:
    """Return the names of the terms of each metric."""
    return {metric: list(next(iter(pool.scaled.values()))) for metric, pool in ranking.pools.items()}


def metric_header(ranking: Ranking, *, terms: bool) -> list[str]:
    """Return the CSV columns of each metric: METRIC.rank, METRIC.score and, with `terms`, METRIC.term.NAME."""
    header: list[str] = []
    for metric, names in metric_terms(ranking).items():
        header += [f"{metric}.rank", f"{metric}.score", *(f"{metric}.term.{term}" for term in names if terms)]
    return header


def metric_cells(ranking: Ranking, model: str, *, terms: bool) -> list[Cell]:
    """Return the cells of `metric_header` for a model."""
    cells: list[Cell] = []
    for metric, names in metric_terms(ranking).items():
        pool, result = ranking.pools[metric], ranking.models[model].results.get(metric)
        cells += [pool.ranks.get(model), pool.scores.get(model)]
        cells += [result.terms.get(term) if result else None for term in names if terms]
    return cells


def best_of(ranks: Mapping[str, float]) -> frozenset[str]:
    """Return the models of the best rank; none if all are equal."""
    best = frozenset(model for model, rank in ranks.items() if rank == min(ranks.values()))
    return best if len(best) < len(ranks) else frozenset()


def _packed(groups: Sequence[Group], width: int) -> list[list[Group]]:
    """Return groups in blocks that fit beside the names; a group that is too wide is split into columns."""
    blocks: list[list[Group]] = [[]]
    left = width
    for group in (part for whole in groups for part in (whole.columns if whole.width + GAP > width else [whole])):
        if blocks[-1] and group.width + GAP > left:
            blocks.append([])
            left = width
        blocks[-1].append(group)
        left -= group.width + GAP
    return blocks


def _block(names: Mapping[str, str], failed: Sequence[str], groups: Sequence[Group], name_width: int) -> Table:
    """Return a table of groups of columns; `names` has the text of each model's first cell."""
    table = table_of()
    titled = any(group.title for group in groups)
    heads = [group.head if titled else group.head.removeprefix("\n") for group in groups]
    most = max(head.count("\n") for head in heads)
    table.add_column("\n" * most + "model", width=name_width, overflow="fold")
    for group, head in zip(groups, heads, strict=True):  # titles above, headers below
        lower = "\n" * (most - head.count("\n"))
        table.add_column(words(head.replace("\n", f"\n{lower}", 1) if titled else lower + head), min_width=group.width)
    for name, text in names.items():
        cells = [words(group.row(name), "bold green" if name in group.best else "") for group in groups]
        table.add_row(words(text, "red" if name in failed else ""), *cells)
    return table


class Note(NamedTuple):
    """A note below a table: its kind in one word, and its text."""

    kind: str
    text: str


def score_notes(ranking: Ranking) -> list[Note]:
    """Return the notes on the models of a ranking; a note on several models or metrics appears once."""
    models, pools = ranking.models, ranking.pools
    scored = sum(one.why is None for one in models.values())

    def where(names: Sequence[str]) -> str:
        """Return which of the scored models a note is about; nothing if it is about all."""
        return "" if len(names) == scored else f" ({len(names)} of {scored} models: {joined(names, SHOWN_NAMES)})"

    def joined(names: Sequence[str], most: int) -> str:
        more = f" and {len(names) - most} more" if len(names) > most else ""
        return ", ".join(names[:most]) + more

    causes = {name: one.reason if one.status == "failed" and one.reason else one.why for name, one in models.items()}
    notes = [Note("failed", f"{name}: {cause}") for name, cause in causes.items() if cause]
    results = [(model, metric, result) for model, one in models.items() for metric, result in one.results.items()]
    skipped = grouped((result.reason, model) for model, _, result in results if result.reason)
    notes += [Note("skipped", f"{reason}{where(names)}") for reason, names in skipped.items()]
    told = {} if scored == 1 else {name: pool for name, pool in pools.items() if not is_baseline(name)}
    named = [(metric, term, reason) for metric, pool in told.items() for term, reason in pool.flags.items()]
    flags = grouped((reason, metric if term == metric else f"{metric}.{term}") for metric, term, reason in named)
    for reason, terms in flags.items():
        notes.append(Note("flag", f"{joined(terms, len(terms))}: {reason}; counts as 0 for all"))
    scaled = [name for name, pool in pools.items() if any(len(terms) > 1 for terms in pool.scaled.values())]
    if two := [name for name in scaled if len(pools[name].scores) == 2]:
        text = (
            f"{joined(two, len(two))}: in a pool of two, scaling turns any difference into 0 against 1; the raw terms "
            "(--terms) show how large it is"
        )
        notes.append(Note("note", text))
    warnings = grouped((text, (metric, model)) for model, metric, result in results for text in result.warnings)
    for warning, places in warnings.items():
        metrics, names = (list(dict.fromkeys(one)) for one in zip(*places, strict=True))
        about = f"{len(metrics)} metrics" if len(metrics) > SHOWN_NAMES else joined(metrics, SHOWN_NAMES)
        notes.append(Note("warning", f"{about}: {warning}{where(names)}"))
    return notes


def grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Return the values of each key, in order."""
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def notes_table(notes: Sequence[Note]) -> list[RenderableType]:
    """Return notes with their kind in a column of its own."""
    styles = {"failed": "red", "warning": "yellow", "flag": "yellow"}
    return ["", pairs([(kind, with_flags(text)) for kind, text in notes], styles)] if notes else []


def pairs(rows: Iterable[tuple[str, str]], styles: Mapping[str, str] | None = None, *, indent: int = 0) -> Table:
    """Return pairs as two columns, the first as narrow as possible."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for left, right in rows:
        grid.add_row(words(" " * indent + left, (styles or {}).get(left, "dim")), words(right))
    return grid


def table_of(*headers: str, whole: bool = False) -> Table:
    """Return an empty table with a column for each header, right-aligned if it begins with ">".

    Long cells are folded, unless `whole` keeps them on one line.
    """
    from rich.table import Table

    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for header in headers:
        side: JustifyMethod = "right" if header.startswith(">") else "left"
        table.add_column(header.removeprefix(">"), justify=side, overflow="fold", no_wrap=whole)
    return table


def forecast_group(ranking: Ranking) -> Group:
    """Return the rank, its range, the chance to be the best, the points below it, and the accuracy of a probe.

    A single model has its probe alone: there is nothing to compare it with.
    """
    probes, cells, several = ranking.probes, {}, len(ranking.ranks) > 1
    for name, rank in ranking.ranks.items():
        one, (low, high) = ranking.forecasts[name], ranking.range_of(name)
        below, row = one.points_below_best, [str(rank)]
        if several:
            row += [f"{low}-{high}" if high > low else str(low), f"{one.best_probability:.0%}"]
            row.append(f"{below.value:.1f} ({below.low:.1f}-{below.high:.1f})")
        if probes:
            probe = probes.get(name)
            row.append(MISSING if probe is None else f"{probe.value:.1%} ({probe.low:.0%}-{probe.high:.0%})")
        cells[name] = tuple(row)
    headers = ("rank", *(("range", "best", "points below") if several else ()), *(("probe",) if probes else ()))
    return Group("", headers, cells, best_of(ranking.ranks))


def forecast_legend(ranking: Ranking, *more: tuple[str, str]) -> Table:
    """Return the meaning of the columns of a forecast, and of others, one line each."""
    lines = []
    if len(ranking.ranks) > 1:
        lines = [
            ("best", "chance to be the best after fine-tuning"),
            ("points below", "points of accuracy behind the best after fine-tuning (80% interval)"),
            ("range", "80% interval of the rank"),
        ]
    if ranking.probes:
        chance = f"; guessing the most frequent class: {ranking.chance:.1%}" if ranking.chance is not None else ""
        lines.append(("probe", f"cross-validated accuracy of a linear classifier on the features{chance}"))
    return pairs([*lines, *more])
