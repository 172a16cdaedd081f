"""Many records as one table of columns, which opens fast, takes little memory, and can be seen in the Hub's viewer.

A row holds a whole record, and reading it gives an equal record. Blocks of free content are JSON text in their column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from hf_transfer_score.errors import RecordError, StoreError
from hf_transfer_score.file_heads import Chunk, chunks_of, expanded_bytes
from hf_transfer_score.home import whole
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.by_field import read_by_field
from hf_transfer_score.records.checks import SCHEMA_VERSION, encodable, migrated, plain_fields
from hf_transfer_score.records.record import Record, checked, folder_of, plain_identity, plain_record
from hf_transfer_score.untrusted import only_errors, readable, too_large

if TYPE_CHECKING:
    import pyarrow


class Column(NamedTuple):
    """One column: its name, the place of the value in a record's plain values, and the form in which it is stored.

    Forms are text, word (text that many rows share), integer, number, truth, or json.
    """

    name: str
    place: tuple[str, ...]
    form: str


FORMS: dict[Any, str] = {str: "word", int: "integer", float: "number", bool: "truth"}
JSON_TEXT, JSON_FORMS = ("terms", "interval", "overlap"), ("json", "text")
"""Fields whose JSON rarely repeats, and is stored as text; and the forms of JSON."""


def _columns(kind: type, place: tuple[str, ...] = (), prefix: str = "") -> Iterator[Column]:
    """Yield a column for each field of a block of records, in order."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        hint = hints[one.name]
        hint = get_args(hint)[0] if NoneType in get_args(hint) else hint
        inside = (*place, one.name)
        if one.name in JSON_TEXT:
            yield Column(one.name, inside, "text")
        elif is_dataclass(hint):
            yield from _columns(hint, inside, "" if one.name == "facts" else f"{one.name}_")  # type: ignore[arg-type]
        elif one.name != "schema_version":  # it is stored once for the whole table
            form = "word" if get_origin(hint) is Literal else FORMS.get(hint, "json")
            yield Column(f"{prefix}{one.name}", inside, form)


def _table_order(column: Column) -> tuple[int, bool]:
    """Return a key that sorts columns: first what a record is about, then what it says, and last how the run went."""
    first, block = ("status", "kind", "reason", "model", "dataset", "metric"), column.place[0]
    return first.index(block) if block in first else len(first), block == "run"


COLUMNS = tuple(sorted(_columns(Record), key=_table_order))
"""Every field of a record; a new field gets a column by itself."""

KEYS = (Column("path", (), "text"), Column("stamp", (), "text"), Column("identity", (), "text"))
"""The path and the stamp of the file of a row's record, and the record's identity."""

HEAVY = ("overlap",)
"""Columns that stay on disk until the record of a row is needed."""

NAMES = tuple(column.name for column in (*KEYS, *COLUMNS))

GROUP = 2**14
"""Rows that are written at a time."""

MANY_CHUNKS = 16
"""The parts of a column, one for each change, from which they are copied into one."""

MANY_TEXTS = 10_000
"""Encoded contents that are remembered while a table is made."""

COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
VERSION_KEY = b"hf_transfer_score.schema_version"
RULES_KEY = b"hf_transfer_score.rules"
DETAIL_KEY = b"hf_transfer_score.at"


