"""The real huggingface_hub meets the local Hub: what it reads, what is refused or breaks, and what it writes."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess

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

CARD = "---\nlicense: mit\nlibrary_name: timm\npipeline_tag: image-classification\ntags: [vision]\n---\n# A model\n"
TENSORS = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
}


def weights_of(header=TENSORS, size=32) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(range(size))


@pytest.fixture
def filled(hub):
    small = {"README.md": CARD, "config.json": '{"model_type": "vit"}', "a/b/c.txt": "c"}
    known = {"downloads": 30, "likes": 2, "tags": ["fast"], "created": "2024-05-06"}
    hub.add("org/small", small | {"model.safetensors": weights_of()}, **known)
    hub.add("org/large", {"config.json": "{}"}, downloads=10, likes=9, parameters=7_000_000_000, pipeline_tag="text")
    hub.add("else/middle", {"config.json": "{}"}, downloads=20, likes=5, gated=True, parameters=50_000_000)
    hub.add("org/rows", {"README.md": "---\ntask_categories: [x]\n---\n", "data/0.csv": "a\n1\n"}, kind="dataset")
    return hub


def test_information_about_a_repository(filled, run_client, hub_environment):
    got = run_client(
        """
from huggingface_hub import HfApi
api = HfApi()
full = api.model_info("org/small", files_metadata=True)
files = {s.rfilename: [s.size, s.blob_id, s.lfs.sha256 if s.lfs else None] for s in full.siblings}
expanded = api.model_info("org/small", expand=["downloads", "safetensors", "gated", "config", "cardData", "sha"])
tree = {f.path: [type(f).__name__, getattr(f, "size", None)] for f in api.list_repo_tree("org/small", recursive=True)}
answer = dict(
    files=files, sha=full.sha, tags=full.tags, author=full.author, created=str(full.created_at),
    library=full.library_name, pipeline=full.pipeline_tag, license=full.card_data.license,
    total=[full.safetensors.total, full.safetensors.parameters],
    expanded=sorted(key for key, value in vars(expanded).items() if value),
    tree=tree, top=sorted(f.path for f in api.list_repo_tree("org/small")),
    below=[f.path for f in api.list_repo_tree("org/small", "a/b")],
    info=[[f.path, type(f).__name__] for f in api.get_paths_info("org/small", ["a", "config.json", "no"])],
    exists=[api.file_exists("org/small", "config.json"), api.file_exists("org/small", "no"), api.repo_exists("no/no")],
    metadata=api.get_safetensors_metadata("org/small").parameter_count,
    dataset=api.dataset_info("org/rows").tags, files_of_dataset=api.list_repo_files("org/rows", repo_type="dataset"),
    commits=[c.title for c in api.list_repo_commits("org/small")],
)
""",
        hub_environment,
    )
    weights = weights_of()
    config = subprocess.run(
        ["git", "hash-object", "--stdin"], input=b'{"model_type": "vit"}', capture_output=True, check=True
    )
    assert got["files"]["model.safetensors"][0] == len(weights)
    assert got["files"]["model.safetensors"][2] == hashlib.sha256(weights).hexdigest()
    assert got["files"]["config.json"] == [21, config.stdout.decode().strip(), None]
    told = ["timm", "image-classification"]
    assert got["tags"] == ["fast", "vision", *told, "safetensors", "vit", "license:mit", "region:us"]
    assert [got["author"], got["library"], got["pipeline"], got["license"]] == ["org", *told, "mit"]
    assert got["created"].startswith("2024-05-06")
    assert got["total"] == [7, {"F32": 6, "I64": 1}] and got["metadata"] == {"F32": 6, "I64": 1}
    shown = {"id", "downloads", "safetensors", "gated", "config", "card_data", "cardData", "sha"}
    assert set(got["expanded"]) - {"_id"} == shown - {"gated"}  # gated is False
    assert got["tree"]["a/b"][0] == "RepoFolder" and got["tree"]["a/b/c.txt"] == ["RepoFile", 1]
    assert got["top"] == ["README.md", "a", "config.json", "model.safetensors"] and got["below"] == ["a/b/c.txt"]
    assert got["info"] == [["a", "RepoFolder"], ["config.json", "RepoFile"]]
    assert got["exists"] == [True, False, False]
    assert "task_categories:x" in got["dataset"] and got["files_of_dataset"] == ["README.md", "data/0.csv"]
    assert got["commits"] == ["initial commit"]


def test_lists_are_searched_filtered_ordered_and_paged(filled, run_client, hub_environment):
    filled.page_size = 2
    got = run_client(
        """
