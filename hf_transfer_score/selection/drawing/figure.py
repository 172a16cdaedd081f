"""A picture of a ranking as an image, drawn without a display and without state that others share."""

from __future__ import annotations

import io
import warnings
from typing import Any

from hf_transfer_score.boxes import Box
from hf_transfer_score.selection.drawing.labels import place_labels
from hf_transfer_score.selection.drawing.points import SIDE_START, Picture, Point, tie_style

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""For models that stand alone, then for tie groups by turns; told apart with any kind of colour vision."""

MARKERS = ("o", "s", "D", "^")
INK, PALE, GRID = "#222222", "#8a8a8a", "#e4e4e4"
WIDTH, DOTS = 10.0, 150
PLOT_LEFT, PLOT_RIGHT, ABOVE, BELOW = 0.075, 0.975, 0.85, 1.35
MOST_ENTRIES = 8
WIDER = 1.03
"""Text with a rim is drawn a little wider than it is measured."""


def image_of(picture: Picture, ending: str) -> bytes:
    """Return the bytes of an image.

    Args:
        picture: what to draw.
        ending: "png" or "svg".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    inner = min(12.0, max(3.6, 0.19 * picture.worst))
    height = inner + ABOVE + BELOW
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((PLOT_LEFT, BELOW / height, PLOT_RIGHT - PLOT_LEFT, inner / height))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        _draw(figure, axes, picture)
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        figure.savefig(buffer, format=ending, dpi=DOTS, metadata=metadata)
    return buffer.getvalue()


def _draw(figure: Any, axes: Any, picture: Picture) -> None:
    _texts(figure, picture)
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    if not picture.points:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "No model could be ranked.", ha="center", va="center", color=PALE, fontsize=13)
        return
    _frame(axes, picture)
    _front(axes, picture)
    for point in picture.points:
        _mark(axes, picture, point)
    _labels(figure, axes, picture)
    _legend(figure, picture)


def _texts(figure: Any, picture: Picture) -> None:
    height = figure.get_figheight()
    place = {"x": PLOT_LEFT, "ha": "left", "va": "baseline", "parse_math": False}
    title = figure.text(y=1 - 0.38 / height, s=picture.title, fontsize=13, fontweight="bold", color=INK, **place)
    subtitle = figure.text(y=1 - 0.64 / height, s=picture.subtitle, fontsize=9.5, color="#555555", **place)
    for text in (title, subtitle):
        wide, _ = _size(figure, text)
        text.set_fontsize(text.get_fontsize() * min(1, (PLOT_RIGHT - PLOT_LEFT) * WIDTH * 100 / wide))
    if picture.remark:
        figure.text(PLOT_RIGHT, 0.1 / height, picture.remark, ha="right", va="bottom", fontsize=9, color="#555555")


def _frame(axes: Any, picture: Picture) -> None:
    axes.set_xticks([x for x, _ in picture.ticks], [text for _, text in picture.ticks])
    axes.set_yticks([picture.down(rank) for rank in picture.rank_ticks], [str(rank) for rank in picture.rank_ticks])
    axes.set_xlabel(picture.axis, color=INK, labelpad=6)
    axes.set_ylabel("rank", color=INK)
    axes.tick_params(length=0, colors="#555555", labelsize=9)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    if picture.side:
        axes.axvspan(SIDE_START, 1, color="#f4f4f4", linewidth=0, zorder=0)


def _front(axes: Any, picture: Picture) -> None:
    if len(picture.front) < 2:
        return
    across = [x for x, _ in picture.front]
    down = [picture.down(rank) for _, rank in picture.front]
    axes.plot(across, down, drawstyle="steps-post", color="#b5b5b5", linewidth=1.4, linestyle=(0, (5, 3)), zorder=1)


