"""Requests that change repositories: making and removing them, commits, large files, branches and tags."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.hub.describing import API, REVISION
from tests.hub.discussions import open_discussion
from tests.hub.exchange import Exchange, Refusal, Route
from tests.hub.files import ADDRESS
from tests.hub.repositories import Commit, Repository, StoredFile, keep_object

ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n"


def whoami(exchange: Exchange) -> None:
    """Answer with who asks."""
    name = exchange.signed_in()
    organizations = sorted(exchange.hub.namespaces(name) - {name})
    exchange.send_data(
        {
            "type": "user",
            "id": name,
            "name": name,
            "fullname": name,
            "email": f"{name}@example.org",
            "emailVerified": True,
            "isPro": False,
            "orgs": [{"type": "org", "id": other, "name": other, "fullname": other} for other in organizations],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}},
        }
    )


def named(exchange: Exchange) -> tuple[str, str]:
    """Return the kind and name in a request about making or removing a repository; only its owner may."""
    user = exchange.signed_in()
    form = exchange.form()
    owner = form.get("organization") or user
    kind, name = f"{form.get('type') or 'model'}s", f"{owner}/{form['name']}"
    if owner not in exchange.hub.namespaces(user):
        raise Refusal(403, None, f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
    return kind, name


def create_repository(exchange: Exchange) -> None:
    """Make an empty repository."""
    kind, name = named(exchange)
    form = exchange.form()
    answer = {"url": address_of(exchange, kind, name), "name": name, "id": name}
    if exchange.hub.find(kind, name) is not None:
        message = f"You already created this {kind.removesuffix('s')} repo: {name}"
        return exchange.send_data(answer | {"error": message}, status=409, headers={"X-Error-Message": message})
    private = form.get("private") is True or form.get("visibility") == "private"
    exchange.hub.add(name, {".gitattributes": ATTRIBUTES}, kind=kind, private=private)
    _ = exchange.hub.repository(name, kind).head
    return exchange.send_data(answer)


def delete_repository(exchange: Exchange) -> None:
    """Remove a repository."""
    kind, name = named(exchange)
    exchange.hub.forget(exchange.repository(kind, name))
    exchange.send_data({})


def change_settings(exchange: Exchange, kind: str, name: str) -> None:
    """Make a repository private, public, gated or open."""
    repository = writable(exchange, kind, name)
    form = exchange.form()
    if "private" in form or "visibility" in form:
        repository.private = form.get("private") is True or form.get("visibility") == "private"
    repository.gated = form.get("gated", repository.gated)
    exchange.send_data({"private": repository.private, "gated": repository.gated})


def validate_card(exchange: Exchange) -> None:
    """Say whether the metadata of a README.md can be read."""
    import yaml

    text = exchange.form()["content"]
    parts = text.split("---\n")
    if not text.startswith("---\n") or len(parts) < 3:
        return exchange.send_data(
            {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
        )
    try:
        yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        message = f"YAML Metadata Error: {error}"
        return exchange.send_data({"errors": [{"message": message}], "warnings": []}, status=400)
    return exchange.send_data({"errors": [], "warnings": []})


def writable(exchange: Exchange, kind: str | None, name: str, *, proposal: bool = False) -> Repository:
    """Return a repository that who asks may change, or propose a change to."""
    exchange.signed_in()
    repository = exchange.repository(kind, name)
    if not (proposal or exchange.may_write(repository)):
        raise Refusal(403, None, f"You don't have the right to write to {name}; pass `create_pr=1` to propose a change")
    return repository


def preupload(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Say which files go into the commit itself and which are uploaded before it."""
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
    """Say where large files go; those that are here already go nowhere."""
    repository = writable(exchange, kind, name, proposal=True)
    exchange.send_data(
        {"transfer": "basic", "objects": [whereto(exchange, repository, file) for file in exchange.form()["objects"]]}
    )


def whereto(exchange: Exchange, repository: Repository, file: dict[str, Any]) -> dict[str, Any]:
    """Return where one large file goes."""
    if (repository.objects / file["oid"]).exists():
        return file
    upload = {"href": f"{exchange.hub.endpoint}/upload/{file['oid']}"}
    verify = {"href": f"{address_of(exchange, repository.kind, repository.name)}.git/info/lfs/objects/verify"}
    return file | {"actions": {"upload": upload, "verify": verify}}


def upload(exchange: Exchange, sha256: str) -> None:
    """Keep a large file."""
    if hashlib.sha256(exchange.body).hexdigest() != sha256:
        raise Refusal(400, None, "The content does not have the sha256 it was announced with")
    keep_object(exchange.hub.root / ".objects", sha256, exchange.body)
    exchange.send_data({}, headers={"ETag": f'"{sha256}"'})


