"""Requests that change repositories: creation, commits, large files, pull requests."""

import base64
import hashlib
import json
from typing import Any

from tests.hub.describing import API, REVISION, moment
from tests.hub.exchange import Exchange, Refusal, Route
from tests.hub.files import ADDRESS
from tests.hub.repositories import Commit, Discussion, Repository, StoredFile, keep_object

ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n"


def whoami(exchange: Exchange) -> None:
    name = exchange.signed_in()
    organizations = sorted(exchange.hub.namespaces(name) - {name})
    known = {"type": "user", "id": name, "name": name, "fullname": name, "email": f"{name}@example.org"}
    known |= {"emailVerified": True, "isPro": False}
    known["orgs"] = [{"type": "org", "id": other, "name": other, "fullname": other} for other in organizations]
    token = {"displayName": "test", "role": "write"}
    exchange.send_data(known | {"auth": {"type": "access_token", "accessToken": token}})


def create_repository(exchange: Exchange) -> None:
    """Create an empty repository in a namespace of the user."""
    user, form = exchange.signed_in(), exchange.form()
    owner = form.get("organization") or user
    kind, name = f"{form.get('type') or 'model'}s", f"{owner}/{form['name']}"
    if owner not in exchange.hub.namespaces(user):
        raise Refusal(403, None, f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
    answer = {"url": address_of(exchange, kind, name), "name": name, "id": name}
    if exchange.hub.find(kind, name) is not None:
        message = f"You already created this {kind.removesuffix('s')} repo: {name}"
        return exchange.send_data(answer | {"error": message}, status=409, headers={"X-Error-Message": message})
    private = form.get("private") is True or form.get("visibility") == "private"
    exchange.hub.add(name, {".gitattributes": ATTRIBUTES}, kind=kind, private=private)
    _ = exchange.hub.repository(name, kind).head
    return exchange.send_data(answer)


def validate_card(exchange: Exchange) -> None:
    """Say that the metadata of a README.md can be read, or is missing."""
    text = exchange.form()["content"]
    parts = text.split("---\n")
    if not text.startswith("---\n") or len(parts) < 3:
        return exchange.send_data(
            {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
        )
    return exchange.send_data({"errors": [], "warnings": []})


def writable(exchange: Exchange, kind: str | None, name: str, *, proposal: bool = False) -> Repository:
    """Return a repository that the user may change, or propose a change to."""
    exchange.signed_in()
    repository = exchange.repository(kind, name)
    if not (proposal or exchange.may_write(repository)):
        raise Refusal(403, None, f"You don't have the right to write to {name}; pass `create_pr=1` to propose a change")
    return repository


def preupload(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Answer which files go into the commit itself and which are uploaded before it."""
    proposal = exchange.flag("create_pr")
    repository = writable(exchange, kind, name, proposal=proposal)
    commit = exchange.revision(repository, revision)
    answers = []
    for file in exchange.form()["files"]:
        known = commit.files.get(file["path"])
        mode = "lfs" if repository.is_large(file["path"], file["size"]) else "regular"
        answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": known and known.etag})
    exchange.send_data({"files": answers, "commitOid": commit.name})


def batch(exchange: Exchange, kind: str | None, name: str) -> None:
    """Answer where to upload large files, except those that are already here."""
    repository = writable(exchange, kind, name, proposal=True)
    verify = {"href": f"{address_of(exchange, repository.kind, repository.name)}.git/info/lfs/objects/verify"}
    files = exchange.form()["objects"]
    for file in files:
        if not (repository.objects / file["oid"]).exists():
            upload = {"href": f"{exchange.hub.endpoint}/upload/{file['oid']}"}
            file["actions"] = {"upload": upload, "verify": verify}
    exchange.send_data({"transfer": "basic", "objects": files})


def upload(exchange: Exchange, sha256: str) -> None:
    if hashlib.sha256(exchange.body).hexdigest() != sha256:
        raise Refusal(400, None, "The content does not have the sha256 it was announced with")
    keep_object(exchange.hub.root / ".objects", sha256, exchange.body)
    exchange.send_data({}, headers={"ETag": f'"{sha256}"'})


def verify(exchange: Exchange, kind: str | None, name: str) -> None:
    repository = writable(exchange, kind, name, proposal=True)
    form = exchange.form()
    stored = repository.objects / form["oid"]
    if not stored.exists() or stored.stat().st_size != form["size"]:
        raise Refusal(404, None, f"Object {form['oid']} has not been uploaded in full")
    exchange.send_data({})


def make_commit(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Commit to a branch, or as a pull request."""
    proposal = exchange.flag("create_pr")
    repository = writable(exchange, kind, name, proposal=proposal)
    lines = [json.loads(line) for line in exchange.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    with repository.lock:
        base = exchange.revision(repository, revision)
        if header.get("parentCommit") not in (None, base.name):
            raise Refusal(412, None, "A commit has happened since. Please refresh and try again.")
        files = changed(repository, base, lines)
        text = {"title": header["summary"], "description": header.get("description", "")}
        answer: dict[str, Any] = {"success": True, "hookOutput": ""}
        reference = reference_of(repository, revision)
        if proposal:
            discussion = open_discussion(exchange, repository, **text)
            reference = f"refs/pr/{discussion.number}"
            answer["pullRequestUrl"] = f"{address_of(exchange, kind, name)}/discussions/{discussion.number}"
        new = repository.commit(reference, files, author=exchange.signed_in(), parent=base.name, **text)
        if reference == "refs/heads/main":
            repository.write_folder(files)
    url = f"{address_of(exchange, kind, name)}/commit/{new.name}"
    exchange.send_data(answer | {"commitOid": new.name, "commitUrl": url})


def changed(repository: Repository, base: Commit, lines: list[dict[str, Any]]) -> dict[str, StoredFile]:
    """Return the files of a commit after the operations of a request."""
    files = dict(base.files)
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            is_encoded, content = value.get("encoding") == "base64", value["content"]
            content = base64.b64decode(content) if is_encoded else content.encode()
            files[value["path"]] = repository.store(value["path"], content)
        elif line["key"] == "lfsFile":
            if not (repository.objects / value["oid"]).exists():
                said = f"Your push was rejected: LFS pointer of {value['path']} points to a file that does not exist"
                raise Refusal(400, None, said)
            files[value["path"]] = repository.stored(value["path"], value["oid"])
        elif line["key"] in ("deletedFile", "deletedFolder"):
            path, below = value["path"], f"{value['path'].rstrip('/')}/"
            is_folder = line["key"] == "deletedFolder"
            gone = [name for name in files if (name.startswith(below) if is_folder else name == path)]
            if not gone:
                raise Refusal(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
            for name in gone:
                del files[name]
    return files


def reference_of(repository: Repository, revision: str) -> str:
    """Return the branch or pull request that a commit goes to."""
    if revision in repository.references:
        return revision
    if f"refs/heads/{revision}" not in repository.references:
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision} is no branch")
    return f"refs/heads/{revision}"


def address_of(exchange: Exchange, kind: str, name: str) -> str:
    return f"{exchange.hub.endpoint}/{'' if kind == 'models' else f'{kind}/'}{name}"


def open_discussion(exchange: Exchange, repository: Repository, title: str, description: str) -> Discussion:
    """Open a pull request, which starts with the files of main."""
    with repository.lock:
        number = len(repository.discussions) + 1
        discussion = Discussion(number, title, exchange.signed_in(), repository.head.date, description)
        repository.discussions.append(discussion)
        repository.references[f"refs/pr/{number}"] = repository.head.name
    return discussion


def show_discussions(exchange: Exchange, kind: str, name: str) -> None:
    repository = exchange.repository(kind, name)
    found = [
        brief(repository, discussion)
        for discussion in reversed(repository.discussions)
        if exchange.option("status") in (None, "all", discussion.status)
    ]
    exchange.send_data({"discussions": found, "count": len(found), "start": 0})


def brief(repository: Repository, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.number,
        "title": discussion.title,
        "author": {"name": discussion.author},
        "createdAt": moment(discussion.date),
        "status": discussion.status,
        "repo": {"name": repository.name, "type": repository.kind.removesuffix("s")},
        "isPullRequest": True,
    }


def merge(exchange: Exchange, kind: str, name: str, number: str) -> None:
    """Merge a pull request that has no conflicts with main, as the owner does in tests."""
    repository = writable(exchange, kind, name)
    discussion = repository.discussions[int(number) - 1]
    with repository.lock:
        theirs = repository.commits[repository.references[f"refs/pr/{number}"]]
        new = repository.commit(
            "refs/heads/main", theirs.files, title=f"{discussion.title} (#{number})", author=exchange.signed_in()
        )
        repository.write_folder(theirs.files)
    discussion.status = "merged"
    status = {"id": "2", "type": "status-change", "data": {"status": "merged"}, "createdAt": moment(new.date)}
    exchange.send_data({"newStatus": status | {"author": {"name": exchange.signed_in()}}})


LARGE = rf"{ADDRESS}\.git/info/lfs/objects"
ROUTES: list[Route] = [
    ("GET", r"/api/whoami-v2", whoami),
    ("POST", r"/api/repos/create", create_repository),
    ("POST", r"/api/validate-yaml", validate_card),
    ("POST", rf"{API}/preupload/{REVISION}", preupload),
    ("POST", rf"{API}/commit/{REVISION}", make_commit),
    ("POST", rf"{LARGE}/batch", batch),
    ("POST", rf"{LARGE}/verify", verify),
    ("GET", rf"{API}/discussions", show_discussions),
    ("POST", rf"{API}/discussions/(?P<number>\d+)/merge", merge),
    ("PUT", r"/upload/(?P<sha256>[0-9a-f]{64})", upload),
]
