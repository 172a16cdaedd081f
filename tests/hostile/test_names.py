"""Names that are too long, not UTF-8 or not of files: each is a row or a sentence, and nothing waits for a pipe."""

import json
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import clean_environment
from tests.hostile.limited import run_batch, run_limited, run_python, watch

LONG = f"{'n' * 256}.npz"

SPECIAL = ["pipe.npz", "pipe.npy", "pipe.parquet", "pipe.safetensors", "socket.npz", "zero.npz", "zero.npy",
           "zero.parquet", "zero.safetensors", "folder.npz", "circle.npz", "no\udcff.npz", LONG]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("names")
    rows = np.random.default_rng(0).normal(size=(60, 8))
    for name in ("good.npz", "other.npz"):
        np.savez(place / name, features=rows, labels=np.arange(60) % 3)
    devices = {"npz": "zero", "npy": "urandom", "parquet": "full", "safetensors": "random"}
    for ending, device in devices.items():
        os.mkfifo(place / f"pipe.{ending}")
        (place / f"zero.{ending}").symlink_to(f"/dev/{device}")
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(place)  # the path of a socket may be short only
        one.bind("socket.npz")
        os.chdir(here)
    (place / "folder.npz").mkdir()
    (place / "circle.npz").symlink_to("circle.npz")
    (place / "zoo" / "p-lora").mkdir(parents=True)
    (place / "zoo" / "p-lora" / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')
    (place / "zoo" / "@v1").mkdir()
    (place / "rows.csv").write_text("text,label\n" + "hello a,x\nbye b,y\n" * 8)
    os.mkfifo(place / "pipe.csv")
    return place


def run_many(parent, folder, commands):
    environment = clean_environment(folder / "home")
    return run_batch(commands, lambda code, told: parent.start(told, environment, folder=folder, code=code))


def is_one_sentence(done):
    return done.err.startswith("error: ") and done.err.count("\n") == 1 and "not foreseen" not in done.err


def test_each_invalid_file_gives_one_sentence(parent, folder):
    commands = [["score", name] for name in SPECIAL]
    commands += [["score", "good.npz", "--labels", name] for name in ("pipe.npy", "zero.npy", LONG)]
    commands += [
        ["results", "validate", LONG],
        ["results", "validate", "pipe.npz"],
        ["results", "pull", LONG, "--into", "x"],
    ]
    for arguments, done in zip(commands, run_many(parent, folder, commands), strict=True):
        assert done.clean and (done.code, done.out) in [(1, ""), (2, "")], arguments
        assert is_one_sentence(done), done


def test_in_a_pool_each_is_a_row_and_the_others_are_ranked(parent, folder):
    command = ["score", "good.npz", "other.npz", *SPECIAL, "--metrics", "ncti", "--json"]
    (done,) = run_many(parent, folder, [command])
    models = json.loads(done.out)["pool"]
    assert done.clean and (done.code, done.err) == (0, "")
    assert sorted(name for name, one in models.items() if one["status"] == "ok") == ["good", "other"]
    assert len(models) == 2 + len(SPECIAL)


def test_local_paths_are_not_models_of_the_hub_and_each_is_a_row(parent, folder):
    models = ["zoo/p-lora", "zoo/@v1", "good.npz", "./pipe.npz", "./circle.npz", "~nobody-there/x", LONG, "no/\udcff"]
    offline = {**clean_environment(folder / "home"), "HF_HUB_OFFLINE": "1"}
    done = watch(parent.start(["rank", "rows.csv", "--models", *models, "--json"], offline, folder=folder))
    assert done.clean and done.code == 1, done
    found = {name: (one["kind"], one["reason"]) for name, one in json.loads(done.out)["pool"].items()}
    assert len(found) == len(models)
    assert found["p-lora"][0] == "unsupported" and "adapters are only read from the Hub" in found["p-lora"][1]
    assert found["@v1"] == ("unsupported", "is empty: there are no files in it")
    assert all("not a folder" in found[name][1] for name in ("good.npz", "pipe.npz")), found


def test_datasets_that_are_not_files(parent, folder):
    commands = [
        ["rank", name, "--models", "./zoo/p-lora"] for name in ("pipe.csv", LONG, "~nobody-there/x", "folder.npz")
    ]
    for arguments, done in zip(commands, run_many(parent, folder, commands), strict=True):
        assert done.clean and (done.code, done.out) == (1, ""), arguments
        last = done.err.splitlines()[-1]
        assert last.startswith("error: ") and "not foreseen" not in last, done
        assert "pipe" not in arguments[1] or "a pipe or a device" in last


def test_a_removed_working_folder_and_an_invalid_home(tmp_path):
    gone = tmp_path / "gone"
    script = "import os, sys; os.mkdir(sys.argv[1]); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
    script += "from hf_transfer_score.cli import main; sys.exit(main(sys.argv[2:]))"
    done = run_python(script, gone, "rank", "x.csv", "--models", "./x", environment=clean_environment(tmp_path))
    assert done.clean and done.code in (1, 2) and is_one_sentence(done), done
    nowhere = {**clean_environment("/dev/null/home"), "HOME": "/dev/null"}
    done = run_limited([sys.executable, "-m", "hf_transfer_score", "cache", "list"], environment=nowhere)
    assert done.clean and done.code in (0, 2), done
