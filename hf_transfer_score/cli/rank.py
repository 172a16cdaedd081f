"""`rank`: which checkpoint to fine-tune."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from hf_transfer_score.cli.forecast import FORECAST_HEADER, forecast_cells, forecast_group, forecast_legend
from hf_transfer_score.cli.output import Output, Page, TableOutput, render, say, words, write
from hf_transfer_score.cli.progress import plan_facts, plan_text, watching
from hf_transfer_score.cli.tables import (
    MISSING,
    Group,
    Note,
    best_of,
    groups_text,
    metric_group,
    notes_table,
    score_notes,
)
from hf_transfer_score.drawing.words import Across
from hf_transfer_score.errors import NoSpaceError, OptionError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.home import EXAMPLE, EXAMPLE_CAUTION, example_dataset
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.answer import next_step
from hf_transfer_score.ranking.models import RankedModel, is_baseline
from hf_transfer_score.runs.plan import Plan
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.run import plan_rank
from hf_transfer_score.runs.run import rank as run_rank
from hf_transfer_score.sampling.sample import sample_line
from hf_transfer_score.text import Cell, csv_text, duration, joined, short_count, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

TELLING = 0.8
"""From this agreement with a trivial baseline on, the table says that the order adds little to it."""
LEAST_COMPARED = 4

AFTER_EXAMPLE = f"""
{EXAMPLE_CAUTION.capitalize()}.
See how far that holds: fine-tune all ten (about a minute):
  hf-transfer-score verify example --seeds 0 --learning-rates 1e-3 --epochs 8
Your own dataset:
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
        write(AFTER_EXAMPLE)
    full = next((str(one.reason) for one in report.models.values() if one.kind == "no_space"), None)
    if full is not None:
        raise NoSpaceError(full)
    return 0 if report.ranks else FAILED


def report_text(report: RankReport, page: Page, *, terms: bool = False, step: str | None = None) -> str:
    """Return a ranking as text: the answer, a row a model, what to know of them, and the next command."""
    table = _table(report, page, terms=terms)
    return render([words(shown(report.answer)), ""], page) + table + step_text(step, page)


def step_text(step: str | None, page: Page) -> str:
    """Return the next command on a line of its own, so that it can be copied; nothing where there is none."""
    return (
        ""
        if step is None
        else render(["", "To be surer, fine-tune those that may be the best:"], page) + f"  {shown(step)}\n"
    )


def _table(report: RankReport, page: Page, *, terms: bool) -> str:
    groups = [_places(report)]
    if terms or not report.forecasts:
        groups += [metric_group(report, name, terms=terms) for name in report.pools if not is_baseline(name)]
        groups.append(_baselines(report))
    groups.append(_facts(report, narrow=bool(report.forecasts) and not terms))
    without = {name: one.status for name, one in report.models.items() if one.status != "ok"}
    table = groups_text(list(report.models), [group for group in groups if group.headers], page, failed=without)
    below = [*_captions(report), *(_speed(report) if terms or not report.forecasts else [])]
    return table + render([*below, *notes_table(report_notes(report))], page)


def _places(report: RankReport) -> Group:
    """Return rank, its range, the tie group and the mean rank; chance and points where there is a forecast."""
    if report.forecasts:
        return forecast_group(report)  # of a single model its probe alone: there is nothing to be the best of
    sure = report.confidence
    headers = ["rank", *(["range", "tie"] if sure else []), *(["mean"] if len(report.headline) > 1 else [])]
    cells, letters = {}, report.tie_letters
    for name, rank in report.ranks.items():
        row = [str(rank)]
        if sure:
            low, high = report.range_of(name)
            row += [f"{low}-{high}" if high > low else str(low), letters[name]]
        if len(report.headline) > 1:
            row.append(f"{report.mean_ranks[name]:.1f}")
        cells[name] = tuple(row)
    return Group("", tuple(headers), cells, best_of(report.ranks))


def _baselines(report: RankReport) -> Group:
    """Return the ranks that trivial baselines would give."""
    names = [name for name in report.pools if is_baseline(name)]
    short = {"parameter_count": "params", "feature_width": "width", "random_order": "random"}
    cells = {
        model: tuple(str(report.pools[name].ranks.get(model, MISSING)) for name in names) for model in report.ranks
    }
    return Group("baseline ranks", tuple(short.get(name, name) for name in names), cells)


def _facts(report: RankReport, *, narrow: bool) -> Group:
    headers = ("params", "time") if narrow else FACTS
    facts = {name: dict(zip(FACTS, _fact(one), strict=True)) for name, one in report.models.items() if one.scores}
    return Group(
        "" if narrow else "model", headers, {name: tuple(one[h] for h in headers) for name, one in facts.items()}
    )


FACTS = ("params", "width", "per s", "ms", "time")


