"""`rank`: which checkpoint to fine-tune."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.checkpoints.candidate import display_names
from hf_transfer_score.choosing.adaptive import AdaptiveOptions, rank_adaptively
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.cli import flags
from hf_transfer_score.cli.ending import FAILED, is_main, leaving_at_once
from hf_transfer_score.cli.naming import typed_flags
from hf_transfer_score.cli.output import Output, TableOutput, say, write
from hf_transfer_score.cli.progress import plan_facts, plan_text, watching
from hf_transfer_score.cli.ranking_text import report_csv, report_notes, report_text
from hf_transfer_score.drawing.files import check_plot_path
from hf_transfer_score.drawing.words import Across
from hf_transfer_score.engines.base import HERE
from hf_transfer_score.errors import NoSpaceError, OptionError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.home import EXAMPLE, EXAMPLE_CAUTION, check_folder, example_checkpoints, example_dataset
from hf_transfer_score.ranking.answer import next_step
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import Plan
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.run import named_candidates, plan_rank
from hf_transfer_score.runs.run import rank as run_rank

ALL_OF_EXAMPLE = """To check this ranking, fine-tune all ten (about a minute):
  hf-transfer-score verify example --seeds 0 --learning-rates 1e-3 --epochs 8
"""
OWN_DATASET = """For your own dataset:
  hf-transfer-score rank DATASET --models MODEL MODEL ...
