"""`score`: feature files of one model or of a pool."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group as FlagGroup
from cyclopts import Parameter

from hf_transfer_score.cli.ending import FAILED
from hf_transfer_score.cli.flags import ALL, OUTPUT, SCORING, Names, Table, TaskName, configured_metrics
from hf_transfer_score.cli.output import UNLIMITED, Page, TableOutput, render, status, words
from hf_transfer_score.cli.score_files import FileOptions, name_models, read_model_facts, score_files
from hf_transfer_score.cli.tables import (
    Group,
    Note,
    best_of,
    forecast_group,
    forecast_legend,
    groups_text,
    metric_cells,
    metric_group,
    metric_header,
    notes_table,
    number,
    score_notes,
    table_of,
)
from hf_transfer_score.errors import OptionError, TransferScoreError
from hf_transfer_score.metrics.scores import FeatureScores, choose_metrics
from hf_transfer_score.ranking.board import informed
from hf_transfer_score.ranking.feature_pool import check_names
from hf_transfer_score.ranking.models import scored_model
from hf_transfer_score.ranking.ranking import Ranking, ranked
from hf_transfer_score.ranking.showing import FORECAST_COLUMNS, forecast_cells
from hf_transfer_score.text import Cell, csv_text, shown

if TYPE_CHECKING:
    from rich.table import Table as TextTable

UNRANKED = "failed"
READING = FlagGroup("Reading", sort_key=0)


def score(
    *files: Annotated[Path, Parameter(required=True)],
    labels_path: Annotated[Path | None, Parameter(group=READING)] = None,
    features_key: Annotated[str | None, Parameter(group=READING)] = None,
    labels_key: Annotated[str | None, Parameter(group=READING)] = None,
    metrics: Annotated[Names, Parameter(group=SCORING)] = None,
    option: Annotated[tuple[str, ...], Parameter(group=SCORING)] = (),
    facts: Annotated[tuple[str, ...], Parameter(group=SCORING)] = (),
    headline: Annotated[Names, Parameter(group=SCORING)] = None,
    results: Annotated[list[str] | None, Parameter(group=SCORING, consume_multiple=True)] = None,
    task: TaskName = None,
    terms: Annotated[bool, Parameter(group=OUTPUT)] = False,
    output: Table = TableOutput(),
) -> int:
    """Score feature files: one model, or a pool.

    Several files are a pool of models on one sample, and are ranked by their expected accuracy after fine-tuning. They
    hold the same labels, or take them from `--labels`. A file that cannot be scored is listed with the reason. Pickled
    files are refused.

    A file is a .npz or .safetensors with the arrays `features` and `labels`, and optionally `source_probs` and
    `targets`; a .npy with its labels in NAME.labels.npy or labels.npy; or a .parquet with a list column `features`, or
    one numeric column per feature, and a column `label`.

    ```bash
    hf-transfer-score score resnet50.npz
    hf-transfer-score score features/*.npz --metrics face,ncti --terms
    hf-transfer-score score features/*.npy --labels labels.npy --csv
    hf-transfer-score score a.npz b.npz --option face.temperature=0.1
    hf-transfer-score score *.npz --facts models.csv --results owner/results --json
    ```

    Args:
        files: feature files, one per model.
        labels_path: a file with the labels of all models, in any of the formats.
        features_key: name of the features; in .parquet also a pattern of columns, such as 'f_*'.
        labels_key: name of the labels.
        metrics: names separated by commas, or all; by default all except the slow ones.
        option: set an option of a metric, as METRIC.OPTION=VALUE; can be repeated.
        facts: facts about the models: MODEL:parameters=N,downloads=N, or a FILE.csv with a column model and some of
            family, architecture, base_model, pretrained_on and parameters; can be repeated.
        headline: order by the mean rank of these metrics (names separated by commas) instead of the forecast.
        results: stored results for the forecast to use (folders, or OWNER/NAME on the Hub).
        task: the task, if the stored results are of several.
        terms: also show the raw terms of a pool.
    """
    try:
        named = name_models(files)
        chosen = choose_metrics(ALL if metrics == (ALL,) else metrics)
        check_names(headline, [metric.name for metric in chosen])
        configured = configured_metrics([metric.name for metric in chosen], option)
        known, relations = read_model_facts(facts, named)
    except TransferScoreError as error:  # an error in the command is wrong usage
        raise OptionError(str(error)) from error
    options = FileOptions(labels_path, features_key, labels_key)
    with _progress(len(named)) as progress:
        ranking = score_files(
            named, metrics=configured, options=options, facts=known, headline=headline, progress=progress
        )
    if headline is None and len(named) > 1 and ranking.can_be_forecast:
        ranking = informed(ranking, results or (), task, relations)
    return _show_model(ranking, output) if len(named) == 1 else _show_pool(ranking, output, terms=terms)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[str], None]]:
    """Show which model of a pool is being scored, on a terminal."""
    if count < 2 or not sys.stderr.isatty():
        yield lambda _: None
        return
    done = iter(range(1, count + 1))
    with status("reading labels") as line:
        yield lambda name: line.update(f"scoring {next(done)} of {count}: {name}")


def _show_model(ranking: Ranking, output: TableOutput) -> int:
    name, one = next(iter(ranking.models.items()))
    if one.scores is None or one.why is not None:
        raise TransferScoreError(one.why)
    scores = one.scores
    output.show_table(
        lambda: {"model": name, **scores.as_dict()},
        lambda page: render([words(shown(ranking.answer)), ""], page) + model_text(name, scores, page),
        lambda: model_csv(scores),
    )
    return 0 if any(result.status == "ok" for result in scores.results.values()) else FAILED


def _show_pool(ranking: Ranking, output: TableOutput, *, terms: bool) -> int:
    output.show_table(
        ranking.as_dict,
        lambda page: pool_text(ranking, page, terms=terms),
        lambda: pool_csv(ranking, terms=terms),
        lambda: _notes(ranking),
    )
    return 0 if ranking.pools else FAILED


def pool_text(ranking: Ranking, page: Page, *, terms: bool = False) -> str:
    """Return a pool as text: one row per model, a rank, a score and maybe raw terms per metric, and notes."""
    groups = []
    if ranking.forecasts:
        groups.append(forecast_group(ranking))
    elif len(ranking.headline) > 1:
        means = {model: (f"{rank:.1f}",) for model, rank in ranking.mean_ranks.items()}
        groups.append(Group("mean", ("rank",), means, best_of(ranking.mean_ranks)))
    groups += [metric_group(ranking, name, terms=terms) for name in ranking.pools] or [Group("", ("scores",), {})]
    failed = [name for name, one in ranking.models.items() if one.status != "ok"]
    tables = groups_text(list(ranking.models), groups, page, failed=dict.fromkeys(failed, UNRANKED))
    answer = render([words(shown(ranking.answer)), ""], page) if ranking.forecasts else ""
    legend = [forecast_legend(ranking)] if ranking.forecasts else []
    return answer + tables + render([words(_caption(ranking)), *legend, *notes_table(_notes(ranking))], page)


def _notes(ranking: Ranking) -> list[Note]:
    return [*score_notes(ranking), *(Note("note", text) for text in ranking.notes)]


def _caption(ranking: Ranking) -> str:
    if not ranking.headline:
        return "No model could be ranked."
    if ranking.forecasts:
        return f"{len(ranking.ranks)} of {len(ranking.models)} models ranked."
    rule = f"{'mean ' if len(ranking.headline) > 1 else ''}rank of {' and '.join(ranking.headline)}"
    return f"{len(ranking.ranks)} of {len(ranking.models)} models ranked by the {rule}."


def seconds(value: float) -> str:
    """Return a time in seconds, to the millisecond."""
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def model_text(name: str, scores: FeatureScores, page: Page) -> str:
    """Return one model's metrics as text: one row per term, and notes."""
    notes = render(notes_table(score_notes(ranked({name: scored_model(name, scores)}, []))), page)
    about = render([words(_about(shown(name), scores))], page)
    if not any(result.terms for result in scores.results.values()):
        return about + notes
    shared = seconds(sum(scores.shared_seconds.values()))
    table = render(["", _terms_table(scores), ""], replace(page, width=UNLIMITED))
    below = f"Seconds are each metric's own; shared computations took {shared} seconds more."
    return about + table + render([below], page) + notes


