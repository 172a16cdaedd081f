import concurrent.futures
import json

import numpy as np
import pytest
import torch
from PIL import Image

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.hub_vision import KIND
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Pixels
from tests.backbones.pictures import PICTURES, PLACES, features, loaded, outcome, picture
from tests.checkpoints import images as written

WITH_HEAD = ("vit", "deit", "beit", "convnext", "swin", "resnet")
WITHOUT = ("dinov2", "dinov3", "vit_mae", "clip", "siglip")
ALL = (*WITH_HEAD, *WITHOUT)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return a folder with a checkpoint, written once."""
    made = {}

    def make(name, **arguments):
        key = (name, *sorted(arguments.items()))
        if key not in made:
            made[key] = getattr(written, name)(tmp_path_factory.mktemp(name), **arguments)
        return made[key]

    return make


def model_of(name, folder):
    """The class of the library by its own name, without Auto classes."""
    import transformers

    made = {
        "vit": "ViTForImageClassification",
        "deit": "DeiTForImageClassificationWithTeacher",
        "beit": "BeitForImageClassification",
        "convnext": "ConvNextForImageClassification",
        "swin": "SwinForImageClassification",
        "resnet": "ResNetForImageClassification",
        "dinov2": "Dinov2Model",
        "dinov3": "DINOv3ViTModel",
        "clip": "CLIPModel",
        "siglip": "SiglipModel",
        "vit_mae": "ViTMAEModel",
    }[name]
    return getattr(transformers, made).from_pretrained(folder).eval()


def inputs_of(folder, images=PICTURES):
    """Inputs from the image processor, one image after the other."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder)
    return torch.cat([processor(images=image, return_tensors="pt")["pixel_values"] for image in images])


def expected_rows(name, model, pixels):
    """The documented defaults, from the parts of each model."""
    if name == "vit":
        return model.vit(pixels).last_hidden_state[:, 0]
    if name == "deit":
        return model.deit(pixels).last_hidden_state[:, :2].mean(1)
    if name == "beit":
        return model.beit(pixels).pooler_output
    if name == "convnext":
        return model.convnext(pixels).pooler_output
    if name == "swin":
        return model.swin(pixels).last_hidden_state.mean(1)
    if name == "resnet":
        return model.resnet(pixels).last_hidden_state.mean((2, 3))
    if name in ("dinov2", "dinov3"):
        return model(pixels).last_hidden_state[:, 0]
    if name == "vit_mae":
        model.config.mask_ratio = model.embeddings.config.mask_ratio = 0.0
        return model(pixels).last_hidden_state[:, 0]
    return model.vision_model(pixels).pooler_output


@pytest.mark.parametrize("name", ALL)
def test_default_features_and_probabilities(checkpoint, name):
    folder = checkpoint(name)
    model, pixels = model_of(name, folder), inputs_of(folder)
    backbone = loaded(KIND, folder)
    found = outcome(backbone, PICTURES)
    with torch.inference_mode():
        torch.testing.assert_close(found.features["last"], expected_rows(name, model, pixels), rtol=1e-5, atol=1e-5)
        if name in WITH_HEAD:
            torch.testing.assert_close(found.source_probs, model(pixels).logits.softmax(1), rtol=1e-5, atol=1e-6)
    assert (found.source_probs is None) == (name in WITHOUT)
    assert backbone.source_classes == (written.CLASSES if name in WITH_HEAD else 0)
    assert found.features["last"].std(0).max() > 1e-3
    json.dumps(backbone.details)


@pytest.mark.parametrize("name", ALL)
def test_an_image_alone_and_in_a_batch_is_the_same(checkpoint, name):
    backbone = loaded(KIND, checkpoint(name))
    together = outcome(backbone, PICTURES).features["last"]
    alone = torch.cat([outcome(backbone, [one]).features["last"] for one in PICTURES])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "part"), [("convnext", "convnext"), ("swin", "swin"), ("resnet", "resnet")])
