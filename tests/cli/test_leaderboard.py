"""The commands `leaderboard` and `space` as processes."""

import os
import re
import signal
import subprocess
import sys

import httpx
import pytest

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.results.place import FolderPlace
from hf_transfer_score.results.record import record_path
from hf_transfer_score.results.store import load
from tests.conftest import clean_environment
from tests.leaderboard.made import face, facts, score

PROGRAM = [sys.executable, "-m", "hf_transfer_score"]

INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from hf_transfer_score.cli import main
sys.exit(main())
"""
"""The program, which can be interrupted even where these tests run in the background and that is ignored."""


@pytest.fixture
def results(tmp_path):
    records = [score(f"a/{name}", "face", face(-1.0, 0.5), facts=facts("mit")) for name in ("one", "two")]
    files = {str(record_path(record)): record.to_json().encode() for record in records}
    FolderPlace(tmp_path / "results").update(lambda _: files, title="records")
    return tmp_path / "results"


def run(tmp_path, *arguments, **environment):
    return subprocess.run(
        [*PROGRAM, *arguments],
        env=clean_environment(tmp_path / "home") | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def started(results, tmp_path):
    """A leaderboard that is being started; it is gone after the test, whatever happened."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "leaderboard", "--results", str(results), "--poll", "5"],
        env=clean_environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="there is no Ctrl-C for another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(results, started, number):
    line = started.stdout.readline()
    address = re.fullmatch(rf"Leaderboard of {re.escape(str(results))}: (http://127\.0\.0\.1:\d+/)\n", line)
    assert address is not None, line + started.stderr.read()
    page = httpx.get(address[1], timeout=30)
    found = asked(address[1], [slug(results), "tw", ["scores"], [], ["mit", "none"], None, None, "", "rank", "usual"])
    nothing = asked(address[1], [{"x": 1}, "tw", ["scores"], [], [], None, None, "", "rank", "usual"])
    started.send_signal(number)
    assert started.wait(30) == 0
    assert page.status_code == 200 and "Transferability leaderboard" in page.text
    assert "a/two" in found and "a/one" not in found
    assert "event: complete" in nothing and "a/two" not in nothing
    assert "Traceback" not in started.stderr.read()


def asked(address, view):
    """Ask for a view as a page does that was open before the server started: its session is unknown."""
    with httpx.Client(base_url=address, timeout=30) as client:
        for _ in range(100):
            event = client.post("/gradio_api/call/view", json={"data": view}).json()["event_id"]
            answer = client.get(f"/gradio_api/call/view/{event}").text
            if "a/" in answer or isinstance(view[0], dict):
                break
        return answer


def slug(results):
    (summary,) = Catalogue(load(FolderPlace(results)).table).boards()
    return summary.key.slug


def test_a_folder_that_is_not_there_is_said(tmp_path):
    done = run(tmp_path, "leaderboard", "--results", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert re.match(r"error: --results .*nowhere: there is no such folder. `hf-transfer-score rank", done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "0"], "expected a port from 1 to 65535, got '0'"),
        (["--port", "x"], "expected a port from 1 to 65535, got 'x'"),
        (["--poll", "0.1"], "expected seconds from 1 to 86400, got '0.1'"),
        (["--poll", "nan"], "expected seconds from 1 to 86400, got 'nan'"),
    ],
)
def test_wrong_options_are_said(tmp_path, arguments, said):
    done = run(tmp_path, "leaderboard", *arguments)
    assert done.returncode == 2 and said in done.stderr


def test_a_port_in_use_is_said(results, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "leaderboard", "--results", str(results), "--port", port)
    assert done.returncode == 1
    assert re.match(r"error: The leaderboard cannot be served: .*Choose another --port\.", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_space_is_pushed(hub, tmp_path):
    hub.users = {"hf_owner": "owner"}
    arguments = ["space", "push", "owner/board", "--results", "owner/results"]
    done = run(tmp_path, *arguments, HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_owner")
    assert done.returncode == 0, done.stderr
    assert re.match(rf"Pushed \d+ files: {re.escape(hub.endpoint)}/spaces/owner/board\n", done.stdout)
    assert (hub.root / "spaces" / "owner" / "board" / "app.py").is_file()


def test_the_space_of_a_metric_is_pushed(hub, tmp_path):
    hub.users = {"hf_owner": "owner"}
    arguments = ["space", "push", "owner/ncti_transferability", "--metric", "ncti"]
    done = run(tmp_path, *arguments, HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_owner")
    assert done.returncode == 0, done.stderr
    assert re.match(rf"Pushed \d+ files: {re.escape(hub.endpoint)}/spaces/owner/ncti_transferability\n", done.stdout)
    assert (hub.root / "spaces" / "owner" / "ncti_transferability" / "ncti_transferability.py").is_file()


def test_records_are_not_for_the_space_of_a_metric(hub, tmp_path):
    done = run(
        tmp_path, "space", "push", "owner/face_transferability", "--metric", "face", "--results", "owner/results"
    )
    assert done.returncode == 2 and "error: --results and --requests are for the leaderboard" in done.stderr


def test_a_push_without_a_token_is_said(hub, tmp_path):
    done = run(tmp_path, "space", "push", "owner/board", HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 1 and "error: Writing to owner/board on the Hub needs a token" in done.stderr
