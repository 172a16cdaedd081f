"""The cost and gain of engines: two workers against one, a thousand tiny candidates, and a killed worker.

python benchmarks/engines.py
python benchmarks/engines.py --parts speed --candidates 12
python benchmarks/engines.py --engine slurm --parts killed
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hf_transfer_score import ExtractOptions, RankOptions, RankReport, SampleOptions, rank
from hf_transfer_score.engines.base import Engine, Finished, Work, open_engine
from hf_transfer_score.runs.listener import Listener

PARTS = ("speed", "overhead", "killed")
BAR_SPEED, BAR_OVERHEAD = 1.7, 0.05
TEXTS, WORDS = 200, 60
TINY_TEXTS = 40
TOPICS = ("card pin chip", "cash coin atm", "send wire iban", "help agent chat")


def write_texts(path: Path, rows: int, words: int) -> str:
    """Write texts with four topics as JSON lines."""
    random = Random(0)
    with path.open("w") as file:
        for number in range(rows):
            topic = TOPICS[number % len(TOPICS)]
            known = [*topic.split(), "the", "and", "now", "please", "quick", "fox"]
            some = [random.choice(known) for _ in range(words)]
            file.write(json.dumps({"text": " ".join(some), "topic": topic.split()[0]}) + "\n")
    return str(path)


def write_encoders(folder: Path, count: int) -> list[str]:
    """Write encoders of four layers with different weights."""
    import transformers

    from tests.checkpoints.texts import write_text

    transformers.utils.logging.disable_progress_bar()
    size = {"hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 1024, "num_attention_heads": 4}
    return [str(write_text(folder / f"encoder-{one}", seed=one, **size)) for one in range(count)]


def write_tiny(folder: Path, count: int) -> list[str]:
    """Write different static embeddings of a few kB."""
    from tests.checkpoints.statics import write_model2vec

    return [str(write_model2vec(folder / f"tiny-{one}", number=one)) for one in range(count)]


@dataclass(frozen=True)
class Counted:
    """Timed work; a file NAME.NUMBER holds its process id, NAME.done marks its end."""

    folder: Path
    name: str
    action: Callable[[], Any]

    def __call__(self) -> tuple[Any, float]:
        """Run the work."""
        start = time.perf_counter()
        (self.folder / f"{self.name}.{uuid.uuid4().hex}").write_text(str(os.getpid()))
        value = self.action()
        (self.folder / f"{self.name}.done").touch()
        return value, time.perf_counter() - start


@dataclass
class Counting:
    """An engine that counts and times its work: the whole time, and the time inside the actions."""

    engine: Engine
    folder: Path
    elsewhere = True
    whole: float = 0.0
    actions: float = 0.0

    def run(self, works: list[Work], began: Callable[[Work], None]) -> Iterator[Finished]:
        """Yield the results of the engine."""
        start = time.perf_counter()
        counted = [replace(one, action=Counted(self.folder, one.name, one.action)) for one in works]
        for done in self.engine.run(counted, began):
            value, seconds = done.value or (None, 0.0)
            self.actions += seconds
            yield replace(done, value=value)
        self.whole += time.perf_counter() - start

    def close(self) -> None:
        """Leave closing to whoever opened the engine."""


class Counts(Listener):
    """Signals when so many candidates are finished."""

    def __init__(self, count: int) -> None:
        self.left, self.reached = count, Event()

    def finished(self, *_: object) -> None:
        """Count a candidate."""
        self.left -= 1
        if self.left <= 0:
            self.reached.set()


def terms_of(report: RankReport) -> dict[str, Any]:
    """Return the terms of each candidate."""
    return {
        name: {metric: result.terms for metric, result in model.results.items()}
        for name, model in report.models.items()
    }


def differ(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the largest relative difference between terms; infinite if some are missing."""
    worst = 0.0
    for name, metrics in one.items():
        for metric, terms in metrics.items():
            for term, value in terms.items():
                beside = other.get(name, {}).get(metric, {}).get(term, float("inf"))
                worst = max(worst, abs(value - beside) / max(abs(value), 1e-12))
    return worst


@contextmanager
def warm_engine(name: str, workers: int, slots: int) -> Iterator[Engine]:
    """Yield an engine whose workers have one core each and have loaded their libraries."""
    if name == "ray":
        import ray

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=slots, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder, closing(open_engine(name, {"workers": workers})) as engine:
        place = Path(folder)
        models = write_encoders(place, 2 * workers)
        texts = write_texts(place / "texts.jsonl", TINY_TEXTS, WORDS)
        rank(texts, models, options=RankOptions(replicates=0), engine=engine, folder=place / "kept")
        yield engine
    if name == "ray":
        ray.shutdown()