class Stored(NamedTuple):
    """The path and the stamp of a file, with its checked record as plain values of this schema version."""

    path: str
    stamp: str
    plain: dict[str, Any]
    identity: str

    @classmethod
    def of(cls, path: str, stamp: str, record: Record) -> Stored:
        """Return a record and its file."""
        plain = plain_fields(record)
        return cls(path, stamp, plain, plain_identity(plain))

    @classmethod
    def read(cls, path: str, stamp: str, text: str | bytes) -> Stored:
        """Return the record in a file; RecordError if it holds none, or another one than its name says.

        Nothing else is raised, whatever the file holds.
        """
        with only_errors(RecordError, "A record cannot be read"):
            if not (encodable(path) and encodable(stamp)):
                raise RecordError("The path of a record is not valid UTF-8.")
            quick = read_by_field(text)
            if quick is not None and path == f"{folder_of(quick[0]['model']['id'])}/{quick[1]}.json":
                return cls(path, stamp, *quick)
            plain = plain_record(text)
            migrated_plain = migrated(plain)
            checked(migrated_plain)
            name, own = PurePosixPath(path).stem, plain_identity(plain)
            if name != own:
                raise RecordError(f"A record is named {name}, but its identity is {own}.")
            model = str(plain["model"]["id"])
            if str(PurePosixPath(path).parent) != folder_of(model):
                raise RecordError(f"A record of {model} belongs in {folder_of(model)}.")
            return cls(path, stamp, migrated_plain, own if migrated_plain is plain else plain_identity(migrated_plain))


