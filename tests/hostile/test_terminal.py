"""Untrusted names and texts never control a terminal, and a closed or full output ends a command clearly."""

import contextlib
import csv
import io
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

PROGRAM = [sys.executable, "-m", "hf_transfer_score"]

EVIL = "a\x1b[31mred\x1b]0;title\x07\x9b2J\r\x08\u202etxt\u200b[link=http://x]b[/link][/] =x\udcff"
"""A file name with a colour, a title, a bell, C1, a return, direction and zero-width marks, markup, and a bad byte."""

ALLOWED = {"\n", "\t"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Feature files, one of them with a name that controls terminals."""
    place = tmp_path_factory.mktemp("features")
    rows = np.random.default_rng(0).normal(size=(60, 8))
    labels = np.arange(60) % 3
    for name in ("plain", EVIL.replace("/", "|")):
        np.savez(place / f"{name}.npz", features=rows, labels=labels)
    Path(place, "=1+1.npz").write_bytes(Path(place, "plain.npz").read_bytes())
    return place


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def steering(text: str) -> list[str]:
    return sorted({letter for letter in text if not letter.isprintable() and letter not in ALLOWED})


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200", **more}


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_file_names_are_shown_without_control_characters(parent, folder, form):
    arguments = ("score", *names(folder), "--metrics", "ncti", *form)
    done = parent.run(*arguments, environment=environment(), folder=folder)
    assert done.status == 0, done.err
    out, err = done.out, done.err
    assert steering(out + err) == []
    if form == ["--json"]:
        assert EVIL.replace("/", "|") in json.loads(out)["pool"]
    else:
        assert r"\x1b[31mred\x1b]0;title\x07\x9b2J" in out and r"\u202etxt\u200b" in out and r"\xff" in out
        assert "[link=http:||x]b[|link][|]" in out
    if form == ["--csv"]:
        rows = {row["model"]: row for row in csv.DictReader(io.StringIO(out))}
        assert "'=1+1" in rows and float(rows["'=1+1"]["ncti.score"]) == float(rows["plain"]["ncti.score"])


def test_on_a_terminal_only_our_own_colours_and_bars(folder):
    files = names(folder)
    shown = on_a_terminal(folder, "score", *files, "--metrics", "ncti")
    assert "31mred" in shown and "\x1b[31mred" not in shown
    assert not set(shown) & {"\x07", "\x9b", "\x08", "\u202e", "\u200b"}
    assert "]0;title" in shown and "\x1b]" not in shown
    assert "[link=" in shown


def on_a_terminal(folder, *arguments) -> str:
    main, other = pty.openpty()
    settings = termios.tcgetattr(other)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(other, termios.TCSANOW, settings)
    streams = {"stdin": other, "stdout": other, "stderr": other, "env": environment(TERM="xterm-256color")}
    with subprocess.Popen([*PROGRAM, *arguments], cwd=folder, **streams) as program:
        os.close(other)
        parts = []
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(main, 65536):
                parts.append(part)
        os.close(main)
    assert program.returncode == 0
    return b"".join(parts).decode("utf-8", "surrogateescape")


LIBRARY = """
import logging, sys, warnings
from hf_transfer_score.cli import main, metrics

evil = "x\\x1b]0;title\\x07\\u202e\\x9b\\udcff"

def run():
    warnings.warn(evil)
    logging.getLogger("transformers").warning(evil)
    logging.basicConfig()
    logging.error(evil)
    print(evil)
    print(evil, file=sys.stderr)
    raise RuntimeError(evil)

metrics.all_guides = run
sys.exit(main(["metrics", "--traceback"]))
"""


def test_output_of_libraries_is_safe_too():
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, timeout=60, env=environment())
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 2
    assert steering(out + err) == []
    assert out == "x\\x1b]0;title\\x07\\u202e\\x9b\\xff\n"
    assert err.count("x\\x1b]0;title\\x07\\u202e\\x9b\\xff") >= 5
    assert err.splitlines()[-1].startswith("error: unexpected error: RuntimeError: x\\x1b]0;title")


SHELL = {
    "closed": (">&-", 2, "error: standard output could not be written: it is closed.\n"),
    "full": (">/dev/full", 2, "error: standard output could not be written: No space left on device.\n"),
    "errors full": ("nothing 2>/dev/full", 2, ""),
    "all closed": ("<&- >&- 2>&-", 2, ""),
    "only output": ("<&- 2>&- >/dev/null", 0, ""),
    "a pipe that closed": ("| true", 141, ""),
}


@pytest.mark.parametrize("case", SHELL)
def test_closed_and_full_outputs_end_a_command_clearly(folder, case):
    redirected, status, words = SHELL[case]
    script = f"{sys.executable} -m hf_transfer_score metrics {redirected}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (status, "", words)


def test_an_error_is_reported_before_a_closed_output(folder):
    script = f"{sys.executable} -m hf_transfer_score score missing.npz >&-; exit $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment())
    assert (done.returncode, done.stderr) == (1, "error: missing.npz: no such file.\n")


FORMS = """
import sys
from hf_transfer_score.cli import main
sys.exit(max(main(["score", *sys.argv[1:], "--metrics", "ncti", *form]) for form in ([], ["--json"], ["--csv"])))
"""


@pytest.mark.parametrize(
    "more",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-16"},
    ],
)
def test_no_encoding_raises(folder, more):
    files = [os.fsencode(name) for name in names(folder)]
    done = subprocess.run(
        [sys.executable, "-c", FORMS, *files],
        cwd=folder, capture_output=True, timeout=60, env=environment(**more),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and b"\x1b" not in done.stdout + done.stderr
