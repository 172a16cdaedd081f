"""One measurement in its own process: seconds, peak memory over the features, and the values.

`python measure.py JOB` runs one job, a JSON object, and prints its outcome as the last line. The parent process makes
the data once, saves it, and starts a fresh process for every measurement, so measurements do not affect each other.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from references import EXACT, REFERENCES, Sample, Terms

MEGABYTE = 1024 * 1024
SOURCE_CLASSES = 100
ROWS_AT_ONCE = 4096
SEPARATION, SEPARATION_DECAY = 0.75, -0.3
SPREAD_DECAY = -0.6
LEADING_VARIANCE = 40.0


@dataclass(frozen=True)
class Size:
    """A sample's size: rows N, features D, classes K."""

    name: str
    rows: int
    width: int
    classes: int

    @property
    def feature_megabytes(self) -> float:
        """Size of the float32 features."""
        return self.rows * self.width * 4 / MEGABYTE


SIZES = {
    size.name: size
    for size in (
        Size("small", 5_000, 512, 10),
        Size("medium", 20_000, 1024, 100),
        Size("large", 50_000, 2048, 1000),
    )
}
TINY = Size("tiny", 300, 80, 3)


@dataclass(frozen=True)
class Job:
    """What to run: `metrics` in one call of this package, or the reference of the one metric named.

    Attributes:
        metrics: names of metrics.
        reference: whether to run the reference instead.
        folder: where the data lie.
        repeat: how often to time the call; a slow one is timed less often.
        patience: seconds after which a call is not repeated.
    """

    metrics: tuple[str, ...]
    reference: bool
    folder: str
    repeat: int
    patience: float = 30.0


def make_sample(size: Size, seed: int = 0) -> Sample:
    """Return a Gaussian mixture with a decaying spectrum and a common offset, rotated so that no axis is special.

    The leading variances are those of features for which NCTI needs no shrinkage, and the classes overlap enough
    for every term to be informative.
    """
    generator = np.random.default_rng(seed)
    order = 1.0 + np.arange(size.width)
    scales = order**SPREAD_DECAY
    scales *= np.sqrt(LEADING_VARIANCE / np.square(scales[:32]).sum())
    labels = generator.integers(size.classes, size=size.rows)
    labels[: 2 * size.classes] = np.tile(np.arange(size.classes), 2)
    means = generator.standard_normal((size.classes, size.width)) * scales
    means *= SEPARATION * order**SEPARATION_DECAY
    rotation = np.linalg.qr(generator.standard_normal((size.width, size.width)))[0].astype(np.float32)
    offset = 0.2 * generator.standard_normal(size.width, dtype=np.float32)
    features = np.empty((size.rows, size.width), np.float32)
    for start in range(0, size.rows, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, size.rows))
        noise = generator.standard_normal((rows.stop - start, size.width), dtype=np.float32)
        noise *= scales.astype(np.float32)
        noise += means[labels[rows]].astype(np.float32)
        features[rows] = noise @ rotation + offset
    slopes = generator.standard_normal((size.width, 3)).astype(np.float32)
    targets = (features @ slopes).astype(np.float64) + generator.standard_normal((size.rows, 3)) * (0.5, 3.0, 30.0)
    return Sample(features, labels, _source_probabilities(generator, labels, size.classes), targets)


def _source_probabilities(generator: np.random.Generator, labels: NDArray, classes: int) -> NDArray[np.float32]:
    logits = generator.standard_normal((classes, SOURCE_CLASSES))[labels]
    logits += generator.standard_normal(logits.shape)
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def save_sample(sample: Sample, folder: Path) -> None:
    """Write a sample for `load_sample`."""
    for name, values in vars(sample).items():
        np.save(folder / f"{name}.npy", values)


def load_sample(folder: Path) -> Sample:
    """Read a sample into memory."""
    return Sample(**{name: np.load(folder / f"{name}.npy") for name in Sample.__dataclass_fields__})


