"""Images prepared at another size: as the libraries do, or refused with a reason."""

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
import transformers

from hf_transfer_score.backbones import hub_text, hub_vision, timm_images
from hf_transfer_score.backbones.base import BackboneKind, BackboneOptions, MemoryBackbone
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.tasks import get_task
from tests.backbones.pictures import PICTURES, PLACES, at_places, features, loaded, outcome
from tests.checkpoints import images as written
from tests.checkpoints import spoil, texts

SQUARE = {"height": 96, "width": 96}
SIZES = {
    "vit": {"size": SQUARE},
    "beit": {"size": SQUARE},
    "swin": {"size": SQUARE},
    "dinov2": {"size": {"shortest_edge": 108}, "crop_size": SQUARE},
    "deit": {"size": {"height": 108, "width": 108}, "crop_size": SQUARE},
    "clip": {"size": {"shortest_edge": 96}, "crop_size": SQUARE},
    "siglip": {"size": SQUARE},
    "convnext": {"size": {"shortest_edge": 96}},
    "resnet": {"size": {"shortest_edge": 96}},
}
"""The arguments of each image processor for 96 x 96 pixels."""


def pixels_of(folder, name):
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    found = processor(images=PICTURES, return_tensors="pt", **SIZES[name])["pixel_values"]
    assert found.shape == (3, 3, 96, 96)
    return found


def by_hand(folder, name):
    """The default features of each by the library alone, at 96 pixels."""
    pixels = pixels_of(folder, name)
    more = {"interpolate_pos_encoding": True} if name not in ("dinov2", "convnext", "resnet") else {}
    made = {
        "vit": lambda model: model.vit(pixels, **more).last_hidden_state[:, 0],
        "beit": lambda model: model.beit(pixels, **more).pooler_output,
        "swin": lambda model: model.swin(pixels, **more).pooler_output,
        "dinov2": lambda model: model(pixels, **more).pooler_output,
        "deit": lambda model: model.deit(pixels, **more).last_hidden_state[:, :2].mean(1),
        "clip": lambda model: model.vision_model(pixels, **more).pooler_output,
        "siglip": lambda model: model.vision_model(pixels, **more).pooler_output,
        "convnext": lambda model: model.convnext(pixels, **more).pooler_output,
        "resnet": lambda model: model.resnet(pixels, **more).pooler_output.flatten(1),
    }[name]
    with torch.inference_mode():
        return made(written.model_of(name, folder))


@pytest.mark.parametrize("name", SIZES)
def test_transformers_reads_them_at_that_size(checkpoint, name):
    folder = checkpoint(name)
    backbone = loaded(hub_vision.KIND, folder, image_size=96)
    found = outcome(backbone, PICTURES).features["last"]
    torch.testing.assert_close(found, by_hand(folder, name), rtol=1e-4, atol=1e-5)
    assert backbone.details["image_size"] == 96
    for key, value in SIZES[name].items():
        assert backbone.details["preprocessing"][key] == value
    json.dumps(backbone.details)
    usual = outcome(loaded(hub_vision.KIND, folder), PICTURES).features["last"]
    assert (found - usual).abs().max() > 1e-3, "else the size would not matter"


def timm_by_hand(folder, **more):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, **more).eval()
    config = timm.data.resolve_model_data_config(model) | {"input_size": (3, 192, 192)}
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        pixels = torch.stack([transform(image) for image in PICTURES])
        return model.forward_head(model.forward_features(pixels), pre_logits=True)


@pytest.mark.parametrize(
    ("architecture", "more"), [("test_vit", {"img_size": 192}), ("test_resnet", {}), ("test_convnext", {})]
)
def test_timm_reads_them_at_that_size(checkpoint, architecture, more):
    folder = checkpoint("timm_image", architecture=architecture)
    backbone = loaded(timm_images.KIND, folder, image_size=192)
    found = outcome(backbone, PICTURES).features["last"]
    torch.testing.assert_close(found, timm_by_hand(folder, **more), rtol=1e-4, atol=1e-5)
    assert backbone.details["image_size"] == 192
    assert backbone.details["preprocessing"]["input_size"] == [3, 192, 192]
    usual = loaded(timm_images.KIND, folder)
    assert "image_size" not in usual.details
    assert (found - outcome(usual, PICTURES).features["last"]).abs().max() > 1e-3


