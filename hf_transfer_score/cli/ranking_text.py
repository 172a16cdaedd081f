"""A ranking as text, as `rank` and `verify` print it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hf_transfer_score.cli.output import Page, render, words
from hf_transfer_score.cli.tables import (
    MISSING,
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
    score_notes,
)
from hf_transfer_score.ranking.agreement.figures import weighted_taus
from hf_transfer_score.ranking.models import RankedModel, is_baseline
from hf_transfer_score.ranking.showing import FORECAST_COLUMNS, forecast_cells
from hf_transfer_score.records.record import FACTS
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.sampling.sample import sample_line
from hf_transfer_score.text import Cell, csv_text, duration, joined, short_count, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

TELLING = 0.8
"""Agreement with a trivial baseline from which a note says that the order adds little to it."""
LEAST_COMPARED = 4


def report_text(report: RankReport, page: Page, *, terms: bool = False, step: str | None = None) -> str:
    """Return a ranking as text: the answer, one row per model, notes, and the next command."""
    table = _table(report, page, terms=terms)
    return render([words(shown(report.answer)), ""], page) + table + step_text(step, page)


def step_text(step: str | None, page: Page) -> str:
    """Return the next command, if there is one, on a line of its own, so that it can be copied."""
    if step is None:
        return ""
    return render(["", "To be surer, fine-tune the models that may be the best:"], page) + f"  {shown(step)}\n"


def _table(report: RankReport, page: Page, *, terms: bool) -> str:
    if all(one.status == "failed" for one in report.models.values()):  # the notes say why
        return render(notes_table(report_notes(report))[1:], page)
    groups = [_places(report), _facts(report)] if report.forecasts else [_places(report)]
    if terms or not report.forecasts:
        groups += [metric_group(report, name, terms=terms) for name in report.pools if not is_baseline(name)]
        groups += [_baselines(report), _speeds(report)]
    without = {name: one.status for name, one in report.models.items() if one.status != "ok"}
    table = groups_text(list(report.models), [group for group in groups if group.headers], page, failed=without)
    below = [*_captions(report), *(_speed(report) if terms or not report.forecasts else [])]
    return table + render([*below, *notes_table(report_notes(report))], page)


def _places(report: RankReport) -> Group:
    """Return the columns of the forecast; without one the rank, its range, the tie group and the mean rank."""
    if report.forecasts:
        return forecast_group(report)
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
    """Return the ranks by trivial baselines."""
    names = [name for name in report.pools if is_baseline(name)]
    short = {"parameter_count": "params", "feature_width": "width", "random_order": "random"}
    cells = {
        model: tuple(str(report.pools[name].ranks.get(model, MISSING)) for name in names) for model in report.ranks
    }
    return Group("baseline ranks", tuple(short.get(name, name) for name in names), cells)


def _facts(report: RankReport) -> Group:
    scored = {name: one for name, one in report.models.items() if one.scores}
    return Group("", ("params", "time"), {name: (_count(one.parameters), _time(one)) for name, one in scored.items()})


def _speeds(report: RankReport) -> Group:
    """Return the width and the speed of each model; without a forecast also what stands beside it otherwise."""
    headers, cells = ("width", "per s", "ms"), {}
    for name, one in report.models.items():
        if one.scores:
            width = MISSING if one.width is None else str(one.width)
            cells[name] = (width, _count(one.throughput), _count(one.milliseconds))
    if report.forecasts:
        return Group("model", headers, cells)
    facts = _facts(report)
    return Group("model", (*headers, *facts.headers), {name: (*row, *facts.cells[name]) for name, row in cells.items()})


def _time(one: RankedModel) -> str:
    seconds = one.extraction.get("seconds")
    return "cached" if one.from_cache else MISSING if seconds is None else duration(seconds)


def _count(value: float | None) -> str:
    return MISSING if value is None else short_count(value)


def _captions(report: RankReport) -> list[RenderableType]:
    if not report.ranks:  # the answer says so
        return []
    ranked = f"{len(report.ranks)} of {len(report.models)} models ranked on {sample_line(report.sample)}"
    if report.forecasts:
        legend = [forecast_legend(report)] if len(report.ranks) > 1 else []
        return [words(f"{ranked}."), *legend]
    lines = [f"{ranked}, by the {'mean ' * (len(report.headline) > 1)}rank of {joined(report.headline)}."]
    if report.confidence and len(report.ranks) > 1:
        sure = report.confidence
        lines.append(
            f"Models that cannot be distinguished on this sample share a rank and a letter under tie; ranges hold the "
            f"rank in {sure.level:.0%} of {sure.replicates} bootstrap samples."
        )
    return [words(" ".join(lines))]


def _speed(report: RankReport) -> list[RenderableType]:
    """Return the meaning of the columns of speed, with the machines; nothing if no speed was measured."""
    where: dict[str, dict[str, None]] = {}
    for one in report.models.values():
        if one.throughput is not None:
            way = f"{one.extraction['dtype']} by {one.extraction['runtime']}"
            where.setdefault(one.measured_here["machine"], {})[way] = None
    told = "per s: examples per second in batches; ms: milliseconds for a single example; without reading and decoding"
    machines = "; ".join(f"{machine}, in {', '.join(ways)}" for machine, ways in where.items())
    return [words(shown(f"{told}. On {machines}."))] if where else []


def report_notes(report: RankReport) -> list[Note]:
    """Return what to know before trusting a ranking."""
    return [
        *score_notes(replace(report, models={name: _without_empty(one) for name, one in report.models.items()})),
        *(Note("note", note) for note in report.notes),
        *_agreements(report),
    ]


def _without_empty(one: RankedModel) -> RankedModel:
    """Return a model without the baselines whose value is not known."""
    if one.scores is None:
        return one
    known = {name: result for name, result in one.results.items() if result.terms or not is_baseline(name)}
    return replace(one, scores=replace(one.scores, results=known))


def _agreements(report: RankReport) -> Iterable[Note]:
    """Yield the baselines whose order is similar to the ranking."""
    models = list(report.mean_ranks)
    for name in filter(is_baseline, report.pools):
        pool = report.pools[name]
        if len(models) < LEAST_COMPARED or pool.flags or any(model not in pool.scores for model in models):
            continue
        ranks = -np.array([report.mean_ranks[model] for model in models])
        scores = np.array([pool.scores[model] for model in models])
        agreement = float(
            weighted_taus(ranks, scores, np.ones((1, len(models))))[0]
        )  # without scipy.stats, slow to load
        if agreement >= TELLING:
            yield Note("note", f"the order is similar to that of {name} (weighted Kendall {agreement:.2f})")


HEADER = (
    "model", "status", "rank", "rank_low", "rank_high", *FORECAST_COLUMNS,
    "tie_group", "mean_rank", "commit", "library", "parameters",
    "width", "examples_per_second", "example_milliseconds", "machine", "seconds", *FACTS,
)  # fmt: skip


def report_csv(report: RankReport, *, terms: bool = False) -> str:
    """Return one row per model, with METRIC.rank, METRIC.score and, with `terms`, METRIC.term.NAME."""
    rows = (_row(report, name, one, terms) for name, one in report.models.items())
    return csv_text([*HEADER, *metric_header(report, terms=terms), "kind", "reason"], rows)


def _row(report: RankReport, name: str, one: RankedModel, terms: bool) -> list[Cell]:
    sure = report.confidence if name in report.ranks else None
    low, high = report.range_of(name) if sure or name in report.forecasts else (None, None)
    cells: list[Cell] = [name, one.status, report.ranks.get(name), low, high, *forecast_cells(report, name)]
    cells.append(sure.groups.get(name) if sure else None)
    cells += [report.mean_ranks.get(name), one.commit, one.library, one.parameters, one.width]
    cells += [one.throughput, one.milliseconds, one.measured_here.get("machine"), one.extraction.get("seconds")]
    cells += [getattr(one, name) for name in FACTS]
    return [*cells, *metric_cells(report, name, terms=terms), one.kind, one.reason]