def run_job(job: Job, limit: float) -> dict[str, Any]:
    """Run a job in a fresh process, and return its outcome or the reason for a failure."""
    command = [sys.executable, str(Path(__file__).resolve()), json.dumps(asdict(job))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    outcome: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return outcome


def measure(job: Job) -> dict[str, Any]:
    """Run a job in this process."""
    call = _reference_call(job) if job.reference else _package_call(job)
    _warm_up(call)
    sample = load_sample(Path(job.folder))
    before = _settled_memory()
    with peak_memory() as peak:
        time_taken, terms = _timed(call, sample)
    times = [time_taken]
    while len(times) < job.repeat and sum(one.seconds for one in times) < job.patience:
        times.append(_timed(call, sample)[0])
    best = min(times)
    if job.reference and job.metrics[0] in EXACT:
        terms = EXACT[job.metrics[0]](sample.doubled)
    over = None if peak.resident is None else peak.resident - before
    return {"seconds": best.seconds, "disturbed": best.disturbed, "peak_megabytes": over, "terms": terms}


def _package_call(job: Job) -> Callable[[Sample], Terms]:
    from hf_transfer_score import score_features

    def call(sample: Sample) -> Terms:
        scores = score_features(
            sample.features,
            sample.labels,
            metrics=list(job.metrics),
            targets=sample.targets if "logme_regression" in job.metrics else None,
            source_probs=sample.source_probs if "leep" in job.metrics else None,
        )
        skipped = [f"{name}: {result.reason}" for name, result in scores.results.items() if result.status != "ok"]
        if skipped:
            raise RuntimeError("; ".join(skipped))
        found = scores.results.items()
        if len(job.metrics) == 1:
            return {term: value for _, result in found for term, value in result.terms.items()}
        return {f"{name}.{term}": value for name, result in found for term, value in result.terms.items()}

    return call


def _reference_call(job: Job) -> Callable[[Sample], Terms]:
    return REFERENCES[job.metrics[0]]


class Taken(NamedTuple):
    """Wall seconds of a call, and the cores that other processes kept busy meanwhile (0 if unknown)."""

    seconds: float
    disturbed: float


def _timed(call: Callable[[Sample], Terms], sample: Sample) -> tuple[Taken, Terms]:
    busy, start = _busy_elsewhere(), time.perf_counter()
    terms = call(sample)
    seconds = time.perf_counter() - start
    return Taken(seconds, max(_busy_elsewhere() - busy, 0.0) / max(seconds, 0.1)), terms


def _busy_elsewhere() -> float:
    """Return the seconds that all cores spent on other processes since the system started."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return 0.0
    user, nice, system, _, _, interrupts, soft, stolen = (int(part) for part in first[1:9])
    ticks = user + nice + system + interrupts + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def _warm_up(call: Callable[[Sample], Terms]) -> None:
    """Import everything the call needs, and make the BLAS allocate its buffers in both precisions."""
    from scipy.linalg import eigh

    call(make_sample(TINY))
    for precision in (np.float32, np.float64):
        square = np.ones((768, 768), precision)
        eigh(square @ square.T, check_finite=False)
        np.linalg.svd(square[:256, :256])


def _settled_memory() -> float:
    """Return the resident megabytes after freed memory has been returned to the system."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _status("VmRSS") or 0.0


def _status(field: str) -> float | None:
    """Return a field of this process's status in megabytes, or None if the system has none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), None)


@dataclass
class Peak:
    """Largest resident size in megabytes, or None if unknown."""

    resident: float | None = None


@contextlib.contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the largest resident size within the block, by the kernel's own mark or by polling."""
    peak = Peak()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        with _sampled(peak):
            yield peak
    else:
        yield peak
        peak.resident = _status("VmHWM")


@contextlib.contextmanager
def _sampled(peak: Peak, interval: float = 0.002) -> Iterator[None]:
    done = threading.Event()

    def look() -> None:
        while not done.wait(interval):
            now = _status("VmRSS")
            if now is not None:
                peak.resident = max(peak.resident or 0.0, now)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    arguments = json.loads(sys.argv[1])
    print(json.dumps(measure(Job(**{**arguments, "metrics": tuple(arguments["metrics"])}))))
