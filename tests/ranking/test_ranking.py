"""The type of a pool in order: made of features, of candidates and of stored records, it says the same."""

from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score import MetricResult, Ranking, Record, get_metric, rank_confidence, rank_features, rank_pool
from hf_transfer_score.drawing.rank_chart import picture_of
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.resampling.terms import bootstrap_pool
from hf_transfer_score.metrics.scores import FeatureScores, choose_metrics
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.answer import next_step
from hf_transfer_score.ranking.board import board as board_of_places
from hf_transfer_score.ranking.intervals import Interval
from hf_transfer_score.ranking.models import RankedModel, scored_model
from hf_transfer_score.ranking.pools import headline_ranks
from hf_transfer_score.ranking.ranking import ranked
from tests.leaderboard.made import (
    DATASET,
    accuracy,
    board,
    face,
    failed,
    metric,
    model,
    ncti,
    published,
    score,
    unmeasured,
    write_records,
)
from tests.runs.reports import Made, report_of

LATER = "2025-06-01T00:00:00+00:00"


def pool_of(count: int, spread: float | None = 0.02, seed: int = 0) -> list[Record]:
    """Return records of both headline metrics and a baseline."""
    generator = np.random.default_rng(seed)
    records = []
    for number in range(count):
        name = f"o/m{number}"
        records += [
            score(name, "face", face(-generator.random(), generator.random()), spread=spread),
            score(name, "ncti", ncti(*generator.random(3).tolist()), spread=spread),
            score(name, "parameter_count", float(number + 1)),
        ]
    return records


def by_values(metric_name: str, **values: float) -> dict[str, dict[str, MetricResult]]:
    return {
        name: {metric_name: MetricResult(metric_name, "ok", {metric_name: value})} for name, value in values.items()
    }


def models_of(results: dict[str, dict[str, MetricResult]]) -> dict[str, RankedModel]:
    return {name: scored_model(name, FeatureScores("ok", results=found)) for name, found in results.items()}


class TestOrder:
    def test_the_ranked_come_first_then_the_unranked_then_the_failed(self):
        nc1, knn = by_values("nc1", a=1.0, b=2.0, c=3.0, u=4.0), by_values("knn", a=0.1, b=0.9, c=0.5)
        results = {name: nc1[name] | knn.get(name, {}) for name in ("u", "c", "b", "a")}
        models = {"f": RankedModel("f", "failed", "f", reason="no file"), **models_of(results)}
        found = ranked(models, [get_metric("nc1"), get_metric("knn")], ["nc1", "knn"])
        assert list(found.models) == ["b", "a", "c", "u", "f"]
        assert found.mean_ranks == {"b": 1.5, "a": 2.0, "c": 2.5}
        assert found.ranks == {"b": 1, "a": 2, "c": 3}
        assert found.best is not None and found.best.name == "b"

    def test_it_is_that_of_the_pools(self):
        generator, labels = np.random.default_rng(1), np.repeat(np.arange(4), 20)
        pool = {f"m{i}": generator.normal(size=(80, 12)) + (i + 1) * 0.4 * np.eye(12)[labels] for i in range(5)}
        found = rank_features(pool, labels, metrics=["face", "ncti", "knn"], headline=["face", "ncti"])
        for chosen in choose_metrics(["face", "ncti", "knn"]):
            again = rank_pool(chosen, {name: one[chosen.name] for name, one in found.models.items()})
            assert found.pools[chosen.name].scores == again.scores
        order = headline_ranks(found.pools)
        assert (found.headline, found.mean_ranks, found.ranks) == (order.metrics, order.mean_ranks, order.ranks)

    def test_without_scores_there_is_no_best(self):
        found = ranked({"f": RankedModel("f", "failed", "f", kind="gated", reason="ask first")}, choose_metrics("face"))
        assert (found.best, found.ranks, found.pools) == (None, {}, {})
        assert found.models["f"].why == "gated: ask first"