from huggingface_hub import HfApi
api = HfApi()
def names(**asked):
    return [m.id for m in api.list_models(**asked)]
one = next(iter(api.list_models(author="else", expand=["gated", "safetensors", "downloads"])))
answer = dict(
    downloads=names(sort="downloads"), likes=names(sort="likes"), limit=names(sort="likes", limit=1),
    created=names(sort="created_at", limit=1), search=names(search="MALL"), author=names(author="else"),
    filter=names(filter=["timm", "fast"]), pipeline=names(pipeline_tag="text"), gated=names(gated=True),
    open=names(gated=False, sort="downloads"),
    fields=[one.gated, one.safetensors.total, one.downloads, one.tags],
    full=next(iter(api.list_models(search="small", full=True))).siblings is not None,
    datasets=[d.id for d in api.list_datasets(task_categories="x")],
    none=[d.id for d in api.list_datasets(search="zz")],
    tree=len(list(api.list_repo_tree("org/small", recursive=True))),
)
""",
        hub_environment,
    )
    assert got["downloads"] == ["org/small", "else/middle", "org/large"]
    assert got["likes"] == ["org/large", "else/middle", "org/small"] and got["limit"] == ["org/large"]
    assert got["created"] == got["search"] == got["filter"] == ["org/small"]
    assert got["author"] == got["gated"] == ["else/middle"] and got["pipeline"] == ["org/large"]
    assert got["open"] == ["org/small", "org/large"]
    assert got["fields"] == ["auto", 50_000_000, 20, None] and got["full"]
    assert got["datasets"] == ["org/rows"] and got["none"] == []
    assert got["tree"] == 6
    assert len([one for one in filled.asked("/tree/") if "cursor=" in one.query]) == 2


def test_downloads_caches_and_older_commits(filled, run_client, hub_environment):
    code = """
import sys
from pathlib import Path
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
folder = Path(snapshot_download("org/small", allow_patterns=["*.json", "a/*"]))
answer = dict(
    files=sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()),
    sha=HfApi().model_info("org/small").sha if sys.argv[1:] else None,
    text=Path(hf_hub_download("org/small", "config.json")).read_text(),
    old=Path(hf_hub_download("org/small", "config.json", revision=sys.argv[1])).read_text() if sys.argv[1:] else None,
)
"""
    head = filled.repository("org/small").head.name
    first = run_client(code, hub_environment)
    assert first["files"] == ["a/b/c.txt", "config.json"] and not filled.asked("safetensors")
    (filled.repository("org/small").folder / "config.json").write_text('{"model_type": "new"}')
    second = run_client(code, hub_environment, head)
    assert (second["text"], second["old"]) == ('{"model_type": "new"}', '{"model_type": "vit"}')
    assert second["sha"] != head
    filled.requests.clear()
    offline = run_client(code, hub_environment | {"HF_HUB_OFFLINE": "1"})
    assert offline["text"] == second["text"] and filled.requests == []


def test_ranges(filled, run_client, hub_environment):
    filled.users = {"hf_reader": "reader"}
    got = run_client(
        """
from pathlib import Path
from huggingface_hub import HfFileSystem, hf_hub_download, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import get_session
url = hf_hub_url("org/small", "model.safetensors")
def part(text):
    answer = get_session().get(url, headers={"Range": text})
    return [answer.status_code, answer.headers.get("Content-Range"), answer.content.hex()]
with HfFileSystem().open("org/small/model.safetensors", "rb", block_size=10) as file:
    file.seek(-3, 2)
    end = file.read().hex()
