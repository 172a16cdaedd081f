"""Records and boards made by hand."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hf_transfer_score.leaderboard.boards.board import Board
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.record import (
    Record,
    RecordedDataset,
    RecordedFacts,
    RecordedMetric,
    RecordedModel,
    RecordedRun,
    record_path,
)
from hf_transfer_score.records.table import RecordTable, Stored

TIME = "2025-01-01T00:00:00+00:00"
DATASET = RecordedDataset(
    "owner/pets", "image-classification", "f" * 32, "plain", "train", "d" * 40, {"label": "breed"}, 60, 60, 4, {}
)


def files_of(records: Iterable[Record]) -> dict[str, bytes]:
    """Return the files that hold records, by path."""
    return {str(record_path(one)): one.to_json().encode() for one in records}


def write_records(folder: Path, records: Iterable[Record]) -> FolderPlace:
    """Write records to a folder and return it as a place."""
    place, files = FolderPlace(folder), files_of(records)
    place.update(lambda _: files, title="records")
    return place


def model(name: str, **fields: Any) -> RecordedModel:
    return RecordedModel(name, **{"commit": "c" * 40, "library": "timm_images", "layer": "last", **fields})


def metric(name: str, version: int | None = None, kind: str | None = None, **options: Any) -> RecordedMetric:
    """Return an installed metric with some options changed, or one that is not installed with these options."""
    known = all_metrics().get(name)
    if known is None:
        return RecordedMetric(name, version or 1, kind or "score", options)
    kind = kind or ("baseline" if known.baseline else "score")
    directions = {term.name: term.direction for term in known.terms}
    return RecordedMetric(name, version or known.version, kind, {**asdict(known.options), **options}, directions)


def run(time: str = TIME, **fields: Any) -> RecordedRun:
    return RecordedRun("0.1.0", time, **fields)


def score(
    of: RecordedModel | str,
    by: RecordedMetric | str,
    terms: Mapping[str, float] | float,
    *,
    spread: float | None = None,
    dataset: RecordedDataset = DATASET,
    time: str = TIME,
    **fields: Any,
) -> Record:
    """Return a record with terms, or one of the metric's own name, and intervals of one half width."""
    of, by = model(of) if isinstance(of, str) else of, metric(by) if isinstance(by, str) else by
    named = dict(terms) if isinstance(terms, Mapping) else {by.name: terms}
    if spread is not None:
        ends = {name: (value - spread, value + spread) for name, value in named.items()}
        fields = {"interval": ends, "interval_level": 0.9, **fields}
    return Record(of, dataset, by, fields.pop("run", run(time)), terms=named, **fields)


def accuracy(name: str, value: float, *, commit: str | None = None, dataset: RecordedDataset = DATASET, **how: Any):
    measured = RecordedMetric("accuracy", kind="truth", parameters={"method": "full", **how})
    return Record(RecordedModel(name, commit=commit), dataset, measured, run(), terms={"accuracy": value})


def unmeasured(name: str, **how: Any) -> Record:
    failure = {"status": "failed", "kind": "non_finite", "reason": "the loss is not finite", "terms": {}}
    return replace(accuracy(name, 0.5, **how), **failure)


def failed(name: str, kind: str = "gated", reason: str = "needs access", time: str = TIME) -> Record:
    return Record(model(name), DATASET, None, run(time), "failed", kind, reason)


def face(collapse: float, fairness: float) -> dict[str, float]:
    return {"variance_collapse": collapse, "class_fairness": fairness}


def ncti(seli: float, ncc: float, vc: float) -> dict[str, float]:
    return {"seli": seli, "ncc": ncc, "vc": vc}


def table(records: Iterable[Record]) -> RecordTable:
    return RecordTable.of(Stored.of(str(record_path(record)), "1", record) for record in records)


def catalogue(records: Iterable[Record]) -> Catalogue:
    return Catalogue(table(records))


def board(records: Iterable[Record], *, by_metrics: bool = False) -> Board:
    made = catalogue(records)
    (summary,) = made.boards()
    return made.board(summary.key, by_metrics=by_metrics)


published = partial(board, by_metrics=True)


def facts(license_name=None, downloads=None):
    return RecordedFacts(license=license_name, downloads=downloads)


ROOT = Path(__file__).parents[2]


def ranges() -> dict[str, Requirement]:
    """Return what the package asks for, by name."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = [Requirement(one) for one in re.findall(r'"([A-Za-z0-9_.-]+(?:\[\w+\])?>=[^"]+)"', text)]
    return {canonicalize_name(one.name): one for one in found}


def check_pins(required: Iterable[str]) -> None:
    """Fail where a requirement is not one version, named once, within the range of the package."""
    pins = [Requirement(one) for one in required]
    assert len({canonicalize_name(one.name) for one in pins}) == len(pins)
    allowed = ranges()
    for one in pins:
        (pin,) = one.specifier
        assert pin.operator == "==" and "*" not in pin.version, one
        own = allowed.get(canonicalize_name(one.name))
        assert own is None or own.specifier.contains(pin.version), f"{one}: the package has {own}"
