"""Progress in Python and in notebooks: one bar, and a line in the log for what is worth one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hf_transfer_score.choosing.history import ChooseListener, Round
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.logs import bars_wanted, logger
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.expected import ExpectedTime
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.verified import Verified
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.text import shown

LONGEST = 40
"""Letters of a name that a bar shows."""

REPORTED = 300
"""Letters of a reason in the log; the result has the whole of it."""


class Bar:
    """A bar that says what is done, on the error stream or in a notebook; nothing where nobody wants one."""

    def __init__(self, *, wanted: bool) -> None:
        self._bar: Any = None
        if wanted:
            with warnings.catch_warnings():  # without widgets a notebook gets the bar of a terminal
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm

                self._bar = tqdm(file=sys.stderr, leave=False, dynamic_ncols=True, unit=" rows")

    def begin(self, words: str, total: int | None = None, unit: str = "") -> None:
        """Begin anew."""
        if self._bar is not None:
            self._bar.unit = f" {unit}" if unit else "it"
            self._bar.reset(total)
            self._bar.set_description(words)

    def say(self, words: str) -> None:
        """Say what is being done."""
        if self._bar is not None:
            self._bar.set_description(words)

    def at(self, done: int) -> None:
        """Move to a place."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def advance(self, count: int) -> None:
        """Move on."""
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.close()


class RankBar(Listener):
    """A bar over the rows of the dataset, then over the examples that go through the models."""

    def __init__(self, bar: Bar) -> None:
        self.bar, self.examples_of_all, self.place = bar, 0, ""
        bar.begin("reading the dataset", unit="rows")

    def sampling(self, rows: int) -> None:
        """Count rows."""
        self.bar.at(rows)

    def sampled(self, sample: LabelledSample) -> None:
        """Wait for the plan."""
        self.examples_of_all = len(sample)
        logger().info("sampled %s: %d examples", shown(sample.source.dataset), len(sample))
        self.bar.begin("looking at the models")

    def planned(self, plan: Plan) -> None:
        """Begin the bar of the run."""
        running = sum(one.state not in ("cached", "failed") for one in plan.models)
        logger().info("%d models, %d of them to run", len(plan.models), running)
        for note in plan.notes:
            logger().warning("%s", shown(note, REPORTED))
        self.bar.begin("ranking", running * self.examples_of_all or None, "examples")

    def started(self, model: PlannedModel, number: int, count: int) -> None:
        """Say whose turn it is."""
        self.place = f"{number}/{count} {shortened(model.name)}"
        self.bar.say(self.place)

    def stage(self, model: PlannedModel, what: str) -> None:
        """Say what is done with it."""
        self.bar.say(f"{self.place}: {what}")

    def waiting(self, what: str) -> None:
        """Say whom this process waits for."""
        self.bar.say(shortened(what))

    def examples(self, model: PlannedModel, count: int) -> None:
        """Move."""
        self.bar.advance(count)

    def finished(self, model: PlannedModel, models: list[RankedModel]) -> None:
        """Say at once what failed."""
        for one in models:
            if one.status == "failed":
                logger().warning("%s failed: %s", shown(one.name), shown(one.reason, REPORTED))
            else:
                logger().info("%s is scored", shown(one.name))

    def ranking(self) -> None:
        """Say that only the order is missing."""
        self.bar.say("drawing the bootstrap")


class VerifyBar(VerifyListener):
    """A bar over the measurements."""

    def __init__(self, bar: Bar) -> None:
        self.bar, self.names = bar, 0

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        """Begin the bar."""
        self.names = len(names)
        self.bar.begin("fine-tuning", len(names), "models")

    def stage(self, name: str, seed: int, words: str) -> None:
        """Say what is done."""
        self.bar.say(f"{shortened(name)}, seed {seed}: {words}")

    def expected(self, time: ExpectedTime) -> None:
        """Tell how long it takes."""
        logger().info("fine-tuning takes %s", time)

    def measured(self, name: str, seed: int, measured: FineTuningResult, *, before: bool) -> None:
        """Tell what was measured."""
        logger().info("%s, seed %d: accuracy %.1f%%", shown(name), seed, 100 * measured.accuracy)

    def failed(self, verified: Verified) -> None:
        """Tell why there is no accuracy."""
        logger().warning("%s failed: %s", shown(verified.name), shown(verified.reason or "", REPORTED))


class ChooseBar(ChooseListener):
    """A bar that counts rounds, whose number nobody knows beforehand."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        bar.begin("choosing", unit="rounds")

    def stage(self, words: str) -> None:
        """Say what is done."""
        self.bar.say(shortened(words))

    def ended(self, found: Round) -> None:
        """Tell what a round came to."""
        self.bar.advance(1)
        logger().info("%s: %d candidates are in, %d went", found.words, len(found.inside), len(found.gone))


KINDS: Mapping[type, Any] = {Listener: RankBar, VerifyListener: VerifyBar, ChooseListener: ChooseBar}
"""What listens with a bar, by what a function takes."""


@contextmanager
def watched(listeners: Mapping[str, type], *, progress: bool | None) -> Iterator[dict[str, Any]]:
    """Yield what listens, by the argument that takes it; all share one bar, which is gone afterwards.

    Args:
        listeners: what each argument takes.
        progress: whether a bar is shown; None for yes unless the environment says no.
    """
    bar = Bar(wanted=bars_wanted(progress))
    try:
        yield {name: KINDS[kind](bar) for name, kind in listeners.items()}
    finally:
        bar.close()


def shortened(text: str) -> str:
    """Return a text for one line of a bar, its end where it is long."""
    text = shown(text)
    return text if len(text) <= LONGEST else f"...{text[3 - LONGEST :]}"
