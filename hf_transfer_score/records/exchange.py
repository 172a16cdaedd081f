"""Records pulled and merged from place to place, and validated; invalid files are reported and left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hf_transfer_score.errors import RecordError
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.place import FOLDER, Place, PlaceView, existing, is_record_path
from hf_transfer_score.records.publishing import Published, Snapshot, contents, publish, renew
from hf_transfer_score.records.record import Record, checked
from hf_transfer_score.records.store import CHUNK, SNAPSHOT, UNREAD, Problem
from hf_transfer_score.records.table import Stored

FEW = CHUNK // 10
"""Files that are read one by one rather than from the table beside them."""


@dataclass(frozen=True)
class Merged:
    """What became of the records of other places: those that had to be read, and files that are equal in both.

    Files that hold no valid record are problems, by their path below their place.
    """

    published: Published
    same: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def unchanged(self) -> int:
        """How many records were there already."""
        return self.published.unchanged + self.same


@dataclass(frozen=True)
class Validation:
    """How many files of records were checked, and their problems; a place without problems is valid."""

    checked: int
    problems: tuple[Problem, ...] = ()


@dataclass
class Gathering:
    """The valid records of places, read lazily, and how many files were not read: those that are in `have` as well.

    `have` are git's hashes of contents by path; `problems` are files that hold no valid record.
    """

    have: Mapping[str, str] = field(default_factory=dict)
    same: int = 0
    problems: list[Problem] = field(default_factory=list)

    def records(self, place: Place) -> Iterator[Record]:
        """Yield the valid records of a place."""
        view = existing(place)
        files = {path: stamp for path, stamp in view.files.items() if is_record_path(path)}
        known = {path for path, stamp in files.items() if place.shared and self.have.get(path) == stamp}
        wanted = [path for path in files if path not in known]
        self.same += len(known)
        snapshot = Snapshot.of(view) if place.shared and len(wanted) > FEW else None
        yield from (record for _, record in _valid(view, wanted, snapshot, self.problems))


def _valid(
    view: PlaceView, paths: Sequence[str], snapshot: Snapshot | None, problems: list[Problem]
) -> Iterator[tuple[str, Record]]:
    """Yield the valid records of files by path, and add the other files to the problems."""
    unread = dict.fromkeys(paths)
    for path, content in contents(view, paths, snapshot):
        del unread[path]
        try:
            yield path, checked(Stored.read(path, view.files[path], content).plain)
        except RecordError as error:
            problems.append(Problem(path, str(error), view.files[path]))
    problems += [Problem(path, UNREAD, view.files[path]) for path in unread]


def pull(source: Place, target: Place) -> Merged:
    """Copy the records of a place into another, such as from a repository to a folder, reading only changed files.

    Later records in the target stay.
    """
    return merge([source], target)


def merge(sources: Sequence[Place], into: Place) -> Merged:
    """Merge the records of many places into one; of records with the same identity the latest counts.

    Without any source, only the table of `into` is updated from its records.
    """
    if not sources:
        existing(into)
        return Merged(renew(into))
    have: dict[str, str] = {}
    if any(source.shared for source in sources):  # git's hashes of contents, so that equal files need not be read
        view = into.view()
        paths = [path for path in view.files if is_record_path(path)]
        have = dict(view.files) if into.shared else {path: blob_id(content) for path, content in contents(view, paths)}
    gathering = Gathering(have)
    records = (record for source in sources for record in gathering.records(source))
    published = publish(into, records, title=f"Merge {', '.join(source.name for source in sources)}")
    return Merged(published, gathering.same, tuple(gathering.problems))


def validate(place: Place) -> Validation:
    """Check that each record of a place is valid, is in its own folder, and is in the table beside the records."""
    view = existing(place)
    paths = sorted(path for path in view.files if is_record_path(path))
    snapshot = Snapshot.of(view) if place.shared else None
    problems = [
        Problem(path, f"is below {FOLDER}, where only <owner>/<name>/<identity>.json belongs", view.files[path])
        for path in sorted(view.files)
        if path.startswith(FOLDER) and not is_record_path(path)
    ]
    valid: set[str] = set()
    differing = 0
    for start in range(0, len(paths), CHUNK):
        records = dict(_valid(view, paths[start : start + CHUNK], snapshot, problems))
        valid |= records.keys()
        if snapshot is not None:
            rows = snapshot.records(records)
            differing += sum(
                rows.get(path) != record or snapshot.stamps[path] != view.files[path]
                for path, record in records.items()
            )
    if place.shared:
        problems += _table_problems(view, snapshot, valid, differing)
    return Validation(len(paths), tuple(problems))


def _table_problems(view: PlaceView, snapshot: Snapshot | None, valid: set[str], differing: int) -> Iterator[Problem]:
    """Yield what is wrong with the table beside the records."""
    stamp = view.files.get(SNAPSHOT, "")
    if snapshot is None and (valid or stamp):
        yield Problem(SNAPSHOT, "cannot be read as a table of records" if stamp else "is missing", stamp)
    elif snapshot is not None and (differing or snapshot.rows.keys() - valid):
        old = len(snapshot.rows.keys() - valid)
        reason = f"does not match the records: {differing} of {len(valid)} differ, {old} rows have no record"
        yield Problem(SNAPSHOT, f"{reason}; run `results merge` to update it", stamp)
