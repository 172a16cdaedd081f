"""A Hub that fails in every way: each failure gives one true sentence in time, or is overcome silently."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.hostile.limited import run_python
from tests.hub.faults import FaultKind
from tests.hub.server import LocalHub
from tests.runs.pool import PICTURES, again, picture_shards

SECONDS = 2.0  # time limit for an answer, HF_TRANSFER_SCORE_HUB_SECONDS
LONGEST = 25.0  # time limit for a run, most of which is its start


@dataclass(frozen=True)
class Mode:
    kind: FaultKind  # the kind of the fault
    says: str | None  # part of the sentence; None if the run overcomes it
    paths: str = "all"  # the affected requests for a repository: "all", "files" or "questions"
    options: dict[str, Any] = field(default_factory=dict)  # more options of the fault, such as times

    def strike(self, hub: LocalHub, name: str) -> None:
        start = {"all": "/(api/)?", "files": "/", "questions": "/api/"}[self.paths]
        kind = "(datasets/|models/)?"
        hub.fault(f"^{start}{kind}{name}(/|$)", self.kind, **{"times": None, **self.options})


FOR_EVER: dict[str, Mode] = {
    "429": Mode(429, "the Hub answered 429 (too many requests)"),
    "429 and wait for a day": Mode(
        429, "asks to wait 99,999 s, longer than the time limit", options={"retry_after": 99_999}
    ),
    "500": Mode(500, "the Hub answered 500"),
    "502": Mode(502, "the Hub answered 502"),
    "503": Mode(503, "the Hub answered 503"),
    "504": Mode(504, "the Hub answered 504"),
    "408": Mode(408, "the Hub answered 408"),
    "reset": Mode("reset", "the connection to the Hub was cut off"),
    "cut": Mode("cut", "the connection to the Hub was cut off", options={"after": 20}),
    "cut files": Mode("cut", "the connection to the Hub was cut off", "files", {"after": 300}),
    "stall": Mode("stall", "the Hub sent nothing", options={"seconds": 7.0}),
    "stall half-way": Mode("stall", "the Hub sent nothing", "files", {"seconds": 7.0, "after": 500}),
    "drip": Mode("drip", "bytes in", options={"seconds": 0.05}),
    "drip files": Mode("drip", "bytes in", "files", {"seconds": 0.05}),
    "late": Mode("latency", "the Hub sent nothing", options={"seconds": 7.0}),
    "page": Mode("page", "answered with a web page"),
    "page for files": Mode("page", "(no ETag)", "files"),
    "empty": Mode("nothing", "answered with nothing", "questions"),
    "half of the JSON": Mode("halved", "is cut off or damaged", "questions"),
    "length too short": Mode("shorter", "is cut off or damaged", "questions"),
    "length too long": Mode("longer", "the connection to the Hub was cut off", "questions"),
    "no ETag": Mode("plain", "(no ETag)", "files"),
    "loop": Mode("loop", "the Hub redirects without end"),
}
"""Permanent failures: a run reports each in one sentence, in time."""

ONCE: dict[str, Mode] = {
    "500 once": Mode(500, None, options={"times": 1}),
    "stall half-way once": Mode("stall", None, "files", {"seconds": 7.0, "after": 500, "times": 1}),
}
"""Transient failures: a run overcomes them silently."""

NOBODY: dict[str, tuple[str, str]] = {
    "refused": ("http://127.0.0.1:9", "nobody answers at http://127.0.0.1:9"),
    "no such name": ("http://nobody.invalid", "has no address"),
    "TLS to a plain port": ("https://127.0.0.1:{port}", "does not speak TLS"),
}
"""Endpoints that are not a Hub, and the message about each."""

PATIENCE = {"HF_TRANSFER_SCORE_HUB_SECONDS": str(SECONDS)}
OF_DATASETS = ("429 and wait for a day", "500", "cut files", "page for files", "no ETag", "drip files", "page")


def repository(owner: str, mode: str) -> str:
    return f"{owner}/{mode.replace(' ', '-')}"


def test_every_failure_of_a_checkpoint_is_reported_and_the_others_are_ranked(shared_hub, warm):
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


def test_every_failure_of_a_dataset_is_reported(shared_hub, warm):
    files = {**picture_shards(), "README.md": "---\nlicense: mit\n---\n"}
    runs = {}
    for name in (*OF_DATASETS, *ONCE):
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
def test_endpoints_without_a_hub(hub, tmp_path, name):
    endpoint, says = NOBODY[name]
    endpoint = endpoint.format(port=hub.endpoint.rpartition(":")[2])
    environment = clean_environment(tmp_path / "home", endpoint) | PATIENCE
    done = run_python(ASK, tmp_path, environment=environment, seconds=LONGEST)
    place, checkpoint = done.out.splitlines()
    assert done.clean and says in place
    assert checkpoint == "is not on this computer, and the Hub cannot be reached"
    hub.crashes.clear()