def test_without_a_head_features_are_the_same_and_probabilities_are_none(checkpoint, name, part):
    folder = checkpoint(name, head=False)
    import transformers

    model = {"convnext": "ConvNextModel", "swin": "SwinModel", "resnet": "ResNetModel"}[name]
    model = getattr(transformers, model).from_pretrained(folder).eval()
    found = outcome(loaded(KIND, folder), PICTURES)
    with torch.inference_mode():
        expected = model(inputs_of(folder)).pooler_output.flatten(1)
    torch.testing.assert_close(found.features["last"], expected, rtol=1e-5, atol=1e-5)
    assert found.source_probs is None


@pytest.mark.parametrize("pooler", [False, True])
def test_the_dense_pooler_of_a_vit_is_never_used(checkpoint, pooler):
    folder = checkpoint("vit", head=False, pooler=pooler)
    from transformers import ViTModel

    model = ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.inference_mode():
        expected = model(inputs_of(folder)).last_hidden_state[:, 0]
    torch.testing.assert_close(features(KIND, folder)["last"], expected)


def test_a_classifier_of_dinov2_sees_class_token_and_mean(checkpoint):
    folder = checkpoint("dinov2", head=True)
    from transformers import Dinov2ForImageClassification

    model = Dinov2ForImageClassification.from_pretrained(folder).eval()
    found = outcome(loaded(KIND, folder), PICTURES)
    with torch.inference_mode():
        tokens = model.dinov2(inputs_of(folder)).last_hidden_state
    torch.testing.assert_close(found.features["last"], torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
    assert found.source_probs.shape == (3, written.CLASSES)


@pytest.mark.parametrize(("name", "special"), [("vit", 1), ("deit", 2), ("dinov3", 3), ("clip", 1), ("siglip", 0)])
def test_layers_of_transformers_are_hidden_states(checkpoint, name, special):
    folder = checkpoint(name)
    model = model_of(name, folder)
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


@pytest.mark.parametrize("name", ALL)
def test_asking_for_all_layers_changes_no_probabilities(checkpoint, name):
    folder = checkpoint(name)
    plain, layered = outcome(loaded(KIND, folder), PICTURES), outcome(loaded(KIND, folder, layer="all"), PICTURES)
    if plain.source_probs is not None:
        torch.testing.assert_close(plain.source_probs, layered.source_probs)
    assert {len(rows) for rows in layered.features.values()} == {3}


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
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder)
    model, size = model_of(name, folder), (64, 64) if name == "convnext" else (32, 32)
    base = getattr(model, {"siglip": "vision_model"}.get(name, name), model)
    places = [np.random.default_rng(n).random((n, 2), dtype=np.float32) for n in (3, 0, 4)]
    expected = []
    for image, where in zip(PICTURES, places, strict=True):
        resized = image.resize(size, Image.Resampling(processor.resample))
        pixels = (np.asarray(resized, dtype=np.float32) / 255 - processor.image_mean) / processor.image_std
        with torch.inference_mode():
            state = base(torch.from_numpy(pixels).float().permute(2, 0, 1)[None]).last_hidden_state
            if state.ndim == 3:
                side = round((state.shape[1] - special) ** 0.5)
                state = state[:, special:].transpose(1, 2).unflatten(2, (side, side))
            grid = torch.from_numpy(where[:, ::-1] * 2 - 1).view(1, 1, -1, 2)
            rows = torch.nn.functional.grid_sample(state, grid, align_corners=False, padding_mode="border")
        expected.append(rows[0, :, 0].T)
    examples = [Pixels(*pair) for pair in zip(PICTURES, places, strict=True)]
    found = outcome(loaded(KIND, folder, PLACES), examples)
    torch.testing.assert_close(found.features["last"], torch.cat(expected), rtol=1e-4, atol=1e-5)
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
    assert names
    assert not [name for name in names if "text" in name]


def test_encode_runs_in_threads(checkpoint):
    backbone = loaded(KIND, checkpoint("dinov2"))
    images = [picture(20 + n, 40 - n, n) for n in range(12)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda image: backbone.encode([image])[0].inputs["pixel_values"], images))
    for ours, item in zip(threaded, backbone.encode(images), strict=True):
        torch.testing.assert_close(ours, item.inputs["pixel_values"])
    torch.testing.assert_close(torch.stack(threaded), inputs_of(checkpoint("dinov2"), images))


