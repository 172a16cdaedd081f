"""Discussions and pull requests, as far as opening, listing, reading and merging them goes."""

from __future__ import annotations

from typing import Any

from tests.hub.describing import API, moment
from tests.hub.exchange import Exchange, Refusal, Route
from tests.hub.repositories import Discussion, Repository

ONE = rf"{API}/discussions/(?P<number>\d+)"


def open_discussion(
    exchange: Exchange, repository: Repository, *, title: str, description: str, pull_request: bool
) -> Discussion:
    """Open a discussion or a pull request, which starts with the files of main."""
    with repository.lock:
        number = len(repository.discussions) + 1
        date = repository.head.date
        discussion = Discussion(number, title, exchange.signed_in(), date, pull_request, description)
        repository.discussions.append(discussion)
        if pull_request:
            repository.references[f"refs/pr/{number}"] = repository.head.name
    return discussion


def start(exchange: Exchange, kind: str, name: str) -> None:
    """Open a discussion or an empty pull request."""
    exchange.signed_in()
    repository = exchange.repository(kind, name)
    form = exchange.form()
    request = bool(form.get("pullRequest"))
    text = {"title": form["title"], "description": form.get("description", "")}
    exchange.send_data({"num": open_discussion(exchange, repository, **text, pull_request=request).number})


def show_all(exchange: Exchange, kind: str, name: str) -> None:
    """Answer with all discussions, newest first."""
    repository = exchange.repository(kind, name)
    wanted = exchange.option("type")
    found = [
        brief(repository, discussion)
        for discussion in reversed(repository.discussions)
        if wanted in (None, "all") or discussion.pull_request == (wanted == "pull_request")
        if exchange.option("status") in (None, "all", "open" if discussion.status == "draft" else discussion.status)
    ]
    exchange.send_data({"discussions": found, "count": len(found), "start": 0})


def brief(repository: Repository, discussion: Discussion) -> dict[str, Any]:
    """Return a discussion as it is shown in a list."""
    return {
        "num": discussion.number,
        "title": discussion.title,
        "author": {"name": discussion.author},
        "createdAt": moment(discussion.date),
        "status": discussion.status,
        "repo": {"name": repository.name, "type": repository.kind.removesuffix("s")},
        "isPullRequest": discussion.pull_request,
    }


def find(exchange: Exchange, kind: str, name: str, number: str) -> tuple[Repository, Discussion]:
    """Return a discussion that is there."""
    repository = exchange.repository(kind, name)
    if not 1 <= int(number) <= len(repository.discussions):
        raise Refusal(404, None, f"Discussion {number} not found")
    return repository, repository.discussions[int(number) - 1]


def show_one(exchange: Exchange, kind: str, name: str, number: str) -> None:
    """Answer with a discussion and what happened in it."""
    repository, discussion = find(exchange, kind, name, number)
    common = {"createdAt": moment(discussion.date), "author": {"name": discussion.author}}
    said = {"edited": False, "hidden": False, "latest": {"raw": discussion.description}}
    known = brief(repository, discussion) | {"events": [{"id": "1", "type": "comment", "data": said, **common}]}
    if discussion.pull_request:
        changes = {"base": "refs/heads/main", "mergeCommitId": discussion.merge_commit}
        known |= {"changes": changes, "filesWithConflicts": [], "diff": ""}
    exchange.send_data(known)


def merge(exchange: Exchange, kind: str, name: str, number: str) -> None:
    """Put the files of a pull request on main."""
    repository, discussion = find(exchange, kind, name, number)
    if not exchange.may_write(repository):
        raise Refusal(403, None, "You don't have the right to merge this pull request")
    if not discussion.pull_request or discussion.status not in ("open", "draft"):
        raise Refusal(400, None, "This pull request cannot be merged")
    with repository.lock:
        head = repository.head
        theirs = repository.commits[repository.references[f"refs/pr/{number}"]]
        if head not in repository.history(theirs):
            raise Refusal(409, None, "This pull request has conflicts with main")
        new = repository.commit(
            "refs/heads/main", theirs.files, title=f"{discussion.title} (#{number})", author=exchange.signed_in()
        )
        repository.write_folder(theirs.files)
    discussion.status, discussion.merge_commit = "merged", new.name
    status = {"id": "2", "type": "status-change", "data": {"status": "merged"}, "createdAt": moment(new.date)}
    exchange.send_data({"newStatus": status | {"author": {"name": exchange.signed_in()}}})


ROUTES: list[Route] = [
    ("GET", rf"{API}/discussions", show_all),
    ("POST", rf"{API}/discussions", start),
    ("GET", ONE, show_one),
    ("POST", rf"{ONE}/merge", merge),
]
