import concurrent.futures
import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from hf_transfer_score.backbones.hub_vision import KIND
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Pixels
from tests.backbones.pictures import PICTURES, PLACES, at_places, features, inputs_of, loaded, outcome, picture
from tests.checkpoints import images as written

WITH_HEAD = ("vit", "deit", "beit", "convnext", "swin", "resnet")
WITHOUT = ("dinov2", "dinov3", "vit_mae", "clip", "siglip")
ALL = (*WITH_HEAD, *WITHOUT)


def expected_rows(name, model, pixels):
    """The documented defaults, from the parts of each model."""
    if name in ("clip", "siglip"):
        return model.vision_model(pixels).pooler_output
    if name in WITHOUT:
        model.config.mask_ratio = 0.0
        return model(pixels).last_hidden_state[:, 0]
    output = getattr(model, name)(pixels)
    return {
        "vit": lambda: output.last_hidden_state[:, 0],
        "deit": lambda: output.last_hidden_state[:, :2].mean(1),
        "beit": lambda: output.pooler_output,
        "convnext": lambda: output.pooler_output,
        "swin": lambda: output.last_hidden_state.mean(1),
        "resnet": lambda: output.last_hidden_state.mean((2, 3)),
    }[name]()


@pytest.mark.parametrize("name", ALL)
def test_default_features_and_probabilities_alone_in_a_batch_and_with_all_layers(checkpoint, name):
    folder = checkpoint(name)
    model, pixels = written.model_of(name, folder), inputs_of(folder)
    backbone = loaded(KIND, folder)
    found, layered = outcome(backbone, PICTURES), outcome(loaded(KIND, folder, layer="all"), PICTURES)
    with torch.inference_mode():
        torch.testing.assert_close(found.features["last"], expected_rows(name, model, pixels), rtol=1e-5, atol=1e-5)
        if name in WITH_HEAD:
            torch.testing.assert_close(found.source_probs, model(pixels).logits.softmax(1), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found.source_probs, layered.source_probs)
    assert (found.source_probs is None) == (name in WITHOUT)
    assert backbone.source_classes == (written.CLASSES if name in WITH_HEAD else 0)
    assert found.features["last"].std(0).max() > 1e-3
    alone = torch.cat([outcome(backbone, [one]).features["last"] for one in PICTURES])
    torch.testing.assert_close(found.features["last"], alone, rtol=1e-5, atol=1e-5)
    assert {len(rows) for rows in layered.features.values()} == {3}
    json.dumps(backbone.details)


@pytest.mark.parametrize(("name", "model"), [("convnext", "ConvNext"), ("swin", "Swin"), ("resnet", "ResNet")])
def test_without_a_head_features_are_the_same_and_probabilities_are_none(checkpoint, name, model):
    folder = checkpoint(name, head=False)
    model = getattr(transformers, f"{model}Model").from_pretrained(folder).eval()
    found = outcome(loaded(KIND, folder), PICTURES)
    with torch.inference_mode():
        expected = model(inputs_of(folder)).pooler_output.flatten(1)
    torch.testing.assert_close(found.features["last"], expected, rtol=1e-5, atol=1e-5)
    assert found.source_probs is None


@pytest.mark.parametrize("pooler", [False, True])
def test_the_dense_pooler_of_a_vit_is_never_used(checkpoint, pooler):
    folder = checkpoint("vit", head=False, pooler=pooler)
    model = transformers.ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.inference_mode():
        expected = model(inputs_of(folder)).last_hidden_state[:, 0]
    torch.testing.assert_close(features(KIND, folder)["last"], expected)


