"""Stores of many generated records for the leaderboard benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hf_transfer_score.metrics.registry import Metric, Term, all_metrics
from hf_transfer_score.records.record import (
    Record,
    RecordedDataset,
    RecordedFacts,
    RecordedMetric,
    RecordedModel,
    RecordedRun,
    record_path,
)

METRICS = ("face", "ncti", "logme", "hscore", "nc1", "knn", "gbc", "transrate", "parameter_count")
LIBRARIES = ("timm_images", "hub_vision", "hub_text", "sentence_transformers")
LICENSES = ("apache-2.0", "mit", "cc-by-nc-4.0", None)


def made_records(datasets: int, models: int, seed: int = 0) -> Iterator[Record]:
    """Yield nine scores and a measured accuracy for each model on each dataset."""
    generator = np.random.default_rng(seed)
    metrics = [all_metrics()[name] for name in METRICS]
    skill = generator.normal(size=models)
    for place in range(datasets):
        dataset = _dataset(place)
        for number in range(models):
            yield from _of_model(generator, metrics, dataset, number, float(skill[number]))


def write_records(folder: Path, records: Iterator[Record]) -> int:
    """Write each record to its file below a folder, and return how many there are."""
    count = 0
    for record in records:
        path = folder / record_path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json(), encoding="utf-8")
        count += 1
    return count


def _dataset(place: int) -> RecordedDataset:
    columns, options = {"input": "image", "label": "label"}, {"max_samples": 5000, "seed": 0, "per_class": None}
    return RecordedDataset(
        f"owner-{place % 7}/dataset-{place}",
        "image-classification",
        f"{place:032x}",
        split="train",
        revision=f"{place:040x}",
        columns=columns,
        examples=5000,
        rows=5000,
        classes=10 + place,
        options=options,
    )


def _model(number: int) -> RecordedModel:
    return RecordedModel(
        f"organisation-{number % 97}/checkpoint-{number}.variant",
        commit=f"{number:040x}",
        library=LIBRARIES[number % 4],
        layer="last",
        pooling="mean",
        dtype="float32",
        parameters=int(10 ** (6 + 3 * ((number * 7919) % 1000) / 1000)),
        width=(256, 384, 512, 768, 1024)[number % 5],
        details={"size": [224, 224], "mean": [0.485, 0.456, 0.406]},
    )


def _possible(value: float, term: Term) -> float:
    """Return a number in the range of a term that grows with `value`."""
    low, high = term.range
    if np.isfinite(low) and np.isfinite(high):
        return float(low + (high - low) / (1 + np.exp(-value)))
    if np.isfinite(high):
        return float(high - np.exp(-value))
    return float(low + np.exp(value)) if np.isfinite(low) else value


def _of_model(
    generator: np.random.Generator, metrics: list[Metric], dataset: RecordedDataset, number: int, skill: float
) -> Iterator[Record]:
    model, facts = _model(number), RecordedFacts(license=LICENSES[number % 4], downloads=int(generator.integers(10**6)))
    day = f"2025-{1 + number % 12:02}-{1 + number % 28:02}T00:00:00+00:00"
    run = RecordedRun("0.1.0", day, {"torch": "2.15.0", "timm": "1.0.31"}, "cuda", 10.0 + number % 50, 0.1)
    for metric in metrics:
        drawn = {term: term.direction * skill + float(generator.normal()) for term in metric.terms}
        terms = {term.name: _possible(value, term) for term, value in drawn.items()}
        recorded = RecordedMetric(
            metric.name,
            kind="baseline" if metric.baseline else "score",
            parameters={"temperature": 0.05} if metric.name == "face" else {},
            directions={term.name: term.direction for term in metric.terms},
        )
        interval = {
            term.name: (_possible(value - 0.3, term), _possible(value + 0.3, term)) for term, value in drawn.items()
        }
        yield Record(model, dataset, recorded, run, terms=terms, interval=interval, interval_level=0.9, facts=facts)
    measured = {"method": "full", "seed": 0}
    truth = RecordedMetric("accuracy", kind="truth", parameters=measured, directions={"accuracy": 1})
    share = float(1 / (1 + np.exp(-skill - generator.normal() / 3)))
    yield replace(Record(model, dataset, truth, run, terms={"accuracy": share}), facts=facts)
