"""The folders that are published as Spaces: what the Hub reads of them, and their apps, started as the Hub does."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from huggingface_hub import metadata_load

from hf_transfer_score import get_metric
from hf_transfer_score.evaluate_modules.space import SIZE_LIMIT, example_file
from tests.conftest import clean_environment
from tests.evaluate_modules.samples import MODULES, NAMES, SPACES


@pytest.fixture(params=["face", "ncti"])
def name(request):
    return request.param


def test_module_script_is_the_packages_own(name):
    script = f"{NAMES[name]}/{NAMES[name]}.py"
    assert (SPACES / script).read_bytes() == (MODULES / script).read_bytes()


def test_card_has_what_the_hub_reads(name):
    metadata = metadata_load(SPACES / NAMES[name] / "README.md")
    assert metadata["sdk"] == "gradio"
    assert metadata["tags"] == ["evaluate", "metric"]
    assert metadata["license"] == "apache-2.0"
    assert metadata["pinned"] is False
    assert len(metadata["short_description"]) <= 60
    assert (SPACES / NAMES[name] / metadata["app_file"]).is_file()


def test_card_names_every_option_and_number(name):
    card, metric = (SPACES / NAMES[name] / "README.md").read_text(encoding="utf-8"), get_metric(name)
    for number in (name, *(term.name for term in metric.terms), *(option.name for option in fields(metric.options))):
        assert f"- **{number}**: " in card
    assert evaluate_citation(name) in card


def evaluate_citation(name):
    code = (MODULES / NAMES[name] / f"{NAMES[name]}.py").read_text(encoding="utf-8")
    return code.split('_CITATION = """')[1].split('"""')[0].strip()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def started(folder, home):
    """Run a Space's app in a process of its own until it answers, and end it afterwards."""
    port = free_port()
    environment = clean_environment(home) | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(client, app)
            yield client
    finally:
        app.terminate()
        app.wait(timeout=30)


def wait_for(client, app):
    deadline = time.monotonic() + 60
    while app.poll() is None and time.monotonic() < deadline:
        try:
            client.get("/")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the app did not answer; exit status {app.poll()}")


def upload(client, path):
    with Path(path).open("rb") as file:
        return client.post("/gradio_api/upload", files={"files": (Path(path).name, file)})


def test_the_app_scores_an_uploaded_file(tmp_path):
    """As a browser does: open the page, upload, ask for the score, read the events."""
    with started(SPACES / NAMES["face"], tmp_path / "home") as client:
        assert "FaCe, variance collapse and class fairness" in client.get("/").text
        file = {"path": upload(client, example_file()).json()[0], "meta": {"_type": "gradio.FileData"}}
        call = client.post("/gradio_api/call/score", json={"data": [file]}).json()
        events = client.get(f"/gradio_api/call/score/{call['event_id']}").text
        assert "event: complete" in events
        assert "Scored 150 samples of 3 classes" in events
        too_large = tmp_path / "large.npz"
        too_large.touch()
        os.truncate(too_large, SIZE_LIMIT + 1)
        assert upload(client, too_large).status_code == 413
