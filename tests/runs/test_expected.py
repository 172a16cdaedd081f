"""How long a run and a verification take, by what ran before and by the first passes."""

import pytest

from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs import plan
from hf_transfer_score.runs.expected import ExpectedTime, Pace, RowCounts
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import KnownPace, PlannedModel, expected_seconds, guessed_seconds, paces
from hf_transfer_score.sampling.load import load_sample


def model(name, seconds=None, parameters=None):
    extraction = {} if seconds is None else {"seconds": seconds}
    return RankedModel(name, "ok", name, parameters=parameters, extraction=extraction)


ROWS = RowCounts(80, 20, 100)


def told_by(models, waiting, recipe, heard, rows=ROWS, seeds=3):
    """Return what is said while passes of the first model take so many seconds each."""
    said = []
    pace = Pace({one.name: one for one in models}, waiting, recipe, rows, seeds, said.append)
    for seconds in heard:
        pace.after_pass(models[0].name, seconds)
    return said


FULL = Recipe("full", learning_rates=(1e-4, 1e-3), epochs=10, batch_size=8)


def test_the_second_pass_counts_and_it_is_said_once():
    (said,) = told_by([model("a", 2.0)], {"a": 3}, FULL, (60.0, 2.6, 99.0))
    testing = 2.6 / (3 * 80 + 20) * (80 + 100)
    assert said.seconds == pytest.approx(3 * (2 * 10 * 2.6 + testing))
    assert (said.models, said.seeds, said.measurements, said.rates, said.passes) == (1, 3, 3, 2, 10)
    assert told_by([model("a", 2.0)], {"a": 3}, FULL, (60.0,)) == []


def test_other_models_take_time_as_their_features_did_or_else_by_their_size():
    one = told_by([model("a", 2.0)], {"a": 3}, FULL, (2.6, 2.6))[0].seconds
    slower = [model("a", 2.0), model("b", 6.0)]
    assert told_by(slower, {"a": 3, "b": 3}, FULL, (2.6, 2.6))[0].seconds == pytest.approx(one * 4)
    larger = [model("a", 2.0, 10), model("b", None, 20)]
    assert told_by(larger, {"a": 3, "b": 3}, FULL, (2.6, 2.6))[0].seconds == pytest.approx(one * 3)
    unknown = [model("a"), model("b")]
    assert told_by(unknown, {"a": 3, "b": 3}, FULL, (2.6, 2.6))[0].seconds == pytest.approx(one * 2)


def test_what_was_measured_before_takes_no_time_and_is_named():
    (said,) = told_by([model("a"), model("b")], {"a": 1, "b": 0}, FULL, (2.6, 2.6))
    (alone,) = told_by([model("a")], {"a": 1}, FULL, (2.6, 2.6), seeds=1)
    assert said.seconds == pytest.approx(alone.seconds)
    assert str(said).endswith("2 models x 3 seeds x 2 learning rates of up to 10 epochs (5 of 6 measured before)")


@pytest.mark.parametrize(("steps", "passes"), [(None, 10), (25, 3), (10, 1), (1000, 10)])
def test_steps_bound_the_passes(steps, passes):
    recipe = Recipe("full", learning_rates=(1e-3,), epochs=10, batch_size=8, steps=steps)
    (said,) = told_by([model("a")], {"a": 3}, recipe, (1.0, 1.0))
    assert said.passes == passes


def test_a_probe_is_timed_as_a_whole_and_the_last_thing_to_do_is_no_news():
    said = []
    probe = Recipe("probe")
    pace = Pace({"a": model("a")}, {"a": 3}, probe, ROWS, 3, said.append)
    pace.after_probe("a", 4.0)
    assert said[0].seconds == 12.0
    assert str(said[0]) == "about 12 s for 1 model x 3 seeds"
    Pace({"a": model("a")}, {"a": 1}, probe, ROWS, 1, said.append).after_probe("a", 4.0)
    Pace({"a": model("a")}, {"a": 3}, FULL, ROWS, 3, said.append).after_probe("a", 4.0)
    assert len(said) == 1


def test_a_single_pass_says_at_most_of_nothing():
    assert str(ExpectedTime(7000.0, 2, 1, 2, 1, 1)) == "about 1 h 57 min for 2 models x 1 seed x 1 learning rate"


def planned(name, state="on disk", kind="timm_images", parameters=10_000_000):
    checkpoint = Checkpoint(name, "0" * 40, Repository(name, {}), parameters=parameters)
    return PlannedModel(name, state, checkpoint, kind)


def kept(kind, parameters, seconds, examples=100, device="cpu"):
    made = {"seconds": seconds, "examples": examples, "device": device}
    return {"kind": kind, "own_parameters": parameters, "extraction": made}


def test_the_pace_is_that_of_the_nearest_in_size_of_the_same_kind():
    known = [
        KnownPace("timm_images", 10_000_000, 0.02),
        KnownPace("timm_images", 90_000_000, 0.5),
        KnownPace("hub_text", 10, 9.0),
    ]
    assert expected_seconds([planned("a")], 500, known) == 500 * 0.02
    assert expected_seconds([planned("a"), planned("b", parameters=20_000_000)], 500, known) == 500 * 0.06
    assert expected_seconds([planned("a"), planned("b", state="cached")], 500, known) == 500 * 0.02


def test_without_a_peer_nothing_is_said():
    assert expected_seconds([planned("a", kind="hub_audio")], 500, [KnownPace("timm_images", 10_000_000, 0.02)]) is None
    assert expected_seconds([planned("a", parameters=10**9)], 500, [KnownPace("timm_images", 10_000_000, 0.02)]) is None
    assert expected_seconds([planned("a", state="failed")], 500, []) == 0


def test_before_anything_was_timed_there_is_a_guess_in_proportion_to_sizes_and_lengths(monkeypatch):
    monkeypatch.setattr(plan, "_speed", lambda: 1e9)
    options = RankOptions(extract=ExtractOptions(device="cpu"))

    def guessed(*models, letters=400, examples=30, options=options):
        sample = load_sample({"text": ["x" * letters] * examples, "label": [0, 1] * (examples // 2)})
        return guessed_seconds(models, sample, options)

    low, high = guessed(planned("a"))
    assert low < 2 * 10_000_000 * 100 * 30 / 1e9 < high
    assert guessed(planned("a"), planned("b"), examples=60)[1] == pytest.approx(4 * high)
    assert guessed(planned("a"), letters=200)[1] == pytest.approx(high / 2, rel=0.05)
    assert guessed(planned("a"), planned("b", state="cached")) == (low, high)
    assert guessed(planned("a"), planned("b", parameters=None)) is None  # of unknown size
    assert guessed(planned("a"), options=RankOptions(extract=ExtractOptions(device="cuda"))) is None


def test_what_is_kept_tells_the_pace_of_the_device_that_ran_last():
    meta = [kept("timm_images", 100, 4.0), kept("timm_images", 100, 0.1, device="cuda"), {}, kept("hub_text", None, 1)]
    assert paces(meta) == [KnownPace("timm_images", 100, 0.04)]
