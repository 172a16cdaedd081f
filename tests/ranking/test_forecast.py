"""The forecast: right more often than what it is made of, calibrated, and steady beside junk."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pyarrow import compute

from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.board import board_of
from hf_transfer_score.ranking.effects import KIN, Known
from hf_transfer_score.ranking.forecast import Forecaster, ModelForecast
from hf_transfer_score.ranking.history import History, MeasuredColumn, failed
from hf_transfer_score.ranking.looks import Belief, Looks, expected_places, worth_of
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.shipped import shipped_place
from hf_transfer_score.records.table import RecordTable
from tests.ranking.community import DATASETS, TARGET, Community

TASK = "image-classification"


def history_of(community: Community) -> History:
    def column(dataset: str, protocol: str, values: Callable[[str], float]) -> MeasuredColumn:
        return MeasuredColumn(dataset, TASK, protocol, {model: values(model) for model in community.facts})

    return History(
        tuple(column(name, "full", lambda model, name=name: community.accuracies[model, name]) for name in DATASETS),
        tuple(
            column(name, metric, lambda model, name=name, metric=metric: community.scores[model, name, metric])
            for name in DATASETS
            for metric in ("logme", "theirs")
        ),
        {
            name: Relations(family=str(one["family"]), parameters=int(str(one["parameters"])))
            for name, one in community.facts.items()
        },
    )


def looks_of(community: Community, metrics: tuple[str, ...] = ("logme", "theirs")) -> Looks:
    """Return what the metrics say of the target."""
    names = tuple(community.facts)
    found = {
        metric: {place: community.scores[name, TARGET, metric] for place, name in enumerate(names)}
        for metric in metrics
    }
    return Looks(names, found)


@cache
def forecaster_of(seed: int) -> Forecaster:
    """Return what a community's other datasets teach."""
    return Forecaster(history_of(Community(seed)).elsewhere(TARGET))


def forecast(community: Community, looks: Looks, history: History | None = None) -> list[ModelForecast]:
    """Return the forecast of the target from all other datasets."""
    known = forecaster_of(community.seed) if history is None else Forecaster(history.elsewhere(TARGET))
    return known.forecast(looks)


def agreement(found: list[ModelForecast], community: Community) -> float:
    """Return τ_w with the hidden accuracies."""
    return weighted_kendall([one.score for one in found], [community.truth[name] for name in community.facts])


@pytest.fixture(scope="module")
def communities() -> list[Community]:
    """Ten of them."""
    return [Community(seed) for seed in range(10)]


def test_together_they_predict_better_than_each_alone(communities):
    found = []
    for one in communities:
        logme = [one.scores[name, TARGET, "logme"] for name in one.facts]
        made = forecast(one, looks_of(one)), forecast(one, looks_of(one, ())), forecast(one, looks_of(one), History())
        found.append([*(agreement(each, one) for each in made), weighted_kendall(logme, list(one.truth.values()))])
    both, *alone = np.mean(found, axis=0)
    assert both > max(alone) + 0.025  # none of these datasets resembles another
    assert both > 0.6


def test_intervals_and_probabilities_hold_what_they_say(communities):
    inside, said, came = [], [], []
    for one in communities:
        found = forecast(one, looks_of(one))
        truth = np.array(list(one.truth.values()))
        behind = 100 * (truth.max() - truth)
        inside += [
            ends.low - 1e-9 <= value <= ends.high + 1e-9
            for ends, value in zip((each.points_below_best for each in found), behind, strict=True)
        ]
        said += [each.best_probability for each in found]
        came += (truth == truth.max()).tolist()
    assert 0.72 < np.mean(inside) < 0.9
    likely = np.array(said) > 0.2
    assert np.mean(np.array(came)[likely]) == pytest.approx(np.mean(np.array(said)[likely]), abs=0.2)
    assert sum(said) == pytest.approx(len(communities))


