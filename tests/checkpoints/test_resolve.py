"""The description of a candidate, on the Hub and in folders, and how it is stored."""

import json
import os
from pathlib import Path

import pytest

from hf_transfer_score.backbones.base import kind_of
from hf_transfer_score.checkpoints.candidate import parse_candidate
from hf_transfer_score.checkpoints.resolve import folder_commit, recall, resolve
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.tasks import get_task

CONFIG = {"model_type": "bert", "architectures": ["BertModel"]}

CODE = """
import sys
from pathlib import Path
from hf_transfer_score.checkpoints.candidate import parse_candidate
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.checkpoints.resolve import recall, resolve
from hf_transfer_score.errors import CheckpointError
known = Answers(Path(sys.argv[1]))
def told(call, name):
    try:
        found = call(parse_candidate(name), known)
    except CheckpointError as error:
        return [error.kind, str(error)]
    return found and found.as_plain()
answer = {
    "found": [told(resolve, name) for name in sys.argv[2:]],
    "recalled": [told(recall, name) for name in sys.argv[2:]],
}
"""


def test_what_the_hub_says(hub, run_client, hub_environment, tmp_path):
    files = {"config.json": json.dumps(CONFIG), "model.safetensors": "x" * 1000, "1_Pooling/config.json": "{}"}
    known = {"parameters": 12_345, "downloads": 7, "likes": 3, "license": "mit", "tags": ["smile"]}
    hub.add("own/model", files, library="transformers", **known)
    hub.add("own/old", files)
    first = hub.repository("own/old").head.name
    (hub.root / "models/own/old/config.json").write_text("{}")
    second = hub.repository("own/old").head.name
    names = ["own/model", "own/old", f"own/old@{first}", "own/old@none", "own/none"]
    answer = run_client(CODE, hub_environment, str(tmp_path / "known"), *names)
    model, new, old, no_revision, missing = answer["found"]
    expected = known | {"name": "own/model", "gated": False, "folder": None}
    del expected["tags"]
    assert {name: model[name] for name in expected} == expected
    assert model["commit"] == hub.repository("own/model").head.name
    repository = model["repository"]
    assert repository["descriptions"] == {"config.json": CONFIG} and repository["library"] == "transformers"
    assert repository["sizes"] == {name: len(content) for name, content in files.items()}
    assert "smile" in repository["tags"]
    assert (new["commit"], old["commit"]) == (second, first) and second != first
    assert old["repository"]["descriptions"] == {"config.json": CONFIG}
    assert no_revision == ["missing", "has no revision 'none'; give a branch, a tag or a full commit"]
    assert missing[0] == "missing"
    assert answer["recalled"] == [model, new, old, None, None], "failures are not remembered"
    assert hub.sent(r"\.safetensors$") == 0


def test_without_a_hub_what_was_learned_will_do(hub, run_client, hub_environment, tmp_path):
    hub.add("own/model", {"config.json": json.dumps(CONFIG), "model.safetensors": "x"})
    online = run_client(CODE, hub_environment, str(tmp_path / "known"), "own/model")["found"]
    offline, away = hub_environment | {"HF_HUB_OFFLINE": "1"}, hub_environment | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert run_client(CODE, offline, str(tmp_path / "known"), "own/model")["found"] == online
    reason = ["no_network", "is not on this computer, and the Hub cannot be reached"]
    assert run_client(CODE, away, str(tmp_path / "known"), "own/model")["found"] == [reason], "another Hub"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    (folder / "sub" / "more.json").write_text("[]")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("main")
    return folder


def test_what_a_folder_says(folder, tmp_path):
    known = Answers(tmp_path / "known")
    candidate = parse_candidate(str(folder))
    found = resolve(candidate, known)
    assert (found.name, found.folder, found.downloads) == ("model", folder, None)
    assert dict(found.repository.sizes) == {
        "config.json": len(json.dumps(CONFIG)),
        "model.safetensors": 100,
        "sub/more.json": 2,
    }
    assert found.repository.config == CONFIG and len(found.commit) == 40
    assert recall(candidate, known) == found


def test_a_folder_is_told_by_its_content(folder, tmp_path):
    known = Answers(tmp_path / "known")
    candidate = parse_candidate(str(folder))
    before = resolve(candidate, known).commit
    (folder / ".git" / "HEAD").write_text("other")
    os.utime(folder / "config.json", (1, 1))
    assert recall(candidate, known) is not None, "neither hidden files nor times matter"
    (folder / "model.safetensors").write_bytes(b"y" * 100)
    assert recall(candidate, known) is None
    changed = resolve(candidate, known).commit
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    assert len({before, changed, resolve(candidate, known).commit}) == 3
    folder.rename(tmp_path / "elsewhere")
    assert recall(candidate, known) is None


def test_large_files_are_read_once(folder, tmp_path):
    known = Answers(tmp_path / "known")
    large = folder / "model.safetensors"
    large.write_bytes(b"x" * (2 << 20))
    before = folder_commit(folder, known)
    stat = large.stat()
    large.write_bytes(b"y" * (2 << 20))
    os.utime(large, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert folder_commit(folder, known) == before, "size and time are the same, so that it is not read"
    os.utime(large)
    assert folder_commit(folder, known) != before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, "a model on the Hub is written owner/name"),
        (Path.touch, "name the folder that holds its config.json"),
        (os.mkfifo, "name the folder that holds its config.json"),
    ],
)
def test_what_is_no_folder_is_missing(tmp_path, make, words):
    if make:
        make(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=f"absent is not a folder; {words}") as caught:
        resolve(parse_candidate(str(tmp_path / "absent")), Answers(tmp_path / "known"))
    assert caught.value.kind == "missing"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["README.md"], "has no config.json, so its architecture is unknown"),
        ([], "is empty: there are no files in it"),
        (
            ["adapter_config.json", "adapter_model.safetensors"],
            "adapters are only read from the Hub; name it there",
        ),
    ],
)
def test_a_folder_without_a_model_is_a_folder_and_the_hub_is_not_asked(tmp_path, monkeypatch, names, words):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "zoo" / "p-lora"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text('{"base_model_name_or_path": "a/b"}')
    with pytest.raises(CheckpointError, match=words) as caught:
        found = resolve(parse_candidate("zoo/p-lora"), Answers(tmp_path / "known"))
        kind_of(found.repository, get_task("text-classification"))
    assert caught.value.kind == "unsupported"


def test_a_memory_that_cannot_be_read_counts_as_none(folder, tmp_path):
    known = Answers(tmp_path / "known")
    candidate = parse_candidate(str(folder))
    resolve(candidate, known)
    for path in (tmp_path / "known").iterdir():
        path.write_text('{"question"')
    assert recall(candidate, known) is None
    for path in (tmp_path / "known").iterdir():
        path.write_text(json.dumps({"question": f"folder {folder}", "answer": {"name": "of an older version"}}))
    assert recall(candidate, known) is None
    assert recall(candidate, Answers(tmp_path / "known", fresh=True)) is None