@pytest.mark.parametrize(("kind", "name"), [(hub_vision.KIND, "vit"), (timm_images.KIND, "timm_image")])
def test_places_stay_where_they_are(checkpoint, kind, name):
    folder = checkpoint(name)

    def maps(image):
        backbone = loaded(kind, folder, PLACES, image_size=96)
        (item,) = backbone.encode([image])
        inputs = {"pixel_values": backbone.preparation.normalised(item.inputs["pixel_values"][None])}
        return backbone.reader.last(inputs).layers["last"].places

    examples, expected = at_places(maps)
    found = features(kind, folder, PLACES, examples, image_size=96)["last"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "name", "arguments"),
    [(hub_vision.KIND, "vit", {}), (timm_images.KIND, "timm_image", {"architecture": "test_vit"})],
)
def test_a_size_that_is_no_multiple_of_the_patches_is_refused(checkpoint, kind, name, arguments):
    with pytest.raises(
        CheckpointError, match=r"takes? images of 67 x 67 pixels: the size is not a multiple of its patches of"
    ):
        loaded(kind, checkpoint(name, **arguments), image_size=67)


def test_a_network_whose_weights_fit_one_size_is_refused(tmp_path):
    written.timm_image(tmp_path, "gmlp_ti16_224")
    assert outcome(loaded(timm_images.KIND, tmp_path), PICTURES).features["last"].shape == (3, 128)
    with pytest.raises(CheckpointError, match="does not take images of 64 x 64 pixels: ") as caught:
        loaded(timm_images.KIND, tmp_path, image_size=64)
    assert caught.value.kind == "unsupported"


def test_a_processor_that_names_its_size_otherwise_is_refused(checkpoint, tmp_path):
    folder = Path(shutil.copytree(checkpoint("vit"), tmp_path / "vit"))
    spoil.edit_json(folder / "preprocessor_config.json", size={"longest_edge": 32, "shortest_edge": 32})
    with pytest.raises(CheckpointError, match="its image processor does not resize images to a fixed size"):
        loaded(hub_vision.KIND, folder, image_size=64)


def test_other_modalities_refuse_it_before_anything_is_downloaded(tmp_path):
    folder = texts.write_text(tmp_path / "bert")
    options = BackboneOptions(image_size=64)
    with pytest.raises(CheckpointError, match="takes text, and image_size=64 is for images") as caught:
        hub_text.KIND.files(Repository.from_folder(folder), options)
    assert caught.value.kind == "unsupported"
    with pytest.raises(CheckpointError, match="is for images"):
        hub_text.KIND.load(folder, get_task("text-classification"), options)


def test_a_kind_that_knows_nothing_of_sizes_is_refused(tmp_path):
    kind = BackboneKind(
        "own", "image", lambda _: True, lambda *_: [], lambda *_: MemoryBackbone(lambda image: [image.width])
    )
    assert kind.load(tmp_path, get_task("image-classification"), BackboneOptions())
    with pytest.raises(CheckpointError, match="kind own, which prepares images only at the checkpoint's own size"):
        kind.load(tmp_path, get_task("image-classification"), BackboneOptions(image_size=64))


def test_it_is_a_part_of_what_features_are_found_by_only_where_it_is_given():
    usual = {"pooling": "auto", "layer": "last", "max_length": None, "subword": "first"}
    assert BackboneOptions().plain() == usual
    assert BackboneOptions(image_size=64).plain() == {**usual, "image_size": 64}
    with pytest.raises(OptionError, match="image_size=0: expected at least 1"):
        BackboneOptions(image_size=0)
