"""The forecast of a board: it is that of the same records, learns from other datasets only, and nothing breaks it."""

import random
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from hf_transfer_score import Ranking
from hf_transfer_score.leaderboard.boards import outlook
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.board_tab import board_csv
from hf_transfer_score.leaderboard.pages.board_table import card_html, columns_of, head_html, notes_html
from hf_transfer_score.leaderboard.pages.model_page import card_of, model_page
from hf_transfer_score.leaderboard.pages.trust_tab import deciding, trust, trust_page, with_forecast
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.records.record import Record, RecordedMetric
from hf_transfer_score.records.store import TableChange
from tests.leaderboard.made import DATASET, accuracy, board, catalogue, facts, metric, model, published, score, table
from tests.ranking.community import DATASETS, TARGET, Community

HOSTILE = "<img src=x onerror=alert(1)>"


def on(name: str):
    return replace(DATASET, id=name)


def records_of(community: Community, *, truths: tuple[str, ...] = DATASETS[1:], scored: tuple[str, ...] = DATASETS):
    """Return records of a community's models: a metric on some datasets, accuracies on some."""
    found = []
    for name, told in community.facts.items():
        of = model(name, parameters=told["parameters"])
        about = replace(facts(), family=told["family"])
        for dataset in scored:
            value = community.scores[name, dataset, "logme"]
            found.append(score(of, "logme", value, dataset=on(dataset), facts=about))
        found += [accuracy(name, community.accuracies[name, one], dataset=on(one)) for one in truths]
    return found


COMMUNITY = Community(models=25)
RECORDS = records_of(COMMUNITY)


def board_on(records, dataset: str = TARGET):
    made = records if isinstance(records, Catalogue) else catalogue(records)
    (summary,) = (one for one in made.boards() if one.key.dataset == dataset)
    return made.board(summary.key)


def labels(found) -> list[str]:
    return [row.label for row in found.rows]


def test_a_board_says_what_the_ranking_of_its_records_says():
    found = board_on(RECORDS)
    own = [one for one in RECORDS if one.dataset.id == TARGET]
    ranking = Ranking.of(own, history=RECORDS)
    assert labels(found) == list(ranking.ranks)
    assert found.answer == ranking.answer
    for row in found.rows:
        expected = ranking.forecasts[row.label]
        assert list(row.forecast.points_below_best) == pytest.approx(list(expected.points_below_best), abs=0.3)
    assert found.step.startswith(f"hf-transfer-score verify {TARGET} --models {found.rows[0].model}")
    by_logme = published(own)
    assert labels(by_logme) == sorted(labels(found), key=lambda name: -COMMUNITY.scores[name, TARGET, "logme"])
    assert labels(by_logme) != labels(found)
    assert by_logme.answer.startswith(f"Fine-tune {by_logme.rows[0].label}: it is first of 25")


def test_it_does_not_depend_on_the_order_of_the_records():
    shuffled = random.Random(1).sample(RECORDS, len(RECORDS))
    assert labels(board_on(shuffled)) == labels(board_on(RECORDS))


def test_accuracies_of_the_dataset_itself_order_its_models_and_are_nothing_to_learn_from():
    own = {name: COMMUNITY.truth[name] for name in list(COMMUNITY.truth)[:10]}
    found = board_on([*RECORDS, *(accuracy(name, value, dataset=on(TARGET)) for name, value in own.items())])
    measured = [row for row in found.rows if row.accuracy is not None]
    assert [row.label for row in measured] == sorted(own, key=lambda name: -own[name])
    for row in measured:
        assert row.forecast.expected_accuracy == pytest.approx((row.accuracy,) * 3)
        assert f"measured here: {row.accuracy:.1%}" in row.forecast.why
    twin = replace(on(TARGET), fingerprint="e" * 32)  # the same dataset, drawn otherwise
    others = [accuracy(name, 1 - value, dataset=twin) for name, value in COMMUNITY.truth.items()]
    made = catalogue([*RECORDS, *others, *(score(name, "logme", 0.5, dataset=twin) for name in COMMUNITY.facts)])
    learnt = outlook.learned_rows(made._rows, made._grouped, made.board(made.boards()[0].key))
    assert TARGET not in {made._rows.coded("dataset_id").at(row) for row in learnt.tolist()}


