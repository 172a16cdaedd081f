"""Parses untrusted JSON and YAML within limits of size, depth and number of values.

Every problem with a text raises one `UnreadableError` with a short reason. Code that reads many items uses `readable`,
which skips each unreadable item with its reason, whatever was raised, and keeps the others.

The limits for untrusted input are listed here too, with reasons; anything beyond them is refused before the work
begins. An uncompressed file takes as much memory as its size on disk, so a large one is no surprise. A compressed file
that grows far more than real data do is treated as a bomb.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from hf_transfer_score.errors import TransferScoreError, UnreadableError

EXPANDED_BYTES = 2**30
"""Uncompressed size of a small file: features of this size, and the memory of the metrics, stay within 2 GB."""

USUAL_GROWTH = 4  # how many times larger files may grow: features, pixels and texts of real data compress by less

HEADER_BYTES, HEADER_ENTRIES = 32_000_000, 100_000
"""Of a .safetensors file: the largest checkpoints have some ten thousand tensors in some megabytes of header."""

NESTING = 200
"""Depth of lists and objects in a line of JSON: real rows have fewer than ten levels, and Arrow's recursive reader
crashes the whole process at some ten thousand."""

LINE_BYTES = 128 * 2**20
"""Of a line of .csv or .json, which is parsed whole and then takes several times as much memory."""

RESULT_BYTES, TABLE_BYTES = 1_000_000, 300_000_000
"""Of a results file, and of a table of a million records: results are read whole before they are shown."""

PIXELS = 64_000_000
"""Of an image: as floats, the form that many preprocessors use, it takes 768 MB. Nearly all cameras have fewer."""

SIDE = 65_535  # pixels along a side of an image, as in the largest JPEG; resizing a longer one takes minutes

SLENDER = 200
"""Largest ratio of the sides of an image: preprocessors resize the shorter side, and a line of single pixels would grow
to thousands of megapixels. Lines of text reach a ratio of about fifty."""

PIXELS_AT_ONCE = 48_000_000
"""Of the images that threads decode at the same time, to stay below 2 GB together; a larger one is decoded alone."""

PIXELS_TOGETHER = 16_000_000  # of the decoded images that one thread holds; a usual batch fits whole
LARGEST = 2**63  # integers range from -LARGEST to LARGEST - 1, as in the columns of tables
LONGEST_NUMBER = 64  # characters of an integer, or of any number in YAML; int() takes quadratic time

LONGEST_REASON = 300
ABSENT = object()
Thing = TypeVar("Thing")
Value = TypeVar("Value")


def too_large(expanded: int, size: int) -> str:
    """Return why a file of `size` bytes may not expand to `expanded` bytes, "" if it may.

    Example:
        >>> too_large(3_000_000_000, 2_000_000_000)
        ''
        >>> too_large(3_000_000_000, 20_000)
        'its 20,000 bytes would become 3,000,000,000, more than the 1,073,741,824 that are read of such a file'
    """
    most = max(EXPANDED_BYTES, USUAL_GROWTH * size)
    if expanded <= most:
        return ""
    return f"its {size:,} bytes would become {expanded:,}, more than the {most:,} that are read of such a file"


@dataclass(frozen=True)
class Limits:
    """How much one text may hold."""

    size: int = 2_000_000  # bytes of the text
    depth: int = 40  # nesting of lists and objects
    values: int = 200_000  # values in total, including lists and objects; a YAML alias counts each time it is used
    letters: int = 200_000  # characters of one string


USUAL = Limits()
LARGE = Limits(size=50_000_000, values=2_000_000)  # for lists of the tensors or files of a large checkpoint


def parse_json(
    data: str | bytes, *, what: str = "the text", limit: Limits = USUAL, lenient: bool = False, by_field: bool = False
) -> Any:
    """Parse a JSON text.

    Args:
        data: the text; bytes are decoded as UTF-8.
        what: its name in messages.
        limit: how much it may hold.
        lenient: also accept what libraries write into configurations: NaN, Infinity, integers beyond 64 bits, and
            duplicate names, the last of which counts.
        by_field: leave numbers and text that cannot be stored to the caller, who can name their field.

    Example:
        >>> parse_json('{"terms": {"knn": 0.5}}')
        {'terms': {'knn': 0.5}}
        >>> parse_json('{"terms": 1e999}', what="a record")
        Traceback (most recent call last):
        ...
        hf_transfer_score.errors.UnreadableError: A record is not JSON: 1e999 is beyond any number that can be stored.
    """
    text = _decoded(data, what, limit)
    hooks: dict[str, Any] = {"parse_int": _wide if lenient or by_field else _whole}
    if not lenient:
        hooks["object_pairs_hook"] = _once
    if not lenient and not by_field:
        hooks |= {"parse_float": _float, "parse_constant": _constant}
    try:
        found = json.loads(text, **hooks)
    except RecursionError:
        raise _too_deep(what) from None
    except UnreadableError as error:
        raise _unreadable(what, f"is not JSON: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever it is, the text is not JSON
        raise _unreadable(what, f"is not JSON: {reason_of(error)}") from None
    opened = text.count("[") + text.count("{")  # skip the checks that a short text cannot fail
    many = opened > limit.depth or opened + text.count(",") >= limit.values
    if many or len(text) > limit.letters or "\\u" in text:
        _look_at(found, what, limit, by_field=by_field)
    return found


def parse_yaml(data: str | bytes, *, what: str = "the text", limit: Limits = USUAL) -> Any:
    r"""Parse a YAML text with one document into values that JSON can hold; dates stay text.

    Tags and merge keys are refused, and an alias counts as the values it repeats. Invalid YAML raises UnreadableError.

    Example:
        >>> parse_yaml("license: mit\ntags: [a, 1]")
        {'license': 'mit', 'tags': ['a', 1]}
    """
    import yaml  # type: ignore[import-untyped]

    text = _decoded(data, what, limit)
    building = _Building(what, limit, yaml.SafeLoader(""))
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            building.take(event)
    except UnreadableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the text is not YAML
        raise _unreadable(what, f"is not YAML: {reason_of(error)}") from None
    return building.document if building.documents else None


def readable(
    things: Iterable[Thing], read: Callable[[Thing], Value], leave_out: Callable[[Thing, str], object]
) -> Iterator[Value]:
    """Yield the content of each item; call `leave_out` with each item that raises anything, and the reason.

    Exceptions raised by the iterable itself are not caught.
    """
    for thing in things:
        try:
            found = read(thing)
        except Exception as error:  # noqa: BLE001 - untrusted input must not stop the others
            leave_out(thing, reason_of(error))
            continue
        yield found


@contextmanager
def only_errors(kind: type[TransferScoreError], what: str) -> Iterator[None]:
    """Turn any other exception into one of this kind, since untrusted input may raise anything."""
    try:
        yield
    except kind:
        raise
    except Exception as error:
        raise kind(f"{what}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """Return the message of an exception as one short line without control codes."""
    try:
        words = " ".join("".join(one if one.isprintable() else " " for one in str(error)[: 4 * LONGEST_REASON]).split())
    except Exception:  # noqa: BLE001 - str(error) may fail too
        words = ""
    if not isinstance(error, TransferScoreError):
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return words if len(words) <= LONGEST_REASON else f"{words[: LONGEST_REASON - 3]}..."


def _decoded(data: str | bytes, what: str, limit: Limits) -> str:
    """Return the text, after checking its size and encoding."""
    if len(data) > limit.size:
        raise _unreadable(what, f"is too large: {len(data):,} bytes, and at most {limit.size:,} are read")
    try:
        text = bytes(data).decode("utf-8-sig") if not isinstance(data, str) else data
        if isinstance(data, str) and not text.isascii() and len(text.encode()) > limit.size:
            raise _unreadable(what, f"is too large: at most {limit.size:,} bytes are read")
    except UnicodeError:
        raise _unreadable(what, "is not UTF-8") from None
    return text


def _unreadable(what: str, problem: str) -> UnreadableError:
    return UnreadableError(f"{what[:1].upper()}{what[1:]} {problem.rstrip('.')}.")


def _too_deep(what: str) -> UnreadableError:
    return _unreadable(what, "is nested too deeply")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def _whole(text: str) -> int:
    found = _wide(text)
    if not -LARGEST <= found < LARGEST:
        raise UnreadableError(f"the whole number {_short(text)} takes more than 64 bits")
    return found


def _wide(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise UnreadableError(f"a whole number has {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise UnreadableError(f"{_short(text)} is beyond any number that can be stored")
    return found


def _constant(text: str) -> NoReturn:
    raise UnreadableError(f"{text} is not a finite number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with duplicate names."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for name, _ in pairs:
            if name not in found:
                raise UnreadableError(f"it names {_short(name)!a} twice")
            del found[name]
    return found


def _look_at(found: Any, what: str, limit: Limits, *, by_field: bool) -> None:
    """Refuse values beyond a limit, without recursion."""
    waiting, count = [(found, 1)], 1
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value, what, limit, encodable=not by_field)
        elif isinstance(value, (list, dict)):
            count += len(value)
            if depth > limit.depth:
                raise _too_deep(what)
            if count > limit.values:
                raise _unreadable(what, f"holds more than {limit.values:,} values")
            if isinstance(value, dict):
                for name in value:
                    _check_text(name, what, limit, encodable=not by_field)
            waiting += [(one, depth + 1) for one in (value.values() if isinstance(value, dict) else value)]


def _check_text(text: str, what: str, limit: Limits, *, encodable: bool = True) -> None:
    if len(text) > limit.letters:
        raise _unreadable(what, f"holds a text of {len(text):,} letters, and at most {limit.letters:,} are read")
    if encodable and not text.isascii():
        try:
            text.encode()
        except UnicodeError:
            raise _unreadable(what, "holds text that UTF-8 cannot hold") from None


@dataclass
class _Open:
    """A list or mapping of a YAML text that has not ended yet."""

    value: Any
    anchor: str | None
    before: int
    height: int = 1
    key: Any = ABSENT


class _Building:
    """Builds values from the events of a YAML text, without recursion."""

    def __init__(self, what: str, limit: Limits, loader: Any) -> None:
        self.what, self.limit, self.loader = what, limit, loader
        self.document: Any = None
        self.documents = self.count = 0
        self.open: list[_Open] = []
        self.anchors: dict[str | None, tuple[Any, int, int]] = {}

    def take(self, event: Any) -> None:
        """Process the next event."""
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self.documents += 1
            if self.documents > 1:
                raise _unreadable(self.what, "holds more than one document")
        elif kind == "AliasEvent":
            if event.anchor not in self.anchors:
                raise _unreadable(self.what, f"repeats {_short(event.anchor)!a}, which is not defined before")
            self._add(*self.anchors[event.anchor])
        elif kind == "ScalarEvent":
            value = self._scalar(event)
            self.anchors[event.anchor] = (value, 1, 0)
            self._add(value, 1, 0)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._refuse_tag(event)
            self.open.append(_Open([] if kind == "SequenceStartEvent" else {}, event.anchor, self.count))
            if len(self.open) > self.limit.depth:
                raise _too_deep(self.what)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            ended = self.open.pop()
            self.anchors[ended.anchor] = (ended.value, self.count - ended.before + 1, ended.height)
            self._add(ended.value, 1, ended.height)

    def _add(self, value: Any, count: int, height: int) -> None:
        """Add a value to the innermost open list or mapping, as a name or as the value of one."""
        self.count += count
        if self.count > self.limit.values:
            raise _unreadable(self.what, f"holds more than {self.limit.values:,} values")
        if len(self.open) + height > self.limit.depth:
            raise _too_deep(self.what)
        if not self.open:
            self.document = value
            return
        inside = self.open[-1]
        inside.height = max(inside.height, height + 1)
        if isinstance(inside.value, list):
            inside.value.append(value)
        elif inside.key is not ABSENT:
            inside.value[inside.key], inside.key = value, ABSENT
        elif isinstance(value, (list, dict)):
            raise _unreadable(self.what, "has a list or mapping as a name")
        elif value in inside.value:
            raise _unreadable(self.what, f"names {_short(str(value))!a} twice")
        else:
            inside.key = value

    def _refuse_tag(self, event: Any) -> None:
        if event.tag:
            raise _unreadable(self.what, f"has the tag {_short(event.tag)!a}; tags are not read")

    def _scalar(self, event: Any) -> Any:
        import yaml

        self._refuse_tag(event)
        _check_text(event.value, self.what, self.limit)
        kind = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit).rpartition(":")[2]
        if kind == "merge":
            raise _unreadable(self.what, "has a merge key (<<); these are not read")
        if kind == "null":
            return None
        if kind == "bool":
            return bool(self.loader.bool_values[event.value.lower()])
        return self._number(event.value, kind) if kind in ("int", "float") else event.value

    def _number(self, text: str, kind: str) -> int | float:
        import yaml

        if len(text) > LONGEST_NUMBER:
            raise _unreadable(self.what, f"holds a number of {len(text)} letters")
        node = yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", text)
        found = self.loader.construct_yaml_int(node) if kind == "int" else self.loader.construct_yaml_float(node)
        if not math.isfinite(found) or (kind == "int" and not -LARGEST <= found < LARGEST):
            raise _unreadable(self.what, f"holds {_short(text)}, a number that cannot be stored")
        return found  # type: ignore[no-any-return]
