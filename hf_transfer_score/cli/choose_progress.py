"""The progress of a choice: on a terminal a live table of the candidates, else one line per round."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hf_transfer_score.choosing.history import ChooseListener, Round, summary
from hf_transfer_score.choosing.options import Budget, ChooseOptions
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Status, say, status, words
from hf_transfer_score.cli.tables import MISSING
from hf_transfer_score.text import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_SHOWN = 12
"""Rows of the table."""

LONGEST_WHY = 400
"""Characters of a reason that are laid out; a line of the table has room for fewer."""


@contextmanager
def following(how: ChooseOptions, *, quiet: bool) -> Iterator[ChooseListener]:
    """Yield a listener: a silent one when quiet, a live table on a terminal, else lines."""
    if quiet:
        yield ChooseListener()
    elif not sys.stderr.isatty():
        yield _RoundLines()
    else:
        table = ChoiceTable(how)
        with status("choosing", table.parts) as line:
            table.line = line
            line.start()
            yield table


class _RoundLines(ChooseListener):
    """Prints one line per round."""

    def ended(self, found: Round) -> None:
        say(with_flags(summary(found, shown)))


class ChoiceTable(ChooseListener):
    """Shows which candidates are left, which were dropped and why, what was spent, and what going on can gain."""

    line: Status | None = None

    def __init__(self, how: ChooseOptions) -> None:
        self.how, self.budget = how, Budget.of(how.budget)
        self.last: Round | None = None
        self.inside: tuple[str, ...] = ()
        self.gone: dict[str, tuple[str, str]] = {}
        self.accuracies: dict[str, float] = {}

    def stage(self, words: str) -> None:
        """Show the current step below the table."""
        if self.line is not None:
            self.line.update(words)

    def ended(self, found: Round) -> None:
        """Add a round; the last one, on test rows, drops no candidate."""
        self.last = found
        self.accuracies |= found.accuracies
        self.inside = self.inside if found.stage == "proof" else found.inside
        self.gone = {**{name: (found.words, why) for name, why in found.gone.items()}, **self.gone}

    def parts(self) -> list[RenderableType]:
        """Return the table and the lines below it; nothing before the first round."""
        if self.last is None:
            return []
        from rich.table import Table as RichTable

        table = RichTable(box=None, pad_edge=False, expand=True)
        table.add_column("candidate", no_wrap=True, overflow="ellipsis", max_width=48)
        table.add_column("", no_wrap=True)
        table.add_column("validation", no_wrap=True, justify="right")
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        names = [*self.inside, *self.gone]
        for name in names[:MOST_SHOWN]:
            where, why = self.gone.get(name, ("", ""))
            seen = f"{self.accuracies[name]:.1%}" if name in self.accuracies else MISSING
            stands, style = (f"dropped at {where}", "dim") if where else ("in", "")
            cells = (shown(name), shown(stands), seen, with_flags(shown(why, LONGEST_WHY)))
            table.add_row(*(words(cell, style) for cell in cells))
        below = [self._more(names), self._spent(self.last), self._worth(self.last)]
        return [table, *(words(text) for text in below if text), ""]

    def _more(self, names: list[str]) -> str:
        more, inside = len(names) - MOST_SHOWN, len(self.inside) - MOST_SHOWN
        return "" if more <= 0 else f"and {more:,} more{f', {inside:,} of them in' if 0 < inside < more else ''}"

    def _spent(self, last: Round) -> str:
        count = f"{len(self.inside):,} of {len(self.inside) + len(self.gone):,} are left"
        spent = f"; spent {last.spent}" if last.spent else ""
        return f"{count} after {last.words}{spent}; the budget is {self.budget}"

    def _worth(self, last: Round) -> str:
        """Return how sure the answer is, and how many points going on may gain."""
        if last.first is None or last.chance is None:
            return ""
        said = f"{shown(last.first)} is good enough with probability {last.chance:.0%}"
        said += f" ({self.how.confidence:.0%} is asked for)"
        return said if last.gain is None else f"{said}; going on can gain about {last.gain:.1f} points"