def _about(name: str, scores: FeatureScores) -> str:
    classes = f", {scores.classes} classes" if scores.classes else ""
    return f"{name}: {scores.rows} rows, {scores.width} features{classes}; {seconds(scores.seconds)} seconds"


def _terms_table(scores: FeatureScores) -> TextTable:
    table = table_of("metric", ">headline", "term", ">value", ">seconds")
    for metric, result in scores.results.items():
        first = (words(metric, "bold"), number(result.headline), seconds(result.seconds))
        for term, value in result.terms.items():
            table.add_row(first[0], first[1], term, number(value), first[2])
            first = (words(""), "", "")
    return table


def pool_csv(ranking: Ranking, *, terms: bool = False) -> str:
    """Return a pool as CSV: one row per model, with the columns of each metric."""
    header = ["model", "status", "rank", *FORECAST_COLUMNS, "mean_rank", *metric_header(ranking, terms=terms), "reason"]
    rows = [
        [
            *(name, one.status, ranking.ranks.get(name)),
            *forecast_cells(ranking, name),
            ranking.mean_ranks.get(name),
            *metric_cells(ranking, name, terms=terms),
            one.why,
        ]
        for name, one in ranking.models.items()
    ]
    return csv_text(header, rows)


def model_csv(scores: FeatureScores) -> str:
    """Return one model as CSV: one row per term, and one per metric that was skipped."""
    rows: list[list[Cell]] = []
    for metric, result in scores.results.items():
        notes = "; ".join(result.warnings) or None
        for term, value in result.terms.items():
            rows.append([metric, result.status, result.headline, term, value, result.seconds, notes, None])
        if not result.terms:
            rows.append([metric, result.status, None, None, None, None, None, result.reason])
    return csv_text(["metric", "status", "headline", "term", "value", "seconds", "warnings", "reason"], rows)
