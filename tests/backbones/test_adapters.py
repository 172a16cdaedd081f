"""Adapters merged into their bases as by peft, and those that are refused before anything is merged."""

import re
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForImageClassification

from hf_transfer_score.backbones.adapters import CONFIG, PICKLE, Adapter, adapter_of, is_adapter
from hf_transfer_score.backbones.base import AdaptedOptions, BackboneOptions, all_kinds
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import get_task
from tests.backbones.batched import run
from tests.checkpoints.adapters import WEIGHTS, edit_settings, edit_weights, write_adapter
from tests.checkpoints.images import vit
from tests.checkpoints.texts import CORPUS, write_text

TASK = get_task("text-classification")
PATH = "base_model.model.encoder.layer.0.attention.self.query"
NUMBERS = count()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("bases") / "bert")


@pytest.fixture(scope="module")
def made(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters") / "lora"
    write_adapter(folder, base, "own/base")
    return folder


@pytest.fixture
def adapter(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "lora"))


def cached(folder: Path) -> Adapter:
    """Put an adapter into the cache of the Hub's client."""
    from huggingface_hub.constants import HF_HUB_CACHE

    commit = f"{next(NUMBERS):040x}"
    shutil.copytree(folder, Path(HF_HUB_CACHE) / "models--own--lora" / "snapshots" / commit)
    adapter, _ = adapter_of(Repository.from_folder(folder), commit)
    return Adapter("own/lora", commit, adapter.weights, adapter.base, "b" * 40)


def loaded(kind: str, base: Path, folder: Path, task=TASK):
    return all_kinds()[kind].load(base, task, AdaptedOptions(adapter=cached(folder)))


def rows_of(backbone):
    return run(backbone, CORPUS)[0]["last"]


