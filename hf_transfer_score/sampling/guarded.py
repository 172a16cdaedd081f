"""Protects the reading of dataset files against bombs, and checks them against the hashes of the Hub.

`datasets` reads files with functions of its packaged modules, which open a file and pass parts of it to parsers in C.
Those for .csv and .json hold whole lines in memory, and Arrow's JSON parser recurses for each bracket. One builder is
made to open and parse files through this module; other builders of the process are not affected.
"""

import glob
import io
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import IO, Any, TypeVar

import numpy as np

from hf_transfer_score.errors import DatasetError, NoAnswerError, TransferScoreError, UnreadableError, chain
from hf_transfer_score.file_heads import chunks_of
from hf_transfer_score.home import fullness, hub_home, near_name, no_space, room_for
from hf_transfer_score.hub.client import HubSession, bounded
from hf_transfer_score.hub.failures import DAMAGED, LOG_IN, kinds, no_answer, no_revision, trouble_of
from hf_transfer_score.hub.settings import cached_names, endpoint_of, is_forbidden
from hf_transfer_score.integrity import READ_AT_ONCE, digest_of
from hf_transfer_score.untrusted import LINE_BYTES, NESTING
from hf_transfer_score.version import LIBRARY

BRACKETS = np.zeros(256, np.int32)
BRACKETS[[ord("["), ord("{")]], BRACKETS[[ord("]"), ord("}")]] = 1, -1
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
TABLES_OF_TEXT = (".csv", ".json", ".jsonl")
OPENING = {"open", "pd", "paj"}
NEITHER = bytes(code for code in range(256) if code not in b"[]{}\n")

SMALL_BYTES = 4 * 1024 * 1024  # smaller files are always downloaded whole

WHOLE_BYTES = 256 * 1024 * 1024
"""Larger files are read in parts, which cannot be checked against the hash of the whole file."""

MEMORY_BYTES = 64 * 1024 * 1024  # larger downloads are buffered on disk
ATTEMPTS = 2  # downloads of a file whose content does not match its hash

Item = TypeVar("Item")

NO_NETWORK = {"ConnectionError", "ConnectError", "ConnectTimeout", "TimeoutException", "MaxRetryError"}
NO_NETWORK |= {"OfflineModeIsEnabled", "LocalEntryNotFoundError"}
CUT = {"RemoteProtocolError", "ReadError", "ReadTimeout"}
CUT |= {"ChunkedEncodingError", "IncompleteRead", "ClientPayloadError"}
CORRUPT = {"ArrowInvalid", "ArrowException", "ParserError", "JSONDecodeError", "UnicodeDecodeError", "BadZipFile"}
DIFFERENT = ("does not exist in schema", "No match for FieldRef", "Schema at index")
LONGER = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
QUOTE = "put quotes around texts that hold what separates the columns"
EMPTY = {"EmptyDatasetError", "DataFilesNotFoundError", "EmptyDataError"}


def guard(builder: Any) -> None:
    """Make a builder of `datasets` open and parse files through this module."""
    for kind in reversed(type(builder).__mro__):
        if kind.__module__.startswith("datasets.packaged_modules."):
            for name, function in vars(kind).items():
                if isinstance(function, FunctionType) and OPENING & {*function.__code__.co_names}:
                    setattr(builder, name, partial(_called, function, kind.__module__, builder))


