"""What the records of a run say about its candidates: what their repositories say."""

import pytest

from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History, MeasuredColumn, Relations
from hf_transfer_score.records.record import RecordedFacts
from hf_transfer_score.runs.facts import facts_of


def checkpoint(config=None, tags=(), **about):
    descriptions = {} if config is None else {"config.json": config}
    return Checkpoint("owner/name", "c" * 40, Repository("owner/name", {}, descriptions, None, tags), **about)


def test_a_model_of_transformers():
    tags = ("base_model:google/vit", "base_model:finetune:google/vit", "dataset:beans", "dataset:food101", "vision")
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"]}
    assert facts_of(checkpoint(config, tags, license="mit", downloads=7)) == RecordedFacts(
        license="mit",
        downloads=7,
        family="vit",
        architecture="ViTForImageClassification",
        base_model="google/vit",
        pretrained_on="beans, food101",
    )


@pytest.mark.parametrize(
    ("name", "family"),
    [("resnet50", "resnet"), ("tf_efficientnet_lite0", "efficientnet"), ("vit_small_patch16_224", "vit")],
)
def test_a_model_of_timm(name, family):
    found = facts_of(checkpoint({"architecture": name}))
    assert (found.architecture, found.family) == (name, family)


@pytest.mark.parametrize(
    "config",
    [
        *(None, {}, {"model_type": ["vit"], "architectures": "Bert", "architecture": 3}, {"architectures": [[]]}),
        *({"model_type": "x" * 201}, {"model_type": "a\x1b[31m"}, {"model_type": ""}, {"architecture": "50net"}),
    ],
)
def test_what_cannot_be_a_name_is_not_known(config):
    found = facts_of(checkpoint(config, ("base_model:", "dataset:a\nb")))
    assert found in (RecordedFacts(), RecordedFacts(architecture="50net"))
    assert facts_of(None) == RecordedFacts()


def test_a_family_speaks_for_a_model_that_nobody_measured():
    good, bad = {f"good/{n}": 0.9 + n / 100 for n in range(6)}, {f"bad/{n}": 0.5 + n / 100 for n in range(6)}
    history = History(
        tuple(MeasuredColumn(f"data/{n}", "image-classification", "full", {**good, **bad}) for n in range(4)),
        models={name: Relations(family="vit" if name in good else "van") for name in (*good, *bad)},
    )
    own = {name: Relations.of(facts_of(checkpoint({"model_type": name})), None) for name in ("van", "vit")}
    known = Forecaster(history, own).expected(["van", "vit"])
    assert known.mean[1] > known.mean[0] + 0.3


def test_what_a_repository_says_stands_before_what_records_say():
    history = History(models={"a": Relations(family="old", base_model="b", parameters=5)})
    assert Forecaster(history, {"a": Relations(family="new")}).relations["a"] == Relations("new", None, "b", None, 5)
