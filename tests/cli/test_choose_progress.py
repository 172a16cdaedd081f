"""The table of a choice that goes on: few lines, whatever the names are."""

import io
import sys

import pytest

from hf_transfer_score.choosing.history import Round
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.cli import main
from hf_transfer_score.cli.choose import rounds_table
from hf_transfer_score.cli.output import Page, render, standard_streams
from hf_transfer_score.cli.progress import ChoiceTable, following

HOSTILE = "o/\x1b[31mred\x1b]0;title\x07\u202egnp\nline [bold]x[/bold]"
MANY = tuple(f"owner/model-{place:02d}" for place in range(52))


class Terminal(io.StringIO):
    """What looks like a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def shown_at(*rounds, width=100):
    table = ChoiceTable(ChooseOptions(budget="2 fine-tunings"))
    for one in rounds:
        table.ended(one)
    return render(table.parts(), Page(width)).splitlines()


def test_nothing_is_shown_before_the_first_round():
    assert shown_at() == []


def test_who_is_in_who_went_and_why_and_what_it_cost():
    lines = shown_at(
        Round("facts", "facts", ("a", "b", "c"), {"d": "its licence is not known"}, "a"),
        Round("race", "4 epochs", ("b", "a"), {"c": "clearly behind"}, "b", 0.8, 1.25, "1 min", {"b": 0.75, "a": 0.5}),
        Round("proof", "90 test rows", ("b", "c"), {}, "b", spent="2 min"),
    )
    cells = [line.split("  ") for line in lines]
    assert [[one.strip() for one in line if one.strip()] for line in cells[1:5]] == [
        ["b", "in", "75.0%"],
        ["a", "in", "50.0%"],
        ["c", "dropped at 4 epochs", "–", "clearly behind"],
        ["d", "dropped at facts", "–", "its licence is not known"],
    ]
    assert lines[5] == "2 of 4 are left after 90 test rows; spent 2 min; the budget is 2 fine-tunings"


def test_what_going_on_can_win_is_said():
    found = Round("race", "4 epochs", ("b", "a"), {}, "b", 0.8, 1.25, "1 min")
    assert shown_at(found)[4] == (
        "b is good enough with probability 80% (90% is asked for); going on can gain about 1.2 points"
    )


@pytest.mark.parametrize("width", [40, 100])
def test_of_many_the_first_twelve_are_shown(width):
    lines = shown_at(Round("rows", "256 rows", MANY[:20], dict.fromkeys(MANY[20:], "too slow")), width=width)
    assert [line.split()[0] for line in lines[1:13]] == list(MANY[:12]) or width == 40
    assert "and 40 more, 8 of them in" in lines
    assert len(lines) <= 12 + 6 and max(map(len, lines)) <= width


def test_hostile_names_are_harmless_and_take_one_line():
    found = Round("race", "4 epochs", (HOSTILE,), {HOSTILE + "2": HOSTILE}, HOSTILE, 0.5, 1.0, "1 s", {HOSTILE: 0.5})
    lines = shown_at(found, width=200)
    assert all(line.isprintable() for line in lines)
    assert lines[1].startswith("o/\\x1b[31mred") and "[bold]x[/bold]" in lines[2] and len(lines) == 6


def test_a_terminal_sees_the_table_and_everything_else_a_line_for_each_round(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    found = Round("rows", "256 rows", (HOSTILE, *MANY), {}, MANY[0])
    for stream, wanted in ((Terminal(), "and 41 more"), (io.StringIO(), "and 50 more are left")):
        monkeypatch.setattr(sys, "stderr", stream)
        with standard_streams(), following(ChooseOptions(), quiet=False) as heard:
            heard.ended(found)
            heard.stage(f"fine-tuning {HOSTILE}")
        told = stream.getvalue()
        assert wanted in told and "\x1b]0;" not in told and "\x1b[31mred" not in told and "\u202e" not in told
    assert "\x1b" not in told


def test_the_learning_rate_that_was_found_is_always_told():
    rounds = (
        Round("race", "learning rate 0.003", ("a", "b"), spent="1 s"),
        Round("race", "4 epochs", ("a", "b"), {}, "a", 0.8, None, "2 s"),
    )
    assert [line.split()[0] for line in render(rounds_table(rounds), Page(140)).splitlines()] == [
        "round",
        "learning",
        "4",
    ]


SLOW, WEAK = "reads 3 examples a second", "2.0% chance that the best is among those dropped"


def test_rounds_that_change_nothing_are_one_line():
    rounds = (
        Round("facts", "facts", ("a", "b", "c", "d\x1b[31m")),
        Round("rows", "256 rows", ("a", "b"), {"c": WEAK, "d\x1b[31m": WEAK}, "a", 0.5, 2.0, "1 s, 0.10 fine-tunings"),
        Round("race", "2 epochs", ("a",), {"b": SLOW}, "a", 0.8, None, "2 s, 0.20 fine-tunings"),
        Round("race", "4 epochs", ("a",), {}, "a", 0.8, None, "3 s, 0.30 fine-tunings"),
        Round("race", "8 epochs", ("a",), {}, "a", 0.9, None, "4 s, 0.40 fine-tunings"),
        Round("proof", "90 test rows", ("a",), {}, "a", spent="5 s, 0.50 fine-tunings"),
    )
    lines = [line.split("  ") for line in render(rounds_table(rounds), Page(140)).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [
        ["round", "left", "sure", "spent", "dropped"],
        ["facts", "4"],
        ["256 rows", "2", "50%", "1 s, 0.10 fine-tunings", f"c and d\\x1b[31m ({WEAK})"],
        ["2 epochs", "1", "80%", "2 s, 0.20 fine-tunings", f"b ({SLOW})"],
        ["8 epochs", "1", "90%", "4 s, 0.40 fine-tunings"],
        ["90 test rows", "5 s, 0.50 fine-tunings"],
    ]


def test_without_any_candidate_each_reason_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path))
    assert main(["choose", "example", "--models", str(tmp_path / "no-such-model"), "--quiet"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("No candidate could be chosen.") and said.count("is not a folder") == 1
