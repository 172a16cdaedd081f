"""A chart with its tables as one page that needs nothing else: no other file, and no address outside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from hf_transfer_score.drawing.look import AT_NIGHT, DAY, NIGHT, configuration
from hf_transfer_score.drawing.points import Picture, printable
from hf_transfer_score.ranking.ranking import RankedModel
from hf_transfer_score.selection.report import RankReport
from hf_transfer_score.selection.words import short_count

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
MISSING = "-"
STYLE = """
:root { --ground: #ffffff; --ink: #222222; --soft: #5a5a5a; --grid: #e4e4e4; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --ink: #ececec; --soft: #a9adb3; --grid: #2b2f34; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: 0 0 .8rem; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 14rem; max-width: 26rem; }
table.numbers { width: auto; min-width: 60%; }
.numbers td, .numbers thead th:not(:first-child) { text-align: right; white-space: nowrap; }
.words td { overflow-wrap: anywhere; }
"""
CHART_WORDS = "The chart; the table below has its numbers"
DRAW = """
const night = window.matchMedia("(prefers-color-scheme: dark)");
const actions = {export: true, source: false, compiled: false, editor: false};
const draw = () => {
  const [chart, config] = night.matches ? NIGHT : DAY;
  return vegaEmbed("#chart", chart, {config, renderer: "svg", actions});
};
night.addEventListener("change", draw);
draw();
"""


def ranking_page(chart: Any, picture: Picture, report: RankReport) -> str:
    """Return the page of a ranking: its chart, and all models in a table."""
    drawn = chart.properties(title="") if picture.points else None
    tables = [_ranked(picture, report)] if picture.points else []
    return _page(picture.title, picture.subtitle, drawn, [*tables, _without(report), _notes(report)])


def profile_page(chart: Any, title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return the page of the layers of a checkpoint."""
    told = [(layer, [value]) for layer, value in rows]
    return _page(title, "NC1 by layer, smaller is more collapsed", chart, [_table("Layers", ["layer", "NC1"], told)])


def _page(title: str, subtitle: str, chart: Any, tables: Sequence[str]) -> str:
    named = text_of(title)
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{named}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{named}</h1>\n<p>{text_of(subtitle)}</p>",
        f'<div class="scroll" id="chart" role="group" aria-label="{CHART_WORDS}"></div>' if chart else "",
        *tables,
        "</main>",
        _scripts(chart) if chart else "",
        "</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _scripts(chart: Any) -> str:
    """Return the library that draws, and what it draws; no name can end a script or begin another."""
    import vl_convert

    bundle: Any = vl_convert.javascript_bundle
    by_day, by_night = json.dumps(chart.to_dict()), json.dumps(chart.to_dict())
    for colour, at_night in AT_NIGHT.items():
        by_night = by_night.replace(f'"{colour}"', f'"{at_night}"')
    looks = {"DAY": (by_day, configuration(DAY)), "NIGHT": (by_night, configuration(NIGHT))}
    told = "".join(
        f"const {name} = [{_in_script(one)}, {_in_script(json.dumps(how))}];\n" for name, (one, how) in looks.items()
    )
    return f"<script>{bundle()}</script>\n<script>\n{told}{DRAW}</script>"


def _in_script(text: str) -> str:
    """Return JSON that ends no script and begins no other."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text_of(text: object) -> str:
    """Return any text so that a page shows it and never reads it as markup."""
    return escape("".join(one if one == "\n" else printable(one) for one in str(text)))


def _ranked(picture: Picture, report: RankReport) -> str:
    several = len(report.headline) > 1
    head = ["rank", *(["range", "tie"] if picture.bars else []), *(["mean rank"] if several else [])]
    facts = ["parameters", "width", "examples/s"]
    rows = []
    for point, name in zip(picture.points, report.ranks, strict=True):
        cells = [str(point.rank)]
        if picture.bars:
            cells += [f"{point.low}-{point.high}" if point.high > point.low else str(point.low), point.tie]
        if several:
            cells.append(f"{report.mean_ranks[name]:.1f}")
        scores = [f"{report.pools[metric].scores[name]:.4g}" for metric in report.headline]
        rows.append((point.name, [*cells, *scores, *_facts(report.models[name])]))
    return _table("Ranking", ["model", *head, *report.headline, *facts], rows)


def _facts(outcome: RankedModel) -> list[str]:
    speed = MISSING if outcome.throughput is None else f"{outcome.throughput:.3g}"
    width = MISSING if outcome.width is None else str(outcome.width)
    return [short_count(outcome.parameters) if outcome.parameters else MISSING, width, speed]


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], kind: str = "numbers") -> str:
    named = "".join(f'<th scope="col">{text_of(one)}</th>' for one in head)
    lines = "\n".join(
        f'<tr><th scope="row">{text_of(name)}</th>{"".join(f"<td>{text_of(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    return (
        f'<h2>{title}</h2>\n<div class="scroll"><table class="{kind}">\n<thead><tr>{named}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody>\n</table></div>"
    )


def _without(report: RankReport) -> str:
    """Return the models without a rank, with the reason."""
    rows = [
        (name, [outcome.kind or ("not ranked" if outcome.status == "ok" else outcome.status), _reason(outcome, report)])
        for name, outcome in report.models.items()
        if name not in report.ranks
    ]
    return _table("Without a rank", ["model", "status", "reason"], rows, "words") if rows else ""


def _reason(outcome: RankedModel, report: RankReport) -> str:
    if outcome.reason or outcome.scores is None:
        return outcome.reason or MISSING
    results = outcome.scores.results
    missing = [results[name].reason for name in report.headline if name in results and results[name].reason]
    return "; ".join(one for one in missing if one) or outcome.scores.reason or MISSING


def _notes(report: RankReport) -> str:
    notes = "".join(f"<li>{text_of(note)}</li>" for note in (*report.sample.notes, *report.notes))
    return f"<h2>Notes</h2>\n<ul>{notes}</ul>" if notes else ""
