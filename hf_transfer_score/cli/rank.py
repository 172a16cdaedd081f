"""`rank`: which checkpoint to fine-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hf_transfer_score.checkpoints.candidate import display_names, parse_candidates
from hf_transfer_score.choosing.adaptive import rank_adaptively
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.cli.adaptive import SaidRows, enough_rows
from hf_transfer_score.cli.ending import FAILED, is_main, leaving_at_once
from hf_transfer_score.cli.engine import EngineFlags, Engines
from hf_transfer_score.cli.flags import (
    DATASET,
    OUTPUT,
    RUNNING,
    SCORING,
    AskedSearch,
    CandidateFlags,
    Candidates,
    RankFlags,
    Ranking,
    Scoring,
    ScoringFlags,
    Table,
    TaskName,
    Whole,
    rank_options,
    search_of,
)
from hf_transfer_score.cli.output import Output, TableOutput, say, write
from hf_transfer_score.cli.progress import plan_facts, plan_text, watching
from hf_transfer_score.cli.ranking_text import report_csv, report_notes, report_text
from hf_transfer_score.drawing.words import Across
from hf_transfer_score.errors import NoSpaceError, OptionError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.home import EXAMPLE, EXAMPLE_CAUTION, example_checkpoints, example_dataset
from hf_transfer_score.ranking.answer import next_step
from hf_transfer_score.runs.plan import Plan
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.run import plan_rank
from hf_transfer_score.runs.run import rank as run_rank

if TYPE_CHECKING:
    pass

ALL_OF_EXAMPLE = """See how far that holds: fine-tune all ten (about a minute):
  hf-transfer-score verify example --seeds 0 --learning-rates 1e-3 --epochs 8
"""
OWN_DATASET = """Your own dataset:
  hf-transfer-score rank DATASET --models MODEL MODEL ...
