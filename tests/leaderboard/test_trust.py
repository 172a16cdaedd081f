"""Trust: metrics and trivial orders of a board against measured accuracies."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score import weighted_kendall
from hf_transfer_score.leaderboard.pages.trust_tab import few_truths, trust
from hf_transfer_score.records.record import RecordedMetric
from tests.leaderboard.made import accuracy, board, facts, metric, model, score

PUBLISHED = json.loads((Path(__file__).parents[1] / "golden" / "published_ncti_cifar10.json").read_text("utf-8"))


def published():
    """The published table as records of a metric that this package does not compute."""
    total = RecordedMetric("ncti_total", parameters={}, directions={"total": 1})
    records = [score(name, total, {"total": value}) for name, value in PUBLISHED["ncti_score"].items()]
    return records + [accuracy(name, value) for name, value in PUBLISHED["finetuned_accuracy"].items()]


def test_the_published_table_gives_the_published_agreement():
    found = {one.label: one for one in trust(board(published()))}
    agreement = found["ncti_total"].agreement
    assert agreement.weighted_tau == pytest.approx(PUBLISHED["exact_weighted_kendall_tau"], abs=1e-12)
    assert agreement.tau == pytest.approx(PUBLISHED["exact_kendall_tau"], abs=1e-12)
    assert (agreement.models, agreement.enough, agreement.top_regret) == (11, True, 0.0)
    assert few_truths(board(published())) is None


def pool(count=10):
    generator = np.random.default_rng(1)
    records = []
    for i in range(count):
        one = model(f"o/m{i}", parameters=int(generator.integers(10**6, 10**8)), width=64 * (i % 3 + 1))
        records += [score(one, "knn", float(generator.random()), facts=facts("mit", i))]
        records += [score(one, "nc1", float(generator.random())), score(one, metric("parameter_count"), one.parameters)]
        records += [accuracy(one.id, float(generator.random()))]
    return records


def test_every_column_and_every_trivial_order_is_there_by_agreement():
    made = board(pool())
    found = trust(made)
    assert {one.label: one.kind for one in found} == {
        "knn": "score",
        "nc1": "score",
        "parameter_count": "baseline",
        "parameters": "trivial",
        "width": "trivial",
        "downloads": "trivial",
        "random order": "trivial",
    }
    taus = [one.agreement.weighted_tau for one in found]
    assert taus == sorted(taus, reverse=True)
    truth = [row.accuracy for row in made.rows]
    expected = {
        "nc1": weighted_kendall([-row.terms["nc1"]["nc1"] for row in made.rows], truth),
        "width": weighted_kendall([row.width for row in made.rows], truth),
        "downloads": weighted_kendall([row.downloads for row in made.rows], truth),
        "random order": 0.0,
    }
    by_label = {one.label: one.agreement for one in found}
    assert {name: by_label[name].weighted_tau for name in expected} == pytest.approx(expected)
    assert by_label["parameters"].weighted_tau == by_label["parameter_count"].weighted_tau
    assert by_label["random order"].top_regret == pytest.approx(max(truth) - np.mean(truth))


def test_it_is_remembered_for_a_board_and_no_other():
    made = board(pool())
    assert trust(made)[0] is trust(made)[0]
    assert trust(replace(made))[0] is not trust(made)[0]


def test_rows_of_one_model_count_once():
    records = pool()
    layers = [score(model(f"o/m{i}", layer="2"), "knn", 0.5) for i in range(10)]
    found = {one.label: one.agreement for one in trust(board(records + layers))}
    assert found["knn"].models == 10


@pytest.mark.parametrize(
    ("measured", "said"),
    [(0, "No model of this board has both"), (1, "one model of this board only"), (7, "for 7 models of")],
)
def test_few_truths_are_said(measured, said):
    records = [score(f"o/m{i}", "knn", i / 20) for i in range(10)] + [
        accuracy(f"o/m{i}", i / 9) for i in range(measured)
    ]
    made = board(records + [accuracy(f"o/elsewhere{i}", 0.5) for i in range(9)])
    assert said in few_truths(made)
    assert not any(one.agreement.enough for one in trust(made))
    assert "No accuracy after fine-tuning is known" in few_truths(board(records[:10]))


def test_what_is_constant_or_not_known_comes_last_without_a_figure():
    records = [score(f"o/m{i}", "knn", 0.5) for i in range(9)] + [accuracy(f"o/m{i}", i / 9) for i in range(9)]
    found = trust(board(records))
    assert found[0].label == "random order"
    assert {one.label: (one.agreement.weighted_tau, one.agreement.models) for one in found[1:]} == {
        "knn": (None, 9),
        "parameters": (None, 0),
        "width": (None, 0),
        "downloads": (None, 0),
    }