def test_a_metric_counts_as_much_as_it_was_worth(communities):
    one = communities[0]
    known = forecaster_of(one.seed)
    rho, noise = worth_of(["logme", "theirs"], known.columns, known.history.scores)
    assert rho[0] > rho[1] + 0.15
    assert np.linalg.eigvalsh(noise).min() > 0


def test_a_cold_model_has_what_its_family_has(communities):
    one = communities[0]
    history = history_of(one)
    best = max(one.facts, key=lambda name: one.truth[name])
    without = replace(
        history,
        accuracies=tuple(
            replace(each, values={name: value for name, value in each.values.items() if name != best})
            for each in history.accuracies
        ),
    )
    place = list(one.facts).index(best)
    known, cold = (forecast(one, looks_of(one, ()), each)[place] for each in (history, without))
    assert cold.places[1] - cold.places[0] > known.places[1] - known.places[0]
    assert "its family" in " ".join(cold.why) and "other datasets" not in " ".join(cold.why)


def test_ten_junk_models_hardly_move_the_others(communities):
    swapped = pairs = 0
    for one in communities[:4]:
        names = tuple(one.facts)
        before = [each.score for each in forecast(one, looks_of(one))]
        looks = looks_of(one)
        junk = {
            metric: values | {len(names) + number: 3 * min(values.values()) - number / 10 for number in range(10)}
            for metric, values in looks.metrics.items()
        }
        more = replace(looks, ids=(*names, *(f"junk/{number}" for number in range(10))), metrics=junk)
        after = [each.score for each in forecast(one, more)][: len(names)]
        signs = np.sign(np.subtract.outer(before, before)) * np.sign(np.subtract.outer(after, after))
        swapped += int((signs < 0).sum() / 2)
        pairs += len(names) * (len(names) - 1) // 2
    assert swapped / pairs < 0.02


def test_accuracies_by_another_method_count_like_a_metric(communities):
    generator, found = np.random.default_rng(0), []
    for one in communities[:5]:
        history, looks = history_of(one), looks_of(one)
        lora = [
            replace(column, protocol="lora", values={name: value + generator.normal(0, 0.02) for name, value in pairs})
            for column in history.accuracies
            for pairs in [column.values.items()]
        ]
        elsewhere = replace(history, accuracies=(*history.accuracies, *lora)).elsewhere(TARGET)
        here = [column for column in lora if column.dataset == TARGET]
        made = [Forecaster(elsewhere, here=each).forecast(looks) for each in ([], here)]
        found.append([agreement(each, one) for each in made])
        assert any("accuracy by lora" in " ".join(each.why) for each in made[1])
        assert all(each.expected_accuracy is None for each in made[1])
    without, told = np.mean(found, axis=0)
    assert told > without + 0.02


def test_measured_accuracies_of_this_dataset_anchor_the_others(communities):
    one = communities[0]
    looks = looks_of(one)
    assert all(each.expected_accuracy is None for each in forecast(one, looks))
    names = list(one.facts)
    measured = {place: one.truth[names[place]] for place in range(0, len(names), 3)}
    found = forecast(one, replace(looks, accuracies=measured))
    levels = [each.expected_accuracy for each in found]
    assert [levels[place].value for place in measured] == [pytest.approx(value) for value in measured.values()]
    errors = [abs(level.value - one.truth[name]) for level, name in zip(levels, names, strict=True)]
    assert np.mean(errors) < 0.03
    assert found[0].why[0] == f"measured here: {one.truth[names[0]]:.1%}"
    by_score = sorted(measured, key=lambda place: -found[place].score)
    assert by_score == sorted(measured, key=lambda place: -measured[place])


