"""The real huggingface_hub makes repositories, commits and pull requests."""

from __future__ import annotations

import pytest

from tests.hub.client_code import ERRORS


@pytest.fixture
def as_owner(hub, hub_environment):
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}
    hub.members = {"team": {"owner"}}
    return hub_environment | {"HF_TOKEN": "hf_owner"}


def test_repositories_are_made_and_removed(hub, run_client, as_owner):
    got = run_client(
        ERRORS
        + """
url = api.create_repo("made", private=True)
same = error(api.create_repo, "made")
api.create_repo("made", exist_ok=True)
team = api.create_repo("team/rows", repo_type="dataset").repo_id
foreign = error(api.create_repo, "guest/x")
seen = api.model_info("owner/made").private
api.update_repo_settings("owner/made", private=False, gated="auto")
info = api.model_info("owner/made")
api.create_branch("owner/made", branch="dev")
api.create_tag("owner/made", tag="v1")
refs = api.list_repo_refs("owner/made")
api.delete_branch("owner/made", branch="dev")
api.delete_repo("team/rows", repo_type="dataset")
answer = dict(
    who=[api.whoami()["name"], [org["name"] for org in api.whoami()["orgs"]]], id=[url.repo_id, team], same=same,
    foreign=foreign, seen=seen, after=[info.private, info.gated], stranger=error(api.create_repo, "no", token=False),
    refs=[sorted(b.name for b in refs.branches), [t.name for t in refs.tags]],
    branches=[b.name for b in api.list_repo_refs("owner/made").branches],
    gone=error(api.dataset_info, "team/rows"),
)
""",
        as_owner,
    )
    assert got["who"] == ["owner", ["team"]] and got["id"] == ["owner/made", "team/rows"]
    assert got["same"][:2] == ["HfHubHTTPError", 409] and got["foreign"][1] == 403 and got["stranger"][1] == 401
    assert got["seen"] is True and got["after"] == [False, "auto"]
    assert got["refs"] == [["dev", "main"], ["v1"]] and got["branches"] == ["main"]
    assert got["gone"][:2] == ["RepositoryNotFoundError", 404]


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


def test_pull_requests_are_proposed_read_and_merged(hub, run_client, as_owner):
    hub.add("owner/model", {"README.md": "---\nlicense: mit\n---\n"})
    got = run_client(
        ERRORS
        + """
options = dict(path_or_fileobj=b"---\\nlicense: apache-2.0\\n---\\n", path_in_repo="README.md", repo_id="owner/model")
proposed = api.upload_file(**options, create_pr=True, commit_message="New terms", token="hf_guest")
before = api.model_info("owner/model")
there = api.model_info("owner/model", revision="refs/pr/1").card_data.license
more = api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="owner/model", revision="refs/pr/1")
listed = [[d.num, d.title, d.author, d.status, d.is_pull_request] for d in api.get_repo_discussions("owner/model")]
foreign = error(api.merge_pull_request, "owner/model", 1, token="hf_guest")
api.merge_pull_request("owner/model", 1)
empty = api.create_pull_request("owner/model", title="Another one")
answer = dict(
    number=[proposed.pr_num, proposed.pr_revision, proposed.pr_url], before=before.card_data.license, there=there,
    listed=listed, foreign=foreign, after=api.model_info("owner/model").card_data.license,
    files=api.list_repo_files("owner/model"), status=api.get_discussion_details("owner/model", 1).status,
    empty=[empty.num, empty.git_reference],
    pulls=len(api.list_repo_refs("owner/model", include_pull_requests=True).pull_requests),
)
""",
        as_owner,
    )
    assert got["number"] == [1, "refs/pr/1", f"{hub.endpoint}/owner/model/discussions/1"]
    assert (got["before"], got["there"], got["after"]) == ("mit", "apache-2.0", "apache-2.0")
    assert got["listed"] == [[1, "New terms", "guest", "open", True]] and got["foreign"][1] == 403
    assert got["files"] == ["README.md", "x.txt"] and got["status"] == "merged"
    assert got["empty"] == [2, "refs/pr/2"] and got["pulls"] == 2
