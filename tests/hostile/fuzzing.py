"""Fuzzing with hypothesis: randomly changed inputs beside valid ones.

`python -m tests.hostile.fuzzing TIMES SEED` runs TIMES as many cases as the tests, with another seed.
"""

import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SLOWEST = 10.0  # seconds of processor time for one case

CASES = {
    "records": 330,
    "requests": 400,
    "tables": 130,
    "dataset cards": 250,
    "checkpoint configurations": 350,
    "model cards": 150,
    "feature files": 450,
    "uploads": 150,
}
"""Number of cases of each kind of input."""

Kind = tuple[st.SearchStrategy[Any], Callable[[Any, Path], None]]
"""The inputs, and a check that raises if one is handled wrongly."""


def kinds() -> dict[str, Kind]:
    from tests.hostile import fuzzed_descriptions, fuzzed_features, fuzzed_results

    return {
        "records": fuzzed_results.records(),
        "requests": fuzzed_results.requests(),
        "tables": fuzzed_results.tables(),
        "dataset cards": fuzzed_descriptions.dataset_files(),
        "checkpoint configurations": fuzzed_descriptions.checkpoint_files(),
        "model cards": fuzzed_descriptions.card_of_a_checkpoint(),
        "feature files": fuzzed_features.feature_files(),
        "uploads": fuzzed_features.uploads(),
    }


def tried(kind: Kind, cases: int, start: int | None) -> tuple[int, float]:
    """Run cases of a kind, and return how many ran, and the longest time of one."""
    (drawn_of, check), count, longest = kind, 0, 0.0

    def case(drawn: Any) -> None:
        nonlocal count, longest
        count += 1
        before = time.process_time()
        try:
            check(drawn, folder)
        finally:
            for one in folder.iterdir():  # removing and making the folder itself would take longer than most cases
                shutil.rmtree(one) if one.is_dir() else one.unlink()
        took = time.process_time() - before
        longest = max(longest, took)
        assert took < SLOWEST, f"it took {took:.1f} s"

    whole = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=start is None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate],
    )
    run = whole(given(drawn_of)(case))
    with tempfile.TemporaryDirectory(prefix="fuzzed-") as name:
        folder = Path(name)
        (run if start is None else seed(start)(run))()
    return count, longest


def main(times: int = 1, start: int | None = None, only: str = "") -> int:
    """Run all kinds, and print a line for each; return the number of failures."""
    failures = 0
    for name, kind in kinds().items():
        if only not in name:
            continue
        began, wrong, count, longest = time.perf_counter(), "", 0, 0.0
        try:
            count, longest = tried(kind, CASES[name] * times, start)
        except BaseException:  # noqa: BLE001 - including SystemExit
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
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:4]))
