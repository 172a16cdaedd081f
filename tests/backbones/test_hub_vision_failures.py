"""What hub_vision claims and downloads, and its messages for checkpoints that cannot be scored."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.hub_vision import KIND
from hf_transfer_score.backbones.repository import Repository
from tests.backbones.pictures import PICTURES, features, inputs_of, loaded, outcome
from tests.checkpoints import spoil


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
    return spoil.failure(lambda: KIND.files(repository(config, *more), BackboneOptions(**options)))


def test_what_shows_before_the_download():
    kind, reason = refused({"model_type": "vit"})
    assert kind == "no_preprocessor" and "no preprocessor_config.json" in reason
    code = {"model_type": "of_tomorrow", "auto_map": {"AutoModel": "modeling.Tomorrow"}}
    kind, reason = refused(code, "preprocessor_config.json")
    assert kind == "remote_code" and "`trust_remote_code`" in reason
    kind, reason = refused({"model_type": "of_tomorrow"}, "preprocessor_config.json", trust_remote_code=True)
    assert kind == "unsupported" and "model_type 'of_tomorrow'" in reason
    assert "pip install --upgrade transformers" in reason


def test_files():
    options = BackboneOptions(trust_remote_code=True)
    code = {"model_type": "of_tomorrow", "auto_map": {"AutoModel": "modeling.Tomorrow"}}
    known = repository({"model_type": "vit"}, "preprocessor_config.json", "tf_model.h5", "modeling.py")
    assert KIND.files(known, BackboneOptions()) == ["model.safetensors", "config.json", "preprocessor_config.json"]
    unknown = repository(code, "preprocessor_config.json", "modeling.py")
    assert KIND.files(unknown, options)[-1] == "modeling.py"


def failure(folder, **options):
    return spoil.failure(lambda: loaded(KIND, folder, **options))


@pytest.fixture
def broken(checkpoint, tmp_path):
    """Return a function that copies a checkpoint to spoil it."""

    return lambda name, **arguments: Path(shutil.copytree(checkpoint(name, **arguments), tmp_path, dirs_exist_ok=True))


def test_missing_weights_are_never_random(broken):
    folder = broken("vit")
    spoil.drop(folder, "vit.layers.1.", "vit.encoder.layer.1.")
    kind, reason = failure(folder)
    assert kind == "corrupt" and "lacks 16 of 40 weights: vit." in reason
    folder = broken("vit")
    spoil.drop(folder, "classifier")
    assert "lacks 2 of 40 weights: classifier.bias, classifier.weight;" in failure(folder)[1]
    folder = broken("siglip")
    spoil.drop(folder, "vision_model.head")
    assert failure(folder)[0] == "corrupt"


def test_weights_of_another_width(broken):
    folder = broken("vit")
    spoil.edit_json(folder / "config.json", intermediate_size=40)
    kind, reason = failure(folder)
    assert kind == "corrupt" and "do not fit its config.json" in reason


def test_damaged_files(broken):
    folder = broken("convnext")
    content = (folder / "model.safetensors").read_bytes()
    for size in (100, 5_000, 20_000):
        (folder / "model.safetensors").write_bytes(content[:size])
        kind, reason = failure(folder)
        assert kind == "corrupt" and f"model.safetensors of {size:,} bytes where its header says" in reason
    (folder / "model.safetensors").write_bytes(content)
    (folder / "preprocessor_config.json").write_text("[1]")
    assert failure(folder) == ("corrupt", "has a preprocessor_config.json that is not a JSON object but a list")
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
    kind, reason = failure(folder)
    assert kind == "corrupt" and f"lacks 1 of {len(shards)} files: {shards[0].name}" in reason


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
    spoil.edit_json(folder / "config.json", problem_type="multi_label_classification")
    assert outcome(loaded(KIND, folder), PICTURES).source_probs is None


def test_half_precision_files_are_read_in_single(broken, checkpoint):
    from transformers import ViTForImageClassification

    folder = broken("vit")
    ViTForImageClassification.from_pretrained(checkpoint("vit")).half().save_pretrained(folder)
    found = features(KIND, folder)["last"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features(KIND, checkpoint("vit"))["last"], rtol=0.02, atol=0.02)