def families_that_differ_by_dataset(seed: int) -> tuple[History, tuple[str, ...], list[float]]:
    """Return ten datasets on each of which other families are good, and what would be measured on an eleventh."""
    generator = np.random.default_rng(seed)
    names = tuple(f"{family}/{number}" for family in "abcdefgh" for number in range(6))
    columns = []
    for dataset in range(11):
        common = generator.normal(0, 0.02, 8)
        quality = 0.8 + np.repeat(common, 6) + generator.normal(0, 0.02, len(names))
        columns.append(MeasuredColumn(f"set-{dataset}", TASK, "full", dict(zip(names, quality.tolist(), strict=True))))
    facts = {name: Relations(family=name[0]) for name in names}
    return History(tuple(columns[:10]), models=facts), names, list(columns[10].values.values())


def test_what_is_measured_here_says_something_of_others_of_the_family():
    gained = []
    for seed in range(5):
        history, names, truth = families_that_differ_by_dataset(seed)
        shown = {place: truth[place] for place in range(len(names)) if place % 2}
        rest = [place for place in range(len(names)) if place not in shown]
        found = Forecaster(history).forecast(Looks(names, accuracies=shown))
        strangers = Forecaster(replace(history, models={})).forecast(Looks(names, accuracies=shown))
        gained.append(
            [
                weighted_kendall([one[place].score for place in rest], [truth[place] for place in rest])
                for one in (found, strangers)
            ]
        )
        assert any("how models like it did here" in reason for place in rest for reason in found[place].why)
        assert not any("models like it" in reason for one in strangers for reason in one.why)
    known, unknown = np.mean(gained, axis=0)
    assert known > 0.4 > 0.2 > unknown


def test_how_much_families_differ_by_dataset_is_learnt_from_records(communities):
    differ = [Forecaster(families_that_differ_by_dataset(seed)[0]).in_common for seed in range(5)]
    alike = [forecaster_of(one.seed).in_common for one in communities]
    assert np.mean(differ) > 0.3 > 0.05 > np.mean(alike)
    assert Forecaster(History()).in_common == KIN


def test_no_family_and_a_family_of_one_change_nothing():
    ids, measured = ("a", "b", "c", "d"), {0: 0.7, 1: 0.8, 2: 0.9}
    alone = Forecaster(History()).outcomes(Looks(ids, accuracies=measured))
    single = Forecaster(History(), {name: Relations(family=name) for name in ids})
    np.testing.assert_array_equal(alone, single.outcomes(Looks(ids, accuracies=measured)))
    kin = {"a": Relations(family="low"), "c": Relations(family="high"), "d": Relations(family="high")}
    assert Forecaster(History(), kin).outcomes(Looks(ids, accuracies=measured))[3].mean() > alone[3].mean()


def test_places_are_those_of_endless_draws():
    generator = np.random.default_rng(0)
    mean, shared, rates = generator.normal(size=12), generator.normal(size=(12, 2)), np.linspace(0, 0.3, 12)
    known = Known(mean, mean[None], np.zeros(12), shared, np.full(12, 0.5))
    belief = Belief.of(known)
    belief.look(range(8), 2.0, np.where(np.arange(12) < 8, generator.normal(size=12), 0))
    drawn = belief.drawn(100_000, generator)
    drawn = np.where(generator.random(drawn.shape) < rates[:, None], generator.normal(-1000, 1, drawn.shape), drawn)
    places = (-drawn).argsort(0).argsort(0).mean(1) + 1
    assert expected_places(belief, rates) == pytest.approx(places, abs=0.05)


def test_nothing_known_is_wide_and_said_so():
    found = Forecaster(History()).forecast(Looks(("a/a", "b/b", "c/c")))
    assert [round(one.best_probability, 1) for one in found] == [0.3, 0.3, 0.3]
    assert all(one.places == (1, 3) and one.why == ("nothing is known that sets it apart",) for one in found)


