"""Adapters of the Hub that win a choice: what is saved and pushed is a whole checkpoint of base and adapter."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from hf_transfer_score.backbones.base import BackboneOptions, all_kinds
from hf_transfer_score.tasks import get_task
from tests.checkpoints.adapters import write_adapter
from tests.checkpoints.texts import CORPUS, write_text
from tests.runs.pool import REVIEWS

QUICK = ("--max-samples", "40", "--test-samples", "20", "--budget", "1 fine-tuning", "--device", "cpu", "--json")
TRAINED = {"probe": (), "lora": ("--epochs", "4", "--learning-rates", "1e-2")}
LAYERS = {"gpt2": ["c_attn"], "llama": ["q_proj", "v_proj"]}


@pytest.fixture(scope="module")
def hub(shared_hub, tmp_path_factory):
    """The Hub with two decoders and an adapter of each; and these adapters merged by peft."""
    merged, place = {}, tmp_path_factory.mktemp("decoders")
    for family, layers in LAYERS.items():
        base, folder = write_text(place / family, family), place / f"{family}-lora"
        model = write_adapter(folder, base, f"chosen/{family}", "AutoModelForCausalLM", target_modules=layers)
        merged[family] = deepcopy(model).merge_and_unload().base_model
        shared_hub.add(f"chosen/{family}", base, license="mit")
        shared_hub.add(f"chosen/{family}-lora", folder, license="mit")
    shared_hub.users = {"hf_owner": "owner"}
    return shared_hub, merged


def last_states(model, tokenizer):
    texts = [tokenizer(text, return_tensors="pt") for text in CORPUS]
    with torch.no_grad():
        return np.concatenate([model(**text).last_hidden_state[:, -1].numpy() for text in texts])


@pytest.mark.parametrize(("family", "method"), [("llama", "probe"), ("gpt2", "lora")])
def test_the_winner_loads_with_transformers_alone(hub, warm, family, method, tmp_path):
    shared_hub, merged = hub
    name, place = f"chosen/{family}-lora", tmp_path / "saved"
    asked = ("choose", REVIEWS, "--models", name, "--method", method, *TRAINED[method], *QUICK)
    done = warm.run(*asked, "--save-model", str(place), "--push", f"owner/{family}", HF_TOKEN="hf_owner")
    assert done.status == 0, done.err
    tokenizer, (model, info) = AutoTokenizer.from_pretrained(place), _whole(place)
    assert not any(info.values()) and not list(place.glob("adapter*"))
    states = last_states(model, tokenizer)
    before = last_states(merged[family], tokenizer)
    if method == "probe":  # the features of base and adapter, untouched
        np.testing.assert_allclose(states, before, rtol=1e-4, atol=1e-5)
    else:
        assert 1e-3 < np.abs(states - before).max() < 2
    backbone = all_kinds()["hub_text"].load(place, get_task("text-classification"), BackboneOptions())
    with torch.no_grad():
        rows = backbone.forward(backbone.collate(backbone.encode(CORPUS))).features["last"].numpy()
    np.testing.assert_allclose(rows, states, rtol=1e-4, atol=1e-5)
    pushed = {path: one.content for path, one in shared_hub.repository(f"owner/{family}").head.files.items()}
    assert pushed["model.safetensors"].read_bytes() == (place / "model.safetensors").read_bytes()
    assert f"base_model: {name}" in pushed["README.md"].read_text()
    told = json.loads(pushed["record.json"].read_bytes())["model"]["details"]["adapter"]
    commits = [shared_hub.repository(one).head.name for one in (name, f"chosen/{family}")]
    assert [told["commit"], told["base_commit"]] == commits and told["base"] == f"chosen/{family}"


def _whole(place):
    model, info = AutoModel.from_pretrained(place, output_loading_info=True)
    return model.eval(), info
