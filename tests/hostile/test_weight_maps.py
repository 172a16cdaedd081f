"""A checkpoint reads only its own files: weight maps, links, tokenizers and adapters lead nowhere else."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from hf_transfer_score.backbones import repository
from hf_transfer_score.backbones.base import BackboneOptions, all_kinds
from hf_transfer_score.backbones.repository import check_own_files
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import get_task
from tests.checkpoints.images import timm_image, vit
from tests.checkpoints.texts import write_sentence_folder, write_text

KINDS = {
    "timm_images": ("image-classification", timm_image),
    "hub_vision": ("image-classification", vit),
    "hub_text": ("text-classification", write_text),
    "sentence_transformers": ("text-classification", write_sentence_folder),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a valid checkpoint of each kind."""
    found = {}
    for kind, (_, write) in KINDS.items():
        folder = tmp_path_factory.mktemp(kind) / "own"
        folder.mkdir()
        found[kind] = write(folder) or folder
    return found


@pytest.fixture
def copy(whole, tmp_path):
    def make(kind: str) -> Path:
        return Path(shutil.copytree(whole[kind], tmp_path / "copied" / kind))

    return make


def refusal(kind: str, folder: Path, **options: bool) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        all_kinds()[kind].load(folder, get_task(KINDS[kind][0]), BackboneOptions(**options))
    return caught.value


def mapped(folder: Path, shard: str) -> None:
    """Replace the weights by a map that names one file."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {"a": shard}}))


def edited(folder: Path, name: str, **settings: object) -> Path:
    """Set values in a JSON file of a checkpoint, and return its folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


SHARDS = (
    "../outside.safetensors",
    "/dev/zero",
    "deep/model.safetensors",
    "pytorch_model.bin",
    "..\\outside.safetensors",
    "https://example.org/a.safetensors",
    ".hidden.safetensors",
    "",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_names_plain_safetensors_beside_it(copy, kind):
    folder = copy(kind)
    (folder.parent / "outside.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    for shard in SHARDS:
        mapped(folder, shard)
        error = refusal(kind, folder)
        assert (error.kind, "model.safetensors.index.json that names" in str(error)) == ("corrupt", True), shard


@pytest.mark.parametrize("kind", KINDS)
def test_no_pickle_behind_a_map(copy, kind):
    folder = copy(kind)

    class Ran:
        def __reduce__(self):
            return (Path.touch, (folder / "ran",))

    torch.save({"a": Ran()}, folder / "pytorch_model.bin")
    mapped(folder, "pytorch_model.bin")
    assert refusal(kind, folder).kind == "corrupt" and refusal(kind, folder, allow_pickle=True).kind == "corrupt"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "b.safetensors"}}))
    assert refusal(kind, folder).kind in ("corrupt", "unsupported")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "nothing", "[" * 9999]
)
def test_invalid_maps(copy, content):
    folder = copy("hub_text")
    mapped(folder, "x")
    (folder / "model.safetensors.index.json").write_text(content)
    assert refusal("hub_text", folder).kind == "corrupt"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_links_out_of_the_folder(copy, kind, name, monkeypatch):
    folder = copy(kind)
    outside = folder.parent / "elsewhere"
    outside.mkdir()
    (folder / name).rename(outside / name)
    (folder / name).symlink_to(outside / name)
    error = refusal(kind, folder)
    assert error.kind == "corrupt" and f"holds {name}, a link out of its folder" in str(error)
    monkeypatch.setenv("HF_TRANSFER_SCORE_FOLDERS", str(outside))
    all_kinds()[kind].load(folder, get_task(KINDS[kind][0]), BackboneOptions())


def test_a_folder_that_is_a_link_and_a_fifo(copy):
    folder = copy("sentence_transformers")
    inner = next(path for path in folder.iterdir() if path.is_dir())
    inner.rename(folder.parent / "moved")
    inner.symlink_to(folder.parent / "moved")
    assert "a link out of its folder" in str(refusal("sentence_transformers", folder))
    folder = copy("hub_text")
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    assert "not a regular file" in str(refusal("hub_text", folder))


def test_a_snapshot_of_the_cache_is_its_own(copy):
    folder = copy("hub_text")
    place = folder.parent / "models--a--b"
    (place / "blobs").mkdir(parents=True)
    snapshot = place / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(place / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    check_own_files(snapshot)


@pytest.mark.parametrize(
    "settings",
    [
        {"vocab_file": "/etc/hostname"},
        {"tokenizer_file": "../elsewhere.json"},
        {"init_inputs": ["/etc/hostname"]},
        {"fast_tokenizer_files": ["../../tokenizer.4.json"]},
    ],
)
def test_tokenizers_with_files_elsewhere(copy, settings, monkeypatch):
    folder = edited(copy("hub_text"), "tokenizer_config.json", **settings)
    (folder.parent / "elsewhere.json").write_text("{}")
    monkeypatch.chdir(folder)
    assert "tokenizer_config.json" in str(refusal("hub_text", folder))


def test_leftover_paths_in_a_tokenizer_are_harmless(copy):
    left = {"special_tokens_map_file": "/etc/hostname", "tokenizer_file": "/home/nobody/tokenizer.json"}
    check_own_files(edited(copy("hub_text"), "tokenizer_config.json", **left))


def test_an_adapter_is_not_followed(copy, monkeypatch):
    folder = copy("hub_text")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "victim/private"}')
    monkeypatch.setattr(repository, "find_spec", lambda name: None)
    check_own_files(folder)
    monkeypatch.setattr(repository, "find_spec", lambda name: name)
    assert "holds an adapter" in str(refusal("hub_text", folder))


def test_code_of_another_repository_is_not_run(copy):
    folder = edited(copy("hub_text"), "config.json", auto_map={"AutoModel": "victim/code--model.Model"})
    assert refusal("hub_text", folder, trust_remote_code=True).kind == "remote_code"


@pytest.mark.parametrize("where", [{"url": "http://127.0.0.1:9/x.npz"}, {"hf_hub_id": "a/b"}, {"file": "/dev/zero"}])
def test_timm_takes_weights_from_the_folder_only(copy, where):
    folder = copy("timm_images")
    known = json.loads((folder / "config.json").read_text()).get("pretrained_cfg", {})
    edited(folder, "config.json", pretrained_cfg=known | where | {"source": "timm", "custom_load": True})
    all_kinds()["timm_images"].load(folder, get_task("image-classification"), BackboneOptions())
