"""How commands show a forecast: columns of tables and CSV files, and their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_transfer_score.cli.tables import MISSING, Group, best_of, pairs
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.text import Cell

if TYPE_CHECKING:
    from rich.table import Table

FORECAST_HEADER = (
    *("best_probability", "points_below_best", "points_low", "points_high"),
    *("expected_accuracy", "accuracy_low", "accuracy_high", "probe_accuracy", "probe_low", "probe_high"),
)


def forecast_group(ranking: Ranking) -> Group:
    """Return the rank, its range, the chance to be the best, the points below it, and the accuracy of a probe.

    A single model has its probe alone: there is nothing to compare it with.
    """
    probes, cells, several = ranking.probes, {}, len(ranking.ranks) > 1
    for name, rank in ranking.ranks.items():
        one, (low, high) = ranking.forecasts[name], ranking.range_of(name)
        below, row = one.points_below_best, [str(rank)]
        if several:
            row += [f"{low}-{high}" if high > low else str(low), f"{one.best_probability:.0%}"]
            row.append(f"{below.value:.1f} ({below.low:.1f}-{below.high:.1f})")
        if probes:
            probe = probes.get(name)
            row.append(MISSING if probe is None else f"{probe.value:.1%} ({probe.low:.0%}-{probe.high:.0%})")
        cells[name] = tuple(row)
    headers = ("rank", *(("range", "best", "points below") if several else ()), *(("probe",) if probes else ()))
    return Group("", headers, cells, best_of(ranking.ranks))


def forecast_legend(ranking: Ranking, *more: tuple[str, str]) -> Table:
    """Return the meaning of the columns of a forecast, and of others, one line each."""
    lines = [
        ("best", "chance to be the best after fine-tuning"),
        ("points below", "points of accuracy behind the best after fine-tuning (80% interval)"),
        ("range", "80% interval of the rank"),
    ]
    if ranking.probes:
        chance = f"; guessing the most frequent class: {ranking.chance:.1%}" if ranking.chance is not None else ""
        lines.append(("probe", f"cross-validated accuracy of a linear classifier on the features{chance}"))
    return pairs([*lines, *more])


def forecast_cells(ranking: Ranking, name: str) -> list[Cell]:
    """Return the cells of `FORECAST_HEADER` for a model."""
    one, probe = ranking.forecasts.get(name), ranking.probes.get(name)
    level = None if one is None else one.expected_accuracy
    return [
        None if one is None else one.best_probability,
        *((None,) * 3 if one is None else one.points_below_best),
        *((None,) * 3 if level is None else level),
        *((None,) * 3 if probe is None else probe),
    ]
