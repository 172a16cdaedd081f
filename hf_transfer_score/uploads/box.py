"""Scores uploads in a separate process with limits, so that no file is loaded into the app."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hf_transfer_score.metrics.registry import MetricResult, get_metric
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.requests.box import BoxLimits, environment_of, limit_this_process
from hf_transfer_score.uploads import limits
from hf_transfer_score.uploads.scoring import ELSEWHERE, TOO_MUCH, failed, scored_files


def main() -> None:
    """Run the scoring process: print a line before each file is opened, and a line with its scores.

    The system enforces the memory limit, so that reading fails before the machine runs out of memory.
    """
    asked = json.loads(sys.stdin.read())
    limit_this_process(BoxLimits(memory=limits.MEMORY_BYTES, seconds=limits.SECONDS, disk=10**6), device="cpu")
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limits.MEMORY_BYTES, limits.MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (8 * limits.SECONDS, 8 * limits.SECONDS))

    def say(**line: object) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    files = {int(place): Path(path) for place, path in asked["files"].items()}
    metrics = [get_metric(name) for name in asked["metrics"]]
    before = None if asked["labels_of"] is None else Path(asked["labels_of"])
    found = scored_files(files, metrics, labels_of=before, looked_at=lambda place: say(looking=place))
    for place, scores, labels in found:
        shown = {name: replace(result, overlap=None) for name, result in scores.results.items()}  # no page shows it
        plain = replace(scores, results=shown).as_dict()
        say(place=place, scores=plain, labels_of=None if labels is None else str(labels))


COMMAND = (sys.executable, "-m", "hf_transfer_score.uploads.box")
LONGEST_LINE = 4 * limits.MEGABYTE
MOST_THREADS = 4
SMALL_RESERVES = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
"""Without these, libraries reserve memory that they do not use but that counts."""

BROKE_OFF = f"{TOO_MUCH} Or it is damaged in a way that crashed its reader."


@dataclass
class _Work:
    """The progress of scoring some files."""

    files: Mapping[int, Path]
    metrics: Sequence[str]
    found: dict[int, FeatureScores] = field(default_factory=dict)  # scores by index of the file
    labels_of: str | None = None  # the file whose labels count, once there is one
    looking: int | None = None  # index of the file that is open

    @property
    def question(self) -> str:
        """The remaining work, for a process."""
        left = {place: str(path) for place, path in self.files.items() if place not in self.found}
        return json.dumps({"files": left, "metrics": list(self.metrics), "labels_of": self.labels_of})

    def take(self, line: str) -> None:
        """Process a line of output."""
        told = json.loads(line)
        if "looking" in told:
            self.looking = told["looking"]
            return
        results = {
            name: MetricResult(**{**result, "warnings": tuple(result["warnings"])})
            for name, result in told["scores"]["results"].items()
        }
        self.found[told["place"]] = FeatureScores(**{**told["scores"], "results": results})
        self.labels_of = told["labels_of"]


def score_in_box(
    files: Sequence[Path], metrics: Sequence[str], *, seconds: float = limits.SECONDS
) -> list[FeatureScores]:
    """Return scores of each file, in order; one that cannot be scored has status "failed" with the reason.

    All files are over the same samples; those without labels use those of the first that has some. A file that crashes
    the process fails alone; a new process continues with the others. The time limit is for all files together.
    """
    work, end = _Work(dict(enumerate(files)), metrics), time.monotonic() + seconds
    while len(work.found) < len(files):
        work.looking = None
        over = _run(work, end - time.monotonic())
        if over:
            late = failed(f"It was not scored within the time limit of {seconds:.0f} seconds. {ELSEWHERE}")
            work.found |= {place: late for place in work.files if place not in work.found}
        elif len(work.found) < len(files):
            broken = next(iter(set(work.files) - set(work.found))) if work.looking is None else work.looking
            work.found.setdefault(broken, failed(BROKE_OFF))
    return [work.found[place] for place in range(len(files))]


def _run(work: _Work, seconds: float) -> bool:
    """Let a process do the remaining work, and return whether it was killed because the time was over."""
    if seconds <= 0:
        return True
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder, _started(Path(folder)) as process:

        def stop() -> None:
            over.set()
            process.kill()

        question, told = process.stdin, process.stdout
        assert question is not None and told is not None
        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            with question:
                question.write(work.question)
            for line in iter(lambda: told.readline(LONGEST_LINE), ""):
                work.take(line)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # an invalid line ends the process
        finally:
            timer.cancel()
            process.kill()
    return over.is_set()


def _started(folder: Path) -> subprocess.Popen[str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(min(MOST_THREADS, os.cpu_count() or 1)))
    environment = threads | environment_of(folder) | SMALL_RESERVES
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(  # noqa: S603 - our own program; untrusted input is in files
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        start_new_session=True,
        text=True,
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
