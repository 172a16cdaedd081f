"""All records of a place as one table; files that have not changed since the last time are not read again."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from hf_transfer_score import memory
from hf_transfer_score.errors import StoreError
from hf_transfer_score.home import home, write_text
from hf_transfer_score.logs import logger
from hf_transfer_score.records.checks import AHEAD_OF_CLOCK, rules
from hf_transfer_score.records.place import FolderPlace, Place, PlaceView, is_record_path, places_of
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.table import RecordTable, Stored
from hf_transfer_score.text import counted
from hf_transfer_score.untrusted import readable

SNAPSHOT = "data/records.parquet"
CHUNK = 500
"""Files that are read at a time: half a gigabyte if each is as large as a file may be."""

UNREAD = "is gone, or cannot be read"

Watch = Callable[[int, int], None]
"""Called with the number of files that were read, and of all files to read."""


@dataclass(frozen=True)
class Problem:
    """A file, by its path below the place, that should hold a record but does not, and the reason."""

    path: str
    reason: str
    stamp: str = ""


@dataclass(frozen=True)
class TableChange:
    """How a table differs from an earlier one.

    Attributes:
        removed: rows of the earlier table that are gone, in order; the others keep their order, and new ones follow.
        datasets: ids of the datasets of all new, removed and changed records.
    """

    removed: tuple[int, ...]
    datasets: frozenset[str]


@dataclass(frozen=True)
class LoadedRecords:
    """The records of a place in a version (None if it does not exist), and files that hold none, which are left out.

    `read` is how many files had to be read; `difference` is that from the previous table, None if unknown; `left_out`
    counts the files that hold none, also those known from a cache.
    """

    table: RecordTable
    version: str | None = None
    problems: tuple[Problem, ...] = ()
    read: int = 0
    difference: TableChange | None = None
    left_out: int = 0


@runtime_checkable
class Tabled(Protocol):
    """A view whose records are a table already."""

    def table(self) -> RecordTable:
        """Return all records of the view."""


def read_records(results: str | Path) -> list[Record]:
    """Return the records of a store of results; files that hold no valid record are left out, with a warning.

    Args:
        results: a folder, or OWNER/NAME of a dataset repository on the Hub.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from hf_transfer_score import read_records, rank_features
        >>> rng, labels, results = np.random.default_rng(0), np.repeat([0, 1, 2], 20), tempfile.mkdtemp()
        >>> pool = {"owner/near": rng.normal(size=(60, 4)), "owner/far": rng.normal(size=(60, 4)) + labels[:, None]}
        >>> ranking = rank_features(pool, labels, metrics=["knn"], dataset="owner/pets", task="image-classification")
        >>> _ = ranking.publish(results)
        >>> sorted((record.model.id, record.metric.name) for record in read_records(results))
        [('owner/far', 'knn'), ('owner/near', 'knn')]
    """
    (place,) = places_of(results)
    found = load(place)
    for note in _left_out(place, found):
        logger().warning("%s", note)
    return found.table.records()


def _left_out(place: Place, found: LoadedRecords) -> list[str]:
    """Return a note on the files of a place that hold no valid record, if there are any."""
    said = f"{counted(found.left_out, 'file')} in {place.name} without a valid record left out; "
    check = f"`hf-transfer-score results validate {shlex.quote(place.name)}` says why."
    return [said + check] if found.left_out else []


def cache_file(place: Place) -> Path:
    """Return where the table of a place is cached: in the folder if it is writable, else in this package's home."""
    if isinstance(place, FolderPlace):
        with suppress(OSError):
            hidden = place.folder / ".index"
            hidden.mkdir(exist_ok=True)
            return hidden / "records.parquet"
    name = place.name.replace("/", "--").strip("-.") or "records"
    return home() / "results" / f"{name[-120:]}.parquet"


def load_tables(results: str | Path | Sequence[str | Path]) -> tuple[list[RecordTable], list[str]]:
    """Return the records of each of some places, and what to know about them.

    A record that several places have is that of the first.
    """
    found = [(place, load(place, cache=cache_file(place))) for place in places_of(results)]
    notes = [note for place, one in found for note in _left_out(place, one)]
    tables, seen = [one.table for _, one in found], set[str]()
    for number, table in enumerate(tables if len(tables) > 1 else []):
        paths = [path for path, _ in table.stamps()]
        tables[number] = table.only([row for row, path in enumerate(paths) if path not in seen])
        seen.update(paths)
    return tables, notes


