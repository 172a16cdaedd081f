"""Text from anywhere, made safe to show: on a terminal, in a table that a spreadsheet opens, on cards and pages.

A name, a label, a configuration or an error message may hold what a stranger wrote: codes that move the cursor or name
the window, marks that turn the direction of writing, letters without width, bytes that are no UTF-8. Whatever is shown
goes through `shown` (one line), `shown_lines` (many), `json_text` or `csv_text`. Nothing is dropped: a letter that
cannot be printed is written as its escape.

Cards and pages are made from the files in `templates/`. A template shows a value by `{{ value }}`, which is escaped: as
HTML on a page, as Markdown in a card. Only what a filter has made, such as `{{ value | code }}`, is taken as it is.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

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

TEMPLATES = Path(__file__).parent / "templates"

SHOWN = 120
"""Letters of a text that are shown."""

SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
"""Signs that mean something in Markdown, where they do."""

ADDRESS = re.compile(r"://|www\.|@|mailto:", re.IGNORECASE)
"""Pages make links of such texts by themselves, entities or not."""

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
HUB = "https://huggingface.co"


def shown(text: object, most: int | None = None) -> str:
    r"""Return text that is safe to show on one line, of so many letters at most; what is no text as `str` shows it.

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

    def written(found: re.Match[str]) -> str:
        known = found[0].isprintable() and found[0].encode(encoding, "ignore")
        return found[0] if known else json.dumps(found[0])[1:-1]

    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return ASCII_TO_ESCAPE.sub(written, text)


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
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
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


def rough_duration(seconds: float) -> str:
    """Return a time that is an estimate, without digits that nobody knows.

    Example:
        >>> rough_duration(0.2), rough_duration(372), rough_duration(4830)
        ('1 s', '6 min', '1 h 20 min')
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def joined(names: Sequence[str], most: int | None = None) -> str:
    """Return names as a sentence lists them; with `most`, only the first are listed and the others are counted.

    Example:
        >>> joined(["a"]), joined(["a", "b", "c"]), joined(["a", "b", "c", "d"], 2)
        ('a', 'a, b and c', 'a, b and 2 more')
    """
    if most is not None and len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def one_line(text: object, most: int = SHOWN) -> str:
    r"""Return a text without breaks, invisible letters and what is too long.

    Example:
        >>> one_line("a\n\n b\u202ec", 80)
        'a b c'
    """
    words = "".join(letter if letter.isprintable() else " " for letter in str(text)).split()
    joined = " ".join(words)
    return joined if len(joined) <= most else f"{joined[: most - 1].rstrip()}…"


def plain(text: object, most: int = SHOWN) -> str:
    """Return a text that Markdown shows as it is: no formatting, no link, no HTML, no cell of its own.

    Example:
        >>> plain("<b>|[x](y)"), plain("snake_case, as it is (1.5)")
        ('&lt;b&gt;&#124;&#91;x&#93;(y)', 'snake_case, as it is (1.5)')
    """
    if ADDRESS.search(str(text)):
        return code(text, most)
    names = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    return SPECIAL.sub(lambda found: names.get(found[0], f"&#{ord(found[0])};"), one_line(text, most))


def code(text: object, most: int = SHOWN) -> str:
    """Return a text as code, that no letter of it can leave; it may stand in a cell.

    Backticks and bars, which no name needs, are shown by signs that look like them.

    Example:
        >>> code("a`b|c")
        '`a´b¦c`'
    """
    return f"`{one_line(text, most).replace('`', '´').replace('|', '¦') or '(empty)'}`"


def repository(name: str, kind: str = "") -> str:
    """Return the id of a repository as a link (of a dataset with the kind "datasets/"), anything else as code."""
    if len(name) <= SHOWN and HUB_ID.fullmatch(name):
        return f"[{code(name)}]({HUB}/{kind}{name})"
    return code(name)


def fenced(text: str, language: str) -> str:
    """Return a block of code, with a fence that is longer than any in the text."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *text.splitlines(), fence])


def number(value: float) -> str:
    """Return a number with five digits that tell, or in full where it is a large whole one.

    Example:
        >>> number(0.123456), number(25557032.0), number(-0.0004)
        ('0.12346', '25,557,032', '-0.0004')
    """
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:.5g}"


def environment(
    escape: Callable[[str], str], filters: Mapping[str, Callable[..., str]], missing: str = ""
) -> jinja2.Environment:
    """Return what renders the templates of one language, with how it is escaped and what stands for None.

    What filters return is not escaped again.
    """
    import jinja2
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        if value is None:
            return missing
        foreign = isinstance(value, str) and not isinstance(value, Markup)
        return Markup(escape(value)) if foreign else value  # noqa: S704

    def trusted(function: Callable[..., str]) -> Callable[..., Markup]:
        return lambda *values, **options: Markup(function(*values, **options))  # noqa: S704

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.policies["json.dumps_kwargs"] = {}  # `tojson` keeps the order of names
    joined = {"join": lambda values, between="": between.join(str(shown(one)) for one in values)}
    made.filters.update({name: trusted(function) for name, function in {**joined, **filters}.items()})
    return made


@cache
def _markdown() -> jinja2.Environment:
    return environment(
        plain, {"plain": plain, "code": code, "repository": repository, "fenced": fenced, "number": number}
    )


def markdown(template: str, **values: Any) -> str:
    """Return the Markdown that a template, a file in `templates/`, makes of values."""
    return _markdown().get_template(template).render(**values)
