"""`choose`: from many candidates to one fine-tuned checkpoint within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group as FlagGroup
from cyclopts import Parameter

from hf_transfer_score.choosing.choose import choose as run_choose
from hf_transfer_score.choosing.history import Round
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.choosing.result import Choice
from hf_transfer_score.choosing.saving import check_target
from hf_transfer_score.choosing.start import estimate, prepare
from hf_transfer_score.cli import flags
from hf_transfer_score.cli.ending import FAILED, interrupted_status, leave_at_once, leaving_at_once
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Output, Page, Rendered, render, say, words, write
from hf_transfer_score.cli.progress import following
from hf_transfer_score.cli.tables import Note, forecast_group, forecast_legend, groups_text, notes_table, table_of
from hf_transfer_score.cli.tuning import TUNING, RaceFlags
from hf_transfer_score.drawing.files import check_plot_path
from hf_transfer_score.home import check_folder
from hf_transfer_score.hub.downloads import at_work
from hf_transfer_score.runs.report import Interrupted
from hf_transfer_score.sampling.sample import describe
from hf_transfer_score.text import joined, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

CHOOSING = FlagGroup("Choosing", sort_key=1.4)


@dataclass(frozen=True)
class ChoosingFlags:
    """What a choice may cost, and how sure it has to be.

    Attributes:
        budget: a time such as 20m or 2h, or "3 fine-tunings" of one candidate by the whole recipe.
        within: points of accuracy that do not matter to you.
        confidence: how sure it has to be that no candidate is better by more than that.
        first_rows: rows that each candidate reads first; the next step reads four times as many.
        looks: candidates whose weights are read at most; if there are more, those most likely to be the best.
        licenses: keep only candidates with one of these licences, separated by commas.
    """

    budget: str = "3 fine-tunings"
    within: float = 0.5
    confidence: float = 0.9
    first_rows: int = ChooseOptions.first_rows
    looks: int = ChooseOptions.looks
    licenses: Annotated[
        tuple[str, ...],
        Parameter(
            group=flags.MODELS,
            converter=flags.converted(flags.comma_list(str, "names separated by commas, such as mit,apache-2.0")),
            n_tokens=1,
        ),
    ] = ()


def choose(
    dataset: str,
    /,
    *,
    candidates: flags.CandidateFlags = flags.Candidates(),
    search: flags.AskedSearch = None,
    task: flags.TaskName = None,
    choosing: Annotated[ChoosingFlags, Parameter(name="*", group=CHOOSING)] = ChoosingFlags(),
    tuning: Annotated[RaceFlags, Parameter(name="*", group=TUNING)] = RaceFlags(),
    options: Annotated[flags.ChooseRunFlags, Parameter(name="*", group=flags.RUNNING)] = flags.ChooseRunFlags(),
    results: Annotated[list[str] | None, Parameter(group=CHOOSING, consume_multiple=True)] = None,
    save: Annotated[Path | None, Parameter(group=flags.OUTPUT)] = None,
    save_model: Annotated[Path | None, Parameter(group=flags.OUTPUT)] = None,
    push: Annotated[str | None, Parameter(group=flags.OUTPUT)] = None,
    plot: Annotated[Path | None, Parameter(group=flags.OUTPUT)] = None,
    dry_run: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    quiet: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    output: flags.Json = Output(),
) -> int:
    """Choose one of many checkpoints within a budget, and fine-tune it.

    All candidates read a few rows, then more, and those that are clearly worse are dropped. The finalists are
    fine-tuned in rounds, and the winner to the end. Its accuracy is measured on test rows that had no
    part in the choice. The answer says how sure it is, and what it cost.

    Ctrl-C gives the best answer so far. The same command resumes, and so does one with a larger budget.

    ```bash
    hf-transfer-score choose example --epochs 8 --learning-rates 1e-3,3e-3
    hf-transfer-score choose ethz/food101 --search dinov2 --limit 30 --budget 2h --save-model ./chosen
    hf-transfer-score choose banking77 --models-from models.txt --budget "3 fine-tunings" --dry-run
    ```

    Args:
        dataset: a dataset on the Hub, a folder or a file; or example, which ships with the package.
        task: the task of the dataset; by default inferred from its columns. With --search also the task under which
            models are listed.
        results: stored results for the forecast to use (folders, or OWNER/NAME on the Hub), in addition to those of
            earlier choices on this computer.
        save: write the records to this folder; by default to one that later choices read.
        save_model: write the winner's weights, a training script and a description to this folder.
        push: push the winner's weights, a model card and its record to this model repository on the Hub, OWNER/NAME,
            which is created if needed.
        plot: also draw the race (the learning curves of the finalists): .png, .svg or .html.
        dry_run: show what would be done and about how long it would take, then stop.
        quiet: print no progress.
    """
    how = tuning.made(ChooseOptions, options.extract.device, **vars(choosing))
    check_folder(save)
    check_folder(save_model)
    check_plot_path(plot)
    if push is not None:
        check_target(push)
    asked: dict[str, Any] = {
        "options": flags.rank_options(options, task, search),
        "how": how,
        "search": flags.search_of(search, task, options),
    }
    with leaving_at_once():
        try:
            with following(how, quiet=quiet) as heard:
                if dry_run:
                    found = estimate(prepare(dataset, candidates.names(), heard=heard, **asked))
                else:
                    choice = run_choose(
                        dataset, candidates.names(), heard=heard, results=results or (), save=save, **asked
                    )
        except Interrupted:
            leave_at_once("interrupted before anything could be compared: run the same command again to continue")
        if dry_run:
            output.show(lambda: asdict(found), lambda page: render([words(shown(one)) for one in found.lines()], page))
            return 0
        output.show(choice.as_dict, lambda page: choice_text(choice, page))
        _keep(choice, plot, save_model, push)
    if choice.interrupted:
        said = "interrupted: run the same command again to continue"
        if at_work():
            leave_at_once(said)
        say(said)
        return interrupted_status()
    if not output.json and choice.tested and save_model is None and push is None:
        write("\nTo keep the weights and a training script, run the same command with --save-model FOLDER.\n")
    return 0 if choice.tested else FAILED


def _keep(choice: Choice, plot: Path | None, save_model: Path | None, push: str | None) -> None:
    """Draw a choice, and save or push its weights, where asked for."""
    if plot is not None:
        choice.plot(plot)
        say(f"Drew {plot}")
    if save_model is not None and choice.tested:
        say(f"Saved the model to {choice.save_model(save_model)}")
    if push is not None and choice.tested:
        say(f"Pushed the model to {choice.push(push)}")


def choice_text(choice: Choice, page: Page) -> str:
    """Return a choice as text: the answer, its cost, the rounds, the candidates, and notes."""
    ranking = choice.ranking
    answer = words(with_flags(shown(choice.answer)))
    head: list[RenderableType] = [answer, words(choice.cost), "", *describe(ranking.sample), ""]
    without = {
        name: "failed" if one.status == "failed" else "dropped"
        for name, one in ranking.models.items()
        if name not in ranking.ranks
    }
    groups = [forecast_group(ranking)] if ranking.forecasts else []
    table = groups_text(list(ranking.models), groups, page, failed=without) if groups else Rendered("")
    told = {name for one in choice.history for name in one.gone}  # with the reason, in the table of rounds
    failed = [(name, one) for name, one in ranking.models.items() if one.status == "failed" and name not in told]
    notes = [Note("failed", f"{name}: {one.reason}") for name, one in failed]
    notes += [Note("warning", f"{one.name}: {text}") for one in choice.tested for text in one.result.notes]
    notes += [Note("note", text) for text in choice.notes]
    points = f"{choice.options.within:g} point{'' if choice.options.within == 1 else 's'}"
    sure = ("sure", f"chance that no candidate is better than the most promising one by more than {points}")
    legend = [forecast_legend(ranking, sure)] if ranking.forecasts else []
    head += [*rounds_table(choice.history), ""]
    return render(head, page) + table + render([*legend, *notes_table(notes)], page)


def rounds_table(history: Sequence[Round]) -> list[RenderableType]:
    """Return the rounds of a choice as a table; of comparisons that changed nothing in a row, the last."""
    table = table_of("round", ">left", ">sure", "spent", "dropped")
    table.columns[0].no_wrap = table.columns[3].no_wrap = True
    for number, one in enumerate(history):
        following = history[number + 1] if number + 1 < len(history) else None
        same = following and following.stage == one.stage and following.inside == one.inside and not one.gone
        if same and one.chance is not None:
            continue
        reasons: dict[str, list[str]] = {}
        for name, why in one.gone.items():
            reasons.setdefault(why, []).append(shown(name))
        table.add_row(
            one.words,
            "" if one.stage == "proof" else str(len(one.inside)),
            "" if one.chance is None else f"{one.chance:.0%}",
            one.spent,
            "; ".join(f"{joined(names)} ({with_flags(why)})" for why, names in reasons.items()),
        )
    return [table] if history else []