known = get_hf_file_metadata(url)
answer = dict(
    middle=part("bytes=8-9"), rest=part("bytes=8-"), last=part("bytes=-2"), beyond=part("bytes=5000-")[:2], end=end,
    whole=Path(hf_hub_download("org/small", "model.safetensors")).read_bytes().hex(), known=[known.etag, known.size],
)
""",
        hub_environment | {"HF_TOKEN": "hf_reader"},
    )
    weights = weights_of()
    size = len(weights)
    assert got["middle"] == [206, f"bytes 8-9/{size}", weights[8:10].hex()]
    assert got["rest"] == [206, f"bytes 8-{size - 1}/{size}", weights[8:].hex()]
    assert got["last"] == [206, f"bytes {size - 2}-{size - 1}/{size}", weights[-2:].hex()]
    assert got["beyond"] == [416, f"bytes */{size}"]
    assert got["end"] == weights[-3:].hex() and got["whole"] == weights.hex()
    assert got["known"] == [hashlib.sha256(weights).hexdigest(), size]
    assert all(one.authorized for one in filled.asked("/resolve/") if one.user_agent.startswith("unknown"))


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


def test_an_unknown_token_is_refused(hub, run_client, hub_environment):
    hub.add("owner/open", {"config.json": "{}"})
    code = ERRORS + 'answer = [error(api.model_info, "owner/open"), error(api.whoami)]'
    info, who = run_client(code, hub_environment | {"HF_TOKEN": "hf_unknown"})
    assert info[:2] == ["HfHubHTTPError", 401] and "Invalid credentials" in info[2]
    assert who[:2] == ["HfHubHTTPError", 401]


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


def test_faults_that_last_and_those_of_one_method(hub, run_client, hub_environment):
    hub.add("org/model", {"config.json": "{}", "other.json": "{}"})
    hub.fault("/api/models/org/model$", 500, times=None, skip=1)
    hub.fault("other.json", "latency", seconds=0.4, method="GET")
    code = (
        ERRORS
        + """
import time
start = time.monotonic()
hf_hub_download("org/model", "other.json")
answer = [time.monotonic() - start, [error(api.model_info, "org/model") for _ in range(3)]]
"""
    )
    seconds, infos = run_client(code, hub_environment)
    assert infos[0] is None and [info[:2] for info in infos[1:]] == [["HfHubHTTPError", 500]] * 2
    assert 0.4 <= seconds < 5
    assert [one.sent > 0 for one in hub.asked("other.json")] == [False, True]


@pytest.fixture
def as_owner(hub, hub_environment):
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}
    hub.members = {"team": {"owner"}}
    return hub_environment | {"HF_TOKEN": "hf_owner"}


def test_repositories_are_made(hub, run_client, as_owner):
    got = run_client(
        ERRORS
        + """
url = api.create_repo("made", private=True)
same = error(api.create_repo, "made")
api.create_repo("made", exist_ok=True)
team = api.create_repo("team/rows", repo_type="dataset").repo_id
foreign = error(api.create_repo, "guest/x")
seen = api.model_info("owner/made").private
answer = dict(
    who=[api.whoami()["name"], [org["name"] for org in api.whoami()["orgs"]]], id=[url.repo_id, team], same=same,
    foreign=foreign, seen=seen, stranger=error(api.create_repo, "no", token=False),
)
""",
        as_owner,
    )
    assert got["who"] == ["owner", ["team"]] and got["id"] == ["owner/made", "team/rows"]
    assert got["same"][:2] == ["HfHubHTTPError", 409] and got["foreign"][1] == 403 and got["stranger"][1] == 401
    assert got["seen"] is True


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
answer = dict(
    number=[proposed.pr_num, proposed.pr_revision, proposed.pr_url], before=before.card_data.license, there=there,
    listed=listed, foreign=foreign, after=api.model_info("owner/model").card_data.license,
    files=api.list_repo_files("owner/model"), status=[d.status for d in api.get_repo_discussions("owner/model")],
)
""",
        as_owner,
    )
    assert got["number"] == [1, "refs/pr/1", f"{hub.endpoint}/owner/model/discussions/1"]
    assert (got["before"], got["there"], got["after"]) == ("mit", "apache-2.0", "apache-2.0")
    assert got["listed"] == [[1, "New terms", "guest", "open", True]] and got["foreign"][1] == 403
    assert got["files"] == ["README.md", "x.txt"] and got["status"] == ["merged"]
