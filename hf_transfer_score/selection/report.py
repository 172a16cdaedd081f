"""What a run of `rank` returns: the ranking of its candidates, with the sample they were ranked on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hf_transfer_score.metrics.scores import plain
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.results.place import open_place
from hf_transfer_score.results.publishing import Published, publish
from hf_transfer_score.results.record import Record
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.selection.records import records_of, save_records


@dataclass(frozen=True)
class RankReport(Ranking):
    """A ranking of candidates on a dataset.

    Attributes:
        sample: what was drawn from the dataset.
        seconds: wall-clock time of the run.
        interrupted: whether the run was ended before all candidates were scored.
        notes: what to know about the run.
    """

    sample: LabelledSample = field(kw_only=True)
    seconds: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def on(cls, sample: LabelledSample, ranking: Ranking, notes: tuple[str, ...] = ()) -> RankReport:
        """Return a ranking with the sample that its models were scored on."""
        return cls(**vars(ranking), sample=sample, notes=notes)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(
            {
                "sample": sample_facts(self.sample),
                "order": list(self.models),
                "headline": self.headline,
                "mean_ranks": self.mean_ranks,
                "ranks": self.ranks,
                "confidence": None if self.confidence is None else asdict(self.confidence),
                "models": {name: asdict(one) for name, one in self.models.items()},
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

        Candidates that an interrupted run did not reach have none.
        """
        return records_of(self, self.sample)

    def save(self, folder: str | Path) -> int:
        """Write the records and the ranking itself into a folder, and return the number of records.

        A record of the same identity is replaced; others that lie there stay.

        Args:
            folder: takes `ranking.json` and `records/<owner>/<name>/<identity>.json`; made when needed.
        """
        return save_records(self.records(), self.as_dict(), Path(folder))

    def publish(self, to: str, *, create_pr: bool = False) -> Published:
        """Put the records into a store of results, and return what became of them.

        Args:
            to: a folder, or OWNER/NAME of a dataset repository on the Hub, which is made where it is not there.
            create_pr: propose them as a pull request.
        """
        return publish(open_place(to, create_pr=create_pr), self.records())


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
    """A run was ended by hand; what is done is in the cache, and in `report` for those who want to show it."""

    def __init__(self, report: RankReport) -> None:
        done = sum(one.status == "ok" for one in report.models.values())
        super().__init__(f"interrupted with {done} of {len(report.models)} models scored")
        self.report = report
