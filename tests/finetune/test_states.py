"""A training that is interrupted after a pass continues as if it had not been."""

import numpy as np
import pytest
import torch

from hf_transfer_score.finetune.built import Builder, MeasuredRows
from hf_transfer_score.finetune.loop import Machine, Training
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.states import keep_training, kept_training, resume
from tests.finetune.made import QUICK, Loads, pictures


@pytest.mark.parametrize(
    ("name", "kind", "method"),
    [("resnet", "timm_images", "full"), ("vit", "hub_vision", "scl"), ("resnet", "timm_images", "lora")],
)
def test_a_training_goes_on_from_its_file_to_the_very_same_numbers(checkpoints, tmp_path, name, kind, method):
    recipe = Recipe(**{**QUICK, "method": method, "epochs": 4, "batch_size": 8, "patience": None})
    machine, rows = Machine(recipe), MeasuredRows.of(pictures(30, 0), pictures(12, 1), recipe, 0)
    load = Loads(checkpoints / name, kind)

    def begun(known=None):
        built = Builder(load, rows, recipe, machine).built(known)
        built.classifier.backbone.module.apply(lambda one: setattr(one, "p", 0.3) if hasattr(one, "p") else None)
        return built, Training(built.trained, rows.fitted, rows.held, recipe, 3e-3, seed=0, machine=machine)

    built, whole = begun()
    whole.advance()
    built, training = begun()
    for passes in (1, 3, None):
        torch.manual_seed(passes or 0)  # what else is drawn meanwhile changes nothing
        training.advance(passes)
        keep_training(tmp_path / "state", training, built)
        kept = kept_training(tmp_path / "state")
        built, training = begun(kept.anchors)
        resume(training, kept)
    assert training.ended and training.scores == whole.scores and training.best == whole.best
    np.testing.assert_array_equal(training.rights, whole.rights)
    for mine, other in ((training.state, whole.state), (training.trained.state(), whole.trained.state())):
        assert mine.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in mine.items())


def test_a_file_that_is_no_training_counts_as_none(tmp_path):
    (tmp_path / "state").write_bytes(b"{}")
    assert kept_training(tmp_path / "state") is None and kept_training(tmp_path / "none") is None