@dataclass(frozen=True)
class RecordTable:
    """Records in columns named as in COLUMNS and KEYS; missing heavy columns are read from `file` when needed.

    Attributes:
        data: a pyarrow table.
        at: the version of the place that the table was made from, None if unknown.
        file: a parquet file with the heavy columns of the rows, by path and stamp.
        extra: a pyarrow table with the heavy columns of later rows.
    """

    data: pyarrow.Table
    at: str | None = None
    file: Path | None = None
    extra: pyarrow.Table | None = None

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @classmethod
    def of(cls, stored: Iterable[Stored], at: str | None = None) -> RecordTable:
        """Return the table of records."""
        import pyarrow

        columns: dict[str, list[Any]] = {name: [] for name in NAMES}
        texts: dict[int, tuple[Any, str]] = {}
        for one in stored:
            if len(texts) > MANY_TEXTS:
                texts.clear()
            for name, value in _row(one, texts).items():
                columns[name].append(value)
        return cls(pyarrow.table(columns, schema=_schema()), at)

    @classmethod
    def read(cls, file: Path, *, whole: bool = False, rules: str | None = None) -> RecordTable:
        """Return the table of a parquet file, whose columns and types must be those of `write`.

        With `whole` the heavy columns are read too. The records must have been read by these rules, if any are given.
        """
        from pyarrow import parquet

        with _only_store_errors(file):
            chunks = chunks_of(file)
            about = parquet.read_metadata(file)
            found = dict(about.metadata or {})
            if found.get(VERSION_KEY, b"").decode() != str(SCHEMA_VERSION):
                raise StoreError(f"{file} is not a table of records of schema version {SCHEMA_VERSION}.")
            if rules is not None and found.get(RULES_KEY, b"").decode() != rules:
                raise StoreError(f"{file} is a table of records that were read by other rules.")
            data = _read(file, chunks, [name for name in NAMES if whole or name not in HEAVY])
            if data.num_rows != about.num_rows:
                raise StoreError(f"{file} is damaged: it claims {about.num_rows} rows and holds {data.num_rows}.")
            data.validate(full=True)
        return cls(data, found.get(DETAIL_KEY, b"").decode() or None, file)

    def write(self, file: Path, *, rules: str | None = None) -> None:
        """Write a parquet file for `read`; readers see the old or the new file, never a part of it."""
        from pyarrow import parquet

        metadata: dict[str | bytes, str | bytes] = {VERSION_KEY: str(SCHEMA_VERSION), DETAIL_KEY: self.at or ""}
        metadata |= {} if rules is None else {RULES_KEY: rules}
        data, schema = self.whole().data, _schema(plain=True).with_metadata(metadata)
        checked = {"compression": "zstd", "write_page_checksum": True}
        with whole(file) as aside, parquet.ParquetWriter(aside, schema, **checked) as writer:
            for start in range(0, len(self), GROUP):
                writer.write_table(data.slice(start, GROUP).cast(schema))

    def whole(self) -> RecordTable:
        """Return the table with the heavy columns."""
        return RecordTable(self._with_heavy(self.data).select(list(NAMES)), self.at)

    def light(self) -> RecordTable:
        """Return the table without its heavy columns."""
        kept = [name for name in self.data.column_names if name not in HEAVY]
        return RecordTable(self.data.select(kept), self.at, self.file, self.extra)

    def records(self, rows: Sequence[int] | None = None) -> list[Record]:
        """Return the records of some or all rows; RecordError if one is not a record."""
        chosen = self.data if rows is None else self._taken(rows)
        return [_record(row) for row in self._with_heavy(chosen).to_pylist()]

    def merged(self, others: RecordTable, gone: Sequence[int] = (), at: str | None = None) -> RecordTable:
        """Return this table without some rows, followed by the rows of another table."""
        import numpy as np
        import pyarrow

        mine = self.light().data
        if gone:
            staying = np.ones(len(self), bool)
            staying[list(gone)] = False
            mine = mine.filter(pyarrow.array(staying))
        both = mine if not len(others) else pyarrow.concat_tables([mine, others.light().data]).unify_dictionaries()
        if both.column(0).num_chunks > MANY_CHUNKS:
            both = both.combine_chunks()
        extra = [one for table in (self, others) for one in table._heavy_in_memory()]
        return RecordTable(both, at, self.file, pyarrow.concat_tables(extra) if extra else None)

    def datasets(self, rows: Sequence[int] | None = None) -> frozenset[str]:
        """Return the ids of the datasets of some or all rows."""
        import pyarrow

        chosen = self.data if rows is None else self._taken(rows)
        return frozenset(chosen.column("dataset_id").cast(pyarrow.string()).unique().to_pylist())

    def proved(self, rows: Sequence[int]) -> list[int]:
        """Return those of some rows that provably hold the contents of their files, whoever made the table.

        The stamps of the files must be git's hashes: a row with a valid record, whose file would have this path and
        this hash, holds the contents of the file.
        """
        found: list[int] = []
        for start in range(0, len(rows), GROUP):
            some = rows[start : start + GROUP]
            values = self._with_heavy(self._taken(some)).to_pylist()
            found += readable(zip(some, values, strict=True), _proved, lambda *_: None)
        return found

    def only(self, rows: Sequence[int]) -> RecordTable:
        """Return the table of some rows."""
        return RecordTable(self._taken(rows), self.at, self.file, self.extra)

    def _taken(self, rows: Sequence[int]) -> pyarrow.Table:
        import pyarrow

        return self.data.take(pyarrow.array(rows, pyarrow.int64()))

    def stamps(self) -> Iterator[tuple[str, str]]:
        """Yield the path and the stamp of each record's file."""
        for batch in self.data.select(["path", "stamp"]).to_batches(max_chunksize=4096):
            yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)

    def _heavy_in_memory(self) -> list[Any]:
        whole = set(HEAVY) <= set(self.data.column_names)
        found = [self.data.select(["path", "stamp", *HEAVY])] if whole else []
        return found if self.extra is None else [*found, self.extra]

    def _with_heavy(self, chosen: Any) -> Any:
        """Return rows with the heavy columns of the same path and stamp: the file may have been rewritten."""
        import pyarrow
        from pyarrow import compute

        if set(HEAVY) <= set(chosen.column_names):
            return chosen
        parts = self._heavy_in_memory()
        if self.file is not None:
            with _only_store_errors(self.file):
                parts.append(_read(self.file, chunks_of(self.file), ["path", "stamp", *HEAVY]))
        if not parts:
            raise StoreError("The table lacks columns, and there is no file to read them from.")
        there = pyarrow.concat_tables(parts).combine_chunks()
        places = compute.index_in(_joined(chosen), value_set=_joined(there).combine_chunks())
        for name in HEAVY:
            chosen = chosen.append_column(name, there.column(name).take(places))
        return chosen


def _only_store_errors(file: Path) -> AbstractContextManager[None]:
    """Turn whatever a damaged or hostile file makes the library raise into a StoreError."""
    return only_errors(StoreError, f"{file} cannot be read as a table of records")


