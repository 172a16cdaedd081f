import json
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.backbones.timm_images import KIND
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Pixels
from tests.backbones.pictures import PICTURES, PLACES, WHOLE, at_places, features, loaded, outcome, picture
from tests.checkpoints import spoil
from tests.checkpoints.images import CLASSES

TINY = timm.list_models("test_*")
FAMILIES = ("test_vit", "test_resnet", "test_convnext", "test_mambaout")


@pytest.fixture(scope="module")
def checkpoint(checkpoint):
    """Return a function that writes a checkpoint of an architecture once, and returns its folder."""
    return lambda architecture, **arguments: checkpoint("timm_image", architecture=architecture, **arguments)


def by_hand(folder, images=PICTURES):
    """The library's own loop: its transform, the whole forward pass, and a hook on the classifier."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    entered = []
    model.get_classifier().register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0].flatten(1)))
    with torch.inference_mode():
        logits = model(torch.stack([transform(image) for image in images]))
    return entered[0], logits


@pytest.mark.parametrize("architecture", TINY)
def test_features_are_what_the_classifier_sees_alone_in_a_batch_and_with_all_layers(checkpoint, architecture):
    folder = checkpoint(architecture)
    entered, logits = by_hand(folder)
    backbone = loaded(KIND, folder)
    found, layered = outcome(backbone, PICTURES), outcome(loaded(KIND, folder, layer="all"), PICTURES)
    assert list(found.features) == ["last"]
    torch.testing.assert_close(found.features["last"], entered, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.source_probs, logits.softmax(1), rtol=1e-5, atol=1e-6)
    assert backbone.source_classes == CLASSES
    assert found.features["last"].std(0).max() > 1e-3  # the pictures do differ
    assert backbone.details["architecture"] == architecture
    json.dumps(backbone.details)
    alone = torch.cat([outcome(backbone, [one]).features["last"] for one in PICTURES])
    torch.testing.assert_close(found.features["last"], alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layered.source_probs, found.source_probs, rtol=1e-5, atol=1e-6)
    assert list(layered.features) == [str(number) for number in range(1, len(layered.features) + 1)]
    assert {len(rows) for rows in layered.features.values()} == {len(PICTURES)}


@pytest.mark.parametrize("architecture", ["test_vit", "test_vit3", "test_vit4"])
def test_layers_of_a_transformer_are_its_blocks(checkpoint, architecture):
    folder = checkpoint(architecture)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    blocks = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, inputs, output: blocks.append(output))
    backbone = loaded(KIND, folder, layer="all", pooling="mean")
    batch = backbone.collate(backbone.encode(PICTURES))
    with torch.inference_mode():
        final = model.forward_features(backbone.preparation.normalised(batch["pixel_values"]))
        found = backbone.forward(batch).features
    patches = [tokens[:, model.num_prefix_tokens :].mean(1) for tokens in blocks]
    assert len(found) == len(blocks)
    for number, expected in enumerate(patches, 1):
        torch.testing.assert_close(found[str(number)], expected)
    averaged = features(KIND, folder, layer="mean", pooling="mean")["mean"]
    torch.testing.assert_close(averaged, torch.stack(patches).mean(0))
    torch.testing.assert_close(features(KIND, folder, layer=1, pooling="mean")["1"], patches[0])
    final_patches = final[:, model.num_prefix_tokens :]
    torch.testing.assert_close(features(KIND, folder, pooling="mean")["last"], final_patches.mean(1))
    torch.testing.assert_close(features(KIND, folder, pooling="max")["last"], final_patches.amax(1))
    if architecture == "test_vit":
        torch.testing.assert_close(features(KIND, folder, pooling="cls")["last"], final[:, 0])


def test_stages_of_a_convolutional_network_have_no_mean(checkpoint):
    with pytest.raises(CheckpointError, match=r"layers of different widths \(32, 32, 48, 192, 96\).* choose") as caught:
        features(KIND, checkpoint("test_resnet"), layer="mean")
    assert caught.value.kind == "unsupported"


def test_an_architecture_that_shows_its_layers_without_the_final_norm_only(checkpoint):
    folder = checkpoint("hiera_tiny_224", embed_dim=8, num_heads=1, stages=(1, 1, 1, 1))
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    backbone = loaded(KIND, folder, pooling="mean")
    batch = backbone.collate(backbone.encode(PICTURES))
    with torch.inference_mode():
        stages = model.forward_intermediates(
            backbone.preparation.normalised(batch["pixel_values"]), intermediates_only=True, output_fmt="NCHW"
        )
        found = backbone.forward(batch).features["last"]
    torch.testing.assert_close(found, stages[-1].mean((2, 3)))


def test_a_layer_that_is_not_there_and_a_token_that_is_not_there(checkpoint):
    with pytest.raises(CheckpointError, match="has the layers 1 to 5, and layer 9 was asked for"):
        features(KIND, checkpoint("test_resnet"), layer=9)
    with pytest.raises(CheckpointError, match="no class token"):
        features(KIND, checkpoint("test_resnet"), pooling="cls")
    with pytest.raises(CheckpointError, match='pooling="last" is for texts'):
        loaded(KIND, checkpoint("test_resnet"), pooling="last")


def test_without_a_head_there_are_no_probabilities(checkpoint):
    backbone = loaded(KIND, checkpoint("test_resnet", classes=0))
    found = outcome(backbone, PICTURES)
    assert found.source_probs is None
    assert backbone.source_classes == 0
    assert found.features["last"].shape == (3, 96)


def changed(folder, target, **values):
    shutil.copytree(folder, target, dirs_exist_ok=True)
    config = json.loads((target / "config.json").read_text())
    config["pretrained_cfg"] |= values.pop("pretrained_cfg", {})
    (target / "config.json").write_text(json.dumps(config | values))
    return target


def test_independent_labels_have_no_softmax(checkpoint, tmp_path):
    folder = changed(checkpoint("test_resnet"), tmp_path, problem_type="multi_label_classification")
    assert outcome(loaded(KIND, folder), PICTURES).source_probs is None


def test_the_projection_of_an_image_tower_is_no_head():
    from hf_transfer_score.backbones.timm_images import own_classes

    def classes(name, tag, count, **more):
        model = torch.nn.Module()
        model.num_classes = count
        return own_classes(model, {"architecture": name, "pretrained_cfg": {"tag": tag}, **more})

    assert classes("vit_base_patch16_clip_224", "openai", 512) == 0
    assert classes("vit_base_patch16_clip_224", "openai", 10) == 10
    assert classes("vit_base_patch16_clip_224", "openai", 512, label_names=["a"] * 512) == 512
    assert classes("vit_base_patch16_clip_224", "openai_ft_in1k", 1000) == 1000
    assert classes("resnet18", "a1_in1k", 1000) == 1000


@pytest.mark.parametrize(
    ("crop", "size", "how"),
    [("center", (3, 64, 64), "bicubic"), ("squash", (3, 48, 64), "bilinear"), ("border", (3, 64, 64), "nearest")],
)
def test_preprocessing_is_that_of_the_library(checkpoint, tmp_path, crop, size, how):
    about = {"crop_mode": crop, "input_size": size, "interpolation": how, "crop_pct": 0.9, "std": [0.2, 0.3, 0.4]}
    folder = changed(checkpoint("test_resnet"), tmp_path, pretrained_cfg=about)
    backbone = loaded(KIND, folder)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(backbone.module), is_training=False)
    images = [*PICTURES, picture(200, 90)]
    batch = backbone.collate(backbone.encode(images))
    assert batch["pixel_values"].dtype == torch.uint8
    ours = backbone.preparation.normalised(batch["pixel_values"])
    assert ours.shape[1:] == size
    torch.testing.assert_close(ours, torch.stack([transform(image) for image in images]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "F", "CMYK"])
def test_images_of_any_mode(checkpoint, mode):
    image = PICTURES[1].convert("L").convert(mode) if mode == "F" else PICTURES[1].convert(mode)
    folder = checkpoint("test_resnet")
    found = features(KIND, folder, examples=[image])["last"]
    torch.testing.assert_close(found, features(KIND, folder, examples=[image.convert("RGB")])["last"])


def test_a_network_for_one_channel(checkpoint):
    found = features(KIND, checkpoint("test_resnet", in_chans=1))["last"]
    assert found.shape == (3, 96)
    with pytest.raises(CheckpointError, match="takes images of 4 channels"):
        loaded(KIND, checkpoint("test_resnet", in_chans=4))


@pytest.mark.parametrize("architecture", FAMILIES)
def test_features_at_places_are_interpolated_from_the_last_map(checkpoint, architecture):
    folder = checkpoint(architecture)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(model)
    height, width = config["input_size"][1:]
    how = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[config["interpolation"]]

    def maps(image):
        pixels = np.asarray(image.resize((width, height), how), dtype=np.float32) / 255
        pixels = (pixels - np.float32(config["mean"])) / np.float32(config["std"])
        final = model.forward_features(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        if final.ndim == 3:
            return final[:, model.num_prefix_tokens :].transpose(1, 2).unflatten(2, model.patch_embed.grid_size)
        return final.permute(0, 3, 1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else final

    examples, expected = at_places(maps)
    found = outcome(loaded(KIND, folder, PLACES), examples)
    torch.testing.assert_close(found.features["last"], expected, rtol=1e-4, atol=1e-5)
    assert found.source_probs is None


def test_places_of_single_layers(checkpoint):
    examples = [Pixels(PICTURES[0], np.array([[0.1, 0.9], [0.5, 0.5]], dtype=np.float32))]
    found = features(KIND, checkpoint("test_vit"), PLACES, examples, layer="all")
    assert {rows.shape for rows in found.values()} == {(2, 64)}


@pytest.mark.parametrize(
    ("config", "claimed"),
    [
        ({"architecture": "resnet18", "num_classes": 10}, True),
        ({"architecture": "resnet18", "pretrained_cfg": {}, "model_type": "timm_wrapper"}, True),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, False),
        ({"model_type": "bert", "architecture": "post-norm"}, False),
        ({}, False),
    ],
)
def test_claims(config, claimed):
    assert KIND.claims(Repository("r", {"config.json": 1}, {"config.json": config})) is claimed


def test_files_and_pickles():
    safe = Repository("r", {"config.json": 1, "model.safetensors": 9, "pytorch_model.bin": 9})
    assert KIND.files(safe, BackboneOptions(allow_pickle=True)) == ["model.safetensors", "config.json"]
    pickled = Repository("r", {"config.json": 1, "pytorch_model.bin": 9})
    with pytest.raises(CheckpointError, match="name r in `allow_pickle`") as caught:
        KIND.files(pickled, BackboneOptions())
    assert caught.value.kind == "pickle_only"


def test_a_pickle_is_loaded_only_where_it_is_allowed(checkpoint, tmp_path):
    model = timm.create_model(f"local-dir:{checkpoint('test_resnet')}", pretrained=True)
    timm.models.save_for_hf(model, str(tmp_path), safe_serialization=False)
    with pytest.raises(CheckpointError, match="only pickled weights"):
        loaded(KIND, tmp_path)
    expected = features(KIND, checkpoint("test_resnet"))["last"]
    torch.testing.assert_close(features(KIND, tmp_path, allow_pickle=True)["last"], expected)


def test_a_saved_wrapper_of_transformers_is_the_same_checkpoint(checkpoint, tmp_path):
    from transformers import TimmWrapperForImageClassification

    folder = changed(checkpoint("test_resnet"), tmp_path / "original", model_args={})
    wrapper = TimmWrapperForImageClassification.from_pretrained(str(folder), local_files_only=True)
    wrapper.save_pretrained(tmp_path / "saved")
    assert KIND.claims(Repository.from_folder(tmp_path / "saved"))
    torch.testing.assert_close(features(KIND, tmp_path / "saved")["last"], features(KIND, folder)["last"])


def failure(folder):
    return spoil.failure(lambda: loaded(KIND, folder))


def test_what_is_wrong_with_a_checkpoint_is_said(checkpoint, tmp_path):
    folder = changed(checkpoint("test_resnet"), tmp_path)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    size = f"{len(content) - 100:,} bytes where its header says {len(content):,}"
    kind, reason = failure(folder)
    assert kind == "corrupt" and f"model.safetensors of {size}" in reason
    assert "delete the file and download it again" in reason
    weights.write_bytes(b"<!DOCTYPE html>")
    reason = "has a model.safetensors (15 bytes) that is not a safetensors file; delete the file and download it again"
    assert failure(folder) == ("corrupt", reason)
    weights.write_bytes(content)
    (folder / "config.json").write_text("{")
    assert failure(folder)[0] == "corrupt"
    assert "config.json that is not JSON" in failure(folder)[1]


def test_an_unknown_architecture(checkpoint, tmp_path):
    folder = changed(checkpoint("test_resnet"), tmp_path, architecture="resnet_of_tomorrow")
    kind, reason = failure(folder)
    assert kind == "unsupported" and "resnet_of_tomorrow" in reason and "pip install --upgrade timm" in reason


def test_missing_and_wrong_weights(checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = changed(checkpoint("test_resnet"), tmp_path)
    weights = load_file(folder / "model.safetensors")
    total = len(weights)
    for name in ("layer1.0.conv1.weight", "layer1.0.conv2.weight"):
        del weights[name]
    save_file(weights, folder / "model.safetensors")
    kind, reason = failure(folder)
    assert kind == "corrupt"
    assert f"lacks 2 of {total} weights: layer1.0.conv1.weight, layer1.0.conv2.weight;" in reason
    changed(checkpoint("test_resnet"), tmp_path, num_classes=7, model_args={"num_classes": 7})
    kind, reason = failure(folder)
    assert kind == "corrupt" and "has weights that do not fit its config.json" in reason
    changed(checkpoint("test_resnet"), tmp_path, model_args={"num_classes": 7})
    kind, reason = failure(folder)
    assert kind == "corrupt" and "lacks 2 of " in reason and "weights: fc.bias, fc.weight;" in reason


def test_loading_is_silent_and_changes_no_setting(checkpoint, capfd):
    import logging

    level = logging.getLogger("timm").level
    loaded(KIND, checkpoint("test_vit"), WHOLE)
    assert logging.getLogger("timm").level == level
    assert capfd.readouterr() == ("", "")
