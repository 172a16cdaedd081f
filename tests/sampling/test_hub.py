"""Datasets on the Hub: what is downloaded, and the messages when something is wrong.

One process with the real clients makes all requests, and a second one works offline; the tests check their answers and
the log of the local Hub.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel

from tests.conftest import clean_environment
from tests.hub.server import LocalHub
from tests.sampling.made import picture, shards, sound, texts

CLIENT = """
import json, sys
from pathlib import Path
import datasets
datasets.config.STREAMING_READ_RETRY_INTERVAL = datasets.config.STREAMING_OPEN_RETRY_INTERVAL = 0
from hf_transfer_score.errors import TransferScoreError
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions

def ask(name, refresh=False, **options):
    try:
        sample = load_sample(name, SampleOptions(**options), folder=Path("samples"), refresh=refresh)
    except TransferScoreError as error:
        return [type(error).__name__, str(error)]
    source = sample.source
    return dict(rows=len(sample), seen=source.rows_seen, complete=source.complete, revision=source.revision,
                config=source.config, split=source.split, task=sample.task.name, mark=sample.fingerprint)

def move_on(path):
    Path(path).write_bytes(b"text,label\\na,0\\nb,1\\nc,1\\n")

answers = {}
names = dict(ask=ask, move_on=move_on, answers=answers)
for key, call in json.loads(sys.argv[1]).items():
    answers[key] = eval(call, names)
print(json.dumps(answers))
"""

CARD = """---
configs:
- config_name: plain
  data_files: plain.csv
- config_name: polite
  data_files: [{split: train, path: polite.csv}, {split: test, path: hidden.csv}]