def _called(function: FunctionType, named: str, builder: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function of a builder with guarded functions to open and parse; its other globals stay the same."""
    module = sys.modules[named]
    of_parquet = type(builder).__module__.endswith(".parquet")
    columns: Sequence[str] | None = getattr(builder.config, "columns", None) if of_parquet else None
    opened = _opener(module, () if function.__name__ == "_split_generators" else columns)

    def read_csv(file: Any, **options: Any) -> Any:
        return module.pd.read_csv(_opener(module)(file, "rb"), **{**options, "compression": None})

    def read_json(file: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(file, io.BytesIO):
            check_nesting(file.getvalue())
        return module.paj.read_json(file, *arguments, **options)

    silent = logging.Logger(named, logging.CRITICAL + 1)  # errors are explained where they end the reading
    names = {**vars(module), "open": opened, "logger": silent}
    names |= {"pd": _Patched(module.pd, read_csv=read_csv)} if hasattr(module, "pd") else {}
    names |= {"paj": _Patched(module.paj, read_json=read_json)} if hasattr(module, "paj") else {}
    read = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    read.__kwdefaults__ = function.__kwdefaults__
    return read(builder, *arguments, **options)


class _Patched:
    """A module with some of its functions replaced."""

    def __init__(self, module: Any, **functions: Callable[..., Any]) -> None:
        self._module = module
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _opener(module: ModuleType, columns: Sequence[str] | None = None) -> Callable[..., Any]:
    """Return a function that opens a file as the module would, with checks of its hash and of the length of lines."""

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        encoding = {name: options.pop(name) for name in ("encoding", "errors") if name in options}
        usual = partial(vars(module).get("open", open), file, "rb", *arguments, **options)
        content = open_named(usual, lambda file: is_mostly_read(file, columns))
        if module.__name__.endswith(TABLES_OF_TEXT) or str(file).endswith(TABLES_OF_TEXT):
            content = io.BufferedReader(_LimitedLines(content))
        return content if "b" in mode else io.TextIOWrapper(content, **encoding)

    return opened


def check_nesting(content: bytes) -> None:
    """Raise DatasetError if a line of JSON is nested too deeply for its parser.

    Example:
        >>> check_nesting(b'{"a": [[1], [2]]}')
        >>> check_nesting(b'{"a": "' + b"[" * 1000 + b'"}')
        >>> check_nesting(b"[" * 1000)
        Traceback (most recent call last):
        ...
        hf_transfer_score.errors.DatasetError: A line of JSON is nested more than 200 deep, which is not read.
    """
    if _depth(content) > NESTING and _depth(TEXT.sub(b"", content)) > NESTING:
        raise DatasetError(f"A line of JSON is nested more than {NESTING} deep, which is not read.")


def _depth(content: bytes) -> int:
    """Return the deepest nesting of brackets within a line, counting those within texts."""
    marks = np.frombuffer(content.translate(None, NEITHER), np.uint8)
    if not len(marks):
        return 0
    depth = np.cumsum(BRACKETS[marks])
    ends = np.flatnonzero(marks == ord("\n"))
    before = np.concatenate([[0], depth[ends]])
    return int((depth - before[np.cumsum(marks == ord("\n"))]).max())


class _LimitedLines(io.RawIOBase):
    """A file of lines that refuses a line too long to be a row."""

    def __init__(self, file: Any) -> None:
        self._file, self._length = file, 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        last = content.rfind(b"\n")
        self._length = self._length + len(content) if last < 0 else len(content) - last - 1
        if self._length > LINE_BYTES:
            raise _too_long("A line of .csv or .json")
        return len(content)

    def readall(self) -> bytes:
        """Read the rest of the file."""
        content: bytes = self._file.read(LINE_BYTES + 1)
        if len(content) > LINE_BYTES:
            raise _too_long("A file of one JSON value")
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _too_long(what: str) -> DatasetError:
    return DatasetError(
        f"{what} has more than {LINE_BYTES:,} bytes, and has to be read whole. Store the rows as Parquet, or as JSON "
        "with one line per row."
    )


def open_named(open_file: Callable[[], Any], whole: Callable[[Any], bool]) -> Any:
    """Return an open file; a file on the Hub that `whole` accepts is downloaded, and checked against its hash."""
    for _ in range(ATTEMPTS):
        file = open_file()
        details = getattr(file, "details", None)
        details = details if isinstance(details, Mapping) else {}
        large, name = details.get("lfs"), details.get("blob_id")  # None for files that are not on the Hub
        if large is not None:
            name = str(large["sha256"] if isinstance(large, Mapping) else large.sha256)
        if name is None or not whole(file):
            return file
        copy: IO[bytes] = io.BytesIO() if file.size <= MEMORY_BYTES else tempfile.TemporaryFile()  # noqa: SIM115
        digest = digest_of(name, file.size)
        with file, room_for(f"the file {file.path}", Path(tempfile.gettempdir())):
            while part := file.read(READ_AT_ONCE):
                copy.write(part)
                digest.update(part)
        if digest.hexdigest() == name:
            copy.seek(0)
            return copy
        copy.close()
    raise DatasetError(
        f"the file {file.path!r} arrived {ATTEMPTS} times with content that does not match its hash on the Hub: "
        f"{DAMAGED}."
    )


def is_mostly_read(file: Any, columns: Sequence[str] | None) -> bool:
    """Whether at least half of a file on the Hub is read, so that downloading all of it costs little.

    Of a Parquet file some columns are read, or only its types if they are empty; None stands for the whole file.
    """
    if file.size <= SMALL_BYTES or file.size > WHOLE_BYTES or not columns:
        return bool(file.size <= (SMALL_BYTES if columns == () else WHOLE_BYTES))
    try:
        read = sum(one.stop - one.start for one in chunks_of(file) if one.is_in(set(columns)))
    except UnreadableError:  # its reader reports why
        return True
    finally:
        file.seek(0)
    return bool(2 * read >= file.size)


@contextmanager
def explained(dataset: str, revision: str | None = None) -> Iterator[None]:
    """Turn errors of the libraries into a DatasetError that names the dataset and what to do.

    A library may treat an unanswered request as a missing file, and continue or report something else. The message
    then names the request.
    """
    with bounded() as session:
        before = len(session.failures)
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            lost = no_answer(error) or _unanswered(session, before)
            if lost is not None:
                raise DatasetError(_unread(lost, dataset)) from error
            if isinstance(error, TransferScoreError):
                raise
            if fullness(error) is not None:
                raise no_space(error, f"what is downloaded of {dataset}", hub_home()) from error
            raise DatasetError(explain(error, dataset, revision)) from error
        lost = _unanswered(session, before)
        if lost is not None and not lost.offline:
            raise DatasetError(_unread(lost, dataset)) from lost


def _unanswered(session: HubSession, before: int) -> NoAnswerError | None:
    """Return the first unanswered request about a dataset, after the first `before` failures."""
    return next((one for one in session.failures[before:] if "/datasets/" in one.url), None)


def _unread(lost: NoAnswerError, dataset: str) -> str:
    if lost.offline:
        return _not_reached(dataset, lost.reason)
    return f"The dataset {dataset} cannot be read from the Hub: {lost.reason}. Run it again later."


def _not_reached(dataset: str, reason: str) -> str:
    return f"The Hub at {endpoint_of()} cannot be reached for the dataset {dataset}: {reason}.{_near(dataset)}"


def _near(dataset: str) -> str:
    return near_name(dataset, cached_names("dataset"))


def explained_items(items: Callable[[], Iterable[Item]], dataset: str) -> Iterator[Item]:
    """Yield the items of an iterable, with errors explained."""
    with explained(dataset):
        iterator = iter(items())
    while True:
        with explained(dataset):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def commit_of(dataset: str, revision: str | None = None) -> str | None:
    """Return the current commit of a revision on the Hub; None in offline mode."""
    from huggingface_hub import HfApi

    if is_forbidden():
        return None
    return str(HfApi(**LIBRARY).dataset_info(dataset, revision=revision).sha)


@contextmanager
def uncounted() -> Iterator[None]:
    """Keep `datasets` from telling a server what is opened: a dataset, or the reader of a local file."""
    from datasets import config

    counted, config.HF_UPDATE_DOWNLOAD_COUNTS = config.HF_UPDATE_DOWNLOAD_COUNTS, False
    try:
        yield
    finally:
        config.HF_UPDATE_DOWNLOAD_COUNTS = counted


@contextmanager
def listed_once(folder: Path | None = None) -> Iterator[None]:
    """Cache listings of local folders: `datasets` looks for files by 66 patterns; no part of `folder` is one."""
    from fsspec.implementations.local import LocalFileSystem

    listed, globbed, known = LocalFileSystem.ls, LocalFileSystem.glob, dict[tuple[str, bool], list[Any]]()
    start = "" if folder is None else folder.resolve().as_posix()

    def ls(system: LocalFileSystem, path: str, detail: bool = False, **options: Any) -> list[Any]:
        if (path, detail) not in known:
            known[path, detail] = listed(system, path, detail, **options)
        return list(known[path, detail])

    def find(system: LocalFileSystem, path: str, *arguments: Any, **options: Any) -> Any:
        literal = start if path.startswith(f"{start}/") else ""
        return globbed(system, glob.escape(literal) + path.removeprefix(literal), *arguments, **options)

    LocalFileSystem.ls, LocalFileSystem.glob = ls, find
    try:
        yield
    finally:
        LocalFileSystem.ls, LocalFileSystem.glob = listed, globbed


def explain(error: BaseException, dataset: str, revision: str | None = None) -> str:
    """Return a message for an error of a library: what is wrong with the dataset, and what to do."""
    links, kind = chain(error, hidden=False), trouble_of(error).kind
    names, said = {kind for one in links for kind in kinds(one)}, " ".join(map(str, links))
    low, unreached = said.lower(), kind in ("forbidden", "offline") or bool(names & NO_NETWORK)
    forbidden = kind == "forbidden" or is_forbidden() or "OfflineModeIsEnabled" in names
    if "scripts are no longer supported" in low or "trust_remote_code" in low:
        return (
            f"The dataset {dataset} needs a loading script, and scripts are not run. Look for a copy in Parquet, or "
            "ask its author to convert it (with `datasets-cli convert_to_parquet`)."
        )
    if kind == "gated" or "is a gated dataset" in low:
        return f"The dataset {dataset} is gated: accept its terms on its page on the Hub, and {LOG_IN}."
    if kind == "revision" or "invalid rev id" in low or "revision '" in low:
        return f"The dataset {dataset} {no_revision(revision)}."
    if names & CUT or "server disconnected" in low:
        return f"The download of {dataset} was cut off, and trying again did not help ({_short(said)}). Run it again."
    if unreached and forbidden:
        return (
            f"The dataset {dataset} is needed from the Hub, but HF_HUB_OFFLINE forbids requests to it. Unset it, or "
            f"give a local folder or file.{_near(dataset)}"
        )
    if unreached:
        return _not_reached(dataset, "check the network, then repeat")
    if kind in ("missing", "name") or "DatasetNotFoundError" in names:
        return (
            f"There is no dataset {dataset} on the Hub that you can read: check the spelling (owner/name), and if "
            f"it is private {LOG_IN}. No local folder has that name either.{_near(dataset)}"
        )
    return _damaged(error, names, said, dataset)


def _damaged(error: BaseException, names: set[str], said: str, dataset: str) -> str:
    if names & EMPTY:
        return (
            f"The dataset {dataset} is empty: it has no rows, or no files of a known kind (Parquet, CSV, JSON, Arrow, "
            "images, sound)."
        )
    if "UnicodeDecodeError" in names and "utf-8" in said:
        return f"A file of the dataset {dataset} is not text in UTF-8: save it as UTF-8 (in Excel as CSV UTF-8)."
    if longer := LONGER.search(said):
        return f"Line {longer[2]} of {dataset} has {longer[3]} values, and there are {longer[1]} columns: {QUOTE}."
    if "CastError" in names or any(sign in said for sign in DIFFERENT):
        return (
            f"The rows of the dataset {dataset} do not all have the same columns and types: make its files alike, or "
            "name one of them."
        )
    if names & CORRUPT or dataset.lower().endswith(".json"):  # the reader of one JSON value says ValueError
        return f"A file of the dataset {dataset} is corrupt or not what its name says: {_short(said)}"
    return f"The dataset {dataset} cannot be read: {type(error).__name__}: {_short(str(error) or repr(error))}"


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no details are known"
    return line if len(line) <= 300 else f"{line[:297]}..."
