"""What a ranking shows by itself: its answer, a table, a chart, a card, a notebook's page."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score import rank_features
from hf_transfer_score.cli import main
from hf_transfer_score.errors import OptionError
from hf_transfer_score.ranking.intervals import accuracy_interval
from tests.runs.reports import Made, classified, report_of

POOL = [Made("o/good", 0.4), Made("o/middling", 2.0), Made("o/bad", 6.0), Made("o/shut", kind="gated")]


@pytest.fixture(scope="module")
def report():
    return report_of(POOL, classified(revision="d" * 40))


class TestAnswer:
    def test_one_that_is_ahead(self, report):
        groups = {name: place for place, name in enumerate(report.ranks, 1)}
        alone = replace(report, confidence=replace(report.confidence, groups=groups))
        assert alone.answer == "Fine-tune o/good: it is first of 3, and ahead of all others on this sample."

    def test_some_that_cannot_be_distinguished(self, report):
        tied = replace(report, confidence=replace(report.confidence, groups=dict.fromkeys(report.ranks, 1)))
        others = " and ".join(list(report.ranks)[1:])
        assert tied.answer == (
            f"Fine-tune o/good: it is first of 3. {others} may be as good: this sample cannot distinguish them."
        )

    def test_many_are_counted(self):
        many = report_of([Made(f"o/m{i}", 1.0) for i in range(7)])
        tied = replace(many, confidence=replace(many.confidence, groups=dict.fromkeys(many.ranks, 1)))
        assert " and 3 more may be as good" in tied.answer

    def test_nothing_known(self):
        assert report_of(POOL[:1]).answer.startswith("o/good is the only candidate")
        assert report_of(POOL[3:]).answer == "No model could be ranked."
        assert "cannot be known without" in report_of(POOL[:2], replicates=0).answer


class TestNotebook:
    def test_it_begins_with_the_answer_and_shows_every_model(self, report):
        page = report._repr_html_()
        assert f'</style>\n<p class="answer">{report.answer}</p>' in page
        assert all(f'<th scope="row" title="{name}">{name}</th>' in page for name in report.ranks)
        assert "o/shut: is gated" in page
        assert "data:image/svg+xml;base64," in page
        assert "<script" not in page and "http" not in page

    def test_without_a_rank_there_is_no_chart(self):
        assert "<img" not in report_of(POOL[3:])._repr_html_()


def test_the_card_is_that_of_the_command(report, tmp_path, capsys):
    report.save(tmp_path)
    assert main(["card", "o/middling", "--results", str(tmp_path)]) == 0
    assert report.card("o/middling") == capsys.readouterr().out
    assert report.card() == report.card("o/good")
    with pytest.raises(OptionError, match="no model 'o/none'.* Its models: o/good"):
        report.card("o/none")


def test_showing_is_loaded_when_it_is_asked_for():
    heavy = "{'altair', 'gradio', 'jinja2', 'pandas'}"
    code = f"import sys, hf_transfer_score as h; h.rank, h.Ranking; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_probes_that_are_right_on_all_rows_are_not_called_a_measured_accuracy():
    labels, noise = np.repeat(np.arange(3), 20), np.random.default_rng(0).normal(size=(60, 8))
    far = noise + 50 * np.eye(3, 8)[labels]
    ranking = rank_features({"one": far, "two": far[:, ::-1] + noise}, labels)
    assert "about 100% (97% to 100%)." in ranking.answer and "measured" not in ranking.answer
    assert accuracy_interval(1.0, 60, 0.8).low == ranking.forecasts["one"].expected_accuracy.low < 0.98


def test_few_rows_promise_no_narrow_range():
    labels, noise = np.repeat(np.arange(3), 20), np.random.default_rng(0).normal(size=(60, 8))
    far = noise + 50 * np.eye(3, 8)[labels]
    far[0] = far[-1]
    ranking = rank_features({"one": far, "two": 2 * far}, labels)
    assert ranking.probes["one"].value == pytest.approx(59 / 60)
    level, least = ranking.forecasts["one"].expected_accuracy, accuracy_interval(59 / 60, 60, 0.8)
    assert level.low <= least.low < 0.95 and level.high >= least.high


def test_a_model_that_is_probably_the_best_is_not_called_indistinguishable():
    labels, noise = np.repeat(np.arange(5), 40), np.random.default_rng(0)
    near = noise.normal(size=(200, 64)) + np.eye(5, 64)[labels]
    far = noise.normal(size=(200, 32)) + 3 * np.eye(5, 32)[labels]
    ranking = rank_features({"near": near, "far": far}, labels)
    assert {one.places for one in ranking.forecasts.values()} == {(1, 2)}
    assert ranking.forecasts["far"].best_probability > 0.75
    assert ranking.answer.startswith("Fine-tune far: ")
