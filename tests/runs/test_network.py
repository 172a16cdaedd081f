"""A Hub that is slow, busy, broken or away."""

import pytest

from tests.conftest import NOBODY, clean_environment
from tests.runs.pool import PICTURES, again

RECOVERING = ("net/cut", "net/busy", "net/broken", "net/unknown")


@pytest.fixture(scope="module")
def outcome(shared_hub, warm):
    """One run in which something goes wrong with every model but one, and the faults that struck."""
    for name in (*RECOVERING, "net/broken-for-ever", "net/well"):
        again(shared_hub, name)
    file = r"/resolve/.*model.safetensors$"
    faults = [
        shared_hub.fault(f"net/cut{file}", "cut", after=100_000),
        shared_hub.fault(f"net/busy{file}", 429, method="GET", retry_after=1),
        shared_hub.fault(f"net/broken{file}", 500, method="GET"),
        shared_hub.fault("/api/models/net/unknown", 503),
    ]
    for_ever = shared_hub.fault(f"net/broken-for-ever{file}", 500, method="GET", times=None)
    names = (*RECOVERING, "net/broken-for-ever", "net/well")
    done = warm.run("rank", PICTURES, "--models", *names, "--json", "--quiet", "--replicates", "0")
    shared_hub.faults.remove(for_ever)
    return done, faults


def test_what_passes_is_waited_for(outcome, shared_hub):
    done, faults = outcome
    assert done.status == 0 and [fault.hits for fault in faults] == [1, 1, 1, 1]
    assert set(done.report["ranks"]) == {*RECOVERING, "net/well"}
    assert len(shared_hub.asked("net/cut/.*safetensors", "GET")) == 2


def test_what_does_not_pass_is_a_row_before_long(outcome, shared_hub):
    done, _ = outcome
    expected = ("download", "could not be downloaded: the Hub answered 500; try again later")
    assert done.failures == {"net/broken-for-ever": expected}
    assert len(shared_hub.asked("net/broken-for-ever/.*safetensors", "GET")) == 4
    assert done.seconds < 40


def test_the_client_says_nothing_in_between(outcome):
    assert outcome[0].err == ""


def test_the_next_run_tries_again(outcome, warm):
    done = warm.run("rank", PICTURES, "--models", "net/broken-for-ever", "net/well", "--json", "--replicates", "0")
    assert {name: one["from_cache"] for name, one in done.models.items()} == {
        "net/broken-for-ever": False,
        "net/well": True,
    }


ERRORS_OF = """
import contextlib, io, sys
from hf_transfer_score.cli import main
err = io.StringIO()
with contextlib.redirect_stderr(err):
    status = main(sys.argv[1:])
answer = [status, err.getvalue()]
"""


def test_without_a_hub_its_dataset_is_one_sentence(run_client, tmp_path):
    environment = clean_environment(tmp_path / "nobody", NOBODY) | {"HF_HUB_OFFLINE": "1"}
    status, err = run_client(ERRORS_OF, environment, "rank", "data/x", "--models", "a/b")
    assert status == 1
    assert err == (
        "error: The dataset data/x is needed from the Hub, but HF_HUB_OFFLINE forbids requests to it. Unset it, or "
        "give a local folder or file.\n"
    )
