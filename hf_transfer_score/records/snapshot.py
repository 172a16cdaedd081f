"""The table beside shared records: updated with them, and read as far as it is provably right.

The stamp of a file on the Hub is a hash of its content. If the record of a row, written as JSON, has the hash of its
file, the row equals the file, whoever made the table. All other records are read from their files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hf_transfer_score.errors import RecordError
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.place import PlaceView, is_record_path
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.store import CHUNK, snapshot_of
from hf_transfer_score.records.table import RecordTable, Stored


@dataclass(frozen=True)
class Snapshot:
    """A table of records from anyone, with the numbers of its rows and the stamps of their files, by path."""

    table: RecordTable
    rows: Mapping[str, int]
    stamps: Mapping[str, str]

    @classmethod
    def of(cls, view: PlaceView) -> Snapshot | None:
        """Return the table of a place; None if there is none, or none that makes sense."""
        table = snapshot_of(view)
        if table is None:
            return None
        paths, stamps = (table.data.column(name).to_pylist() for name in ("path", "stamp"))
        if None in paths or len(set(paths)) < len(paths):
            return None
        return cls(table, {path: row for row, path in enumerate(paths)}, dict(zip(paths, stamps, strict=True)))

    def records(self, paths: Iterable[str]) -> dict[str, Record]:
        """Return the records of rows by path, without rows that hold no valid record."""
        known = [path for path in paths if path in self.rows]
        if not known:
            return {}
        with suppress(RecordError):
            return dict(zip(known, self.table.records([self.rows[path] for path in known]), strict=True))
        found = {}
        for path in known:  # at least one of them is invalid
            with suppress(RecordError):
                found[path] = self.table.records([self.rows[path]])[0]
        return found

    def contents(self, files: Mapping[str, str]) -> dict[str, bytes]:
        """Return the contents of those files, given with their stamps, whose row is provably equal."""
        records = self.records(path for path, stamp in files.items() if self.stamps.get(path) == stamp)
        found = {path: record.to_json().encode() for path, record in records.items()}
        return {path: content for path, content in found.items() if blob_id(content) == files[path]}


def contents(view: PlaceView, paths: Iterable[str], snapshot: Snapshot | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the contents of files by path, from the table where it is provably equal."""
    wanted = list(paths)
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        found = {} if snapshot is None else snapshot.contents({path: view.files[path] for path in chunk})
        yield from found.items()
        yield from view.read(path for path in chunk if path not in found).items()


def renewed(view: PlaceView, files: Mapping[str, bytes], *, prove: bool = False) -> bytes | None:
    """Return the table for the records after files are written; None if the present table is right already.

    Args:
        view: of a place whose stamps are git's hashes.
        files: records that are about to be written, by path.
        prove: keep only rows that provably equal their files.
    """
    import pyarrow

    stamps = {path: stamp for path, stamp in view.files.items() if is_record_path(path)}
    stamps |= {path: blob_id(content) for path, content in files.items()}
    known = Snapshot.of(view)
    same = {} if known is None else _unchanged(known, stamps, prove=prove)
    changed = sorted(path for path in stamps if path not in same)
    unread = contents(view, [path for path in changed if path not in files])
    rows = list(_rows({path: files[path] for path in changed if path in files}.items(), stamps))
    rows += _rows(unread, stamps)
    if not rows and (known is None or len(same) == len(known.rows)):
        return None
    kept = [] if known is None else [known.table.only([known.rows[path] for path in same]).data]
    tables = [RecordTable.of(rows).data, *kept]
    with tempfile.TemporaryDirectory() as folder:  # sorted, so that equal records give equal files
        file = Path(folder) / "records.parquet"
        RecordTable(pyarrow.concat_tables(tables).unify_dictionaries().sort_by("path")).write(file)
        return file.read_bytes()


def _unchanged(known: Snapshot, stamps: Mapping[str, str], *, prove: bool) -> dict[str, str]:
    """Return the stamps of the rows whose files have not changed, by path."""
    same = {path: stamp for path, stamp in known.stamps.items() if stamps.get(path) == stamp}
    if not prove:
        return same
    paths = list(same)
    proved: set[str] = set()
    for start in range(0, len(paths), CHUNK):
        proved |= known.contents({path: same[path] for path in paths[start : start + CHUNK]}).keys()
    return {path: same[path] for path in proved}


def _rows(contents: Iterable[tuple[str, bytes]], stamps: Mapping[str, str]) -> Iterator[Stored]:
    for path, content in contents:
        try:
            yield Stored.read(path, stamps[path], content)
        except RecordError:
            continue
