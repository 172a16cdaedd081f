"""Makes untrusted text safe to show: on a terminal, in a table that a spreadsheet opens, on cards and pages.

A name, a label, a configuration or an error message may contain terminal escape codes, marks that change the direction
of writing, zero-width characters, or bytes that are not UTF-8. All output goes through `shown` (one line),
`shown_lines` (several), `json_text` or `csv_text`. Nothing is dropped: a character that cannot be printed is escaped.

Cards and pages are made from the files in `templates/`. Values in a template, `{{ value }}`, are escaped: as HTML on a
page, as Markdown in a card. Only the output of a filter, such as `{{ value | code }}`, is not escaped again.
"""

from __future__ import annotations

import csv
import inspect
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

Cell = str | float | None  # A cell of a table for other programs; None is an empty one

BLANKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")
"""Characters that end a line, a column or a page; shown as a space on one line."""

LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
ASCII_TO_ESCAPE = re.compile("[\x7f-\uffff\U00010000-\U0010ffff]")

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets take text that starts with one of these for a formula; some treat full-width characters the same."""

LONGEST = 4000  # characters of a message that are shown; a library's error may quote a whole file

TEMPLATES = Path(__file__).parent / "templates"

SHOWN = 120  # characters of a text that are shown

SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
"""Characters with a meaning in Markdown, in the places where they have it."""

ADDRESS = re.compile(r"://|www\.|@|mailto:", re.IGNORECASE)
"""Texts that pages turn into links by themselves, even when escaped."""

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
COMMIT = re.compile("[0-9a-f]{40}")
HUB = "https://huggingface.co"

UNNAMED = "memory"
"""What records call a dataset in memory without a name."""


def shown(text: object, most: int | None = None) -> str:
    r"""Return `str(text)`, safe to show on one line, cut after `most` characters.

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
    r"""Return text that is safe to show, keeping its tabs and its line ends, which become line feeds.

    Example:
        >>> shown_lines("one\r\ntwo\rthree\x07")
        'one\ntwo\nthree\\x07'
    """
    whole = LINE_ENDS.sub("\n", str(text))
    return "\n".join("\t".join(shown(part) for part in line.split("\t")) for line in whole.split("\n"))


@lru_cache(maxsize=4096)
def _escaped(letter: str) -> str:
    """Return a space for a blank character, the escape of any other that cannot be printed."""
    if letter in BLANKS or letter.isspace():
        return " "
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Any, encoding: str = "utf-8") -> str:
    r"""Return a value as JSON, escaping characters that cannot be printed or encoded.

    Non-finite numbers become null.

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
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a CSV table for other programs: full precision, no formulas, no terminal codes.

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
    """Return a cell of a CSV table: text that a spreadsheet would run gets a leading apostrophe.

    Example:
        >>> csv_cell("@SUM(A1)"), csv_cell("-1.5 apples"), csv_cell(-1.5)
        ("'@SUM(A1)", "'-1.5 apples", -1.5)
    """
    if cell is None or isinstance(cell, (int, float)):
        return cell
    runs = str(cell).lstrip(" ").startswith(RUN_BY_SPREADSHEETS)
    return f"'{shown(cell)}" if runs else shown(cell)


def short_count(value: float) -> str:
    """Return a count with three significant digits.

    Example:
        >>> short_count(25557032), short_count(999_600), short_count(812)
        ('25.6M', '1M', '812')
    """
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.3g}{unit}" if scaled < 999.5 else f"{scaled:.0f}{unit}"
    return f"{value:.3g}"


def count_of(text: str) -> int:
    """Return a count as people write it; ValueError if it is none, or no whole number.

    Example:
        >>> count_of("86.5M"), count_of("1.2 b"), count_of("1,200,000"), count_of("12_000")
        (86500000, 1200000000, 1200000, 12000)
    """
    text = text.strip()
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.0*)?", text):
        text = text.split(".")[0].replace(",", "")
    unit = {"K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}.get(text[-1:].upper())
    if unit is None and not set(text) & set(".eE"):
        return int(text)
    value = float(text) if unit is None else round(float(text[:-1]) * unit, 3)  # 1.1B is 1100000000.0000001
    if not value.is_integer():  # infinity is none either
        raise ValueError(f"{text} is no whole number")
    return int(value)


def short_bytes(value: int) -> str:
    """Return a number of bytes with three significant digits.

    Example:
        >>> short_bytes(90_868_376)
        '90.9 MB'
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} B"


