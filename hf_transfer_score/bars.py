"""Progress in Python and in notebooks: one bar, and a log line for each important event."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hf_transfer_score.choosing.history import ChooseListener, Round, summary
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.logs import bars_wanted, logger
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.expected import ExpectedTime
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.verified import Verified
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.sampling.sample import LabelledSample, sample_line
from hf_transfer_score.text import counted, shown

LONGEST = 40  # characters of a name that a bar shows
REPORTED = 300  # characters of a reason in the log; the result holds all of it


def _begin(bar: Any, words: str, unit: str, total: int | None = None) -> None:
    """Restart a bar with another description."""
    bar.unit = f" {unit}"
    bar.desc = words
    bar.reset(total)


def _say(bar: Any, words: str) -> None:
    """Describe what a bar does; its own method puts two colons behind the words where the total is unknown."""
    bar.desc = words
    bar.refresh()


class _RankBar(Listener):
    """A bar over the rows of the dataset, then over the examples that the models process."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.sample_size, self.place = bar, 0, ""
        _begin(bar, "reading the dataset", "rows")

    def sampling(self, rows: int) -> None:
        self.bar.update(rows - self.bar.n)

    def sampled(self, sample: LabelledSample) -> None:
        self.sample_size = len(sample)
        logger().info("sampled %s", shown(sample_line(sample)))
        _begin(self.bar, "looking up the models", "models")

    def planned(self, plan: Plan) -> None:
        running = sum(one.state not in ("cached", "failed") for one in plan.models)
        logger().info("%s, %d to run", counted(len(plan.models), "model"), running)
        for note in plan.notes:
            logger().warning("%s", shown(note, REPORTED))
        _begin(self.bar, "ranking", "examples", running * self.sample_size or None)

    def started(self, model: PlannedModel, number: int, count: int) -> None:
        self.place = f"{number}/{count} {shortened(model.name)}"
        _say(self.bar, self.place)

    def stage(self, model: PlannedModel, what: str) -> None:
        _say(self.bar, f"{self.place}: {what}")

    def waiting(self, what: str) -> None:
        _say(self.bar, shortened(what))

    def examples(self, model: PlannedModel, count: int) -> None:
        self.bar.update(count)

    def finished(self, model: PlannedModel, models: list[RankedModel]) -> None:
        for one in models:
            if one.status == "failed":
                logger().warning("%s failed: %s", shown(one.name), shown(one.reason, REPORTED))
            else:
                logger().info("%s is scored", shown(one.name))

    def ranking(self) -> None:
        _say(self.bar, "bootstrapping the ranking")


class _VerifyBar(VerifyListener):
    """A bar over the measurements."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        _begin(self.bar, "fine-tuning", "models", len(names))

    def stage(self, name: str, seed: int, words: str) -> None:
        _say(self.bar, f"{shortened(name)}, seed {seed}: {words}")

    def expected(self, time: ExpectedTime) -> None:
        logger().info("fine-tuning takes %s", time)

    def measured(self, name: str, seed: int, measured: FineTuningResult, *, before: bool) -> None:
        logger().info("%s, seed %d: accuracy %.1f%%", shown(name), seed, 100 * measured.accuracy)

    def failed(self, verified: Verified) -> None:
        logger().warning("%s failed: %s", shown(verified.name), shown(verified.reason or "", REPORTED))


class _ChooseBar(ChooseListener):
    """A bar that counts rounds, whose number is unknown."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        _begin(bar, "choosing", "rounds")

    def stage(self, words: str) -> None:
        _say(self.bar, shortened(words))

    def ended(self, found: Round) -> None:
        self.bar.update(1)
        logger().info("%s", shown(summary(found), REPORTED))


KINDS: Mapping[type, Any] = {Listener: _RankBar, VerifyListener: _VerifyBar, ChooseListener: _ChooseBar}
"""The listener with a bar for each class of listeners."""


@contextmanager
def watched(listeners: Mapping[str, type], *, progress: bool | None) -> Iterator[dict[str, Any]]:
    """Yield a listener for each argument, by the class that it takes; all share one bar, which is removed at last."""
    with warnings.catch_warnings():  # without widgets a notebook gets the bar of a terminal
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        silent, at_once = not bars_wanted(progress), 1e-9  # but no line before there are words
        bar = tqdm(file=sys.stderr, leave=False, dynamic_ncols=True, delay=at_once, disable=silent)
    try:
        yield {name: KINDS[kind](bar) for name, kind in listeners.items()}
    finally:
        bar.close()


def shortened(text: str) -> str:
    """Return a text that fits a bar, or the end of it."""
    text = shown(text)
    return text if len(text) <= LONGEST else f"...{text[3 - LONGEST :]}"
