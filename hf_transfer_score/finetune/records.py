"""Measured accuracies as records, beside the scores of the same model on the same sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

from hf_transfer_score.errors import RecordError
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.finetune.recipe import Recipe, default_recipe
from hf_transfer_score.home import write_text
from hf_transfer_score.records.record import Record, RecordedMetric, record_path
from hf_transfer_score.sampling.sample import LabelledSample

ACCURACY = "accuracy"
VERSIONS: Mapping[str, int] = {"probe": 1, "full": 2, "layer": 2, "scl": 2}
"""By method; one goes up when the default recipe, what one seed decides, or what is trained changes.

Since version 2 features are read in front of the dropout of the checkpoint's own head, batch norms move as torch's do,
the block is chosen on the whole sample by the measure of `layers`, and that of "scl" lies before the last one.
"""

NOT_OF_THE_RESULT = ("method", "device")


def truth_metric(recipe: Recipe, seed: int, test: LabelledSample) -> RecordedMetric:
    """Return how an accuracy is measured: the method, the seed, the test rows, and what differs from the default.

    Args:
        recipe: how it was fine-tuned.
        seed: of the repetition.
        test: the test rows.
    """
    usual = asdict(default_recipe(test.task.modality, recipe.method))
    own = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(recipe).items()
        if name not in NOT_OF_THE_RESULT and value != usual[name]
    }
    where = {"test_split": test.source.split, "test_rows": len(test), "test_fingerprint": test.fingerprint[:12]}
    parameters = {"method": recipe.method, "seed": seed, **where, **own}
    return RecordedMetric(ACCURACY, VERSIONS[recipe.method], "truth", parameters, {ACCURACY: 1})


def truth_record(like: Record, metric: RecordedMetric, measured: FineTuningResult | None = None) -> Record:
    """Return the record of a measured accuracy.

    Args:
        like: a record of the same model on the same training sample, whose description of both it shares.
        metric: how it was measured.
        measured: the result; None for a record that only has the identity of the one to come.
    """
    run = replace(like.run, time=datetime.now(timezone.utc).isoformat(timespec="seconds"), forward_seconds=None)
    run = replace(run, from_cache=False, metric_seconds=None if measured is None else measured.seconds)
    terms = {ACCURACY: -1.0 if measured is None else measured.accuracy}
    used = {} if measured is None else asdict(measured)
    used = {name: value for name, value in used.items() if name not in ("accuracy", "notes") and value is not None}
    warnings = () if measured is None else measured.notes
    return Record(like.model, like.dataset, metric, run, terms=terms, used=used, warnings=warnings, facts=like.facts)


def measured_before(folder: Path, like: Record, metric: RecordedMetric) -> FineTuningResult | None:
    """Return what a folder of results holds of this very measurement, or None."""
    path = folder / record_path(truth_record(like, metric))
    try:
        record = Record.from_json(path.read_bytes())
        used = {name: value for name, value in record.used.items() if name in FineTuningResult.__dataclass_fields__}
        usual = {"learning_rate": None, "penalty": None}
        return FineTuningResult(**{**usual, **used, "accuracy": record.terms[ACCURACY], "notes": record.warnings})
    except (OSError, RecordError, KeyError, TypeError):
        return None


def save_truth(folder: Path, record: Record) -> None:
    """Write a record into a folder of results."""
    write_text(folder / record_path(record), record.to_json())
