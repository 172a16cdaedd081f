"""What people read of a demonstration."""

import re
from dataclasses import replace

import pytest

from hf_transfer_score.cli.demo_text import demo_text
from hf_transfer_score.cli.tables import Page
from hf_transfer_score.demonstration.zoo import SCHOOLINGS
from hf_transfer_score.ranking.agreement import measured_agreement, noise_ceiling


def flat(text):
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def text(small):
    return demo_text(small.found, Page(120))


def test_it_says_what_it_is(text):
    assert "3 micro networks" in text
    assert "It is no evidence for any metric" in flat(text)
    assert "Nothing can be told from 3 models" in flat(text)


def test_each_network_has_its_rank_and_its_accuracy(small, text):
    for name, rank in small.found.report.ranks.items():
        (row,) = [line for line in text.splitlines() if line.startswith(name)]
        assert row.split()[1] == str(rank)
        assert f"{small.found.accuracy(name):.1%}" in row


def test_each_order_has_its_agreement(small, text):
    for name, one in small.found.agreements.items():
        told = "–" if one.weighted_tau is None else f"{one.weighted_tau:.2f}"
        assert re.search(rf"^ +{name}(?: \(baseline\))? +{re.escape(told)} ", text, re.MULTILINE), name
    assert re.search(r"^ +noise ceiling ", text, re.MULTILINE)


def test_what_they_went_through_is_explained_once(text):
    for name in ("pretrained", "few-images", "untrained"):
        assert len(re.findall(rf"^ +{name} +{SCHOOLINGS[name].words}$", text, re.MULTILINE)) == 1
    assert "noisy-labels" not in text


def test_commands_to_go_on_with_stay_on_one_line(small):
    narrow = demo_text(small.found, Page(40))
    assert f"\n    hf-transfer-score leaderboard --results {small.folder}\n" in narrow
    assert f"rank {small.folder}/warped-digits-5-9 --models {small.folder}/checkpoints/* --metrics all\n" in narrow
    spaced = demo_text(replace(small.found, results=small.folder / "a b", kept=None), Page(100))
    assert f"--results '{small.folder}/a b'\n" in spaced
    assert "hf-transfer-score demo --save ./demo\n" in spaced


def test_intervals_stand_beside_their_figures_where_there_are_enough(small):
    scores, measured = range(9), [(value / 10, value / 10 + 0.02) for value in (0, 2, 1, 3, 4, 6, 5, 7, 8)]
    one = measured_agreement(scores, measured)
    found = replace(small.found, agreements={"ranking": one}, ceiling=noise_ceiling(measured))
    text = flat(demo_text(found, Page(120)))
    low, high = one.weighted_tau_interval
    assert f"{one.weighted_tau:.2f} [{low:.2f}, {high:.2f}]" in text
    assert "In brackets 90% intervals over the 9 networks" in text
    assert "Nothing can be told" not in text
