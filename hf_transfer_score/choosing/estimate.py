"""What a choice would do and about how long it would take, by timed batches of what is on this computer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hf_transfer_score.checkpoints.candidate import Search
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.looking import CHEAPEST
from hf_transfer_score.choosing.nested import part
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.choosing.race import Terms
from hf_transfer_score.choosing.start import Start, prepare
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.run import rank
from hf_transfer_score.text import rough_duration, short_bytes

TIMED_ROWS, TIMED_MODELS = 32, 3


@dataclass(frozen=True)
class Estimate:
    """What a choice would do.

    Attributes:
        candidates: that can be looked at.
        failed: that cannot, as is known already.
        download_bytes: bytes of weights that are not here.
        ends: after how many rows candidates are compared.
        rounds: passes after which finalists are compared.
        rates: learning rates that are raced.
        method: what is done with finalists.
        row_seconds: of the forward pass of an example, on average over those that were timed; None where none was.
        look_seconds: of the first look at all candidates.
        tuning_seconds: of fine-tuning one candidate by the whole recipe.
        budget: what it may cost, in words.
        budget_seconds: about how long it takes at most, downloads not counted.
    """

    candidates: int
    failed: int
    download_bytes: int
    ends: tuple[int, ...]
    rounds: tuple[int, ...]
    rates: int
    method: str
    row_seconds: float | None
    look_seconds: float | None
    tuning_seconds: float | None
    budget: str
    budget_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it in words."""
        rows = ", ".join(f"{end:,}" for end in self.ends)
        passes = ", ".join(map(str, self.rounds))
        download = short_bytes(self.download_bytes)
        found = [
            f"{self.candidates} candidates ({self.failed} more cannot be read), {download} to download at most.",
            f"Rows: all are compared after {rows} rows, and who is surely worse goes.",
            "Race: a probe of each finalist is fitted on all rows."
            if self.method == "probe"
            else f"Race: finalists are compared after {passes} passes, at {self.rates} learning rates each.",
        ]
        if self.look_seconds is None or self.tuning_seconds is None or self.budget_seconds is None:
            return [*found, "How long that takes is not known: no weights are here yet that could be timed."]
        look, one = rough_duration(self.look_seconds), rough_duration(self.tuning_seconds)
        every = rough_duration(self.tuning_seconds * self.candidates)
        return [
            *found,
            f"The first look at all takes about {look}, one fine-tuning about {one}, and all of them about {every}.",
            f"The budget of {self.budget} is about {rough_duration(self.budget_seconds)} at most.",
        ]


def estimate(
    dataset: Any,
    models: Sequence[str] = (),
    *,
    options: RankOptions | None = None,
    how: ChooseOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: Path | None = None,
) -> Estimate:
    """Return what `choose` with the same arguments would do; the sample is drawn, and no weights are downloaded."""
    start = prepare(dataset, models, options=options, how=how, search=search, heard=heard, folder=folder)
    inside = [model for model in start.plan.models if model.failure is None]
    row, recipe, budget = _row_seconds(start), start.recipe, start.budget
    tuning = None if row is None else row * start.rows_a_pass * start.passes_a_tuning
    most = budget.amount if budget.unit == "seconds" else None if tuning is None else budget.amount * tuning
    terms = Terms(recipe.epochs, recipe.learning_rates, start.how.within, start.how.confidence, budget)
    return Estimate(
        len(inside),
        len(start.plan.models) - len(inside),
        start.plan.download_bytes,
        tuple(start.ends),
        tuple(terms.rounds),
        len(recipe.learning_rates),
        recipe.method,
        row,
        None if row is None else row * start.ends[0] * len(inside),
        tuning,
        str(budget),
        most,
    )


def _row_seconds(start: Start) -> float | None:
    """Return how long the forward pass of an example takes, on average over a few candidates that are here."""
    here = [model.name for model in start.plan.models if model.state in ("cached", "on disk")][:TIMED_MODELS]
    if not here:
        return None
    start.heard.stage("timing a batch of each of a few models")
    rows = part(start.sample, 0, min(TIMED_ROWS, len(start.sample)))
    options = replace(start.options, replicates=0)
    timed = [start.typed[name] for name in here]
    found = rank(rows, timed, options=options, metrics=[CHEAPEST], headline=[CHEAPEST], folder=start.folder)
    took = [
        one.extraction["seconds"] / one.extraction["examples"]
        for one in found.models.values()
        if one.extraction.get("seconds") and one.extraction.get("examples")
    ]
    return sum(took) / len(took) if took else None
