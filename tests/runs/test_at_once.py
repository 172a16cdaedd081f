"""Runs at the same time on one cache: each forward pass is made once between them, whoever dies."""

import json
import signal

from tests.runs.bad import add_own_code
from tests.runs.pool import PICTURES, again, change_weights
from tests.runs.warm import until

RUNS, MODELS = 3, 3


def test_each_pass_is_made_once_between_them(shared_hub, warm):
    names = [f"once/vit-{number}" for number in range(MODELS)]
    for name in names:
        again(shared_hub, name, "good/vit")
    arguments = ("rank", PICTURES, "--models", *names, "--json", "--replicates", "0")
    done = [one.wait() for one in [warm.start(*arguments) for _ in range(RUNS)]]
    assert [one.status for one in done] == [0] * RUNS
    assert [one.failures for one in done] == [{}] * RUNS
    made = [name for one in done for name in names if not one.models[name]["from_cache"]]
    assert sorted(made) == names
    assert len({json.dumps(one.report["mean_ranks"]) for one in done}) == 1
    assert any("which is computing the same" in one.err for one in done), "who waits says for whom"
    assert not list(warm.home.rglob("*.lock"))


def test_a_run_that_is_killed_holds_nobody_up(shared_hub, warm):
    add_own_code(shared_hub, "once/slow", seconds=1.5)
    arguments = ("rank", PICTURES, "--models", "once/slow", "--json", "--replicates", "0", "--batch-size", "10")
    first = warm.start(*arguments, "--trust-remote-code", "once/slow")
    locks = warm.home / "features" / "locks"
    until(lambda: list(locks.glob("*.lock")))
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
