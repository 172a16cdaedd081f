"""How commands show a forecast: columns of tables and of CSV files, and what they mean."""

from __future__ import annotations

from hf_transfer_score.cli.tables import MISSING, Group, best_of
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.text import Cell

FORECAST_HEADER = (
    *("best_probability", "points_below_best", "points_low", "points_high"),
    *("expected_accuracy", "accuracy_low", "accuracy_high", "probe_accuracy", "probe_low", "probe_high"),
)


def forecast_group(ranking: Ranking) -> Group:
    """Return rank, its range, the chance to be the best, the points below it, and the accuracy of a probe."""
    probes, cells = ranking.probes, {}
    for name, rank in ranking.ranks.items():
        one, (low, high) = ranking.forecasts[name], ranking.range_of(name)
        below, row = one.points_below_best, [str(rank), f"{low}-{high}" if high > low else str(low)]
        row += [f"{one.best_probability:.0%}", f"{below.value:.1f} ({below.low:.1f}-{below.high:.1f})"]
        if probes:
            probe = probes.get(name)
            row.append(MISSING if probe is None else f"{probe.value:.1%} ({probe.low:.0%}-{probe.high:.0%})")
        cells[name] = tuple(row)
    headers = ("rank", "range", "best", "points below", *(("probe",) if probes else ()))
    return Group("", headers, cells, best_of(ranking.ranks))


def forecast_caption(ranking: Ranking) -> str:
    """Return what the columns of a forecast mean."""
    said = (
        "best is the chance to come out best after fine-tuning, points below how many points of accuracy a model would "
        "then be behind the best (in 80% of the cases between the two in brackets), range its place in 80% of them"
    )
    if not ranking.probes:
        return f"{said}."
    chance = "" if ranking.chance is None else f"; always naming the most frequent class gives {ranking.chance:.1%}"
    return f"{said}; probe the accuracy of a linear classifier on the features, leaving one out at a time{chance}."


def forecast_cells(ranking: Ranking, name: str) -> list[Cell]:
    """Return the cells of `FORECAST_HEADER` of a model."""
    one, probe = ranking.forecasts.get(name), ranking.probes.get(name)
    level = None if one is None else one.expected_accuracy
    return [
        None if one is None else one.best_probability,
        *((None,) * 3 if one is None else one.points_below_best),
        *((None,) * 3 if level is None else level),
        *((None,) * 3 if probe is None else probe),
    ]
