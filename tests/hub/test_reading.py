"""The real huggingface_hub reads repositories, files and lists."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess

import pytest

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
    hub.add(
        "org/small",
        {
            "README.md": CARD,
            "config.json": '{"model_type": "vit"}',
            "model.safetensors": weights_of(),
            "a/b/c.txt": "c",
        },
        downloads=30,
        likes=2,
        tags=["fast"],
        created="2024-05-06",
    )
    hub.add("org/large", {"config.json": "{}"}, downloads=10, likes=9, parameters=7_000_000_000, pipeline_tag="text")
    hub.add("else/middle", {"config.json": "{}"}, downloads=20, likes=5, gated=True, parameters=50_000_000)
    hub.add("org/rows", {"README.md": "---\ntask_categories: [x]\n---\n", "data/0.csv": "a\n1\n"}, kind="dataset")
    return hub


def test_what_is_known_of_a_repository(filled, run_client, hub_environment):
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
    branches=[b.target_commit for b in api.list_repo_refs("org/small").branches],
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
    assert got["tags"] == [
        "fast",
        "vision",
        "timm",
        "image-classification",
        "safetensors",
        "vit",
        "license:mit",
        "region:us",
    ]
    assert (got["author"], got["library"], got["pipeline"], got["license"]) == (
        "org",
        "timm",
        "image-classification",
        "mit",
    )
    assert got["created"].startswith("2024-05-06")
    assert got["total"] == [7, {"F32": 6, "I64": 1}] and got["metadata"] == {"F32": 6, "I64": 1}
    shown = {"id", "downloads", "safetensors", "gated", "config", "card_data", "cardData", "sha"}
    assert set(got["expanded"]) - {"_id"} == shown - {"gated"}  # gated is False
    assert got["tree"]["a/b"][0] == "RepoFolder" and got["tree"]["a/b/c.txt"] == ["RepoFile", 1]
    assert got["top"] == ["README.md", "a", "config.json", "model.safetensors"] and got["below"] == ["a/b/c.txt"]
    assert got["info"] == [["a", "RepoFolder"], ["config.json", "RepoFile"]]
    assert got["exists"] == [True, False, False]
    assert "task_categories:x" in got["dataset"] and got["files_of_dataset"] == ["README.md", "data/0.csv"]
    assert got["branches"] == [got["sha"]] and got["commits"] == ["initial commit"]


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
    open=names(gated=False, sort="downloads"), numbers=names(num_parameters="min:1M,max:6B"),
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
    assert got["author"] == got["gated"] == got["numbers"] == ["else/middle"] and got["pipeline"] == ["org/large"]
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


@pytest.mark.parametrize("redirects", [False, True])
def test_ranges_and_redirects(filled, run_client, hub_environment, redirects):
    filled.redirects = redirects
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
    stored = filled.asked("^/storage/")
    assert bool(stored) == redirects and not any(one.authorized for one in stored)