def timed(texts: str, models: list[str], folder: Path, engine: Engine | str) -> tuple[float, RankReport]:
    """Return the duration of a ranking, and the ranking."""
    exact = ExtractOptions(dtype="float32")  # a trial could choose differently on a busy machine
    options = RankOptions(sample=SampleOptions(max_samples=TEXTS), extract=exact, replicates=0)
    start = time.perf_counter()
    report = rank(texts, models, options=options, engine=engine, folder=folder)
    return time.perf_counter() - start, report


def speed(name: str, candidates: int, place: Path) -> bool:
    """Print the speed of two workers relative to one, with one core each."""
    texts, models = write_texts(place / "texts.jsonl", TEXTS, WORDS), write_encoders(place, candidates)
    found = {}
    for workers in (1, 2):
        with warm_engine(name, workers, workers) as engine:
            found[workers] = timed(texts, models, place / f"kept-{workers}", engine)
            print(f"{name}, {workers} workers of one core: {found[workers][0]:.1f} s for {candidates} candidates")
    here, report = timed(texts, models, place / "kept-here", "here")
    print(f"here, with all cores: {here:.1f} s")
    ratio = found[1][0] / found[2][0]
    apart = max(differ(terms_of(report), terms_of(found[workers][1])) for workers in found)
    print(f"two workers are {ratio:.2f} times as fast as one (bar {BAR_SPEED}); terms differ by at most {apart:.1e}")
    return ratio >= BAR_SPEED and apart < 1e-5


def overhead(name: str, count: int, place: Path) -> bool:
    """Print the overhead of an engine with one worker for each of many tiny candidates."""
    texts, models = write_texts(place / "texts.jsonl", TINY_TEXTS, 6), write_tiny(place, count)
    with warm_engine(name, 1, 1) as engine:
        start = time.perf_counter()
        assert len(list(engine.run([Work(str(one), int) for one in range(count)], lambda _: None))) == count
        empty = (time.perf_counter() - start) / count
        counting = Counting(engine, place)
        there, report = timed(texts, models, place / "kept-there", counting)
    here, alone = timed(texts, models, place / "kept-here", "here")
    added = (counting.whole - counting.actions) / count
    print(f"{count} tiny candidates: {there:.1f} s by one worker of {name}, {here:.1f} s here")
    print(f"in the worker {1000 * counting.actions / count:.1f} ms each, beside that {1000 * added:.1f} ms each")
    print(f"{count} times nothing: {1000 * empty:.1f} ms each (bar {1000 * BAR_OVERHEAD:.0f} ms for either)")
    complete = len(report.ranks) == count and differ(terms_of(alone), terms_of(report)) < 1e-5
    return complete and max(added, empty) <= BAR_OVERHEAD


def killed(name: str, candidates: int, place: Path) -> bool:
    """Print the result of a ranking by four workers, one of which is killed."""
    texts, models = write_texts(place / "texts.jsonl", TEXTS, WORDS), write_encoders(place, candidates)
    noted = place / "noted"
    noted.mkdir()
    heard = Counts(candidates // 4)

    def kill() -> None:
        heard.reached.wait()
        while True:
            for path in noted.iterdir():
                stem, _, number = path.name.rpartition(".")
                if number != "done" and path.read_text() and not (noted / f"{stem}.done").exists():
                    os.kill(int(path.read_text()), signal.SIGKILL)
                    print(f"killed the worker at {stem}")
                    return
            time.sleep(0.01)

    with warm_engine(name, 4, 4) as engine:
        Thread(target=kill, daemon=True).start()
        options = RankOptions(sample=SampleOptions(max_samples=TEXTS), replicates=0)
        counted = Counting(engine, noted)
        report = rank(texts, models, options=options, engine=counted, folder=place / "kept", listener=heard)
    for model in report.models.values():
        if model.status != "ok":
            print(f"{model.name}: {model.kind}: {model.reason}")
    begun = [path for path in noted.iterdir() if path.suffix != ".done"]
    repeated = len(begun) - candidates
    print(f"{len(report.ranks)} of {candidates} candidates ranked, {repeated} repeated (bar: all, at most 1)")
    return len(report.ranks) == candidates and repeated <= 1


def main() -> int:
    """Measure the requested parts; the exit status is 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"comma-separated: {', '.join(PARTS)}")
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--tiny", type=int, default=1000)
    asked = parser.parse_args()
    met = True
    for part in asked.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            measure = {"speed": speed, "overhead": overhead, "killed": killed}[part]
            met &= measure(asked.engine, asked.tiny if part == "overhead" else asked.candidates, Path(folder))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
