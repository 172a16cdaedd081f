"""A chart with its tables as one page that needs nothing else: no other file, and no address outside."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from hf_transfer_score.drawing.look import specification
from hf_transfer_score.drawing.points import Picture, Row
from hf_transfer_score.drawing.words import MISSING, printable

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
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
NOTEBOOK_ROWS = 20
CHART_WORDS = "The chart; the table below has its numbers"
DRAW = """
const night = window.matchMedia("(prefers-color-scheme: dark)");
const draw = () => vegaEmbed("#chart", night.matches ? NIGHT : DAY);
night.addEventListener("change", draw);
draw();
"""


def ranking_page(chart: Any, picture: Picture) -> str:
    """Return the page of a ranking: its chart, and all models in tables."""
    tables = [
        _table("Ranking", ["model", *picture.head], picture.rows),
        _table("Without a rank", ["model", "status", "reason"], picture.without, "words"),
    ]
    notes = "".join(f"<li>{text_of(note)}</li>" for note in picture.notes)
    drawn = chart if picture.rows else None
    listed = f"<h2>Notes</h2>\n<ul>{notes}</ul>" if notes else ""
    return _page(picture.title, picture.subtitle, drawn, [*tables, listed])


def notebook_html(picture: Picture, answer: str, image: bytes | None = None) -> str:
    """Return a ranking as a notebook shows it: the answer, the best models in a table, and the chart.

    Args:
        picture: what is shown of the ranking.
        answer: what to do, in a sentence.
        image: the chart as SVG; None for no chart.
    """
    left = len(picture.rows) - NOTEBOOK_ROWS
    table = _table("", ["model", *picture.head], picture.rows[:NOTEBOOK_ROWS])
    more = f"<p>{left} more models are ranked below; <code>to_pandas()</code> has all.</p>" if left > 0 else ""
    without = "".join(f"<li>{text_of(name)}: {text_of(why)}</li>" for name, (_, why) in picture.without)
    chart = ""
    if image is not None:
        source = f"data:image/svg+xml;base64,{b64encode(image).decode()}"
        chart = f'<img src="{source}" alt="{text_of(picture.subtitle)}" style="max-width: 100%; background: white">'
    about = f"<p>{text_of(picture.title)}; {text_of(picture.subtitle)}.</p>"
    failed = f"<p>Without a rank:</p><ul>{without}</ul>" if without else ""
    return f"<div><p><strong>{text_of(answer)}</strong></p>{about}{table}{more}{failed}{chart}</div>"


def profile_page(chart: Any, title: str, values: Mapping[str, float | None]) -> str:
    """Return the page of the layers of a checkpoint."""
    rows = [(layer, [MISSING if value is None else f"{value:.4g}"]) for layer, value in values.items()]
    return _page(title, "NC1 by layer, smaller is more collapsed", chart, [_table("Layers", ["layer", "NC1"], rows)])


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
    drawn = chart.properties(title="")
    day, night = (_in_script(json.dumps(specification(drawn, night=dark))) for dark in (False, True))
    return f"<script>{bundle()}</script>\n<script>\nconst DAY = {day};\nconst NIGHT = {night};\n{DRAW}</script>"


def _in_script(text: str) -> str:
    """Return JSON that ends no script and begins no other."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text_of(text: object) -> str:
    """Return any text so that a page shows it and never reads it as markup."""
    return escape("".join(one if one == "\n" else printable(one) for one in str(text)))


def _table(title: str, head: Sequence[str], rows: Sequence[Row], kind: str = "numbers") -> str:
    if not rows:
        return ""
    named = "".join(f'<th scope="col">{text_of(one)}</th>' for one in head)
    lines = "\n".join(
        f'<tr><th scope="row">{text_of(name)}</th>{"".join(f"<td>{text_of(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    heading = f"<h2>{title}</h2>\n" if title else ""
    return (
        f'{heading}<div class="scroll"><table class="{kind}">\n<thead><tr>{named}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody>\n</table></div>"
    )