def _mark(axes: Any, picture: Picture, point: Point) -> None:
    colour, shape = tie_style(point.tie)
    if point.high > point.low:
        ends = [picture.down(point.low), picture.down(point.high)]
        axes.plot(
            [point.x] * 2, ends, color=COLOURS[colour], linewidth=2.2, alpha=0.35, solid_capstyle="butt", zorder=2
        )
    axes.plot(
        [point.x],
        [picture.down(point.rank)],
        marker=MARKERS[shape],
        markersize=7.5 if MARKERS[shape] != "D" else 6.5,
        color=COLOURS[colour],
        markeredgecolor="white",
        markeredgewidth=0.8,
        linestyle="none",
        zorder=3,
    )


def _labels(figure: Any, axes: Any, picture: Picture) -> None:
    """Write names beside points; places are found in pixels, with y downwards, a hundredth of an inch each."""
    frame = axes.get_position()
    wide, high = WIDTH * 100, figure.get_figheight() * 100
    left, top = frame.x0 * wide, (1 - frame.y1) * high
    across, down = frame.width * wide, frame.height * high
    spots = [(left + point.x * across, top + picture.down(point.rank) * down) for point in picture.points]
    texts = [_text(figure, point) for point in picture.points[: picture.labelled]]
    sizes = [_size(figure, text) for text in texts]
    spans = [(point.x, point.x, point.low, point.high) for point in picture.points] + picture.front_lines
    bars = [
        Box(
            left + x * across - 2,
            top + picture.down(low) * down - 2,
            left + end * across + 2,
            top + picture.down(high) * down + 2,
        )
        for x, end, low, high in spans
    ]
    room = Box(left - 10, top - 8, left + across + 20, top + down)
    places = place_labels(spots, [*sizes, *[None] * (len(spots) - len(sizes))], bars, room)
    for text, place, (x, y) in zip(texts, places, spots, strict=False):
        if place is None:
            text.remove()
            continue
        text.set_position(
            ((place.box.left + place.box.right) / 2 / wide, 1 - (place.box.top + place.box.bottom) / 2 / high)
        )
        if place.line is not None:
            ends = [
                [(x - left) / across, (place.line[0] - left) / across],
                [(y - top) / down, (place.line[1] - top) / down],
            ]
            axes.plot(*ends, color=PALE, linewidth=0.6, zorder=2.5, clip_on=False)


def _text(figure: Any, point: Point) -> Any:
    from matplotlib.patheffects import withStroke

    text = figure.text(0.5, 0.5, point.label, ha="center", va="center", fontsize=8.5, color=INK, parse_math=False)
    text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
    return text


def _size(figure: Any, text: Any) -> tuple[float, float]:
    extent = text.get_window_extent(figure.canvas.get_renderer())
    return WIDER * extent.width * 100 / DOTS, extent.height * 100 / DOTS


def _legend(figure: Any, picture: Picture) -> None:
    """Say what colours and lines mean, below the axis."""
    from matplotlib.lines import Line2D

    def dot(letter: str, text: str) -> Any:
        colour, shape = tie_style(letter)
        return Line2D([], [], marker=MARKERS[shape], color=COLOURS[colour], linestyle="none", markersize=7, label=text)

    entries = [dot(letter, f"{letter}: {count} models") for letter, count in list(picture.ties.items())[:MOST_ENTRIES]]
    if len(picture.ties) > MOST_ENTRIES:
        entries.append(Line2D([], [], linestyle="none", label=f"... {len(picture.ties) - MOST_ENTRIES} more groups"))
    if picture.alone:
        entries.append(dot("", f"not tied: {picture.alone}"))
    if len(picture.front) > 1:
        line: dict[str, Any] = {"color": "#b5b5b5", "linewidth": 1.4, "linestyle": (0, (5, 3))}
        entries.append(Line2D([], [], label="best rank up to this size", **line))
    if not entries:
        return
    legend = figure.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(PLOT_LEFT - 0.008, 0.72 / figure.get_figheight()),
        ncols=min(len(entries), 5),
        frameon=False,
        fontsize=9,
        title=LEGEND if picture.ties else None,
        title_fontsize=9,
        alignment="left",
        handletextpad=0.4,
        columnspacing=1.4,
        borderpad=0,
    )
    legend.get_title().set_color("#555555")


LEGEND = "Models of one colour and shape cannot be told apart from the best of them on this sample"
