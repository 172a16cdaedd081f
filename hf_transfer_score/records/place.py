"""Where files of results or requests are stored: a folder, a repository on the Hub, or memory, all used the same way.

A place is read through views, each of one state, and changed by a function from a view to the files to write. If others
write at the same time, that function may be called again with a newer view: its result must depend on the view alone.
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from hf_transfer_score.errors import NoSpaceError, OptionError, StoreError, TransferScoreError
from hf_transfer_score.home import near_name, write_bytes
from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.untrusted import RESULT_BYTES, TABLE_BYTES

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
HUB_PREFIX = "hf://datasets/"
FORMS = f"a folder (./results), OWNER/NAME on the Hub, or {HUB_PREFIX}OWNER/NAME"
WRITES = (
    "`hf-transfer-score rank ... --save FOLDER`, or in Python `rank(...).save(folder)`, writes results to a folder."
)
LOCK = ".lock"
FOLDER = "records/"
LOCK_SECONDS = 60.0


class PlaceView(Protocol):
    """One state of a place.

    Attributes:
        version: names the state; equal versions mean equal files.
        attempt: how many earlier attempts at this change met the change of somebody else.
    """

    version: str
    attempt: int

    @property
    def files(self) -> Mapping[str, str]:
        """A stamp for each file by its path; equal stamps mean equal contents."""

    def entries(self) -> Iterable[tuple[str, str]]:
        """Yield the items of `files`, for one pass over many files that keeps none of them in memory."""

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files by path; one that is gone or cannot be read is absent.

        One byte more than `most_bytes` is read at most, so that a larger file is refused as too large.
        """


@runtime_checkable
class Signed(Protocol):
    """A view that knows who committed each file."""

    def authors(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return who made the last commit of each file; nobody if unknown."""

    def account(self) -> str | None:
        """Return the account that commits here, None if there is none."""


Change = Callable[[PlaceView], Mapping[str, bytes | None]]
"""From the present state to the files to write, None for a file to remove."""


class Place(Protocol):
    """Where files are stored."""

    @property
    def name(self) -> str:
        """The name in messages."""

    @property
    def shared(self) -> bool:
        """Whether it is on the Hub: its state is a commit, and a change a commit on top of it."""

    def version(self) -> str | None:
        """Return the version of the present state, None if the place does not exist yet."""

    def view(self) -> PlaceView:
        """Return the present state; a place that does not exist has no files."""

    def update(self, change: Change, *, title: str) -> str:
        """Write the files of a change, all or none, and return the new version, or where it was proposed."""


@dataclass
class MemoryView:
    """A state that is held in memory."""

    version: str
    contents: Mapping[str, bytes]
    attempt: int = 0

    @property
    def files(self) -> dict[str, str]:
        """Git's hash of each content."""
        return {path: blob_id(content) for path, content in self.contents.items()}

    def entries(self) -> Iterable[tuple[str, str]]:
        """Return path and digest of each file."""
        return self.files.items()

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files by path."""
        return {path: self.contents[path] for path in paths if path in self.contents}


@dataclass
class MemoryPlace:
    """Files in memory, for tests and examples.

    Example:
        >>> place = MemoryPlace()
        >>> place.update(lambda view: {"a.json": b"{}"}, title="first")
        '1'
        >>> place.view().read(["a.json"])
        {'a.json': b'{}'}
    """

    name: str = "memory"
    shared: bool = False
    contents: dict[str, bytes] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def version(self) -> str | None:
        """Return the number of changes so far."""
        return f"{self._count}"

    def view(self) -> MemoryView:
        """Return the present state."""
        return MemoryView(f"{self._count}", dict(self.contents))

    def update(self, change: Change, *, title: str) -> str:
        """Write the files of a change."""
        with self._lock:
            for path, content in change(self.view()).items():
                if content is None:
                    self.contents.pop(path, None)
                else:
                    self.contents[path] = content
            self._count += 1
            return f"{self._count}"


@dataclass
class FolderView:
    """The files below a folder, except for hidden ones."""

    folder: Path
    version: str
    attempt: int = 0
    _files: dict[str, str] | None = None

    @property
    def files(self) -> dict[str, str]:
        """Size, time and number of each file, looked up when first needed."""
        if self._files is None:
            self._files = dict(_stamps(self.folder))
        return self._files

    def entries(self) -> Iterable[tuple[str, str]]:
        """Yield path and stamp of each file as the folder is gone through."""
        return _stamps(self.folder) if self._files is None else self._files.items()

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files by path; one that is gone or cannot be read is absent."""
        found = {}
        for path in paths:
            try:
                with (self.folder / path).open("rb") as file:
                    found[path] = file.read(most_bytes(path) + 1)
            except (OSError, ValueError):
                continue
        return found


@dataclass
class FolderPlace:
    """A folder on this machine; writers take turns by a lock file, readers need none."""

    folder: Path
    shared: bool = False

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def version(self) -> str | None:
        """Return a digest of the stamps of all files."""
        return _digest(self.folder) if self.folder.is_dir() else None

    def view(self) -> FolderView:
        """Return the present state."""
        return FolderView(self.folder, self.version() or "")

    def update(self, change: Change, *, title: str) -> str:
        """Write the files of a change one by one, while no other writer does."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=LOCK_SECONDS):
                for path, content in change(self.view()).items():
                    if content is None:
                        (self.folder / path).unlink(missing_ok=True)
                    else:
                        write_bytes(self.folder / path, content)
        except Timeout:
            raise StoreError(f"{self.folder} has been locked by another process for {LOCK_SECONDS:.0f} s.") from None
        except NoSpaceError:
            raise
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be written: {error}.") from error
        return self.version() or ""


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """Return the visible entries of a folder; a folder that is gone has none."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error}.") from error


