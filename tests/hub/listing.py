"""Lists of repositories: search, filters, order, pages."""

from __future__ import annotations

import re
from typing import Any

from tests.hub.describing import card_of, everything, expanded, listed, parameters_of, pipeline_of, tags_of
from tests.hub.exchange import TRUE, Exchange, Refusal, Route
from tests.hub.repositories import Commit, Repository

BRIEF = (
    *("_id", "id", "modelId", "likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag"),
    *("library_name", "createdAt"),
)
FULL = ("author", "gated", "disabled", "lastModified", "sha", "siblings")
ORDERS = ("downloads", "likes", "trendingScore", "lastModified", "createdAt")
UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def show_list(exchange: Exchange, kind: str) -> None:
    """Answer with one page of the repositories that fit, in order."""
    names = shown_names(exchange, kind)
    found = [(repository, repository.head) for repository in exchange.hub.all(kind) if visible(exchange, repository)]
    fitting = [(repository, commit) for repository, commit in found if fits(exchange, repository, commit)]
    known = [everything(repository, commit) for repository, commit in fitting]
    order = exchange.option("sort") or "trendingScore"
    if order not in ORDERS:
        raise Refusal(400, None, f'Invalid option in "sort": {order!r}; expected one of {list(ORDERS)}')
    known.sort(key=lambda entry: entry.get(order, 0), reverse=exchange.option("direction") != "1")
    entries = [{key: entry[key] for key in names if key in entry} for entry in known]
    exchange.send_page(entries, min(exchange.hub.page_size, int(exchange.option("limit") or exchange.hub.page_size)))


def shown_names(exchange: Exchange, kind: str) -> list[str]:
    """Return the properties to show of each repository."""
    if names := expanded(exchange, kind):
        return ["_id", "id", *names]
    more = FULL if exchange.flag("full") else FULL[:-1] if kind == "datasets" else ()
    config = ["config"] if exchange.flag("config") else []
    card = ["cardData"] if exchange.flag("cardData") or (exchange.flag("full") and kind == "datasets") else []
    return [*BRIEF, *more, *config, *card]


def visible(exchange: Exchange, repository: Repository) -> bool:
    """Whether who asks gets to see a repository in lists."""
    return not repository.disabled and (not repository.private or exchange.may_read(repository))


def fits(exchange: Exchange, repository: Repository, commit: Commit) -> bool:
    """Whether a repository fits what was asked for."""
    card = card_of(commit)
    tags = {tag.lower() for tag in tags_of(repository, commit, card)}
    words = " ".join(exchange.query.get("search", [])).lower().split()
    author = exchange.option("author")
    wanted = exchange.options("filter") + exchange.options("tags") + exchange.options("library")
    pipeline = exchange.option("pipeline_tag")
    gated = exchange.option("gated")
    return (
        all(word in repository.name.lower() for word in words)
        and (author is None or repository.owner == author)
        and all(tag.lower() in tags for tag in wanted)
        and (pipeline is None or pipeline == pipeline_of(repository, card))
        and (gated is None or bool(repository.gated) == (gated in TRUE))
        and within(exchange.option("num_parameters"), parameters_of(repository, commit))
    )


def within(bounds: str | None, counted: dict[str, Any] | None) -> bool:
    """Whether a number of parameters lies within bounds such as "min:6B,max:128B"."""
    if bounds is None:
        return True
    if counted is None:
        return False
    for bound in bounds.split(","):
        if (match := re.fullmatch(r"(min|max):([\d.]+)([KMBT]?)", bound)) is None:
            raise Refusal(400, None, f'Invalid "num_parameters": {bounds!r}')
        limit = float(match[2]) * UNITS[match[3]]
        if counted["total"] < limit if match[1] == "min" else counted["total"] > limit:
            return False
    return True


def show_tags(exchange: Exchange, kind: str) -> None:
    """Answer with the tags in use, all as one type."""
    tags = {tag for repository in exchange.hub.all(f"{kind}s") for tag in listed(list(repository.tags))}
    exchange.send_data({"other": [{"id": tag, "label": tag, "type": "other"} for tag in sorted(tags)]})


ROUTES: list[Route] = [
    ("GET", r"/api/(?P<kind>models|datasets|spaces)", show_list),
    ("GET", r"/api/(?P<kind>model|dataset)s-tags-by-type", show_tags),
]
