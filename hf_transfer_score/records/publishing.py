"""Publishing records in a place: of records with the same identity the latest counts, and no others are lost."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Literal

from hf_transfer_score.errors import RecordError
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.checks import time_of
from hf_transfer_score.records.place import HubPlace, Place, PlaceView, is_record_path
from hf_transfer_score.records.record import FACTS, Record, checked, record_path
from hf_transfer_score.records.store import CHUNK, SNAPSHOT, cache_file, load, snapshot_of
from hf_transfer_score.records.table import RecordTable, Stored
from hf_transfer_score.text import markdown


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

    The stamps of the place have to be git's hashes. With `prove` only rows are kept that provably equal their files.
    """
    import pyarrow

    stamps = {path: stamp for path, stamp in view.files.items() if is_record_path(path)}
    stamps |= {path: blob_id(content) for path, content in files.items()}
    known = Snapshot.of(view)
    same = {} if known is None else _unchanged(known, stamps, prove=prove)
    changed = sorted(path for path in stamps if path not in same)
    unread = contents(view, [path for path in changed if path not in files])
    rows = list(_rows({path: files[path] for path in changed if path in files}.items(), stamps))
    rows += _rows(unread, stamps, None if prove else MOST_BAD)
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


def _rows(
    contents: Iterable[tuple[str, bytes]], stamps: Mapping[str, str], most_bad: int | None = None
) -> Iterator[Stored]:
    """Yield the records of files, up to a number of files that hold none."""
    bad = 0
    for path, content in contents:
        try:
            yield Stored.read(path, stamps[path], content)
        except RecordError:
            bad += 1
            if bad == most_bad:
                return


CARD = "README.md"
BATCH, BATCH_HERE = 2000, 20_000
"""Records that are written at a time, on the Hub and in a folder, whose files are listed each time."""

ALWAYS, TURNS = 20_000, 500
"""Beside up to 20,000 records the table is always updated; beside more, not by everyone who adds a few."""

MOST_BAD = 50
"""Files without a valid record, such as those of a newer version, after which a publisher reads no further ones for the
table: they are in no table, so each publisher would read them all again."""

Verdict = Literal["written", "replaced", "unchanged", "older"]


@dataclass(frozen=True)
class Published:
    """What became of records: written if new, or later than those in the place; older ones are left out.

    `replaced` are those of the written ones that were there with another outcome. The last field is the state of the
    place, or where the change was proposed.
    """

    written: int = 0
    unchanged: int = 0
    older: int = 0
    version_or_url: str = ""
    replaced: int = 0


@dataclass
class Decision:
    """The files to write to a place, and what becomes of each record, both by path."""

    files: dict[str, bytes] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def count(self, verdict: Verdict) -> int:
        """Return the number of records with a verdict."""
        return sum(one == verdict for one in self.verdicts.values())


def publish(place: Place, records: Iterable[Record], *, title: str | None = None, dry_run: bool = False) -> Published:
    """Write each record to its own file in a place, and on the Hub also to the table and the card beside them.

    Of records with the same identity the latest counts, with facts about its model that only an earlier one knows; but
    a failed measurement of an accuracy never replaces a successful one. If others write at the same time, or if a few
    records are added to very many, updating the table is left to a later call. A pull request holds only records. A dry
    run returns what would be done.
    """
    total = Published()
    size = BATCH if place.shared else BATCH_HERE
    for batch, last in _batches(records, None if _proposes(place) else size):
        files = _latest(batch)
        decision = Decision()

        def change(view: PlaceView, files: dict[str, Record] = files, last: bool = last) -> Mapping[str, bytes | None]:
            nonlocal decision
            decision = decide(view, files, shared=place.shared)
            return decision.files | (_beside(place, view, decision.files) if last else {})

        if dry_run:
            decision, version = decide(place.view(), files, shared=place.shared), ""
        else:
            version = place.update(change, title=title or _title(len(files)))
        total = Published(
            total.written + len(decision.files),
            total.unchanged + decision.count("unchanged"),
            total.older + decision.count("older"),
            version,
            total.replaced + decision.count("replaced"),
        )
    if total.written > CHUNK and not place.shared:
        load(place, cache=cache_file(place))  # so that the next reader need not read them all
    return total