def test_protocols_are_told_apart():
    names = [f"owner/{number}" for number in range(12)]
    up, down = (dict(zip(names, np.linspace(*ends, 12).tolist(), strict=True)) for ends in ((0.5, 0.9), (0.9, 0.5)))
    history = History(
        (
            *(MeasuredColumn(f"owner/full-{number}", TASK, "full", up) for number in range(3)),
            *(MeasuredColumn(f"owner/lora-{number}", TASK, "lora", down) for number in range(3)),
        ),
        (),
        {name: Relations() for name in names},
    )
    looks = Looks(tuple(names))
    full, lora = (Forecaster(history, method=method).forecast(looks) for method in ("full", "lora"))
    assert full[-1].score == max(one.score for one in full)
    assert lora[0].score == max(one.score for one in lora)


def test_a_large_network_that_did_not_learn_is_a_risk():
    names = [f"owner/{number}" for number in range(20)]
    accuracies = dict(zip(names, np.linspace(0.8, 0.9, 20).tolist(), strict=True))
    columns = [MeasuredColumn(f"owner/{number}", TASK, "full", accuracies | {"big/one": 0.95}) for number in range(3)]
    lost = [MeasuredColumn(f"owner/lost-{number}", TASK, "full", accuracies | {"big/one": 0.3}) for number in range(2)]
    models = {name: Relations(parameters=10**8) for name in names} | {"big/one": Relations(parameters=3 * 10**9)}
    looks = Looks((*names, "big/one"))
    safe, risky = (
        Forecaster(History(tuple(some), (), models)).forecast(looks)[-1] for some in (columns, columns + lost)
    )
    assert risky.score < safe.score and risky.points_below_best.high > 20
    assert "fail to learn" in " ".join(risky.why)


def test_what_did_not_learn_lies_far_below():
    assert failed(np.array([0.9, 0.91, 0.92, 0.89, 0.5])).tolist() == [False] * 4 + [True]
    assert not failed(np.array([0.01] * 9 + [0.6])).any(), "where most did not, they are the rule"
    assert failed(np.zeros(0)).shape == (0,)


def test_a_dataset_on_which_hardly_any_model_learnt_brings_none_closer_together():
    community = Community(0)
    history = history_of(community).elsewhere(TARGET)
    lost = dict.fromkeys(community.facts, 0.01) | {next(iter(community.facts)): 0.6}
    beside = replace(history, accuracies=(*history.accuracies, MeasuredColumn("lost", TASK, "full", lost)))
    without, found = (Forecaster(one).forecast(looks_of(community)) for one in (history, beside))
    behind = np.array([[one.points_below_best for one in each] for each in (without, found)])
    assert behind[0, :, 1].mean() > 0.5, "most are surely behind"
    assert behind[1, :, 1].mean() == pytest.approx(behind[0, :, 1].mean(), rel=0.2)


def test_records_of_models_that_are_all_equal_tell_none_apart():
    equal = History((MeasuredColumn("d/d", TASK, "full", {"a/a": 0.5, "b/b": 0.5}),), (), {"a/a": Relations()})
    first, second = Forecaster(equal).forecast(Looks(("a/a", "b/b")))
    assert first.score == pytest.approx(second.score) and np.isfinite(first.score)


def test_what_datasets_with_many_and_different_metrics_say_need_not_fit_together():
    whole = shipped_place().view().table().data
    texts = whole.filter(compute.starts_with(whole.column("dataset_id").cast("string"), "banking77"))
    found = board_of([RecordTable(texts)], "banking77-10-classes")
    assert found.answer.startswith("Fine-tune ")
    assert sum(one.best_probability for one in found.forecasts.values()) == pytest.approx(1)


