"""The plan of a run, and its progress: one bar for the run and one for the model, with throughput and time left."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.output import PROSE_WIDTH, UNLIMITED, Page, moving, render, say
from hf_transfer_score.cli.tables import MISSING, Group, Note, groups_text, notes_table
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.sampling.sample import LabelledSample, describe
from hf_transfer_score.text import rough_duration, short_bytes, short_count, shown

if TYPE_CHECKING:
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
        self.progress.reset(self.run, total=total, description=f"{len(plan.models)} models", visible=True)

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
    elif plan.seconds is None:
        time = " The time needed is known once the first model has run."
    else:
        time = f" The forward passes take about {rough_duration(max(plan.seconds, 1.0))}."
    return f"{models}, {short_bytes(plan.download_bytes)} to download{free}.{time}"


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "download_bytes": plan.download_bytes,
        "free_bytes": plan.free_bytes,
        "seconds": plan.seconds,
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
