"""Downloads files and checks their hashes, in background threads.

A file with the wrong hash is downloaded once more, then refused. The client resumes some partial downloads; the others
only take space and are removed. A process that is stopped by hand does not wait for the threads.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from threading import enumerate as all_threads
from typing import Any, TypeVar

from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.home import home, write_text
from hf_transfer_score.hub.failures import DAMAGED
from hf_transfer_score.hub.settings import hub_cache
from hf_transfer_score.integrity import is_named, sealed, unsealed
from hf_transfer_score.version import LIBRARY

Item = TypeVar("Item")
Value = TypeVar("Value")

AWAKE_SECONDS = 0.5
THREAD = "hf-transfer-score"

HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")

OWN = re.compile(r"(?P<blob>.+)\.[0-9a-f]{8}\.incomplete")
"""The name of a partial download that belongs to one process, and that no other resumes."""

STILL_SECONDS = 600.0  # a part that grew within this time may still be downloading, whatever its lock says

OLD_SECONDS = 24 * 3600.0


class Background:
    """Threads that run actions in the order of their submission.

    Unlike those of `concurrent.futures`, they are not joined before a process ends, however long a download takes.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=THREAD, daemon=True) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def submit(self, action: Callable[[], Value]) -> Future[Value]:
        """Schedule an action, and return the future of its result."""
        future: Future[Value] = Future()
        self._waiting.put((future, action))
        return future

    def close(self) -> None:
        """Cancel actions that have not started; running ones continue, and nobody waits for them."""
        while not self._waiting.empty():
            dropped = self._waiting.get()
            if dropped is not None:
                dropped[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            future, action = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(action())
            except BaseException as error:  # noqa: BLE001  # raised by `result_of`
                future.set_exception(error)


def at_work() -> bool:
    """Whether a thread of any `Background` is alive."""
    return any(thread.name == THREAD for thread in all_threads())


def result_of(future: Future[Value]) -> Value:
    """Return the result of a future, or raise its exception.

    It wakes up regularly: Ctrl-C just before an unlimited wait would only take effect at its end.
    """
    while not future.done():
        wait([future], timeout=AWAKE_SECONDS)
    return future.result()


def map_at_once(function: Callable[[Item], Value], items: Iterable[Item], at_once: int) -> list[Value]:
    """Return the results of a function for some items, computed by `at_once` threads."""
    todo = list(items)
    background = Background(min(at_once, len(todo)))
    try:
        return [result_of(future) for future in [background.submit(partial(function, item)) for item in todo]]
    finally:
        background.close()


class Answers:
    """A cache of answers about checkpoints, one small JSON file per question, so that a second run needs no Hub.

    With `fresh`, answers of earlier runs are ignored.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder, self.fresh = folder, fresh

    def recall(self, question: str) -> dict[str, Any] | None:
        """Return the cached answer, or None."""
        if self.fresh and not question.startswith("content of "):
            return None
        try:
            found = unsealed(self._place(question))
        except (OSError, ValueError):
            return None
        return found["answer"] if found.get("question") == question else None

    def remember(self, question: str, answer: dict[str, Any]) -> None:
        """Cache an answer, if the disk allows it."""
        with suppress(OSError):
            write_text(self._place(question), sealed({"question": question, "answer": answer}))

    def _place(self, question: str) -> Path:
        known_by = hashlib.blake2b(question.encode(errors="surrogateescape"), digest_size=16)
        return self.folder / f"{known_by.hexdigest()}.json"


def sound_file(repository: str, name: str, commit: str, hashes: Mapping[str, str], size: int | None = None) -> Path:
    """Return a file of a repository at a commit, downloaded if necessary, after checking its size and hash.

    The hash is computed once per size and modification time. A hash that the Hub does not give is taken from the
    cache, which names files by it. Wrong content in two downloads raises a CheckpointError "download" or "corrupt".
    """
    from huggingface_hub import hf_hub_download

    path = Path(hf_hub_download(repository, name, revision=commit, **LIBRARY))
    if not _is_sound(path, hashes.get(name), size):
        path = Path(hf_hub_download(repository, name, revision=commit, force_download=True, **LIBRARY))
        if not _is_sound(path, hashes.get(name), size):
            came = path.stat().st_size
            for place in {path, path.resolve()}:
                place.unlink(missing_ok=True)
            if size is not None and came != size:
                raise CheckpointError("download", f"{name} arrived with {came:,} bytes of {size:,}; try again")
            raise CheckpointError(
                "corrupt", f"{name} arrived twice with content that does not match its hash on the Hub: {DAMAGED}"
            )
    return path


def dataset_file(name: str, file: str, commit: str) -> Path | None:
    """Return a file of a dataset, downloaded if necessary; None if the dataset does not have it."""
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(name, file, repo_type="dataset", revision=commit, **LIBRARY))
    except errors.EntryNotFoundError:
        return None


def _is_sound(path: Path, named: str | None, size: int | None) -> bool:
    real = path.resolve()
    about = real.stat()
    if size is not None and about.st_size != size:
        return False
    named = named or (real.name if real.parent.name == "blobs" and HASH.fullmatch(real.name) else None)
    if named is None:
        return True
    known = Answers(home() / "checkpoints")
    question = f"content of {real} {about.st_size} {about.st_mtime_ns} is {named}"
    if known.recall(question) is None:
        if not is_named(real, named):
            return False
        known.remember(question, {"sound": True})
    return True


def sweep_parts(name: str) -> int:
    """Remove partial downloads of a checkpoint that will not be resumed, and return the freed bytes."""
    folder = f"models--{name.replace('/', '--')}"
    cache, freed = hub_cache(), 0
    for part in (cache / folder / "blobs").glob("*.incomplete"):
        with suppress(OSError):
            stat = part.stat()
            if _is_abandoned(part, time.time() - stat.st_mtime, cache / ".locks" / folder):
                part.unlink()
                freed += stat.st_size
    return freed


def _is_abandoned(part: Path, age: float, locks: Path) -> bool:
    """Whether a part will not be resumed: it belongs to a dead process, or is old."""
    from huggingface_hub import file_download

    own = OWN.fullmatch(part.name)
    if own is None:  # clients that give each part a new name do not resume those of others
        move = getattr(file_download, "_download_to_tmp_and_move", None)
        resumes = move is not None and "uuid4" not in move.__code__.co_names
        return age > OLD_SECONDS and not resumes
    return age > OLD_SECONDS or (age > STILL_SECONDS and not _is_locked(locks / f"{own['blob']}.lock"))


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a download."""
    try:
        import fcntl
    except ImportError:
        return path.exists()
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