def test_accuracies_that_are_known_in_part_count_as_far_as_they_are_known():
    ids = ("a", "b", "c", "d")
    forecaster = Forecaster(History())
    exact = forecaster.forecast(Looks(ids, accuracies={0: 0.78, 2: 0.8}))
    drawn = {0: np.full(50, 0.78), 2: np.full(50, 0.8)}
    sharp = forecaster.forecast(Looks(ids, drawn=drawn))
    assert [one.expected_accuracy.value for one in sharp][::2] == [0.78, 0.8]
    assert sharp[2].best_probability == pytest.approx(exact[2].best_probability, abs=0.05)
    together = np.linspace(-0.1, 0.1, 501)
    wide = forecaster.outcomes(Looks(ids, drawn={0: 0.7 + together, 2: 0.8 + together}))
    np.testing.assert_allclose(wide[2] - wide[0], 0.1)  # what they share says nothing of who is ahead
    assert wide[0].std() > 0.05
    swapped = forecaster.outcomes(Looks(("d", "c", "b", "a"), drawn={3: 0.7 + together, 1: 0.8 + together}))
    np.testing.assert_allclose(wide, swapped[::-1])


def test_what_is_measured_tells_how_far_apart_the_others_are():
    """Where accuracies lie far apart, those of the other models may too."""
    ids, apart = tuple("abcdefgh"), {}
    for name, step in (("close", 0.001), ("usual", 0.01), ("wide", 0.05)):
        accuracies = {place: 0.5 + step * place for place in range(5)}
        found = Forecaster(History()).forecast(Looks(ids, accuracies=accuracies))
        level = found[-1].expected_accuracy
        apart[name] = level.high - level.low
        assert found[2].expected_accuracy == (0.5 + 2 * step,) * 3, "what is measured stays as it is"
    assert apart["close"] < 0.7 * apart["usual"] and apart["wide"] > 1.5 * apart["usual"]
    equal = Forecaster(History()).forecast(Looks(ids, accuracies=dict.fromkeys(range(5), 0.5)))[-1].expected_accuracy
    assert equal.high - equal.low > 0.01, "equal ones tell nothing"


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_models_that_all_end_at_one_accuracy_may_have_any_place(level):
    looks = Looks(
        ("a/a", "b/b"), {name: {0: 1.0, 1: 0.0} for name in ("logme", "knn", "ncti")}, {}, {0: level, 1: level}
    )
    for one in Forecaster(History()).forecast(looks):
        assert (one.places, one.points_below_best.value) == ((1, 2), 0.0)


def test_equal_probes_promise_no_equal_accuracies():
    """Two networks of one probe accuracy, of which one scores better elsewhere, may still end points apart."""
    looks = Looks(("a", "b"), {"logme": {0: 1.0, 1: 0.0}, "knn": {0: 0.8, 1: 0.7}}, {}, {0: 0.9, 1: 0.9})
    first, second = Forecaster(History()).forecast(looks)
    assert first.points_below_best.high > 1 or second.points_below_best.high > 1
    assert second.points_below_best.high > first.points_below_best.high


def test_names_do_not_decide_between_models_of_equal_accuracy():
    first, second = Forecaster(History()).forecast(Looks(("a", "b"), {"knn": {0: 0.8, 1: 0.7}}, {}, {0: 0.9, 1: 0.9}))
    other, one = Forecaster(History()).forecast(Looks(("a", "b"), {"knn": {0: 0.7, 1: 0.8}}, {}, {0: 0.9, 1: 0.9}))
    assert first.places == second.places == one.places == other.places == (1, 2)


def test_what_all_models_of_a_pool_have_in_common_is_no_reason():
    """All are small, one is less so: that sets it apart."""
    names = ("a", "b", "c", "d")
    alike = {name: Relations(parameters=6_000_000, family="vit") for name in names}
    found = Forecaster(History(), alike).forecast(Looks(names))
    assert {one.why for one in found} == {("nothing is known that sets it apart",)}
    larger = {**alike, "d": Relations(parameters=100_000_000, family="vit")}
    found = Forecaster(History(), larger).forecast(Looks(names))
    assert "its size counts" in found[3].why[0] and "in its favour" in found[3].why[0]
    assert all("against it" in one.why[0] for one in found[:3])
