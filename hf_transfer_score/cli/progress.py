"""The plan of a run and its progress, in two bars; the progress of a choice, in a live table or a line per round."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from hf_transfer_score.choosing.history import ChooseListener, Round, summary
from hf_transfer_score.choosing.options import Budget, ChooseOptions
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import PROSE_WIDTH, UNLIMITED, Page, Status, moving, render, say, status, words
from hf_transfer_score.cli.tables import MISSING, Group, Note, groups_text, notes_table
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.sampling.sample import LabelledSample, describe
from hf_transfer_score.text import counted, rough_duration, short_bytes, short_count, shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID


NAME_CHARACTERS = 48


class _PlanListener(Listener):
    """Prints the sample and the plan before the run starts, and nothing else."""

    drawn: tuple[str, ...] = ()

    def sampled(self, sample: LabelledSample) -> None:
        """Keep the description of the sample until the plan is known."""
        self.drawn = (*describe(sample), "")

    def planned(self, plan: Plan) -> None:
        say("\n".join(shown(line) for line in self.drawn))
        terminal = sys.stderr.isatty()
        width = os.get_terminal_size(sys.stderr.fileno()).columns if terminal else UNLIMITED
        say(plan_text(plan, Page(width or PROSE_WIDTH, colour=terminal)))

    def waiting(self, what: str) -> None:
        say(what)


class _BarListener(_PlanListener):
    """Prints the plan, then shows progress bars."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.examples_of_all = 0
        self.failed = 0
        self.run: TaskID = progress.add_task("", total=None, unit="examples", visible=False)
        self.model: TaskID = progress.add_task("reading the dataset", total=None, unit="rows")

    def sampling(self, rows: int) -> None:
        self.progress.update(self.model, completed=rows)

    def sampled(self, sample: LabelledSample) -> None:
        super().sampled(sample)
        self.examples_of_all = len(sample)
        self._restart("looking up the models")

    def planned(self, plan: Plan) -> None:
        """Print the plan and start the bar of the run."""
        self.progress.stop()
        super().planned(plan)
        self.progress.start()
        running = sum(model.state not in ("cached", "failed") for model in plan.models)
        total = max(1, running * self.examples_of_all)
        self.progress.reset(self.run, total=total, description=counted(len(plan.models), "model"), visible=True)

    def started(self, model: PlannedModel, number: int, count: int) -> None:
        failed = f", {self.failed} failed" if self.failed else ""
        self.progress.update(self.run, description=f"model {number} of {count}{failed}")
        self._restart(_short(model.name))

    def stage(self, model: PlannedModel, what: str) -> None:
        """Show the stage; only the forward pass has a bar with an end."""
        if what == "running":
            self._restart(_short(model.name), self.examples_of_all)
        else:
            self.progress.update(self.model, description=f"{what} {_short(model.name)}")

    def waiting(self, what: str) -> None:
        """Print it above the bars."""
        self.progress.console.print(what, markup=False)

    def examples(self, model: PlannedModel, count: int) -> None:
        self.progress.advance(self.model, count)
        self.progress.advance(self.run, count)

    def finished(self, model: PlannedModel, outcomes: list[RankedModel]) -> None:
        """Count failures; the reasons are printed below the table."""
        self.failed += any(outcome.status == "failed" for outcome in outcomes)

    def ranking(self) -> None:
        self._restart("bootstrapping the ranking")

    def _restart(self, description: str, total: int | None = None) -> None:
        """Restart the lower bar; without a total it has no end."""
        self.progress.reset(self.model, description=description, unit="examples")
        for bar in self.progress.tasks:
            if bar.id == self.model:
                bar.total = total


@contextmanager
def watching(*, quiet: bool) -> Iterator[Listener]:
    """Yield a listener: a silent one when quiet, bars on a terminal, else the plan alone."""
    if quiet:
        yield Listener()
    elif not sys.stderr.isatty():
        yield _PlanListener()
    else:
        with _bars() as progress:
            yield _BarListener(progress)


def _bars() -> AbstractContextManager[Progress]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as Bar
    from rich.text import Text

    class Done(TextColumn):
        def render(self, task: Bar) -> Text:
            return Text(f"{task.completed:,.0f}" + (f"/{task.total:,.0f}" if task.total else ""))

    class SpeedColumn(TextColumn):
        def render(self, task: Bar) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")

    return moving(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        Done(""),
        SpeedColumn(""),
        TimeRemainingColumn(compact=True),
    )


def _short(name: str) -> str:
    name = shown(name)
    return name if len(name) <= NAME_CHARACTERS else f"...{name[3 - NAME_CHARACTERS :]}"


def plan_text(plan: Plan, page: Page, *, reasons: bool = False) -> str:
    """Return a plan as text: what is done with each candidate, about how long it takes, and the disk space.

    With `reasons` it also says why candidates failed already, which a ranking says at its end.
    """
    to_do = {"cached": "score", "on disk": "run", "download": "download, run", "failed": "cannot be read"}
    cells = {}
    for model in plan.models:
        weights = short_bytes(model.weight_bytes) if model.weight_bytes else MISSING
        parameters = MISSING if model.parameters is None else short_count(model.parameters)
        cells[model.name] = (model.kind or MISSING, parameters, weights, to_do[model.state])
    headers = ("backbone", "params", "weights", "to do")
    table = groups_text(list(cells), [Group("", headers, cells)], page, failed={})
    failures = [Note("failed", f"{one.name}: {one.failure}") for one in plan.models if one.failure and reasons]
    notes = notes_table([*failures, *(Note("note", note) for note in plan.notes)])
    return table + render([_cost(plan), *notes], page)


def _cost(plan: Plan) -> str:
    """Return how many models run, and about how long that takes, in one line."""
    states = Counter(model.state for model in plan.models)
    running = states["on disk"] + states["download"]
    free = "" if plan.free_bytes is None else f" ({short_bytes(plan.free_bytes)} free)"
    models = f"{running} model{'' if running == 1 else 's'} to run, {states['cached']} in the cache"
    if not running:
        time = ""
    elif plan.seconds is not None:
        time = f" The forward passes take about {rough_duration(plan.seconds)}."
    elif plan.guess is not None:
        ends = " to ".join(dict.fromkeys(map(rough_duration, plan.guess)))
        time = f" The forward passes take about {ends}, a guess until the first model has run."
    else:
        time = " The time needed is known once the first model has run."
    return f"{models}, {short_bytes(plan.download_bytes)} to download{free}.{time}"


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "download_bytes": plan.download_bytes,
        "free_bytes": plan.free_bytes,
        "seconds": plan.seconds,
        "guessed_seconds": None if plan.guess is None else list(plan.guess),
        "notes": list(plan.notes),
        "models": [
            {
                "name": model.name,
                "state": model.state,
                "commit": model.commit,
                "kind": model.kind,
                "parameters": model.parameters,
                "files": list(model.files),
                "weight_bytes": model.weight_bytes,
                "download_bytes": model.download_bytes,
                "failure": {"kind": model.failure.kind, "reason": str(model.failure)} if model.failure else None,
            }
            for model in plan.models
        ],
    }


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
