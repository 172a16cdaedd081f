"""What is saved and pushed of a choice: weights, card and record; of an adapter, a whole checkpoint with its base."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from hf_transfer_score import ChooseOptions, OptionError, RankOptions, SampleOptions, choose
from hf_transfer_score.backbones.base import BackboneOptions, all_kinds
from hf_transfer_score.cli import main
from hf_transfer_score.errors import HubError
from hf_transfer_score.records.record import Record
from hf_transfer_score.tasks import get_task
from tests.checkpoints import texts
from tests.checkpoints.adapters import write_adapter
from tests.checkpoints.texts import CORPUS, write_text
from tests.cli.test_verify import write_reviews
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


pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the Hub's client uploads so


@pytest.fixture
def choice(tmp_path, monkeypatch):
    """A choice by probes, which is the cheapest."""
    for seed, name in enumerate(("first", "second")):
        texts.write_text(tmp_path / name, seed=seed)
    write_reviews(tmp_path / "reviews.jsonl", 130)
    monkeypatch.chdir(tmp_path)
    options = RankOptions(sample=SampleOptions(max_samples=60))
    how = ChooseOptions(method="probe", changes={"device": "cpu"})
    return choose(str(tmp_path / "reviews.jsonl"), ["./first", "./second"], options=options, how=how, folder=tmp_path)


def test_weights_card_and_record_are_pushed_and_nothing_that_only_this_computer_knows(hub, choice, tmp_path):
    hub.users = {"hf_owner": "owner"}
    where = choice.push("owner/chosen", token="hf_owner", endpoint=hub.endpoint)
    assert where == f"{hub.endpoint}/owner/chosen"
    files = {path: one.content for path, one in hub.repository("owner/chosen").head.files.items()}
    assert {"README.md", "record.json", "choice.json", "config.json", "model.safetensors"} <= files.keys()
    assert "train.py" not in files  # the winner and the rows are folders of this computer
    record = Record.from_json(files["record.json"].read_bytes())
    assert record.terms["accuracy"] == choice.tested[0].result.accuracy and record.model.id == choice.winner
    card = files["README.md"].read_text(encoding="utf-8")
    assert "reviews.jsonl" in card and choice.winner in card and "base_model" not in card
    assert "test rows that had no part in the choice" in card
    assert json.loads(files["choice.json"].read_bytes())["winner"] == choice.winner
    for name, content in files.items():
        assert str(tmp_path).encode() not in content.read_bytes(), name


def test_words_of_somebody_else_stay(hub, choice):
    hub.users = {"hf_owner": "owner"}
    hub.add("owner/chosen", {"README.md": "# Mine\n"})
    choice.push("owner/chosen", token="hf_owner", endpoint=hub.endpoint)
    files = hub.repository("owner/chosen").head.files
    assert files["README.md"].content.read_text() == "# Mine\n" and "record.json" in files


def test_what_cannot_be_pushed_is_refused_before_any_work(monkeypatch, capsys):
    from hf_transfer_score.choosing.saving import check_target

    for name in ("chosen", "a/b/c", "../x", "owner/"):
        with pytest.raises(OptionError, match="expected OWNER/NAME"):
            check_target(name, "hf_token")
    with pytest.raises(HubError, match="needs a token"):
        check_target("owner/chosen", False)
    assert main(["choose", "no_such_dataset", "--models", "a/b", "--push", "chosen"]) == 2
    assert "expected OWNER/NAME" in capsys.readouterr().err
