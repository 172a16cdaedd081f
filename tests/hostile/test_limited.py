"""The limits themselves: a command within them passes, one that exceeds them is stopped and reported."""

import pytest

from tests.hostile.limited import run_python


def test_a_command_within_its_limits_returns_its_output():
    done = run_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.code, done.out, done.err, done.over) == (3, "out\n", "err\n", "")
    assert done.clean


LARGE = "a = bytearray(400 << 20); import time; time.sleep(30)"


@pytest.mark.parametrize(
    ("code", "seconds", "over"),
    [
        ("import time; time.sleep(30)", 2, "time"),
        (LARGE, 5, "memory"),
        (f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LARGE!r}])", 30, "memory"),
    ],
    ids=["time", "memory", "memory of children"],
)
def test_a_command_that_exceeds_a_limit_is_stopped(code, seconds, over):
    done = run_python(code, seconds=seconds, megabytes=200)
    assert done.over == over and not done.clean and done.seconds < 25


def test_a_traceback_and_a_signal_are_not_clean():
    assert not run_python("1 / 0").clean
    assert not run_python("import os, signal; os.kill(os.getpid(), signal.SIGBUS)").clean