---
"""
TABLE = b"text,label\na,0\nb,1\n"
ROWS, FILES, DRAWN = 480, 8, 30

REFUSED = {
    "missing": ("'owner/nobody'", "no dataset owner/nobody on the Hub that you can read.*private.*HF_TOKEN"),
    "gated": ("'owner/gated'", "owner/gated is gated: accept its terms.*HF_TOKEN"),
    "script": ("'owner/script'", "needs a loading script, and scripts are not run.*Parquet"),
    "empty": ("'owner/empty'", "is empty"),
    "several configs": ("'owner/configs'", "has several configurations; choose one with `config`: plain, polite"),
    "no such config": ("'owner/configs', config='rude'", "has no configuration 'rude'.*plain, polite"),
    "revision": ("'owner/configs', revision='v9'", "has no revision 'v9'"),
    "split": ("'owner/configs', config='polite', split='dev'", "no split 'dev'.*Its splits: train, test"),
    "hidden": ("'owner/configs', config='polite', split='test'", "hidden.*use the split train"),
    "broken": ("'owner/broken'", "A file of the dataset owner/broken is corrupt"),
    "name": ("'owner/wrong name'", "owner/wrong name"),
}


@dataclass
class Asked:
    """A Hub and all answers, with the number of requests in offline mode."""

    hub: LocalHub
    folders: dict[str, Path]
    answers: dict[str, Any]
    requests_offline: int


def client(calls: dict[str, str], folder: Path, hub: LocalHub, **environment: str) -> dict[str, Any]:
    cleaned = clean_environment(folder / "home", hub.endpoint) | {"USE_TORCH": "0"} | environment
    command = [sys.executable, "-c", CLIENT, json.dumps(calls)]
    done = subprocess.run(command, env=cleaned, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def fill(hub: LocalHub, folder: Path) -> dict[str, Path]:
    """Put datasets on a Hub, and return the folders of some of them."""
    rng = np.random.default_rng(0)
    rows = texts(rng.choice(3, ROWS).tolist()).cast_column("label", ClassLabel(num_classes=3))
    wide = texts([0, 1] * 50, junk=[os.urandom(100_000).hex() for _ in range(100)])
    folders = {"rows": shards(folder / "rows", rows, FILES), "wide": shards(folder / "wide", wide, 1)}
    for name in ("rows", "wide"):
        hub.add(f"owner/{name}", folders[name], kind="dataset")
    hub.add("owner/cut", folders["rows"], kind="dataset")
    hub.fault("owner/cut/.*parquet$", "cut", times=1, after=1000, skip=2)
    for kind, make in (("png", picture), ("wav", sound)):
        files = {f"train/{'ab'[row % 2]}/{row}.{kind}": make(row) for row in range(40)}
        hub.add(f"owner/{kind}", files, kind="dataset")
    folders["moving"] = hub.add("owner/moving", {"rows.csv": TABLE}, kind="dataset")
    hub.add("owner/gated", folders["rows"], kind="dataset", gated=True)
    hub.add("owner/script", {"script.py": b"x = 1"}, kind="dataset")
    hub.add("owner/empty", {"README.md": b"nothing"}, kind="dataset")
    hidden = TABLE.replace(b"0", b"-1").replace(b"1\n", b"-1\n").replace(b"--", b"-")
    tables = {"plain.csv": TABLE, "polite.csv": TABLE, "hidden.csv": hidden}
    hub.add("owner/configs", {"README.md": CARD.encode(), **tables}, kind="dataset")
    hub.add("owner/broken", {"data/train.parquet": b"not at all"}, kind="dataset")
    return folders


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    with LocalHub(folder / "hub") as hub:
        folders = fill(hub, folder)
        moving = repr(str(folders["moving"] / "rows.csv"))
        calls = {
            "rows": f"ask('owner/rows', max_samples={DRAWN})",
            "rows again": f"ask('owner/rows', max_samples={DRAWN})",
            "wide": "ask('owner/wide')",
            "png": "ask('owner/png', max_samples=10)",
            "wav": "ask('owner/wav', max_samples=10)",
            "cut": f"ask('owner/cut', max_samples={DRAWN})",
            "polite": "ask('owner/configs', config='polite')",
            "address": f"ask('{hub.endpoint}/datasets/owner/configs/viewer/polite', config='polite')",
            "before": "ask('owner/moving')",
            "moved": f"move_on({moving})",
            "kept": "ask('owner/moving')",
            "after": "ask('owner/moving', refresh=True)",
            "pinned": "ask('owner/moving', revision=answers['before']['revision'])",
            **{name: f"ask({arguments})" for name, (arguments, _) in REFUSED.items()},
        }
        answers = client(calls, folder, hub)
        before = len(hub.requests)
        offline = {
            "offline": f"ask('owner/rows', max_samples={DRAWN})",
            "not kept": f"ask('owner/rows', max_samples={DRAWN + 1})",
        }
        answers |= client(offline, folder, hub, HF_HUB_OFFLINE="1")
        yield Asked(hub, folders, answers, len(hub.requests) - before)


def test_a_sample_is_fetched_once_and_in_part(asked):
    answer = asked.answers["rows"]
    assert (answer["rows"], answer["seen"], answer["complete"]) == (DRAWN, 120, False)
    assert len(answer["revision"]) == 40 and asked.answers["rows again"] == answer
    fetched = [request.path for request in asked.hub.asked("owner/rows/.*parquet$", "GET")]
    assert len(set(fetched)) <= 1 + 120 // (ROWS // FILES), "a file for the types of the columns, and those to be read"


def test_stored_samples_are_available_offline(asked):
    assert asked.answers["offline"] == asked.answers["rows"] and asked.requests_offline == 0
    assert asked.answers["not kept"][0] == "DatasetError"
    assert "owner/rows is needed from the Hub, but HF_HUB_OFFLINE forbids" in asked.answers["not kept"][1]


def test_columns_that_are_not_needed_stay_on_the_hub(asked):
    size = sum(path.stat().st_size for path in asked.folders["wide"].rglob("*.parquet"))
    assert asked.answers["wide"]["rows"] == 100 and asked.hub.sent("owner/wide/.*parquet$") < 0.7 * size


@pytest.mark.parametrize("kind", ["png", "wav"])
def test_of_a_folder_of_files_only_the_drawn_ones_are_fetched(asked, kind):
    answer = asked.answers[kind]
    assert (answer["rows"], answer["seen"], answer["complete"]) == (10, 40, True)
    assert answer["task"] == f"{'image' if kind == 'png' else 'audio'}-classification"
    assert len(asked.hub.asked(rf"owner/{kind}/.*\.{kind}$", "GET")) == 10


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(asked, name):
    kind, message = asked.answers[name]
    assert kind == ("HiddenLabelsError" if name == "hidden" else "DatasetError")
    assert re.search(REFUSED[name][1], message), message


def test_a_configuration(asked):
    answer = asked.answers["polite"]
    assert (answer["config"], answer["split"], answer["rows"]) == ("polite", "train", 2)
    assert asked.answers["address"] == answer, "the address of its page names it too"


def test_cut_downloads_are_tried_again(asked):
    assert [fault.hits for fault in asked.hub.faults if fault.kind == "cut"] == [1]
    assert asked.answers["cut"]["mark"] == asked.answers["rows"]["mark"]


def test_the_commit_is_pinned(asked):
    before, kept, after, pinned = (asked.answers[name] for name in ("before", "kept", "after", "pinned"))
    assert (before["rows"], after["rows"], pinned["rows"]) == (2, 3, 2)
    assert kept == before, "what was drawn stays until it is asked for anew"
    assert before["revision"] == pinned["revision"] != after["revision"]
