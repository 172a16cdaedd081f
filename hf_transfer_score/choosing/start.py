"""A choice before any weights are read: the rows, the candidates, and where finished steps are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.looking import typed_names
from hf_transfer_score.choosing.nested import nested, part, steps
from hf_transfer_score.choosing.options import GROWTH, Budget, ChooseOptions
from hf_transfer_score.choosing.trainer import Journal, pass_cost
from hf_transfer_score.errors import OptionError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import codes_of, split_rows
from hf_transfer_score.home import home
from hf_transfer_score.runs.fitting import check_trainable
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import Plan
from hf_transfer_score.runs.rows import training_and_test
from hf_transfer_score.runs.run import named_candidates, plan_rank
from hf_transfer_score.sampling.sample import LabelledSample


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
    options, sample, test = training_and_test(
        dataset, options, how, folder, ordered=lambda drawn: nested(drawn, choices / f"{drawn.fingerprint}.arrow")
    )
    recipe = how.recipe_for(sample.task.modality)
    codes, _, _ = codes_of(sample, test)
    split_rows(codes, recipe.validation_share, how.seed)  # labels that cannot be divided fail here, not once a model
    heard.stage("looking up the models")
    first = part(sample, 0, steps(sample, how.first_rows, GROWTH)[0])
    plan = plan_rank(first, models, options=options, search=search, folder=folder)
    same = {**asdict(recipe), "learning_rates": None, "device": None}
    about = json.dumps([sample.fingerprint, test.fingerprint, same, how.seed, options.backbone.plain()], sort_keys=True)
    journal = Journal(folder / "choices" / hashlib.blake2b(about.encode(), digest_size=12).hexdigest())
    return Start(sample, test, plan, typed_names(models, plan), recipe, options, how, folder, journal, heard)
