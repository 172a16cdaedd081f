"""Fine-tuning of tiny real checkpoints on samples that can be learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_transfer_score.errors import CheckpointError, LabelsError, OptionError
from hf_transfer_score.finetune.fine_tune import fine_tune, fit_probe
from hf_transfer_score.finetune.recipe import DEFAULTS, Recipe, default_recipe
from hf_transfer_score.finetune.rows import split_rows
from hf_transfer_score.sampling.sample import memory_sample
from hf_transfer_score.tasks import METHODS
from tests.finetune.made import CLASSES, QUICK, Loads, pictures, reviews

TRAIN, TEST = pictures(45, seed=1), pictures(60, seed=2)


@pytest.fixture(scope="module")
def measured(checkpoints):
    """What each method gives on the pictures, with what it loaded."""
    found = {}
    for method in METHODS:
        load = Loads(checkpoints / "vit", "hub_vision")
        found[method] = fine_tune(load, TRAIN, TEST, Recipe(method, layer=0, **QUICK), 0), load
    return found


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_what_can_be_learned(measured, method):
    one, _ = measured[method]
    assert min(one.accuracy, one.train_accuracy, one.validation_accuracy) > 0.8 > 2 / CLASSES  # chance is a third
    assert one.accuracy * len(TEST) == pytest.approx(round(one.accuracy * len(TEST)))


def test_labels_that_say_nothing_cannot_be_learned(checkpoints):
    """The test above would pass if test rows were trained on; on shuffled labels that would show."""
    shuffled = np.random.default_rng(0).permutation(np.repeat(np.arange(CLASSES), 15)).tolist()
    places = np.arange(45)
    noise = memory_sample("image-classification", TRAIN.examples(places), shuffled)
    one = fine_tune(Loads(checkpoints / "vit", "hub_vision"), noise, TEST, Recipe("full", **QUICK), 0)
    assert one.accuracy < 0.7


@pytest.mark.parametrize("method", ["full", "scl"])
def test_two_runs_of_one_seed_are_equal(checkpoints, measured, method):
    one, _ = measured[method]
    again = fine_tune(Loads(checkpoints / "vit", "hub_vision"), TRAIN, TEST, Recipe(method, layer=0, **QUICK), 0)
    assert replace(again, seconds=0) == replace(one, seconds=0)


def test_another_seed_is_another_measurement(checkpoints):
    rows = [tuple(split_rows(TRAIN.labels, 0.2, seed)[1]) for seed in (0, 1)]
    assert rows[0] != rows[1]


def test_texts_are_learned_too_and_a_checkpoint_without_norms_in_the_batch(checkpoints):
    load = Loads(checkpoints / "bert", "hub_text", "text-classification")
    one = fine_tune(load, reviews(60, 1), reviews(60, 2), Recipe("full", **{**QUICK, "epochs": 8}), 0)
    assert one.accuracy > 0.75


def test_each_learning_rate_begins_with_a_fresh_checkpoint_and_the_best_on_validation_is_taken(checkpoints):
    load = Loads(checkpoints / "vit", "hub_vision")
    recipe = Recipe("full", **{**QUICK, "learning_rates": (1e-9, 3e-3)})
    one = fine_tune(load, TRAIN, TEST, recipe, 0)
    assert len(load.loaded) == 2
    assert one.learning_rate == 3e-3
    alone = fine_tune(Loads(checkpoints / "vit", "hub_vision"), TRAIN, TEST, Recipe("full", **QUICK), 0)
    assert replace(one, seconds=0) == replace(alone, seconds=0)


def test_a_probe_is_the_logistic_regression_of_plain_features(checkpoints, measured):
    from sklearn.linear_model import LogisticRegression

    one, load = measured["probe"]
    backbone = Loads(checkpoints / "vit", "hub_vision")()
    with torch.no_grad():
        batches = (backbone.collate(backbone.encode(one.examples(range(len(one))))) for one in (TRAIN, TEST))
        rows, tested = (backbone.forward(batch).features["last"].double().numpy() for batch in batches)
    fitted, held = split_rows(TRAIN.labels, 0.2, 0)
    centre = rows[fitted].mean(0)
    scale = (rows[fitted] - centre).std()
    model = LogisticRegression(C=1 / (one.penalty * len(fitted)), max_iter=2000)
    model.fit((rows[fitted] - centre) / scale, TRAIN.labels[fitted])
    assert model.score((tested - centre) / scale, TEST.labels) == pytest.approx(one.accuracy)
    assert model.score((rows[held] - centre) / scale, TRAIN.labels[held]) == pytest.approx(one.validation_accuracy)
    assert (one.learning_rate, one.epochs, len(load.loaded)) == (None, 0, 1)


def test_a_class_that_a_probe_rules_out_is_no_warning():
    rows, codes = np.array([[0.0], [0.1], [1e6], [1.1e6], [1e6], [0.2]]), np.array([0, 0, 1, 1, 0, 1])
    found = fit_probe(rows, codes, (np.arange(4), np.arange(4, 6)), (rows, np.arange(6) % 2), (1e-9,))
    assert (found.train, found.validation, found.penalty) == (1.0, 0.0, 1e-9)


def test_regression_and_words_are_refused(checkpoints):
    load = Loads(checkpoints / "bert", "hub_text", "text-classification")
    targets = memory_sample("text-regression", ["one", "two"], [0.5, 1.5])
    with pytest.raises(OptionError, match="text-regression has targets; only classification can be fine-tuned"):
        fine_tune(load, targets, targets, Recipe(), 0)
    words = replace(reviews(4, 0), task=pictures(3, 0).task.__class__("token-classification", "text", "word"))
    with pytest.raises(OptionError, match="token-classification has labels per word"):
        fine_tune(load, words, words, Recipe(), 0)


def test_labels_that_do_not_fit_together_are_refused(checkpoints):
    load = Loads(checkpoints / "bert", "hub_text", "text-classification")
    strange = memory_sample("text-classification", ["one", "two"], [0, 7])
    with pytest.raises(LabelsError, match=r"1 classes that the training rows lack \(the first is 7\)"):
        fine_tune(load, reviews(8, 0), strange, Recipe(), 0)
    alone = memory_sample("text-classification", ["one", "two"], [0, 1])
    with pytest.raises(LabelsError, match="Every class of the training rows has a single row"):
        fine_tune(load, alone, alone, Recipe(), 0)
    assert not load.loaded


def test_the_only_row_of_a_class_is_trained_on():
    fitted, held = split_rows(np.array([0, 0, 0, 1, 2, 2]), 0.2, 0)
    assert 3 in fitted and len(held) == 2 and sorted([*fitted, *held]) == list(range(6))


def test_a_checkpoint_that_gives_no_numbers_is_a_failure_with_a_kind(checkpoints):
    load = Loads(checkpoints / "vit", "hub_vision")

    def broken():
        backbone = load()
        with torch.no_grad():
            next(backbone.module.parameters()).fill_(float("nan"))
        return backbone

    for method in ("probe", "full"):
        with pytest.raises(CheckpointError, match="not finite") as caught:
            fine_tune(broken, TRAIN, TEST, Recipe(method, **QUICK), 0)
        assert caught.value.kind == "non_finite"


def test_the_defaults_are_recipes_and_nonsense_is_refused():
    for modality, recipe in DEFAULTS.items():
        assert default_recipe(modality, "scl") == replace(recipe, method="scl")
    for wrong, words in (
        ({"method": "ia3"}, "method='ia3': expected one of probe, full, layer, scl, lora"),
        ({"learning_rates": ()}, "learning_rates=.*: expected at least one number above 0"),
        ({"epochs": 0}, "epochs=0: expected at least 1"),
        ({"validation_share": 1}, "validation_share=1: expected a share"),
    ):
        with pytest.raises(OptionError, match=words):
            Recipe(**wrong)
