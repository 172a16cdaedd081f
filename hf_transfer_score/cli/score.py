"""`score`: features on disk, of one model or of a pool."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group as FlagGroup
from cyclopts import Parameter

from hf_transfer_score.cli.ending import FAILED
from hf_transfer_score.cli.flags import ALL, OUTPUT, SCORING, Names, Table, TaskName, configured_metrics
from hf_transfer_score.cli.forecast import FORECAST_HEADER, forecast_cells, forecast_group, forecast_legend
from hf_transfer_score.cli.output import UNLIMITED, Page, TableOutput, render, status, words
from hf_transfer_score.cli.score_files import FileOptions, name_models, read_model_facts, score_files
from hf_transfer_score.cli.tables import (
    Group,
    Note,
    best_of,
    groups_text,
    metric_group,
    notes_table,
    number,
    plain_table,
    score_notes,
)
from hf_transfer_score.errors import OptionError, TransferScoreError
from hf_transfer_score.metrics.scores import FeatureScores, choose_metrics
from hf_transfer_score.ranking.board import informed
from hf_transfer_score.ranking.models import scored_model
from hf_transfer_score.ranking.ranking import Ranking, ranked
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
    """Score features on disk: one model, or a pool.

    Several files are a pool of models on one sample: a row for each, in the order in which they are expected to come
    out after fine-tuning. They hold the same labels, or take them from `--labels`. A file that cannot be scored is a
    row with the reason. Pickled files are refused.

    A file is a .npz or .safetensors with arrays `features` and `labels`, and where there are any `source_probs` and
    `targets`; a .npy with labels beside it in NAME.labels.npy or labels.npy; or a .parquet with a list column
    `features`, or a numeric column for each feature, and a column `label`.

    ```bash
    hf-transfer-score score resnet50.npz
    hf-transfer-score score features/*.npz --metrics face,ncti --terms
    hf-transfer-score score features/*.npy --labels labels.npy --csv
    hf-transfer-score score a.npz b.npz --option face.temperature=0.1
    hf-transfer-score score *.npz --facts models.csv --results owner/results --task text-classification --json
    ```

    Args:
        files: features of one model each.
        labels_path: labels of all files, in any of the formats.
        features_key: name of the features; in .parquet also a pattern of columns, as 'f_*'.
        labels_key: name of the labels.
        metrics: names with commas, or all; without it all but the slow ones.
        option: set an option of a metric, as METRIC.OPTION=VALUE; may be repeated.
        facts: what is known of the models: parameters and downloads of one as MODEL:parameters=N,downloads=N, or a
            FILE.csv with a column model and some of family, architecture, base_model, pretrained_on and parameters;
            may be repeated.
        headline: names with commas; metrics whose mean rank is the order, without it that of the forecast.
        results: places of stored results (folders, OWNER/NAME on the Hub) that the forecast takes in.
        task: what the labels are, where the results are of several tasks.
        terms: show the raw terms of a pool too.
    """
    try:
        named = name_models(files)
        chosen = choose_metrics(ALL if metrics == (ALL,) else metrics)
        configured = configured_metrics([metric.name for metric in chosen], option)
        known, relations = read_model_facts(facts, named)
    except TransferScoreError as error:  # whatever is wrong with the command is wrong usage
        raise OptionError(str(error)) from error
    with _progress(len(named)) as progress:
        options = FileOptions(labels_path, features_key, labels_key)
        ranking = score_files(
            named, metrics=configured, options=options, facts=known, headline=headline, progress=progress
        )
    if headline is None and len(named) > 1 and ranking.can_be_forecast:
        ranking = informed(ranking, results or (), task, relations)
    return _show_model(ranking, output) if len(named) == 1 else _show_pool(ranking, output, terms=terms)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[str], None]]:
    """Show which model of a pool is scored, where a person looks at the error stream."""
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
        lambda page: model_text(name, scores, page),
        lambda: model_csv(scores),
    )
    return 0 if any(result.status == "ok" for result in scores.results.values()) else FAILED


def _show_pool(ranking: Ranking, output: TableOutput, *, terms: bool) -> int:
    output.show_table(
        ranking.as_dict,
        lambda page: pool_text(ranking, page, terms=terms),
        lambda: pool_csv(ranking, terms=terms),
        lambda: score_notes(ranking),
    )
    return 0 if ranking.pools else FAILED


def pool_text(
    ranking: Ranking,
    page: Page,
    *,
    terms: bool = False,
    measured: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Return a pool as text: a row a model, a rank and a score a metric, and notes below.

    Args:
        ranking: the pool.
        page: what the text is laid out for.
        terms: whether raw terms are shown too.
        measured: numbers to stand beside the metrics, by title and model.
    """
    groups = [_measured(title, values) for title, values in (measured or {}).items()]
    if ranking.forecasts:
        groups.insert(0, forecast_group(ranking))
    elif len(ranking.headline) > 1:
        groups.append(_mean_ranks(ranking))
    groups += [metric_group(ranking, name, terms=terms) for name in ranking.pools] or [Group("", ("scores",), {})]
    failed = [name for name, one in ranking.models.items() if one.status != "ok"]
    tables = groups_text(list(ranking.models), groups, page, failed=dict.fromkeys(failed, UNRANKED))
    answer = render([words(shown(ranking.answer)), ""], page) if ranking.forecasts else ""
    notes = [*score_notes(ranking), *(Note("note", text) for text in ranking.notes)]
    legend = [forecast_legend(ranking)] if ranking.forecasts else []
    return answer + tables + render([words(_caption(ranking)), *legend, *notes_table(notes)], page)


