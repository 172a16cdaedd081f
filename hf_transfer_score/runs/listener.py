"""The progress events of a run."""

from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.sampling.sample import LabelledSample


class Listener:
    """Is told how a run proceeds. Any method can be overridden; they are called in the main process only."""

    def sampling(self, rows: int) -> None:
        """Called with the number of rows of the dataset read so far."""

    def sampled(self, sample: LabelledSample) -> None:
        """Called when the sample is drawn."""

    def planned(self, plan: Plan) -> None:
        """Called when the plan is made."""

    def started(self, model: PlannedModel, number: int, count: int) -> None:
        """Called when a candidate starts; its number counts from 1."""

    def stage(self, model: PlannedModel, what: str) -> None:
        """Called when a candidate reaches a stage: "downloading", "loading", "running" or "scoring"."""

    def waiting(self, what: str) -> None:
        """Called when this process waits for another one that does the same work."""

    def examples(self, model: PlannedModel, count: int) -> None:
        """Called when `count` more examples have gone through the model."""

    def finished(self, model: PlannedModel, models: list[RankedModel]) -> None:
        """Called when a candidate is done or has failed."""

    def ranking(self) -> None:
        """Called when all candidates are done, before the ranking is computed."""
