"""Fault injection: everything that is known to go wrong, tried for real.

`python faults.py` runs all of it, `--only kills disks` some kinds. Each input has 60 s, and 2 GB beyond the imports. A
run survives if it ends within these limits with the right numbers or with a sentence that says what is wrong: without
a traceback, a signal, a raw control code, or anything read, run or requested beyond the input itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from faults_stage import Stage, set_up  # first, because it finds the folder of the tests

from faults_disk import disks  # isort: skip
from faults_inputs import checkpoints, datasets, feature_files  # isort: skip
from faults_killed import at_once, kills  # isort: skip
from faults_network import modes  # isort: skip
from tests.hostile.trying import Trial  # isort: skip

KINDS: dict[str, Callable[[Stage, Random], Iterator[Trial]]] = {
    "kills": kills,
    "at-once": at_once,
    "disks": disks,
    "network": modes,
    "feature-files": feature_files,
    "datasets": datasets,
    "checkpoints": checkpoints,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all trials, print a table, and return 1 if any was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="show each trial as it ends")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, set_up(Path(folder)) as stage:
        tried = {kind: run(KINDS[kind], stage, options.seed, options.verbose) for kind in options.only}
    print(table(tried))
    lost = [trial for trials in tried.values() for trial in trials if trial.wrong]
    for trial in lost:
        print(f"\n{trial.name}: {trial.wrong}\n  hf-transfer-score {trial.command}\n{tail(trial)}")
    return bool(lost)


def run(kind: Callable[[Stage, Random], Iterator[Trial]], stage: Stage, seed: int, verbose: bool) -> list[Trial]:
    """Return all trials of a kind."""
    tried, start = [], time.perf_counter()
    for trial in kind(stage, Random(seed)):
        tried.append(trial)
        if verbose:
            took = f"{trial.done.seconds:.1f} s, {trial.done.megabytes:.0f} MB"
            print(f"{trial.name}: {trial.wrong or 'survived'} ({took})", file=sys.stderr, flush=True)
    print(f"{len(tried)} in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return tried


def table(tried: dict[str, list[Trial]]) -> str:
    """Return survived and tried trials of each kind, with the largest time and memory."""
    lines = ["| kind | survived / tried | longest | most memory |", "|---|---|---|---|"]
    for kind, trials in tried.items():
        survived = sum(not trial.wrong for trial in trials)
        seconds, megabytes = (
            max(one) for one in zip(*[(t.done.seconds, t.done.megabytes) for t in trials], strict=True)
        )
        lines.append(f"| {kind} | {survived} / {len(trials)} | {seconds:.1f} s | {megabytes:.0f} MB |")
    return "\n".join(lines)


def tail(trial: Trial) -> str:
    """Return the last lines of a command's output."""
    lines = [line for line in (trial.done.out + trial.done.err).splitlines() if line.strip()]
    return "\n".join(f"  | {line[:300]}" for line in lines[-4:])


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the threads of the local Hub may still wait