def _stamps(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each file with a stamp that changes when it is rewritten or replaced."""
    waiting = [(str(root), "")]
    while waiting:
        folder, before = waiting.pop()
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{before}{entry.name}/"))
            elif entry.is_file(follow_symlinks=False):
                facts = entry.stat(follow_symlinks=False)
                yield f"{before}{entry.name}", f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ino}"


def _digest(root: Path) -> str:
    """Return a digest that changes with any file; there may be too many files to list in memory."""
    total = 0
    for path, stamp in _stamps(root):
        one = hashlib.blake2b(f"{path}\0{stamp}".encode("utf-8", "replace"), digest_size=16)
        total += int.from_bytes(one.digest(), "big")
    return f"{total % 2**128:032x}"


def most_bytes(path: str) -> int:
    """Return how many bytes of a file are read at most: records and requests are small, tables are not."""
    return TABLE_BYTES if path.endswith(".parquet") else RESULT_BYTES


def is_record_path(path: str) -> bool:
    """Return whether a path is one of a record: records/<owner>/<name>/<identity>.json.

    Example:
        >>> is_record_path("records/timm/resnet18/0123.json"), is_record_path("records/notes.txt")
        (True, False)
    """
    return path.startswith(FOLDER) and path.endswith(".json") and path.count("/") == 3


def is_hub_name(text: str) -> bool:
    """Return whether a text names a dataset repository: hf://datasets/OWNER/NAME, or OWNER/NAME that is no folder.

    Example:
        >>> is_hub_name("owner/results"), is_hub_name("./owner/results"), is_hub_name("results")
        (True, False, False)
    """
    return text.startswith(HUB_PREFIX) or (HUB_NAME.fullmatch(text) is not None and not Path(text).exists())


@dataclass
class HubPlace(HubRepository):
    """A repository on the Hub, whose files are read up to the size of records, requests and tables."""

    @property
    def shared(self) -> bool:
        """True: others write here too."""
        return True

    def most_bytes(self, path: str) -> int:
        """Return how many bytes of a file are read at most."""
        return most_bytes(path)


def open_place(text: str | Path, *, private: bool = False, create_pr: bool = False) -> Place:
    """Return the place that a text names: a folder, or a dataset repository on the Hub.

    OWNER/NAME is a repository unless there is such a folder; write ./OWNER/NAME for a folder that does not exist yet.

    Args:
        text: the folder, OWNER/NAME, or hf://datasets/OWNER/NAME.
        private: if the repository has to be created, make it private.
        create_pr: propose changes to a repository as pull requests.

    Example:
        >>> open_place("hf://datasets/owner/results").name, open_place("./results").name
        ('owner/results', 'results')
    """
    text = f"{text}{os.sep}" if isinstance(text, Path) else text  # a path is a folder, also one that looks like an id
    if is_hub_name(text):
        name = text.removeprefix(HUB_PREFIX).strip("/")
        if HUB_NAME.fullmatch(name) is None:
            raise OptionError(f"{text!r} is not the name of a repository: expected {FORMS}.")
        return HubPlace(name, private=private, create_pr=create_pr)
    if not text.strip() or "://" in text:
        raise OptionError(f"{text!r} is not a place of results: expected {FORMS}.")
    if create_pr or private:
        option = "`create_pr`" if create_pr else "`private`"
        raise OptionError(f"{option} is for repositories on the Hub, but {text} is a folder.")
    return FolderPlace(local_folder(text))


def local_folder(text: str | Path) -> Path:
    """Return the folder that a text names; it need not exist yet."""
    folder = Path(text).expanduser()
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{text} is a file; expected {FORMS}.")
    return folder


def existing(place: Place) -> PlaceView:
    """Return the present state of a place that must exist."""
    view = place.view()
    if not view.version:
        raise _missing(place)
    return view


def listed_places(results: str | Path | Sequence[str | Path] | None) -> tuple[str | Path, ...]:
    """Return places as they were named, one or several or none."""
    return (results,) if isinstance(results, (str, Path)) else tuple(results or ())


def places_of(results: str | Path | Sequence[str | Path] | None) -> list[Place]:
    """Return the places of stored results that a run reads at its end, and refuse at once those that have none."""
    places = [open_place(one) for one in listed_places(results)]
    for place in places:
        if not (place.folder.is_dir() if isinstance(place, FolderPlace) else place.version()):
            raise _missing(place)
        if isinstance(place, FolderPlace) and not (place.folder / FOLDER).is_dir():
            raise StoreError(
                f"There are no results in {place.name}: they would be below {place.name}/{FOLDER}. {WRITES}"
            )
    return places


def _missing(place: Place) -> TransferScoreError:
    if isinstance(place, HubPlace):
        return place.missing()
    return StoreError(
        f"There is no folder {place.name}; a dataset on the Hub is written OWNER/NAME.{near_name(place.name)} {WRITES}"
    )
