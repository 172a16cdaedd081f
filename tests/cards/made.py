"""Records as `rank` makes them, for a model of the Hub and two others of its pool."""

from dataclasses import replace
from pathlib import Path

from hf_transfer_score.cards.evidence import Evidence
from hf_transfer_score.cli.card import collect
from hf_transfer_score.records.record import (
    Record,
    RecordedDataset,
    RecordedMetric,
    RecordedModel,
    RecordedRun,
)
from hf_transfer_score.sampling.sample import SampleOptions
from tests.leaderboard.made import write_records

MODEL = "owner/model"
COMMIT, DATA_COMMIT = "a" * 40, "b" * 40
RUN = RecordedRun("0.1.0", "2026-01-02T03:04:05+00:00", {"torch": "2.9.0"}, "cuda", 1.5)
PETS = RecordedDataset(
    "team/pets",
    "image-classification",
    "f" * 32,
    config="small",
    split="train",
    revision=DATA_COMMIT,
    columns={"input": "image", "label": "label"},
    examples=500,
    rows=500,
    classes=4,
    options=SampleOptions(max_samples=500).plain(),
)

FACE = RecordedMetric(
    "face",
    2,
    parameters={
        "weighting": "class",
        "covariance": "shrunk",
        "temperature": 0.1,
        "include_self": False,
        "variance_floor": 0.0001,
        "pca": "auto",
    },
    directions={"variance_collapse": 1, "class_fairness": 1},
)
NCTI = RecordedMetric("ncti", parameters={"pca": "auto"}, directions={"seli": 1, "ncc": 1, "vc": -1})


def model(name: str = MODEL, **known) -> RecordedModel:
    """Return a model block as the vision backbones make it."""
    facts = {"commit": COMMIT, "library": "timm_images", "layer": "last", "pooling": "pre-logits", "dtype": "float32"}
    return RecordedModel(name, **{**facts, "parameters": 1000, "width": 64, **known})


def scores(name: str = MODEL, height: float = 0.0, dataset: RecordedDataset = PETS, **known) -> list[Record]:
    """Return terms of two metrics; a greater height is better in all of them."""
    block = model(name, **known)
    face = {"variance_collapse": -0.5 + height, "class_fairness": 0.25 + height}
    ncti = {"seli": 100.0 + height, "ncc": 0.5 + height, "vc": 3.0 - height}
    ends = {term: (value - 0.01, value + 0.01) for term, value in ncti.items()}
    return [
        Record(block, dataset, FACE, RUN, terms=face, interval={"class_fairness": (0.2, 0.3)}, interval_level=0.9),
        Record(block, dataset, NCTI, RUN, terms=ncti, interval=ends, interval_level=0.9),
    ]


def truth(value: float, seed: int = 0, name: str = MODEL, dataset: RecordedDataset = PETS) -> Record:
    how = RecordedMetric("accuracy", kind="truth", parameters={"method": "full", "seed": seed})
    return Record(model(name), dataset, how, RUN, terms={"accuracy": value})


def unmeasured(seed: int = 0, name: str = MODEL, dataset: RecordedDataset = PETS) -> Record:
    """Return that an accuracy could not be measured."""
    one = truth(0.5, seed, name, dataset)
    return replace(one, status="failed", kind="non_finite", reason="the loss is not finite", terms={})


def failure(name: str = MODEL, reason: str = "it has pickled weights only") -> Record:
    return Record(RecordedModel(name), PETS, None, RUN, status="failed", kind="pickle_only", reason=reason)


def pool() -> list[Record]:
    """Return three models on one sample, ours in the middle."""
    return [*scores(), *scores("other/better", 0.3), *scores("other/worse", -0.2)]


def known(folder: Path, records: list[Record], name: str = MODEL) -> Evidence:
    """Return what records say of a model, by way of a folder."""
    return collect(name, write_records(folder, records))


def later(record: Record, **changes) -> Record:
    return replace(record, run=replace(RUN, time="2026-02-02T03:04:05+00:00"), **changes)
