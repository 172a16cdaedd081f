"""The leaderboard as a Space: what is pushed to a Hub, and that it runs there without the packages it does not need."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi, metadata_load
from packaging.version import Version

import hf_transfer_score
from hf_transfer_score.errors import HubError, OptionError
from hf_transfer_score.leaderboard.space import demo_files, push_space, requirements, space_files, space_place
from hf_transfer_score.records.shipped import shipped_folder
from hf_transfer_score.version import VERSION
from tests.conftest import clean_environment
from tests.leaderboard.made import ROOT, check_pins

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client's own making

DEMO = Path(__file__).parents[2] / "spaces_demo" / "leaderboard"
HEAVY = ("torch", "transformers", "timm", "datasets", "evaluate", "altair")


@pytest.fixture
def pushing(hub):
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}

    def push(space="owner/board", token="hf_owner", results=None, requests=None, **where):
        place = space_place(space, token=token, endpoint=hub.endpoint, **where)
        return push_space(place, results=results, requests=requests)

    return push


def pushed(hub, name="owner/board"):
    return hub.root / "spaces" / name


def test_the_folder_in_the_repository_is_what_is_pushed():
    assert {path.name: path.read_text(encoding="utf-8") for path in DEMO.iterdir() if path.is_file()} == demo_files()


def test_the_card_has_what_the_hub_reads():
    metadata = metadata_load(DEMO / "README.md")
    assert metadata["sdk"] == "gradio" and f"gradio[oauth]=={metadata['sdk_version']}" in requirements().split()
    assert metadata["hf_oauth"] is True and metadata["license"] == "apache-2.0" and metadata["app_file"] == "app.py"
    assert len(metadata["short_description"]) <= 60 and "leaderboard" in metadata["tags"]
    required = (DEMO / "requirements.txt").read_text(encoding="utf-8")
    assert not any(name in required for name in HEAVY)
    check_pins(required.splitlines())


SAFE = Version("6.31")
"""The first version of gradio on which pages were tried; older ones ask other hosts, or have published advisories."""

BINARY = (".parquet", ".safetensors", ".pyc", ".png", ".npz", ".gz", ".ico")
NAMES_A_VERSION = re.compile(r"(?:gradio(?:\[\w+\])?\s*[=<>~!]=?|sdk_version:|GRADIO, PYTHON =)\s*\"?(\d+(?:\.\d+)*)")


def test_no_older_gradio_is_named_anywhere():
    """In what the package asks for, what Spaces ask for, documents and messages."""
    folders = ("hf_transfer_score", "spaces_demo", "docs", "benchmarks", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix not in BINARY]
    files += [ROOT / name for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile")]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files if path.is_file()}
    found = [(name, Version(one)) for name, text in texts.items() for one in NAMES_A_VERSION.findall(text)]
    named = {name for name, _ in found}
    assert {"pyproject.toml", "hf_transfer_score/leaderboard/space.py", "spaces_demo/leaderboard/README.md"} <= named
    assert [(name, str(version)) for name, version in found if version < SAFE] == []


def test_a_push_makes_a_space_that_has_the_package(hub, pushing):
    done = pushing(results="owner/results", requests="hf://datasets/owner/requests", private=True)
    folder = pushed(hub)
    assert done.address == f"{hub.endpoint}/spaces/owner/board"
    assert "set it as the secret HF_TOKEN" in done.notes[0]
    assert 'run_space(results="owner/results", requests="owner/requests")' in (folder / "app.py").read_text()
    assert metadata_load(folder / "README.md")["datasets"] == ["owner/results"]
    source = Path(hf_transfer_score.__file__).parent
    mine = {path.relative_to(source) for path in source.rglob("*.py")}
    assert {
        path.relative_to(folder / "hf_transfer_score") for path in folder.rglob("hf_transfer_score/**/*.py")
    } == mine
    assert not list(folder.rglob("__pycache__")) and not list(folder.rglob(".index"))
    tables = {path.name: path.read_bytes() for path in shipped_folder().glob("*.parquet")}  # and no example beside them
    assert {path.name: path.read_bytes() for path in (folder / "hf_transfer_score" / "shipped").iterdir()} == tables


def test_a_second_push_removes_what_is_of_an_earlier_version_only(hub, pushing):
    pushing()
    folder = pushed(hub)
    api = HfApi(endpoint=hub.endpoint, token="hf_owner")
    head = api.repo_info("owner/board", repo_type="space").sha
    pushing()
    assert api.repo_info("owner/board", repo_type="space").sha == head
    for path in ("hf_transfer_score/gone.py", "hf_transfer_score-0.0.1.dist-info/METADATA", "notes.md"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo=path, repo_id="owner/board", repo_type="space")
    pushing()
    assert not (folder / "hf_transfer_score" / "gone.py").exists()
    assert not (folder / "hf_transfer_score-0.0.1.dist-info" / "METADATA").exists()
    assert (folder / "notes.md").is_file()


def test_who_may_not_write_proposes(hub, pushing):
    pushing()
    done = pushing(token="hf_guest", results="guest/results", create_pr=True)
    assert "/discussions/" in done.address
    assert "guest/results" not in (pushed(hub) / "app.py").read_text()
    with pytest.raises(HubError, match="may not write to owner/board"):
        pushing(token="hf_guest", results="guest/results")


@pytest.mark.parametrize("wrong", ["board", "a/b/c", "./a/b", "a/b?c"])
def test_a_name_that_is_none_is_refused(pushing, wrong):
    with pytest.raises(OptionError, match="is not the name of a Space: expected OWNER/NAME"):
        pushing(wrong)


def test_a_folder_cannot_be_read_from_a_space(pushing, tmp_path):
    with pytest.raises(
        OptionError, match=r"`results` .* a Space reads a dataset repository on the Hub.*publish FOLDER"
    ):
        pushing(results=str(tmp_path))


def test_the_copy_has_the_metrics_and_says_its_version():
    files = space_files()
    assert f"Version: {VERSION}\n".encode() in files[f"hf_transfer_score-{VERSION}.dist-info/METADATA"]
    entries = files[f"hf_transfer_score-{VERSION}.dist-info/entry_points.txt"].decode()
    assert "face = hf_transfer_score.metrics.face:METRIC" in entries and "backbones" not in entries
    assert "hf_transfer_score/shipped/reference.parquet" in files


PROBE = """
import atexit, json, os, runpy, sys, threading, time, urllib.request
import hf_transfer_score
from hf_transfer_score.metrics.registry import all_metrics
def ask():
    address = f"http://127.0.0.1:{os.environ['GRADIO_SERVER_PORT']}/"
    for _ in range(600):
        try:
            page = urllib.request.urlopen(address, timeout=10).read().decode()
            break
        except OSError:
            time.sleep(0.05)
    heavy = [name for name in sys.argv[1:] if name in sys.modules]
    facts = [hf_transfer_score.__file__, sorted(all_metrics()), heavy, "Transferability leaderboard" in page]
    print("FOUND", json.dumps(facts), flush=True)
    os._exit(0)
threading.Thread(target=ask).start()
runpy.run_path("app.py", run_name="__main__")
"""


def test_the_pushed_folder_runs_by_itself(hub, pushing, tmp_path):
    pushing()
    folder = pushed(hub)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = clean_environment(tmp_path / "home", hub.endpoint) | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "PYTHONPATH": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *HEAVY], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    line = next((one for one in done.stdout.splitlines() if one.startswith("FOUND")), None)
    assert line is not None, done.stderr
    where, metrics, heavy, answered = json.loads(line.removeprefix("FOUND "))
    assert Path(where) == folder / "hf_transfer_score" / "__init__.py"
    assert {"face", "ncti", "logme"} <= set(metrics) and heavy == [] and answered
