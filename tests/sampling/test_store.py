"""A sample is drawn once: the second request reads nothing of the dataset."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from hf_transfer_score.errors import OptionError
from hf_transfer_score.sampling import load
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions
from tests.sampling.made import shards, texts


@pytest.fixture
def opened(monkeypatch):
    """A list with one entry for each opened dataset."""
    calls = []
    original = load.open_source
    monkeypatch.setattr(load, "open_source", lambda *arguments: calls.append(arguments) or original(*arguments))
    return calls


def test_files_are_read_once(tmp_path, opened):
    hub, kept = shards(tmp_path / "hub", texts([0, 1] * 20), 2), tmp_path / "kept"
    first, second = (load_sample(hub, folder=kept) for _ in range(2))
    assert len(opened) == 1
    assert (second.fingerprint, second.notes, second.source) == (first.fingerprint, first.notes, first.source)
    assert second.table.equals(first.table) and second.label_names == first.label_names
    load_sample(str(hub), folder=kept)
    assert len(opened) == 1, "a path may be text"
    load_sample(hub, SampleOptions(seed=1), folder=kept)
    assert len(opened) == 2, "other options are another request"
    load_sample(hub, folder=kept, refresh=True)
    assert len(opened) == 3


def test_a_name_of_the_dataset_changes_nothing_else(tmp_path, opened):
    table = tmp_path / "birds_2024.csv"
    table.write_text("text,label\n" + "".join(f"row {row},{row % 2}\n" for row in range(20)))
    plain = load_sample(table, folder=tmp_path / "kept")
    named = load_sample(table, SampleOptions(dataset_name="Birds of Wales"), folder=tmp_path / "kept")
    assert named.source == replace(plain.source, dataset="Birds of Wales") and len(opened) == 1
    assert named.fingerprint == plain.fingerprint and named.table == plain.table
    with pytest.raises(OptionError, match="dataset_name='a/b': expected a few words without slashes"):
        SampleOptions(dataset_name="a/b")


def test_changed_files_are_read_again(tmp_path, opened):
    file, kept = tmp_path / "rows.csv", tmp_path / "kept"
    for count, content in enumerate(["text,label\na,0\nb,1\n", "text,label\na,1\nb,0\n"], 1):
        file.write_text(content)
        os.utime(file, ns=(count * 10**9, count * 10**9))
        sample = load_sample(file, folder=kept)
        assert len(opened) == count
        assert dict(zip(sample.examples([0, 1]), sample.labels.tolist(), strict=True))["a"] == count - 1


def test_datasets_go_by_their_fingerprint(tmp_path, opened):
    rows = texts([0, 1] * 10)
    for given in (rows, rows, datasets.DatasetDict(train=rows), datasets.DatasetDict(train=rows)):
        load_sample(given, folder=tmp_path)
    assert len(opened) == 2
    load_sample(rows.select(range(10)), folder=tmp_path)
    assert len(opened) == 3
    for _ in range(2):
        load_sample(rows.to_iterable_dataset(), folder=tmp_path)
    assert len(opened) == 5, "streams have no identity"


def test_datasets_of_the_same_rows_are_kept_side_by_side(tmp_path, opened):
    names = ("one.csv", "two.csv")
    for name in names:
        (tmp_path / name).write_text("text,label\na,0\nb,1\n")
    found = [load_sample(tmp_path / name, folder=tmp_path / "kept") for name in names * 2]
    assert len(opened) == 2 and len({sample.fingerprint for sample in found}) == 1
    assert [Path(sample.source.dataset).name for sample in found] == [*names, *names]


@pytest.mark.parametrize("broken", ["sample", "request", "gone"])
def test_broken_samples_are_drawn_again(tmp_path, broken, opened):
    rows = texts([0, 1] * 10)
    first = load_sample(rows, folder=tmp_path)
    sample, request = next(tmp_path.glob(f"{first.fingerprint}-*.arrow")), next(tmp_path.glob("request-*.json"))
    assert json.loads(request.read_text())["sample"] == sample.name
    del first
    if broken == "gone":
        sample.unlink()
    else:
        {"sample": sample, "request": request}[broken].write_bytes(b"{")
    assert len(load_sample(rows, folder=tmp_path)) == 20 and len(opened) == 2
    assert len(load_sample(rows, folder=tmp_path)) == 20 and len(opened) == 2
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".arrow", ".json"], "nothing half-written is left"


def test_a_failed_draw_leaves_nothing(tmp_path):
    with pytest.raises(load.DatasetError):
        load_sample(texts(["a", "a"]), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


AT_ONCE = """
import sys
from pathlib import Path
from hf_transfer_score.sampling.load import load_sample
sample = load_sample(sys.argv[1], folder=Path(sys.argv[2]))
print(sample.fingerprint, len(sample))
"""


def test_processes_share_a_folder(tmp_path):
    hub, kept = shards(tmp_path / "hub", texts([0, 1] * 500), 2), tmp_path / "kept"
    command = [sys.executable, "-c", AT_ONCE, str(hub), str(kept)]
    environment = os.environ | {"USE_TORCH": "0"}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    answers = {process.communicate()[0].strip() for process in running}
    assert answers == {f"{load_sample(hub, folder=kept).fingerprint} 1000"}
    assert len(list(kept.iterdir())) == 2
