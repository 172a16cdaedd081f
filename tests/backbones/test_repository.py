import json
import re

import pytest

from hf_transfer_score.backbones.base import kind_of
from hf_transfer_score.backbones.repository import Repository, read_descriptions
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import get_task


def holding(*names, **descriptions):
    return Repository("some/model", dict.fromkeys(names, 10), descriptions)


def test_a_folder_is_described_by_its_small_files(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    (tmp_path / "modules.json").write_text("no JSON")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "model.safetensors").write_bytes(b"12345")
    (tmp_path / "model.safetensors").write_bytes(b"123")
    found = Repository.from_folder(tmp_path)
    assert dict(found.sizes) == {
        "config.json": 21, "modules.json": 7, "1_Pooling/config.json": 2, "model.safetensors": 3,
    }  # fmt: skip
    assert found.descriptions == {"config.json": {"model_type": "vit"}}
    assert found.name == str(tmp_path)
    assert "model.safetensors" in found
    assert "pytorch_model.bin" not in found
    assert found.bytes_of(["model.safetensors", "config.json", "absent"]) == 24
    assert Repository("some/model", {"a": None, "b": 5}).bytes_of(["a", "b"]) == 5


def test_weights_are_safetensors_before_pickles_with_all_shards_and_in_a_folder():
    both = holding("model.safetensors", "pytorch_model.bin")
    assert both.weights() == both.weights(allow_pickle=True) == ["model.safetensors"]
    names = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert holding(*names, "pytorch_model-00001-of-00002.bin", "other-1.safetensors").weights() == names
    pickles = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"]
    assert holding(*pickles).weights(allow_pickle=True) == pickles
    inside = holding("0_Transformer/model.safetensors", "pytorch_model.bin")
    assert inside.weights(folder="0_Transformer/") == ["0_Transformer/model.safetensors"]


@pytest.mark.parametrize(
    ("names", "kind", "words"),
    [
        (["pytorch_model.bin"], "pickle_only", r"only pickled weights.* name some/model in `allow_pickle`"),
        (["checkpoint.pth"], "pickle_only", "can run any code"),
        (["tf_model.h5"], "unsupported", "weights only for other frameworks"),
        (["model.gguf"], "unsupported", "none for PyTorch"),
        (["README.md"], "corrupt", "has no weights"),
    ],
)
def test_repositories_without_safe_weights(names, kind, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        holding(*names).weights()
    assert caught.value.kind == kind


def test_small_files_are_those_beside_the_weights():
    names = ["config.json", "vocab.txt", "model.safetensors.index.json", "deep/config.json", "README.md"]
    assert holding(*names).small_files() == ["config.json", "vocab.txt"]


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        (holding("adapter_config.json"), "adapters are only read from the Hub"),
        (holding("model_index.json"), "diffusion pipeline"),
        (holding("README.md"), "no config.json"),
        (holding("config.json"), "not a JSON object"),
        (holding("config.json", **{"config.json": ["list"]}), "not a JSON object"),
        (holding("config.json", **{"config.json": {"model_type": "odd"}}), "no backbone here knows: 'odd'"),
        (holding("config.json", **{"config.json": {"architectures": ["Odd"]}}), r"knows: \['Odd'\]"),
    ],
)  # fmt: skip
def test_why_a_repository_is_of_no_kind(repository, words):
    assert re.search(words, repository.why_unknown())


def test_a_description_that_cannot_be_read_is_left_out_with_its_reason(tmp_path):
    texts = {"a.json": b"{}", "b.json": b"{", "c.json": b"[1]", "d.json": b"[" * 100_000, "e.json": b'"\xff"'}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    found, unread = read_descriptions({name: tmp_path / name for name in [*texts, "f.json"]})
    assert found == {"a.json": {}, "c.json": [1]}
    assert unread["b.json"].startswith("that is not JSON: JSONDecodeError")
    assert (unread["d.json"], unread["e.json"]) == ("that is nested too deeply", "that is not UTF-8")
    assert unread["f.json"].startswith("that cannot be read: FileNotFoundError")


def test_a_description_is_read_up_to_a_limit(tmp_path):
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(10**12)
    repository = Repository.from_folder(tmp_path)
    with pytest.raises(CheckpointError, match=r"has a config.json that is too large: .* at most 16,000,000 are read"):
        kind_of(repository, get_task("image-classification"))


def test_a_list_of_modules_that_cannot_be_read_does_not_make_a_plain_model_of_it(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "modules.json").write_text("[" * 50_000 + "]" * 50_000)
    with pytest.raises(CheckpointError, match="has a modules.json that is nested too deeply") as caught:
        kind_of(Repository.from_folder(tmp_path), get_task("text-classification"))
    assert caught.value.kind == "corrupt"


@pytest.mark.parametrize("found", [["bert"], {"a": 1}, 7, True])
def test_a_type_that_is_no_text_is_refused(found):
    repository = holding("config.json", **{"config.json": {"model_type": found}})
    with pytest.raises(CheckpointError, match="has a config.json whose model_type is not text but a"):
        kind_of(repository, get_task("image-classification"))