def verify(exchange: Exchange, kind: str | None, name: str) -> None:
    """Say whether a large file has arrived."""
    repository = writable(exchange, kind, name, proposal=True)
    form = exchange.form()
    stored = repository.objects / form["oid"]
    if not stored.exists() or stored.stat().st_size != form["size"]:
        raise Refusal(404, None, f"Object {form['oid']} has not been uploaded in full")
    exchange.send_data({})


def make_commit(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Change files on a branch, or propose that as a pull request."""
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
            discussion = open_discussion(exchange, repository, **text, pull_request=True)
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
            content = (
                base64.b64decode(value["content"]) if value.get("encoding") == "base64" else value["content"].encode()
            )
            files[value["path"]] = repository.store(value["path"], content)
        elif line["key"] == "lfsFile":
            files[value["path"]] = uploaded(repository, value)
        elif line["key"] in ("deletedFile", "deletedFolder"):
            remove(files, value["path"], folder=line["key"] == "deletedFolder")
    return files


def uploaded(repository: Repository, value: dict[str, Any]) -> StoredFile:
    """Return a large file that was uploaded before."""
    if not (repository.objects / value["oid"]).exists():
        raise Refusal(
            400, None, f"Your push was rejected: LFS pointer of {value['path']} points to a file that does not exist"
        )
    return repository.stored(value["path"], value["oid"])


def remove(files: dict[str, StoredFile], path: str, *, folder: bool) -> None:
    """Remove a file, or all files of a folder."""
    gone = [name for name in files if (name.startswith(f"{path.rstrip('/')}/") if folder else name == path)]
    if not gone:
        raise Refusal(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
    for name in gone:
        del files[name]


def reference_of(repository: Repository, revision: str) -> str:
    """Return the branch or pull request that a commit goes to."""
    if revision in repository.references:
        return revision
    if f"refs/heads/{revision}" not in repository.references:
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision} is no branch")
    return f"refs/heads/{revision}"


def address_of(exchange: Exchange, kind: str, name: str) -> str:
    """Return where a repository's pages are."""
    return f"{exchange.hub.endpoint}/{'' if kind == 'models' else f'{kind}/'}{name}"


def make_branch(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Make a branch from a revision."""
    repository = writable(exchange, kind, name)
    start = exchange.revision(repository, exchange.form().get("startingPoint", "main"))
    point(repository, f"refs/heads/{revision}", start)
    exchange.send_data({})


def make_tag(exchange: Exchange, kind: str, name: str, revision: str) -> None:
    """Make a tag at a revision."""
    repository = writable(exchange, kind, name)
    point(repository, f"refs/tags/{exchange.form()['tag']}", exchange.revision(repository, revision))
    exchange.send_data({})


def point(repository: Repository, reference: str, commit: Commit) -> None:
    """Let a new reference point to a commit."""
    if reference in repository.references:
        raise Refusal(409, None, f"Reference already exists: {reference}")
    repository.references[reference] = commit.name


def remove_reference(exchange: Exchange, kind: str, name: str, what: str, revision: str) -> None:
    """Remove a branch or a tag."""
    repository = writable(exchange, kind, name)
    reference = f"refs/{'heads' if what == 'branch' else 'tags'}/{revision}"
    if reference not in repository.references or reference == "refs/heads/main":
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    del repository.references[reference]
    exchange.send_data({})


LARGE = rf"{ADDRESS}\.git/info/lfs/objects"
ROUTES: list[Route] = [
    ("GET", r"/api/whoami-v2", whoami),
    ("POST", r"/api/repos/create", create_repository),
    ("DELETE", r"/api/repos/delete", delete_repository),
    ("POST", r"/api/validate-yaml", validate_card),
    ("PUT", rf"{API}/settings", change_settings),
    ("POST", rf"{API}/preupload/{REVISION}", preupload),
    ("POST", rf"{API}/commit/{REVISION}", make_commit),
    ("POST", rf"{API}/branch/{REVISION}", make_branch),
    ("POST", rf"{API}/tag/{REVISION}", make_tag),
    ("DELETE", rf"{API}/(?P<what>branch|tag)/{REVISION}", remove_reference),
    ("POST", rf"{LARGE}/batch", batch),
    ("POST", rf"{LARGE}/verify", verify),
    ("PUT", r"/upload/(?P<sha256>[0-9a-f]{64})", upload),
]