def test_a_classifier_of_dinov2_sees_class_token_and_mean(checkpoint):
    folder = checkpoint("dinov2", head=True)
    model = transformers.Dinov2ForImageClassification.from_pretrained(folder).eval()
    found = outcome(loaded(KIND, folder), PICTURES)
    with torch.inference_mode():
        tokens = model.dinov2(inputs_of(folder)).last_hidden_state
    torch.testing.assert_close(found.features["last"], torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
    assert found.source_probs.shape == (3, written.CLASSES)


@pytest.mark.parametrize(("name", "special"), [("vit", 1), ("deit", 2), ("dinov3", 3), ("clip", 1), ("siglip", 0)])
def test_layers_of_transformers_are_hidden_states(checkpoint, name, special):
    folder = checkpoint(name)
    model = written.model_of(name, folder)
    body = {"vit": "vit", "deit": "deit", "clip": "vision_model", "siglip": "vision_model"}.get(name)
    model = getattr(model, body) if body else model
    with torch.inference_mode():
        output = model(inputs_of(folder), output_hidden_states=True)
    means = [state[:, special:].mean(1) for state in output.hidden_states]
    found = features(KIND, folder, layer="all", pooling="mean")
    assert list(found) == ["0", "1", "2"]
    for number, expected in enumerate(means):
        torch.testing.assert_close(found[str(number)], expected, rtol=1e-5, atol=1e-6)
    averaged = features(KIND, folder, layer="mean", pooling="mean")["mean"]
    torch.testing.assert_close(averaged, torch.stack(means).mean(0), rtol=1e-5, atol=1e-6)
    first = [state[:, 0] if special else state.mean(1) for state in output.hidden_states]
    torch.testing.assert_close(features(KIND, folder, layer=1)["1"], first[1], rtol=1e-5, atol=1e-6)
    last = output.last_hidden_state
    torch.testing.assert_close(features(KIND, folder, pooling="mean")["last"], last[:, special:].mean(1))
    torch.testing.assert_close(features(KIND, folder, pooling="max")["last"], last[:, special:].amax(1))


def test_what_a_checkpoint_does_not_have(checkpoint):
    with pytest.raises(CheckpointError, match=r"different widths \(8, 8, 12\)"):
        features(KIND, checkpoint("resnet"), layer="mean")
    with pytest.raises(CheckpointError, match="no class token"):
        features(KIND, checkpoint("swin"), pooling="cls")
    with pytest.raises(CheckpointError, match="has the layers 0 to 2, and layer 7 was asked for"):
        features(KIND, checkpoint("vit"), layer=7)


@pytest.mark.parametrize(("name", "special"), [("vit", 1), ("dinov3", 3), ("siglip", 0), ("convnext", 0), ("swin", 0)])
def test_features_at_places_are_interpolated_from_the_last_map(checkpoint, name, special):
    folder = checkpoint(name)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model, size = written.model_of(name, folder), (64, 64) if name == "convnext" else (32, 32)
    base = getattr(model, {"siglip": "vision_model"}.get(name, name), model)

    def maps(image):
        resized = image.resize(size, Image.Resampling(processor.resample))
        pixels = (np.asarray(resized, dtype=np.float32) / 255 - processor.image_mean) / processor.image_std
        state = base(torch.from_numpy(pixels).float().permute(2, 0, 1)[None]).last_hidden_state
        side = round((state.shape[1] - special) ** 0.5)
        return state[:, special:].transpose(1, 2).unflatten(2, (side, side)) if state.ndim == 3 else state

    examples, expected = at_places(maps)
    found = outcome(loaded(KIND, folder, PLACES), examples)
    torch.testing.assert_close(found.features["last"], expected, rtol=1e-4, atol=1e-5)
    assert found.source_probs is None


def test_a_masked_autoencoder_sees_every_patch_and_always_the_same(checkpoint):
    folder = checkpoint("vit_mae")
    examples = [Pixels(PICTURES[0], np.array([[0.1, 0.1], [0.9, 0.9]], dtype=np.float32))]
    backbone = loaded(KIND, folder, PLACES)
    first, second = outcome(backbone, examples).features["last"], outcome(backbone, examples).features["last"]
    assert torch.equal(first, second)
    mirrored = [Pixels(PICTURES[0], np.array([[0.9, 0.9], [0.1, 0.1]], dtype=np.float32))]
    torch.testing.assert_close(outcome(backbone, mirrored).features["last"], first.flip(0))
    assert not torch.allclose(first[0], first[1])


def test_only_the_image_tower_is_loaded(checkpoint):
    names = [name for name, _ in loaded(KIND, checkpoint("clip")).module.named_parameters()]
    assert names and not [name for name in names if "text" in name]


def test_encode_runs_in_threads(checkpoint):
    backbone = loaded(KIND, checkpoint("dinov2"))
    images = [picture(20 + n, 40 - n, n) for n in range(12)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda image: backbone.encode([image])[0].inputs["pixel_values"], images))
    for ours, item in zip(threaded, backbone.encode(images), strict=True):
        torch.testing.assert_close(ours, item.inputs["pixel_values"])
    torch.testing.assert_close(torch.stack(threaded), inputs_of(checkpoint("dinov2"), images))


def test_loading_is_silent_and_changes_no_setting(checkpoint, capfd):
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    folder = checkpoint("vit", head=False)
    capfd.readouterr()
    before = logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    loaded(KIND, folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()) == before
    assert capfd.readouterr() == ("", "")
