"""What is trained and what is frozen, counted and compared by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_transfer_score.finetune import classifier as classifiers
from hf_transfer_score.finetune.classifier import Classifier, Tap, pooled, to_width
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.finetune.recipe import Recipe
from tests.finetune.made import CLASSES, QUICK, Loads, pictures, weights

TRAIN, TEST = pictures(30, seed=1), pictures(12, seed=2)
WIDTH = 24
HEAD = CLASSES * (WIDTH + 1)
CPU = torch.device("cpu")


def changed(checkpoints, name, kind, method, **recipe):
    """Return the result of a method, and the names of the weights and buffers that it changed."""
    load = Loads(checkpoints / name, kind)
    one = fine_tune(load, TRAIN, TEST, Recipe(method, **{**QUICK, **recipe}), 0)
    before, after = weights(load()), weights(load.loaded[0])
    return one, {key for key in before if not np.array_equal(before[key], after[key])}


def test_a_probe_changes_nothing(checkpoints):
    assert changed(checkpoints, "resnet", "timm_images", "probe")[1] == set()


@pytest.mark.parametrize("method", ["layer", "scl"])
def test_only_the_block_changes_to_the_last_bit(checkpoints, method):
    _, names = changed(checkpoints, "vit", "hub_vision", method, layer=0)
    block = {key for key in weights(Loads(checkpoints / "vit", "hub_vision")()) if key.startswith("vit.layers.0.")}
    assert names <= block
    # a bias on all keys shifts every logit of attention alike, so that no loss depends on it
    assert all("k_proj.bias" in key or "key.bias" in key for key in block - names)


def test_batch_norms_keep_their_statistics_and_learn_their_scale(checkpoints):
    one, names = changed(checkpoints, "resnet", "timm_images", "layer", layer=3, epochs=1)
    assert one.layer == "layer4.0"
    assert all(name.startswith("layer4.0.") for name in names)
    _, everything = changed(checkpoints, "resnet", "timm_images", "full")
    assert {"conv1.0.weight", "bn1.weight"} <= everything
    assert not any("running" in name or "num_batches" in name for name in names | everything)
    assert not any(name.startswith("fc.") for name in everything)  # the checkpoint's own head stands beside the path


def test_parameters_are_those_counted_by_hand(checkpoints):
    backbone = Loads(checkpoints / "vit", "hub_vision")()
    own_head = sum(one.numel() for one in backbone.module.classifier.parameters())
    whole = sum(one.numel() for one in backbone.module.parameters()) - own_head + HEAD
    block = sum(one.numel() for one in backbone.module.vit.layers[0].parameters())
    expected = {"probe": HEAD, "full": whole, "layer": block + HEAD, "scl": block + HEAD}
    for method, count in expected.items():
        one, _ = changed(checkpoints, "vit", "hub_vision", method, layer=0, epochs=1)
        assert (method, one.trainable_parameters, one.total_parameters) == (method, count, whole)


def test_scl_without_its_skip_is_layer(checkpoints, monkeypatch):
    load = Loads(checkpoints / "vit", "hub_vision")
    recipe = Recipe("layer", layer=0, **QUICK)
    layer = fine_tune(load, TRAIN, TEST, recipe, 0)
    scl = fine_tune(load, TRAIN, TEST, replace(recipe, method="scl"), 0)
    trained = [weights(one) for one in load.loaded]
    assert any(not np.array_equal(trained[0][key], trained[1][key]) for key in trained[0])
    monkeypatch.setattr(classifiers, "to_width", lambda rows, width, how: torch.zeros(len(rows), width))
    without = fine_tune(load, TRAIN, TEST, replace(recipe, method="scl"), 0)
    assert replace(without, seconds=0) == replace(layer, seconds=0)
    assert all(np.array_equal(weights(load.loaded[2])[key], trained[0][key]) for key in trained[0])
    assert scl.layer == "vit.layers.0"


def test_the_skip_adds_the_class_token_of_the_block(checkpoints):
    backbone = Loads(checkpoints / "vit", "hub_vision")()
    classifier = Classifier(backbone, CPU)
    batch = classifier.batch(backbone.encode(TRAIN.examples([0, 1, 2])))
    with torch.no_grad():
        plain = classifier.features(batch)
        classifier.skip = Tap(backbone.module.vit.layers[0], backbone), "pad"
        both = classifier.features(batch)
        states = backbone.module.vit(pixel_values=batch["pixel_values"], output_hidden_states=True).hidden_states
    torch.testing.assert_close(both - plain, states[1][:, 0], rtol=1e-4, atol=1e-5)


def test_padding_does_not_enter_the_rows_of_a_block_and_groups_come_back_in_order(checkpoints):
    backbone = Loads(checkpoints / "bert", "hub_text", "text-classification")()
    classifier, texts = Classifier(backbone, CPU), ["a film", "a bad film: slow, cold and far too long", "so good"]
    tap = Tap(backbone.module.encoder.layer[0], backbone)
    items = backbone.encode(texts)

    def rows(some, *, equal):
        backbone.equal_lengths = equal
        batch = classifier.batch(some)
        with torch.no_grad():
            classifier.features(batch)
        found = tap.rows(batch)
        return found, batch

    alone = torch.cat([rows([item], equal=False)[0] for item in items])
    padded, _ = rows(items, equal=False)
    grouped, batch = rows(items, equal=True)
    assert len(batch["groups"]) > 1
    torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grouped, alone, rtol=1e-4, atol=1e-5)


def test_outputs_of_blocks_are_pooled_by_their_shape():
    def mean(tokens):
        return tokens.mean(1)

    values = torch.arange(24.0)
    maps = values.reshape(1, 6, 2, 2)
    torch.testing.assert_close(pooled(maps, mean), maps.mean((2, 3)))
    torch.testing.assert_close(pooled(maps.permute(0, 2, 3, 1), mean), maps.mean((2, 3)))
    tokens = values.reshape(2, 3, 4)
    torch.testing.assert_close(pooled((tokens, "more"), mean), tokens.mean(1))
    torch.testing.assert_close(pooled((tokens, "more"), lambda states: states[:, 0]), tokens[:, 0])


def test_rows_are_brought_to_a_width():
    rows = torch.tensor([[1.0, 3.0]])
    assert to_width(rows, 2, "pad") is rows
    assert to_width(rows, 4, "pad").tolist() == [[1.0, 3.0, 0.0, 0.0]]
    assert to_width(rows, 4, "interpolate").tolist() == [[1.0, 1.5, 2.5, 3.0]]
    wide = torch.tensor([[1.0, 1.0, 3.0, 3.0]])
    assert to_width(wide, 2, "pad").tolist() == [[1.0, 3.0]]
