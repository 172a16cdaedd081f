"""Print how a leaderboard of many records starts, answers and takes new records, beside the targets.

Run it as `python benchmarks/leaderboard.py`. It makes 100,000 records in a temporary folder, or in `--store FOLDER`,
and needs the extra `space`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from leaderboard_material import made_records, write_records
from leaderboard_publishers import publish_at_once
from rich.console import Console
from rich.table import Table

from hf_transfer_score.leaderboard.boards.board import BoardKey
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.publishing import publish
from hf_transfer_score.records.record import Record

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("start", "sessions", "publishers", "imports")
LOADED = ("torch", "transformers", "timm", "datasets", "altair")
NO_FILTERS = ("", ["scores", "facts"], [], [], None, None, "", "rank", "usual", "forecast")
"""Search, groups of columns, libraries, licenses, smallest, largest, since, sort, order, by: what `view` takes."""


@dataclass(frozen=True)
class Row:
    """One line of the printed table."""

    what: str
    measured: str
    bar: str = ""


@dataclass
class App:
    """A leaderboard in its own process."""

    process: subprocess.Popen[str]
    address: str
    started: float

    def memory(self) -> tuple[float, float]:
        """Return the current and the peak megabytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        facts = {
            line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.startswith(("VmRSS", "VmHWM"))
        }
        return int(facts["VmRSS"]) / 1024, int(facts["VmHWM"]) / 1024

    def processor(self) -> float:
        """Return the CPU seconds of all its threads, which do not depend on other load."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Session:
    """A visitor as the app sees one: an opened page and the events that follow."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=300)
        self.name = uuid.uuid4().hex

    def arrive(self) -> list[Any]:
        """Open the page, and return its content."""
        known = self.client.get("/config").json()["dependencies"]
        load = next(one["id"] for one in known if one["targets"] and one["targets"][0][1] == "load")
        sent = {"data": [], "fn_index": load, "session_hash": self.name}
        self.client.post("/gradio_api/queue/join", json=sent).raise_for_status()
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.name}) as answer:
            done = next(line for line in answer.iter_lines() if "process_completed" in line)
        found: list[Any] = json.loads(done.removeprefix("data: "))["output"]["data"]
        return found

    def sees_boards(self) -> bool:
        """Return whether a newly opened page has a board."""
        found = [one for one in self.arrive() if isinstance(one, dict) and one.get("choices")]
        return any(re.fullmatch("[0-9a-f]{12}", str(one.get("value"))) for one in found)

    def view(self, slug: str, *controls: Any) -> Any:
        """Return the answer to a change of the view, the table first."""
        sent = {"data": [slug, *(controls or NO_FILTERS)], "session_hash": self.name}
        asked = self.client.post("/gradio_api/call/view", json=sent)
        return _data(self.client.get(f"/gradio_api/call/view/{asked.json()['event_id']}").text)


def _data(answer: str) -> Any:
    events = [one for one in answer.strip().split("\n\n") if "heartbeat" not in one.split("\n")[0]]
    event, data = events[-1].split("\n")[:2]  # slow answers are preceded by heartbeats
    assert event == "event: complete", answer[:500]
    return json.loads(data.removeprefix("data: "))


