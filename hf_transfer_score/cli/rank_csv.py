"""A ranking as CSV for other programs: full precision, empty cells where there is nothing."""

from __future__ import annotations

from hf_transfer_score.ranking.ranking import RankedModel
from hf_transfer_score.selection.report import RankReport
from hf_transfer_score.text import Cell, csv_text

HEADER = (
    "model", "status", "rank", "rank_low", "rank_high", "tie_group", "mean_rank", "commit", "library", "parameters",
    "width", "examples_per_second", "seconds", "license", "downloads",
)  # fmt: skip


def report_csv(report: RankReport, *, terms: bool = False) -> str:
    """Return a row a model, with METRIC.rank, METRIC.score and, with `terms`, METRIC.term.NAME."""
    header = [*HEADER]
    for metric, shown in _terms(report).items():
        header += [f"{metric}.rank", f"{metric}.score", *(f"{metric}.term.{term}" for term in shown if terms)]
    rows = (_row(report, name, one, terms) for name, one in report.models.items())
    return csv_text([*header, "kind", "reason"], rows)


def _row(report: RankReport, name: str, one: RankedModel, terms: bool) -> list[Cell]:
    sure = report.confidence if name in report.ranks else None
    low, high = report.range_of(name) if sure else (None, None)
    cells: list[Cell] = [name, one.status, report.ranks.get(name), low, high, sure.groups[name] if sure else None]
    cells += [report.mean_ranks.get(name), one.commit, one.library, one.parameters, one.width, one.throughput]
    cells += [one.extraction.get("seconds"), one.license, one.downloads]
    for metric, shown in _terms(report).items():
        pool, result = report.pools[metric], one.scores.results.get(metric) if one.scores else None
        cells += [pool.ranks.get(name), pool.scores.get(name)]
        cells += [result.terms.get(term) if result else None for term in shown if terms]
    return [*cells, one.kind, one.reason]


def _terms(report: RankReport) -> dict[str, list[str]]:
    return {metric: list(next(iter(pool.scaled.values()))) for metric, pool in report.pools.items()}
