import numpy as np
import pytest
import torch

from hf_transfer_score.backbones.pooling import groups_of, pick_layers, pool
from hf_transfer_score.errors import CheckpointError

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
