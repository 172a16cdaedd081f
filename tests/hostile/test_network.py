"""A Hub that fails in every way: each ends in one sentence that is true, before long, or is got over without a word."""

from __future__ import annotations

import pytest

from tests.conftest import clean_environment
from tests.hostile.limited import run_python
from tests.hostile.ways_to_fail import FOR_EVER, LONGEST, NOBODY, ONCE, SECONDS
from tests.runs.pool import PICTURES, again, picture_shards

PATIENCE = {"HF_TRANSFER_SCORE_HUB_SECONDS": str(SECONDS)}
OF_DATASETS = ("429 and wait for a day", "500", "cut files", "page for files", "no ETag", "drip files", "page")
PASSING = ("500 once", "stall half-way once")


def repository(owner: str, mode: str) -> str:
    return f"{owner}/{mode.replace(' ', '-')}"


def test_every_way_to_fail_is_told_of_a_checkpoint_and_the_others_go_on(shared_hub, warm):
    modes = {repository("lost", name): mode for name, mode in FOR_EVER.items()}
    for name, mode in modes.items():
        again(shared_hub, name)
        mode.strike(shared_hub, name)
    options = ("--replicates", "0", "--quiet", "--json")
    done = warm.run("rank", PICTURES, "--models", "good/vit", *modes, *options, **PATIENCE)
    assert done.status == 0 and done.err == ""
    told = {name: reason for name, (_, reason) in done.failures.items()}
    expected = {name: mode.says or "" for name, mode in modes.items()}
    assert set(told) == set(expected)
    assert [name for name, says in expected.items() if says not in told[name]] == []
    assert {kind for kind, _ in done.failures.values()} == {"download"}


def test_every_way_to_fail_is_told_of_a_dataset(shared_hub, warm):
    files = {**picture_shards(), "README.md": "---\nlicense: mit\n---\n"}
    runs = {}
    for name in (*OF_DATASETS, *PASSING):
        dataset = repository("ways", name)
        shared_hub.add(dataset, files, kind="dataset")
        (FOR_EVER | ONCE)[name].strike(shared_hub, dataset)
        runs[name] = warm.start("rank", dataset, "--models", "good/vit", "--replicates", "0", "--quiet", **PATIENCE)
    for name, run in runs.items():
        done, says = run.wait(), (FOR_EVER | ONCE)[name].says
        assert done.seconds < LONGEST
        if says is None:
            assert (done.status, done.err) == (0, "")
        else:
            assert done.status == 1 and says in done.err
            start = f"error: The dataset {repository('ways', name)} cannot be read from the Hub: "
            assert done.err.startswith(start) and done.err.count("\n") == 1


ASK = """
import sys
from pathlib import Path
from hf_transfer_score.checkpoints.candidate import parse_candidate
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.checkpoints.resolve import resolve
from hf_transfer_score.errors import CheckpointError, HubError
from hf_transfer_score.records.place import HubPlace
for action in (lambda: HubPlace("a/b").version(), lambda: resolve(parse_candidate("a/b"), Answers(Path(sys.argv[1])))):
    try:
        action()
    except (CheckpointError, HubError) as error:
        print(error)
"""


@pytest.mark.parametrize("name", NOBODY)
def test_endpoints_that_are_no_hub(hub, tmp_path, name):
    endpoint, says = NOBODY[name]
    endpoint = endpoint.format(port=hub.endpoint.rpartition(":")[2])
    environment = clean_environment(tmp_path / "home", endpoint) | PATIENCE
    done = run_python(ASK, tmp_path, environment=environment, seconds=LONGEST)
    place, checkpoint = done.out.splitlines()
    assert done.clean and says in place
    assert checkpoint == "is not on this computer, and the Hub cannot be reached"
    hub.crashes.clear()
