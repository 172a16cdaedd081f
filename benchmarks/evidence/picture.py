"""The pictures of docs/evidence.md: τ_w of every metric with its interval, and the calibration of the forecast."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence.figures import BASELINES, CHANCE, MEAN_RANK
from benchmarks.evidence.tables import Targets, best_trivial, defaults_of
from hf_transfer_score.drawing.look import DAY, INK, day_and_night
from hf_transfer_score.home import write_text
from hf_transfer_score.ranking.forecast import LEVEL
from hf_transfer_score.ranking.intervals import accuracy_interval
from hf_transfer_score.ranking.pools import HEADLINE_METRICS

NEURAL_COLLAPSE, PLAIN, OTHER, GRID = "#0072b2", "#d55e00", DAY["soft"], DAY["grid"]
INKED = dict.fromkeys(("text.color", "axes.edgecolor", "xtick.color", "ytick.color"), INK)
COLUMNS = 3
COLOURS = ("#0072b2", "#d55e00", "#e69f00", "#009e73", "#66c2a5", "#9467bd", "#c5b0d5")
MARKS = "osD^v<>"
NEAR = 0.1
HELD = (0.75, 0.88)
"""How close chances should be to the observed share, and the share of intervals that should hold."""


class Said(NamedTuple):
    """Forecast and outcome: chance, share of best models and count of each bin; the share of intervals that held."""

    chances: Sequence[tuple[float, float, int]]
    held: float


def write_picture(targets: Targets, file: Path) -> None:
    """Write the picture as SVG; the same records give the same file."""
    names = [*defaults_of(targets), *BASELINES]
    rows = -(-len(targets) // COLUMNS)
    with _drawn(file, (11, rows * (0.6 + 0.19 * len(names)))) as figure:
        panels = figure.subplots(rows, COLUMNS, sharey=True, sharex=True, squeeze=False)
        for number, panel in enumerate(panels.flat):
            if number < len(targets):
                _panel(panel, targets, list(targets)[number], names)
            else:
                panel.set_visible(False)


def write_calibration(told: Mapping[str, Said], file: Path) -> None:
    """Write the calibration of chances and intervals as SVG; `told` is by legend label."""
    with _drawn(file, (11, 4.6)) as figure:
        chances, intervals = figure.subplots(1, 2, width_ratios=(3, 2))
        _chances(chances, told)
        _intervals(intervals, told)


@contextmanager
def _drawn(file: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield a figure and write it as SVG afterwards, the same bytes for the same numbers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "evidence", "svg.fonttype": "path", **INKED}):
        figure = Figure(figsize=size, facecolor="white", layout="constrained")
        yield figure
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in buffer.getvalue().splitlines())
    write_text(file, day_and_night("\n".join(lines) + "\n"))


def _chances(panel: Any, told: Mapping[str, Said]) -> None:
    """Draw how often models were the best against their forecast chance."""
    line = [0.0, 1.0]
    panel.fill_between(line, [-NEAR, 1 - NEAR], [NEAR, 1 + NEAR], color=PLAIN, alpha=0.12, linewidth=0)
    panel.plot(line, line, color=GRID, linewidth=1)
    for (words, said), colour, mark in zip(told.items(), COLOURS, MARKS, strict=False):
        chance, true, count = np.array(said.chances).T
        ends = [accuracy_interval(share, int(rows), LEVEL) for share, rows in zip(true, count, strict=True)]
        spread = [[one.value - one.low for one in ends], [one.high - one.value for one in ends]]
        panel.errorbar(chance, true, spread, color=colour, fmt=mark, markersize=5, elinewidth=1, alpha=0.9, label=words)
    panel.set_xlim(-0.01, 0.5)
    panel.set_ylim(-0.02, 1)
    _named(panel, "forecast chance to be the best", "were the best", "Chances")
    panel.legend(fontsize=8, frameon=False, loc="upper left")


def _intervals(panel: Any, told: Mapping[str, Said]) -> None:
    """Draw the share of intervals that held the true value."""
    panel.axvspan(*HELD, color=PLAIN, alpha=0.12, linewidth=0)
    panel.axvline(LEVEL, color=GRID, linewidth=1)
    for place, (said, colour, mark) in enumerate(zip(told.values(), COLOURS, MARKS, strict=False)):
        panel.plot([said.held], [place], mark, color=colour, markersize=6)
        panel.annotate(f"{said.held:.0%}", (said.held, place), (6, 4), textcoords="offset points", fontsize=8)
    panel.set_yticks(range(len(told)), list(told), fontsize=8)
    panel.set_ylim(len(told) - 0.5, -0.5)
    panel.set_xlim(0.5, 1.05)
    _named(panel, "share of 80% intervals that held the true value", "", "Intervals of points below the best")


def _named(panel: Any, across: str, up: str, title: str) -> None:
    panel.set_title(title, loc="left", fontsize=10, color=INK)
    panel.set_xlabel(across, color=INK, fontsize=9)
    panel.set_ylabel(up, color=INK, fontsize=9)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


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
    _named(panel, "τ_w", "", REGIMES[which].words)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(-0.6, 1)
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
