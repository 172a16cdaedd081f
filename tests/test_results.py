"""Every result can be shown, drawn, saved and published in the same way."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas
import pytest

from hf_transfer_score import ModelFacts, board, get_metric, rank_features, rank_pool, read_records
from hf_transfer_score.choosing import result as chosen_result
from hf_transfer_score.choosing.history import LearningCurve, Round, Spent
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.finetune.recipe import default_recipe
from hf_transfer_score.ranking.agreement import measured_agreement
from hf_transfer_score.records.record import identity
from hf_transfer_score.runs.layers import LayerProfile, ProfileRow
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.runs.verified import Verified, VerifyReport
from tests.runs.reports import Made, classified, report_of

HOSTILE = '<img src=x onerror="alert(1)">'
POOL = [Made("o/good", 0.4), Made("o/middling", 2.0), Made(HOSTILE, 6.0), Made("o/shut", kind="gated")]
TEST = classified("owner/pets")
RECIPE = default_recipe("text")


def measured(accuracy: float) -> FineTuningResult:
    plain = {"learning_rate": 1e-3, "penalty": None, "epochs": 2, "trainable_parameters": 1, "total_parameters": 2}
    return FineTuningResult(
        accuracy=accuracy, train_accuracy=1.0, validation_accuracy=0.9, seconds=1.0, layer=None, notes=(), **plain
    )


def verified(report):
    models = {
        "o/good": Verified("o/good", "ok", {0: measured(0.7)}),
        HOSTILE: Verified(HOSTILE, "ok", {0: measured(0.8)}),
    }
    return VerifyReport(report, RECIPE, TEST, models, {})


def chosen(report):
    tested = (
        chosen_result.Tested("o/good", measured(0.7), whole=True),
        chosen_result.Tested("o/middling", measured(0.6), whole=False),
    )
    return chosen_result.Choice(
        report, RECIPE, TEST, ChooseOptions(), (), "o/good", 1e-3, 0.9, tested, Spent(), None, 3
    )


def raced(report):
    curves = (
        LearningCurve("o/good", 1e-3, (0.5, 0.7), ended=True),
        LearningCurve("o/good", 1e-2, (0.9,), ended=False),
        LearningCurve("o/middling", 1e-3, (0.5, 0.6), ended=False),
        LearningCurve(HOSTILE, 1e-3, (0.2,), ended=False),
    )
    gone = {HOSTILE: f"cannot be fine-tuned: {HOSTILE} \x1b[31m \ud800"}
    history = (Round("race", "1 pass", ("o/good", "o/middling"), gone, "o/good"),)
    return replace(chosen(report), curves=curves, history=history)


def profile(report):
    rows = (ProfileRow("1", 4, 2.0, {}, {}), ProfileRow("2", 4, 1.0, {"face": {"nc1": 1.0}}, {}))
    return LayerProfile(HOSTILE, rows, report)


def features(dataset="", task=""):
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 20)
    pool = {name: rng.normal(size=(60, 8)) + far * np.eye(8)[labels] for name, far in (("o/good", 4), (HOSTILE, 1))}
    facts = {name: ModelFacts(parameters=10**6) for name in pool}
    return rank_features(pool, labels, metrics=["ncti", "knn"], dataset=dataset, task=task, facts=facts)


def known(report, tmp_path):
    report.publish(str(tmp_path / "known"))
    return board(report.records()[0].dataset.id, results=str(tmp_path / "known"))


def by_one_metric():
    metric, rng, labels = get_metric("nc1"), np.random.default_rng(0), np.repeat([0, 1], 20)
    rows = rng.normal(size=(40, 4))
    return rank_pool(
        metric, {name: metric(rows + far * labels[:, None], labels) for name, far in (("o/good", 5), (HOSTILE, 1))}
    )


MAKERS = {
    "rank": lambda report, _: report,
    "verify": lambda report, _: verified(report),
    "choose": lambda report, _: chosen(report),
    "choose with a race": lambda report, _: raced(report),
    "layers": lambda report, _: profile(report),
    "board": known,
    "rank_features": lambda *_: features("owner/pets", "image-classification"),
    "rank_features without a dataset": lambda *_: features(),
    "rank_pool": lambda *_: by_one_metric(),
}
WITHOUT_RECORDS = ("rank_features without a dataset", "rank_pool")


@pytest.fixture(scope="module")
def report():
    return report_of(POOL, classified(revision="d" * 40))


@pytest.fixture(params=MAKERS)
def result(request, report, tmp_path):
    return request.param, MAKERS[request.param](report, tmp_path)


def test_it_is_shown_compactly_and_names_are_escaped(result):
    _, made = result
    page = made._repr_html_()
    bare = re.sub(r'base64,[^"]*', "", page)
    assert len(bare.encode()) < 40_000 and len(page) < 150_000
    assert '<p class="answer">' in page and "<table>" in page and page.count("data:image/svg+xml;base64,") == 2
    assert "<img src=x" not in page and "<script" not in page and "http" not in bare
    assert "\n" not in repr(made) and len(repr(made)) < 600


def test_it_is_drawn_and_tabulated(result, tmp_path):
    _, made = result
    assert made.plot().to_dict()["$schema"].startswith("https://vega.github.io")
    made.plot(tmp_path / "chart.svg")
    assert (tmp_path / "chart.svg").read_text(encoding="utf-8").startswith("<svg")
    table = made.to_pandas()
    assert isinstance(table, pandas.DataFrame) and len(table) >= 2


def test_a_dataset_without_records_says_that_nothing_distinguishes_the_models(tmp_path):
    rows, labels = np.random.default_rng(0).normal(size=(20, 4)), np.repeat([0, 1], 10)
    pool = {f"o/{letter}": rows for letter in "abcdefghijkl"}
    known = rank_features(pool, labels, metrics=["knn"], dataset="owner/pets", task="image-classification")
    known.publish(str(tmp_path / "known"))
    told, forecasts = known.to_pandas().set_index("model"), known.forecasts
    assert told["best_probability"].to_dict() == {name: one.best_probability for name, one in forecasts.items()}
    assert told["points_high"].to_dict() == {name: one.points_below_best.high for name, one in forecasts.items()}
    other = board("owner/other", results=str(tmp_path / "known"))
    assert other.answer.startswith("Too little is known about these models to distinguish them. Fine-tune ")
    first = other.best.name
    wide = {name: replace(one, places=(1, 11), best_probability=0.02) for name, one in other.forecasts.items()}
    assert replace(other, forecasts=wide).answer.startswith("Too little is known")
    likely = wide | {first: replace(wide[first], best_probability=0.8)}
    assert replace(other, forecasts=likely).answer.startswith("Fine-tune ")
    assert other.to_pandas()["reason"].isna().all() and by_one_metric().to_pandas()["reason"].isna().all()
    assert "ok: None" not in json.dumps(other.as_dict())


def test_a_plan_is_shown_in_one_line():
    models = (PlannedModel("a", "cached"), PlannedModel("b", "download", download_bytes=5000))
    assert repr(Plan(models)) == "<Plan of 2 models (1 cached, 1 download), 5,000 bytes to download>"


def test_it_is_saved_and_published(result, tmp_path):
    name, made = result
    records = made.records()
    assert bool(records) is (name not in WITHOUT_RECORDS)
    assert made.save(tmp_path / "saved") == len({identity(one) for one in records})
    assert json.loads((tmp_path / "saved" / "ranking.json").read_text(encoding="utf-8"))
    if not records:
        for asked in (lambda: made.publish(str(tmp_path / "store")), made.card):
            with pytest.raises(InputError, match="There are no records, because these features have no dataset"):
                asked()
        return
    assert made.publish(str(tmp_path / "store")).written == len({identity(one) for one in records})
    assert {identity(one) for one in read_records(str(tmp_path / "store"))} == {identity(one) for one in records}
    assert "o/good" in made.card("o/good")


def test_records_that_cannot_be_read_are_said(tmp_path, caplog):
    place = tmp_path / "records" / "o" / "m"
    place.mkdir(parents=True)
    for number in range(2):
        (place / f"{number}.json").write_text("{")
    assert read_records(tmp_path) == []
    (said,) = caplog.messages
    assert said.startswith(f"2 files in {tmp_path} without a valid record left out; `hf-transfer-score results valid")


def test_accuracies_are_records_and_columns(report):
    truth = [one for one in verified(report).records() if one.metric and one.metric.kind == "truth"]
    assert {(one.model.id, one.terms["accuracy"]) for one in truth} == {("o/good", 0.7), (HOSTILE, 0.8)}
    table = verified(report).to_pandas().set_index("model")
    assert table["accuracy"].dropna().to_dict() == {"o/good": 0.7, HOSTILE: 0.8}
    whole = [one for one in chosen(report).records() if one.metric and one.metric.kind == "truth"]
    assert [(one.model.id, one.metric.parameters["learning_rates"]) for one in whole] == [("o/good", [0.001])]
    assert chosen(report).to_pandas().set_index("model")["test_accuracy"]["o/middling"] == 0.6


def test_a_verification_says_whether_the_ranking_was_right(report):
    report = replace(report, ranks={"o/good": 1, "o/middling": 2, HOSTILE: 3})
    assert verified(report).answer == (
        f"{HOSTILE} was the best of 2: 80.0% accuracy on 60 test rows. The ranking had put o/good first, which reached "
        "70.0%: 10.0 points less."
    )
    right = replace(verified(report), ranking=replace(report, ranks={HOSTILE: 1, "o/good": 2}))
    assert right.answer.endswith("The ranking had put it first.")
    seeds = {"o/good": (19 / 48, 19 / 48), HOSTILE: (18 / 48, 20 / 48)}  # whose sums differ in the last digit
    equal = {name: Verified(name, "ok", dict(enumerate(map(measured, both)))) for name, both in seeds.items()}
    assert replace(verified(report), models=equal).answer.endswith("The ranking had put it first.")
    found = measured_agreement([2, 1], list(seeds.values()))
    assert found.top_regret == 0 and found.tau == measured_agreement([2, 1], [[0.4], [0.4]]).tau
    alone = replace(verified(report), models={"o/good": Verified("o/good", "ok", {0: measured(0.7)})})
    assert alone.answer == "o/good reached 70.0% accuracy on 60 test rows."
    assert replace(alone, models={}).answer == "No model could be fine-tuned."


def test_the_notebook_leads_with_what_was_measured(report):
    page = verified(report)._repr_html_()
    order = re.findall(r'<th scope="row" title="([^"]*)"', page)
    assert order[:2] == ["&lt;img src=x onerror=&quot;alert(1)&quot;&gt;", "o/good"]


def test_a_model_that_others_tell_of_has_no_card(report):
    with pytest.raises(OptionError, match="'o/none' is not in the ranking|'o/none'.* Its models"):
        report.card("o/none")


def test_a_choice_draws_its_race_and_one_that_has_none_the_ranking(report):
    race = raced(report).plot().to_dict()
    (points,) = [rows for rows in race["datasets"].values() if any("became" in row for row in rows)]
    assert {(row["model"], row["x"], row["y"]) for row in points} == {
        ("o/good", 1, 0.5),
        ("o/good", 2, 0.7),
        ("o/middling", 1, 0.5),
        ("o/middling", 2, 0.6),
        (HOSTILE, 1, 0.2),
    }, "the winner at the learning rate that won, the others at their best"
    ranking = report.plot().to_dict()["description"]
    assert race["description"] != ranking
    assert raced(report).plot(what="ranking").to_dict()["description"] == ranking
    assert chosen(report).plot().to_dict()["description"] == ranking
    with pytest.raises(OptionError, match="expected race or ranking"):
        raced(report).plot(what="curves")
