"""A profile over layers as an image, drawn without a display and without state that others share."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from hf_transfer_score.selection.drawing.figure import COLOURS, DOTS, GRID, INK

WIDTH, HEIGHT = 8.0, 4.2
MOST_TICKS = 26


def profile_image(points: Sequence[tuple[str, float | None]], best: str, about: str, ending: str) -> bytes:
    """Return the bytes of an image.

    Args:
        points: layers with their values, in order; None where there is no value.
        best: the layer to mark.
        about: what the values are of.
        ending: "png" or "svg".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        _draw(figure.add_subplot(), points, best, about)
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        figure.savefig(buffer, format=ending, dpi=DOTS, metadata=metadata)
    return buffer.getvalue()


def _draw(axes: Any, points: Sequence[tuple[str, float | None]], best: str, about: str) -> None:
    shown = [(place, name, value) for place, (name, value) in enumerate(points) if value is not None]
    _scale(axes, [value for _, _, value in shown])
    axes.plot(
        [place for place, _, _ in shown],
        [value for _, _, value in shown],
        color=COLOURS[1],
        marker="o",
        markersize=6,
        markeredgecolor="white",
        linewidth=1.6,
        gid="profile",
    )
    for place, name, value in shown:
        if name == best:
            axes.plot([place], [value], marker="D", markersize=9, color=COLOURS[2], markeredgecolor="white", gid="best")
            text, below = f"layer {name}: {value:.3g}", (0, -20)
            axes.annotate(text, (place, value), below, textcoords="offset points", ha="center", color=COLOURS[2])
    step = -(-len(points) // MOST_TICKS)
    axes.set_xticks(range(0, len(points), step), [name for name, _ in points][::step])
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_xlabel("layer", color=INK)
    axes.set_ylabel("NC1, smaller is more collapsed", color=INK)
    axes.set_title(about, loc="left", color=INK, fontsize=11, parse_math=False, wrap=True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _scale(axes: Any, values: Sequence[float]) -> None:
    """Set a logarithmic axis that spans a few times at least, so that values nearly equal look so."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = min(values), max(values)
    if low <= 0:
        return
    axes.set_yscale("log")
    top = max(high, 2 * low)
    room = (top / low) ** 0.2
    axes.set_ylim(low / room**1.2, top * room)
    few = top / low < 10
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if few else (1, 2, 5) if top / low < 1e3 else (1,))
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
