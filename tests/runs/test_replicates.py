"""Replicates are kept beside their features: the same ranking again, and drawn only for models that are new."""

from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score import RankOptions, SampleOptions, rank
from hf_transfer_score.backbones.base import register_backbone, unregister_backbone
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.runs import scoring
from hf_transfer_score.runs.scoring import Bootstrap, keep_replicates, recall_replicates
from tests.cli.pool import TOY, write_checkpoint, write_dataset


@pytest.fixture
def pool(tmp_path):
    write_dataset(tmp_path / "bank.jsonl")
    for name, noise in {"a": 0.1, "b": 0.5, "c": 2.0}.items():
        write_checkpoint(tmp_path / name, noise=noise)
    register_backbone(TOY)
    yield tmp_path
    unregister_backbone("toy")


@pytest.fixture
def drawn(monkeypatch):
    """The models that replicates were drawn for, run by run."""
    asked = []
    real = scoring.bootstrap_pool

    def watched(samples, *arguments, **settings):
        asked.append(sorted(samples))
        return real(samples, *arguments, **settings)

    monkeypatch.setattr(scoring, "bootstrap_pool", watched)
    return asked


def ranked(pool, names, **options):
    models = [str(pool / name) for name in names]
    return rank(str(pool / "bank.jsonl"), models, options=RankOptions(**options), folder=pool / "home")


def test_they_are_drawn_once(pool, drawn):
    first, second = ranked(pool, "ab"), ranked(pool, "ab")
    assert drawn == [["a", "b"], []]
    assert second.confidence == first.confidence and second.intervals == first.intervals


def test_a_model_that_joins_costs_its_own_only(pool, drawn):
    ranked(pool, "ab")
    joined = ranked(pool, "abc")
    assert drawn == [["a", "b"], ["c"]]
    anew = rank(str(pool / "bank.jsonl"), [str(pool / name) for name in "abc"], folder=pool / "elsewhere")
    assert joined.confidence == anew.confidence


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"replicates": 50}, {"sample": SampleOptions(max_samples=60)}, {"refresh": True}]
)
def test_what_changes_them_draws_them_anew(pool, drawn, change):
    ranked(pool, "ab")
    ranked(pool, "ab", **change)
    assert drawn[1] == ([] if change == {"refresh": True} else ["a", "b"])


def test_other_options_of_a_metric_are_other_replicates(tmp_path):
    usual = Bootstrap([get_metric("face")], 10, 0)
    keep_replicates(tmp_path, "last", usual, {"face": {"variance_collapse": np.array([1.0, np.nan])}})
    found = recall_replicates(tmp_path, "last", usual)
    assert np.array_equal(found["face"]["variance_collapse"], [1.0, np.nan], equal_nan=True)
    assert recall_replicates(tmp_path, "last", Bootstrap([get_metric("face", temperature=0.1)], 10, 0)) is None
    assert recall_replicates(tmp_path, "last", Bootstrap([replace(get_metric("face"), version=9)], 10, 0)) is None
    assert recall_replicates(tmp_path, "first", usual) is None
    (path,) = tmp_path.iterdir()
    path.write_text("{")
    assert recall_replicates(tmp_path, "last", usual) is None
