"""Cards and pages from the files in `templates/`, in which the text of strangers stays text.

A template shows a value by `{{ value }}`. Whatever stands there is escaped: as HTML on a page, as Markdown in a card.
Only what a filter has made, such as `{{ value | code }}`, is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"

SHOWN = 120
"""Letters of a text that are shown."""

SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
"""Signs that mean something in Markdown, where they do."""

ADDRESS = re.compile(r"://|www\.|@|mailto:", re.IGNORECASE)
"""Pages make links of such texts by themselves, entities or not."""

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
HUB = "https://huggingface.co"


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
    return SPECIAL.sub(_entity, one_line(text, most))


def _entity(found: re.Match[str]) -> str:
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(found.group(), f"&#{ord(found.group())};")


def code(text: object, most: int = SHOWN) -> str:
    """Return a text as code, that no letter of it can leave; it may stand in a cell.

    Backticks and bars, which no name needs, are shown by signs that look like them.

    Example:
        >>> code("a`b|c")
        '`a´b¦c`'
    """
    return f"`{one_line(text, most).replace('`', '´').replace('|', '¦') or '(empty)'}`"


def repository(name: str, kind: str = "") -> str:
    """Return the id of a repository as a link, anything else as code.

    Args:
        name: what a record calls it.
        kind: "datasets/" for a dataset.
    """
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
    """Return what renders the templates of one language.

    Args:
        escape: makes text of that language that shows a value as it is.
        filters: by name; what they return is not escaped again.
        missing: what stands for None.
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
    joined = {"join": lambda values, between="": between.join(str(shown(one)) for one in values)}
    made.filters.update({name: trusted(function) for name, function in {**joined, **filters}.items()})
    return made


@cache
def _markdown() -> jinja2.Environment:
    return environment(
        plain, {"plain": plain, "code": code, "repository": repository, "fenced": fenced, "number": number}
    )


def markdown(template: str, **values: Any) -> str:
    """Return the Markdown that a template makes of values.

    Args:
        template: name of a file in `templates/`.
        **values: by the names that the template calls them.
    """
    return _markdown().get_template(template).render(**values)
