"""Scores as CSV for other programs: full precision, a header line, and empty cells where there is nothing."""

from __future__ import annotations

from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.text import Cell, csv_text


def pool_csv(ranking: Ranking, *, terms: bool = False) -> str:
    """Return a pool as CSV: a row a model, columns METRIC.rank, METRIC.score and, with `terms`, METRIC.term.NAME."""
    header = ["model", "status", "mean_rank"]
    for metric, shown in _terms(ranking).items():
        header += [f"{metric}.rank", f"{metric}.score", *(f"{metric}.term.{term}" for term in shown if terms)]
    return csv_text([*header, "reason"], (_row(ranking, model, terms=terms) for model in ranking.models))


def _row(ranking: Ranking, model: str, *, terms: bool) -> list[Cell]:
    one = ranking.models[model]
    cells: list[Cell] = [model, one.status, ranking.mean_ranks.get(model)]
    for metric, shown in _terms(ranking).items():
        pool, result = ranking.pools[metric], one.results.get(metric)
        cells += [pool.ranks.get(model), pool.scores.get(model)]
        cells += [result.terms.get(term) if result else None for term in shown if terms]
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
