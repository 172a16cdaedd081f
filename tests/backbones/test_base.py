import sys

import numpy as np
import pytest
import torch

from hf_transfer_score.backbones import base
from hf_transfer_score.backbones.base import (
    BackboneKind,
    BackboneOptions,
    MemoryBackbone,
    all_kinds,
    kind_of,
    register_backbone,
)
from hf_transfer_score.backbones.pooling import groups_of, pick_layers, pool
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError, DuplicateBackboneError, OptionError
from hf_transfer_score.tasks import get_task

CONFIGURED = Repository("some/model", {"config.json": 1}, {"config.json": {"model_type": "mine"}})


def kind(name="mine", modality="image", claims=lambda repository: True, **more):
    """A kind that makes memory backbones."""
    return BackboneKind(
        name,
        modality,
        claims,
        lambda repository, options: ["config.json"],
        lambda folder, task, options: MemoryBackbone(len),
        **more,
    )


@pytest.fixture
def only(monkeypatch):
    """Let a process know only the kinds that it registers."""
    monkeypatch.setattr(base, "_registered", {})
    monkeypatch.setattr(base, "_installed", dict)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pooling": "median"}, "pooling='median': expected one of auto, cls, mean, last, max"),
        ({"layer": "first"}, "layer='first': expected last, all, mean, or a number"),
        ({"layer": -1}, "layer=-1"),
        ({"subword": "middle"}, "subword='middle'"),
        ({"max_length": 0}, "max_length=0: expected at least 1"),
    ],
)
def test_options_that_make_no_sense(values, words):
    with pytest.raises(OptionError, match=words):
        BackboneOptions(**values)


def test_options_are_safe_by_default():
    options = BackboneOptions()
    assert not options.trust_remote_code
    assert not options.allow_pickle


def test_the_installed_kinds_have_the_names_of_their_entry_points():
    found = {name: point.load() for name, point in base._installed().items() if "vision" in name or "timm" in name}
    assert {name: (one.name, one.modality, one.library) for name, one in found.items()} == {
        "timm_images": ("timm_images", "image", "timm"),
        "hub_vision": ("hub_vision", "image", "transformers"),
    }


def test_a_package_brings_a_kind_through_the_entry_points(tmp_path, monkeypatch):
    (tmp_path / "my_kinds.py").write_text(
        "from hf_transfer_score.backbones.base import BackboneKind\n"
        "KIND = BackboneKind('my_kind', 'audio', lambda repository: True, lambda *_: [], lambda *_: None)\n"
    )
    about = tmp_path / "my_kinds-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-kinds\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hf_transfer_score.backbones]\nmy_kind = my_kinds:KIND\n")
    monkeypatch.syspath_prepend(tmp_path)
    base._installed.cache_clear()
    try:
        assert base._installed()["my_kind"].load().modality == "audio"
        (about / "entry_points.txt").write_text("[hf_transfer_score.backbones]\ntimm_images = my_kinds:KIND\n")
        base._installed.cache_clear()
        words = "Two installed packages register a kind of backbone named 'timm_images'"
        with pytest.raises(DuplicateBackboneError, match=words):
            base._installed()
    finally:
        sys.modules.pop("my_kinds", None)
        base._installed.cache_clear()


def test_a_kind_is_registered_once(only):
    one = kind()
    assert register_backbone(one) is one
    assert all_kinds() == {"mine": one}
    with pytest.raises(DuplicateBackboneError, match="'mine' already exists; choose another name"):
        register_backbone(kind())
    base.unregister_backbone("mine")
    assert all_kinds() == {}
    with pytest.raises(OptionError, match="No kind of backbone named 'mine' was added"):
        base.unregister_backbone("mine")


def test_the_kind_with_the_highest_priority_is_taken(only):
    low, high = register_backbone(kind("low")), register_backbone(kind("high", priority=1))
    register_backbone(kind("text", "text", priority=2))
    register_backbone(kind("never", claims=lambda repository: False, priority=3))
    assert kind_of(CONFIGURED, get_task("image-classification")) is high
    assert low.priority == 0


def test_a_checkpoint_of_another_modality(only):
    register_backbone(kind("sound", "audio"))
    register_backbone(kind("text", "text"))
    words = "is a checkpoint for sound and texts, and image-segmentation needs one for images"
    with pytest.raises(CheckpointError, match=words) as caught:
        kind_of(CONFIGURED, get_task("image-segmentation"))
    assert caught.value.kind == "wrong_modality"


def test_a_checkpoint_that_no_kind_claims(only):
    with pytest.raises(CheckpointError, match="of a kind that no backbone here knows: 'mine'") as caught:
        kind_of(CONFIGURED, get_task("image-classification"))
    assert caught.value.kind == "unsupported"


def test_a_memory_backbone_keeps_the_order_of_rows():
    backbone = MemoryBackbone(lambda example: [[len(example), 0], [0, len(example)]])
    batch = backbone.collate(backbone.encode(["ab", "c"]))
    expected = torch.tensor([[2.0, 0], [0, 2], [1, 0], [0, 1]])
    assert torch.equal(backbone.forward(batch).features["last"], expected)


STATES = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [900.0, 900.0]]])
LENGTHS = torch.tensor([2])


def test_padding_that_is_not_finite_does_not_leak():
    states = STATES.clone()
    states[0, 2] = torch.nan
    for how in ("mean", "max", "weightedmean", "mean_sqrt_len"):
        assert torch.isfinite(pool(states, LENGTHS, how)).all()


def test_half_precision_is_pooled_in_single():
    states = torch.full((1, 3000, 1), 30.0, dtype=torch.float16)
    assert pool(states, torch.tensor([3000]), "mean").item() == pytest.approx(30.0)


def test_layers_have_names_and_the_last_one_is_what_the_model_puts_out():
    hidden = tuple(torch.full((1, 1, 1), float(number)) for number in (1, 2, 6))
    last = torch.full((1, 1, 1), 9.0)
    assert pick_layers(last, None, "last")["last"].item() == 9.0
    assert {name: value.item() for name, value in pick_layers(last, hidden, "all").items()} == {"0": 1, "1": 2, "2": 9}
    assert pick_layers(last, hidden, "mean")["mean"].item() == 4.0
    assert pick_layers(last, hidden, 1)["1"].item() == 2.0


def test_a_layer_that_is_not_there():
    hidden = (torch.zeros(1, 1, 1),) * 3
    with pytest.raises(CheckpointError, match=r"has 2 layers, and layer=3 was asked for") as caught:
        pick_layers(hidden[0], hidden, 3)
    assert caught.value.kind == "unsupported"
    with pytest.raises(CheckpointError, match="does not show the states of its layers"):
        pick_layers(hidden[0], None, "mean")


def test_every_sequence_is_in_one_group_and_groups_are_small_enough():
    lengths = np.array([4, 2, 4, 4, 2, 1])
    for equal in (True, False):
        groups = groups_of(lengths, 2, equal=equal)
        assert sorted(index for group in groups for index in group) == list(range(6))
        assert max(map(len, groups)) <= 2
    assert all(len(set(lengths[group])) == 1 for group in groups_of(lengths, 2, equal=True))
