"""The sentences of the page follow from the figures."""

import numpy as np
import pytest

from benchmarks.evidence.conclusions import _typed, conclusions, in_short
from benchmarks.evidence.figures import MEAN_RANK, SOURCE, Target, Truth

MODELS = [f"network-{number}" for number in range(40)]
GENERATOR = np.random.default_rng(0)
ACCURACIES = np.linspace(0.3, 0.8, 40)


def near(noise):
    return ACCURACIES + GENERATOR.normal(0, noise, 40)


def target(**scores):
    named = {
        "ncti": near(0.05),
        "face": near(0.3),
        "knn": near(0.05),
        "parameter_count": near(2),
        "feature_width": near(2),
    }
    named |= {MEAN_RANK: near(0.1), SOURCE: near(0.02)} | scores
    truths = {"full": {model: Truth((one, one), 10, 10, 1.0) for model, one in zip(MODELS, ACCURACIES, strict=True)}}
    return Target({name: dict(zip(MODELS, map(float, one), strict=True)) for name, one in named.items()}, truths)


@pytest.fixture
def good():
    return {"images-50": target()}


def test_a_metric_above_every_baseline_is_named(good):
    said = in_short(good).splitlines()[0]
    assert "the better of FaCe and NCTI is NCTI" in said
    assert "The 80% intervals do not overlap, so it is **above every trivial baseline**." in said


def test_overlapping_intervals_are_reported():
    alike = near(0.2)
    said = in_short({"images-50": target(ncti=alike, parameter_count=alike, face=near(2))}).splitlines()[0]
    assert "**The 80% intervals overlap**" in said
    assert "the difference on the same backbones is +0.00 [+0.00, +0.00], which **does not exclude** 0." in said


def test_a_baseline_that_wins_is_named():
    worse = {
        "images-50": target(ncti=-ACCURACIES, face=-near(0.1), parameter_count=near(0.02), **{MEAN_RANK: -ACCURACIES})
    }
    said = in_short(worse)
    assert "the best trivial baseline is parameter_count" in said
    assert "NCTI is surely above the best trivial baseline in no target and surely below it in all 1 targets" in said


def test_metrics_are_compared_with_the_source_accuracy(good):
    said = in_short(good).splitlines()[-1]
    assert "Surely above it: no metric." in said
    better = in_short({"images-50": target(**{SOURCE: near(0.5)}, knn=near(0.01))}).splitlines()[-1]
    assert "knn (1 of 1)" in better


def test_settings_are_proposed_if_they_are_clearly_better():
    good, bad = (
        target(**{"face (temperature=1.0)": near(0.01), "hscore": near(1), "hscore (pca=16)": near(0.02)}),
        target(),
    )
    bad.scores["face (temperature=1.0)"] = bad.scores["face"]
    said = conclusions({"images-50": good, "images-10": bad}, {"images-50": good})
    assert "`--option face.temperature=1.0` (1 of 2)" in said
    assert "`--option hscore.pca=16` (1 of 2)" in said
    bad = target(**{"face (temperature=1.0)": [-value for value in bad.scores["knn"].values()]})
    said = conclusions({"images-50": good, "images-10": bad}, {"images-50": good})
    assert "No better default for FaCe or NCTI" in said
    assert "`--option face.temperature=1.0` (1 of 2; surely worse with 10 images per class)" in said


def test_training_a_part_is_compared_with_training_everything():
    made = target()
    for method, gain in (("layer", -0.05), ("scl", 0.05)):
        made.truths[method] = {
            model: Truth((one.mean + gain,), 2, 10, 1.0) for model, one in made.truths["full"].items()
        }
    said = conclusions({"images-50": made}, {"images-50": made})
    assert "Layer-FT is surely worse on all backbones (−5.0 points)" in said
    assert "SCL-FT is surely better on all backbones (+5.0 points)" in said


def test_settings_are_written_as_they_are_typed():
    assert _typed("gbc (convention=official, pca=64)") == "--option gbc.convention=official --option gbc.pca=64"
    assert _typed("ncti [without vc]") == "ncti [without vc]"
