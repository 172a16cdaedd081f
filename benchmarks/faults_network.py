"""A Hub that fails in many ways: a run ends with its numbers, with a row, or with a sentence, within its time."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

from faults_killed import outcome
from faults_stage import Stage

from tests.conftest import clean_environment
from tests.hostile.judging import fault_of, last_line, printed
from tests.hostile.limited import Finished, run_limited
from tests.hostile.network_modes import OTHER, VICTIM, NetworkMode, network_modes
from tests.hostile.trying import Trial
from tests.hostile.watching import run_watched
from tests.runs.pool import PICTURES, again

COMMAND = ("rank", PICTURES, "--models", VICTIM, OTHER, "--replicates", "0", "--json", "--quiet")


def modes(stage: Stage, random: Random) -> Iterator[Trial]:
    """Run a ranking under each mode, with nothing on disk."""
    for name in (VICTIM, OTHER):
        again(stage.hub, name, "good/vit")
    expected = outcome(_run(stage, "none", ()))
    for mode in network_modes():
        done = _away(stage, mode) if mode.endpoint else _run(stage, mode.name, mode.faults)
        yield Trial(mode.name, " ".join(COMMAND), fault_of(done) or judged(mode, done, expected), done)


def _run(stage: Stage, name: str, faults: tuple[dict[str, Any], ...]) -> Finished:
    shutil.rmtree(stage.warm.hub_cache.parent, ignore_errors=True)
    stage.hub.faults[:] = []
    for fault in faults:
        stage.hub.fault(**fault)
    try:
        return run_watched(stage.warm, *COMMAND, HF_TRANSFER_SCORE_HOME=str(stage.place(f"network-{name}")))
    finally:
        stage.hub.faults[:] = []


def _away(stage: Stage, mode: NetworkMode) -> Finished:
    """Run it against another address, which clients read as they start."""
    environment = clean_environment(stage.place(f"away-{mode.name}"), mode.endpoint)
    return run_limited([sys.executable, "-m", "hf_transfer_score", *COMMAND], environment=environment, seconds=60)


def judged(mode: NetworkMode, done: Finished, expected: Any) -> str:
    """Return what is wrong with how a run ended, "" where it ended as it should."""
    report, found = printed(done.out), outcome(done)
    said = last_line(done.err) if report is None else str(report["models"][VICTIM].get("reason"))
    ranks = {} if report is None else report["ranks"]
    came = "same" if found == expected else "row" if set(ranks) == {OTHER} else "other" if ranks else "error"
    if mode.outcome not in (came, "any") or came == "other":
        return f"came to {came} ({said!r}) where {mode.outcome} was expected"
    if came == "row" and report and report["models"][OTHER]["scores"] is None:
        return "the other model has no scores"
    if came in ("row", "error") and not re.search(mode.said or r"\w+\W+\w+\W+\w+", said, re.IGNORECASE):
        return f"said {said!r} where {mode.said!r} was expected"
    if re.search(mode.unsaid, said):
        return f"gave a wrong reason: {said!r}"
    return ""
