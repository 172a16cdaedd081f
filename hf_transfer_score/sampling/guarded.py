"""Files of datasets read so that none is a bomb, and none is another than the Hub says.

`datasets` reads files by functions of its packaged modules, which open a file and hand parts of it to parsers in C.
Those of .csv and .json hold a line whole, and Arrow's JSON parser calls itself for each bracket. A builder is made to
open files and to parse through here, and no other builder of the process is touched.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.limits import LINE_BYTES, NESTING
from hf_transfer_score.sampling.hub_files import is_mostly_read, open_named

BRACKETS = np.zeros(256, np.int32)
BRACKETS[[ord("["), ord("{")]], BRACKETS[[ord("]"), ord("}")]] = 1, -1
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
TABLES_OF_TEXT = (".csv", ".json", ".jsonl")
OPENING = {"open", "pd", "paj"}
NEITHER = bytes(code for code in range(256) if code not in b"[]{}\n")


def guard(builder: Any) -> None:
    """Have a builder of `datasets` open files and parse text through here."""
    for kind in reversed(type(builder).__mro__):
        if kind.__module__.startswith("datasets.packaged_modules."):
            for name, function in vars(kind).items():
                if isinstance(function, FunctionType) and OPENING & {*function.__code__.co_names}:
                    setattr(builder, name, partial(_called, function, kind.__module__, builder))


def _called(function: FunctionType, named: str, builder: Any, *arguments: Any, **options: Any) -> Any:
    """Call a builder's function with other ways to open and to parse; all else is as its module has it now."""
    module = sys.modules[named]
    columns = () if function.__name__ == "_split_generators" else _columns(builder)
    names = {**vars(module), "open": _opener(module, columns)}
    names |= {"pd": _Instead(module.pd, read_csv=_csv_reader(module))} if hasattr(module, "pd") else {}
    names |= {"paj": _Instead(module.paj, read_json=_json_reader(module))} if hasattr(module, "paj") else {}
    read = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    read.__kwdefaults__ = function.__kwdefaults__
    return read(builder, *arguments, **options)


def _columns(builder: Any) -> Sequence[str] | None:
    """Return which columns of Parquet files are read, None for files of other kinds."""
    columns: Sequence[str] | None = getattr(builder.config, "columns", None)
    return columns if type(builder).__module__.endswith(".parquet") else None


class _Instead:
    """A module with some of its functions replaced."""

    def __init__(self, module: Any, **functions: Callable[..., Any]) -> None:
        self._module = module
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _opener(module: ModuleType, columns: Sequence[str] | None = None) -> Callable[..., Any]:
    """Return what opens a file as `datasets` has the module open it, as the Hub says it is, its lines guarded."""

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        encoding = {name: options.pop(name) for name in ("encoding", "errors") if name in options}
        usual = partial(vars(module).get("open", open), file, "rb", *arguments, **options)
        content = open_named(usual, lambda file: is_mostly_read(file, columns))
        if module.__name__.endswith(TABLES_OF_TEXT) or str(file).endswith(TABLES_OF_TEXT):
            content = io.BufferedReader(_Lines(content))
        return content if "b" in mode else io.TextIOWrapper(content, **encoding)

    return opened


def _csv_reader(module: ModuleType) -> Callable[..., Any]:
    def read_csv(file: Any, **options: Any) -> Any:
        return module.pd.read_csv(_opener(module)(file, "rb"), **{**options, "compression": None})

    return read_csv


def _json_reader(module: ModuleType) -> Callable[..., Any]:
    def read_json(file: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(file, io.BytesIO):
            check_nesting(file.getvalue())
        return module.paj.read_json(file, *arguments, **options)

    return read_json


def check_nesting(content: bytes) -> None:
    """Raise DatasetError where a line of JSON is nested deeper than its parser stands.

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
    """Return how many more brackets are opened than closed at most within a line, those within texts included."""
    marks = np.frombuffer(content.translate(None, NEITHER), np.uint8)
    if not len(marks):
        return 0
    depth = np.cumsum(BRACKETS[marks])
    ends = np.flatnonzero(marks == ord("\n"))
    before = np.concatenate([[0], depth[ends]])
    return int((depth - before[np.cumsum(marks == ord("\n"))]).max())


class _Lines(io.RawIOBase):
    """A file of lines; one without an end is refused when it is too long to be a row."""

    def __init__(self, file: Any) -> None:
        self._file, self._length, self._all = file, 0, False

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
        """Read what is left, which a parser wants to have whole."""
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
        "with a line for each row."
    )