def test_accuracies_of_a_probe_count_like_a_metric():
    probed = {name: round(COMMUNITY.truth[name] + (number % 5) / 200, 4) for number, name in enumerate(COMMUNITY.truth)}
    own = [accuracy(name, value, dataset=on(TARGET), method="probe") for name, value in probed.items()]
    found, without = board_on([*RECORDS, *own]), board_on(RECORDS)
    order = sorted(probed, key=lambda name: -probed[name])
    assert turned(labels(found), order) < turned(labels(without), order) - 0.03
    assert all(row.accuracy is not None and row.forecast.expected_accuracy is None for row in found.rows)
    assert any("accuracy by probe" in " ".join(row.forecast.why) for row in found.rows)
    assert labels(found) == list(
        Ranking.of([one for one in RECORDS if one.dataset.id == TARGET] + own, history=RECORDS).ranks
    )


def test_a_method_that_somebody_names_is_not_what_the_forecast_is_about():
    odd = accuracy(next(iter(COMMUNITY.truth)), 0.1, dataset=on(TARGET), method="odd")
    found, without = board_on([*RECORDS, odd]), board_on(RECORDS)
    order = list(COMMUNITY.truth)
    assert labels(found)[:3] == labels(without)[:3] and found.method == "odd"
    own = [accuracy(name, value, dataset=on(TARGET), method="lora") for name, value in COMMUNITY.truth.items()]
    full = [accuracy(name, 1 - COMMUNITY.truth[name], dataset=on(TARGET)) for name in order[:3]]
    found = board_on([*RECORDS, *own, *full])
    assert found.method == "lora" and all(row.accuracy == COMMUNITY.truth[row.model] for row in found.rows)
    told = {row.model for row in found.rows if any("measured here" in why for why in row.forecast.why)}
    assert told == set(order[:3])
    pool = [one for one in RECORDS if one.dataset.id == TARGET] + own + full
    assert labels(found) == list(Ranking.of(pool, history=RECORDS).ranks)


def test_regression_and_foreign_metrics_alone_stay_in_the_order_of_the_metric():
    regression = replace(DATASET, task="image-regression", classes=None)
    pairs = (("o/a", 1), ("o/b", 2))
    for records in (
        [score(name, "logme_regression", value, dataset=regression) for name, value in pairs],
        [score(name, RecordedMetric("theirs"), {"theirs": value}) for name, value in pairs],
    ):
        found = board(records)
        assert (labels(found), found.is_forecast) == (["o/b", "o/a"], False)


def turned(one: list[str], other: list[str]) -> float:
    """Return the share of pairs whose order is another."""
    places = {name: place for place, name in enumerate(other)}
    pairs = list(combinations([name for name in one if name in places], 2))
    return sum(places[a] > places[b] for a, b in pairs) / len(pairs)


def test_junk_hardly_moves_the_others():
    good = labels(board_on(RECORDS))
    networks = [score(f"junk/{number}", "logme", -100.0 - number, dataset=on(TARGET)) for number in range(6)]
    assert turned(good, labels(board_on([*RECORDS, *networks]))) <= 0.02
    liars = [accuracy(f"junk/{number}", 1.0, dataset=on(one)) for number in range(6) for one in DATASETS[1:]]
    assert turned(good, labels(board_on([*RECORDS, *liars]))) <= 0.06


def made_up(seed: int = 0) -> list[Record]:
    """Return values of made-up metrics, and of another version of one that is known, for all models of the board."""
    generator = np.random.default_rng(seed)
    metrics = [RecordedMetric(f"made-up-{number}") for number in range(5)]
    metrics += [metric("logme", version=number) for number in range(5, 10)]
    return [
        score(name, one, {one.name: generator.normal()}, dataset=on(TARGET))
        for name in COMMUNITY.facts
        for one in metrics
    ]


