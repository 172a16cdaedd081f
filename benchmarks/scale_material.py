"""Write a folder of a million generated records in minutes: those of one dataset, remixed for each other one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from leaderboard_material import _dataset, made_records

from hf_transfer_score.records.record import CANONICAL, Record, plain_identity, record_path

OTHERS = 0.3
"""The share of records with the terms of another model, so that each dataset has its own order."""


def write_million(folder: Path, datasets: int, models: int) -> int:
    """Write ten records of each model on each dataset below a folder, and return how many there are."""
    first = list(made_records(1, models))
    folders = [PurePosixPath(record_path(one)).parent for one in first]
    plain = [asdict(one) for one in first]
    each = len(first) // models
    for path in dict.fromkeys(folders):
        (folder / path).mkdir(parents=True, exist_ok=True)
    for place in range(datasets):
        for number, found in _on_dataset(plain, each, place):
            name = f"{plain_identity(found)}.json"
            (folder / folders[number] / name).write_text(CANONICAL.encode(found), encoding="utf-8")
    return datasets * len(first)


def _on_dataset(plain: list[dict[str, Any]], each: int, place: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of a dataset with their numbers among those of the first."""
    generator = np.random.default_rng(place)
    dataset = asdict(_dataset(place))
    dataset["classes"] = plain[0]["dataset"]["classes"] + place % 50
    other = generator.integers(len(plain) // each, size=len(plain))
    mixed = generator.random(len(plain)) < OTHERS
    for number, one in enumerate(plain):
        found = copy.copy(one) | {"dataset": dataset}
        if mixed[number]:
            like = plain[int(other[number]) * each + number % each]
            found |= {"terms": like["terms"], "interval": like["interval"]}
        yield number, found


def check(record: Record) -> None:
    """Raise unless a record can be read."""
    Record.from_json(record.to_json())