"""


def rank(
    dataset: str,
    /,
    *,
    candidates: flags.CandidateFlags = flags.Candidates(),
    search: flags.AskedSearch = None,
    task: flags.TaskName = None,
    scoring: flags.Scoring = flags.ScoringFlags(),
    options: flags.Ranking = flags.RankFlags(),
    engines: flags.Engines = flags.EngineFlags(),
    results: Annotated[list[str] | None, Parameter(group=flags.SCORING, consume_multiple=True)] = None,
    adaptive: Annotated[bool, Parameter(group=flags.DATASET)] = False,
    first: Annotated[flags.Whole, Parameter(group=flags.DATASET)] = None,
    dry_run: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    quiet: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    strict: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    terms: Annotated[bool, Parameter(group=flags.OUTPUT)] = False,
    save: Annotated[Path | None, Parameter(group=flags.OUTPUT)] = None,
    plot: Annotated[Path | None, Parameter(group=flags.OUTPUT)] = None,
    across: Annotated[Across, Parameter(group=flags.OUTPUT)] = "parameters",
    output: flags.Table = TableOutput(),
) -> int:
    """Rank checkpoints for a dataset.

    Each checkpoint reads a sample of the dataset once. Its features predict which checkpoint is likely to be the best
    after fine-tuning, and how sure that is. Nothing is fine-tuned. Features are kept, so a second call
    runs no model again. A checkpoint that cannot be scored is listed with the reason.

    ```bash
    hf-transfer-score rank example
    hf-transfer-score rank ethz/food101 --models timm/resnet50.a1_in1k facebook/dinov2-small
    hf-transfer-score rank banking77 --search minilm --max-params 50M --limit 5
    hf-transfer-score rank ./my_images --models-from models.txt --csv > ranking.csv
    hf-transfer-score rank data.parquet --models ./checkpoint-a ./checkpoint-b --plot ranking.png
    hf-transfer-score rank banking77 --models a/b c/d --engine ray --workers 4 --dry-run
    ```

    Args:
        dataset: a dataset on the Hub, a folder or a file (parquet, csv, json, arrow, folders of images or sounds);
            or example, which ships with ten checkpoints.
        task: the task of the dataset (image-classification, text-classification, token-classification,
            audio-classification, image-segmentation, *-regression); by default inferred from its columns. With
            --search also the task under which models are listed, such as fill-mask.
        results: stored results for the forecast to use (folders, or OWNER/NAME on the Hub): how these and related
            models did on other datasets.
        adaptive: read 256 rows, and more only until the order is clear; a note says how many.
        first: with --adaptive, stop as soon as the first N models are clear, in any order.
        dry_run: show what would be downloaded and run, then stop.
        quiet: print no plan and no progress.
        strict: exit with status 1 if any candidate failed.
        terms: also show the ranks, scores and raw terms of each metric.
        save: also write the records and the ranking (JSON) to this folder.
        plot: also draw a chart: .png, .svg or .html.
        across: x axis of the chart: parameters, or throughput (examples per second on this computer).
    """
    metrics = scoring.configured()
    until = _enough_rows(adaptive, first, scoring, engines)
    check_plot_path(plot)
    if across != "parameters" and plot is None:
        raise OptionError("--across is for --plot, which draws the chart.")
    check_folder(save)
    names, stored = candidates.names(), results or ()
    shared: dict[str, Any] = {
        "options": flags.rank_options(options, task, search),
        "search": flags.search_of(search, task, options),
    }
    asked = Typed.of(dataset, names, _same_flags(shared["options"]))
    finish = partial(_finish, asked, output=output, terms=terms, save=save, plot=plot, across=across)
    usual = {"metrics": metrics, "headline": scoring.headline, **shared}
    with leaving_at_once(), engines.opened() as engine:
        try:
            with watching(quiet=quiet or dry_run or not is_main()) as listener:
                result: Plan | RankReport
                if dry_run:
                    result = plan_rank(dataset, names, listener=listener, **usual)
                elif until is None:
                    result = run_rank(dataset, names, listener=listener, results=stored, engine=engine, **usual)
                else:
                    heard = ChooseListener() if quiet else SaidRows()
                    result = rank_adaptively(dataset, names, until=until, heard=heard, results=stored, **shared)
        except Interrupted as error:
            if is_main():
                finish(error.report)
            raise
        status = 0
        if isinstance(result, Plan):
            Output(output.json).show(lambda: plan_facts(result), lambda page: plan_text(result, page, reasons=True))
        elif is_main():
            status = finish(result)
            if strict and any(one.status == "failed" for one in result.models.values()):
                status = FAILED
    Processes.current().leave()
    return status


class SaidRows(ChooseListener):
    """Prints once how many rows are being read."""

    def __init__(self) -> None:
        self._said = ""

    def stage(self, words: str) -> None:
        """Print the number of rows when it changes."""
        rows = words.partition(":")[0]
        if rows != self._said:
            say(f"reading {rows}")
        self._said = rows


def _enough_rows(
    adaptive: bool, first: int | None, scoring: flags.ScoringFlags, engines: flags.EngineFlags
) -> AdaptiveOptions | None:
    """Return when there are enough rows; None where all are read."""
    if not adaptive:
        if first is not None:
            raise OptionError("--first is for --adaptive: without it, all rows are read.")
        return None
    if scoring != flags.ScoringFlags() or engines.engine != HERE:
        raise OptionError("--adaptive uses the forecast of the default metrics, in this process: leave out the others.")
    return AdaptiveOptions(first)


@dataclass(frozen=True)
class Typed:
    """The dataset, the models by their name in the ranking, and the flags, as typed, for the next command."""

    dataset: str
    models: Mapping[str, str]
    words: Sequence[str]

    @classmethod
    def of(cls, dataset: str, models: Sequence[str], words: Sequence[str]) -> Typed:
        """Return the words of a command."""
        found = named_candidates(dataset, models)
        return cls(dataset, dict(zip(display_names(found), map(str, found), strict=True)), words)

    def next_step(self, report: RankReport) -> str | None:
        """Return the command that measures what a ranking leaves open, on the same sample."""
        step = next_step(report, self.dataset, self.models)
        return step and " ".join([step, *map(shlex.quote, self.words)])


def _same_flags(options: RankOptions) -> list[str]:
    """Return the flags that decide what a checkpoint reads, of those that `verify` takes too."""
    read = replace(options.backbone, layer=BackboneOptions.layer, subword=BackboneOptions.subword)
    trusted = {"--trust-remote-code": options.trust_remote_code, "--allow-pickle": options.allow_pickle}
    words = [word for flag, models in trusted.items() for model in models for word in (flag, model)]
    return [*typed_flags(options.sample, read, options.extract), *words]


def _finish(
    asked: Typed,
    report: RankReport,
    *,
    output: TableOutput,
    terms: bool,
    save: Path | None,
    plot: Path | None,
    across: Across,
) -> int:
    """Print the report, write the files asked for, and return the exit status."""
    toy = example_dataset(asked.dataset) is not None
    step = None if toy else asked.next_step(report)
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