@contextlib.contextmanager
def app_of(store: Path, home: Path, poll: float = 30.0) -> Iterator[App]:
    """Start a leaderboard and wait until its page answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hf_transfer_score", "leaderboard", "--results", str(store)]
    command += ["--port", str(port), "--poll", str(poll)]
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdout=subprocess.DEVNULL)
    app = App(process, f"http://127.0.0.1:{port}", start)
    try:
        _until(lambda: httpx.get(app.address, timeout=5).status_code == 200, process)
        yield app
    finally:
        process.terminate()
        process.wait()


def _until(true: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 3600.0) -> None:
    begin = time.perf_counter()
    while time.perf_counter() < begin + seconds:
        assert process.poll() is None, "the leaderboard ended"
        with contextlib.suppress(httpx.HTTPError):  # while it reads, its queue may be full
            if true():
                return
        time.sleep(max(0.02, min(2.0, (time.perf_counter() - begin) / 50)))
    raise TimeoutError("the leaderboard is not ready")


def slugs(datasets: int) -> list[str]:
    """Return the boards of the generated records."""
    records = made_records(datasets, 1)
    found = {(one.dataset.id, one.dataset.fingerprint): one.dataset for one in records}
    return [BoardKey(one.task, one.id, one.config, one.split, one.fingerprint).slug for one in found.values()]


def start_rows(store: Path, home: Path, datasets: int, *, first: bool, most: int = 20) -> list[Row]:
    """Measure a start; if everything was read before, also changes of the view, `most` times each."""
    boards = slugs(datasets)
    with app_of(store, home) as app:
        page, at_page = time.perf_counter() - app.started, app.processor()
        _until(lambda: Session(app.address).sees_boards(), app.process)
        ready, processor = time.perf_counter() - app.started, app.processor()
        what = "first start, reads every file" if first else "start"
        rows = [Row(f"{what}: page answers", f"{page:.2f} s (CPU {at_page:.1f} s)", "2.5 s" if not first else "")]
        rows.append(
            Row(f"{what}: all boards ready", f"{ready:.2f} s (CPU {processor:.1f} s)", "5 s" if not first else "")
        )
        if not first:
            rows += _view_rows(app, boards, most)
        now, most = app.memory()
        return [*rows, Row(f"{what}: memory, now and peak", f"{now:.0f}, {most:.0f} MB", "420 MB")]


def _view_rows(app: App, boards: list[str], most: int) -> list[Row]:
    session = Session(app.address)
    session.arrive()
    kinds = {
        "board not seen before": [(slug, NO_FILTERS) for slug in boards[1:]],
        "board seen before": [(slug, NO_FILTERS) for slug in boards[-8:]],
        "ranked by the metrics": [(slug, (*NO_FILTERS[:9], "metrics")) for slug in boards[-8:]],
        "search": [(boards[-1], (f"checkpoint-{number}", *NO_FILTERS[1:])) for number in range(20)],
        "filter": [(boards[-1], (*NO_FILTERS[:4], number, 500, *NO_FILTERS[6:])) for number in range(1, 21)],
        "sort": [
            (boards[-1], (*NO_FILTERS[:7], f"score:{name}", *NO_FILTERS[8:])) for name in ("face", "ncti", "logme") * 6
        ],
        "all columns": [(boards[-1], ("", ["scores", "ranks", "terms", "intervals", "facts"], *NO_FILTERS[2:]))] * 10,
    }
    rows = []
    for what, calls in kinds.items():
        seconds, before = [], app.processor()
        for slug, controls in calls[-most:]:
            begin = time.perf_counter()
            session.view(slug, *controls)
            seconds.append(time.perf_counter() - begin)
        processor = 1000 * (app.processor() - before) / len(seconds)
        rows.append(Row(f"view change: {what}", f"{_spread(seconds)} (CPU {processor:.0f} ms)", "300 ms"))
    return rows


def _spread(seconds: list[float]) -> str:
    middle, high, most = np.quantile(seconds, [0.5, 0.95, 1.0]) * 1000
    return f"{middle:.0f}, {high:.0f}, {most:.0f} ms"


def session_rows(store: Path, home: Path, datasets: int, seconds: float, readers: int = 20) -> list[Row]:
    """Measure many readers while one writer adds records."""
    boards = slugs(datasets)
    with app_of(store, home, poll=5.0) as app:
        first = Session(app.address)
        _until(first.sees_boards, app.process)
        for slug in boards:
            first.view(slug)
        end = time.perf_counter() + seconds
        with ThreadPoolExecutor(readers + 1) as pool:
            writer = pool.submit(_write, store, end)
            found = list(pool.map(lambda seed: _read(app.address, boards, end, seed), range(readers)))
        now, most = app.memory()
    taken = [one for seconds, _ in found for one in seconds]
    errors = [one for _, errors in found for one in errors]
    what = f"{readers} readers and a writer"
    return [
        Row(f"{what}: view change", _spread(taken), "p95 1,000 ms"),
        Row(f"{what}: views, errors, records written", f"{len(taken)}, {len(errors)}, {writer.result()}", "no error"),
        Row(f"{what}: memory, now and peak", f"{now:.0f}, {most:.0f} MB"),
    ]


def _read(address: str, boards: list[str], end: float, seed: int) -> tuple[list[float], list[str]]:
    """Read boards like a person: a view, then a pause of 0.5 to 1.5 seconds."""
    draw, session = random.Random(seed), Session(address)
    taken: list[float] = []
    errors: list[str] = []
    session.arrive()
    while time.perf_counter() < end:
        controls = (draw.choice(["", "checkpoint-1", "organisation-7"]), *NO_FILTERS[1:])
        begin = time.perf_counter()
        try:
            session.view(draw.choice(boards[:10]), *controls)
        except (httpx.HTTPError, AssertionError, KeyError) as error:
            errors.append(repr(error))
        taken.append(time.perf_counter() - begin)
        time.sleep(draw.uniform(0.5, 1.5))
    return taken, errors


def _write(store: Path, end: float) -> int:
    """Publish one new record per second, and return how many."""
    template, count = next(made_records(1, 1)), 0
    while time.perf_counter() < end:
        publish(FolderPlace(store), [_another(template, count)])
        count += 1
        time.sleep(1.0)
    return count


def _another(record: Record, number: int) -> Record:
    name = f"new-organisation/model-{time.time_ns()}-{number}"
    return replace(record, model=replace(record.model, id=name))


def import_rows(store: Path) -> list[Row]:
    """Return the heavy libraries that a leaderboard has loaded when its page is served."""
    code = f"""
