"""What a run tells whoever watches it; nothing by default."""

from __future__ import annotations

from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.sampling.sample import LabelledSample


class Listener:
    """Hears how a run goes on. Every method may be overridden; all are called in the main process only."""

    def sampling(self, rows: int) -> None:
        """So many rows of the dataset were read."""

    def sampled(self, sample: LabelledSample) -> None:
        """The sample is there."""

    def planned(self, plan: Plan) -> None:
        """It is known what will be done."""

    def started(self, model: PlannedModel, number: int, count: int) -> None:
        """A candidate's turn has come; its number counts from 1."""

    def stage(self, model: PlannedModel, what: str) -> None:
        """A candidate is at a stage: "downloading", "loading", "running" or "scoring"."""

    def waiting(self, what: str) -> None:
        """Another process does the same work, and this one waits for it."""

    def examples(self, model: PlannedModel, count: int) -> None:
        """So many more examples went through the model."""

    def finished(self, model: PlannedModel, models: list[RankedModel]) -> None:
        """A candidate is done, well or not."""

    def ranking(self) -> None:
        """All candidates are done; what is left is the order and how sure it is."""
