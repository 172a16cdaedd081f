"""What charts and pages show of a ranking, and its chart: rank against size with rank ranges, or along its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hf_transfer_score.drawing.axes import Axis, linear_axis, log_axis, rank_axis
from hf_transfer_score.drawing.look import INK, LEFT, SOFT, group_look, title_of
from hf_transfer_score.drawing.scatter import Cloud, Kind, Mark, scatter
from hf_transfer_score.drawing.words import MISSING, Across, number, printable, shorten
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.text import counted, in_words, short_count

WIDTH, ROW, LEAST_HEIGHT, MOST_HEIGHT = 980, 19, 360, 1200
LONGEST_TITLE = 64
ALL_LABELLED, LABELLED = 40, 20
"""Up to 40 models all have a label; of more, only the best 20."""

SIDE, SIDE_START = 0.93, 0.87
"""Where models of unknown size stand, and where the area for them begins, as shares of the width."""

STEP, STEPS = 0.008, (0, 1, -1, 2, -2, 3, -3)
"""How far a model moves aside, as a share of the width, where its bar would cover that of a better one."""

MOVED = 300
"""Only so many of the best models are moved: more would cover each other anyway."""

GROUPS = "Models of one colour and shape cannot be distinguished from the best of them on this sample"
EXPECTED = "forecast on the scale of normal scores, higher is better"
FRONT = "dashed: the best rank up to this size"
FAST_FRONT = "dashed: the best rank at this speed or faster"
Row = tuple[str, Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """What is shown of a ranking.

    Attributes:
        subtitle: what the ranks are by.
        remark: how many models are not drawn.
        cloud: rank against size; None where nothing could be ranked.
        lines: the layers of the models, where layers were ranked.
        rows: ranked models with their cells, the best first.
        without: models without a rank, with status and reason.
        notes: what to know about the run.
    """

    title: str
    subtitle: str
    remark: str
    cloud: Cloud | None
    lines: Lines | None
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    without: tuple[Row, ...]
    notes: tuple[str, ...]


def picture_of(ranking: Ranking, across: Across = "parameters") -> Picture:
    """Return what is shown of a ranking, with the models drawn against their size or their speed."""
    letters = ranking.tie_letters
    table = [(name, _cells(ranking, name, letters[name])) for name in ranking.ranks]
    missing = [name for name in ranking.models if name not in ranking.ranks]
    return Picture(
        title=": ".join(filter(None, [shorten(printable(in_words(ranking.dataset)), LONGEST_TITLE), ranking.size])),
        subtitle=_subtitle(ranking),
        remark=f"{counted(len(missing), 'model')} without a rank" if missing else "",
        cloud=_cloud(ranking, letters, across) if ranking.ranks else None,
        lines=_lines(ranking),
        head=tuple(dict.fromkeys(name for _, cells in table for name, _ in cells)),
        rows=tuple((name, [value for _, value in cells]) for name, cells in table),
        without=tuple((name, _without(ranking, ranking.models[name])) for name in missing),
        notes=ranking.all_notes,
    )


def _cells(ranking: Ranking, name: str, letter: str) -> list[tuple[str, str]]:
    """Return the cells of a ranked model by column, for the table and the tooltip."""
    outcome, (low, high) = ranking.models[name], ranking.range_of(name)
    cells, likely = [("rank", f"{ranking.ranks[name]}")], ("rank range", f"{low}-{high}" if high > low else f"{low}")
    if ranking.forecasts:
        return [*cells, likely, *_expected(ranking, name), *_known(outcome)]
    if ranking.confidence is not None and len(ranking.ranks) > 1:
        cells += [likely, ("tie group", letter or MISSING)]
    if len(ranking.headline) > 1:
        cells.append(("mean rank", f"{ranking.mean_ranks[name]:.1f}"))
    cells += [(metric, f"{ranking.pools[metric].scores[name]:.4g}") for metric in ranking.headline]
    return [*cells, *_known(outcome)]


def _expected(ranking: Ranking, name: str) -> list[tuple[str, str]]:
    one, probe = ranking.forecasts[name], ranking.probe_of(name)
    below, level, accuracy = one.points_below_best, one.expected_accuracy, MISSING
    if level is not None:
        ends = f"{level.value:.0%} ({level.low:.0%} to {level.high:.0%})"
        accuracy = ends if level.high > level.low else f"{level.value:.1%}"
    return [
        ("chance to be best", f"{one.best_probability:.0%}"),
        ("points below the best", f"{below.value:.1f} ({below.low:.1f} to {below.high:.1f})"),
        ("accuracy", accuracy),
        ("probe", MISSING if probe is None else f"{probe.value:.1%}"),
    ]


def _known(outcome: RankedModel) -> list[tuple[str, str]]:
    return [
        ("parameters", short_count(outcome.parameters) if outcome.parameters else MISSING),
        ("width", MISSING if outcome.width is None else str(outcome.width)),
        ("examples per second", MISSING if outcome.throughput is None else short_count(outcome.throughput)),
        ("ms for one example", MISSING if outcome.milliseconds is None else short_count(outcome.milliseconds)),
    ]


def _cloud(ranking: Ranking, letters: dict[str, str], across: Across) -> Cloud:
    sizes, title = _speeds(ranking) if across == "throughput" else _sizes(ranking)
    axis, side = _size_axis(title, list(sizes.values()))
    shares = _apart([(axis.share(size) if size else SIDE, *ranking.range_of(name)) for name, size in sizes.items()])
    marks = []
    for (name, rank), share in zip(ranking.ranks.items(), shares, strict=True):
        low, high = ranking.range_of(name)
        facts = tuple((key, value) for key, value in _cells(ranking, name, letters[name]) if value != MISSING)
        bar = (float(low), float(high)) if high > low else None
        marks.append(Mark(printable(name), axis.value(share), rank, None, bar, facts, letters[name]))
    by_size = [(mark, sizes[name]) for mark, name in zip(marks, ranking.ranks, strict=True)]
    steps, front = _front(by_size, fast=across == "throughput"), FAST_FRONT if across == "throughput" else FRONT
    counts = Counter(letters[name] for name in ranking.ranks)
    kinds = {
        letter: Kind(f"{letter}: {count} models" if letter else f"not tied: {count}", *group_look(letter))
        for letter, count in counts.items()
    }
    return Cloud(
        replace(axis, title=f"{axis.title}\n{front}") if len(steps) > 1 else axis,
        rank_axis("rank", [ranking.range_of(name)[1] for name in ranking.ranks]),
        tuple(marks),
        kinds,
        legend=GROUPS if set(counts) != {""} else "",
        path=steps,
        stepped=True,
        named=tuple(range(len(marks) if len(marks) <= ALL_LABELLED else LABELLED)),
        side=side,
    )


def _speeds(ranking: Ranking) -> tuple[dict[str, float | None], str]:
    """Return examples per second of ranked models, and where they were measured."""
    ranked = [ranking.models[name] for name in ranking.ranks]
    machines = dict.fromkeys(str(one.measured_here["machine"]) for one in ranked if one.throughput)
    where = f" on {shorten(printable('; '.join(machines)), LONGEST_TITLE)}" if machines else ""
    return {name: ranking.models[name].throughput for name in ranking.ranks}, f"examples per second{where}"


def _sizes(ranking: Ranking) -> tuple[dict[str, float | None], str]:
    """Return parameters of ranked models, or the width of their features where no count is known."""
    ranked = {name: ranking.models[name] for name in ranking.ranks}
    counts: dict[str, float | None] = {name: outcome.parameters or None for name, outcome in ranked.items()}
    if any(counts.values()):
        left = sum(not count for count in counts.values())
        return counts, "parameters" + (f" ({counted(left, 'model')} without a count at the side)" if left else "")
    widths: dict[str, float | None] = {name: outcome.width or None for name, outcome in ranked.items()}
    return widths, "width of the features (no parameter counts are known)"


def _size_axis(title: str, sizes: Sequence[float | None]) -> tuple[Axis, float | None]:
    """Return the axis of sizes, and where the area begins for models of unknown size, if there are any."""
    known = [size for size in sizes if size]
    axis = log_axis(title, known or [1, 10])
    if len(known) == len(sizes):
        return axis, None
    wider = replace(axis, high=axis.value(1 / SIDE_START))
    ticks = (*((axis.ticks or ()) if known else ()), (wider.value(SIDE), "not known"))
    return replace(wider, ticks=ticks), axis.high


def _apart(bars: Sequence[tuple[float, int, int]]) -> list[float]:
    """Return shares of the width, moved a little aside where a bar would lie on that of a better model."""

    def meets(one: tuple[float, int, int], other: tuple[float, int, int]) -> bool:
        return abs(one[0] - other[0]) < 0.9 * STEP and one[1] <= other[2] and other[1] <= one[2]

    placed: list[tuple[float, int, int]] = []
    for share, low, high in bars[:MOVED]:
        choices = [(share + step * STEP, low, high) for step in STEPS]
        placed.append(min(choices, key=lambda one: sum(meets(one, other) for other in placed)))
    return [share for share, _, _ in (*placed, *bars[MOVED:])]


def _front(marks: Sequence[tuple[Mark, float | None]], *, fast: bool) -> tuple[tuple[float, float], ...]:
    """Return the points where the best rank so far improves, from small to large, or from fast to slow."""
    front: list[tuple[float, float]] = []
    for mark, size in sorted(marks, key=lambda pair: ((-1 if fast else 1) * (pair[1] or 0), pair[0].y)):
        if size and (not front or mark.y < front[-1][1]):
            front.append((mark.x, mark.y))
    return tuple(front)


def _has_layers(ranking: Ranking) -> bool:
    """Whether some model was ranked with more than one layer."""
    counts = Counter(ranking.models[name].model for name in ranking.ranks)
    return any(count > 1 for count in counts.values())


def _lines(ranking: Ranking) -> Lines | None:
    """Return the ranked layers of each model in their order, where models have several."""
    ranked = {name: ranking.models[name] for name in ranking.ranks}
    if not _has_layers(ranking):
        return None
    names, one = " and ".join(printable(name) for name in ranking.headline), len(ranking.headline) == 1
    if ranking.forecasts:
        values, what = {name: each.score for name, each in ranking.forecasts.items()}, EXPECTED
    elif one:
        values, what = ranking.pools[ranking.headline[0]].scores, f"pool score of {names}, higher is better"
    else:
        values, what = ranking.mean_ranks, f"mean rank by {names}, lower is better"
    found: dict[str, dict[str, float]] = {}
    for name, outcome in ranked.items():
        found.setdefault(printable(outcome.model), {})[printable(outcome.layer or "")] = values[name]
    best = next(iter(ranked.values()))
    return Lines(
        found, (printable(best.model), printable(best.layer or "")), what, turned=not (one or ranking.forecasts)
    )


def _subtitle(ranking: Ranking) -> str:
    if not ranking.ranks:
        return "No model could be ranked."
    names = " and ".join(printable(name) for name in ranking.headline)
    if ranking.forecasts:
        text = "ranked by how the models are expected to come out after fine-tuning"
        several = len(ranking.ranks) > 1 and not _has_layers(ranking)
        return f"{text}; bars hold the place in 80% of cases" if several else text
    text = f"ranked by the mean rank of {names}" if len(ranking.headline) > 1 else f"ranked by {names}"
    sure = ranking.confidence
    if sure is None or len(ranking.ranks) < 2 or _has_layers(ranking):
        return text
    return f"{text}; bars hold the rank in {sure.level:.0%} of {sure.replicates} bootstrap samples"


def _without(ranking: Ranking, outcome: RankedModel) -> tuple[str, str]:
    """Return status and reason of a model without a rank."""
    status = outcome.kind or ("not ranked" if outcome.status == "ok" else outcome.status)
    if outcome.reason or outcome.scores is None:
        return status, outcome.reason or MISSING
    results = outcome.scores.results
    missing = [results[name].reason for name in ranking.headline if name in results]
    return status, "; ".join(one for one in missing if one) or outcome.scores.reason or MISSING


def rank_chart(picture: Picture) -> Any:
    """Return the chart of a ranking, for a notebook, a page or a file; for ranked layers, a line per model."""
    import altair as alt

    title = title_of(picture.title, WIDTH, picture.subtitle, picture.remark)
    told = {"title": title, "description": f"{picture.title}: {picture.subtitle}"}
    cloud = picture.cloud
    if picture.lines is not None:
        return layer_chart(picture.lines, WIDTH, **told)
    if cloud is not None:
        return scatter(cloud, WIDTH, min(MOST_HEIGHT, max(LEAST_HEIGHT, round(ROW * cloud.y.high))), **told)
    said = alt.Chart({"values": [{"text": "No model could be ranked."}]}).mark_text(size=17, color=SOFT)
    return alt.layer(said.encode(text=alt.Text("text:N")), width=WIDTH, height=LEAST_HEIGHT, **told)


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
