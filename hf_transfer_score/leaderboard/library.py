"""The records of a running leaderboard, kept up to date without a restart."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from hf_transfer_score.errors import TransferScoreError
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.records.place import Place
from hf_transfer_score.records.store import LoadedRecords, load
from hf_transfer_score.records.table import RecordTable

POLL_SECONDS = 30.0
LONGEST_PAUSE = 600.0
LOOKED = 20
"""After a check without changes, the pause is at least this many times as long: a folder may have a million files."""


@dataclass(frozen=True)
class LibraryStatus:
    """The state of the records of a leaderboard.

    Attributes:
        version: of the shown records; changes with every refresh that found something.
        problems: files that hold no record.
        done: files read so far, of the total.
        error: why the last check failed; what was read before is still shown.
        time: when they were read, in UTC.
    """

    name: str
    version: str | None = None
    records: int = 0
    problems: int = 0
    loading: bool = True
    done: int = 0
    total: int = 0
    error: str | None = None
    time: str = ""


class Library:
    """A catalogue that is replaced as a whole when records change, and `changed` called; readers never wait for it."""

    def __init__(
        self,
        place: Place,
        *,
        cache: Path | None = None,
        poll_seconds: float = POLL_SECONDS,
        changed: Callable[[], None] | None = None,
        name: str | None = None,
    ) -> None:
        self.place = place
        self.name = place.name if name is None else name
        self.changed = changed
        self.cache = cache
        self.poll_seconds = poll_seconds
        self._loaded: LoadedRecords | None = None
        self._state = (Catalogue(RecordTable.of([])), LibraryStatus(self.name))
        self._wake, self._stopped, self._turn = threading.Event(), threading.Event(), threading.Lock()
        self._looked, self._looks, self._looking = threading.Condition(), 0, False
        self._thread: threading.Thread | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The present boards."""
        return self._state[0]

    @property
    def status(self) -> LibraryStatus:
        """The present state."""
        return self._state[1]

    def refresh(self) -> bool:
        """Check for changes now, and return whether there were any; errors are in the status."""
        with self._turn, self._look():
            try:
                if self._loaded is not None and self.place.version() == self._loaded.version:
                    self._tell(loading=False, error=None)
                    return False

                def watch(done: int, total: int) -> None:
                    self._tell(loading=True, done=done, total=total)

                found = load(self.place, cache=self.cache, previous=self._loaded, watch=watch)
            except Exception as error:  # noqa: BLE001  # the thread goes on, and the page shows the error
                known = isinstance(error, (TransferScoreError, OSError))
                self._tell(loading=False, error=str(error) if known else f"{type(error).__name__}: {error}")
                return False
            changed = found is not self._loaded
            self._loaded = found
            now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M")
            numbers = len(found.table), found.left_out
            status = LibraryStatus(self.name, found.version, *numbers, loading=False, time=now)
            catalogue = Catalogue(found.table, previous=self.catalogue, difference=found.difference)
            self._state = (catalogue, status)
        if changed and self.changed is not None:
            self.changed()
        return changed

    def start(self) -> None:
        """Read the records and check for changes from now on, in a thread."""
        self._thread = threading.Thread(target=self._run, name="library", daemon=True)
        self._thread.start()

    def ask(self, seconds: float = 5.0) -> None:
        """Have the thread check for changes now, and wait for it; many callers may ask at once."""
        if self._thread is None:
            self.refresh()
            return
        with self._looked:
            enough = self._looks + 1 + self._looking  # a check under way may have missed what is new
            self._wake.set()
            self._looked.wait_for(lambda: self._looks >= enough, seconds)

    def stop(self) -> None:
        """Stop checking for changes."""
        self._stopped.set()
        self._wake.set()

    def _run(self) -> None:
        pause = self.poll_seconds
        while not self._stopped.is_set():
            begin = time.monotonic()
            changed = self.refresh()
            took = 0.0 if changed else time.monotonic() - begin
            usual = max(self.poll_seconds, min(LOOKED * took, LONGEST_PAUSE))
            pause = usual if self.status.error is None else min(2 * pause, LONGEST_PAUSE)
            self._wake.wait(pause)
            self._wake.clear()

    @contextmanager
    def _look(self) -> Iterator[None]:
        """Count a check, for callers who wait for one."""
        with self._looked:
            self._looking = True
        try:
            yield
        finally:
            with self._looked:
                self._looking, self._looks = False, self._looks + 1
                self._looked.notify_all()

    def _tell(self, **changed: object) -> None:
        catalogue, status = self._state
        self._state = (catalogue, replace(status, **changed))  # type: ignore[arg-type]
