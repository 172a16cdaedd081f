"""Wall time of `hf-transfer-score demo` by phase, and whether two runs give the same numbers.

Run `python benchmarks/demo.py --help`. Each run is a process of its own, as a user starts it; what the phases leave is
the start of Python, imports, and printing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

BAR = 90.0
PHASES = ("pre-training", "ranking", "fine-tuning")


def main() -> None:
    """Run the demonstration as often as asked for, and print a line for each run."""
    options = _options()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first run; the bar is {BAR:.0f} s")
    print("  ".join(f"{name:>12}" for name in ("run", *PHASES, "rest", "whole", "CPU")))
    runs = [_run(number, options.seed) for number in range(1, options.runs + 1)]
    same = all(_numbers(one) == _numbers(runs[0]) for one in runs)
    if len(runs) > 1:
        print(f"the same numbers in all runs: {'yes' if same else 'NO'}")
    sys.exit(0 if same else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Wall time of the demonstration by phase.")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _run(number: int, seed: int) -> dict[str, Any]:
    """Run the command once, print its times, and return what it said."""
    before, start = os.times(), time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "hf_transfer_score", "demo", "--json", "--seed", f"{seed}"]
        environment = {**os.environ, "HF_TRANSFER_SCORE_HOME": home}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    whole, after = time.perf_counter() - start, os.times()
    said: dict[str, Any] = json.loads(done.stdout)
    phases = [said["seconds"][phase] for phase in PHASES]
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print("  ".join([f"{number:>12}", *(f"{one:>10.1f} s" for one in (*phases, whole - sum(phases), whole, used))]))
    return said


def _numbers(said: dict[str, Any]) -> Any:
    """Return everything that has to be the same again."""
    pools = {name: pool["scores"] for name, pool in said["ranking"]["pools"].items()}
    return said["accuracies"], said["agreement"], pools, said["ranking"]["ranks"]


if __name__ == "__main__":
    main()
