"""The real huggingface_hub meets the local Hub: what it reads, what is refused or breaks, and what it writes."""

import hashlib

import pytest

ERRORS = """
import json, sys
from huggingface_hub import HfApi, errors, hf_hub_download, snapshot_download
api = HfApi()
def error(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as problem:
        return [type(problem).__name__, getattr(getattr(problem, "response", None), "status_code", None), str(problem)]
"""
"""The API object, and `error(call, ...)`: name, status and text of what a call raises, None where it raises nothing."""


def test_errors_are_those_of_the_hub(hub, run_client, hub_environment):
    for name, closed in {"gated": {"gated": True}, "private": {"private": True}, "off": {"disabled": True}}.items():
        hub.add(f"owner/{name}", {"config.json": "{}"}, **closed)
    hub.add("owner/open", {"config.json": "{}"})
    hub.users = {"hf_owner": "owner", "hf_guest": "guest", "hf_reader": "reader"}
    hub.repository("owner/gated").readers.add("reader")
    code = (
        ERRORS
        + """
answer = dict(
    missing=error(api.model_info, "owner/no"), file=error(hf_hub_download, "owner/open", "no.json"),
    revision=error(hf_hub_download, "owner/open", "config.json", revision="v9"),
    info_revision=error(api.model_info, "owner/open", revision="v9"), off=error(api.model_info, "owner/off"),
    off_file=error(hf_hub_download, "owner/off", "config.json"),
    expand=error(api.model_info, "owner/open", expand=["x"]),
    gated_info=error(api.model_info, "owner/gated"), gated=error(hf_hub_download, "owner/gated", "config.json"),
    gated_all=error(snapshot_download, "owner/gated"),
    private=error(api.model_info, "owner/private"), private_file=error(hf_hub_download, "owner/private", "config.json"),
    listed=sorted(m.id for m in api.list_models()), open=error(hf_hub_download, "owner/open", "config.json"),
)
"""
    )
    got = {
        who: run_client(
            code, hub_environment | {"HF_HOME": f"{hub.root}/{who}"} | ({"HF_TOKEN": f"hf_{who}"} if who else {})
        )
        for who in ("", "owner", "guest", "reader")
    }
    for who in ("", "owner", "guest", "reader"):
        missing = 404 if who else 401
        assert got[who]["missing"][:2] == ["RepositoryNotFoundError", missing]
        assert got[who]["file"][:2] == ["RemoteEntryNotFoundError", 404]
        assert got[who]["revision"][:2] == got[who]["info_revision"][:2] == ["RevisionNotFoundError", 404]
        assert got[who]["off"][:2] == ["DisabledRepoError", 403]
        assert got[who]["off_file"][0] == "LocalEntryNotFoundError"  # what the client makes of it
        assert got[who]["gated_info"] is None and got[who]["open"] is None
        assert got[who]["expand"][:2] == ["BadRequestError", 400]
        closed = None if who in ("owner", "reader") else ["GatedRepoError", 403 if who else 401]
        for what in ("gated", "gated_all"):
            assert (got[who][what] and got[who][what][:2]) == closed
        hidden = None if who == "owner" else ["RepositoryNotFoundError", missing]
        for what in ("private", "private_file"):
            assert (got[who][what] and got[who][what][:2]) == hidden
        assert got[who]["listed"] == sorted(["owner/gated", "owner/open"] + ["owner/private"] * (who == "owner"))


def test_a_cut_download_is_resumed(hub, run_client, hub_environment):
    content = bytes(range(256)) * (12 * 4096)
    hub.add("org/model", {"model.safetensors": content})
    fault = hub.fault("model.safetensors", "cut", after=11 * 2**20)
    code = """
import hashlib
from huggingface_hub import hf_hub_download
answer = hashlib.sha256(open(hf_hub_download("org/model", "model.safetensors"), "rb").read()).hexdigest()
"""
    assert run_client(code, hub_environment) == hashlib.sha256(content).hexdigest()
    assert fault.hits == 1
    first, second = hub.asked("model.safetensors", "GET")
    assert (first.range, second.range) == (None, f"bytes={10 * 2**20}-")  # clients keep whole chunks of 10 MiB
    assert (first.status, second.status) == (200, 206)
    assert (first.sent, second.sent) == (11 * 2**20, 2 * 2**20)
    assert hub.sent("model.safetensors") == 13 * 2**20


@pytest.fixture
def as_owner(hub, hub_environment):
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}
    hub.members = {"team": {"owner"}}
    return hub_environment | {"HF_TOKEN": "hf_owner"}


def test_commits_change_the_folder_and_conflicts_are_refused(hub, run_client, as_owner):
    hub.add("owner/model", {"config.json": "{}", "old/a.txt": "a", "old/b.txt": "b"})
    got = run_client(
        ERRORS
        + """
from pathlib import Path
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
first = api.model_info("owner/model").sha
weights = bytes(range(200)) * 50
up = api.upload_file(path_or_fileobj=weights, path_in_repo="model.safetensors", repo_id="owner/model")
Path("up/sub").mkdir(parents=True)
Path("up/sub/c.txt").write_text("c")
Path("up/README.md").write_text("---\\nlicense: mit\\n---\\n")
folder = api.upload_folder(folder_path="up", repo_id="owner/model", commit_message="All at once")
change = lambda parent: api.create_commit(
    "owner/model", [CommitOperationAdd("config.json", b'{"a": 1}'), CommitOperationDelete("old/")],
    commit_message="More", commit_description="words", parent_commit=parent,
)
stale, current = error(change, first), change(folder.oid)
again = api.upload_file(path_or_fileobj=weights, path_in_repo="copy.safetensors", repo_id="owner/model")
nothing = api.upload_file(path_or_fileobj=b'{"a": 1}', path_in_repo="config.json", repo_id="owner/model")
answer = dict(
    stale=stale, files=api.list_repo_files("owner/model"),
    titles=[c.title for c in api.list_repo_commits("owner/model")],
    before=api.list_repo_files("owner/model", revision=first), unchanged=nothing.oid == again.oid,
    absent=error(api.delete_file, "no.txt", "owner/model"), url=str(current.repo_url),
    card=api.model_info("owner/model").tags,
    foreign=error(api.upload_file, path_or_fileobj=b"", path_in_repo="x", repo_id="owner/model", token="hf_guest"),
    stranger=error(api.upload_file, path_or_fileobj=b"", path_in_repo="x", repo_id="owner/model", token=False),
    missing=error(api.upload_file, path_or_fileobj=b"", path_in_repo="x", repo_id="owner/none"),
)
""",
        as_owner,
    )
    assert got["stale"][:2] == ["HfHubHTTPError", 412] and "A commit has happened since" in got["stale"][2]
    assert got["files"] == ["README.md", "config.json", "copy.safetensors", "model.safetensors", "sub/c.txt"]
    assert len(got["titles"]) == 5 and got["titles"][1:3] == ["More", "All at once"]
    assert got["before"] == ["config.json", "old/a.txt", "old/b.txt"] and got["unchanged"]
    assert got["absent"][:2] == ["RemoteEntryNotFoundError", 404] and "license:mit" in got["card"]
    assert (got["foreign"][1], got["stranger"][1]) == (403, 401)
    assert got["missing"][:2] == ["RepositoryNotFoundError", 404]
    folder = hub.repository("owner/model").folder
    assert (folder / "config.json").read_text() == '{"a": 1}' and not (folder / "old" / "a.txt").exists()
    assert (folder / "model.safetensors").read_bytes() == bytes(range(200)) * 50
    assert len(hub.asked("^/upload/", "PUT")) == 1  # the copy is known by its sha256
