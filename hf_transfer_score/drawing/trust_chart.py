"""The chart of which metric to trust: how well the order of each agrees with measured accuracy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hf_transfer_score.drawing.figure import MOST_ROWS, WIDTH, Figure, Table
from hf_transfer_score.drawing.look import COLOURS, INK, title_of, unchecked
from hf_transfer_score.drawing.words import MISSING, in_sentence, named, number, sentences, shorten, tau_text
from hf_transfer_score.ranking.agreement.compare import Agreement
from hf_transfer_score.text import counted, joined

MOST_DRAWN = 40
ROW = 26
TITLE = "Which metric can be trusted: τ_w with measured accuracy"
LOOKS = {"metric": (COLOURS[1], "circle"), "trivial baseline": (COLOURS[2], "diamond")}
TRIVIAL = "trivial"


class Trust(NamedTuple):
    """How well one order of models agrees with the measured accuracies.

    Attributes:
        label: of a metric, or of another order.
        kind: "score" or "baseline" for a metric, "trivial" for an order by a fact of the model or by chance, "order"
            for one made from several metrics.
    """

    label: str
    kind: str
    agreement: Agreement

    @property
    def is_baseline(self) -> bool:
        """Whether it is an order that a metric has to beat."""
        return self.kind in ("baseline", TRIVIAL)

    @property
    def tau(self) -> float:
        """τ_w, or 0 if it is not defined."""
        return self.agreement.weighted_tau or 0.0


@unchecked
def trust_figure(rows: Sequence[Trust], *, title: str = TITLE, width: int = WIDTH) -> Figure:
    """Return τ_w of each order with its interval, the best on top; baselines have their own shape."""
    lines = sorted((row for row in rows if row.agreement.weighted_tau is not None), key=lambda row: -row.tau)
    unknown = [row for row in rows if row.agreement.weighted_tau is None]
    left_out = f"{counted(len(unknown), 'metric')} without a comparison left out." if unknown else ""
    if not lines:
        return Figure(title, sentences("No metric was compared with measured accuracy yet.", left_out))
    cut = f"The best {MOST_DRAWN} of {len(lines)} are drawn." if len(lines) > MOST_DRAWN else ""
    caption = sentences(_words(lines), cut, left_out)
    words = (
        f"{counted(len(lines), 'metric')} by τ_w, where 1 is the order of measured accuracy and 0 is chance. {caption}"
    )
    told = {"title": title_of(title, width), "description": f"{title}. {words}"}
    cells = [tuple(_cells(row).values()) for row in [*lines, *unknown]]
    columns = ("name", "kind", "τ_w", "accuracy lost by its first choice", "models")
    table = Table(columns, tuple(cells[:MOST_ROWS]), len(cells), "metric")
    return Figure(title, words, caption, _chart(lines[:MOST_DRAWN], width, told), table)


def _cells(row: Trust) -> dict[str, str]:
    found = row.agreement
    return {
        "metric": named(row.label),
        "kind": "trivial baseline" if row.is_baseline else "metric",
        "tau": "" if found.weighted_tau is None else tau_text(found.weighted_tau, found.weighted_tau_interval),
        "lost": "" if found.top_regret is None else number(found.top_regret, 3),
        "models": f"{found.models:,}",
    }


def _words(lines: Sequence[Trust]) -> str:
    """Say which metric is best, and which are above the best baseline."""
    scores, baselines = ([one for one in lines if one.is_baseline is wanted] for wanted in (False, True))
    words = [
        f"Best {what}: {in_sentence(found[0].label)}, τ_w {_cells(found[0])['tau']}."
        for what, found in (("metric", scores), ("baseline", baselines))
        if found
    ]
    intervals = [ends for one in lines if (ends := one.agreement.weighted_tau_interval) is not None]
    if scores and baselines and intervals:
        beaten = [in_sentence(one.label) for one in scores if one.tau > baselines[0].tau]
        names = f": {joined(beaten, 5)}." if beaten else "."
        words.append(f"{len(beaten):,} of {counted(len(scores), 'metric')} above every baseline by value{names}")
    if unsure := sum(low <= 0 <= high for low, high in intervals):
        what = "the interval contains" if unsure == 1 else "their intervals contain"
        words.append(f"{unsure:,} cannot be distinguished from chance: {what} 0.")
    return sentences(*words)


def _row(place: int, row: Trust, letters: int) -> dict[str, Any]:
    cells, ends = _cells(row), row.agreement.weighted_tau_interval
    found = {"place": place, **cells, "short": shorten(cells["metric"], letters), "value": row.tau}
    found |= {"lost": cells["lost"] or MISSING} | ({} if ends is None else {"low": ends[0], "high": ends[1]})
    return found | {"told": f"{cells['metric']}, {cells['kind']}: τ_w {cells['tau']}"}


def _chart(lines: Sequence[Trust], width: int, told: dict[str, Any]) -> Any:
    import altair as alt

    letters = 24 if width > 480 else 13
    room = 8 + 7 * max(min(letters, len(named(row.label))) for row in lines)
    rows = [_row(place, row, letters) for place, row in enumerate(lines)]
    ends = [end for row in rows for end in (0.0, row["value"], row.get("low", 0.0), row.get("high", 0.0))]
    room_around = max(0.05, (max(ends) - min(ends)) * 0.04)
    scale = alt.Scale(domain=[min(ends) - room_around, max(ends) + room_around], nice=False, zero=False)
    title = "τ_w: 0 is chance, 1 is the order of accuracy →"
    x = alt.X("value:Q", scale=scale, title=title, axis=alt.Axis(tickCount=6 if width > 480 else 4, format=".1f"))
    y = alt.Y("place:O", axis=None)
    kinds = [kind for kind in LOOKS if any(row["kind"] == kind for row in rows)]
    colour, shape = (alt.Scale(domain=kinds, range=[LOOKS[kind][place] for kind in kinds]) for place in (0, 1))
    legend = alt.Legend(title=None, symbolOpacity=1) if len(kinds) > 1 else None
    facts = [("metric", "metric"), ("kind", "kind"), ("tau", "τ_w"), ("lost", "accuracy lost"), ("models", "models")]
    base = alt.Chart().encode(y=y, color=alt.Color("kind:N", scale=colour, legend=legend))
    zero = alt.Chart({"values": [{"value": 0}]}).mark_rule(strokeWidth=1.5, color=INK, opacity=0.7).encode(x=x)
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.5)
    points = base.mark_point(filled=True, size=85, opacity=1).encode(
        x=x,
        shape=alt.Shape("kind:N", scale=shape, legend=legend),
        tooltip=[alt.Tooltip(f"{field}:N", title=name) for field, name in facts],
        description=alt.Description("told:N"),
    )
    inside = width - room - 24
    names = alt.Chart().mark_text(align="right", fontSize=12, aria=False)
    names = names.encode(y=y, x=alt.value(-8), text=alt.Text("short:N"))
    spans = [bars.encode(x=alt.X("low:Q"), x2=alt.X2(field="high"))] if any("low" in row for row in rows) else []
    layers = [zero, *spans, points, names]
    return alt.layer(*layers, data={"values": rows}, width=inside, height=ROW * len(lines), **told)
