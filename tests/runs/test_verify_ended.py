"""`verify` ended by hand in the middle of fine-tuning, and the same command after it."""

import signal
import time

import pytest

from hf_transfer_score.records.record import Record
from tests.runs.pool import PICTURES, REVIEWS, again, change_weights
from tests.runs.test_resume import PROMPT, WEIGHTS
from tests.runs.warm import until

MODELS, SEEDS = ("tuned/one", "tuned/two"), ("0", "1")
QUICK = ("--max-samples", "24", "--replicates", "0", "--device", "cpu", "--json")
FULL = ("--method", "full", "--learning-rates", "1e-5,1e-4", "--epochs", "2", "--train-batch-size", "4")


def command(folder):
    return ("verify", REVIEWS, "--models", *MODELS, *QUICK, *FULL, "--seeds", ",".join(SEEDS), "--save", str(folder))


def truths(folder):
    """Return the accuracies that are on disk, by model and seed, and the contents of their files."""
    found, contents = {}, {}
    for path in (folder / "records").rglob("*.json"):
        record = Record.from_json(path.read_bytes())
        if record.metric is not None and record.metric.kind == "truth":
            found[record.model.id, str(record.metric.parameters["seed"])] = record.terms["accuracy"]
            contents[path] = path.read_bytes()
    return found, contents


def told(done):
    """Return the accuracies of a report in the same way."""
    models = done.report["models"].items()
    return {(name, seed): one["accuracy"] for name, model in models for seed, one in model["measured"].items()}


@pytest.fixture(scope="module")
def ended(shared_hub, warm, tmp_path_factory):
    """A run ended while it fine-tunes: done, seconds it took to end, its folder, and what was on disk then."""
    for name in MODELS:
        again(shared_hub, name, "good/bert")
    change_weights(shared_hub.root / "models" / MODELS[1], lambda weights: {key: -one for key, one in weights.items()})
    folder = tmp_path_factory.mktemp("ended")
    running = warm.start(*command(folder))
    until(lambda: truths(folder)[0])
    start = time.perf_counter()
    running.send(signal.SIGINT)
    done = running.wait()
    return done, time.perf_counter() - start, folder, *truths(folder)


def test_ctrl_c_ends_fine_tuning_with_what_is_measured(ended):
    done, seconds, folder, stored, _ = ended
    assert done.status == 130 and seconds < PROMPT
    assert 0 < len(stored) < len(MODELS) * len(SEEDS), "else it was not ended in the middle"
    assert done.report["interrupted"] and told(done) == stored
    assert "interrupted: run the same command again to continue" in done.err
    for model in done.report["models"].values():
        assert (model["status"], model["reason"]) in (("ok", None), ("interrupted", "the run ended before its turn"))
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"], "nothing half written"


def test_the_same_command_goes_on_from_there(ended, warm):
    _, _, folder, stored, contents = ended
    done = warm.run(*command(folder))
    assert done.status == 0 and not done.report["interrupted"]
    assert told(done).keys() == {(name, seed) for name in MODELS for seed in SEEDS}
    assert told(done) == truths(folder)[0]
    before = {line.split(":")[0] for line in done.err.splitlines() if line.endswith("(measured before)")}
    assert before == {f"{name}, seed {seed}" for name, seed in stored}
    assert {path: path.read_bytes() for path in contents} == contents, "what was measured is not written again"


def test_accuracies_are_those_of_a_run_that_was_not_ended(ended, warm, tmp_path):
    _, _, folder, *_ = ended
    done = warm.run(*command(tmp_path))
    assert done.status == 0 and told(done) == truths(folder)[0]
    assert len(set(told(done).values())) > 1, "accuracies that are all alike would prove nothing"


@pytest.mark.parametrize(
    ("name", "skip", "words"),
    [
        ("tuned/fetched", 0, "interrupted while ranking: run the same command again to continue"),
        ("tuned/fetched-again", 1, "interrupted: run the same command again to continue"),
    ],
)
def test_ctrl_c_does_not_wait_for_weights(shared_hub, warm, tmp_path, name, skip, words):
    again(shared_hub, name, "good/vit")
    slow = shared_hub.fault(f"{name}{WEIGHTS}", "latency", method="GET", seconds=20, skip=skip)
    arguments = ("verify", PICTURES, "--models", name, *QUICK, "--method", "probe", "--free-disk")
    running = warm.start(*arguments, "--save", str(tmp_path))
    until(lambda: slow.hits)
    start = time.perf_counter()
    running.send(signal.SIGINT)
    done = running.wait()
    assert done.status == 130 and time.perf_counter() - start < PROMPT
    assert (
        done.report["interrupted"]
        and (done.report.get("pool") or done.report["models"])[name]["status"] == "interrupted"
    )
    assert done.err.splitlines()[-1] == words
