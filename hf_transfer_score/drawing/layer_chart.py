"""The chart of layers: a value of each layer of one or more checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.drawing.axes import Axis, linear_axis, log_axis
from hf_transfer_score.drawing.look import INK, LEFT, data_of, group_look
from hf_transfer_score.drawing.words import number

HEIGHT = 360
LEAST_SPAN = 2.0
"""A logarithmic axis spans so many times at least, so that values nearly equal look so."""

MOST_NAMED = 8
"""Models that the legend names."""


@dataclass(frozen=True)
class Lines:
    """A line for each checkpoint.

    Attributes:
        values: a value by layer, in order, by name of the checkpoint; None where there is no value.
        best: the checkpoint and the layer to mark.
        what: the values are, in words.
        log: whether equal factors are equally long, where all values are above 0.
        turned: whether low values are on top.
    """

    values: Mapping[str, Mapping[str, float | None]]
    best: tuple[str, str]
    what: str
    log: bool = False
    turned: bool = False

    @property
    def layers(self) -> list[str]:
        """All layers from the input to the output; those without a number come last."""
        names = dict.fromkeys(layer for line in self.values.values() for layer in line)
        return sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))

    @property
    def axis(self) -> Axis:
        """The axis of the values."""
        known = [value for line in self.values.values() for value in line.values() if value is not None]
        if self.log and min(known) > 0:
            low, high = min(known), max(max(known), LEAST_SPAN * min(known))
            return log_axis(self.what, [low / (high / low) ** 0.2, high], lambda value: number(value, 3))
        return linear_axis(self.what, known, turned=self.turned)


def layer_chart(lines: Lines, width: int) -> Any:
    """Return the chart of a value by layer: layers across, a line for each checkpoint, the best layer marked.

    Args:
        lines: what to draw.
        width: of the whole, in pixels.
    """
    import altair as alt

    rows = [
        {"model": name, "layer": layer, "value": value, "told": f"{name}, layer {layer}: {number(value, 3)}"}
        | ({"best": f"layer {layer}: {number(value, 3)}"} if (name, layer) == lines.best else {})
        for name, line in lines.values.items()
        for layer, value in line.items()
        if value is not None
    ]
    names, axis = list(lines.values), lines.axis
    looks = [group_look(str(place)) for place in range(len(names))]
    legend = None
    if len(names) > 1:
        legend = alt.Legend(title=None, columns=max(1, width // 320), symbolLimit=MOST_NAMED, symbolOpacity=1)
    colour, shape = (alt.Scale(domain=names, range=list(one)) for one in zip(*looks, strict=True))
    layers = alt.Axis(labelAngle=0, labelOverlap=True)
    chart = alt.Chart().encode(
        x=alt.X("layer:O", title="layer, from input to output", scale=alt.Scale(domain=lines.layers), axis=layers),
        y=axis.channel(alt.Y, "value"),
    )
    coloured = chart.encode(color=alt.Color("model:N", scale=colour, legend=legend))
    told = [alt.Tooltip("model:N"), alt.Tooltip("layer:N"), alt.Tooltip("value:Q", title=lines.what, format=".4g")]
    points = coloured.mark_point(filled=True, size=60, opacity=1).encode(
        shape=alt.Shape("model:N", scale=shape, legend=legend), description="told:N", tooltip=told
    )
    marked = chart.transform_filter("isValid(datum.best)")
    mark = {"color": INK}
    drawn = alt.layer(
        coloured.mark_line(strokeWidth=1.6),
        points,
        marked.mark_point(**mark, size=240, filled=False, strokeWidth=2, aria=False),
        marked.mark_text(**mark, dy=20 if lines.log else -18, fontSize=12, aria=False).encode(text="best:N"),
        data=data_of(rows),
    )
    return drawn.properties(width=width - LEFT - 24, height=HEIGHT)
