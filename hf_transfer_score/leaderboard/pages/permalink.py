"""The view of a page in its address: what is read from it is checked, since addresses come from anybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

LONGEST_QUERY = 4000

SHOW_ADDRESS = """
(query) => {
  const url = new URL(window.location.href);
  const mine = new Set(%(names)s);
  for (const name of [...url.searchParams.keys()]) if (mine.has(name)) url.searchParams.delete(name);
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.append(name, value);
  if (url.href !== window.location.href) window.history.replaceState(window.history.state, "", url);
  if (window.parent !== window) {
    try { window.parent.postMessage({queryString: url.searchParams.toString()}, "https://huggingface.co"); } catch {}
  }
  return url.href;
}
"""
"""Puts the query into the address without a new entry in the history; on a Space, where the page is a frame, also into
that of the page around it. Parameters of others, such as the theme, stay."""

COPY_LINK = """
(query) => {
  const framed = window.parent !== window && document.referrer.startsWith("https://huggingface.co/spaces/");
  const base = framed ? document.referrer.split("?")[0].split("#")[0] : window.location.href.split("?")[0];
  const link = query ? base + "?" + query : base;
  const box = document.querySelector("#lb-link textarea, #lb-link input");
  const done = (text) => { const line = document.querySelector("#lb-copied"); if (line) line.textContent = text; };
  const select = () => { if (box) { box.focus(); box.select(); } done("Copy the selected link."); };
  if (navigator.clipboard) navigator.clipboard.writeText(link).then(() => done("Link copied."), select);
  else window.setTimeout(select, 100);
  return link;
}
"""
"""Shows the link to a view, and puts it into the clipboard where that is allowed."""


def query_of(values: Iterable[tuple[str, str]]) -> str:
    """Return the query of some values by name, without those that are empty.

    Example:
        >>> query_of([("board", "0123"), ("search", ""), ("sort", "score:face")])
        'board=0123&sort=score%3Aface'
    """
    return urlencode([(name, value) for name, value in values if value])


def one_line(value: Any, longest: int) -> str:
    """Return the text of an address as it may stand in a field; nothing for what is none.

    Example:
        >>> one_line(" resnet 50 ", 80), one_line(None, 80), one_line("x" * 99, 80)
        ('resnet 50', '', '')
    """
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= longest and text.isprintable() else ""


def some_of(text: Any, allowed: Iterable[str]) -> list[str]:
    """Return the names in a text with commas that are allowed, each once, in the order of what is allowed."""
    names = set(str(text or "").split(","))
    return [name for name in allowed if name in names]


def positive(text: Any) -> float | None:
    """Return a number above zero, None for anything else.

    Example:
        >>> positive("1.5"), positive("0"), positive("nan"), positive("1e999"), positive("x")
        (1.5, None, None, None, None)
    """
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text):
        return None
    return float(text) or None


def plain_query(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a request as short texts; the others are left out."""
    kept = {name: value for name, value in found.items() if isinstance(value, str) and len(value) <= LONGEST_QUERY}
    return dict(list(kept.items())[:40])