def test_metrics_that_are_made_up_and_further_settings_are_not_looked_at():
    found = board_on([*RECORDS, *made_up()])
    assert len(found.columns) == 11
    assert outlook.known_metrics(found) == ["logme"]
    assert labels(found) == labels(board_on(RECORDS))


def test_whatever_is_published_a_board_is_there():
    wild = [
        accuracy(name, value, dataset=on(f"wild/{place % 3}"), method=f"m{place}", epochs=place)
        for place, (name, value) in enumerate(COMMUNITY.truth.items())
    ]
    first, *_ = COMMUNITY.facts
    big = replace(model("o/big"), parameters=10**15, width=10**9)
    said = replace(facts("x" * 500), family=HOSTILE * 20, architecture="\u202e", base_model=first, pretrained_on="")
    odd = score(big, "logme", 1e149, dataset=on(TARGET), facts=said)
    probe = replace(score(first, "linear_probe", 0.5, dataset=on(TARGET)), used={"rows": -1, "chance": "half"})
    alone = [accuracy("o/one", 0.5, dataset=on("o/one"))]
    found = board_on([*RECORDS, *wild, odd, probe, *alone])
    assert found.is_forecast and len(found.rows) == 26
    assert turned(labels(board_on(RECORDS)), labels(found)) <= 0.1


def test_a_forecast_that_fails_leaves_the_order_of_the_metrics(monkeypatch):
    def fails(*_, **__):
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    monkeypatch.setattr(Forecaster, "forecast", fails)
    found = board_on(RECORDS)
    assert labels(found) == labels(published([one for one in RECORDS if one.dataset.id == TARGET]))
    assert found.notes == ("These models have no forecast: Matrix is not positive definite",)
    assert found.answer.startswith("Fine-tune")


def test_what_is_learnt_from_is_bounded_and_of_the_models_of_the_board_first(monkeypatch):
    strangers = [accuracy(f"x/{number}", 0.5, dataset=on(one)) for number in range(40) for one in DATASETS[1:]]
    made = catalogue([*RECORDS, *strangers])
    shown = board_on(made)
    monkeypatch.setattr(outlook, "MOST_ACCURACIES", 100)
    monkeypatch.setattr(outlook, "MOST_SCORES", 50)
    rows = outlook.learned_rows(made._rows, made._grouped, shown)
    names = [made._rows.coded("model_id").at(row) for row in rows.tolist()]
    assert len(rows) == 150 and set(names) <= set(COMMUNITY.facts)
    assert all(names[:100].count(name) == 4 for name in COMMUNITY.facts)
    monkeypatch.setattr(outlook, "MOST_COLUMNS", 3)
    rows = outlook.learned_rows(made._rows, made._grouped, shown)
    measured = rows[made._grouped.truth[rows]].tolist()
    assert len({made._rows.coded("dataset_id").at(row) for row in measured}) == 3


def test_scores_of_datasets_without_accuracies_count_too():
    made = catalogue(records_of(COMMUNITY, truths=DATASETS[1:3]))
    learnt = outlook.learned_rows(made._rows, made._grouped, board_on(made))
    assert {made._rows.coded("dataset_id").at(row) for row in learnt.tolist()} == set(DATASETS[1:])


def test_a_forecast_is_made_anew_only_where_what_it_learnt_from_changed():
    before = catalogue(RECORDS)
    first = board_on(before)
    unrelated = [*RECORDS, score("o/new", "logme", 0.5, dataset=on("owner/elsewhere"))]
    nothing = TableChange((), frozenset({"owner/elsewhere"}))
    assert board_on(Catalogue(table(unrelated), previous=before, difference=nothing)) is first
    new = [*RECORDS, *(accuracy(name, 1 - value, dataset=on("owner/new")) for name, value in COMMUNITY.truth.items())]
    other = Catalogue(table(new), previous=before, difference=TableChange((), frozenset({"owner/new"})))
    again = board_on(other)
    assert again is not first and again == board_on(catalogue(new))


