"""Make the records that ship with the package, so that the first leaderboard is never empty.

Two tables: the published CIFAR-10 scores of NCTI with the accuracies after fine-tuning, and a real run of every metric
on scikit-learn's digits with measured accuracies. `python -m benchmarks.shipped_records` writes them into one Parquet
file; `--check` measures again, writes nothing, and exits with 1 if a term differs by more than 1e-6.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import digit_extractors
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.metrics.scores import score_features
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.records.record import (
    Record,
    RecordedDataset,
    RecordedMetric,
    RecordedModel,
    RecordedRun,
    record_path,
)
from hf_transfer_score.records.shipped import REFERENCE, read_shipped, shipped_folder, write_shipped
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.scoring import Ready, Scoring, choose_scoring, make_report
from hf_transfer_score.sampling.sample import LabelledSample, memory_sample
from hf_transfer_score.untrusted import parse_json
from hf_transfer_score.version import VERSION

TABLE = Path(__file__).parents[1] / "tests" / "golden" / "published_ncti_cifar10.json"
WRITTEN = "2026-01-01T00:00:00+00:00"
"""The time in the records of the published table, which are copied, not measured."""

TOLERANCE = 1e-6
ROUNDED = 1.5e-4
"""Overlaps are rounded to four digits: two roundings of nearly the same value differ by one in the last."""

TRUTH_SEEDS = (0, 1, 2)
REPEATS = 101

TORCHVISION: dict[str, tuple[int, int]] = {
    "resnet34": (21_797_672, 512),
    "resnet50": (25_557_032, 2048),
    "resnet101": (44_549_160, 2048),
    "resnet152": (60_192_808, 2048),
    "densenet121": (7_978_856, 1024),
    "densenet169": (14_149_480, 1664),
    "densenet201": (20_013_928, 1920),
    "mnasnet1_0": (4_383_312, 1280),
    "mobilenet_v2": (3_504_872, 1280),
    "googlenet": (6_624_904, 1024),
    "inception_v3": (23_834_568, 2048),  # without its auxiliary classifier, of 3,326,696
}
"""Parameters, as torchvision publishes them with its weights (`num_params`), and the width before the last layer."""

SOURCE_CLASSES = 1000

DIGITS = "scikit-learn digits 5-9"
ABOUT = {
    "pixels": "the 64 pixels",
    "pixels_blurred": "means of blocks of 2 by 2 pixels",
    "grey_histogram": "share of each of 17 grey levels",
    "pca_16": "16 principal components of the digits 0 to 4",
    "random_relu_128": "128 random projections, cut at zero",
    "network_untrained": "hidden layer of a network that was not trained",
    "network_trained": "hidden layer of a network that was trained on the digits 0 to 4",
}
PARAMETERS = {
    "pixels": 0,
    "pixels_blurred": 0,
    "grey_histogram": 0,
    "pca_16": 64 + 64 * 16,
    "random_relu_128": 64 * 128,
    "network_untrained": 64 * digit_extractors.HIDDEN,
    "network_trained": 64 * digit_extractors.HIDDEN + digit_extractors.HIDDEN,
}
"""The number of values that were fitted or drawn to make an extractor."""


def published_records(table: Path = TABLE) -> list[Record]:
    """Return the scores, accuracies and baselines of the published table of eleven torchvision models."""
    found = parse_json(table.read_text(encoding="utf-8"))
    scores_from, accuracies_from = (part.strip() for part in found["source"].split(";"))
    what = "the published table of NCTI scores and accuracies after fine-tuning on CIFAR-10, eleven supervised models"
    dataset = RecordedDataset(
        id="uoft-cs/cifar10",
        task="image-classification",
        fingerprint=hashlib.blake2b(what.encode(), digest_size=16).hexdigest(),
        classes=10,
        options={"fingerprint_of": what},
    )
    run = RecordedRun(version=VERSION, time=WRITTEN)
    records = []
    for name, score in found["ncti_score"].items():
        parameters, width = _own(*TORCHVISION[name])
        model = RecordedModel(id=name, library="torchvision", parameters=parameters, width=width)
        one = partial(Record, model, dataset, run=run)
        accuracy = round(found["finetuned_accuracy"][name] / 100, 6)
        caveat = ("the published pool score as it is: its raw terms were not published",)
        metric = RecordedMetric("ncti_published", directions={"score": 1})
        records += [
            one(metric=metric, terms={"score": score}, warnings=caveat, source=scores_from),
            one(metric=_accuracy("full"), terms={"accuracy": accuracy}, source=accuracies_from),
            one(metric=_baseline("parameter_count"), terms={"parameter_count": float(parameters)}),
            one(metric=_baseline("feature_width"), terms={"feature_width": float(width)}),
        ]
    return records


def _own(parameters: int, width: int) -> tuple[int, int]:
    """Return the parameters without those of the last layer, and the width."""
    return parameters - SOURCE_CLASSES * (width + 1), width


def _accuracy(method: str, **parameters: Any) -> RecordedMetric:
    how = {"method": method, **parameters}
    return RecordedMetric("accuracy", kind="truth", parameters=how, directions={"accuracy": 1})


def _baseline(name: str) -> RecordedMetric:
    metric = get_metric(name)
    directions = {term.name: term.direction for term in metric.terms}
    return RecordedMetric(name, metric.version, "baseline", directions=directions)


@dataclass(frozen=True)
class Digits:
    """The images of the digits 5 to 9, the extractors, and which images were scored.

    Attributes:
        images: all images (N, 64).
        labels: their digits (N,).
        chosen: row numbers of the sample.
        extractors: by name.
    """

    images: NDArray[np.float64]
    labels: NDArray[np.int64]
    chosen: NDArray[np.int64]
    extractors: dict[str, digit_extractors.Extractor]

    @classmethod
    def load(cls) -> Digits:
        """Return the images and the extractors."""
        images, digits = digit_extractors.digits()
        extractors = digit_extractors.extractors_of(images[digits < 5], digits[digits < 5])
        target, labels = images[digits >= 5], digits[digits >= 5]
        return cls(target, labels, digit_extractors.stratified(labels), extractors)

    def sample(self) -> LabelledSample:
        """Return the sample; its fingerprint depends on the pixels only, not on their encoding."""
        from PIL import Image

        rows, labels = self.images[self.chosen], self.labels[self.chosen]
        shades = np.rint(rows * 16).astype(np.uint8)
        pictures = [Image.fromarray(15 * one.reshape(8, 8)) for one in shades]
        names = [f"{digit}" for digit in range(5, 10)]
        made = memory_sample("image-classification", pictures, (labels - 5).tolist(), label_names=names, name=DIGITS)
        digest = hashlib.blake2b(shades.tobytes() + labels.astype("<i8").tobytes(), digest_size=16)
        options = {"images_per_class": digit_extractors.SAMPLE_PER_CLASS, "seed": digit_extractors.SEED}
        source = replace(made.source, columns={"input": "images", "label": "target"}, options=options)
        return replace(made, source=source, fingerprint=digest.hexdigest())

    def outcome(self, name: str, sample: LabelledSample, scoring: Scoring) -> tuple[RankedModel, LabelledFeatures]:
        """Return the results of the metrics for an extractor."""
        rows = self.images[self.chosen]
        features, seconds = _timed(self.extractors[name], rows)
        extraction = {"examples": len(rows), "seconds": seconds, "device": "cpu", "dtype": f"{features.dtype}"}
        facts = ModelFacts(name, PARAMETERS[name])
        return RankedModel(
            name=name,
            status="ok",
            model=name,
            library="example",
            parameters=PARAMETERS[name],
            scores=score_features(features, sample.labels, metrics=scoring.metrics, facts=facts),
            extraction={**extraction, "details": {"features": ABOUT[name]}},
        ), LabelledFeatures(features, sample.labels, facts=facts)

    def accuracy(self, name: str, seed: int) -> tuple[float, int]:
        """Return the accuracy of a logistic regression on held-out rows, and their number."""
        train = digit_extractors.stratified(self.labels, seed)
        test = np.setdiff1d(np.arange(len(self.labels)), train)
        features, labels = self.extractors[name](self.images), self.labels
        accuracy = digit_extractors.accuracy(features[train], labels[train], features[test], labels[test])
        return accuracy, len(test)


def _timed(extract: digit_extractors.Extractor, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return a copy of the features, and the median time of computing them."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        features = np.array(extract(rows))
        times.append(time.perf_counter() - start)
    return features, statistics.median(times)


def digits_records(digits: Digits | None = None, names: Iterable[str] = ABOUT) -> list[Record]:
    """Return the results of every metric for the extractors, with the intervals of `rank`, and the accuracies."""
    digits = digits or Digits.load()
    sample = digits.sample()
    scoring, models, ready = choose_scoring(sample, "all"), {}, {}
    for name in names:
        outcome, data = digits.outcome(name, sample, scoring)
        models[outcome.name], ready[outcome.name] = outcome, Ready(None, "", lambda data=data: data)
    records = make_report(sample, models, ready, scoring, RankOptions()).records()
    first = {record.model.id: record for record in records}
    return [*records, *(_measured(digits, record, seed) for record in first.values() for seed in TRUTH_SEEDS)]


def _measured(digits: Digits, record: Record, seed: int) -> Record:
    """Return the measured accuracy as a record beside a score."""
    value, rows = digits.accuracy(record.model.id, seed)
    caveat = ("a logistic regression on the features, fitted on 150 rows; nothing was fine-tuned",)
    metric, terms, run = _accuracy("probe", seed=seed), {"accuracy": value}, replace(record.run, metric_seconds=None)
    return Record(record.model, record.dataset, metric, run, terms=terms, used={"test_rows": rows}, warnings=caveat)


def differences(records: Iterable[Record], file: Path) -> list[str]:
    """Return the differences between records and those of a table, ignoring run times."""
    there = {str(record_path(record)): record for record in read_shipped(file)}
    found = []
    for record in records:
        path = str(record_path(record))
        other = there.pop(path, None)
        if other is None:
            found.append(f"{path} ({_name(record)}) is not there")
        elif not same(record, other):
            found.append(f"{path} ({_name(record)}) holds other values")
    return found + [f"{path} ({_name(record)}) is there and should not be" for path, record in there.items()]


def same(one: Record, other: Record) -> bool:
    """Return whether two records agree: numbers to 1e-6, ignoring run times and versions of libraries."""
    if one.overlap is None or other.overlap is None:
        overlaps = one.overlap is other.overlap
    else:
        overlaps = one.overlap.classes == other.overlap.classes
        overlaps = overlaps and np.allclose(one.overlap.values, other.overlap.values, rtol=0, atol=ROUNDED)
    rest = [replace(record, run=one.run, terms={}, interval={}, overlap=None, used={}) for record in (one, other)]
    pairs = [(one.terms, other.terms), (one.interval, other.interval), (one.used, other.used)]
    return bool(overlaps) and rest[0] == rest[1] and all(_close(*pair) for pair in pairs)


def _close(one: Any, other: Any) -> bool:
    """Return whether two values are equal, with numbers to 1e-6."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE))
    return bool(one == other)


def _name(record: Record) -> str:
    return f"{record.model.id}, {record.metric.name if record.metric else record.kind}"


def main() -> int:
    """Write or check the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a term differs")
    check = parser.parse_args().check
    records, file = [*published_records(), *digits_records()], shipped_folder() / REFERENCE
    if not check:
        print(f"{write_shipped(records, file)} records in {file}")
        return 0
    found = differences(records, file)
    print("\n".join(found) or f"{len(records)} records are as they were")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