"""


def rank(
    dataset: str,
    /,
    *,
    candidates: CandidateFlags = Candidates(),
    search: AskedSearch = None,
    task: TaskName = None,
    scoring: Scoring = ScoringFlags(),
    options: Ranking = RankFlags(),
    engines: Engines = EngineFlags(),
    results: Annotated[list[str] | None, Parameter(group=SCORING, consume_multiple=True)] = None,
    adaptive: Annotated[bool, Parameter(group=DATASET)] = False,
    first: Annotated[Whole, Parameter(group=DATASET)] = None,
    dry_run: Annotated[bool, Parameter(group=RUNNING)] = False,
    quiet: Annotated[bool, Parameter(group=RUNNING)] = False,
    strict: Annotated[bool, Parameter(group=RUNNING)] = False,
    terms: Annotated[bool, Parameter(group=OUTPUT)] = False,
    save: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    across: Annotated[Across, Parameter(group=OUTPUT)] = "parameters",
    output: Table = TableOutput(),
) -> int:
    """Rank checkpoints for a dataset.

    A sample of the dataset goes through each checkpoint once, and the features tell which is likely to be the best
    after fine-tuning, and how sure that is. Nothing is fine-tuned. Features are kept: a second call runs no model
    again. A checkpoint that cannot be scored is a row with the reason.

    ```bash
    hf-transfer-score rank example
    hf-transfer-score rank ethz/food101 --models timm/resnet50.a1_in1k facebook/dinov2-small
    hf-transfer-score rank banking77 --search minilm --max-params 50M --limit 5
    hf-transfer-score rank ./my_images --models-from models.txt --csv > ranking.csv
    hf-transfer-score rank data.parquet --models ./checkpoint-a ./checkpoint-b --plot ranking.png
    hf-transfer-score rank banking77 --models a/b c/d --engine ray --workers 4 --dry-run
    ```

    Args:
        dataset: an id on the Hub, a folder or a file (parquet, csv, json, arrow, folders of images or sound);
            or example, which ships with the package, with ten checkpoints that need not be named.
        task: what the dataset asks (image-classification, text-classification, token-classification,
            audio-classification, image-segmentation, *-regression); without it told from its columns. In a search also
            the task under which models are listed, such as fill-mask.
        results: places of stored results (folders, OWNER/NAME on the Hub) that the forecast takes in: how these and
            related models did on other datasets.
        adaptive: look at 256 rows, and at more only until the order is clear; a note says how many it took.
        first: with adaptive, until it is clear which models are the first so many.
        dry_run: show what would be downloaded and run, and stop.
        quiet: no plan and no progress on the error stream.
        strict: exit with status 1 where any candidate failed.
        terms: show what each metric says too, and the raw terms.
        save: also write records and the ranking as JSON to this folder.
        plot: also draw it: .png, .svg or .html.
        across: draw it against parameters, or throughput: the examples that models read a second here.
    """
    metrics = scoring.configured()
    until = enough_rows(adaptive, first, scoring, engines)
    if plot is not None:
        from hf_transfer_score.drawing.files import check_plot_path

        check_plot_path(plot)
    check_folder(save)
    asked = Typed.of(dataset, candidates.names())
    with leaving_at_once(), engines.opened() as engine:
        call = plan_rank if dry_run else partial(run_rank, results=results or (), engine=engine)
        try:
            with watching(quiet=quiet or dry_run or not is_main()) as listener:
                shared: dict[str, Any] = {
                    "options": rank_options(options, task, search),
                    "search": search_of(search, task, options),
                }
                if until is not None and not dry_run:
                    heard = ChooseListener() if quiet else SaidRows()
                    result: Plan | RankReport = rank_adaptively(
                        dataset, candidates.names(), until=until, heard=heard, results=results or (), **shared
                    )
                else:
                    result = call(
                        dataset,
                        candidates.names(),
                        metrics=metrics,
                        headline=scoring.headline,
                        listener=listener,
                        **shared,
                    )
        except Interrupted as error:
            if is_main():
                _finish(asked, error.report, output, terms=terms, save=save, plot=plot, across=across)
            raise
        status = 0
        if isinstance(result, Plan):
            Output(output.json).show(lambda: plan_facts(result), lambda page: plan_text(result, page, reasons=True))
        elif is_main():
            status = _finish(asked, result, output, terms=terms, save=save, plot=plot, across=across)
            if strict and any(one.status == "failed" for one in result.models.values()):
                status = FAILED
    Processes.current().leave()
    return status


def check_folder(save: Path | None) -> None:
    """Refuse to write records where a file is."""
    if save is not None and save.exists() and not save.is_dir():
        raise OptionError(f"{save} is a file; name a folder for the records.")


@dataclass(frozen=True)
class Typed:
    """What was typed, for commands to go on with.

    Attributes:
        dataset: the dataset.
        models: the models by the names that a ranking calls them by.
    """

    dataset: str
    models: Mapping[str, str]

    @classmethod
    def of(cls, dataset: str, models: Sequence[str]) -> Typed:
        """Return the words of a command."""
        found = parse_candidates(models or ([EXAMPLE] if example_dataset(dataset) is not None else []))
        return cls(dataset, dict(zip(display_names(found), map(str, found), strict=True)))


def _finish(
    asked: Typed,
    report: RankReport,
    output: TableOutput,
    *,
    terms: bool,
    save: Path | None,
    plot: Path | None,
    across: Across,
) -> int:
    """Print the report in the form asked for, write the files asked for, and return the exit status."""
    toy = example_dataset(asked.dataset) is not None
    step = None if toy else next_step(report, asked.dataset, asked.models)
    output.show_table(
        report.as_dict,
        lambda page: report_text(report, page, terms=terms, step=step),
        lambda: report_csv(report, terms=terms),
        lambda: report_notes(report),
    )
    if save is not None:
        count = report.save(save)
        say(f"Saved {count} records to {save}")
    if plot is not None:
        report.plot(plot, across)
        say(f"Drew {plot}")
    if toy and not (output.json or output.csv):
        every = len(report.ranks) == len(example_checkpoints(EXAMPLE))
        write(f"\n{EXAMPLE_CAUTION.capitalize()}.\n{ALL_OF_EXAMPLE if every else ''}{OWN_DATASET}")
    full = next((str(one.reason) for one in report.models.values() if one.kind == "no_space"), None)
    if full is not None:
        raise NoSpaceError(full)
    return 0 if report.ranks else FAILED
