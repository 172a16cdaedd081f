"""Memory that is kept between batches, and given back after them."""

import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
import resource, sys
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from hf_transfer_score.features.heap import memory_kept

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024

before = resident()
with memory_kept():
    np.ones(8_000_000)
    start = faults()
    for _ in range(10):
        np.ones(8_000_000)  # 61 MB, 15,625 pages
    within, kept = faults() - start, resident() - before
left = resident() - before
start = faults()
for _ in range(10):
    np.ones(8_000_000)
print(within, kept, left, faults() - start)
"""


def run(**more):
    few = {"NUMPY_MADVISE_HUGEPAGE": "0"}  # pages of one size, to count them
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, env=bare | few | more, check=True)
    return [int(number) for number in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(os, "confstr"), reason="about glibc")
def test_pages_are_kept_within_the_block_and_given_back_after_it():
    if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
        pytest.skip("about glibc")
    within, kept, left, after = run()
    assert within < 2_000 and kept > 50  # ten times 15,625 pages without it
    assert left < 20 and after > 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
@pytest.mark.parametrize("setting", [{"MALLOC_TOP_PAD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.top_pad=0"}])
def test_settings_of_the_user_stay(setting):
    assert run(**setting)[0] > 100_000
