"""What can be set of the demonstration, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_transfer_score.demonstration.zoo import SCHOOLINGS, STEPS, ZOO, Member
from hf_transfer_score.errors import OptionError
from hf_transfer_score.ranking.agreement import Agreement
from hf_transfer_score.selection.report import RankReport

Watch = Callable[[str, int, int], None]
"""Notify which phase is on, how much of it is done, and how much there is."""

RANKING = "ranking"
"""What the mean rank over the deciding metrics is called beside the metrics."""


@dataclass(frozen=True)
class DemoOptions:
    """How large the demonstration is; the defaults are what the command runs.

    Attributes:
        members: the networks.
        steps: batches that a well pre-trained network sees.
        per_class: pictures of a digit to rank and fine-tune on.
        epochs: passes over them in fine-tuning.
        repeats: how often each network is fine-tuned, with seeds of its own.
        processes: that train at the same time; no number depends on it.
        seed: of everything that is drawn.
    """

    members: tuple[Member, ...] = ZOO
    steps: int = STEPS
    per_class: int = 20
    epochs: int = 20
    repeats: int = 2
    processes: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense before anything is trained."""
        for name, least in (("steps", 1), ("per_class", 4), ("epochs", 1), ("repeats", 1), ("processes", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"{name}={getattr(self, name)}: expected at least {least}.")
        if self.seed < 0:
            raise OptionError(f"seed={self.seed}: expected a whole number from 0 on.")


@dataclass(frozen=True)
class Demonstration:
    """Scores beside measured accuracies.

    Attributes:
        report: the ranking, as `rank` returns it.
        accuracies: accuracy on test pictures after fine-tuning, one for each seed, by network.
        agreements: how well each order agrees with the mean accuracies: "ranking", the metrics, the baselines.
        ceiling: how well one measurement of the accuracies agrees with the others; None of one.
        results: the folder with the records.
        schoolings: what each network went through, by name.
        test_pictures: how many the accuracies were measured on.
        seconds: by phase.
        kept: the folder with checkpoints and pictures, None where they were removed.
    """

    report: RankReport
    accuracies: Mapping[str, tuple[float, ...]]
    agreements: Mapping[str, Agreement]
    ceiling: Agreement | None
    results: Path
    schoolings: Mapping[str, str]
    test_pictures: int
    seconds: Mapping[str, float]
    kept: Path | None = None

    def accuracy(self, name: str) -> float:
        """Return the mean accuracy of a network over its seeds."""
        return sum(self.accuracies[name]) / len(self.accuracies[name])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "caution": "A demonstration of the mechanics, no evidence for a metric.",
            "accuracies": {name: list(values) for name, values in self.accuracies.items()},
            "agreement": {name: asdict(found) for name, found in self.agreements.items()},
            "noise_ceiling": None if self.ceiling is None else asdict(self.ceiling),
            "schooling": {name: SCHOOLINGS[one].words for name, one in self.schoolings.items()},
            "test_pictures": self.test_pictures,
            "results": str(self.results),
            "kept": None if self.kept is None else str(self.kept),
            "seconds": dict(self.seconds),
            "ranking": self.report.as_dict(),
        }
