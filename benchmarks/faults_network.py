"""A Hub that fails in many ways: a run ends in time with its numbers, a failed row, or a sentence."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from faults_killed import outcome
from faults_stage import Stage

from tests.conftest import clean_environment
from tests.hostile.judging import fault_of, last_line, printed
from tests.hostile.limited import Finished, run_limited, run_watched
from tests.hostile.trying import Trial
from tests.runs.pool import PICTURES, again

VICTIM, OTHER = "net/victim", "net/other"
"""The checkpoints of a run; faults of one checkpoint happen to the first."""
WEIGHTS = rf"{VICTIM}/resolve/.*model\.safetensors$"
CONFIG = rf"{VICTIM}/resolve/.*config\.json$"
ROWS = r"/resolve/.*\.parquet$"
MODEL, DATASET = f"/api/models/{VICTIM}", "/api/datasets/"
TREE = r"/api/.*/tree/"
EVERYTHING = ""
LONG = 99_999

Outcome = Literal["same", "row", "error", "any"]
"""Outcomes: the usual numbers; a failed row with its reason; a sentence without a ranking; any of these."""


@dataclass(frozen=True)
class NetworkMode:
    """Something that goes wrong while a dataset and two checkpoints are downloaded.

    Attributes:
        name: for the report.
        faults: arguments for calls of `LocalHub.fault`.
        outcome: the expected outcome of the run.
        said: a regular expression that the message must match.
        unsaid: one that it must not match: wrong reasons.
        endpoint: an address instead of the Hub's.
    """

    name: str
    faults: tuple[dict[str, Any], ...]
    outcome: Outcome
    said: str = ""
    unsaid: str = r"Couldn't find any data file|made by a script|empty"
    endpoint: str = ""


def _mode(name: str, outcome: Outcome, pattern: str, kind: Any, said: str = "", **more: Any) -> NetworkMode:
    return NetworkMode(name, ({"pattern": pattern, "kind": kind, **more},), outcome, said)


def _always(name: str, outcome: Outcome, pattern: str, kind: Any, said: str = "", **more: Any) -> NetworkMode:
    return _mode(name, outcome, pattern, kind, said, times=None, **more)


COMMAND = ("rank", PICTURES, "--models", VICTIM, OTHER, "--replicates", "0", "--json", "--quiet")


def modes(stage: Stage, random: Random) -> Iterator[Trial]:
    """Run a ranking under each mode, with an empty cache."""
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
    """Run it against another address, which clients read when they start."""
    environment = clean_environment(stage.place(f"away-{mode.name}"), mode.endpoint)
    return run_limited([sys.executable, "-m", "hf_transfer_score", *COMMAND], environment=environment, seconds=60)


def judged(mode: NetworkMode, done: Finished, expected: Any) -> str:
    """Return what is wrong with the end of a run, "" if nothing is."""
    report, found = printed(done.out), outcome(done)
    said = last_line(done.err) if report is None else str(report["pool"][VICTIM].get("reason"))
    ranks = {} if report is None else report["ranks"]
    came = "same" if found == expected else "row" if set(ranks) == {OTHER} else "other" if ranks else "error"
    if mode.outcome not in (came, "any") or came == "other":
        return f"came to {came} ({said!r}) where {mode.outcome} was expected"
    if came == "row" and report and report["pool"][OTHER]["scores"] is None:
        return "the other model has no scores"
    if came in ("row", "error") and not re.search(mode.said or r"\w+\W+\w+\W+\w+", said, re.IGNORECASE):
        return f"said {said!r} where {mode.said!r} was expected"
    if re.search(mode.unsaid, said):
        return f"gave a wrong reason: {said!r}"
    return ""


def network_modes() -> list[NetworkMode]:
    """Return all modes."""
    return [*passing(), *lasting(), *pretending(), *away()]


def passing() -> list[NetworkMode]:
    """Return faults that pass, after which the numbers are those of a run without them."""
    return [
        _mode("weights-cut", "same", WEIGHTS, "cut", after=20_000),
        _mode("weights-cut-at-once", "same", WEIGHTS, "cut", after=0),
        _mode("weights-reset", "same", WEIGHTS, "reset", method="GET"),
        _mode("weights-500", "same", WEIGHTS, 500, method="GET"),
        _mode("weights-503-wait-1", "same", WEIGHTS, 503, method="GET", retry_after=1),
        _mode("weights-429-wait-1", "same", WEIGHTS, 429, method="GET", retry_after=1),
        _mode("weights-flipped", "same", WEIGHTS, "flip", after=20_000),
        _mode("weights-late", "same", WEIGHTS, "latency", seconds=3),
        _mode("weights-stall", "same", WEIGHTS, "stall", after=20_000, seconds=15),
        _mode("config-500", "same", CONFIG, 500, times=2),
        _mode("config-reset", "same", CONFIG, "reset"),
        _mode("model-503", "same", MODEL, 503),
        _mode("model-reset", "same", MODEL, "reset"),
        _mode("dataset-500", "same", DATASET, 500),
        _mode("dataset-429-wait-1", "same", DATASET, 429, retry_after=1),
        _mode("dataset-reset", "same", DATASET, "reset"),
        _mode("rows-cut", "same", ROWS, "cut", after=2_000),
        _mode("rows-500", "same", ROWS, 500, method="GET"),
        _mode("rows-reset", "same", ROWS, "reset"),
        _mode("rows-502-twice", "same", ROWS, 502, times=2),
        _mode("each-tenth-answer-503", "same", EVERYTHING, 503, skip=4, times=3),
        _always("everything-late", "same", EVERYTHING, "latency", seconds=0.2),
    ]


def lasting() -> list[NetworkMode]:
    """Return faults that do not pass."""
    return [
        _always("all-500", "error", EVERYTHING, 500, "500"),
        _always("all-429", "error", EVERYTHING, 429, "429|too many|limit"),
        _always("all-503-wait-long", "error", EVERYTHING, 503, "503", retry_after=LONG),
        _always("all-403", "error", EVERYTHING, 403),
        _always("all-reset", "error", EVERYTHING, "reset", "reach|network|connect"),
        _always("all-404", "error", EVERYTHING, 404),
        _always("all-501", "error", EVERYTHING, 501),
        _always(
            "weights-429-wait-long", "row", WEIGHTS, 429, "429|too many|limit|wait", retry_after=LONG, method="GET"
        ),
        _always("weights-500-for-ever", "row", WEIGHTS, 500, "500", method="GET"),
        _always("weights-cut-for-ever", "row", WEIGHTS, "cut", after=10),
        _always("weights-reset-for-ever", "row", WEIGHTS, "reset", method="GET"),
        _always("weights-404", "row", WEIGHTS, 404),
        _always("weights-401", "row", WEIGHTS, 401),
        _always("weights-flipped-for-ever", "row", WEIGHTS, "flip", "hash|differ|damaged|corrupt|sha", after=20_000),
        _always("weights-stall-for-ever", "row", WEIGHTS, "stall", after=20_000, seconds=LONG),
        _always("rows-cut-for-ever", "error", ROWS, "cut", after=2_000),
        _always("rows-500-for-ever", "error", ROWS, 500, "500"),
        _always("rows-429-wait-long", "error", ROWS, 429, "429|too many|limit", retry_after=LONG),
        _always("rows-404", "error", ROWS, 404),
        _always("rows-stall-for-ever", "error", ROWS, "stall", after=2_000, seconds=LONG),
        _always("dataset-500-for-ever", "error", DATASET, 500, "500"),
        _always("dataset-401", "error", DATASET, 401),
        _always("trees-500", "any", TREE, 500),
    ]


def pretending() -> list[NetworkMode]:
    """Return successful answers with the wrong content."""
    return [
        _always("page-for-everything", "error", EVERYTHING, "page"),
        _always("page-for-weights", "row", WEIGHTS, "page", method="GET"),
        _always("page-for-config", "row", CONFIG, "page"),
        _always("page-for-models", "row", MODEL, "page"),
        _always("page-for-rows", "error", ROWS, "page"),
        _always("nothing-for-everything", "error", EVERYTHING, "nothing"),
        _always("nothing-for-weights", "row", WEIGHTS, "nothing", method="GET"),
        _always("nothing-for-rows", "error", ROWS, "nothing", method="GET"),
        _always("wrong-json", "error", "/api/", "wrong"),
        _always("wrong-json-for-trees", "any", TREE, "wrong"),
        _always("halved-json", "error", "/api/", "halved"),
        _always("shorter-than-promised", "error", "/api/", "longer"),
        _always("longer-than-promised", "error", "/api/", "shorter"),
        _always("rows-drip", "error", ROWS, "drip", seconds=0.05),
        _always("weights-drip", "row", WEIGHTS, "drip", seconds=0.05),
        _always("redirections-for-ever", "error", EVERYTHING, "loop"),
        _always("redirected-weights", "row", WEIGHTS, "loop"),
        _always("no-etag", "any", "/resolve/", "plain"),
        _always("flipped-rows", "error", ROWS, "flip", after=1_500),
    ]


def away() -> list[NetworkMode]:
    """Return addresses without a Hub."""
    return [
        NetworkMode("nobody-there", (), "error", "reach|network|connect", endpoint="http://127.0.0.1:9"),
        NetworkMode("no-such-name", (), "error", "reach|network|connect", endpoint="http://hub.invalid"),
        NetworkMode("no-address", (), "error", endpoint="not an address"),
    ]