def _read(file: Path, chunks: Sequence[Chunk], names: Sequence[str]) -> pyarrow.Table:
    """Return columns of a parquet file, none larger than the size of the file allows, whatever its footer says.

    Texts are read as dictionaries, so that repeated texts take memory only after their size was checked.
    """
    import pyarrow
    from pyarrow import compute, parquet

    kinds, wanted = pyarrow.schema([_schema().field(name) for name in names]), set(names)
    _check_size(file, expanded_bytes(file, [chunk for chunk in chunks if chunk.is_in(wanted)]))
    words = [one.name for one in kinds if pyarrow.types.is_string(one.type) or pyarrow.types.is_dictionary(one.type)]
    # unlike parquet.read_table, it does not load pyarrow's engine for datasets of many files
    with parquet.ParquetFile(file, read_dictionary=words, page_checksum_verification=True) as known:
        data = known.read(columns=list(names), use_threads=False).select(list(names))
    written = 0
    for one in kinds:
        if pyarrow.types.is_string(one.type):
            for chunk in data.column(one.name).chunks:
                lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
                written += compute.sum(lengths).as_py() or 0
    _check_size(file, written)
    return data.unify_dictionaries().cast(kinds).combine_chunks()  # rows of one chunk are found far sooner


def _check_size(file: Path, expanded: int) -> None:
    if reason := too_large(expanded, file.stat().st_size):
        raise StoreError(f"{file} is too large a table of records: {reason}.")


def _joined(data: Any) -> Any:
    """Return the path and stamp of each row as one text."""
    from pyarrow import compute

    return compute.binary_join_element_wise(data.column("path"), data.column("stamp"), " ")


def _schema(*, plain: bool = False) -> pyarrow.Schema:
    """Return the schema; in files, words are plain text, which every reader knows."""
    import pyarrow

    word = pyarrow.string() if plain else pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = {"text": pyarrow.string(), "word": word, "json": word}
    kinds |= {"integer": pyarrow.int64(), "number": pyarrow.float64(), "truth": pyarrow.bool_()}
    return pyarrow.schema([(column.name, kinds[column.form]) for column in (*KEYS, *COLUMNS)])


def _row(stored: Stored, texts: dict[int, tuple[Any, str]]) -> dict[str, Any]:
    """Return the row of a record; many records share the contents of a block as one object, which is encoded once."""
    row: dict[str, Any] = {"path": stored.path, "stamp": stored.stamp, "identity": stored.identity}
    for column in COLUMNS:
        value: Any = stored.plain
        for name in column.place:
            value = None if value is None else value[name]
        if value is not None and column.form in JSON_FORMS:
            if id(value) not in texts:
                texts[id(value)] = value, COMPACT.encode(value)
            value = texts[id(value)][1]
        row[column.name] = value
    return row


def _record(row: dict[str, Any]) -> Record:
    """Return the fully checked record of a row; RecordError if it holds none, for whatever reason."""
    with only_errors(RecordError, "A row of a table holds no record"):
        plain = _plain(row)
        if plain_identity(plain) != row["identity"]:
            raise RecordError(f"The row of {row['path']} holds another record than its identity says.")
        return checked(plain)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a row's record."""
    plain: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    for column in COLUMNS:
        value = row[column.name]
        if value is not None and column.form in JSON_FORMS:
            value = plain_record(value)
        block, *inside = column.place
        if inside:
            plain.setdefault(block, {})[inside[0]] = value
        else:
            plain[block] = value
    if row["metric_name"] is None:
        plain["metric"] = None
    return plain


def _proved(numbered: tuple[int, dict[str, Any]]) -> int:
    """Return the number of a row; RecordError if it does not provably hold the contents of its file."""
    number, row = numbered
    record = _record(row)
    if row["path"] != f"{folder_of(record.model.id)}/{row['identity']}.json":
        raise RecordError("The row holds the record of another file.")
    if blob_id(record.to_json().encode()) != row["stamp"]:
        raise RecordError("The row differs from its file.")
    return number
