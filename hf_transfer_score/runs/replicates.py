"""Bootstrap replicates are kept beside their features, so that a new model in a pool needs only its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hf_transfer_score.home import write_text
from hf_transfer_score.integrity import sealed, unsealed
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.metrics.resampling.terms import Terms
from hf_transfer_score.version import VERSION


@dataclass(frozen=True)
class Bootstrap:
    """The configured metrics, number of replicates and seed, which determine the replicates of some features."""

    metrics: Sequence[Metric]
    replicates: int
    seed: int

    def question(self, layer: str) -> str:
        """Return everything that can change the replicates of a layer, as text."""
        metrics = {metric.name: [metric.version, asdict(metric.options)] for metric in self.metrics}
        about = {"layer": layer, "metrics": metrics, "replicates": self.replicates, "seed": self.seed}
        return json.dumps({**about, "version": VERSION}, sort_keys=True, default=str)


def recall_replicates(folder: Path | None, layer: str, bootstrap: Bootstrap) -> Terms | None:
    """Return the replicates that an earlier run kept in the folder of some features, or None."""
    question = bootstrap.question(layer)
    if folder is None:
        return None
    try:
        kept = unsealed(json.loads(_place(folder, question).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    if kept is None or kept.get("question") != question:
        return None
    return {
        metric: {term: np.array(values, dtype=np.float64) for term, values in terms.items()}
        for metric, terms in kept["terms"].items()
    }


def keep_replicates(folder: Path | None, layer: str, bootstrap: Bootstrap, terms: Terms) -> None:
    """Keep replicates; if the features are gone or the disk is full, they are drawn again next time."""
    question = bootstrap.question(layer)
    plain = {metric: {term: values.tolist() for term, values in found.items()} for metric, found in terms.items()}
    if folder is not None and folder.is_dir():
        with suppress(OSError):
            write_text(_place(folder, question), json.dumps(sealed({"question": question, "terms": plain})))


def _place(folder: Path, question: str) -> Path:
    return folder / f"replicates.{hashlib.blake2b(question.encode(), digest_size=8).hexdigest()}.json"
