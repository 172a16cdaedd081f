"""The limits themselves: a command within them passes, one that exceeds them is stopped and reported."""

import pytest

from tests.hostile.limited import run_python


def test_what_stays_within_its_limits_is_returned_whole():
    done = run_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.code, done.out, done.err, done.over) == (3, "out\n", "err\n", "")
    assert done.clean


@pytest.mark.parametrize(
    ("code", "over"),
    [("import time; time.sleep(30)", "time"), ("a = bytearray(400 << 20); import time; time.sleep(30)", "memory")],
)
def test_what_goes_over_a_limit_is_stopped(code, over):
    done = run_python(code, seconds=2, megabytes=200)
    assert done.over == over
    assert not done.clean
    assert done.seconds < 10


def test_the_memory_of_children_counts():
    child = "a = bytearray(400 << 20); import time; time.sleep(20)"
    done = run_python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", megabytes=200)
    assert done.over == "memory"


def test_a_traceback_and_a_signal_are_not_clean():
    assert not run_python("1 / 0").clean
    assert not run_python("import os, signal; os.kill(os.getpid(), signal.SIGBUS)").clean
