"""The loop: its schedule, its end, and the state it leaves."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch

from hf_transfer_score.finetune import loop
from hf_transfer_score.finetune.classifier import Classifier, Trained
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.finetune.loop import (
    LabelledRows,
    Machine,
    Training,
    _batches,
    _factor,
    _optimizer,
    evaluate,
    features,
    forward,
    kept_pass,
    of_like_length,
)
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded, split_rows
from hf_transfer_score.sampling.sample import memory_sample
from tests.finetune.made import CLASSES, QUICK, Loads, pictures


@pytest.fixture
def ready(checkpoints):
    """A classifier of a fresh checkpoint, all of it to be trained, with rows to train on and rows held back."""

    def make(**changes):
        recipe, sample = Recipe(**{**QUICK, **changes}), pictures(30, seed=1)
        machine, backbone = Machine(recipe), Loads(checkpoints / "vit", "hub_vision")()
        classifier = Classifier(backbone, machine.device)
        everything = LabelledRows(Encoded(sample), np.arange(30), sample.labels)
        data, held = (everything.of(part) for part in split_rows(sample.labels, 0.3, 0))
        batch = classifier.batch(backbone.encode(sample.examples([0, 1])))
        reached = classifier.reached(batch)
        classifier.add_head(features(classifier, data.encoded, data.rows, machine), CLASSES)
        return Trained(classifier, reached, backbone.module), data, held, recipe, machine

    return make


def run(ready, rate, *, codes=None, **changes):
    trained, data, held, recipe, machine = ready(**changes)
    held = held if codes is None else LabelledRows(held.encoded, held.rows, codes)
    scores = []
    training = Training(trained, data, held, recipe, rate, seed=0, machine=machine)
    training.advance(after_epoch=lambda epoch, score: scores.append(score))
    found = training.finish()
    return found, scores, evaluate(trained.classifier, held, machine)


def test_the_learning_rate_rises_in_a_line_and_falls_as_a_cosine():
    recipe = Recipe(warmup_share=0.2)
    factors = [_factor(step, 10, recipe) for step in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert factors[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


def test_only_matrices_decay_and_the_head_learns_faster(ready):
    trained, *_ = ready()
    groups = _optimizer(trained, Recipe(weight_decay=0.3, head_factor=5), 0.01).param_groups
    rates = [(group["weight_decay"], group["lr"]) for group in groups]
    assert rates == [(0.3, 0.01), (0, 0.01), (0.3, 0.05), (0, 0.05)]
    assert all(one.ndim > 1 for one in groups[0]["params"]) and all(one.ndim == 1 for one in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(trained.weights) + 2


def test_it_stops_after_as_many_passes_without_a_gain(ready):
    found, scores, _ = run(ready, 1e-30, epochs=20, patience=2)
    assert (found.epochs, len(scores)) == (3, 3)
    assert run(ready, 1e-30, epochs=5, patience=None)[0].epochs == 5


def test_the_last_state_that_is_about_as_good_as_the_best_is_the_one_that_is_left(ready):
    rate, how = 0.1, {"epochs": 4, "patience": None}
    trained, data, held, recipe, machine = ready(**how)
    Training(trained, data, held, recipe, rate, seed=0, machine=machine).advance(1)
    (said,) = forward(trained.classifier, held.encoded, held.rows, machine, trained.classifier.logits)
    first = said[1].argmax(1).numpy()  # what it says after one pass, which is taken to be right
    found, scores, now = run(ready, rate, codes=first, **how)
    last = max(place for place, one in enumerate(scores) if one.accuracy == 1)
    assert found.kept == scores[last] == now
    assert found.best.accuracy == 1 > scores[-1].accuracy


def test_a_batch_in_parts_of_like_length_has_the_same_gradient(checkpoints, monkeypatch):
    texts = [("good " if row % 2 else "bad ") * (row % 8 + 1) for row in range(32)]
    sample = memory_sample("text-classification", texts, [row % 2 for row in range(32)])
    machine, gradients, counts = Machine(Recipe(**QUICK)), [], []
    monkeypatch.setattr(loop, "LARGEST_GRADIENT", 1e9)  # so that the size of gradients is compared, too
    for parts in (1, 4):
        monkeypatch.setattr(loop, "PARTS", parts)
        classifier = Classifier(Loads(checkpoints / "bert", "hub_text", "text-classification")(), machine.device)
        for module in classifier.backbone.module.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        rows = LabelledRows(Encoded(sample), np.arange(32), sample.labels)
        items = rows.encoded.items(classifier.backbone, rows.rows)
        counts.append(len(of_like_length([classifier.backbone.length(item) for item in items])))
        reached = classifier.reached(classifier.batch(items[:2]))
        classifier.add_head(features(classifier, rows.encoded, rows.rows, machine), 2)
        trained = Trained(classifier, reached, classifier.backbone.module)
        recipe = Recipe(**{**QUICK, "steps": 2, "batch_size": 32})  # the head begins with zeros
        Training(trained, rows, rows, recipe, 1e-2, seed=0, machine=machine).advance()
        gradients.append([weight.grad for weight in (*trained.weights, *classifier.head.parameters())])
    assert counts[0] == 1 < counts[1]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_a_training_that_is_given_up_frees_its_weights(ready):
    trained, data, held, recipe, machine = ready()
    training = Training(trained, data, held, recipe, 1e-3, seed=0, machine=machine)
    training.advance(1)
    weight = weakref.ref(trained.weights[0])
    del trained, training
    gc.collect()
    assert weight() is None


@pytest.mark.parametrize(
    ("accuracies", "rows", "place"),
    [([0.5], 10, 0), ([0.0, 0.0], 10, 1), ([1.0, 0.99], 10, 0), ([0.3, 0.8, 0.7], 16, 2), ([0.3, 0.8, 0.69], 16, 1)],
)
def test_a_state_counts_within_one_standard_error(accuracies, rows, place):
    assert kept_pass(accuracies, rows) == place


def test_steps_end_it_within_a_pass(ready):
    found, *_ = run(ready, 1e-3, epochs=9, steps=3, batch_size=10)
    assert found.epochs == 2  # of two batches of 10 rows and one left alone


def test_a_row_alone_is_left_out_of_a_pass():
    assert [len(part) for part in _batches(np.arange(21), 10)] == [10, 10]
    assert [len(part) for part in _batches(np.arange(22), 10)] == [10, 10, 2]
    assert [len(part) for part in _batches(np.arange(1), 10)] == [1]


def test_rows_are_held_back_class_by_class_and_apart():
    codes = np.repeat([0, 1, 2], [20, 5, 2])
    fitted, held = split_rows(codes, 0.2, seed=3)
    assert sorted([*fitted, *held]) == list(range(27))
    assert np.bincount(codes[held]).tolist() == [4, 1, 1]


def test_the_global_generator_is_left_alone(checkpoints):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fine_tune(Loads(checkpoints / "vit", "hub_vision"), pictures(12, 0), pictures(6, 1), Recipe(**QUICK), 0)
    assert torch.equal(torch.rand(3), expected)


def test_examples_that_are_too_many_to_keep_are_encoded_anew_with_the_same_result(ready, monkeypatch):
    kept = run(ready, 1e-3)
    monkeypatch.setattr("hf_transfer_score.finetune.rows.KEPT_BYTES", 10)
    again = run(ready, 1e-3)
    assert again[1] == kept[1]
