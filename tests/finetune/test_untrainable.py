"""A kind of backbone without gradients for its weights; and the states of a training that are kept."""

import numpy as np
import pytest
import torch

from hf_transfer_score import RankOptions, SampleOptions
from hf_transfer_score.backbones.base import BackboneKind, MemoryBackbone, register_backbone, unregister_backbone
from hf_transfer_score.finetune.built import Builder, MeasuredRows, keep_training, kept_training, resume
from hf_transfer_score.finetune.loop import Machine, Training
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import verify
from hf_transfer_score.tasks import METHODS
from tests.cli.test_verify import write_reviews
from tests.finetune.made import QUICK, Loads, pictures

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letters(text: str) -> list[int]:
    return [text.count(letter) for letter in LETTERS]


@pytest.fixture
def kind():
    """A kind that counts letters, for checkpoints with a model_type of its own."""
    made = BackboneKind(
        "letters",
        "text",
        lambda repository: repository.config.get("model_type") == "letters",
        lambda repository, options: ["config.json"],
        lambda folder, task, options: MemoryBackbone(letters),
        priority=9,
    )
    register_backbone(made)
    yield made
    unregister_backbone("letters")


@pytest.fixture
def place(tmp_path):
    """A checkpoint of that kind, and a dataset whose classes it can distinguish."""
    (tmp_path / "counter").mkdir()
    (tmp_path / "counter" / "config.json").write_text('{"model_type": "letters"}')
    write_reviews(tmp_path / "reviews.jsonl", 80)
    return tmp_path


def verified(place, method, **changes):
    return verify(
        str(place / "reviews.jsonl"),
        [str(place / "counter")],
        options=RankOptions(sample=SampleOptions(max_samples=40), replicates=0),
        how=VerifyOptions(method, changes={"device": "cpu", **changes}, seeds=(0,)),
        folder=place / "home",
        save=place / "results",
    )


def test_it_can_be_probed(place, kind):
    report = verified(place, "probe")
    one = report.models["counter"]
    assert (one.status, one.reason) == ("ok", None)
    assert one.mean > 0.8
    assert one.measured[0].trainable_parameters == one.measured[0].total_parameters == 2 * (len(LETTERS) + 1)


@pytest.mark.parametrize("method", [one for one in METHODS if one != "probe"])
def test_every_other_method_is_a_row_with_the_reason(place, kind, method):
    report = verified(place, method, epochs=1, learning_rates=(1e-3,))
    one = report.models["counter"]
    assert (one.status, one.kind) == ("failed", "unsupported")
    assert one.reason == (
        f"is of a kind that gives features without gradients, so the method {method} cannot train it; use the method "
        "probe"
    )
    (path,) = [path for path in (place / "results" / "records").rglob("*.json") if '"truth"' in path.read_text("utf-8")]
    assert Record.from_json(path.read_bytes()).is_failed_measurement


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
