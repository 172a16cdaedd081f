"""Print how a leaderboard serves visitors who upload and score files at once, while another one reads it.

Run it as `python benchmarks/uploads.py --visitors 40`. It needs the extra `space`.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from leaderboard import app_of
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Visit:
    """The result of one visitor.

    Attributes:
        end: "served", or where and how it was refused.
        upload: seconds until the file was uploaded.
        score: seconds from then until the answer.
    """

    end: str
    upload: float
    score: float = 0.0


def made_file(rows: int, width: int) -> bytes:
    """Return features of ten classes as an .npz file."""
    labels, target = np.arange(rows) % 10, io.BytesIO()
    noise = np.random.default_rng(0).normal(size=(rows, width)) + np.eye(width)[labels]
    np.savez(target, features=noise.astype(np.float32), labels=labels)
    return target.getvalue()


def visit(address: str, number: int, content: bytes, metrics: list[str]) -> Visit:
    """Upload a file and have it scored, as a visitor with its own address."""
    headers, start = {"x-forwarded-for": f"8.8.{number // 250}.{number % 250 + 1}"}, time.perf_counter()
    with httpx.Client(base_url=address, headers=headers, timeout=1200) as client:
        sent = client.post("/gradio_api/upload", files=[("files", (f"model-{number}.npz", content))])
        there = time.perf_counter()
        if sent.status_code != 200:
            return Visit(f"upload refused ({sent.status_code})", there - start)
        file = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
        asked = client.post("/gradio_api/call/score_features", json={"data": [[file], metrics]})
        if asked.status_code != 200:
            return Visit(f"asked to come back ({asked.status_code})", there - start)
        answer = client.get(f"/gradio_api/call/score_features/{asked.json()['event_id']}").text
    end = "served" if "Scored 1 model" in answer else "failed"
    return Visit(end, there - start, time.perf_counter() - there)


class Looking:
    """A visitor who keeps opening the page, and the memory of the app and its children meanwhile."""

    def __init__(self, address: str, pid: int) -> None:
        self.address, self.pid = address, pid
        self.seconds: list[float] = []
        self.most, self.done = 0, threading.Event()
        self.threads = [threading.Thread(target=self.look), threading.Thread(target=self.weigh)]

    def look(self) -> None:
        """Open the page until the end."""
        while not self.done.wait(0.2):
            start = time.perf_counter()
            httpx.get(f"{self.address}/config", timeout=60).raise_for_status()
            self.seconds.append(time.perf_counter() - start)

    def weigh(self) -> None:
        """Watch the memory until the end."""
        while not self.done.wait(0.05):
            total = 0
            for one in [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]:
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            self.most = max(self.most, total)

    def __enter__(self) -> Looking:
        """Begin."""
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.done.set()
        for thread in self.threads:
            thread.join()


def spread(seconds: list[float]) -> str:
    """Return the median, the 95th percentile and the longest of some times."""
    if not seconds:
        return "-"
    middle, late = np.percentile(seconds, [50, 95])
    return f"{middle:.2f}, {late:.2f}, {max(seconds):.2f} s"


def main() -> None:
    """Let visitors come at once, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=40)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--width", type=int, default=1024)
    asked = parser.parse_args()
    content, metrics = made_file(asked.rows, asked.width), ["face", "ncti", "logme", "hscore"]
    with tempfile.TemporaryDirectory() as folder:
        store, kept = Path(folder, "store"), Path(folder, "kept")
        store.mkdir()
        os.environ["GRADIO_TEMP_DIR"] = str(kept)
        with app_of(store, Path(folder, "home")) as app, Looking(app.address, app.process.pid) as looking:
            with ThreadPoolExecutor(asked.visitors) as pool:
                visits = list(pool.map(lambda one: visit(app.address, one, content, metrics), range(asked.visitors)))
            left = sum(path.suffix == ".npz" for path in kept.rglob("*"))
    served = [one for one in visits if one.end == "served"]
    table = Table("what", "measured", title=f"{asked.visitors} visitors with {len(content) / 1e6:.0f} MB each")
    for end, count in sorted(Counter(one.end for one in visits).items()):
        table.add_row(f"visitors: {end}", str(count))
    table.add_row("upload: middle, 95th percentile, longest", spread([one.upload for one in visits]))
    table.add_row("upload to scores, of those served", spread([one.score for one in served]))
    table.add_row("another visitor's page meanwhile", spread(looking.seconds))
    table.add_row("most memory, app and scoring together", f"{looking.most / 2**20:.0f} MB")
    table.add_row("files left of those served", str(left - (len(visits) - len(served))))
    Console().print(table)


if __name__ == "__main__":
    main()
