"""What a choice would do, and about how long it would take: a few batches of models on this computer are timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_transfer_score.checkpoints.candidate import Search
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.looking import CHEAPEST
from hf_transfer_score.choosing.nested import part
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.choosing.start import Start, prepare
from hf_transfer_score.choosing.terms import compared_after
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.run import rank
from hf_transfer_score.text import joined, rough_duration, short_bytes

TIMED_ROWS, TIMED_MODELS = 32, 3


@dataclass(frozen=True)
class Estimate:
    """What a choice would do.

    Attributes:
        candidates: how many can be read.
        failed: how many cannot, as far as is known.
        download_bytes: bytes of weights that are not on this computer.
        ends: numbers of rows after which candidates are compared.
        rounds: epochs after which finalists are compared.
        rates: how many learning rates are raced.
        method: how finalists are trained.
        row_seconds: mean time of the forward pass of one example, over the models timed; None if none was.
        look_seconds: of the first look at all candidates.
        tuning_seconds: of fine-tuning one candidate by the whole recipe.
        budget: what it may cost, in words.
        budget_seconds: about how long it takes at most, without downloads.
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

    def lines(self) -> list[str]:
        """Return it in words."""
        failed = f" ({self.failed} more cannot be read)" if self.failed else ""
        rows = joined([f"{end:,}" for end in self.ends])
        found = [
            f"Candidates: {self.candidates}{failed}, at most {short_bytes(self.download_bytes)} to download.",
            f"Rows: candidates are compared after {rows} rows; those that are clearly worse are dropped.",
        ]
        if self.method == "probe":
            found.append("Race: a probe of each finalist is fitted on all rows.")
        else:
            epochs, rates = joined([str(one) for one in self.rounds]), f"{self.rates} learning rates"
            found.append(f"Race: finalists are fine-tuned at {rates} and compared after {epochs} epochs.")
        if self.look_seconds is None or self.tuning_seconds is None or self.budget_seconds is None:
            return [*found, "Time: not known, because no weights are on this computer yet that could be timed."]
        look, one = rough_duration(self.look_seconds), rough_duration(self.tuning_seconds)
        every = rough_duration(self.tuning_seconds * self.candidates)
        return [
            *found,
            f"Time: about {look} for a first look at all, {one} to fine-tune one, {every} to fine-tune all.",
            f"Budget: {self.budget}, at most about {rough_duration(self.budget_seconds)}.",
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
    """Return what `choose` with the same arguments would do; the sample is drawn, but no weights are downloaded."""
    start = prepare(dataset, models, options=options, how=how, search=search, heard=heard, folder=folder)
    inside = [model for model in start.plan.models if model.failure is None]
    row, recipe, budget = _row_seconds(start), start.recipe, start.budget
    tuning = None if row is None else row * start.rows_a_tuning
    most = budget.amount if budget.unit == "seconds" else None if tuning is None else budget.amount * tuning
    return Estimate(
        candidates=len(inside),
        failed=len(start.plan.models) - len(inside),
        download_bytes=start.plan.download_bytes,
        ends=tuple(start.ends),
        rounds=tuple(compared_after(recipe.epochs)),
        rates=len(recipe.learning_rates),
        method=recipe.method,
        row_seconds=row,
        look_seconds=None if row is None else row * start.ends[0] * len(inside),
        tuning_seconds=tuning,
        budget=str(budget),
        budget_seconds=most,
    )


def _row_seconds(start: Start) -> float | None:
    """Return the mean time of the forward pass of one example, over a few candidates that are on this computer."""
    here = [model.name for model in start.plan.models if model.state in ("cached", "on disk")][:TIMED_MODELS]
    if not here:
        return None
    start.heard.stage("timing a batch of each of a few models")
    rows = part(start.sample, 0, min(TIMED_ROWS, len(start.sample)))
    options = replace(start.options, replicates=0)
    timed = [start.typed[name] for name in here]
    found = rank(rows, timed, options=options, metrics=[CHEAPEST], headline=[CHEAPEST], folder=start.folder)
    made = [one.extraction for one in found.models.values()]
    took = [one["seconds"] / one["examples"] for one in made if one.get("seconds") and one.get("examples")]
    return sum(took) / len(took) if took else None
