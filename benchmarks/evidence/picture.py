"""The picture of docs/evidence.md: τ_w of every metric with its interval, a panel a target."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from benchmarks.evidence.figures import BASELINES, CHANCE, MEAN_RANK
from benchmarks.evidence.tables import Targets, best_trivial, defaults_of
from hf_transfer_score.home import write_text
from hf_transfer_score.ranking.pools import HEADLINE_METRICS

NEURAL_COLLAPSE, OTHER, PLAIN, INK, GRID = "#0072b2", "#5a5a5a", "#d55e00", "#222222", "#e6e6e6"
COLUMNS = 3


def write_picture(targets: Targets, file: Path) -> None:
    """Write the picture as SVG; the same records give the same file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = [*defaults_of(targets), *BASELINES]
    rows = -(-len(targets) // COLUMNS)
    with mpl.rc_context({"svg.hashsalt": "evidence", "svg.fonttype": "path"}):
        figure = Figure(figsize=(11, rows * (0.6 + 0.19 * len(names))), facecolor="white", layout="constrained")
        panels = figure.subplots(rows, COLUMNS, sharey=True, sharex=True, squeeze=False)
        for number, panel in enumerate(panels.flat):
            if number < len(targets):
                _panel(panel, targets, list(targets)[number], names)
            else:
                panel.set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in buffer.getvalue().splitlines())
    write_text(file, "\n".join(lines) + "\n")


def _panel(panel: Any, targets: Targets, which: str, names: list[str]) -> None:
    from benchmarks.evidence.regimes import REGIMES

    target = targets[which]
    best = target.agreement(best_trivial(target)).weighted_tau_interval
    if best is not None:
        panel.axvspan(*best, color=PLAIN, alpha=0.12, linewidth=0)
    for place, name in enumerate(names):
        if name not in target.scores and name != CHANCE:
            continue
        found = target.agreement(name)
        if found.weighted_tau is None or found.weighted_tau_interval is None:
            continue
        colour = NEURAL_COLLAPSE if name in (*HEADLINE_METRICS, MEAN_RANK) else PLAIN if name in BASELINES else OTHER
        panel.plot(found.weighted_tau_interval, [place, place], color=colour, linewidth=2, solid_capstyle="round")
        panel.plot([found.weighted_tau], [place], "o", color=colour, markersize=5, markeredgecolor="white")
    panel.set_title(REGIMES[which].words, loc="left", fontsize=10, color=INK)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(-0.6, 1)
    panel.set_xlabel("τ_w", color=INK, fontsize=9)
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
