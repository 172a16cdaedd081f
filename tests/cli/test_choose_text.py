"""The rounds of a choice as they are printed at its end."""

from hf_transfer_score.choosing.history import Round
from hf_transfer_score.cli import main
from hf_transfer_score.cli.choose import rounds_table
from hf_transfer_score.cli.output import Page, render

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