import sys
from hf_transfer_score.leaderboard.starting import build
build({str(store)!r}, None)
from hf_transfer_score.leaderboard.pages.app import serve
print([name for name in {LOADED} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return [Row(f"loaded of {', '.join(LOADED)}", done.stdout.splitlines()[-1], "[]")]


def publisher_rows() -> list[Row]:
    """Return the result of eight publishers with fifty records each."""
    bars = {"records": "400", "names": "400", "written": "400"}
    return [
        Row(
            f"8 publishers x 50 records: {name}",
            f"{value:.1f} s" if isinstance(value, float) else f"{value}",
            bars.get(name, ""),
        )
        for name, value in publish_at_once(8, 50).items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--store", type=Path, help="a folder for the generated records, reused if it exists")
    parser.add_argument("--datasets", type=int, default=20)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of the sessions of many readers")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        store, home = arguments.store or Path(folder) / "store", Path(folder) / "home"
        if {"start", "sessions"} & set(arguments.parts) and not store.exists():
            print(f"{write_records(store, made_records(arguments.datasets, arguments.models)):,} records in {store}")
        if "start" in arguments.parts:
            (store / ".index" / "records.parquet").unlink(missing_ok=True)
            for first in (True, False):
                rows += start_rows(store, home, arguments.datasets, first=first)
        if "sessions" in arguments.parts:
            rows += session_rows(store, home, arguments.datasets, arguments.seconds)
        if "imports" in arguments.parts:
            rows += import_rows(store if store.exists() else Path(folder))
    if "publishers" in arguments.parts:
        rows += publisher_rows()
    table = Table("what", "measured", "bar")
    for row in rows:
        table.add_row(row.what, row.measured, row.bar)
    Console().print(table)
    print("Times of views: middle, 95th percentile, longest; over HTTP, from the question to the whole answer.")


if __name__ == "__main__":
    main()
