"""How a run goes on, for people at a terminal: a bar for the run, one for the model, with throughput and time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.printing import moving, say, words
from hf_transfer_score.ranking.ranking import RankedModel
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.selection.listener import Listener
from hf_transfer_score.selection.plan import Plan, PlannedModel
from hf_transfer_score.text import LONGEST, shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NAME_CHARACTERS = 48


class PlanListener(Listener):
    """Shows the plan before the run starts, and nothing else."""

    def __init__(self, write: Any) -> None:
        self.write = write

    def planned(self, plan: Plan) -> None:
        """Show it."""
        self.write(plan)

    def waiting(self, what: str) -> None:
        """Say it in a line of its own."""
        say(what)


class BarListener(PlanListener):
    """Shows the plan, then bars that move."""

    def __init__(self, write: Any, progress: Progress) -> None:
        super().__init__(write)
        self.progress = progress
        self.examples_of_all = 0
        self.run: TaskID = progress.add_task("", total=None, unit="examples", visible=False)
        self.model: TaskID = progress.add_task("reading the dataset", total=None, unit="rows")

    def sampling(self, rows: int) -> None:
        """Count the rows that were read."""
        self.progress.update(self.model, completed=rows)

    def sampled(self, sample: LabelledSample) -> None:
        """Wait for the plan."""
        self.examples_of_all = len(sample)
        self._restart("looking at the models")

    def planned(self, plan: Plan) -> None:
        """Show the plan and begin the bar of the run."""
        self.progress.stop()
        super().planned(plan)
        self.progress.start()
        running = sum(model.state not in ("cached", "failed") for model in plan.models)
        total = max(1, running * self.examples_of_all)
        self.progress.reset(self.run, total=total, description=f"{len(plan.models)} models", visible=True)

    def started(self, model: PlannedModel, number: int, count: int) -> None:
        """Begin a model's bar."""
        self.progress.update(self.run, description=f"model {number} of {count}")
        self._restart(_short(model.name))

    def stage(self, model: PlannedModel, what: str) -> None:
        """Say what is being done; the forward pass has a bar with an end."""
        if what == "running":
            self._restart(_short(model.name), self.examples_of_all)
        else:
            self.progress.update(self.model, description=f"{what} {_short(model.name)}")

    def waiting(self, what: str) -> None:
        """Say it above the bars, which stand still."""
        self.progress.console.print(what, markup=False)

    def examples(self, model: PlannedModel, count: int) -> None:
        """Move both bars."""
        self.progress.advance(self.model, count)
        self.progress.advance(self.run, count)

    def finished(self, model: PlannedModel, outcomes: list[RankedModel]) -> None:
        """Say at once what failed."""
        for outcome in outcomes:
            if outcome.status == "failed":
                text = shown(f"failed: {outcome.name}: {outcome.reason}", LONGEST)
                self.progress.console.print(words(text, "red"))

    def ranking(self) -> None:
        """Say that only the order is missing."""
        self._restart("drawing the bootstrap")

    def _restart(self, description: str, total: int | None = None) -> None:
        """Begin the lower bar anew; without a total it has no end."""
        self.progress.reset(self.model, description=description, unit="examples")
        for bar in self.progress.tasks:
            if bar.id == self.model:
                bar.total = total


@contextmanager
def watching(write: Any, *, terminal: bool, quiet: bool) -> Iterator[Listener]:
    """Yield what listens: nothing when quiet, the plan when no terminal looks on, else bars.

    Args:
        write: called with the plan.
        terminal: whether the error stream is a terminal.
        quiet: whether nothing is wanted.
    """
    if quiet:
        yield Listener()
        return
    if not terminal:
        yield PlanListener(write)
        return
    with _bars() as progress:
        yield BarListener(write, progress)


def _bars() -> AbstractContextManager[Progress]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as Bar
    from rich.text import Text

    class Done(TextColumn):
        def render(self, task: Bar) -> Text:
            return Text(f"{task.completed:,.0f}" + (f"/{task.total:,.0f}" if task.total else ""))

    class Speed(TextColumn):
        def render(self, task: Bar) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")

    return moving(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        Done(""),
        Speed(""),
        TimeRemainingColumn(compact=True),
    )


def _short(name: str) -> str:
    name = shown(name)
    return name if len(name) <= NAME_CHARACTERS else f"...{name[3 - NAME_CHARACTERS :]}"
