"""What a checkpoint may ask for, texts of many letters, classes without end: refused, or cut, before the work."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.budgets import check_asked
from hf_transfer_score.backbones.text_backbone import load_text_backbone
from hf_transfer_score.errors import CheckpointError, LabelsError
from hf_transfer_score.metrics.labelled import LabelledFeatures
from tests.checkpoints import texts


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"num_hidden_layers": 10**9}, "asks for 1,000,000,000 layers"),
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
        ({"num_channels": 10**6}, "1,000,000 channels"),
        ({"sampling_rate": 10**9}, "1,000,000,000 samples a second"),
    ],
)
def test_what_no_network_needs_is_refused(content, said):
    with pytest.raises(CheckpointError, match=said):
        check_asked("config.json", content, tensors=12)


@pytest.mark.parametrize(
    "content",
    [
        {"num_hidden_layers": 48, "hidden_size": 8192, "vocab_size": 256_000, "max_position_embeddings": 10**6},
        {"depths": [3, 3, 27, 3], "image_size": 384, "num_channels": 3},
        {"pretrained_cfg": {"input_size": [3, 800, 800]}, "model_args": {"layers": [3, 8, 36, 3]}},
        {"size": {"height": 2560, "width": 1920}, "sampling_rate": 48_000},
        {"size": {"longest_edge": 980, "shortest_edge": 378}, "encoder_layers": 32, "feature_layers": [-2, -5]},
        {"num_hidden_layers": "many", "image_size": None, "size": [], "layers": {"a": 1}},
    ],
)
def test_real_networks_are_not(content):
    check_asked("config.json", content, tensors=12)


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


def test_one_word_without_end_is_no_burden(backbone):
    start = time.process_time()
    backbone.encode(["good" * 2_500_000])
    assert time.process_time() - start < 5


def test_classes_without_end_are_refused():
    count = 100_000
    with pytest.raises(LabelsError, match="100,000 rows of 100,000 classes: metrics hold a number for each"):
        LabelledFeatures(np.random.default_rng(0).normal(size=(count, 2)), np.arange(count))
