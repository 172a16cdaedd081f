"""Requests for files: lists, information about some of them, and contents."""

import hashlib
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from tests.hub.describing import ANY, API, REVISION, moment
from tests.hub.exchange import TRUE, Exchange, Refusal, Route
from tests.hub.repositories import Commit, Repository

ADDRESS = r"/(?:(?P<kind>datasets|spaces)/)?" + ANY


def show_tree(exchange: Exchange, kind: str, name: str, revision: str, folder: str | None = None) -> None:
    repository = exchange.repository(kind, name)
    commit = exchange.revision(repository, revision)
    below = f"{folder.strip('/')}/" if folder else ""
    entries = [entry for entry in entries_of(commit) if entry["path"].startswith(below)]
    if below and not entries:
        raise Refusal(404, "EntryNotFound", f"{folder} does not exist on {revision!r}", repo_commit(commit))
    if not exchange.flag("recursive"):
        entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(below)]
    if exchange.flag("expand"):
        entries = [entry | last_commit(repository, commit, entry["path"]) for entry in entries]
    exchange.send_page(entries, exchange.hub.page_size)


def show_paths(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Answer with information about some files and folders, without missing ones."""
    repository = exchange.repository(kind, name)
    commit = exchange.revision(repository, revision)
    form = exchange.form()
    paths = form.get("paths", [])
    paths = [path.strip("/") for path in ([paths] if isinstance(paths, str) else paths)]
    known = {entry["path"]: entry for entry in entries_of(commit)}
    expand = form.get("expand") in (True, ["True"], ["true"], ["1"], *TRUE)
    found = [path for path in paths if path in known]
    exchange.send_data([known[path] | (last_commit(repository, commit, path) if expand else {}) for path in found])


def entries_of(commit: Commit) -> list[dict[str, Any]]:
    """Return all files and folders of a commit, sorted by name."""
    folders = {str(parent) for path in commit.files for parent in PurePosixPath(path).parents} - {"."}
    entries: list[dict[str, Any]] = []
    for file in commit.files.values():
        large = {"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 134}} if file.large else {}
        entries.append({"type": "file", "oid": file.blob, "size": file.size, "path": file.path, **large})
    entries += [{"type": "directory", "oid": folder_name(commit, path), "size": 0, "path": path} for path in folders]
    return sorted(entries, key=lambda entry: entry["path"])


def folder_name(commit: Commit, folder: str) -> str:
    """Return a hash of all files in a folder."""
    files = [f"{path} {file.sha256}" for path, file in commit.files.items() if path.startswith(f"{folder}/")]
    return hashlib.sha1("\n".join(files).encode()).hexdigest()


def last_commit(repository: Repository, commit: Commit, path: str) -> dict[str, Any]:
    """Return the last commit that changed a file, or anything in a folder, in the form of a listing."""

    def content(one: Commit) -> dict[str, str]:
        return {name: file.sha256 for name, file in one.files.items() if name == path or name.startswith(f"{path}/")}

    history = repository.history(commit)
    changes = (newer for newer, older in pairwise(history) if content(newer) != content(older))
    last = next(changes, history[-1])
    return {"lastCommit": {"id": last.name, "title": last.title, "date": moment(last.date)}}


def repo_commit(commit: Commit) -> dict[str, str]:
    return {"X-Repo-Commit": commit.name}


def resolve(exchange: Exchange, kind: str | None, name: str, revision: str, path: str) -> None:
    repository = exchange.files_of(kind, name)
    commit = exchange.revision(repository, revision)
    if (file := commit.files.get(path)) is None:
        raise Refusal(404, "EntryNotFound", "Entry not found", repo_commit(commit))
    headers = {"ETag": f'"{file.etag}"', **repo_commit(commit)}
    if file.large:
        headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
    exchange.send_file(file.content, headers)


def show_commits(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    repository = exchange.repository(kind, name)
    found = []
    for commit in repository.history(exchange.revision(repository, revision)):
        texts = {"title": commit.title, "message": commit.description}
        known = {"id": commit.name, "authors": [{"user": commit.author}], "date": moment(commit.date)}
        found.append({**known, **texts, "formatted": texts})
    exchange.send_page(found, exchange.hub.page_size)


ROUTES: list[Route] = [
    ("GET", rf"{API}/tree/{REVISION}(?:/(?P<folder>.*))?", show_tree),
    ("POST", rf"{API}/paths-info/{REVISION}", show_paths),
    ("GET", rf"{API}/commits/{REVISION}", show_commits),
    ("GET|HEAD", rf"{ADDRESS}/(?:resolve|raw)/{REVISION}/(?P<path>.+)", resolve),
]
