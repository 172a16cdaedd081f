"""`choose`: from many candidates to one fine-tuned checkpoint within a budget."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group as FlagGroup
from cyclopts import Parameter

from hf_transfer_score.choosing.choose import choose as run_choose
from hf_transfer_score.choosing.estimate import Estimate, estimate
from hf_transfer_score.choosing.options import ChooseOptions, RacedMethod
from hf_transfer_score.choosing.pushing import check_target
from hf_transfer_score.choosing.race import summary
from hf_transfer_score.choosing.result import Choice
from hf_transfer_score.cli.choose_progress import following
from hf_transfer_score.cli.ending import FAILED, interrupted_status, leave_at_once, leaving_at_once
from hf_transfer_score.cli.flags import (
    DATASET,
    MODELS,
    OUTPUT,
    RUNNING,
    AskedSearch,
    CandidateFlags,
    Candidates,
    ChooseRunFlags,
    Json,
    TaskName,
    Whole,
    comma_list,
    converted,
    rank_options,
    search_of,
)
from hf_transfer_score.cli.forecast import forecast_group, forecast_legend
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Output, Page, render, say, words, write
from hf_transfer_score.cli.rank import check_folder
from hf_transfer_score.cli.tables import Note, groups_text, notes_table
from hf_transfer_score.cli.verify import check_adapters
from hf_transfer_score.drawing.files import check_plot_path
from hf_transfer_score.errors import OptionError
from hf_transfer_score.hub.downloads import at_work
from hf_transfer_score.runs.report import Interrupted
from hf_transfer_score.sampling.sample import describe
from hf_transfer_score.text import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

CHOOSING = FlagGroup("Choosing", sort_key=1.4)
TUNING = FlagGroup("Fine-tuning", sort_key=1.5)


@dataclass(frozen=True)
class ChoosingFlags:
    """What a choice may cost, and how sure it has to be.

    Attributes:
        budget: a time such as 20m or 2h, or "3 fine-tunings" of one candidate by the whole recipe.
        within: points of accuracy that do not matter.
        confidence: how sure it has to be that no candidate is better by more than that.
        first_rows: rows that each candidate is looked at by; four times as many come next.
        looks: candidates whose weights are read at most; of more, those that are most likely to be the best.
        licenses: leave out candidates with another licence; with commas.
    """

    budget: str = "3 fine-tunings"
    within: float = 0.5
    confidence: float = 0.9
    first_rows: int = ChooseOptions.first_rows
    looks: int = ChooseOptions.looks
    licenses: Annotated[
        tuple[str, ...],
        Parameter(
            group=MODELS, converter=converted(comma_list(str, "names with commas, such as mit,apache-2.0")), n_tokens=1
        ),
    ] = ()


@dataclass(frozen=True)
class RaceFlags:
    """How finalists are fine-tuned.

    Attributes:
        method: full trains everything, layer one block and the classifier, scl the same with a skip connection from
            that block to the last features, lora low-rank adapters (extra `lora`), probe a classifier on frozen
            features.
        test_split: without it one called test or validation that has labels, else the rows that the sample left.
        test_samples: test rows at most.
        epochs: passes at most; without it by modality.
        steps: optimiser steps at most.
        patience: stop a learning rate after so many passes without a gain on the validation rows; without it by
            modality.
        learning_rates: each is raced; with commas; without it by modality.
        train_batch_size: examples in a step; without it by modality.
        layer: block that layer and scl train: auto (smallest NC1), a name, or a number from 0.
        skip: width of the skip connection of scl: pad or interpolate.
        lora_rank: of the adapters of lora; without it 8.
        lora_alpha: what adapters count, divided by their rank; without it 16.
        precision: of training: auto (bfloat16 on CUDA), float32 or bfloat16.
    """

    method: RacedMethod = "full"
    test_split: Annotated[str | None, Parameter(group=DATASET)] = None
    test_samples: Annotated[int, Parameter(group=DATASET)] = ChooseOptions.test_samples
    epochs: int | None = None
    steps: int | None = None
    patience: Whole = None
    learning_rates: Annotated[
        tuple[float, ...] | None,
        Parameter(converter=converted(comma_list(float, "numbers with commas, such as 1e-4,1e-3")), n_tokens=1),
    ] = None
    train_batch_size: Whole = None
    layer: int | str | None = None
    skip: str | None = None
    lora_rank: Whole = None
    lora_alpha: float | None = None
    precision: str | None = None

    def options(self, choosing: ChoosingFlags, device: str | None) -> ChooseOptions:
        """Return the options; what is not said is left to the recipe of the modality."""
        if self.layer is not None and self.method not in ("layer", "scl"):
            raise OptionError(f"--layer is for the methods layer and scl, and {self.method} trains no single block.")
        if self.skip is not None and self.method != "scl":
            raise OptionError(f"--skip is for the method scl, and {self.method} has no skip connection.")
        check_adapters(self.method, self.lora_rank, self.lora_alpha)
        for name in ("epochs", "steps", "patience", "learning_rates", "train_batch_size"):
            if self.method == "probe" and getattr(self, name) is not None:
                flag = name.replace("_", "-")
                raise OptionError(f"--{flag} is for methods that train in passes, and a probe is fitted at once.")
        mine = {one.name for one in fields(ChooseOptions)}
        said = {name: value for name, value in (*vars(self).items(), *vars(choosing).items()) if value is not None}
        changes: dict[str, Any] = {name.removeprefix("train_"): one for name, one in said.items() if name not in mine}
        if device is not None:
            changes["device"] = device
        return ChooseOptions(changes=changes, **{name: value for name, value in said.items() if name in mine})


def choose(
    dataset: str,
    /,
    *,
    candidates: CandidateFlags = Candidates(),
    search: AskedSearch = None,
    task: TaskName = None,
    choosing: Annotated[ChoosingFlags, Parameter(name="*", group=CHOOSING)] = ChoosingFlags(),
    tuning: Annotated[RaceFlags, Parameter(name="*", group=TUNING)] = RaceFlags(),
    options: Annotated[ChooseRunFlags, Parameter(name="*", group=RUNNING)] = ChooseRunFlags(),
    results: Annotated[list[str] | None, Parameter(group=CHOOSING, consume_multiple=True)] = None,
    save: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    save_model: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    push: Annotated[str | None, Parameter(group=OUTPUT)] = None,
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    dry_run: Annotated[bool, Parameter(group=RUNNING)] = False,
    quiet: Annotated[bool, Parameter(group=RUNNING)] = False,
    output: Json = Output(),
) -> int:
    """Choose one of many checkpoints within a budget, and fine-tune it.

    Candidates are looked at by few rows, then by more, and those that are surely worse go. The finalists are fine-tuned
    in rounds of growing length, each going on from its own last state, and the last one to its end; test rows that had
    no part in the choice tell how good it is. The answer says how sure it is, and what it cost.

    Ctrl-C gives the best answer so far. The same command, or one with a larger budget, goes on where it was ended.

    ```bash
    hf-transfer-score choose example --epochs 8 --learning-rates 1e-3,3e-3
    hf-transfer-score choose ethz/food101 --search dinov2 --limit 30 --budget 2h --save-model ./chosen
    hf-transfer-score choose banking77 --models-from models.txt --budget "3 fine-tunings" --within 1 --dry-run
    ```

    Args:
        dataset: an id on the Hub, a folder or a file; or example, which ships with the package.
        task: what the dataset asks; without it told from its columns. In a search also the task under which models are
            listed.
        results: places of stored results (folders, OWNER/NAME on the Hub) that the forecast takes in, beside what
            earlier choices on this computer measured.
        save: write the records to this folder; without it to one that later choices read.
        save_model: write the winner's weights, a training script and a description to this folder.
        push: put the winner's weights with a card and its record into this repository of models on the Hub, OWNER/NAME;
            it is made where it is not there.
        plot: also draw the race, the learning curves of the finalists: .png, .svg or .html.
        dry_run: say what would be done and about how long it takes, and stop.
        quiet: say nothing on the error stream meanwhile.
    """
    how = tuning.options(choosing, options.extract.device)
    check_folder(save)
    check_folder(save_model)
    if plot is not None:
        check_plot_path(plot)
    if push is not None:
        check_target(push)
    asked: dict[str, Any] = {
        "options": rank_options(options, task, search),
        "how": how,
        "search": search_of(search, task, options),
    }
    with leaving_at_once():
        try:
            with following(how, quiet=quiet) as heard:
                if dry_run:
                    found = estimate(dataset, candidates.names(), heard=heard, **asked)
                else:
                    choice = run_choose(
                        dataset, candidates.names(), heard=heard, results=results or (), save=save, **asked
                    )
        except Interrupted:
            leave_at_once("interrupted before anything could be compared: run the same command again to go on")
        if dry_run:
            output.show(found.as_dict, lambda page: estimate_text(found, page))
            return 0
        output.show(choice.as_dict, lambda page: choice_text(choice, page))
        _keep(choice, plot, save_model, push)
    if choice.interrupted:
        said = "interrupted: run the same command again to go on"
        if at_work():
            leave_at_once(said)
        say(said)
        return interrupted_status()
    if not output.json and choice.tested and save_model is None and push is None:
        write("\nTo keep the weights and a training script: the same command with --save-model FOLDER\n")
    return 0 if choice.tested else FAILED


def _keep(choice: Choice, plot: Path | None, save_model: Path | None, push: str | None) -> None:
    """Draw a choice, and put its weights where they were asked for."""
    if plot is not None:
        choice.plot(plot)
        say(f"Drew {plot}")
    if save_model is not None and choice.tested:
        say(f"Saved the model to {choice.save_model(save_model)}")
    if push is not None and choice.tested:
        say(f"Put the model on {choice.push(push)}")


def choice_text(choice: Choice, page: Page) -> str:
    """Return a choice as text: the answer, what it cost, the rounds, the candidates, and notes."""
    ranking = choice.ranking
    rounds = [words(with_flags(summary(one, shown))) for one in choice.history]
    head: list[RenderableType] = [
        words(with_flags(shown(choice.answer))),
        words(choice.cost),
        "",
        *describe(ranking.sample),
        "",
        *rounds,
        "",
    ]
    without = {name: "went" if one.status != "failed" else "failed" for name, one in ranking.models.items()}
    without = {name: why for name, why in without.items() if name not in ranking.ranks}
    groups = [forecast_group(ranking)] if ranking.forecasts else []
    table = groups_text(list(ranking.models), groups, page, failed=without)
    notes = [Note("failed", f"{name}: {one.reason}") for name, one in ranking.models.items() if one.status == "failed"]
    notes += [Note("warning", f"{one.name}: {text}") for one in choice.tested for text in one.result.notes]
    notes += [Note("note", text) for text in choice.notes]
    legend = [forecast_legend(ranking)] if ranking.forecasts else []
    return render(head, page) + table + render([*legend, *notes_table(notes)], page)


def estimate_text(found: Estimate, page: Page) -> str:
    """Return what would be done as text."""
    return render([words(shown(line)) for line in found.lines()], page)
