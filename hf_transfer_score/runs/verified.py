"""The result of a verification: the accuracies of each candidate, and how well the ranking predicted them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from hf_transfer_score.errors import OptionError, check_least
from hf_transfer_score.finetune.fine_tune import FineTuningResult, truth_metric, truth_record
from hf_transfer_score.finetune.recipe import Recipe, check_changes, default_recipe
from hf_transfer_score.metrics.scores import plain
from hf_transfer_score.ranking.agreement import Agreement, mean_accuracy, noise_ceiling
from hf_transfer_score.ranking.showing import Shown
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.records import records_of, without_places
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.tasks import Method
from hf_transfer_score.text import counted

MOST = 12


@dataclass(frozen=True)
class VerifyOptions:
    """Which candidates are fine-tuned, and how.

    Attributes:
        method: "probe", "full", "layer", "scl" or "lora".
        recipe: the training recipe; None for the default of the modality and method.
        changes: fields of the recipe by name, with their new values.
        top: how many of the best-ranked candidates are fine-tuned.
        seeds: one measurement for each.
        test_split: the split to test on; None for one called test or validation, else the rows outside the sample.
        test_samples: test rows at most.
    """

    method: Method = "full"
    recipe: Recipe | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    top: int = MOST
    seeds: tuple[int, ...] = (0, 1, 2)
    test_split: str | None = None
    test_samples: int = 1000

    def __post_init__(self) -> None:
        check_least(self, top=1, test_samples=1)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise OptionError(f"seeds={self.seeds}: expected whole numbers from 0 on, each once, such as 0,1,2.")
        check_changes(self.changes, self.recipe.method if self.recipe else self.method)

    def recipe_for(self, sample: LabelledSample) -> Recipe:
        """Return the recipe for a sample."""
        return replace(self.recipe or default_recipe(sample.task.modality, self.method), **self.changes)


@dataclass(frozen=True)
class Verified:
    """The measurements of one candidate, by seed.

    The status is "ok"; "failed" with kind and reason; or "interrupted" if the run ended before any result.
    """

    name: str
    status: Literal["ok", "failed", "interrupted"]
    measured: dict[int, FineTuningResult] = field(default_factory=dict)
    kind: str | None = None
    reason: str | None = None

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each seed that was measured."""
        return [one.accuracy for one in self.measured.values()]

    @property
    def mean(self) -> float | None:
        """Mean accuracy over the seeds."""
        return mean_accuracy(self.accuracies) if self.measured else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for one seed."""
        mean, count = self.mean, len(self.measured)
        if mean is None or count < 2:
            return None
        return float((sum((one - mean) ** 2 for one in self.accuracies) / (count - 1)) ** 0.5)

    def as_dict(self, rank: int | None) -> dict[str, Any]:
        """Return everything as plain values, with the rank."""
        return {
            "status": self.status,
            "rank": rank,
            "accuracy": self.mean,
            "spread": self.spread,
            "measured": {str(seed): asdict(one) for seed, one in self.measured.items()},
            "kind": self.kind,
            "reason": self.reason,
        }


@dataclass(frozen=True, repr=False)
class VerifyReport(Shown):
    """A ranking compared with measured accuracies.

    Attributes:
        ranking: the ranking.
        recipe: how candidates were fine-tuned.
        test: the test rows.
        models: the measurements of the best candidates, in the order of the ranking.
        agreement: of each metric, of the mean rank and of the baselines with the mean accuracies, by name.
        ceiling: agreement of one seed's accuracies with those of the others, which no score can be expected to beat;
            None if a model has only one seed.
        notes: what to know about the run.
        interrupted: whether it was ended by hand.
    """

    ranking: RankReport
    recipe: Recipe
    test: LabelledSample
    models: dict[str, Verified]
    agreement: dict[str, Agreement]
    ceiling: Agreement | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {counted(len(self.models), 'model')}. {self.answer}>"

    @property
    def shown_ranking(self) -> RankReport:
        """The ranking that was verified."""
        return self.ranking

    @property
    def best(self) -> Verified | None:
        """The most accurate model; None if none was measured."""
        measured = [one for one in self.models.values() if one.measured]
        return max(measured, key=lambda one: one.mean or 0.0, default=None)

    @property
    def answer(self) -> str:
        """Which model was the most accurate, and how the first of the ranking did."""
        best, first = self.best, next(iter(self.ranking.ranks), "")
        if best is None:
            return "No model could be fine-tuned."
        count = sum(bool(one.measured) for one in self.models.values())
        accuracy = f"{best.mean:.1%} accuracy on {len(self.test):,} test rows"
        if count == 1:
            return f"{best.name} reached {accuracy}."
        said = f"{best.name} was the best of {count}: {accuracy}."
        if best.name == first:
            return f"{said} The ranking had put it first."
        reached = None if first not in self.models else self.models[first].mean
        if reached is None:
            return said
        below = 100 * ((best.mean or 0.0) - reached)
        return f"{said} The ranking had put {first} first, which reached {reached:.1%}: {below:.1f} points less."

    def records(self) -> list[Record]:
        """Return the records of the scores, and of each measured accuracy."""
        found, like = self.ranking.records(), one_of_each(self.ranking)
        for name, verified in self.models.items():
            for seed, measured in verified.measured.items():
                record = truth_record(like[name], truth_metric(self.recipe, seed, self.test), measured)
                found.append(readable(record))
        return found

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per model: the accuracies beside the ranking."""
        table = self.ranking.to_pandas()
        names = [self.models.get(name) for name in table["model"]]
        table.insert(1, "accuracy", [None if one is None else one.mean for one in names])
        table.insert(2, "accuracy_spread", [None if one is None else one.spread for one in names])
        return table

    def _answer_and_columns(self) -> tuple[str, list[tuple[str, dict[str, str]]]]:
        means = sorted(((one.mean, name) for name, one in self.models.items() if one.mean is not None), reverse=True)
        measured = {name: f"{mean:.1%}" for mean, name in means}
        return self.answer, [("fine-tuned", measured)]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(
            {
                "recipe": asdict(self.recipe),
                "test": {
                    "split": self.test.source.split,
                    "examples": len(self.test),
                    "fingerprint": self.test.fingerprint,
                },
                "models": {name: one.as_dict(self.ranking.ranks.get(name)) for name, one in self.models.items()},
                "agreement": {name: asdict(one) for name, one in self.agreement.items()},
                "noise_ceiling": None if self.ceiling is None else asdict(self.ceiling),
                "notes": self.notes,
                "interrupted": self.interrupted,
            }
        )
        return found | {"ranking": self.ranking.as_dict()}


def one_of_each(report: RankReport) -> dict[str, Record]:
    """Return a record of each candidate that was scored, by name."""
    scored = {name: one for name, one in report.models.items() if one.scores is not None}
    return {name: records_of(replace(report, models={name: one}), report.sample)[0] for name, one in scored.items()}


def readable(record: Record) -> Record:
    """Return a record whose warnings name no place on this computer."""
    return replace(record, warnings=tuple(map(without_places, record.warnings)))


def agreements_of(report: RankReport, models: Mapping[str, Verified]) -> dict[str, Agreement]:
    """Return how well each metric of a ranking, and their mean rank, agrees with the accuracies; baselines last."""
    return report.agreements({name: one.accuracies for name, one in models.items() if one.measured})


def ceiling_of(models: Mapping[str, Verified]) -> Agreement | None:
    """Return how well one seed's accuracies agree with those of the other seeds."""
    measured = [one.accuracies for one in models.values() if one.measured]
    return noise_ceiling(measured) if len(measured) > 1 else None
