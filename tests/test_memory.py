"""Memory that stays with the process while models run."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from contextlib import nullcontext
import numpy as np
from hf_transfer_score import memory

def passes(context):
    with context:
        for _ in range(2):
            np.ones(3 << 22)
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.ones(3 << 22)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

def resident():
    return int(open("/proc/self/statm").read().split()[1])

before, as_usual = resident(), passes(nullcontext())
with memory.kept():
    kept, inside = passes(memory.kept()), resident()
print(before, as_usual, kept, inside, resident(), passes(nullcontext()))
"""
glibc_alone = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, which adapts to options")


def counted(**variables: str) -> list[int]:
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, env=environment, check=True)
    return [int(one) for one in done.stdout.split()]


@glibc_alone
def test_blocks_are_kept_while_models_run_and_given_back_afterwards():
    before, as_usual, kept, inside, after, again = counted()
    assert kept * 10 < as_usual  # pages that the system filled with zeros
    assert inside - before > 20_000 > 5_000 > after - before  # of 4 KiB, while 96 MiB are kept
    assert again > as_usual / 2


@glibc_alone
def test_settings_of_the_user_stay():
    _, as_usual, kept, *_ = counted(MALLOC_TRIM_THRESHOLD_="131072")
    assert kept > as_usual / 2