def _fact(one: RankedModel) -> tuple[str, ...]:
    seconds = one.extraction.get("seconds")
    time = "cached" if one.from_cache else MISSING if seconds is None else duration(seconds)
    return (
        _count(one.parameters),
        MISSING if one.width is None else str(one.width),
        *(MISSING if value is None else short_count(value) for value in (one.throughput, one.milliseconds)),
        time,
    )


def _count(value: int | None) -> str:
    return MISSING if value is None else short_count(value)


def _captions(report: RankReport) -> list[RenderableType]:
    if not report.ranks:
        return ["No model could be ranked."]
    ranked = f"{len(report.ranks)} of {len(report.models)} models ranked on {sample_line(report.sample)}"
    if report.forecasts:
        legend = [forecast_legend(report)] if len(report.ranks) > 1 else []
        return [words(f"{ranked}."), *legend]
    lines = [f"{ranked}, in the order of the {'mean ' * (len(report.headline) > 1)}rank of {joined(report.headline)}."]
    if report.confidence and len(report.ranks) > 1:
        sure = report.confidence
        lines.append(
            f"Models that cannot be told apart on this sample share a rank, and a letter under tie; ranges hold the "
            f"place in {sure.level:.0%} of {sure.replicates} bootstrap samples."
        )
    return [words(" ".join(lines))]


def _speed(report: RankReport) -> list[RenderableType]:
    """Return what the columns of speed say, and of which machines; nothing where nothing was measured."""
    where: dict[str, dict[str, None]] = {}
    for one in report.models.values():
        if one.throughput is not None:
            way = f"{one.extraction['dtype']} by {one.extraction['runtime']}"
            where.setdefault(one.measured_here["machine"], {})[way] = None
    told = "per s: examples a second in batches; ms: milliseconds for one example alone; without reading and decoding"
    machines = "; ".join(f"{machine}, in {', '.join(ways)}" for machine, ways in where.items())
    return [words(shown(f"{told}. On {machines}."))] if where else []


def report_notes(report: RankReport) -> list[Note]:
    """Return what to know before trusting a ranking."""
    return [
        *score_notes(replace(report, models={name: _told(one) for name, one in report.models.items()})),
        *(Note("note", note) for note in report.notes),
        *_agreements(report),
    ]


def _told(one: RankedModel) -> RankedModel:
    """Return a model without the baselines that nothing is known for."""
    if one.scores is None:
        return one
    told = {name: result for name, result in one.results.items() if result.terms or not is_baseline(name)}
    return replace(one, scores=replace(one.scores, results=told))


def _agreements(report: RankReport) -> Iterable[Note]:
    """Yield the baselines whose order is much like the ranking."""
    models = list(report.mean_ranks)
    for name in filter(is_baseline, report.pools):
        pool = report.pools[name]
        if len(models) < LEAST_COMPARED or pool.flags or any(model not in pool.scores for model in models):
            continue
        agreement = weighted_kendall(
            [-report.mean_ranks[model] for model in models], [pool.scores[model] for model in models]
        )
        if agreement >= TELLING:
            yield Note("note", f"the order is much like that of {name} (weighted Kendall {agreement:.2f})")


HEADER = (
    "model", "status", "rank", "rank_low", "rank_high", *FORECAST_HEADER,
    "tie_group", "mean_rank", "commit", "library", "parameters",
    "width", "examples_per_second", "example_milliseconds", "machine", "seconds", "license", "downloads",
)  # fmt: skip


def report_csv(report: RankReport, *, terms: bool = False) -> str:
    """Return a row a model, with METRIC.rank, METRIC.score and, with `terms`, METRIC.term.NAME."""
    header = [*HEADER]
    for metric, names in _terms(report).items():
        header += [f"{metric}.rank", f"{metric}.score", *(f"{metric}.term.{term}" for term in names if terms)]
    rows = (_row(report, name, one, terms) for name, one in report.models.items())
    return csv_text([*header, "kind", "reason"], rows)


def _row(report: RankReport, name: str, one: RankedModel, terms: bool) -> list[Cell]:
    sure = report.confidence if name in report.ranks else None
    low, high = report.range_of(name) if sure or name in report.forecasts else (None, None)
    cells: list[Cell] = [name, one.status, report.ranks.get(name), low, high, *forecast_cells(report, name)]
    cells.append(sure.groups.get(name) if sure else None)
    cells += [report.mean_ranks.get(name), one.commit, one.library, one.parameters, one.width]
    cells += [one.throughput, one.milliseconds, one.measured_here.get("machine"), one.extraction.get("seconds")]
    cells += [one.license, one.downloads]
    for metric, names in _terms(report).items():
        pool, result = report.pools[metric], one.scores.results.get(metric) if one.scores else None
        cells += [pool.ranks.get(name), pool.scores.get(name)]
        cells += [result.terms.get(term) if result else None for term in names if terms]
    return [*cells, one.kind, one.reason]


def _terms(report: RankReport) -> dict[str, list[str]]:
    return {metric: list(next(iter(pool.scaled.values()))) for metric, pool in report.pools.items()}