def renew(place: Place) -> Published:
    """Update the table beside the records of a repository; a folder has none.

    No existing row is trusted: one that differs from its file is replaced.
    """

    def change(view: PlaceView) -> Mapping[str, bytes | None]:
        table = renewed(view, {}, prove=True)
        return {} if table is None else {SNAPSHOT: table}

    return Published(version_or_url=place.update(change, title=_title(0)) if place.shared else place.version() or "")


def decide(view: PlaceView, wanted: Mapping[str, Record], *, shared: bool) -> Decision:
    """Return which records, given by path, to write to a place.

    The stamps of a shared place are git's hashes, so that equal contents need not be read.
    """
    contents = {path: record.to_json().encode() for path, record in wanted.items()}
    files = view.files
    there = {path for path in wanted if path in files and not (shared and files[path] == blob_id(contents[path]))}
    old, decision = view.read(there), Decision()
    for path, record in wanted.items():
        if path in files and (path not in there or old.get(path) == contents[path]):
            decision.verdicts[path] = "unchanged"
            continue
        known = _record_in(path, old.get(path))
        counts = record if known is None else _with_facts_of(known, record)
        if known is None or (counts != known and _weight(known) <= _weight(record)):
            decision.files[path] = contents[path] if counts is record else counts.to_json().encode()
            decision.verdicts[path] = "written" if known is None else "replaced"
        else:
            decision.verdicts[path] = "unchanged" if counts == known else "older"
    return decision


def _record_in(path: str, content: bytes | None) -> Record | None:
    """Return the record in a file, None if it holds none."""
    if content is None:
        return None
    try:
        return checked(Stored.read(path, "", content).plain)
    except RecordError:
        return None


def _with_facts_of(old: Record, new: Record) -> Record:
    """Return a record with what an earlier one of the same identity says about its model and it does not."""
    known = {name: getattr(old.facts, name) for name in FACTS if getattr(new.facts, name) is None}
    return replace(new, facts=replace(new.facts, **known))


def _weight(record: Record) -> tuple[bool, datetime]:
    """Return a key that is greater for the record that counts; a failure never counts more than a result."""
    return record.status != "failed", moment(record.run.time)


def moment(text: str) -> datetime:
    """Return the time of a record; one that cannot be read is long ago.

    Example:
        >>> moment("2025-01-01T00:00:00+00:00") < moment("2025-01-01T00:00:00-01:00"), moment("soon").year
        (True, 1)
    """
    return time_of(text) or datetime.min.replace(tzinfo=timezone.utc)


def _latest(records: Iterable[Record]) -> dict[str, Record]:
    """Return records by path; of records with the same path the latest."""
    found: dict[str, Record] = {}
    for record in records:
        path = str(record_path(record))
        if path not in found or _weight(found[path]) <= _weight(record):
            found[path] = record
    return found


def _batches(records: Iterable[Record], size: int | None) -> Iterator[tuple[list[Record], bool]]:
    """Yield batches of records, at least one, and whether it is the last."""
    waiting = iter(records)
    batch = list(islice(waiting, size))
    while following := list(islice(waiting, size)):
        yield batch, False
        batch = following
    yield batch, True


def _proposes(place: Place) -> bool:
    return isinstance(place, HubPlace) and place.create_pr


def _title(count: int) -> str:
    return f"Add {count} record{'s' if count > 1 else ''}" if count else "Update the table of records"


def _beside(place: Place, view: PlaceView, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the table and the card to write beside the records, unless others are writing too."""
    if not place.shared or _proposes(place) or view.attempt > 0 or not _is_worth_a_table(view, files):
        return {}
    table = renewed(view, files)
    found = {} if table is None else {SNAPSHOT: table}
    if CARD not in view.files and (files or found):
        found[CARD] = results_card(place.name).encode()
    return found


def _is_worth_a_table(view: PlaceView, files: Mapping[str, bytes]) -> bool:
    """Return whether there are enough new records to rewrite the table, or it is their turn.

    The turn depends on the present state. About one in `TURNS` of the records is not in the table.
    """
    there = sum(map(is_record_path, view.files))
    if there <= ALWAYS:
        return True
    number = int.from_bytes(hashlib.blake2b(view.version.encode(), digest_size=8).digest(), "big")
    return number < 2**64 * TURNS * len(files) / there


def results_card(name: str) -> str:
    """Return the card of the repository of results OWNER/NAME: what it is, how to read it, how to add to it."""
    return markdown("results_card.md.jinja", name=name, snapshot=SNAPSHOT)
