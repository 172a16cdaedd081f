"""The header of a .safetensors file, checked before any library is handed the file."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import UnreadableError
from hf_transfer_score.limits import HEADER_BYTES, HEADER_ENTRIES
from hf_transfer_score.untrusted import LARGEST, Limits, parse_json

HEADER = Limits(size=HEADER_BYTES, depth=4, values=20 * HEADER_ENTRIES, letters=HEADER_BYTES)

WIDTHS = {"BOOL": 1, "BF16": 2, "C64": 8}
"""Bytes of a number of those kinds whose names do not end in their bits."""

LONGEST_SHAPE = 64


class CutShortError(UnreadableError):
    """A file has not the length that its header says."""


@dataclass(frozen=True)
class Tensor:
    """What a header says of one tensor.

    Attributes:
        kind: of its numbers, such as "F32".
        shape: of the tensor.
        start: the first of its bytes, behind the header.
        end: the byte behind its last.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, Tensor]:
    """Return the tensors that a .safetensors file has, by name; only its header is read.

    Raises:
        CutShortError: the file has another length than its header says.
        UnreadableError: there is no header, it is larger than any real one, or it contradicts itself.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or (length > HEADER_BYTES and length > size - 8):
            raise UnreadableError("It is not a safetensors file.")
        if length > HEADER_BYTES:
            raise UnreadableError(
                f"Its header would have {length:,} bytes, more than the {HEADER_BYTES:,} of any real one."
            )
        if length > size - 8:
            raise _cut_short(size, 8 + length)
        content = parse_json(file.read(length), what="its header", limit=HEADER, lenient=True)
    if not isinstance(content, dict):
        raise UnreadableError("Its header is damaged.")
    named = {name: about for name, about in content.items() if name != "__metadata__"}
    if len(named) > HEADER_ENTRIES:
        raise UnreadableError(f"It has {len(named):,} arrays, more than the {HEADER_ENTRIES:,} that are read.")
    found, end = {name: _tensor(name, about) for name, about in named.items()}, 0
    for one in sorted(found.values(), key=lambda tensor: (tensor.start, tensor.end)):
        if one.start != end:
            raise UnreadableError("Its header is damaged: tensors share bytes, or leave some out.")
        end = one.end
    if size != 8 + length + end:
        raise _cut_short(size, 8 + length + end)
    return found


def _cut_short(size: int, expected: int) -> CutShortError:
    return CutShortError(f"It has {size:,} bytes where its header says {expected:,}.")


def _tensor(name: str, about: Any) -> Tensor:
    try:
        kind, shape, (start, end) = about["dtype"], about["shape"], about["data_offsets"]
        numbers = (*shape, start, end)
        sound = isinstance(kind, str) and len(shape) <= LONGEST_SHAPE
        sound = sound and all(type(one) is int and 0 <= one < LARGEST for one in numbers) and start <= end
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise UnreadableError(f"Its header is damaged: {name[:100]!r} has no kind, shape and place.")
    bits = _bits(kind)
    if bits and prod(shape) * bits != 8 * (end - start):
        raise UnreadableError(
            f"Its header is damaged: {name[:100]!r} of shape {_shown(shape)} in {kind} has {end - start:,} bytes."
        )
    return Tensor(kind, tuple(shape), start, end)


def _bits(kind: str) -> int:
    """Return the bits of a number of a kind, 0 for a kind that is not known.

    Example:
        >>> [_bits(kind) for kind in ("F32", "BF16", "BOOL", "F8_E4M3", "F4", "odd")]
        [32, 16, 8, 8, 4, 0]
    """
    if kind in WIDTHS:
        return 8 * WIDTHS[kind]
    digits = kind.partition("_")[0][1:]
    return int(digits) if kind[:1] in "FIU" and digits.isdigit() and len(digits) <= 2 else 0


def _shown(shape: Any) -> str:
    return f"({', '.join(f'{one:,}' if one < 10**15 else 'too many' for one in shape)})"
