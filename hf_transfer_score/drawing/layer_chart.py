"""The chart of layers: one value per layer of one or more checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.drawing.axes import Axis, linear_axis, log_axis
from hf_transfer_score.drawing.look import INK, LEFT, group_look, title_of
from hf_transfer_score.drawing.words import number, printable

HEIGHT, PROFILE_WIDTH = 360, 840
LEAST_SPAN = 2.0
"""A logarithmic axis spans at least this factor, so that nearly equal values look nearly equal."""

MOST_NAMED = 8
"""Models in the legend at most."""


@dataclass(frozen=True)
class Lines:
    """One line per checkpoint: its values by layer (None where there is none), and the checkpoint and layer to mark.

    The axis is logarithmic only if all values are above 0; `turned` puts low values on top.
    """

    values: Mapping[str, Mapping[str, float | None]]
    best: tuple[str, str]
    what: str
    log: bool = False
    turned: bool = False

    @property
    def layers(self) -> list[str]:
        """All layers, from the input to the output; those without a number come last."""
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


def layer_chart(lines: Lines, width: int, *, title: Any, description: str) -> Any:
    """Return the chart of a value by layer: layers across, one line per checkpoint, the best layer marked."""
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
        shape=alt.Shape("model:N", scale=shape, legend=legend), description=alt.Description("told:N"), tooltip=told
    )
    marked = chart.transform_filter("isValid(datum.best)")
    return alt.layer(
        coloured.mark_line(strokeWidth=1.6),
        points,
        marked.mark_point(color=INK, size=240, filled=False, strokeWidth=2, aria=False),
        marked.mark_text(color=INK, dy=20 if lines.log else -18, fontSize=12, aria=False).encode(text="best:N"),
        data={"values": rows},
        width=width - LEFT - 24,
        height=HEIGHT,
        title=title,
        description=description,
    )


def profile_chart(values: Mapping[str, float | None], best: str, model: str, about: str) -> Any:
    """Return the chart of NC1 by layer of one model, on a logarithmic scale, with the best layer marked."""
    named = printable(model)
    title = f"{named} {about}"
    lines = Lines({named: values}, (named, best), "NC1, smaller is more collapsed", log=True)
    return layer_chart(lines, PROFILE_WIDTH, title=title_of(title, PROFILE_WIDTH), description=title)
