"""The commands `leaderboard` and `space`."""

import json
import os
import re
import signal
import socket
from contextlib import suppress

import httpx
import pytest

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.store import load
from tests.cli.pool import check_printed
from tests.conftest import clean_environment
from tests.leaderboard.made import face, facts, score, write_records
from tests.runs.warm import until


@pytest.fixture
def results(tmp_path):
    records = [score(f"a/{name}", "face", face(-1.0, 0.5), facts=facts("mit")) for name in ("one", "two")]
    return write_records(tmp_path / "results", records).folder


def starting(parent, results, folder, *more):
    arguments = ("leaderboard", "--results", str(results), *more)
    return parent.start(arguments, clean_environment(folder / "home"), imports=("gradio",))


@pytest.fixture
def started(parent, results, tmp_path):
    """A leaderboard that is being started; it is gone after the test, whatever happened."""
    process = starting(parent, results, tmp_path, "--poll", "5")
    yield process
    with suppress(ProcessLookupError):
        process.send(signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="there is no Ctrl-C for another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(results, started, number):
    until(lambda: started.out.exists() and "\n" in started.out.read_text())
    line = started.out.read_text().splitlines(keepends=True)[0]
    address = re.fullmatch(rf"Leaderboard of {re.escape(str(results))}: (http://127\.0\.0\.1:\d+/)\n", line)
    assert address is not None, line + started.err.read_text()
    page = httpx.get(address[1], timeout=30)
    found = asked(
        address[1], [slug(results), "tw", ["scores"], [], ["mit", "none"], None, None, "", "rank", "usual", "forecast"]
    )
    nothing = asked(address[1], [{"x": 1}, "tw", ["scores"], [], [], None, None, "", "rank", "usual", "forecast"])
    started.send(number)
    done = started.wait()
    assert done.status == 0 and "Traceback" not in done.err
    assert page.status_code == 200 and "Transferability leaderboard" in page.text
    assert "a/two" in found and "a/one" not in found
    assert "event: complete" in nothing and "a/two" not in nothing


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


def test_a_folder_that_is_not_there_is_said(run, tmp_path):
    status, out, err = run("leaderboard", "--results", str(tmp_path / "nowhere"))
    assert (status, out) == (1, "")
    assert re.match(r"error: There is no folder .*nowhere; .* `hf-transfer-score rank .*--save FOLDER`", err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "0"], 'Invalid value "0" for --port. Must be >= 1'),
        (["--port", "x"], "--port 'x': expected a whole number."),
        (["--poll", "0.1"], "expected seconds from 1 to 86400, got '0.1'"),
        (["--poll", "nan"], "expected seconds from 1 to 86400, got 'nan'"),
    ],
)
def test_wrong_options_are_said(run, arguments, said):
    status, _, err = run("leaderboard", *arguments)
    assert status == 2 and said in err


def test_a_port_in_use_is_said(parent, results, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = starting(parent, results, tmp_path, "--port", port).wait()
    assert done.status == 1 and "Traceback" not in done.err
    assert re.match(
        r"error: The leaderboard cannot be served: this computer, port \d+ is taken.*Choose another --port\.", done.err
    )


PUSHED = {
    "board": (("--results", "owner/results"), "app.py"),
    "ncti_transferability": (("--metric", "ncti"), "ncti_transferability.py"),
}


@pytest.mark.parametrize("name", PUSHED)
def test_a_space_is_pushed(parent, hub, hub_environment, name):
    arguments, file = PUSHED[name]
    hub.users = {"hf_owner": "owner"}
    environment = hub_environment | {"HF_TOKEN": "hf_owner"}
    done = parent.run("space", "push", f"owner/{name}", *arguments, environment=environment)
    assert done.status == 0, done.err
    assert re.match(rf"Pushed \d+ files: {re.escape(hub.endpoint)}/spaces/owner/{name}\n", done.out)
    again = parent.run("space", "push", f"owner/{name}", *arguments, "--json", environment=environment)
    assert json.loads(again.out)["address"] == f"{hub.endpoint}/spaces/owner/{name}"
    check_printed("space", json.loads(again.out))
    assert (hub.root / "spaces" / "owner" / name / file).is_file()


def test_records_are_not_for_the_space_of_a_metric(run):
    status, _, err = run("space", "push", "owner/face_transferability", "--metric", "face", "--results", "owner/x")
    assert status == 2 and "error: --results and --requests are for the leaderboard;" in err


def test_a_push_without_a_token_is_said(run):
    status, _, err = run("space", "push", "owner/board")
    assert status == 1 and "error: Writing to owner/board on the Hub needs a token" in err
