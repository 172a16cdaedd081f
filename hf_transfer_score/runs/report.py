"""What a run of `rank` returns: the ranking of its candidates, with the sample they were ranked on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_transfer_score.drawing.words import Across
from hf_transfer_score.errors import OptionError
from hf_transfer_score.metrics.scores import plain
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.records.place import open_place
from hf_transfer_score.records.publishing import Published, publish
from hf_transfer_score.records.record import Record, record_path
from hf_transfer_score.runs.records import dataset_id, records_of, save_records
from hf_transfer_score.sampling.sample import LabelledSample

SHOWN_MODELS = 5


@dataclass(frozen=True, repr=False)
class RankReport(Ranking):
    """A ranking of candidates on a dataset.

    Attributes:
        sample: what was drawn from the dataset.
        seconds: wall-clock time of the run.
        interrupted: whether the run was ended before all candidates were scored.
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
        """What to know about the run and the sample."""
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
                "models": self.forecast_rows(),
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

        Candidates that an interrupted run did not reach have none, nor have those that were too slow on this machine.
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

    def card(self, model: str | None = None) -> str:
        """Return the model card of a ranked model as Markdown, with its place among the others.

        Args:
            model: its name in the ranking; None for the best.

        Raises:
            OptionError: it is not in the ranking, or nothing could be ranked.
        """
        from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
        from hf_transfer_score.leaderboard.pages.model_page import card_of
        from hf_transfer_score.records.table import RecordTable, Stored

        one = self.best if model is None else self.models.get(model)
        if one is None:
            known = ", ".join(list(self.models)[:SHOWN_MODELS])
            raise OptionError(f"{'The ranking has no best model' if model is None else model!r}; its models: {known}.")
        records = self.records()
        mine = records_of(replace(self, models={one.name: one}), self.sample)
        stored = (Stored.of(str(record_path(record)), "", record) for record in records)
        return card_of(Catalogue(RecordTable.of(stored)), mine[0].model.id)

    def plot(self, path: str | Path | None = None, across: Across = "parameters") -> Any:
        """Return the chart, rank against size or speed with its ranges and tie groups, and write it to a file.

        Args:
            path: a file in .png, .svg or .html, whose page needs no other file and no network.
            across: what models are drawn against: parameters, or throughput, the examples that they read a second.

        Returns:
            An `altair.Chart`, which a notebook shows.
        """
        from hf_transfer_score.drawing.files import save_plot
        from hf_transfer_score.drawing.points import picture_of
        from hf_transfer_score.drawing.rank_chart import rank_chart

        if path is not None:
            save_plot(self, Path(path), across)
        return rank_chart(picture_of(self, across))

    def _repr_html_(self) -> str:
        """Return the answer, the table and the chart, as a notebook shows them."""
        from hf_transfer_score.drawing.export import image_of
        from hf_transfer_score.drawing.page import notebook_html
        from hf_transfer_score.drawing.points import picture_of

        image = image_of(self.plot(), "svg") if self.ranks else None
        return notebook_html(picture_of(self), self.answer, image)


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
