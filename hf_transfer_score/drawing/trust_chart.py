"""The chart of which metric to trust: how well the order of each agrees with measured accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hf_transfer_score.drawing.figure import MOST_ROWS, WIDTH, Figure, Table
from hf_transfer_score.drawing.look import COLOURS, INK, title_of, unchecked
from hf_transfer_score.drawing.words import (
    Ends,
    counted,
    ends_of,
    finite,
    in_sentence,
    named,
    number,
    sentences,
    shorten,
)
from hf_transfer_score.text import joined

MOST_DRAWN = 40
ROW = 26
TITLE = "Which metric can be trusted: τ_w with measured accuracy"
KINDS = {"score": "metric", "baseline": "trivial baseline"}


@dataclass(frozen=True)
class TrustRow:
    """How well a metric agrees with measured accuracy.

    Attributes:
        value: τ_w, from -1 to 1; None where it is not known.
        regret: accuracy lost by taking the metric's first choice, None where it is not known.
        models: how many models were compared.
    """

    name: str
    value: float | None
    interval: Ends | None = None
    kind: Literal["score", "baseline"] = "score"
    regret: float | None = None
    models: int | None = None

    @property
    def told(self) -> str:
        """The value with its interval."""
        value, ends = finite(self.value), ends_of(self.interval)
        if value is None:
            return ""
        text = f"{value:.2f}" if ends is None else f"{value:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"
        return text.replace("-", "−")

    @property
    def lost(self) -> str:
        """The accuracy lost, in words."""
        regret = finite(self.regret)
        return "" if regret is None else number(regret, 3)


@unchecked
def trust_figure(rows: Sequence[TrustRow], *, title: str = TITLE, width: int = WIDTH) -> Figure:
    """Return τ_w of each metric with its interval, the best on top; baselines have their own shape."""
    known = [row for row in rows if finite(row.value) is not None]
    lines = sorted(known, key=lambda row: -(finite(row.value) or 0.0))
    without = len(rows) - len(lines)
    left_out = f"{counted(without, 'metric')} without a comparison left out." if without else ""
    if not lines:
        return Figure(title, sentences("No metric was compared with measured accuracy yet.", left_out))
    cut = f"The best {MOST_DRAWN} of {len(lines)} are drawn." if len(lines) > MOST_DRAWN else ""
    caption = sentences(_words(lines), cut, left_out)
    words = (
        f"{counted(len(lines), 'metric')} by τ_w, where 1 is the order of measured accuracy and 0 is chance. {caption}"
    )
    told = {"title": title_of(title, width), "description": f"{title}. {words}"}
    cells = [
        (named(row.name), KINDS[row.kind], row.told, row.lost, "" if row.models is None else f"{row.models:,}")
        for row in [*lines, *(row for row in rows if row not in known)]
    ]
    columns = ("name", "kind", "τ_w", "accuracy lost by its first choice", "models")
    table = Table(columns, tuple(cells[:MOST_ROWS]), len(cells), "metric")
    return Figure(title, words, caption, _chart(lines[:MOST_DRAWN], width, told), table)


def _words(lines: Sequence[TrustRow]) -> str:
    """Say which metric is best, and which are above the best baseline."""
    scores = [one for one in lines if one.kind == "score"]
    baselines = [one for one in lines if one.kind == "baseline"]
    words = [
        f"Best {what}: {in_sentence(best.name)}, τ_w {best.told}."
        for what, best in (("metric", next(iter(scores), None)), ("baseline", next(iter(baselines), None)))
        if best is not None
    ]
    if scores and baselines and any(one.interval is not None for one in lines):
        beaten = [in_sentence(one.name) for one in scores if (one.value or 0.0) > (baselines[0].value or 0.0)]
        names = f": {joined(beaten, 5)}." if beaten else "."
        words.append(f"{len(beaten):,} of {counted(len(scores), 'metric')} above every baseline by value{names}")
    intervals = [ends for one in lines if (ends := ends_of(one.interval)) is not None]
    unsure = sum(low <= 0 <= high for low, high in intervals)
    words.append(f"{unsure:,} cannot be distinguished from chance: their intervals contain 0." if unsure else "")
    return sentences(*words)


def _row(place: int, row: TrustRow, letters: int) -> dict[str, Any]:
    found = {"place": place, "metric": named(row.name), "short": shorten(named(row.name), letters)}
    found |= {"kind": KINDS[row.kind], "value": finite(row.value), "tau": row.told, "lost": row.lost or "–"}
    found["models"] = "–" if row.models is None else f"{row.models:,}"
    ends = ends_of(row.interval)
    found |= {} if ends is None else {"low": ends[0], "high": ends[1]}
    return found | {"told": f"{found['metric']}, {found['kind']}: τ_w {row.told}"}


def _chart(lines: Sequence[TrustRow], width: int, told: dict[str, Any]) -> Any:
    import altair as alt

    letters = 24 if width > 480 else 13
    room = 8 + 7 * max(min(letters, len(named(row.name))) for row in lines)
    rows = [_row(place, row, letters) for place, row in enumerate(lines)]
    ends = [end for row in rows for end in (0.0, row["value"], row.get("low", 0.0), row.get("high", 0.0))]
    room_around = max(0.05, (max(ends) - min(ends)) * 0.04)
    scale = alt.Scale(domain=[min(ends) - room_around, max(ends) + room_around], nice=False, zero=False)
    title = "τ_w: 0 is chance, 1 is the order of accuracy →"
    x = alt.X("value:Q", scale=scale, title=title, axis=alt.Axis(tickCount=6 if width > 480 else 4, format=".1f"))
    y = alt.Y("place:O", axis=None)
    kinds = [words for kind, words in KINDS.items() if any(row.kind == kind for row in lines)]
    looks = {"metric": (COLOURS[1], "circle"), "trivial baseline": (COLOURS[2], "diamond")}
    colour, shape = (alt.Scale(domain=kinds, range=[looks[kind][place] for kind in kinds]) for place in (0, 1))
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