def refusal(base: Path, folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        loaded("hub_text", base, folder)
    return caught.value


LORAS = {
    "plain": {},
    "root": {"use_rslora": True},
    "patterns": {"rank_pattern": {"layer.1.attention.self.query": 5}, "alpha_pattern": {"value": 2, "^no.such": 9}},
    "all": {"target_modules": "all-linear"},
    "classifier": {"auto": "AutoModelForSequenceClassification", "task_type": "SEQ_CLS", "num_labels": 3},
    "masked": {"auto": "AutoModelForMaskedLM"},
}


@pytest.mark.parametrize("settings", LORAS.values(), ids=LORAS)
def test_features_are_those_of_what_peft_merges(base, tmp_path, settings):
    merged = write_adapter(tmp_path / "lora", base, "own/base", **settings).merge_and_unload()
    getattr(merged, "bert", merged).save_pretrained(tmp_path / "merged")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, tmp_path / "merged")
    backbone = loaded("hub_text", base, tmp_path / "lora")
    plain, options = all_kinds()["hub_text"].load, BackboneOptions()
    expected = rows_of(plain(tmp_path / "merged", TASK, options))
    np.testing.assert_allclose(rows_of(backbone), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(rows_of(backbone) - rows_of(plain(base, TASK, options))).max() > 0.01
    told = dict(backbone.details["adapter"])
    left = {"left_out": ["classifier"]} if "num_labels" in settings else {}
    assert len(told.pop("commit")) == 40
    assert told == {"name": "own/lora", "base": "own/base", "base_commit": "b" * 40, **left}


def test_layers_of_gpt2_lie_on_their_side(tmp_path):
    base = write_text(tmp_path / "gpt2", "gpt2")
    layers = {"target_modules": ["c_attn", "c_fc"]}
    peft_model = write_adapter(tmp_path / "lora", base, "own/gpt2", "AutoModelForCausalLM", **layers)
    expected = dict(peft_model.merge_and_unload().transformer.named_parameters())
    found = dict(loaded("hub_text", base, tmp_path / "lora").module.named_parameters())
    start = dict(AutoModel.from_pretrained(base).named_parameters())
    for name, one in expected.items():
        torch.testing.assert_close(found[name], one)
    assert sum(not torch.equal(start[name], one) for name, one in expected.items()) == 4


@pytest.mark.parametrize("classes", [5, 7])
def test_a_head_is_taken_where_it_replaces_one_of_the_same_shape(tmp_path, classes):
    base = vit(tmp_path / "vit", classes=5)
    settings = {"target_modules": ["q_proj"], "modules_to_save": ["classifier"], "num_labels": classes}
    model = write_adapter(tmp_path / "lora", base, "own/vit", "AutoModelForImageClassification", **settings)
    merged = model.merge_and_unload()
    backbone = loaded("hub_vision", base, tmp_path / "lora", get_task("image-classification"))
    torch.testing.assert_close(backbone.module.vit.state_dict(), merged.vit.state_dict())
    head = backbone.module.classifier.weight
    own = AutoModelForImageClassification.from_pretrained(base).classifier.weight
    assert torch.equal(head, merged.classifier.weight if classes == 5 else own)
    assert backbone.details["adapter"].get("left_out") == (None if classes == 5 else ["classifier"])


def test_names_of_older_versions_are_found(tmp_path):
    base = vit(tmp_path / "vit")
    auto, layers = "AutoModelForImageClassification", {"target_modules": ["q_proj"]}
    model = write_adapter(tmp_path / "lora", base, "own/vit", auto, **layers)
    old = "vit.encoder.layer.{}.attention.attention.query"
    edit_weights(
        tmp_path / "lora",
        lambda weights: {
            key.replace(f"vit.layers.{n}.attention.q_proj", old.format(n)): value
            for n in "01"
            for key, value in weights.items()
            if f"layers.{n}." in key
        },
    )
    assert "attention.attention.query" in (tmp_path / "lora" / WEIGHTS).read_bytes()[:3000].decode(errors="replace")
    found = loaded("hub_vision", base, tmp_path / "lora", get_task("image-classification")).module.state_dict()
    torch.testing.assert_close(found, {**found, **model.merge_and_unload().state_dict()})


def test_an_expression_in_the_settings_is_never_run(base, adapter):
    before = rows_of(loaded("hub_text", base, adapter))
    evil = "(a+)+$" * 50 + "(" * 1000
    edit_settings(adapter, target_modules=evil, exclude_modules=evil, layers_pattern=evil)
    assert np.array_equal(rows_of(loaded("hub_text", base, adapter)), before)
    error = refusal(base, edit_settings(adapter, rank_pattern={"(.*)*query": 3}))
    assert error.kind == "unsupported" and "an expression, which is never run" in str(error)


OTHERS = {
    "kind": ({"peft_type": "IA3"}, "kind 'IA3'; only LORA is read"),
    "no-kind": ({"peft_type": None}, "kind 'None'"),
    "dora": ({"use_dora": True}, "use_dora=True, which is not read here; merge it into its base"),
    "bias": ({"bias": "lora_only"}, "bias=lora_only"),
    "pissa": ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
    "unknown": ({"future": {"a": 1}}, "future="),
    "replicated": ({"layer_replication": [[0, 1], [0, 1]]}, "layer_replication="),
    "rank": ({"r": 10**9}, r"lora_A' has the shape \(3, 16\), expected \(1000000000, 16\)"),
    "rank-endless": ({"r": 2**31}, "ranks, factors"),
    "rank-text": ({"r": "3"}, "ranks, factors"),
    "rank-zero": ({"r": 0}, "ranks, factors"),
    "rank-true": ({"r": True}, "ranks, factors"),
    "alpha": ({"lora_alpha": float("nan")}, "ranks, factors"),
    "alpha-none": ({"lora_alpha": None}, "ranks, factors"),
    "pattern": ({"rank_pattern": [3]}, "ranks, factors"),
    "pattern-rank": ({"rank_pattern": {"query": 4}}, r"expected \(4, 16\)"),
    "saved": ({"modules_to_save": [3]}, "ranks, factors"),
}


@pytest.mark.parametrize(("settings", "words"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_plain_lora_is_refused_with_the_reason(base, adapter, settings, words):
    commit = cached(adapter)
    from huggingface_hub import try_to_load_from_cache

    edit_settings(Path(try_to_load_from_cache("own/lora", CONFIG, revision=commit.commit)).parent, **settings)
    with pytest.raises(CheckpointError, match=words):
        all_kinds()["hub_text"].load(base, TASK, AdaptedOptions(adapter=commit))
    if "shape" not in words and "expected" not in words:  # the settings alone tell
        with pytest.raises(CheckpointError, match=words):
            adapter_of(Repository.from_folder(edit_settings(adapter, **settings)), "c" * 40)


def without(key):
    return lambda weights: {name: one for name, one in weights.items() if name != key}


def also(key, *shape):
    return lambda weights: {**weights, key: torch.ones(shape)}


SPOILT = {
    "names-nothing": (lambda weights: {k.replace("encoder", "nothing"): v for k, v in weights.items()}, "no layer of"),
    "unknown-layer": (lambda weights: {k.replace("layer.1", "layer.7"): v for k, v in weights.items()}, "does not hav"),
    "no-layer": (
        lambda w: {**w, **{f"{PATH}x.lora_{p}.weight": torch.ones(3, 3) for p in "AB"}},
        "does not have",
    ),
    "embedding": (
        lambda w: {f"base_model.model.embeddings.word_embeddings.lora_{p}.weight": torch.ones(3, 3) for p in "AB"},
        "a Embedding, which is not merged",
    ),
    "whole-block": (
        lambda w: {f"base_model.model.encoder.lora_{p}.weight": torch.ones(3, 3) for p in "AB"},
        "BertEncoder, which is not merged",
    ),
    "half": (without(f"{PATH}.lora_B.weight"), "only one of two matrices"),
    "shape": (also(f"{PATH}.lora_B.weight", 17, 3), r"has the shape \(17, 3\), expected \(16, 3\)"),
    "broadcast": (also(f"{PATH}.lora_B.weight", 1, 3), r"has the shape \(1, 3\), expected \(16, 3\)"),
    "dimensions": (also(f"{PATH}.lora_B.weight", 16, 3, 1), r"has the shape \(16, 3, 1\)"),
    "magnitude": (also(f"{PATH}.lora_magnitude_vector", 16), "not a LoRA weight"),
    "bias": (also(f"{PATH}.bias", 16), "not a LoRA weight"),
    "no-prefix": (lambda w: {k.removeprefix("base_model."): v for k, v in w.items()}, "not a LoRA weight"),
    "long": (also("base_model.model." + "a" * 10**6 + ".lora_A.weight", 1), "has 1,000,0.. letters"),
    "nan": (lambda w: {k: v * float("nan") for k, v in w.items()}, "not finite"),
    "infinite": (lambda w: {k: torch.full_like(v, 3e38) for k, v in w.items()}, "not finite"),
    "nothing": (lambda w: {"base_model.model.classifier.weight": torch.ones(1)}, "not a LoRA weight"),
    "empty": (lambda w: {}, "no layer of"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), SPOILT.values(), ids=SPOILT)
def test_weights_that_fit_no_layer_are_refused(base, adapter, change, words):
    error = refusal(base, edit_weights(adapter, change))
    assert error.kind in ("corrupt", "unsupported", "non_finite") and len(str(error)) < 400

    assert re.search(words, str(error)), error


def test_a_damaged_file_is_refused_before_it_is_read(base, adapter):
    content = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(content[:-100])
    assert "where its header says" in str(refusal(base, adapter))
    (adapter / WEIGHTS).write_bytes(b"\xff" * 100)
    assert "not a safetensors file" in str(refusal(base, adapter))


def test_pickled_weights_are_loaded_where_they_are_allowed(base, adapter):
    from safetensors.torch import load_file

    before = rows_of(loaded("hub_text", base, adapter))
    torch.save(load_file(adapter / WEIGHTS), adapter / PICKLE)
    (adapter / WEIGHTS).unlink()
    one, repository, kind = cached(adapter), Repository.from_folder(base), all_kinds()["hub_text"]
    for base_too in (False, True):  # that permission is for another author
        with pytest.raises(CheckpointError, match="name own/lora in `allow_pickle`") as caught:
            kind.files(repository, AdaptedOptions(allow_pickle=base_too, adapter=one))
        assert caught.value.kind == "pickle_only"
    allowed = AdaptedOptions(adapter=one, pickled_adapter=True)
    assert kind.files(repository, allowed)[-2:] == [PICKLE, CONFIG]
    assert np.array_equal(rows_of(kind.load(base, TASK, allowed)), before)


BASES = (
    *("../..", "file:///etc", "/etc", "hf://own/base", "http://127.0.0.1:9/x", "https://huggingface.co/own/base"),
    *("own/..", "./base", "~/base", "own/base/more", "own\\base", "own/ba se", "own/base\n", "", None, 3, ["own/base"]),
    *("own/base@main", "own/base?x", "local-dir:x", "a--b/c", "x" * 10**6, "own/b\x00", "öwn/base"),
)


@pytest.mark.parametrize("name", BASES, ids=lambda name: repr(name)[:30])
def test_a_base_is_an_id_on_the_hub_and_nothing_else(adapter, name):
    with pytest.raises(CheckpointError, match="whose base is no model on the Hub") as caught:
        adapter_of(Repository.from_folder(edit_settings(adapter, base_model_name_or_path=name)), "c" * 40)
    assert caught.value.kind == "unsupported" and len(str(caught.value)) < 250


@pytest.mark.parametrize("revision", ["../../x", "a/../b", "", "x y", "?a=b", 3, "\n", "/main"])
def test_a_revision_is_the_name_of_one(adapter, revision):
    with pytest.raises(CheckpointError, match="whose base has no such revision"):
        adapter_of(Repository.from_folder(edit_settings(adapter, revision=revision)), "c" * 40)
    assert adapter_of(Repository.from_folder(edit_settings(adapter, revision="refs/pr/1")), "c")[1] == "refs/pr/1"


def test_a_whole_checkpoint_with_an_adapter_beside_it_is_no_adapter(base, adapter):
    assert is_adapter(Repository.from_folder(adapter))
    shutil.copy(base / "model.safetensors", adapter)
    assert not is_adapter(Repository.from_folder(adapter))


def test_options_of_other_checkpoints_are_as_they_were(adapter):
    plain = AdaptedOptions(adapter=cached(adapter), pickled_adapter=True).plain()
    assert plain.pop("adapter")["base_commit"] == "b" * 40 and plain == BackboneOptions().plain()
