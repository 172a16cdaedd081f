"""Low-rank adapters: the layers that get them, what is trained, and the network after merging."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_transfer_score import ChooseOptions, VerifyOptions
from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.finetune import recipe as recipes
from hf_transfer_score.finetune.adapters import layers_to_adapt, merge_adapters
from hf_transfer_score.finetune.built import Builder, MeasuredRows
from hf_transfer_score.finetune.classifier import Classifier
from hf_transfer_score.finetune.fine_tune import fine_tune, truth_metric
from hf_transfer_score.finetune.loop import Machine, Training
from hf_transfer_score.finetune.recipe import Recipe, default_recipe
from tests.finetune import families
from tests.finetune.made import QUICK, Loads, pictures, reviews, weights

RECIPE = Recipe("lora", **QUICK, lora_rank=3)


@pytest.fixture(autouse=True)
def _peft():
    pytest.importorskip("peft", reason="peft is not installed: pip install 'hf-transfer-score[lora]'")


@pytest.mark.parametrize(
    ("name", "kind", "task", "rows"),
    [
        ("vit", "hub_vision", "image-classification", pictures),
        ("resnet", "timm_images", "image-classification", pictures),
        ("bert", "hub_text", "text-classification", reviews),
    ],
)
def test_adapters_and_the_head_alone_are_trained_and_merged_they_give_the_same(checkpoints, name, kind, task, rows):
    load, machine = Loads(checkpoints / name, kind, task), Machine(RECIPE)
    data = MeasuredRows.of(rows(30, 0), rows(12, 1), RECIPE, 0)
    untouched = Loads(checkpoints / name, kind, task)()
    built = Builder(load, data, RECIPE, machine, seed=0).built()
    module = built.classifier.backbone.module
    beside = [one for one in module.modules() if hasattr(one, "get_base_layer")]
    assert beside and all(one.r["default"] == 3 for one in beside)
    sizes = [one.lora_A["default"].weight.numel() + one.lora_B["default"].weight.numel() for one in beside]
    head = sum(value.numel() for value in built.classifier.head.parameters())
    assert built.trained.count == sum(sizes) + head < built.total
    Training(built.trained, data.fitted, data.held, RECIPE, 3e-3, seed=0, machine=machine).advance()

    batch = Builder(load, data, RECIPE, machine).few(built.classifier)
    module.eval()
    with torch.no_grad():
        before = built.classifier.logits(batch)
    learned = {key.replace(".base_layer", ""): value for key, value in weights(built.classifier.backbone).items()}
    for key, value in weights(untouched).items():
        np.testing.assert_array_equal(learned[key], value)  # frozen to the last bit, moving statistics too
    merge_adapters(module)
    with torch.no_grad():
        after = built.classifier.logits(batch)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    merged = weights(built.classifier.backbone)
    assert merged.keys() == weights(untouched).keys()
    assert any(not np.array_equal(value, merged[key]) for key, value in weights(untouched).items())


def test_adapters_stand_beside_projections_of_transformers_and_convolutions_of_the_others(checkpoints, tmp_path):
    def names(folder, kind, task="image-classification", rows=pictures):
        backbone = Loads(folder, kind, task)()
        classifier = Classifier(backbone, torch.device("cpu"))
        reached = classifier.reached(classifier.batch(backbone.encode(rows(3, 0).examples([0, 1]))))
        return layers_to_adapt(backbone.module, set(map(id, reached.values())))

    first = [name for name in names(checkpoints / "vit", "hub_vision") if "layers.0." in name]
    assert {one.rpartition(".")[2] for one in first} == {"q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"}
    blocks = names(checkpoints / "resnet", "timm_images")
    assert blocks and all(one.startswith("layer") and ("conv" in one or "downsample" in one) for one in blocks)
    nfnet, kind = families.IMAGES["timm nfnet"]  # its convolutions normalise their weights
    with pytest.raises(CheckpointError, match="too few plain linear layers or ungrouped convolutions"):
        names(nfnet(tmp_path / "nfnet"), kind)


def test_networks_that_ask_their_layers_for_settings_can_be_adapted(tmp_path):
    mobilenet, kind = families.IMAGES["mobilenet"]
    found = fine_tune(Loads(mobilenet(tmp_path / "one"), kind), pictures(30, 0), pictures(9, 1), RECIPE, 0)
    assert 0 < found.trainable_parameters < found.total_parameters


def test_records_tell_the_rank_and_other_methods_are_other_records():
    test = pictures(6, 1)
    usual = default_recipe("image", "lora")
    told = truth_metric(usual, 0, test).parameters
    assert (told["method"], told["lora_rank"], told["lora_alpha"]) == ("lora", 8, 16.0)
    assert "learning_rates" not in told and usual.learning_rates != default_recipe("image").learning_rates
    assert truth_metric(replace(usual, lora_rank=4), 0, test).parameters != told
    assert "lora_rank" not in truth_metric(default_recipe("image"), 0, test).parameters


def test_without_peft_the_extra_is_asked_for_before_any_work(monkeypatch):
    monkeypatch.setattr(recipes, "find_spec", lambda name: None)
    for options in (VerifyOptions, ChooseOptions):
        options()
        with pytest.raises(OptionError, match=r"needs peft: pip install 'hf-transfer-score\[lora\]'"):
            options(method="lora")
    with pytest.raises(OptionError, match="lora_rank=0: expected at least 1"):
        Recipe(lora_rank=0)


def test_peft_is_loaded_by_nothing_else():
    import subprocess

    code = (
        "import sys, hf_transfer_score.finetune.built, hf_transfer_score.choosing.choose; print('peft' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
