"""The records that ship with the package: what a leaderboard shows before anyone has added records.

Each source is one parquet table, since thousands of small files are slow to install and to read. The tables can be used
like any other place with a file for each record, but not be written to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from hf_transfer_score.errors import RecordError, StoreError
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.place import Change, FolderPlace
from hf_transfer_score.records.publishing import moment
from hf_transfer_score.records.record import Record, record_path
from hf_transfer_score.records.table import RecordTable, Stored

if TYPE_CHECKING:
    import pyarrow

PACKAGE = "hf_transfer_score"
FOLDER = "shipped"
REFERENCE = "reference.parquet"
"""The published CIFAR-10 table of NCTI, and a real run on scikit-learn's digits."""
EVIDENCE = "evidence.parquet"
"""Scores and measured accuracies of backbones that were pre-trained under different conditions."""


@dataclass
class ShippedView:
    """The records in parquet tables from `write_shipped` as files, one for each record."""

    version: str
    tables: tuple[Path, ...] = field(repr=False)
    attempt: int = 0

    @cached_property
    def files(self) -> dict[str, str]:
        """Git's hash of the content of each file, by its path."""
        return dict(self.entries())

    def entries(self) -> Iterable[tuple[str, str]]:
        """Return path and stamp of each file."""
        return self._table.stamps()

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return records as JSON by path."""
        known = [path for path in dict.fromkeys(paths) if path in self._rows]
        if not known:
            return {}
        try:
            records = self._table.records([self._rows[path] for path in known])
        except RecordError as error:
            raise _damaged(error) from error
        return {path: record.to_json().encode() for path, record in zip(known, records, strict=True)}

    def table(self) -> RecordTable:
        """Return all records, unchecked."""
        return self._table

    @cached_property
    def _table(self) -> RecordTable:
        return RecordTable(_joined([_read(file).data for file in self.tables]), self.version)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {path: row for row, path in enumerate(self.files)}


@dataclass(frozen=True)
class ShippedPlace:
    """The tables in a folder as one read-only place; of records with the same identity the latest counts."""

    folder: Path
    shared: bool = False

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def version(self) -> str | None:
        """Return a digest of the stamps of the tables."""
        return FolderPlace(self.folder).version()

    def view(self) -> ShippedView:
        """Return the present state."""
        tables = tuple(sorted(self.folder.glob("*.parquet")))
        if not tables:
            raise StoreError(
                f"The records that ship with the package are missing: there is no parquet table in {self.folder}. "
                "Reinstall the package."
            )
        return ShippedView(self.version() or "", tables)

    def update(self, change: Change, *, title: str) -> str:
        """Refuse to write."""
        raise StoreError(
            f"The records that ship with the package, in {self.folder}, cannot be changed. Copy them to a folder or "
            "repository of your own: merge([shipped_place()], into)."
        )


def shipped_folder() -> Path:
    """Return the folder of the tables that ship with the package."""
    return Path(str(files(PACKAGE))) / FOLDER


def shipped_place() -> ShippedPlace:
    """Return the records that ship with the package as a place to read from.

    Example:
        >>> len(shipped_place().view().files) > 100
        True
    """
    return ShippedPlace(shipped_folder())


def write_shipped(records: Iterable[Record], file: Path) -> int:
    """Write a table of records to ship, and return their number; the same records give the same bytes.

    They come in any order; of those with the same identity the latest counts.
    """
    found: dict[str, tuple[Record, str]] = {}
    for given in records:
        record = Record.from_json(given.to_json())  # as it will be read, where a term of 1 is 1.0
        path, other = str(record_path(record)), (record, blob_id(record.to_json().encode()))
        if path not in found or _age(*found[path]) < _age(*other):
            found[path] = other
    rows = (Stored.of(path, stamp, record) for path, (record, stamp) in sorted(found.items()))
    RecordTable.of(rows).write(file)
    return len(found)


def read_shipped(file: Path) -> list[Record]:
    """Return the records of a table that `write_shipped` wrote, sorted by path."""
    try:
        return _read(file).records()
    except RecordError as error:
        raise _damaged(error) from error


def _age(record: Record, stamp: str) -> tuple[object, str]:
    """Return a key that is greater for the record that counts; the stamp decides between equal times."""
    return moment(record.run.time), stamp


def _read(file: Path) -> RecordTable:
    try:
        return RecordTable.read(file, whole=True)
    except StoreError as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> StoreError:
    return StoreError(f"The records that ship with the package are damaged; reinstall the package. {error}")


def _joined(tables: list[pyarrow.Table]) -> pyarrow.Table:
    """Return the rows of tables sorted by path; of rows with the same path the latest."""
    import pyarrow

    if len(tables) == 1:
        return tables[0]
    data = pyarrow.concat_tables(tables).unify_dictionaries().combine_chunks()
    times, rows = data.column("run_time").to_pylist(), dict[str, int]()
    for row, path in enumerate(data.column("path").to_pylist()):
        if path not in rows or moment(times[rows[path]]) < moment(times[row]):
            rows[path] = row
    return data.take(pyarrow.array([rows[path] for path in sorted(rows)], pyarrow.int64()))
