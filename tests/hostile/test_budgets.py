"""Excessive checkpoints, texts and classes are refused, or cut, before the work."""

import io
import json
import time
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from hf_transfer_score.backbones.audio_backbone import load_audio_backbone
from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.budgets import check_asked
from hf_transfer_score.backbones.text_backbone import load_text_backbone
from hf_transfer_score.errors import CheckpointError, LabelsError
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.sampling.media import open_image
from tests.checkpoints import texts
from tests.checkpoints.sounds import write_sound


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"num_hidden_layers": 10**9}, "asks for 1,000,000,000 layers"),
        ({"num_hidden_layers": float("inf")}, "asks for more than 1,000,000,000,000,000 layers"),
        ({"num_hidden_layers": 10**400}, "asks for more than 1,000,000,000,000,000 layers"),
        ({"num_hidden_layers": 0}, "a network of 0 layers"),
        ({"num_hidden_layers": -1}, "a network of -1 layers"),
        ({"model_args": {"layers": [10**6] * 4}}, "asks for 4,000,000 layers"),
        ({"vision_config": {"depths": [2, 10**6]}}, "asks for 1,000,002 layers"),
        ({"pretrained_cfg": {"input_size": [3, 10**6, 10**6]}}, "pixels an input"),
        ({"pretrained_cfg": {"input_size": [3, 50_000, 50_000]}}, "2,500,000,000 pixels an input"),
        ({"image_size": 10**6}, "pixels an input"),
        ({"size": {"height": 30_000, "width": 30_000}}, "900,000,000 pixels an input"),
        ({"size": {"shortest_edge": 10**7}}, "pixels an input"),
        ({"crop_size": {"height": 10**6, "width": 10**6}}, "pixels an input"),
        ({"size": {"shortest_edge": 1500}}, "9,000,000 pixels an input"),
        ({"size": {"height": 1e6, "width": 1e300}}, "pixels an input"),
        ({"pad_size": {"height": 10**5, "width": 10**5}}, "pixels an input"),
        ({"size_divisor": 10**6}, "pixels an input"),
        ({"chunk_length": 10**9}, "1,000,000,000 seconds of a sound"),
        ({"feature_size": 10**9}, "1,000,000,000 frequencies"),
        ({"num_channels": 10**6}, "1,000,000 channels"),
        ({"sampling_rate": 10**9}, "1,000,000,000 samples per second"),
    ],
)
def test_excessive_settings_are_refused(content, said):
    with pytest.raises(CheckpointError, match=said):
        check_asked("config.json", content, tensors=12)


@pytest.mark.parametrize(
    "content",
    [
        {"num_hidden_layers": 48, "hidden_size": 8192, "vocab_size": 256_000, "max_position_embeddings": 10**6},
        {"depths": [3, 3, 27, 3], "image_size": 384, "num_channels": 3},
        {"pretrained_cfg": {"input_size": [3, 800, 800]}, "model_args": {"layers": [3, 8, 36, 3]}},
        {"size": {"height": 2560, "width": 1920}, "sampling_rate": 48_000},
        {"size": {"longest_edge": 1333, "shortest_edge": 800}, "crop_size": {"shortest_edge": 518}},
        {"chunk_length": 30, "feature_size": 128, "encoder_layers": 32, "feature_layers": [-2, -5]},
        {"num_hidden_layers": "many", "image_size": None, "size": [], "layers": {"a": 1}},
    ],
)
def test_settings_of_real_networks_are_accepted(content):
    check_asked("config.json", content, tensors=12)


def test_frames_of_a_sound_are_those_of_its_extractor():
    check_asked("config.json", {"max_length": 10**9})
    with pytest.raises(CheckpointError, match="1,000,000,000 frames of a sound"):
        check_asked("preprocessor_config.json", {"max_length": 10**9})


def test_a_frame_of_all_that_is_heard_is_refused(tmp_path):
    folder = write_sound(tmp_path / "wavlm", "wavlm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"conv_stride": [10_000, 10_000, 10_000]}))
    with pytest.raises(CheckpointError, match="samples to make one frame of"):
        load_audio_backbone(folder, BackboneOptions())


def test_images_with_an_extreme_aspect_ratio_are_refused():
    for size, is_read in (((2000, 10), True), ((2001, 10), False), ((10, 2001), False)):
        content = io.BytesIO()
        Image.new("RGB", size).save(content, "PNG")
        with nullcontext() if is_read else pytest.raises(ValueError, match="at most an aspect ratio of 200"):
            open_image(content.getvalue())


def test_widths_far_beyond_the_weights_are_refused_before_they_take_memory(tmp_path):
    folder = texts.write_text(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    for setting in ("hidden_size", "intermediate_size", "vocab_size"):
        (folder / "config.json").write_text(json.dumps(config | {setting: 10**8}))
        with pytest.raises(CheckpointError, match="asks for a network of .* GB, and its weights hold 0.000 GB"):
            load_text_backbone(folder, BackboneOptions(), words=False)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return load_text_backbone(
        texts.write_text(tmp_path_factory.mktemp("texts") / "bert"), BackboneOptions(), words=False
    )


def test_a_text_is_cut_before_it_is_tokenized(backbone):
    text = "a good film " * 1_000_000
    start = time.process_time()
    (item,) = backbone.encode([text])
    assert time.process_time() - start < 5
    (short,) = backbone.encode([text[:20_000]])
    assert np.array_equal(item.sequences[0].numbers, short.sequences[0].numbers)


def test_a_very_long_word_is_encoded_quickly(backbone):
    start = time.process_time()
    backbone.encode(["good" * 2_500_000])
    assert time.process_time() - start < 5


def test_classes_without_end_are_refused():
    count = 100_000
    with pytest.raises(
        LabelsError, match="100,000 rows of 100,000 classes are too many: metrics hold a number for each"
    ):
        LabelledFeatures(np.random.default_rng(0).normal(size=(count, 2)), np.arange(count))