def duration(seconds: float) -> str:
    """Return a duration in words.

    Example:
        >>> duration(4.26), duration(75), duration(3720)
        ('4.3 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def rough_duration(seconds: float) -> str:
    """Return an estimated duration in words, without false precision.

    Example:
        >>> rough_duration(0.2), rough_duration(372), rough_duration(4830)
        ('1 s', '6 min', '1 h 20 min')
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, word: str) -> str:
    """Return a count with its noun.

    Example:
        >>> counted(1, "model"), counted(2000, "model")
        ('1 model', '2,000 models')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


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
    r"""Return a text on one line, without invisible characters, cut after `most`.

    Example:
        >>> one_line("a\n\n b\u202ec", 80)
        'a b c'
    """
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def plain(text: object, most: int = SHOWN) -> str:
    """Return a text that Markdown shows literally: no formatting, no link, no HTML, no new table cell.

    Example:
        >>> plain("<b>|[x](y)"), plain("snake_case, as it is (1.5)")
        ('&lt;b&gt;&#124;&#91;x&#93;(y)', 'snake_case, as it is (1.5)')
    """
    if ADDRESS.search(str(text)):
        return code(text, most)
    names = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    return SPECIAL.sub(lambda found: names.get(found[0], f"&#{ord(found[0])};"), one_line(text, most))


def in_words(dataset: str) -> str:
    """Return what a title calls a dataset.

    Example:
        >>> in_words("owner/pets"), in_words(UNNAMED)
        ('owner/pets', 'a dataset in memory')
    """
    return "a dataset in memory" if dataset == UNNAMED else dataset


def dataset_name(dataset: str) -> str:
    """Return what a message calls a dataset, after the words "the dataset".

    Example:
        >>> dataset_name("owner/pets"), dataset_name(UNNAMED)
        ('owner/pets', 'in memory')
    """
    return "in memory" if dataset == UNNAMED else dataset


def code(text: object, most: int = SHOWN) -> str:
    """Return a text as inline code that it cannot break out of, also in a table cell.

    Backticks and bars are replaced by similar characters.

    Example:
        >>> code("a`b|c")
        '`a´b¦c`'
    """
    return f"`{one_line(text, most).replace('`', '´').replace('|', '¦') or '(empty)'}`"


def repository(name: str, kind: str = "") -> str:
    """Return the id of a repository as a link (kind "datasets/" for a dataset), anything else as code."""
    if len(name) <= SHOWN and HUB_ID.fullmatch(name):
        return f"[{code(name)}]({HUB}/{kind}{name})"
    return code(name)


def fenced(text: str, language: str) -> str:
    """Return a block of code, with a fence longer than any in the text."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *text.splitlines(), fence])


def number(value: float) -> str:
    """Return a number with five significant digits; integers in full.

    Example:
        >>> number(0.123456), number(25557032.0), number(-0.0004)
        ('0.12346', '25,557,032', '-0.0004')
    """
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:.5g}"


def attributes_of(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says about its attributes, each on one line.

    Example:
        >>> from hf_transfer_score import VerifyOptions
        >>> attributes_of(VerifyOptions)["top"]
        'how many of the best-ranked candidates are fine-tuned.'
    """
    section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def environment(
    escape: Callable[[str], str], filters: Mapping[str, Callable[..., str]], missing: str = ""
) -> jinja2.Environment:
    """Return the environment for the templates of one language; the output of filters is not escaped again."""
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
        auto_reload=False,  # it would look at the files again each time
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
    """Render a template in `templates/` as Markdown."""
    return _markdown().get_template(template).render(**values)
