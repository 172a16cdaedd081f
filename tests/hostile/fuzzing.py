"""The campaign with hypothesis: what strangers send, changed at random, beside what is sound.

`python -m tests.hostile.fuzzing TIMES SEED` runs so many times as many as the tests do, from another start.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.hostile.fuzzed_checkpoints import card_of_a_checkpoint, checkpoint_files
from tests.hostile.fuzzed_datasets import dataset_files
from tests.hostile.fuzzed_features import feature_files, uploads
from tests.hostile.fuzzed_results import records, requests, tables

SLOWEST = 10.0
"""Seconds of the processor that one case may take."""


@dataclass(frozen=True)
class Kind:
    """One kind of what strangers send.

    Attributes:
        cases: how many are tried.
        drawn: what is tried.
        check: raises AssertionError, or anything else that must not be raised.
    """

    cases: int
    drawn: st.SearchStrategy[Any]
    check: Callable[[Any, Path], None]


def kinds() -> dict[str, Kind]:
    """Return all kinds."""
    return {
        "records": Kind(330, *records()),
        "requests": Kind(400, *requests()),
        "tables": Kind(130, *tables()),
        "dataset cards": Kind(250, *dataset_files()),
        "checkpoint configurations": Kind(350, *checkpoint_files()),
        "model cards": Kind(150, *card_of_a_checkpoint()),
        "feature files": Kind(450, *feature_files()),
        "uploads": Kind(150, *uploads()),
    }


def tried(kind: Kind, times: int, start: int | None) -> tuple[int, float]:
    """Run the cases of a kind, and return how many ran, and the longest time that one took."""
    count, longest = 0, 0.0

    def case(drawn: Any) -> None:
        nonlocal count, longest
        count += 1
        before = time.process_time()
        with tempfile.TemporaryDirectory(prefix="fuzzed-") as folder:
            kind.check(drawn, Path(folder))
        took = time.process_time() - before
        longest = max(longest, took)
        assert took < SLOWEST, f"it took {took:.1f} s"

    whole = settings(
        max_examples=kind.cases * times,
        deadline=None,
        database=None,
        derandomize=start is None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate],
    )
    run = whole(given(kind.drawn)(case))
    (run if start is None else seed(start)(run))()
    return count, longest


def main(times: int = 1, start: int | None = None, only: str = "") -> int:
    """Run all kinds, and print a line for each."""
    failures = 0
    for name, kind in kinds().items():
        if only not in name:
            continue
        began, wrong, count, longest = time.perf_counter(), "", 0, 0.0
        try:
            count, longest = tried(kind, times, start)
        except BaseException:  # noqa: BLE001 - an interpreter that is asked to end says so here too
            wrong = traceback.format_exc()
            failures += 1
        took = time.perf_counter() - began
        told = {
            "kind": name,
            "cases": count,
            "seconds": took,
            "longest": longest,
            "wrong": wrong if len(wrong) < 6000 else f"{wrong[:3000]} ... {wrong[-3000:]}",
        }
        print(json.dumps(told), flush=True)
    return failures


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:3]]
    sys.exit(main(*numbers, *sys.argv[3:4]))
