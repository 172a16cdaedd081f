"""Measure and simulate ten thousand candidates, a thousand workers and a million records, for docs/scale.md.

python benchmarks/scale.py                         # everything; half an hour on two quiet cores, 5 GB of disk
python benchmarks/scale.py --parts simulation      # again, from the latest measured times
python benchmarks/scale.py --parts                 # only write the page again
python benchmarks/scale.py --parts leaderboard --records FOLDER

Each part keeps its numbers in benchmarks/scale.json and writes its tables into docs/scale.md, between its markers. The
script needs the extra `space`, but no network.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE, KEPT = ROOT / "docs" / "scale.md", Path(__file__).with_suffix(".json")
PARTS = ("times", "simulation", "leaderboard")
CANDIDATES, WORKERS = 10_000, 1_000
DATASETS = 10
"""With ten records of each candidate on each dataset, a million records."""

MOST_VIEWS = 3
QUEUE_HOURS = 24.0

FAST = 10.0
"""Seconds that one candidate may take on a GPU; assumed."""

TIMES = (
    ("candidate", "one candidate: resnet50 over 5,000 images, one core", "{:.0f} s"),
    ("plan_api", "planning one candidate, API", "{:.1f} requests"),
    ("plan_resolve", "planning one candidate, files", "{:.1f} requests"),
    ("fetch_api", "downloading and running it, API", "{:.1f} requests"),
    ("fetch_resolve", "downloading and running it, files", "{:.1f} requests"),
    ("claim_api", "claiming a request in the queue, API", "{:.0f} requests"),
    ("commit_seconds", "claiming a request, on the local Hub of the tests", "{:.2f} s"),
    ("first_publish_seconds", "publishing ten records into a repository of 500, with its first table", "{:.1f} s"),
    ("first_publish_resolve", "the same, files read", "{:.0f} requests"),
    ("publish_seconds", "publishing the next ten", "{:.2f} s"),
    ("publish_api", "the same, API", "{:.0f} requests"),
    ("read_seconds", "reading one record from its file, CPU time", "{:.5f} s"),
)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def times_table(times: dict[str, float]) -> str:
    """Return the table of measured times."""
    return table(("what", "measured"), [(words, form.format(times[name])) for name, words, form in TIMES])


def simulation(times: dict[str, float]) -> dict[str, Any]:
    """Simulate engines and queues of several sizes under several limits, and return the rows of the tables."""
    from scale_simulation import PLANS, Limits, Times, by_engine, by_queue

    names = ("candidate", "plan_api", "plan_resolve", "fetch_api", "fetch_resolve")
    given = Times(
        **{name: times[name] for name in names},
        view=1.0,
        commit=max(1.0, times["claim_api"] - 1.0),
        commit_seconds=times["commit_seconds"],
    )

    def engine_row(plan: Limits, workers: int, how: str, given: Times) -> list[str]:
        found = by_engine(given, plan, CANDIDATES, workers, patient=how == "waits")
        refused = found.counts["api refused"] + found.counts["resolve refused"]
        told = [plan.name, f"{workers:,}", f"{given.candidate:.0f} s", how, f"{found.done:,}", f"{found.failed:,}"]
        return [*told, f"{found.hours:.1f}", f"{found.busy:.0%}", f"{refused:,}"]

    fast = replace(given, candidate=FAST)
    ways = ((WORKERS, "fails", given), (WORKERS, "waits", given), (100, "waits", given), (WORKERS, "waits", fast))
    engine = [engine_row(plan, *way) for plan in PLANS for way in ways]
    queue = []
    for workers in (1, 10, 100, WORKERS):
        found = by_queue(given, PLANS[1], CANDIDATES, workers, hours=QUEUE_HOURS)
        counts = found.counts
        queue.append(
            [
                f"{workers:,}",
                f"{found.done / found.hours:.0f}",
                f"{found.busy:.1%}",
                f"{counts['conflicts']:,}",
                f"{counts['commits refused']:,}",
            ]
        )
    return {"engine": engine, "queue": queue}


def simulation_tables(found: dict[str, Any]) -> str:
    """Return the tables of the simulation."""
    engine = (
        "account",
        "workers",
        "one candidate",
        "on a rate limit",
        "scored",
        "failed",
        "hours",
        "workers busy",
        "requests refused",
    )
    queue = ("workers", "candidates per hour", "workers busy", "conflicting commits", "refused by the quota")
    return (
        f"One run with an engine: {CANDIDATES:,} candidates, records published in commits of 2,000:\n\n"
        f"{table(engine, found['engine'])}\n"
        f"Independent workers at a queue on the Hub, PRO account, first {QUEUE_HOURS:.0f} hours:\n\n"
        f"{table(queue, found['queue'])}"
    )


def leaderboard(folder: Path, store: Path | None) -> list[tuple[str, str]]:
    """Measure how a leaderboard of a million records starts and answers."""
    from leaderboard import start_rows
    from scale_material import write_million

    records = store or folder / "records"
    if not records.exists():
        write_million(records, DATASETS, CANDIDATES)
    (records / ".index" / "records.parquet").unlink(missing_ok=True)
    return [
        (row.what, row.measured)
        for first in (True, False)
        for row in start_rows(records, folder / "home", DATASETS, first=first, most=MOST_VIEWS)
    ]


def leaderboard_table(rows: list[tuple[str, str]]) -> str:
    """Return the table of the leaderboard."""
    return table(("what", "measured"), rows)


TABLES = {"times": times_table, "simulation": simulation_tables, "leaderboard": leaderboard_table}


def with_block(page: str, name: str, text: str) -> str:
    """Return the page with the text of one block replaced."""
    begin = f"<!-- {name}: written by benchmarks/scale.py -->"
    found, count = re.subn(
        rf"{re.escape(begin)}\n.*?<!-- end -->", lambda _: f"{begin}\n\n{text}\n<!-- end -->", page, flags=re.DOTALL
    )
    assert count == 1, f"{PAGE} has no block {name}"
    return found


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="none: only write the page")
    parser.add_argument("--records", type=Path, help="a folder for the million records, reused if it exists")
    arguments = parser.parse_args()
    kept: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for part in arguments.parts:
            if part == "times":
                from scale_times import measured

                kept[part] = measured()
            elif part == "simulation":
                kept[part] = simulation(kept["times"])
            else:
                kept[part] = leaderboard(Path(folder), arguments.records)
            KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for name, found in kept.items():
        page = with_block(page, name, TABLES[name](found))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
