"""A choice before any weights are read: its rows and candidates, where steps are kept, and what it would do."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.choosing.evidence import compared_after
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.looking import CHEAPEST, typed_names
from hf_transfer_score.choosing.nested import nested, part, steps
from hf_transfer_score.choosing.options import GROWTH, Budget, ChooseOptions
from hf_transfer_score.choosing.trainer import Journal, pass_cost
from hf_transfer_score.errors import OptionError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import codes_of, split_rows, training_and_test
from hf_transfer_score.home import home
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.runs.options import RankOptions, check_trainable
from hf_transfer_score.runs.plan import Plan
from hf_transfer_score.runs.run import named_candidates, plan_rank, rank
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.sampling.sources import local_path
from hf_transfer_score.text import counted, joined, rough_duration, short_bytes


@dataclass(frozen=True)
class Start:
    """A choice before any weights are read."""

    sample: LabelledSample
    test: LabelledSample
    plan: Plan
    typed: Mapping[str, Any]
    recipe: Recipe
    options: RankOptions
    how: ChooseOptions
    folder: Path
    journal: Journal
    heard: ChooseListener
    named: str | None

    @property
    def budget(self) -> Budget:
        """What everything may cost."""
        return Budget.of(self.how.budget)

    @property
    def ends(self) -> list[int]:
        """After how many rows candidates are compared."""
        found = steps(self.sample, self.how.first_rows, GROWTH)
        return found[:-1] or found if self.recipe.method == "probe" else found  # a probe reads all rows itself

    @property
    def rows_a_tuning(self) -> int:
        """Forward passes of one example that cost as much as the whole recipe at all its learning rates."""
        return pass_cost(self.recipe, len(self.sample)) * self.passes_a_tuning

    @property
    def passes_a_tuning(self) -> int:
        """Epochs of the whole recipe at all its learning rates."""
        return self.recipe.epochs * len(self.recipe.learning_rates)


def prepare(
    dataset: Any,
    models: Models,
    *,
    options: RankOptions | None = None,
    how: ChooseOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: str | Path | None = None,
) -> Start:
    """Return a choice before any weights are read; the arguments are those of `choose`."""
    options, how, heard = options or RankOptions(), how or ChooseOptions(), heard or ChooseListener()
    folder = Path(folder or home())
    if Processes.current().count > 1:
        raise OptionError("choose fine-tunes in one process: start it without a launcher.")
    check_trainable(options)
    models = named_candidates(dataset, models, search)
    heard.stage("reading the dataset")
    choices = folder / "choices"
    with quiet_client():
        asked, sample, test = training_and_test(
            dataset,
            options.sample,
            split=how.test_split,
            count=how.test_samples,
            ordered=lambda drawn: nested(drawn, choices / f"{drawn.fingerprint}.arrow"),
            folder=folder / "samples",
            refresh=options.refresh,
        )
    options = replace(options, sample=asked)
    recipe = how.recipe_for(sample.task.modality)
    codes, _, _ = codes_of(sample, test)
    split_rows(codes, recipe.validation_share, how.seed)  # labels that cannot be divided fail here, not once a model
    heard.stage("looking up the models")
    first = part(sample, 0, steps(sample, how.first_rows, GROWTH)[0])
    plan = plan_rank(first, models, options=options, search=search, folder=folder)
    same = {**asdict(recipe), "learning_rates": None, "device": None}
    about = json.dumps([sample.fingerprint, test.fingerprint, same, how.seed, options.backbone.plain()], sort_keys=True)
    journal = Journal(folder / "choices" / hashlib.blake2b(about.encode(), digest_size=12).hexdigest())
    place = local_path(dataset) if isinstance(dataset, (str, Path)) else None
    named = str(place.resolve()) if place else dataset if isinstance(dataset, str) else None
    typed = typed_names(models, plan)
    return Start(sample, test, plan, typed, recipe, options, how, folder, journal, heard, named)


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
            epochs, rates = joined([str(one) for one in self.rounds]), counted(self.rates, "learning rate")
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


def estimate(start: Start) -> Estimate:
    """Return what a choice would do that begins like this; no weights are downloaded."""
    inside = [model for model in start.plan.models if model.failure is None]
    row, recipe, budget = _row_seconds(start), start.recipe, start.budget
    tuning = None if row is None else row * start.rows_a_tuning
    look = None if row is None else row * start.ends[0] * len(inside)
    most = budget.amount if budget.unit == "seconds" else None if tuning is None else budget.amount * tuning
    if row is not None and most is not None and look is not None and tuning is not None:
        whole = len(inside) * (row * start.ends[-1] + tuning)  # the winner is trained to the end in any case
        most = min(max(most, look + tuning / len(recipe.learning_rates)), whole)
    return Estimate(
        candidates=len(inside),
        failed=len(start.plan.models) - len(inside),
        download_bytes=start.plan.download_bytes,
        ends=tuple(start.ends),
        rounds=tuple(compared_after(recipe.epochs)),
        rates=len(recipe.learning_rates),
        method=recipe.method,
        row_seconds=row,
        look_seconds=look,
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