def load(
    place: Place, *, cache: Path | None = None, previous: LoadedRecords | None = None, watch: Watch | None = None
) -> LoadedRecords:
    """Return the records of a place.

    Args:
        place: where they are stored.
        cache: a parquet file for what was read, so that the next call reads only what changed; None for no cache.
        previous: the result of an earlier call, to be brought up to date; None starts from the cache, or from the
            snapshot beside the records.
        watch: called with the progress.
    """
    view = place.view()
    if previous is not None and previous.version == view.version:
        return previous
    if isinstance(view, Tabled):
        return LoadedRecords(view.table(), view.version)
    known = previous.table if previous is not None else _cached(cache)
    if known is not None and known.at == view.version and previous is None:
        files = 0 if place.shared else sum(is_record_path(path) for path, _ in view.entries())
        return LoadedRecords(known, view.version, left_out=max(files - len(known), 0))
    if place.shared:
        known = _nearest(known, view)
    changed, gone = _difference(known, view)
    before = _refused(cache) if previous is None else previous.problems
    bad = {one.path: one for one in before if changed.get(one.path) == one.stamp}
    wanted = {path: changed[path] for path in sorted(changed) if path not in bad}
    read, problems = _read(view, wanted, watch)
    if len(wanted) > CHUNK:
        memory.give_back()  # of the parts that were joined
    table = RecordTable(read.data, view.version) if known is None else known.merged(read, gone, view.version)
    difference = None
    if previous is not None and known is previous.table:
        difference = TableChange(tuple(gone), known.datasets(gone) | read.datasets())
    later = 0 if table.extra is None else table.extra.num_rows
    if cache is not None and (table.file is None or later + len(gone) > CHUNK):
        table = _cache(table, cache)
    problems = [*bad.values(), *problems]
    if cache is not None and {(one.path, one.stamp) for one in problems} != {(one.path, one.stamp) for one in before}:
        _keep_refused(cache, problems)
    return LoadedRecords(table, view.version, tuple(problems), len(wanted), difference, len(problems))


def _difference(known: RecordTable | None, view: PlaceView) -> tuple[dict[str, str], list[int]]:
    """Return the files to read with their stamps, and the rows whose file has changed or is gone.

    Only hashes of the unchanged files are kept in memory: there may be a hundred thousand files.
    """
    unseen = set() if known is None else {hash(one) for one in known.stamps()}
    changed = {}
    for path, stamp in view.entries():
        if is_record_path(path):
            same = hash((path, stamp))
            if same in unseen:
                unseen.remove(same)
            else:
                changed[path] = stamp
    if known is None or not unseen:
        return changed, []
    return changed, [row for row, one in enumerate(known.stamps()) if hash(one) in unseen]


def _nearest(known: RecordTable | None, view: PlaceView) -> RecordTable | None:
    """Return the table that leaves less to read: the known one, or proved rows of the snapshot beside them."""
    missing = len(_difference(known, view)[0])
    if missing <= CHUNK // 10 or SNAPSHOT not in view.files:
        return known
    table, files = snapshot_of(view), view.files
    if table is None:
        return known
    rows = {path: row for row, (path, stamp) in enumerate(table.stamps()) if files.get(path) == stamp}
    found = table.only(table.proved(list(rows.values())))
    return found if len(_difference(found, view)[0]) < missing else known


def snapshot_of(view: PlaceView) -> RecordTable | None:
    """Return the table beside the records, None if there is none that can be read."""
    import tempfile

    content = view.read([SNAPSHOT]).get(SNAPSHOT)
    if content is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.parquet"
        file.write_bytes(content)
        try:
            return RecordTable(RecordTable.read(file, whole=True).data)
        except StoreError:
            return None


def _read(view: PlaceView, files: Mapping[str, str], watch: Watch | None) -> tuple[RecordTable, list[Problem]]:
    """Return the records of files, and the files that hold none."""
    import pyarrow

    tables, paths = [RecordTable.of([])], list(files)
    problems: list[Problem] = []
    for start in range(0, len(paths), CHUNK):
        chunk = paths[start : start + CHUNK]
        contents = view.read(chunk)
        problems += [Problem(path, UNREAD) for path in chunk if path not in contents]
        tables.append(RecordTable.of(_valid(contents, files, problems)))
        if watch is not None:
            watch(min(start + CHUNK, len(paths)), len(paths))
    data = pyarrow.concat_tables([table.data for table in tables]).unify_dictionaries().combine_chunks()
    return RecordTable(data), problems


def _valid(contents: Mapping[str, bytes], files: Mapping[str, str], problems: list[Problem]) -> Iterator[Stored]:
    return readable(
        contents,
        lambda path: Stored.read(path, files[path], contents[path]),
        lambda path, reason: problems.append(Problem(path, reason, files[path])),
    )


def _refused(cache: Path | None) -> tuple[Problem, ...]:
    """Return the files that held no record when they were last read, which need not be read again."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        kept = json.loads(_refused_file(cache).read_text(encoding="utf-8")) if cache is not None else {}
        if kept.get("rules") == rules():
            return tuple(Problem(str(path), str(reason), str(stamp)) for path, reason, stamp in kept["files"])
    return ()


def _keep_refused(cache: Path, problems: Sequence[Problem]) -> None:
    """Keep the files that hold no record, but for those that only time may make valid."""
    files = [(one.path, one.reason, one.stamp) for one in problems if one.stamp and AHEAD_OF_CLOCK not in one.reason]
    with suppress(OSError, ValueError):
        write_text(_refused_file(cache), json.dumps({"rules": rules(), "files": files}))


def _refused_file(cache: Path) -> Path:
    return cache.with_name(f"{cache.stem}-refused.json")


def _cached(cache: Path | None) -> RecordTable | None:
    if cache is None or not cache.is_file():
        return None
    try:
        return RecordTable.read(cache, rules=rules())
    except StoreError:
        return None


def _cache(table: RecordTable, cache: Path) -> RecordTable:
    """Write a table to the cache and return it without its heavy columns; a full disk is not a failure."""
    try:
        table.write(cache, rules=rules())
    except OSError:
        return table
    return RecordTable(table.light().data, table.at, cache)
