"""Text from anywhere, made safe to show: on a terminal, and in a table that a spreadsheet opens.

A name, a label, a configuration or an error message may hold what a stranger wrote: codes that move the cursor or name
the window, marks that turn the direction of writing, letters without width, bytes that are no UTF-8. Whatever is shown
goes through `shown` (one line), `shown_lines` (many), `json_text` or `csv_text`. Nothing is dropped: a letter that
cannot be printed is written as its escape.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

Cell = str | float | None
"""What a table for other programs holds: None is an empty cell."""

BLANKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")
"""What ends a line, a column or a page; on one line, a blank."""

LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
ASCII_TO_ESCAPE = re.compile("[\x7f-\uffff\U00010000-\U0010ffff]")

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Text that starts with one of these is a formula to a spreadsheet; some read the wide letters like the narrow ones."""

LONGEST = 4000
"""Letters of one message that are shown; a library's error may quote a whole file."""


def shown(text: object, most: int | None = None) -> str:
    r"""Return text that is safe to show on one line.

    Args:
        text: anything; what is no text is shown as `str` does.
        most: letters at most, None for all.

    Example:
        >>> shown("bert\x1b[2J" + chr(0x202E) + "txt"), shown("two\nlines"), shown("café 猫 – ½")
        ('bert\\x1b[2J\\u202etxt', 'two lines', 'café 猫 – ½')
    """
    whole = str(text)
    if not whole.isprintable():
        whole = "".join(letter if letter.isprintable() else _escaped(letter) for letter in whole)
    if most is not None and len(whole) > most:
        return f"{whole[:most]}... ({len(whole) - most:,} more letters)"
    return whole


def shown_lines(text: object) -> str:
    r"""Return text that is safe to show, with its line ends, as a line feed each, and its tabs.

    Example:
        >>> shown_lines("one\r\ntwo\rthree\x07")
        'one\ntwo\nthree\\x07'
    """
    whole = LINE_ENDS.sub("\n", str(text))
    return "\n".join("\t".join(shown(part) for part in line.split("\t")) for line in whole.split("\n"))


@lru_cache(maxsize=4096)
def _escaped(letter: str) -> str:
    """Return what stands for a letter that cannot be printed: a blank for a blank, else its escape."""
    if letter in BLANKS or letter.isspace():
        return " "
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Any, encoding: str = "utf-8") -> str:
    r"""Return a value as JSON, with escapes for what cannot be printed or what the encoding lacks.

    Numbers that JSON does not have become null.

    Example:
        >>> print(json_text({"name": "a" + chr(0x9B) + "é", "score": float("nan")}, "ascii"), end="")
        {
          "name": "a\u009b\u00e9",
          "score": null
        }
    """
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return ASCII_TO_ESCAPE.sub(lambda found: _json_letter(found[0], encoding), text)


def _json_letter(letter: str, encoding: str) -> str:
    if letter.isprintable():
        try:
            letter.encode(encoding)
        except UnicodeEncodeError:
            pass
        else:
            return letter
    return json.dumps(letter)[1:-1]


def _finite(value: Any) -> Any:
    """Return a value with null for the numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header line and rows for other programs: full precision, nothing that runs or steers a terminal.

    Example:
        >>> print(csv_text(["model", "score"], [["=1+1", -0.5], ["plain", None]]), end="")
        model,score
        '=1+1,-0.5
        plain,
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in header])
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return file.getvalue()


def csv_cell(cell: object) -> Cell:
    """Return a cell as it is written: text that a spreadsheet would run gets an apostrophe before it.

    Example:
        >>> csv_cell("@SUM(A1)"), csv_cell("-1.5 apples"), csv_cell(-1.5)
        ("'@SUM(A1)", "'-1.5 apples", -1.5)
    """
    if cell is None or isinstance(cell, (int, float)):
        return cell
    runs = str(cell).lstrip(" ").startswith(RUN_BY_SPREADSHEETS)
    return f"'{shown(cell)}" if runs else shown(cell)


def short_count(value: float) -> str:
    """Return a count with three digits.

    Example:
        >>> short_count(25557032), short_count(999_600), short_count(812)
        ('25.6M', '1M', '812')
    """
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.3g}{unit}" if scaled < 999.5 else f"{scaled:.0f}{unit}"
    return f"{value:.3g}"


def short_bytes(value: int) -> str:
    """Return a number of bytes with three digits.

    Example:
        >>> short_bytes(90_868_376)
        '90.9 MB'
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} B"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Example:
        >>> duration(4.26), duration(75), duration(3720)
        ('4.3 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def joined(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    Example:
        >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
