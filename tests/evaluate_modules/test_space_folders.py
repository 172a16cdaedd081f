"""The Spaces of the metrics: what is pushed, what the Hub reads of it, and that its copy of the package is enough."""

import doctest
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import evaluate
import numpy as np
import pytest
from huggingface_hub import metadata_load

import hf_transfer_score
from hf_transfer_score import get_metric
from hf_transfer_score.errors import OptionError
from hf_transfer_score.evaluate_modules.install import metric_demo_files, metric_space_files, push_metric_space
from hf_transfer_score.evaluate_modules.space import example_file
from hf_transfer_score.leaderboard.space import GRADIO, PYTHON, space_place
from hf_transfer_score.uploads.limits import FILE_BYTES
from tests.cards.test_card import HEADINGS
from tests.conftest import clean_environment
from tests.evaluate_modules.samples import MODULES, NAMES, SPACES, expected, sample
from tests.leaderboard.made import check_pins
from tests.uploads.made import file_data, running_space

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the Hub client's own making


@pytest.fixture(params=["face", "ncti"])
def name(request):
    return request.param


def test_the_folder_in_the_repository_is_what_is_pushed(name):
    folder = SPACES / NAMES[name]
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    assert found == metric_demo_files(name)
    script = f"{NAMES[name]}.py"
    assert (folder / script).read_bytes() == (MODULES / NAMES[name] / script).read_bytes()


def test_requirements_are_pinned_and_can_be_had_from_an_index(name):
    required = (SPACES / NAMES[name] / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {re.split(r"[\[=]", one)[0] for one in required} >= {"numpy", "scipy", "pyarrow", "evaluate", "gradio"}
    check_pins(required)


def test_card_has_what_the_hub_reads(name):
    metadata = metadata_load(SPACES / NAMES[name] / "README.md")
    assert metadata["sdk"] == "gradio" and metadata["sdk_version"] == GRADIO and metadata["python_version"] == PYTHON
    assert metadata["tags"] == ["evaluate", "metric"]
    assert metadata["license"] == "apache-2.0"
    assert metadata["pinned"] is False
    assert len(metadata["short_description"]) <= 60
    assert (SPACES / NAMES[name] / metadata["app_file"]).is_file()


def test_card_has_the_headings_of_evaluates_own(name):
    card = (SPACES / NAMES[name] / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^#+ .*$", re.sub(r"```.*?```", "", card, flags=re.DOTALL), flags=re.MULTILINE)
    assert found[0].startswith("# Metric Card for") and found[1:] == HEADINGS.splitlines()


def test_examples_of_the_card_run(name, monkeypatch):
    monkeypatch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)  # asking the Hub first takes a second
    hf_transfer_score.register()
    card = (SPACES / NAMES[name] / "README.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```python\n(>>>.*?)```", card, flags=re.DOTALL))
    test = doctest.DocTestParser().get_doctest(blocks, {}, name, None, 0)
    assert len(test.examples) > 10
    assert doctest.DocTestRunner().run(test).failed == 0


def test_card_names_every_option_and_number(name):
    card, metric = (SPACES / NAMES[name] / "README.md").read_text(encoding="utf-8"), get_metric(name)
    names = [*(term.name for term in metric.terms), *(option.name for option in fields(metric.options))]
    for number in ("predictions", "references", name, *names):
        assert f"- **{number}**: " in card
    code = (MODULES / NAMES[name] / f"{NAMES[name]}.py").read_text(encoding="utf-8")
    assert code.split('_CITATION = """')[1].split('"""')[0].strip() in card


@pytest.fixture
def pushed(hub):
    """Push the Space of a metric and return its folder on the Hub."""
    hub.users = {"hf_owner": "owner"}

    def push(metric, space=None, token="hf_owner"):
        space = space or f"owner/{NAMES[metric]}"
        done = push_metric_space(space_place(space, token=token, endpoint=hub.endpoint), metric)
        assert done.address == f"{hub.endpoint}/spaces/{space}"
        return hub.root / "spaces" / space

    return push


def test_a_push_makes_a_space_that_has_the_package(pushed, name):
    folder, files = pushed(name), metric_space_files(name)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {path: found[path].read_bytes() for path in files} == files
    assert {"hf_transfer_score/metrics/face.py", f"{NAMES[name]}.py", "app.py"} <= set(files)
    assert not [path for path in files if "__pycache__" in path]


@pytest.mark.parametrize(
    ("metric", "space", "message"),
    [
        ("face", "owner/face", "evaluate loads a module by the name of its Space; expected OWNER/face_transferability"),
        ("face", "owner/ncti_transferability", "expected OWNER/face_transferability"),
        ("logme", "owner/logme", "'logme' has no module for evaluate. Metrics with one: face, ncti"),
        ("face", "face_transferability", "is not the name of a Space: expected OWNER/NAME"),
    ],
)
def test_what_is_no_space_of_a_metric_is_refused(pushed, metric, space, message):
    with pytest.raises(OptionError, match=message):
        pushed(metric, space)


LOAD = """
import json, sys
for heavy in ("transformers", "timm", "gradio"):
    sys.modules[heavy] = None  # as if it were not installed
import evaluate, numpy
import hf_transfer_score
folder, data = sys.argv[1], numpy.load(sys.argv[2])
module = evaluate.load(folder)
result = module.compute(predictions=data["features"], references=data["labels"])
print(json.dumps([hf_transfer_score.__file__, result]))
"""


def test_the_folder_is_all_of_the_package_that_its_module_needs(pushed, tmp_path):
    """Without `site` Python has no other copy of the package: those of an editable install are found through it."""
    folder, (features, labels) = pushed("face"), sample()
    np.savez(tmp_path / "data.npz", features=features, labels=labels)
    libraries = {str(Path(module.__file__).parents[1]) for module in (np, evaluate)}
    environment = clean_environment(tmp_path / "home") | {"PYTHONPATH": os.pathsep.join([str(folder), *libraries])}
    command = [sys.executable, "-S", "-c", LOAD, str(folder), str(tmp_path / "data.npz")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    where, result = json.loads(done.stdout.splitlines()[-1])
    assert Path(where) == folder / "hf_transfer_score" / "__init__.py"
    assert result == expected("face", features, labels)


def upload(client, path):
    with Path(path).open("rb") as file:
        return client.post("/gradio_api/upload", files={"files": (Path(path).name, file)})


def test_the_app_scores_an_uploaded_file(pushed, tmp_path):
    """As a browser does: open the page, upload, ask for the score, read the events."""
    with running_space([sys.executable, "app.py"], tmp_path / "home", pushed("face")) as (client, _):
        assert "FaCe, variance collapse and class fairness" in client.get("/").text
        file = file_data(upload(client, example_file()).json()[0])
        call = client.post("/gradio_api/call/score", json={"data": [file]}).json()
        events = client.get(f"/gradio_api/call/score/{call['event_id']}").text
        assert "event: complete" in events
        assert "Scored 150 samples of 3 classes" in events
        too_large = tmp_path / "large.npz"
        too_large.touch()
        os.truncate(too_large, FILE_BYTES + 1)
        assert upload(client, too_large).status_code == 413