def repository(config, *more, **descriptions):
    """A repository of a config.json and files of one byte."""
    files = dict.fromkeys(["config.json", "model.safetensors", *more], 1)
    return Repository("some/model", files, {"config.json": config, **descriptions})


IMAGES = {"preprocessor_config.json": {"image_processor_type": "ViTImageProcessor"}}


@pytest.mark.parametrize(
    ("config", "more", "claimed"),
    [
        ({"model_type": "vit"}, {}, True),
        ({"model_type": "clip"}, {}, True),
        ({"model_type": "siglip"}, {}, True),
        ({"model_type": "convnextv2"}, {}, True),
        ({"model_type": "clip_vision_model"}, {}, True),
        ({"model_type": "bert"}, {}, False),
        ({"model_type": "wav2vec2"}, {"preprocessor_config.json": {"feature_extractor_type": "x"}}, False),
        ({"model_type": "detr"}, IMAGES, False),
        ({"model_type": "llava"}, IMAGES, False),
        ({"model_type": "of_tomorrow"}, IMAGES, True),
        ({"model_type": "of_tomorrow"}, {}, False),
        ({"model_type": "timm_wrapper", "pretrained_cfg": {}, "architecture": "resnet18"}, {}, False),
        ({"architecture": "resnet18"}, {}, False),
    ],
)
def test_claims(config, more, claimed):
    assert KIND.claims(repository(config, *more, **more)) is claimed


def refused(config, *more, **options):
    with pytest.raises(CheckpointError) as caught:
        KIND.files(repository(config, *more), BackboneOptions(**options))
    return caught.value.kind, str(caught.value)


def test_what_shows_before_the_download():
    kind, reason = refused({"model_type": "vit"})
    assert kind == "no_preprocessor"
    assert "no preprocessor_config.json" in reason
    code = {"model_type": "of_tomorrow", "auto_map": {"AutoModel": "modeling.Tomorrow"}}
    kind, reason = refused(code, "preprocessor_config.json")
    assert kind == "remote_code"
    assert "--trust-remote-code" in reason
    kind, reason = refused({"model_type": "of_tomorrow"}, "preprocessor_config.json", trust_remote_code=True)
    assert kind == "unsupported"
    assert "model_type 'of_tomorrow'" in reason
    assert "pip install --upgrade transformers" in reason


def test_files():
    options = BackboneOptions(trust_remote_code=True)
    code = {"model_type": "of_tomorrow", "auto_map": {"AutoModel": "modeling.Tomorrow"}}
    known = repository({"model_type": "vit"}, "preprocessor_config.json", "tf_model.h5", "modeling.py")
    assert KIND.files(known, BackboneOptions()) == ["model.safetensors", "config.json", "preprocessor_config.json"]
    unknown = repository(code, "preprocessor_config.json", "modeling.py")
    assert KIND.files(unknown, options)[-1] == "modeling.py"


def failure(folder, **options):
    with pytest.raises(CheckpointError) as caught:
        loaded(KIND, folder, **options)
    return caught.value.kind, str(caught.value)


@pytest.fixture
def broken(checkpoint, tmp_path):
    """Return a function that copies a checkpoint to spoil it."""

    def copy(name, **arguments):
        for path in checkpoint(name, **arguments).iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        return tmp_path

    return copy