def _caption(ranking: Ranking) -> str:
    if not ranking.headline:
        return "No model could be ranked."
    if ranking.forecasts:
        return f"{len(ranking.ranks)} of {len(ranking.models)} models ranked."
    rule = f"{'mean ' if len(ranking.headline) > 1 else ''}rank of {' and '.join(ranking.headline)}"
    return f"{len(ranking.ranks)} of {len(ranking.models)} models ranked, in the order of the {rule}."


def _measured(title: str, values: Mapping[str, float]) -> Group:
    best = frozenset(model for model, value in values.items() if value == max(values.values()))
    return Group("", (title,), {model: (number(value),) for model, value in values.items()}, best)


def _mean_ranks(ranking: Ranking) -> Group:
    cells = {model: (f"{rank:.1f}",) for model, rank in ranking.mean_ranks.items()}
    return Group("mean", ("rank",), cells, best_of(ranking.mean_ranks))


def seconds(value: float) -> str:
    """Return a time in seconds, to the millisecond."""
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def model_text(name: str, scores: FeatureScores, page: Page) -> str:
    """Return one model's metrics as text: a row a term, and notes below."""
    notes = render(notes_table(score_notes(ranked({name: scored_model(name, scores)}, []))), page)
    about = render([words(_about(shown(name), scores))], page)
    if not any(result.terms for result in scores.results.values()):
        return about + notes
    shared = seconds(sum(scores.shared_seconds.values()))
    table = render(["", _terms_table(scores), ""], replace(page, width=UNLIMITED))
    below = f"Seconds are each metric's own; what metrics share took {shared} more."
    return about + table + render([below], page) + notes


def _about(name: str, scores: FeatureScores) -> str:
    classes = f", {scores.classes} classes" if scores.classes else ""
    return f"{name}: {scores.rows} rows, {scores.width} features{classes}; {seconds(scores.seconds)} seconds"


def _terms_table(scores: FeatureScores) -> TextTable:
    table = plain_table()
    for header in ("metric", "headline", "term", "value", "seconds"):
        table.add_column(header, justify="left" if header in ("metric", "term") else "right")
    for metric, result in scores.results.items():
        first = (words(metric, "bold"), number(result.headline), seconds(result.seconds))
        for term, value in result.terms.items():
            table.add_row(first[0], first[1], term, number(value), first[2])
            first = (words(""), "", "")
    return table


def pool_csv(ranking: Ranking, *, terms: bool = False) -> str:
    """Return a pool as CSV: a row a model, columns METRIC.rank, METRIC.score and, with `terms`, METRIC.term.NAME."""
    header = ["model", "status", "rank", *FORECAST_HEADER, "mean_rank"]
    for metric, names in _terms(ranking).items():
        header += [f"{metric}.rank", f"{metric}.score", *(f"{metric}.term.{term}" for term in names if terms)]
    return csv_text([*header, "reason"], (_row(ranking, model, terms=terms) for model in ranking.models))


def _row(ranking: Ranking, model: str, *, terms: bool) -> list[Cell]:
    one = ranking.models[model]
    cells: list[Cell] = [model, one.status, ranking.ranks.get(model), *forecast_cells(ranking, model)]
    cells.append(ranking.mean_ranks.get(model))
    for metric, names in _terms(ranking).items():
        pool, result = ranking.pools[metric], one.results.get(metric)
        cells += [pool.ranks.get(model), pool.scores.get(model)]
        cells += [result.terms.get(term) if result else None for term in names if terms]
    return [*cells, one.why]


def _terms(ranking: Ranking) -> dict[str, list[str]]:
    """Return the names of each metric's terms."""
    return {metric: list(next(iter(pool.scaled.values()))) for metric, pool in ranking.pools.items()}


def model_csv(scores: FeatureScores) -> str:
    """Return one model as CSV: a row a term, and a row for each metric that was skipped."""
    rows: list[list[Cell]] = []
    for metric, result in scores.results.items():
        notes = "; ".join(result.warnings) or None
        for term, value in result.terms.items():
            rows.append([metric, result.status, result.headline, term, value, result.seconds, notes, None])
        if not result.terms:
            rows.append([metric, result.status, None, None, None, None, None, result.reason])
    return csv_text(["metric", "status", "headline", "term", "value", "seconds", "warnings", "reason"], rows)