class TestReplicates:
    def test_the_confidence_is_that_of_the_terms_whatever_the_order_of_the_models(self):
        generator, labels = np.random.default_rng(2), np.repeat(np.arange(3), 20)
        features = {f"m{i}": generator.normal(size=(60, 8)) + (3 - i) * np.eye(8)[labels] for i in range(4)}
        features = dict(reversed(features.items()))
        chosen = choose_metrics(["face", "ncti"])
        read = {name: lambda one=one: LabelledFeatures(one, labels) for name, one in features.items()}
        terms = bootstrap_pool(read, chosen, replicates=30, seed=0)
        plain = rank_features(features, labels, metrics=chosen, headline=["face", "ncti"])
        sure = plain.with_replicates(terms, chosen, 0.8)
        results = {name: plain.models[name].results for name in features}
        expected = rank_confidence(terms, results, chosen, level=0.8)
        assert sure.confidence == expected
        assert sure.ranks == expected.ranks and sure.level == 0.8
        for name in features:
            for term, (low, high) in sure.intervals[name]["face"].items():
                assert low <= plain.models[name]["face"].terms[term] <= high
        assert plain.with_replicates({}, chosen, 0.8) is plain


class TestRecords:
    @pytest.mark.parametrize("spread", [None, 0.02, 0.2])
    def test_the_ranking_of_records_is_their_board(self, spread):
        records = pool_of(9, spread)
        found, made = Ranking.of(records, headline=["face", "ncti"]), published(records)
        assert found.headline == made.headline
        for row in made.rows:
            assert found.ranks[row.label] == row.rank and found.mean_ranks[row.label] == row.mean_rank
            assert {name: pool.scores[row.label] for name, pool in found.pools.items()} == row.scores
            if spread is not None:
                assert found.range_of(row.label) == (row.low, row.high)
                assert found.confidence.groups[row.label] == row.group
        assert list(found.ranks) == [row.label for row in made.rows]
        assert (found.confidence is None) is (spread is None)

    def test_models_without_intervals_have_no_range(self):
        records = [*pool_of(5, 0.05), *(replace(one, interval={}) for one in pool_of(6)[-3:])]
        found, made = Ranking.of(records, headline=["face", "ncti"]), published(records)
        ranges = {row.label: (row.low, row.high) for row in made.rows if row.low is not None}
        assert found.confidence.ranges == ranges
        assert "o/m5" not in ranges

    def test_an_unknown_model_has_no_range_but_a_hint(self):
        report = report_of([Made("o/good", 0.5), Made("o/middling", 1.5), Made("o/shut", kind="gated")])
        with pytest.raises(OptionError, match="no model 'o/god'. Did you mean 'o/good'. Its models: o/good"):
            report.range_of("o/god")
        with pytest.raises(OptionError, match="o/shut has no rank"):
            report.range_of("o/shut")

    def test_a_report_and_its_records_rank_alike(self):
        report = report_of(
            [Made("o/good", 0.5), Made("o/middling", 1.5), Made("o/bad", 4.0), Made("o/shut", kind="gated")]
        )
        assert Ranking.of(report.records(), headline="knn").headline == ("knn",), "a name stands for a list of it"
        found = Ranking.of(report.records(), headline=report.headline)
        for name, pool in report.pools.items():
            assert found.pools[name].scores == pool.scores, name
        assert found.mean_ranks == report.mean_ranks
        one, again = report.models["o/good"], found.models["o/good"]
        for fact in ("model", "commit", "library", "layer", "parameters", "downloads", "width"):
            assert getattr(again, fact) == getattr(one, fact), fact
        assert found.models["o/shut"].why == report.models["o/shut"].why == "gated: is gated"

    def test_the_newest_of_two_counts_and_a_failure_that_is_over_does_not(self):
        records = pool_of(3)
        better = score("o/m2", "face", face(0.0, 5.0), time=LATER)
        found = Ranking.of([better, *records, failed("o/m1"), failed("o/x")])
        assert found.models["o/m2"]["face"].terms == face(0.0, 5.0)
        assert set(found.models) == {"o/m0", "o/m1", "o/m2", "o/x"}
        assert found.models["o/x"].status == "failed"

    def test_settings_of_one_metric_stand_side_by_side(self):
        records = [*pool_of(3), *(score(f"o/m{i}", metric("knn", neighbours=3), 0.1 * i) for i in range(3))]
        records += [score(f"o/m{i}", metric("knn", neighbours=7), 0.2 * i) for i in range(3)]
        found = Ranking.of(records)
        assert [name for name in found.pools if name.startswith("knn")] == [
            name for name in board(records).columns if name.startswith("knn")
        ]

    def test_layers_of_one_model_are_told_apart(self):
        records = [score(model("o/a", layer=layer), "face", face(-float(layer), 0.5)) for layer in ("1", "2", "3")]
        assert set(Ranking.of(records).models) == {"o/a [layer 1]", "o/a [layer 2]", "o/a [layer 3]"}

    def test_accuracies_are_no_scores(self):
        assert list(Ranking.of([*pool_of(2), accuracy("o/m0", 0.9)]).pools) == ["face", "ncti", "parameter_count"]

    def test_they_are_in_the_order_of_a_forecast_that_learns_from_other_datasets(self):
        records = pool_of(6)
        found = Ranking.of(records)
        assert set(found.forecasts) == {f"o/m{number}" for number in range(6)}
        assert found.answer.startswith(f"Fine-tune {found.best.name}.") and found.mean_ranks
        elsewhere = [replace(DATASET, id=f"owner/{number}") for number in range(6)]
        history = [accuracy(f"o/m{m}", 0.5 + m / 50, dataset=one) for m in range(6) for one in elsewhere]
        informed = Ranking.of(records, history=history)
        assert next(iter(informed.ranks)) == "o/m5"
        assert any("on 6 other datasets" in one for one in informed.forecasts["o/m5"].why)
        own = [accuracy(f"o/m{m}", 0.9 - m / 50) for m in range(6)]
        assert Ranking.of(records, history=[*history, *own]).ranks == informed.ranks
        assert list(Ranking.of([*records, *own], history=history).ranks) == [f"o/m{m}" for m in range(6)]

    def test_measured_models_are_by_accuracy_among_the_others(self):
        records = [score(f"o/m{number}", "logme", float(number)) for number in range(6)]
        found = Ranking.of([*records, accuracy("o/m0", 0.9), accuracy("o/m5", 0.8)])
        order = list(found.ranks)
        assert order.index("o/m0") < order.index("o/m5")
        assert [name for name in order if name not in ("o/m0", "o/m5")] == ["o/m4", "o/m3", "o/m2", "o/m1"]

    def test_measured_models_without_scores_are_ranked_as_on_the_board(self, tmp_path):
        records = [score(f"o/m{number}", "logme", float(number)) for number in range(4)]
        bare = [accuracy("o/best", 0.95), accuracy("o/m3", 0.7), failed("o/shut"), accuracy("o/shut", 0.2)]
        other = accuracy("o/other", 0.99, dataset=replace(DATASET, id="owner/cars"))
        mine = [*records, *bare]
        found = Ranking.of([*mine, other])
        write_records(tmp_path, mine)
        shown = board_of_places("owner/pets", results=tmp_path)
        assert set(found.ranks) == {"o/m0", "o/m1", "o/m2", "o/m3", "o/best", "o/shut"}
        assert (list(found.ranks), found.answer) == (list(shown.ranks), shown.answer)
        assert found.answer.startswith("Fine-tune o/best: 95.0%, as measured here.")
        by_metrics = Ranking.of([*mine, failed("o/gone")], headline=["logme"])
        assert list(by_metrics.models)[:4] == list(by_metrics.ranks) == ["o/m3", "o/m2", "o/m1", "o/m0"]
        assert list(by_metrics.models)[-1] == "o/gone"

    def test_accuracies_alone_are_a_ranking(self):
        found = Ranking.of([accuracy("o/a", 0.8), accuracy("o/b", 0.9), unmeasured("o/c")])
        assert (list(found.ranks), found.dataset) == (["o/b", "o/a"], "owner/pets")
        assert found.answer.startswith("Fine-tune o/b: 90.0%, as measured here.")
        assert "Its accuracy after fine-tuning is 80.0%, as measured here." in Ranking.of([accuracy("o/a", 0.8)]).answer
        with pytest.raises(InputError, match="are of 2 samples"):
            Ranking.of([accuracy("o/a", 0.8), accuracy("o/b", 0.9, dataset=replace(DATASET, id="owner/cars"))])

    def test_what_is_measured_already_need_not_be_fine_tuned_again(self):
        records = [score(f"o/m{number}", "logme", float(number)) for number in range(6)]
        most = Ranking.of([*records, *(accuracy(f"o/m{number}", 0.6 + number / 50) for number in range(5))])
        assert set(next_step(most).split(" --models ")[1].split()) == {"o/m4", "o/m5"}
        whole = Ranking.of([*records, *(accuracy(f"o/m{number}", min(0.6 + number / 10, 1.0)) for number in range(6))])
        assert whole.answer.startswith("Fine-tune o/m5: 100.0%, as measured here. o/m4 may be as good")
        assert (whole.range_of("o/m4"), whole.range_of("o/m5"), whole.range_of("o/m3")) == ((1, 2), (1, 2), (3, 3))
        assert next_step(whole) is None
        alike = Ranking.of([*records[:2], accuracy("o/m0", 0.9), accuracy("o/m1", 0.9)])
        assert alike.answer.startswith("Fine-tune o/m1: 90.0%, as measured here. o/m0 may be as good")

    def test_the_answer_names_who_is_likeliest_to_be_the_best_if_that_is_another_than_the_first(self):
        found = Ranking.of(pool_of(3))
        first, second, last = found.ranks
        one = replace(found.forecasts[first], best_probability=0.3, near_best=0.4)
        risky = replace(one, best_probability=0.6, near_best=0.2, points_below_best=Interval(1.0, 0.0, 25.62))
        poor = replace(one, best_probability=0.1, near_best=0.1)
        found = replace(found, forecasts={first: one, second: poor, last: risky})
        said = f"{last} has the largest chance to be the best (60%), but may end 25.6 points below it."
        assert said in found.answer
        assert "largest chance" not in replace(found, forecasts={first: one, second: poor, last: poor}).answer

    def test_regression_is_in_the_order_of_its_metric(self):
        regression = replace(DATASET, task="image-regression", classes=None)
        found = Ranking.of(score(f"o/m{i}", "logme_regression", float(i), dataset=regression) for i in range(3))
        assert (list(found.ranks), found.forecasts) == (["o/m2", "o/m1", "o/m0"], {})

    def test_tables_of_others_do_not_say_how_many_classes_and_are_forecast_all_the_same(self):
        unsaid = replace(DATASET, classes=None, examples=0)
        records = [score(f"o/m{i}", "logme", float(i), dataset=unsaid) for i in range(3)]
        found, shown = Ranking.of(records), board(records)
        assert (list(found.ranks), set(found.forecasts)) == (["o/m2", "o/m1", "o/m0"], set(found.ranks))
        assert (found.size, picture_of(found).title) == ("", "owner/pets")
        assert (shown.is_forecast, shown.summary.title) == (True, "owner/pets (plain, train)")

    def test_records_of_several_samples_are_refused(self):
        other = replace(DATASET, fingerprint="e" * 32)
        with pytest.raises(
            InputError, match=r"are of 2 samples: owner/pets \(train, ffffffff\) and owner/pets \(train, eeeeeeee\)"
        ):
            Ranking.of([*pool_of(2), score("o/m0", "face", face(1, 1), dataset=other)])
        with pytest.raises(InputError, match="no records"):
            Ranking.of([])


