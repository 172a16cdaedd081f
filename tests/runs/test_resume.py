"""Runs that are ended by hand or killed, the runs after them, and runs at the same time on one cache."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.runs.bad import add_own_code
from tests.runs.pool import PICTURES, again, change_weights, kept, weights_on_disk
from tests.runs.warm import until

SLOW = ("slow/own-code", "slow/next", "slow/last")
WEIGHTS = r"/resolve/.*model.safetensors$"
PROMPT = 5
"""Seconds within which a run ends that is asked to."""


def arguments(*models, more=()):
    return ("rank", PICTURES, "--models", *models, "--json", "--replicates", "0", "--quiet", *more)


def models_in(warm):
    """Return what has features in the cache."""
    return {entry.meta["model"] for entry in kept(warm).entries()}


@pytest.fixture(scope="module")
def ended(shared_hub, warm):
    """A run that is ended while the second of three downloads, and how long that took."""
    names = ("first/vit", "second/vit", "third/vit")
    for name in names:
        again(shared_hub, name, "good/vit")
    slow = shared_hub.fault(f"second/vit{WEIGHTS}", "latency", method="GET", seconds=20, times=None)
    running = warm.start(*arguments(*names))
    until(lambda: "first/vit" in models_in(warm) and slow.hits)
    time.sleep(1)  # until it is scored too
    start = time.perf_counter()
    running.send(signal.SIGINT)
    done = running.wait()
    seconds = time.perf_counter() - start
    shared_hub.faults.remove(slow)
    return done, seconds


def test_ctrl_c_ends_a_run_promptly_with_what_is_done(ended):
    done, seconds = ended
    assert done.status == 130 and seconds < PROMPT
    assert done.report["interrupted"] and list(done.report["ranks"]) == ["first/vit"]
    statuses = {name: one["status"] for name, one in done.models.items()}
    assert statuses == {"first/vit": "ok", "second/vit": "interrupted", "third/vit": "interrupted"}
    assert done.models["third/vit"]["reason"] == "the run ended before its turn; run again to continue"


def test_the_next_run_goes_on_where_it_was(ended, shared_hub, warm):
    shared_hub.requests.clear()
    done = warm.run(*arguments("first/vit", "second/vit", "third/vit"))
    assert done.status == 0 and len(done.report["ranks"]) == 3
    assert [done.models[f"{name}/vit"]["from_cache"] for name in ("first", "second", "third")] == [True, False, False]
    assert shared_hub.asked("first/vit") == []


@pytest.fixture(scope="module")
def forward(shared_hub, warm):
    """A run ended in the forward passes of the first of three: done, seconds, and what had been asked by then."""
    add_own_code(shared_hub, SLOW[0], seconds=0.5)
    for name in SLOW[1:]:
        again(shared_hub, name, "good/vit")
    running = warm.start(*arguments(*SLOW, more=("--trust-remote-code", SLOW[0], "--batch-size", "1", "--free-disk")))
    until(lambda: shared_hub.sent(f"{SLOW[1]}{WEIGHTS}"))
    asked = {name: bool(shared_hub.asked(f"{name}{WEIGHTS}", "GET")) for name in SLOW}
    scored = models_in(warm)
    time.sleep(0.7)
    start = time.perf_counter()
    running.send(signal.SIGINT)
    done = running.wait()
    return done, time.perf_counter() - start, asked, scored


def test_the_next_weights_come_while_a_model_runs(forward):
    _, _, asked, scored = forward
    assert asked == {SLOW[0]: True, SLOW[1]: True, SLOW[2]: False}, "one ahead, no more"
    assert not scored & set(SLOW)


def test_ctrl_c_ends_forward_passes(forward, warm):
    done, seconds, _, _ = forward
    assert done.status == 130 and seconds < PROMPT
    assert done.report["ranks"] == {} and done.report["interrupted"]
    assert [name for name in SLOW if weights_on_disk(warm, name)] == [], "what came for later turns is freed too"
    assert not list(kept(warm).folder.glob(".*")), "what was not whole is gone"


@pytest.mark.parametrize("pattern", ["/api/models/slow/never", r"/datasets/.*\.parquet$"])
def test_ctrl_c_ends_what_comes_before_the_first_model(shared_hub, warm, pattern):
    slow = shared_hub.fault(pattern, "latency", seconds=20)
    running = warm.start(*arguments("slow/never", "good/vit", more=("--refresh",)))
    until(lambda: slow.hits)
    start = time.perf_counter()
    running.send(signal.SIGINT)
    done = running.wait()
    assert done.status == 130 and time.perf_counter() - start < PROMPT
    assert done.err == "interrupted: run the same command again to continue\n", "and nothing of threads"


LOST = """
import signal, sys, time
from hf_transfer_score.cli.ending import ended_by_signals, leaving_at_once

