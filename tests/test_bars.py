"""Progress in Python: an optional bar, and a log line for each failure."""

import logging
import subprocess
import sys

import pytest

from hf_transfer_score import Listener, OptionError, plan_rank, rank, set_verbosity
from hf_transfer_score.logs import bars_wanted

TEXTS = (["good", "bad"] * 8, [1, 0] * 8)


def said(capfd, **named):
    rank(TEXTS, "no/such-folder/at-all", **named)
    return capfd.readouterr().err


def test_a_bar_is_shown_unless_it_is_disabled(capfd, monkeypatch, tmp_path):
    lines = said(capfd, folder=tmp_path).split("\r")
    assert any(line.startswith("reading the dataset: 0 rows [") for line in lines)
    assert not any(": :" in line or "0it" in line for line in lines), "each line tells what is done"
    assert "reading the dataset" not in said(capfd, folder=tmp_path, progress=False)
    assert "reading the dataset" not in said(capfd, folder=tmp_path, listener=Listener())
    monkeypatch.setenv("HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS", "1")
    assert "reading the dataset" not in said(capfd, folder=tmp_path)
    assert "reading the dataset" in said(capfd, folder=tmp_path, progress=True)


@pytest.mark.parametrize("name", ["HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"])
def test_both_variables_count(monkeypatch, name):
    monkeypatch.delenv("HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS", raising=False)
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    assert bars_wanted(None)
    monkeypatch.setenv(name, "true")
    assert not bars_wanted(None) and bars_wanted(True)


def test_failures_are_warnings_of_the_logger(caplog, tmp_path):
    rank(TEXTS, "no/such-folder/at-all", folder=tmp_path, progress=False)
    warned = [one for one in caplog.records if one.name == "hf_transfer_score"]
    assert [one.levelname for one in warned] == ["WARNING"]
    assert warned[0].getMessage().startswith("no/such-folder/at-all failed: ")


def test_verbosity(caplog, tmp_path):
    set_verbosity("info")
    try:
        plan_rank(TEXTS, "no/such-folder/at-all", folder=tmp_path, progress=False)
        assert any("16 examples" in one.getMessage() for one in caplog.records)
        caplog.clear()
        set_verbosity("error")
        rank(TEXTS, "no/such-folder/at-all", folder=tmp_path, progress=False)
        assert not [one for one in caplog.records if one.name == "hf_transfer_score"]
    finally:
        set_verbosity(logging.WARNING)
    with pytest.raises(OptionError, match="level='loud': expected one of debug, info, warning"):
        set_verbosity("loud")


def test_the_variable_sets_it_beforehand():
    code = "from hf_transfer_score.logs import logger; print(logger().level)"
    run = {"env": {"HF_TRANSFER_SCORE_VERBOSITY": "error", "PATH": "/usr/bin"}, "capture_output": True, "check": True}
    assert subprocess.run([sys.executable, "-c", code], text=True, **run).stdout == "40\n"
