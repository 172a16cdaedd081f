"""Adapters of the Hub that win a choice: what is saved and pushed is a whole checkpoint of base and adapter."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from hf_transfer_score.backbones.base import BackboneOptions, all_kinds
from hf_transfer_score.tasks import get_task
from tests.checkpoints.adapters import write_adapter
from tests.checkpoints.texts import CORPUS, write_text
from tests.runs.pool import REVIEWS

BASE, LORA = "chosen/llama", "chosen/lora"
QUICK = ("--max-samples", "40", "--test-samples", "20", "--device", "cpu", "--json")


@pytest.fixture
def merged(shared_hub, tmp_path):
    """A decoder on the Hub, with an adapter that peft merged."""
    base = write_text(tmp_path / "llama", "llama")
    layers = {"target_modules": ["q_proj", "v_proj"]}
    model = write_adapter(tmp_path / "lora", base, BASE, "AutoModelForCausalLM", **layers)
    shared_hub.add(BASE, base, license="mit")
    shared_hub.add(LORA, tmp_path / "lora", license="mit")
    shared_hub.users = {"hf_owner": "owner"}
    return model.merge_and_unload().base_model


def last_states(model, tokenizer):
    texts = [tokenizer(text, return_tensors="pt") for text in CORPUS]
    with torch.no_grad():
        return np.concatenate([model(**text).last_hidden_state[:, -1].numpy() for text in texts])


def test_the_winner_loads_with_transformers_alone(shared_hub, merged, warm, tmp_path):
    place = tmp_path / "saved"
    asked = ("choose", REVIEWS, "--models", LORA, "--method", "probe", *QUICK)
    done = warm.run(*asked, "--save-model", str(place), "--push", "owner/chosen", HF_TOKEN="hf_owner")
    assert done.status == 0, done.err
    tokenizer, (model, info) = AutoTokenizer.from_pretrained(place), _whole(place)
    assert not any(info.values()) and not list(place.glob("adapter*"))
    states = last_states(model, tokenizer)
    np.testing.assert_allclose(states, last_states(merged, tokenizer), rtol=1e-4, atol=1e-5)
    backbone = all_kinds()["hub_text"].load(place, get_task("text-classification"), BackboneOptions())
    with torch.no_grad():
        rows = backbone.forward(backbone.collate(backbone.encode(CORPUS))).features["last"].numpy()
    np.testing.assert_allclose(rows, states, rtol=1e-4, atol=1e-5)
    pushed = {path: one.content for path, one in shared_hub.repository("owner/chosen").head.files.items()}
    assert pushed["model.safetensors"].read_bytes() == (place / "model.safetensors").read_bytes()
    assert f"base_model: {LORA}" in pushed["README.md"].read_text()
    told = json.loads(pushed["record.json"].read_bytes())["model"]["details"]["adapter"]
    commits = [shared_hub.repository(one).head.name for one in (LORA, BASE)]
    assert [told["commit"], told["base_commit"]] == commits and told["base"] == BASE


def _whole(place):
    model, info = AutoModel.from_pretrained(place, output_loading_info=True)
    return model.eval(), info
