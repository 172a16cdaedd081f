"""The description of a candidate, on the Hub and in folders, how it is stored, and how its files are fetched."""

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
        (["adapter_config.json", "adapter_model.safetensors"], "adapters are only read from the Hub; name it there"),
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


FETCHING = """
import sys, time
from pathlib import Path
from hf_transfer_score.checkpoints.candidate import parse_candidate
from hf_transfer_score.checkpoints.resolve import fetch, missing_bytes, on_disk
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.checkpoints.resolve import resolve
from hf_transfer_score.errors import CheckpointError
known = Answers(Path(sys.argv[1]))
checkpoint = resolve(parse_candidate("own/model"), known)
"""

FREE = """
wanted = ["sub/model.safetensors", "config.json", "vocab.txt"]
before = missing_bytes(checkpoint, wanted)
fetched = fetch(checkpoint, wanted)
there = sorted(path.relative_to(fetched.folder).as_posix() for path in fetched.folder.rglob("*") if path.is_file())
between = missing_bytes(checkpoint, wanted)
again = fetch(checkpoint, wanted).downloaded
freed = fetched.free()
left = [path.name for path in fetched.folder.rglob("*") if path.is_file() or path.is_symlink()]
blobs = [path.stat().st_size for path in (fetched.folder.parents[1] / "blobs").iterdir()]
answer = dict(before=before, there=there, between=between, again=again, freed=freed, left=left, blobs=blobs)
answer |= dict(after=missing_bytes(checkpoint, wanted), twice=fetched.free(), name=fetched.folder.name)
"""


def test_files_come_once_and_go_when_freed(hub, run_client, hub_environment, tmp_path):
    files = {"config.json": "{}", "sub/model.safetensors": b"x" * 300_000, "vocab.txt": "a\nb", "other.bin": b"y" * 99}
    hub.add("own/model", files)
    got = run_client(FETCHING + FREE, hub_environment, str(tmp_path / "known"))
    assert (got["before"], got["between"], got["again"]) == (300_003, 0, []), "config.json came with the questions"
    assert got["there"] == ["config.json", "sub/model.safetensors", "vocab.txt"]
    assert (got["freed"], got["after"], got["twice"]) == (300_003, 300_003, 0)
    assert got["left"] == ["config.json"] and got["blobs"] == [2], "what was there before stays"
    assert got["name"] == hub.repository("own/model").head.name
    assert hub.sent("model.safetensors") == 300_000 and not hub.asked("other.bin")


REFUSED = """
from dataclasses import replace
answer = []
for name, size in (("model.safetensors", 10), ("gone.safetensors", 5)):
    sizes = {"model.safetensors": size, "gone.safetensors": size}
    asked = replace(checkpoint, repository=replace(checkpoint.repository, sizes=sizes))
    start = time.monotonic()
    try:
        fetch(asked, [name])
    except CheckpointError as error:
        answer.append([error.kind, str(error), time.monotonic() - start])
answer.append(on_disk(checkpoint, "model.safetensors"))
"""


def test_files_that_are_not_what_was_promised(hub, run_client, hub_environment, tmp_path):
    hub.add("own/model", {"config.json": "{}", "model.safetensors": b"x" * 4})
    short, gone, left = run_client(FETCHING + REFUSED, hub_environment, str(tmp_path / "known"))
    assert short[:2] == ["download", "model.safetensors arrived with 4 bytes of 10; try again"]
    assert left is None, "what is not whole does not stay"
    assert gone[0] == "download" and gone[1].startswith("could not be downloaded: the Hub answered 404")
    assert gone[2] < 2, "nobody waits for a file that is not there"
