"""The Space app: its scoring on good and bad files, and the app itself over HTTP."""

import asyncio
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from safetensors.numpy import save_file

from hf_transfer_score import get_metric
from hf_transfer_score.errors import UnknownMetricError
from hf_transfer_score.evaluate_modules import space
from tests.evaluate_modules.samples import sample
from tests.uploads.made import scored_here


@pytest.fixture(autouse=True)
def score_here(monkeypatch):
    """Score in this process, as the process of its own does, without starting one for each case."""
    monkeypatch.setattr(space, "score_in_box", scored_here)


@pytest.fixture(params=["face", "ncti"])
def metric(request):
    return get_metric(request.param)


def save_npz(path: Path, **arrays):
    np.savez_compressed(path, **arrays)


def save_parquet(path: Path, features, labels):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"features": features.tolist(), "labels": labels}), path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("model.npz", save_npz),
        ("model.safetensors", lambda path, **arrays: save_file(arrays, path)),
        ("model.parquet", save_parquet),
    ],
)
def test_a_file_is_scored_as_the_metric_scores_it(metric, tmp_path, name, save):
    features, labels = sample()
    save(tmp_path / name, features=features, labels=labels)
    table, notes = space.score_file(metric, str(tmp_path / name))
    result = metric(features, labels)
    assert [row[0] for row in table] == [metric.name, *(term.name for term in metric.terms)]
    values = [result.headline, *(result.terms[term.name] for term in metric.terms)]
    assert [float(row[1]) for row in table] == pytest.approx(values, rel=1e-5)
    assert "Scored 240 samples of 4 classes, 24 features each." in notes
    assert "No warnings." in notes


def test_warnings_are_told(tmp_path):
    features, labels = sample(rows=12, classes=2)
    save_npz(tmp_path / "model.npz", features=features, labels=labels)
    _, notes = space.score_file(get_metric("face"), str(tmp_path / "model.npz"))
    assert "Careful: with two classes class_fairness is 1 for every model" in notes


def test_the_example_is_scored_without_warnings(metric):
    table, notes = space.score_file(metric, space.example_file())
    assert len(table) == len(metric.terms) + 1
    assert "Scored 150 samples of 3 classes" in notes


@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("model.npz", lambda path: path.write_bytes(b"no archive"), "is not an .npz file"),
        ("model.npz", lambda path: save_npz(path, features=np.eye(4)), "no labels"),
        ("model.txt", lambda path: path.write_bytes(b""), "unknown ending"),
    ],
)
def test_a_bad_file_is_named_without_the_servers_paths(tmp_path, name, save, message):
    save(tmp_path / name)
    table, notes = space.score_file(get_metric("face"), str(tmp_path / name))
    assert table == []
    assert notes.startswith("This file cannot be scored.\n")
    assert message in notes
    assert str(tmp_path) not in notes


def test_no_file_is_asked_for():
    assert space.score_file(get_metric("face"), None) == ([], "Choose a file first, or use the example.")


def build(name):
    """Build an app inside an event loop; outside of one, gradio makes its own and leaves it open."""

    async def inside():
        return space.build_space(name)

    return asyncio.run(inside())


def test_nothing_of_the_user_is_shown_as_html(metric):
    blocks = build(metric.name).blocks.values()
    outputs = [block for block in blocks if isinstance(block, (gr.Dataframe, gr.Textbox))]
    assert [type(block) for block in outputs] == [gr.Dataframe, gr.Textbox]
    assert outputs[0].datatype == "str"
    assert not [block for block in blocks if isinstance(block, gr.HTML)]


def test_unknown_metric_is_refused():
    with pytest.raises(UnknownMetricError, match="'face'"):
        space.build_space("faec")