class TestReading:
    def test_ties_have_letters_and_ranges(self):
        report = report_of([Made("same", 1.0), Made("alike", 1.0), Made("far", 9.0)])
        assert report.confidence is not None
        letters = report.tie_letters
        groups = report.confidence.groups
        for one in report.ranks:
            shared = sum(groups[other] == groups[one] for other in report.ranks) > 1
            assert bool(letters[one]) is shared
            low, high = report.range_of(one)
            assert low <= report.ranks[one] <= high

    def test_agreement_is_of_the_order_metrics_and_baselines(self):
        found = Ranking.of(pool_of(6), headline=["face", "ncti"])
        truth = {name: [0.5 + 0.05 * place] for place, name in enumerate(found.models)}
        agreements = found.agreements(truth)
        assert list(agreements) == ["mean rank", "face", "ncti", "parameter_count"]
        means = [-found.mean_ranks[name] for name in truth]
        assert agreements["mean rank"].weighted_tau == pytest.approx(
            weighted_kendall(means, [value for (value,) in truth.values()])
        )

    def test_a_table_of_pandas_has_one_row_per_model(self):
        report = report_of([Made("good", 0.5), Made("bad", 4.0), Made("shut", kind="gated")])
        table = report.to_pandas()
        assert table["model"].tolist() == list(report.models)
        assert table["rank"].tolist()[:2] == list(report.ranks.values())
        assert table["best_probability"].isna().all()  # it is ordered by FaCe and NCTI
        assert table["rank"].isna().tolist() == [False, False, True]
        assert table["face"].tolist()[:2] == [report.pools["face"].scores[name] for name in report.ranks]
        assert table["reason"].tolist()[2] == "gated: is gated"