class Pressed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
with ended_by_signals(), leaving_at_once():
    Pressed()
    print("python goes on", flush=True)
    time.sleep(60)
"""


def test_ctrl_c_is_not_lost_while_an_object_is_taken_apart():
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "python goes on\n")
    assert done.stderr == "interrupted: run the same command again to continue\n"


def test_a_killed_run_leaves_nothing_that_hinders_the_next(shared_hub, warm):
    names = ("killed/one", "killed/two")
    for name in names:
        again(shared_hub, name, "good/resnet")
    slow = shared_hub.fault(f"{names[1]}{WEIGHTS}", "latency", method="GET", seconds=20)
    running = warm.start(*arguments(*names))
    until(lambda: names[0] in models_in(warm) and slow.hits)
    running.send(signal.SIGKILL)
    assert running.wait().status == -signal.SIGKILL
    done = warm.run(*arguments(*names))
    assert done.status == 0 and [done.models[name]["from_cache"] for name in names] == [True, False]


RUNS, MODELS = 3, 3


def test_each_pass_is_made_once_between_them(shared_hub, warm):
    names = [f"once/vit-{number}" for number in range(MODELS)]
    for name in names:
        again(shared_hub, name, "good/vit")
    arguments = ("rank", PICTURES, "--models", *names, "--json", "--replicates", "0")
    before = set(warm.home.rglob("*.lock"))  # a run that was killed may have left one
    done = [one.wait() for one in [warm.start(*arguments) for _ in range(RUNS)]]
    assert [one.status for one in done] == [0] * RUNS
    assert [one.failures for one in done] == [{}] * RUNS
    made = [name for one in done for name in names if not one.models[name]["from_cache"]]
    assert sorted(made) == names
    assert len({json.dumps(one.report["mean_ranks"]) for one in done}) == 1
    assert any("which is computing the same" in one.err for one in done), "who waits says for whom"
    assert set(warm.home.rglob("*.lock")) <= before


def test_a_run_that_is_killed_holds_nobody_up(shared_hub, warm):
    add_own_code(shared_hub, "once/slow", seconds=1.5)
    arguments = ("rank", PICTURES, "--models", "once/slow", "--json", "--replicates", "0", "--batch-size", "10")
    locks = warm.home / "features" / "locks"
    before = set(locks.glob("*.lock"))
    first = warm.start(*arguments, "--trust-remote-code", "once/slow")
    until(lambda: set(locks.glob("*.lock")) - before)
    second = warm.start(*arguments, "--trust-remote-code", "once/slow")
    until(lambda: second.err.exists() and "which is computing the same" in second.err.read_text())
    assert f"waiting for process {first.pid}," in second.err.read_text()
    first.send(signal.SIGKILL)
    assert first.wait().status == -signal.SIGKILL
    done = second.wait()
    assert done.status == 0 and not done.models["once/slow"]["from_cache"]


def test_features_that_were_not_finite_are_not_made_again(shared_hub, warm):
    bad = again(shared_hub, "once/nan", "good/vit")
    change_weights(bad, lambda weights: {name: value * float("nan") for name, value in weights.items()})
    arguments = ("rank", PICTURES, "--models", "once/nan", "--json")
    first = warm.run(*arguments).failures
    assert first["once/nan"][0] == "non_finite"
    plan = json.loads(warm.run(*arguments, "--dry-run").out)["models"][0]
    assert (plan["state"], plan["failure"]["kind"]) == ("failed", "non_finite")
    assert warm.run(*arguments).failures == first
    other = json.loads(warm.run(*arguments, "--dry-run", "--layer", "mean").out)["models"][0]
    assert other["state"] == "on disk", "another option is another question"
    assert "once/nan" in warm.run("cache", "list").out
    warm.run("cache", "clear")
    assert json.loads(warm.run(*arguments, "--dry-run").out)["models"][0]["state"] == "on disk"
