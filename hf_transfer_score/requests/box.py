"""Runs an untrusted job in a process of its own: limited memory, time and disk, no secrets, and nothing left behind."""

import ctypes
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hf_transfer_score.errors import OptionError

LOOK = 0.1  # seconds between two checks of a box
LOOKS_PER_WALK = 10  # checks between two measurements of its disk usage
LAST_SECONDS = 10.0  # how long to wait for killed processes to end
OVERHEAD = 2 * 10**9  # bytes that libraries reserve but do not use; resident memory is watched from outside

PASSED_ON = {
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("HF_ENDPOINT", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DOWNLOAD_TIMEOUT"),
    *("HF_HUB_ETAG_TIMEOUT", "HF_TRANSFER_SCORE_HUB_SECONDS"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
}
"""Environment variables that a box gets: a list of what is allowed, so that no secret is forgotten."""

SUBREAPER, DEATH_SIGNAL = 36, 1  # numbers of prctl(2)


@dataclass(frozen=True)
class BoxLimits:
    """Limits of one job."""

    memory: int = 12 * 10**9  # bytes of resident memory of all its processes
    seconds: float = 3600.0  # from start to end
    disk: int = 20 * 10**9  # bytes of its files at any time, including downloads

    def __post_init__(self) -> None:
        for name, least in (("memory", 5 * 10**8), ("seconds", 1), ("disk", 10**6)):
            if getattr(self, name) < least:
                raise OptionError(f"{name}={getattr(self, name):g}: expected at least {least:g} for one job.")

    def __str__(self) -> str:
        return f"{self.memory / 1e9:.3g} GB of memory, {self.seconds:g} s and {self.disk / 1e9:.3g} GB of disk"


Over = Literal["memory", "time", "disk"]


@dataclass(frozen=True)
class BoxResult:
    """How a box ended."""

    code: int  # its exit code, or minus the signal that ended it
    over: Over | None  # the limit that it exceeded, if any
    megabytes: float  # its peak resident memory


def run_in_box(command: Sequence[str], folder: Path, limits: BoxLimits) -> BoxResult:
    """Run a command in a folder of its own until it ends or exceeds a limit, then kill all of its processes.

    The folder holds everything that it writes: its home, its caches, its temporary files, and its output as `log`.
    """
    if sys.platform == "linux":
        _prctl(SUBREAPER, 1)  # orphaned processes become children of this one, so that none escapes
    empty = folder / "nowhere"
    empty.mkdir(parents=True, exist_ok=True)
    before = _children()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program; untrusted input is in a file
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=empty,
            env=environment_of(folder),
            start_new_session=True,
        )
    try:
        over, most = _watched(process, folder, limits, before)
    finally:
        _kill_family(process, before)
    return BoxResult(process.wait(), over, most / 10**6)


def environment_of(folder: Path, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a box: the allowed variables, and folders below its own.

    Example:
        >>> found = environment_of(Path("box"), {"HF_TOKEN": "secret", "AWS_SECRET": "x", "LANG": "C"})
        >>> found["LANG"], "HF_TOKEN" in found, "AWS_SECRET" in found, Path(found["HF_HOME"]).name
        ('C', False, False, 'huggingface')
    """
    own = os.environ if own is None else own
    places = {
        "HOME": folder / "home",
        "TMPDIR": folder / "temporary",
        "XDG_CACHE_HOME": folder / "home" / ".cache",
        "HF_HOME": folder / "huggingface",
        "HF_TRANSFER_SCORE_HOME": folder / "kept",
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    passed = {name: value for name, value in own.items() if name in PASSED_ON}
    return passed | {name: str(place) for name, place in places.items()} | {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}


def limit_this_process(limits: BoxLimits, *, device: str | None) -> None:
    """Let the system enforce the limits of this process, and end it together with its parent.

    Drivers of accelerators reserve memory that they do not use, so with these only resident memory is watched.
    """
    if sys.platform != "linux":
        return
    import resource

    _prctl(DEATH_SIGNAL, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.disk, limits.disk))
    accelerators = (Path(name) for name in ("/dev/nvidiactl", "/dev/kfd", "/dev/dri/renderD128"))
    if device in (None, "cpu") and not any(path.exists() for path in accelerators):
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory + OVERHEAD, limits.memory + OVERHEAD))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write beyond the limit raises an error


@contextmanager
def folder_of_job(parent: Path) -> Iterator[Path]:
    """Yield a new folder for one job, which is removed afterwards; folders of dead workers are removed first."""
    import psutil

    parent.mkdir(parents=True, exist_ok=True)
    machine = (
        re.sub(r"[^A-Za-z0-9]", "", platform.node()) or "here"
    )  # other machines may share the disk, and have processes of the same number
    for other in parent.glob(f"{machine}-*"):
        owner = other.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(other, ignore_errors=True)
    folder = parent / f"{machine}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Return the disk usage of a folder; links are not followed, and files with two names count once."""
    total, seen, waiting = 0, set[tuple[int, int]](), [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:  # it has been removed
            continue
        for entry in entries:
            with suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += getattr(found, "st_blocks", 0) * 512
    return total


def _watched(
    process: subprocess.Popen[bytes], folder: Path, limits: BoxLimits, before: set[int]
) -> tuple[Over | None, int]:
    """Return the limit that a process and its children exceeded, None if they ended, and their peak memory."""
    start, most, looks = time.monotonic(), 0, 0
    while process.poll() is None:
        most = max(most, sum(map(_resident, _children() - before)))
        if most > limits.memory:
            return "memory", most
        if time.monotonic() - start > limits.seconds:
            return "time", most
        if looks % LOOKS_PER_WALK == 0 and size_of(folder) > limits.disk:
            return "disk", most
        looks += 1
        time.sleep(LOOK)
    return None, most


def _kill_family(process: subprocess.Popen[bytes], before: set[int]) -> None:
    """Kill a process and all that it started, including orphans, which are children of this process now."""
    end = time.monotonic() + LAST_SECONDS
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while (left := _children() - before) and time.monotonic() < end:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def _children() -> set[int]:
    """Return all descendants of this process."""
    import psutil

    return {one.pid for one in psutil.Process().children(recursive=True)}


def _resident(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
