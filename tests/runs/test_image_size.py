"""A ranking and a verification at another size of images, off line, on the example that ships with the package."""

import pytest

from hf_transfer_score import RankOptions, SampleOptions
from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.run import rank
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import verify

NAMES = ("vit-pretrained", "resnet-pretrained")
MODELS = tuple(f"example/{name}" for name in NAMES)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def options(size):
    return RankOptions(sample=SampleOptions(max_samples=40), backbone=BackboneOptions(image_size=size), replicates=0)


def stored(folder, kind):
    found = [Record.from_json(path.read_bytes()) for path in (folder / "records").rglob("*.json")]
    return [one for one in found if one.metric and one.metric.kind == kind]


def test_features_of_another_size_are_others_with_a_record_of_their_own(home, tmp_path):
    usual, larger = (rank("example", MODELS, options=options(size), folder=home) for size in (None, 64))
    for name in NAMES:
        assert usual.models[name].status == larger.models[name].status == "ok"
        assert not larger.models[name].from_cache
        assert usual.models[name].scores != larger.models[name].scores
    again = rank("example", MODELS, options=options(64), folder=home)
    assert all(one.from_cache for one in again.models.values())
    for report, size in ((usual, None), (larger, 64)):
        report.save(tmp_path / str(size))
        assert {one.model.details.get("image_size") for one in stored(tmp_path / str(size), "score")} == {size}


def test_a_checkpoint_that_does_not_take_it_is_a_row(home):
    report = rank("example", MODELS, options=options(50), folder=home)
    assert report.models[NAMES[1]].status == "ok"
    failed = report.models[NAMES[0]]
    assert (failed.status, failed.kind) == ("failed", "unsupported")
    assert failed.reason.startswith("does not take images of 50 x 50 pixels: the size is not a multiple of its patches")


def test_fine_tuning_reads_them_at_that_size_too(home, tmp_path):
    how = VerifyOptions("full", changes={"epochs": 1, "learning_rates": (1e-3,), "device": "cpu"}, seeds=(0,))
    report = verify("example", MODELS, options=options(64), how=how, folder=home, save=tmp_path)
    assert {one.status for one in report.models.values()} == {"ok"}
    truths = stored(tmp_path, "truth")
    assert [one.model.details["image_size"] for one in truths] == [64, 64]
