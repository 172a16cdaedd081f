"""Rank the example, and write the result into README.md, docs/reading.md and docs/answer.svg."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any

import altair as alt

from hf_transfer_score import RankReport, rank
from hf_transfer_score.cli import main as run_command
from hf_transfer_score.drawing.look import COLOURS, INK, SOFT, day_and_night, image_of, title_of
from hf_transfer_score.home import write_text
from hf_transfer_score.ranking.showing import forecast_rows

FOLDER = Path(__file__).parent
README = FOLDER.parent / "README.md"
WIDTH, ROW = 560, 27
BLOCK = re.compile(r"(?<=<!-- answer: start -->\n)(.*?)(?=<!-- answer: end -->)", re.DOTALL)


def answer_chart(report: RankReport) -> Any:
    """Return a chart of the expected accuracy of each model and its chance to be the best."""
    rows = [
        {
            "model": one["name"],
            "value": one["expected_accuracy"]["value"],
            "low": one["expected_accuracy"]["low"],
            "high": one["expected_accuracy"]["high"],
            "chance": f"{one['best_probability']:.0%}",
        }
        for one in forecast_rows(report)
        if one["expected_accuracy"] is not None
    ]
    first, _, rest = report.answer.partition(". ")
    names = alt.Y("model:N", sort=[row["model"] for row in rows], title=None, axis=alt.Axis(labelLimit=300))
    level = alt.X("low:Q", title="expected accuracy after fine-tuning, with its 80% interval")
    level = level.axis(format=".0%").scale(domain=[0, 1])
    base = alt.Chart({"values": rows})
    bars = base.mark_rule(strokeWidth=5, opacity=0.35, color=COLOURS[1]).encode(x=level, x2="high:Q", y=names)
    dots = base.mark_point(size=90, filled=True, opacity=1, color=COLOURS[1]).encode(x="value:Q", y=names)
    chances = base.mark_text(align="right", fontSize=12, color=INK).encode(
        x=alt.value(WIDTH + 44), y=names, text="chance:N"
    )
    head = alt.Chart({"values": [{"text": "best"}]}).mark_text(align="right", fontSize=12, color=SOFT)
    head = head.encode(x=alt.value(WIDTH + 44), y=alt.value(-8), text="text:N")
    title = title_of(f"{first}.", WIDTH + 160, rest, "best: the chance to be the best")
    return alt.layer(bars, dots, chances, head, width=WIDTH, height=ROW * len(rows), title=title)


def printed() -> str:
    """Return the answer and the table as printed in 100 columns."""
    os.environ["COLUMNS"] = "100"
    with contextlib.redirect_stdout(io.StringIO()) as written:
        run_command(["rank", "example", "--quiet"])
    told = written.getvalue()
    return told[: told.index("\n10 of 10 models")].rstrip("\n")


def main() -> None:
    """Write the pages and the picture."""
    report = rank("example")
    write_text(FOLDER / "answer.svg", day_and_night(image_of(answer_chart(report), "svg").decode()))
    for page, said in ((README, f"```\n{printed()}\n```\n"), (FOLDER / "reading.md", f"> {report.answer}\n")):
        page.write_text(BLOCK.sub(lambda _, said=said: said, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