@pytest.mark.parametrize("most", [0, 2000])
def test_boards_share_what_they_learn_from_and_say_the_same_as_alone(monkeypatch, most):
    monkeypatch.setattr(outlook, "MOST_REMEMBERED", most)
    made = catalogue(RECORDS)
    for dataset in DATASETS[:3]:
        assert board_on(made, dataset) == board_on(RECORDS, dataset), dataset
        columns = made._rows.columns
        assert 0 < len(columns) <= len(DATASETS) + len(DATASETS[1:]), "each column of scores or accuracies once"


def test_columns_begin_with_the_answer():
    found = board_on(RECORDS)
    headers = [one.header for one in columns_of(found, ("scores",))]
    assert headers[:5] == ["Rank", "Model", "Chance to be best", "Points below the best", "Parameters"]
    measured = board_on([*RECORDS, accuracy(found.rows[3].model, 0.8, dataset=on(TARGET))])
    headers = [one.header for one in columns_of(measured, ("scores",))]
    assert headers[:7] == [
        *("Rank", "Model", "Chance to be best", "Points below the best", "Expected accuracy", "Measured", "Parameters")
    ]
    shown = published(one for one in RECORDS if one.dataset.id == TARGET)
    assert [one.header for one in columns_of(shown, ("scores",))] == [*("Rank", "Model", "Range", "Tie"), *headers[6:]]
    probed = board_on([*RECORDS, accuracy(found.rows[3].model, 0.8, dataset=on(TARGET), method="probe")])
    (column,) = (one for one in columns_of(probed, ("scores",)) if one.header == "Measured (probe)")
    assert column.hint.startswith("accuracy on test rows with a linear probe")
    head = board_csv(found, found.rows).splitlines()[0]
    assert "best_probability,points_below_best,points_below_low,points_below_high,expected_accuracy" in head
    assert found.answer.split(".")[0] in head_html(found)
    assert "from a forecast" in notes_html(found, found.rows) and "from its score of" in notes_html(shown, shown.rows)


def test_what_strangers_wrote_is_escaped_wherever_it_is_said():
    bad = f"o/{HOSTILE}"
    said = replace(facts(), family=HOSTILE)
    worst = [accuracy(bad, 1.0, dataset=on(one)) for one in DATASETS[1:]]
    more = [*RECORDS, score(bad, "logme", 9.0, dataset=on(TARGET), facts=said), *worst]
    more += [replace(one, facts=replace(one.facts, family=HOSTILE)) for one in RECORDS[:9:9]]
    made = catalogue(more)
    found = board_on(made)
    row = next(row for row in found.rows if row.label == bad)
    section = re.sub("`[^`]*`", "", card_of(made, bad).partition("hf-transfer-score:start")[2])
    pages = [head_html(found), card_html(found, row), model_page(made, bad), section]
    assert bad in found.answer and any(HOSTILE in one for one in row.forecast.why)
    for text in pages:
        assert "<img" not in text
        assert "onerror" in text


def test_a_forecast_is_judged_by_what_it_says_without_the_accuracies_of_the_dataset():
    worst = list(reversed(board_on(RECORDS).rows))
    told = [accuracy(row.model, 0.5 + place / 100, dataset=on(TARGET)) for place, row in enumerate(worst)]
    reversed_told = [accuracy(row.model, 0.9 - place / 100, dataset=on(TARGET)) for place, row in enumerate(worst)]
    same, other = catalogue([*RECORDS, *told]), catalogue([*RECORDS, *reversed_told])
    ranks = same.unaided(board_on(same))
    assert ranks == other.unaided(board_on(other)) and set(ranks.values()) == set(range(1, len(worst) + 1))
    taus = [{one.label: one.agreement.tau for one in with_forecast(board_on(made), ranks)} for made in (same, other)]
    assert taus[0]["forecast"] > 0.9 and taus[1]["forecast"] < -0.9
    assert deciding(board_on(same)) == ("forecast",)
    html, _, below = trust_page(board_on(same), unaided=ranks)
    assert "The order of this board is by a forecast" in html and "decides here" in below
    assert with_forecast(board_on(RECORDS), {}) == trust(board_on(RECORDS))
