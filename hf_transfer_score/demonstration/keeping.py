"""Where a demonstration is kept: records always, checkpoints and pictures on request."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_transfer_score.demonstration.options import Demonstration, DemoOptions
from hf_transfer_score.demonstration.zoo import ZOO
from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import home, write_text
from hf_transfer_score.results.record import LOCAL, Record
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.selection.records import last_part
from hf_transfer_score.selection.report import RankReport
from hf_transfer_score.truth.fine_tune import FineTuningResult
from hf_transfer_score.truth.recipe import Recipe
from hf_transfer_score.truth.records import save_truth, truth_metric, truth_record

SUMMARY = "demo.json"
CHECKPOINTS, DATASET = "checkpoints", "warped-digits-5-9"
"""What a demonstration makes beside its records, and makes anew when it is run in the same folder again."""


@dataclass(frozen=True)
class Places:
    """Where things go.

    Attributes:
        results: the folder of the records.
        materials: the folder of checkpoints and pictures, None where they are not kept.
    """

    results: Path
    materials: Path | None = None

    @classmethod
    def of(cls, save: Path | None, options: DemoOptions) -> Places:
        """Return the places, rid of an earlier demonstration; a folder with anything but one is refused."""
        folder = save or home() / "demo" / f"seed-{options.seed}"
        if folder.exists() and not folder.is_dir():
            raise OptionError(f"{folder} is a file; name a new folder for the demonstration.")
        if folder.exists() and any(folder.iterdir()) and not (folder / SUMMARY).is_file():
            raise OptionError(f"{folder} holds something else than a demonstration; name a new folder.")
        for name in {member.name for member in (*ZOO, *options.members)}:
            shutil.rmtree(folder / CHECKPOINTS / name, ignore_errors=True)
            shutil.rmtree(folder / "records" / LOCAL / name, ignore_errors=True)
        shutil.rmtree(folder / DATASET, ignore_errors=True)
        write_text(folder / SUMMARY, "{}\n")
        return cls(folder, save)


def keep(found: Demonstration, truths: Sequence[Record]) -> int:
    """Write the records of scores and of measured accuracies, and a summary; return the number of records."""
    scores = found.report.save(found.results)
    for record in truths:
        save_truth(found.results, record)
    write_text(found.results / SUMMARY, json.dumps(found.as_dict(), indent=2, ensure_ascii=False) + "\n")
    return scores + len(truths)


def truth_records(
    report: RankReport, measured: Mapping[str, Sequence[FineTuningResult]], recipe: Recipe, test: LabelledSample
) -> list[Record]:
    """Return a record for each measured accuracy, of the sample that was ranked on.

    Args:
        report: the ranking.
        measured: what fine-tuning gave, by network, one for each seed from 0.
        recipe: how it was fine-tuned.
        test: what the accuracies were measured on.
    """
    scored = {record.model.id: record for record in report.records() if record.metric is not None}
    records = []
    for name, outcome in report.models.items():
        like = scored.get(last_part(outcome.model))
        if like is not None:
            records += [
                truth_record(like, truth_metric(recipe, seed, test), one) for seed, one in enumerate(measured[name])
            ]
    return records
