"""The chart of one checkpoint's layers: how collapsed the classes are in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_transfer_score.drawing.look import COLOURS, data_of
from hf_transfer_score.drawing.points import printable

WIDTH, HEIGHT = 760, 340
LEAST_SPAN = 2.0
"""The axis spans so many times at least, so that values nearly equal look so."""


def layer_chart(points: Sequence[tuple[str, float | None]], best: str, about: str) -> Any:
    """Return the chart of a value by layer, on a logarithmic scale where all are above 0.

    Args:
        points: layers with their values, in order; None where there is no value.
        best: the layer to mark.
        about: what the values are of.
    """
    import altair as alt

    known = [(name, value) for name, value in points if value is not None]
    rows = [{"layer": name, "nc1": value, "told": f"layer {name}: {value:.3g}"} for name, value in known]
    layers = alt.Scale(domain=[name for name, _ in points])
    across = alt.X("layer:O", title="layer", scale=layers, axis=alt.Axis(labelAngle=0))
    down = alt.Y("nc1:Q", title="NC1, smaller is more collapsed", scale=_scale([value for _, value in known]))
    told = [alt.Tooltip("layer:N"), alt.Tooltip("nc1:Q", title="NC1", format=".4g")]
    every = alt.Chart(data_of(rows)).encode(x=across, y=down, tooltip=told)
    chosen = every.transform_filter(alt.datum.layer == best)
    mark, text = {"color": COLOURS[2]}, alt.Text("told:N")
    chart = alt.layer(
        every.mark_line(color=COLOURS[1], strokeWidth=1.6),
        every.mark_point(color=COLOURS[1], filled=True, size=50, opacity=1).encode(description="told:N"),
        chosen.mark_point(**mark, filled=True, size=110, opacity=1, shape="diamond").encode(description="told:N"),
        chosen.mark_text(**mark, dy=18, fontSize=12).encode(text=text),
    )
    return chart.properties(width=WIDTH, height=HEIGHT, title=printable(about))


def _scale(values: Sequence[float]) -> Any:
    import altair as alt

    low, high = min(values), max(values)
    if low <= 0:
        return alt.Scale(zero=False)
    top = max(high, LEAST_SPAN * low)
    room = (top / low) ** 0.2
    return alt.Scale(type="log", domain=[low / room**1.2, top * room], nice=False)
