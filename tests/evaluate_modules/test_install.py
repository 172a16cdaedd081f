"""Registering the modules, and loading them by every name they have, with the real client."""

import os
import subprocess
import sys
from pathlib import Path

import evaluate
import pytest
from evaluate.loading import files_to_hash

import hf_transfer_score
from hf_transfer_score.errors import RegistrationError
from hf_transfer_score.evaluate_modules import install
from tests.conftest import clean_environment
from tests.evaluate_modules.samples import MODULES, NAMES, SPACES

REGISTER = "import hf_transfer_score\nanswer = [str(path) for path in hf_transfer_score.register()]\n"

LOAD = """
import evaluate
answer = {name: evaluate.load(name).compute(features=[[0.0, 1], [1, 0], [3, 3], [4, 3.5]], references=[0, 0, 1, 1])
          for name in sys.argv[1:]}
"""

SCORE = "import sys\n" + REGISTER + LOAD


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A fresh cache of modules for this process, which has imported evaluate already; nobody sees it afterwards."""
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", tmp_path / "modules")
    monkeypatch.setattr(sys, "path", [one for one in sys.path if not Path(one, "evaluate_modules").is_dir()])
    forget_modules()
    yield tmp_path / "modules"
    forget_modules()


def forget_modules() -> None:
    """Let evaluate's package of modules be found where the cache is now."""
    for name in [one for one in sys.modules if one.split(".")[0] == "evaluate_modules"]:
        del sys.modules[name]


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_scripts_lie_where_evaluate_keeps_its_own(cache):
    paths = hf_transfer_score.register()
    assert [path.name for path in paths] == ["face_transferability.py", "ncti_transferability.py"]
    for path in paths:
        source = MODULES / path.stem / path.name
        assert path.read_bytes() == source.read_bytes()
        family = cache / "evaluate_modules" / "metrics" / f"evaluate-metric--{path.stem}"
        assert path == family / files_to_hash([str(source)]) / path.name
        for folder in path.parents[: path.parents.index(cache) + 1]:
            assert (folder / "__init__.py").is_file()


def test_registering_again_changes_nothing(cache):
    first = hf_transfer_score.register()
    before = state(cache)
    assert hf_transfer_score.register() == first
    assert state(cache) == before


def test_processes_that_register_at_the_same_time_agree(tmp_path):
    """The package alone is imported, which is quick; evaluate is not needed to register."""
    environment = clean_environment(tmp_path / "home")
    command = [sys.executable, "-c", "import hf_transfer_score; print(hf_transfer_score.register())"]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate(timeout=60)[0] for process in running}
    assert len(outputs) == 1
    assert all(process.returncode == 0 for process in running)
    assert len(list((tmp_path / "home").rglob("face_transferability.py"))) == 1


def test_a_damaged_script_is_put_right(cache):
    paths = hf_transfer_score.register()
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[:100])
    paths[1].unlink()
    assert hf_transfer_score.register() == paths
    assert paths[0].read_bytes() == whole
    assert paths[1].is_file()


def test_the_version_that_registered_last_is_loaded(cache):
    ours = hf_transfer_score.register()[0]
    other = ours.parents[1] / ("a" * 64) / ours.name
    other.parent.mkdir()
    other.write_text("raise RuntimeError('another version')")
    later = ours.stat().st_mtime + 100
    os.utime(other, (later, later))
    hf_transfer_score.register()
    assert ours.stat().st_mtime > other.stat().st_mtime
    assert evaluate.load("face_transferability").name == "face_transferability"


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", tmp_path / "file" / "modules")
    with pytest.raises(RegistrationError, match="set HF_MODULES_CACHE to a writable folder before evaluate"):
        hf_transfer_score.register()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_MODULES_CACHE": "/m", "HF_HOME": "/h"}, "/m"),
        ({"HF_HOME": "/h"}, "/h/modules"),
        ({"HF_HOME": "~/h"}, "~/h/modules"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/modules"),
        ({}, "~/.cache/huggingface/modules"),
    ],
)
def test_the_environment_is_read_on_each_call(monkeypatch, variables, expected):
    monkeypatch.delitem(sys.modules, "evaluate.config")
    for name in ("HF_MODULES_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert install.modules_cache() == Path(expected).expanduser()


def test_registered_modules_load_by_name_though_the_hub_lacks_them(run_client, hub, hub_environment):
    hub.fault("/spaces/evaluate-metric/face", 404, times=None)
    answer = run_client(SCORE, hub_environment, *NAMES.values())
    assert answer["face_transferability"].keys() == {"face", "variance_collapse", "class_fairness"}
    assert answer["ncti_transferability"].keys() == {"ncti", "seli", "ncc", "vc"}
    for name, status in (("face", 404), ("ncti", 401)):
        asked = hub.asked(f"/spaces/evaluate-metric/{name}_transferability/")
        assert {one.status for one in asked} == {status}


@pytest.mark.parametrize(
    "offline", [{"HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}, {}], ids=["set", "no network"]
)
def test_registered_modules_load_by_name_off_line(run_client, tmp_path, offline):
    answer = run_client(SCORE, clean_environment(tmp_path / "home") | offline, *NAMES.values())
    assert set(answer) == set(NAMES.values())


CLIENT_OF_SPACES = """
import sys
from pathlib import Path
from huggingface_hub import hf_hub_download
{load}
card = hf_hub_download("someone/face_transferability", "README.md", repo_type="space")
answer = {{"scores": answer, "card": Path(card).read_text(encoding="utf-8")}}
"""


def test_modules_load_from_spaces_by_owner_and_name(run_client, hub, hub_environment):
    for name in NAMES.values():
        hub.add(f"someone/{name}", SPACES / name, kind="space")
    names = [f"someone/{name}" for name in NAMES.values()]
    answer = run_client(CLIENT_OF_SPACES.format(load=LOAD), hub_environment, *names)
    assert [len(scores) for scores in answer["scores"].values()] == [3, 4]
    assert answer["card"] == (SPACES / "face_transferability" / "README.md").read_text(encoding="utf-8")