def without(folder, drop):
    """Leave out weights, and return how many there are."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if not drop(name)},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def test_missing_weights_are_never_random(broken):
    folder = broken("vit")
    without(folder, lambda name: "layers.1." in name or "layer.1." in name)
    kind, reason = failure(folder)
    assert kind == "corrupt"
    assert "lacks 16 of 40 weights: vit." in reason
    folder = broken("vit")
    without(folder, lambda name: name.startswith("classifier"))
    assert "lacks 2 of 40 weights: classifier.bias, classifier.weight;" in failure(folder)[1]
    folder = broken("siglip")
    without(folder, lambda name: "vision_model.head" in name)
    assert failure(folder)[0] == "corrupt"


def test_weights_of_another_width(broken):
    folder = broken("vit")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 40}))
    kind, reason = failure(folder)
    assert kind == "corrupt"
    assert "do not fit its config.json" in reason


def test_damaged_files(broken):
    folder = broken("convnext")
    content = (folder / "model.safetensors").read_bytes()
    for size in (100, 5_000, 20_000):
        (folder / "model.safetensors").write_bytes(content[:size])
        kind, reason = failure(folder)
        assert kind == "corrupt"
        assert f"model.safetensors of {size:,} bytes where its header says" in reason
    (folder / "model.safetensors").write_bytes(content)
    (folder / "preprocessor_config.json").write_text("[1]")
    assert failure(folder) == ("corrupt", "has a preprocessor_config.json that is no JSON object but a list")
    (folder / "preprocessor_config.json").unlink()
    assert failure(folder)[0] == "no_preprocessor"


def test_shards_that_are_missing(broken, checkpoint, tmp_path):
    from transformers import ViTForImageClassification

    folder = broken("vit")
    (folder / "model.safetensors").unlink()
    ViTForImageClassification.from_pretrained(checkpoint("vit")).save_pretrained(folder, max_shard_size="20KB")
    torch.testing.assert_close(features(KIND, folder)["last"], features(KIND, checkpoint("vit"))["last"])
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    shards[0].unlink()
    assert failure(folder)[0] == "corrupt"
    assert f"lacks 1 of {len(shards)} files: {shards[0].name}" in failure(folder)[1]


def test_a_pickle_is_loaded_only_where_it_is_allowed(broken, checkpoint):
    from safetensors.torch import load_file

    folder = broken("vit")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert failure(folder)[0] == "pickle_only"
    found = features(KIND, folder, allow_pickle=True)["last"]
    torch.testing.assert_close(found, features(KIND, checkpoint("vit"))["last"])
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    assert failure(folder, allow_pickle=True)[0] == "corrupt"


MODELING = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class TomorrowConfig(PretrainedConfig):
    model_type = "of_tomorrow"
    patch_size = 8


class Tomorrow(PreTrainedModel):
    config_class = TomorrowConfig

    def __init__(self, config):
        super().__init__(config)
        self.convolution = torch.nn.Conv2d(3, 6, 8, 8)
        self.post_init()

    def forward(self, pixel_values, return_dict=True):
        return BaseModelOutput(last_hidden_state=self.convolution(pixel_values))
"""


def test_remote_code_runs_only_where_it_is_trusted(broken):
    from safetensors.torch import save_file

    folder = broken("vit")
    (folder / "modeling.py").write_text(MODELING)
    code = {"AutoModel": "modeling.Tomorrow", "AutoConfig": "modeling.TomorrowConfig"}
    (folder / "config.json").write_text(json.dumps({"model_type": "of_tomorrow", "auto_map": code}))
    convolution = torch.nn.Conv2d(3, 6, 8, 8)
    weights = {f"convolution.{name}": value for name, value in convolution.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert failure(folder)[0] == "remote_code"
    with torch.inference_mode():
        expected = convolution(inputs_of(folder)).mean((2, 3))
    torch.testing.assert_close(features(KIND, folder, trust_remote_code=True)["last"], expected)


def test_independent_labels_have_no_softmax(broken):
    folder = broken("vit")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    assert outcome(loaded(KIND, folder), PICTURES).source_probs is None


def test_half_precision_files_are_read_in_single(broken, checkpoint):
    from transformers import ViTForImageClassification

    folder = broken("vit")
    ViTForImageClassification.from_pretrained(checkpoint("vit")).half().save_pretrained(folder)
    found = features(KIND, folder)["last"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features(KIND, checkpoint("vit"))["last"], rtol=0.02, atol=0.02)


def test_loading_is_silent_and_changes_no_setting(checkpoint, capfd):
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    folder = checkpoint("vit", head=False)
    capfd.readouterr()
    before = logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    loaded(KIND, folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()) == before
    assert capfd.readouterr() == ("", "")
