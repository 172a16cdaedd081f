"""The result of `rank`: the ranking of the candidates, with the sample they were ranked on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hf_transfer_score.metrics.scores import plain
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.ranking.showing import forecast_rows
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.records import dataset_id, records_of
from hf_transfer_score.sampling.sample import LabelledSample


@dataclass(frozen=True, repr=False)
class RankReport(Ranking):
    """A ranking of candidates on a dataset.

    Attributes:
        sample: what was drawn from the dataset.
        seconds: wall-clock time of the run.
        interrupted: whether the run ended before all candidates were scored.
    """

    sample: LabelledSample = field(kw_only=True)
    seconds: float = 0.0
    interrupted: bool = False

    @classmethod
    def on(cls, sample: LabelledSample, ranking: Ranking, notes: tuple[str, ...] = ()) -> RankReport:
        """Return a ranking with the sample that its models were scored on."""
        rows = "" if sample.rows == len(sample) else f", {sample.rows:,} {sample.task.unit}s"
        classes = "regression" if sample.labels is None else f"{len(set(sample.labels.tolist())):,} classes"
        about = {"dataset": dataset_id(sample), "size": f"{len(sample):,} examples{rows}, {classes}", "notes": notes}
        return cls(**(vars(ranking) | about), sample=sample)

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Notes on the run and the sample."""
        return (*self.sample.notes, *self.notes)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(
            {
                "answer": self.answer,
                "sample": sample_facts(self.sample),
                "order": list(self.models),
                "headline": self.headline,
                "mean_ranks": self.mean_ranks,
                "ranks": self.ranks,
                "confidence": None if self.confidence is None else asdict(self.confidence),
                "models": forecast_rows(self),
                "pool": {name: asdict(one) for name, one in self.models.items()},
                "pools": {name: asdict(pool) for name, pool in self.pools.items()},
                "intervals": self.intervals,
                "level": self.level,
                "seconds": self.seconds,
                "interrupted": self.interrupted,
                "notes": self.notes,
            }
        )
        return found

    def records(self) -> list[Record]:
        """Return a record for each metric of each model that was scored, and one for each model that failed.

        Candidates that an interrupted run did not reach, or that were too slow on this computer, have no record.
        """
        return records_of(self, self.sample)


def sample_facts(sample: LabelledSample) -> dict[str, Any]:
    """Return what identifies a sample, as plain values."""
    labels = sample.labels
    return {
        **asdict(sample.source),
        "task": sample.task.name,
        "examples": len(sample),
        "rows": sample.rows,
        "classes": None if labels is None else len(set(labels.tolist())),
        "label_names": sample.label_names,
        "fingerprint": sample.fingerprint,
        "notes": sample.notes,
    }


class Interrupted(KeyboardInterrupt):
    """A run was interrupted; finished candidates are in the cache, and in `report`."""

    def __init__(self, report: RankReport) -> None:
        done = sum(one.status == "ok" for one in report.models.values())
        super().__init__(f"interrupted with {done} of {len(report.models)} models scored")
        self.report = report
