"""Writes docs/evidence.md and its picture from the records of the evidence: `python -m benchmarks.evidence.report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.evidence import tables
from benchmarks.evidence.collapse_tables import collapse_said, collapse_table
from benchmarks.evidence.conclusions import conclusions, in_short
from benchmarks.evidence.figures import MEAN_RANK, SOURCE, Target, targets_of
from benchmarks.evidence.forecast_tables import bars, forecast_values, said
from benchmarks.evidence.forecasts import COLLECTED, collected_records, hub_trials, keep, known_figures
from benchmarks.evidence.limits import limit_trials
from benchmarks.evidence.picture import write_calibration, write_picture
from benchmarks.evidence.regimes import REGIMES, SOURCE_ACCURACY
from benchmarks.evidence.zoo import ARCHITECTURES, SCHOOLINGS
from hf_transfer_score.home import write_text
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.shipped import EVIDENCE, read_shipped, shipped_folder, write_shipped

ROOT = Path(__file__).parents[2]
TEMPLATE = Path(__file__).with_name("page.md")
PAGE, PICTURE = ROOT / "docs" / "evidence.md", ROOT / "docs" / "evidence.svg"
CALIBRATION = ROOT / "docs" / "calibration.svg"
UNTRAINED = ("untrained",)
LOSSES = (MEAN_RANK, *HEADLINE_METRICS, "logme", "linear_probe", "knn", SOURCE, "parameter_count")


def targets_by_name(records: Sequence[Record]) -> dict[str, Target]:
    """Return the targets that were measured, in their order."""
    found = targets_of(records)
    return {name: found[regime.name] for name, regime in REGIMES.items() if regime.name in found}


def page(records: Sequence[Record], figures: Mapping[str, Any]) -> str:
    """Return docs/evidence.md from records, and from figures of the forecast on other checkpoints."""
    every = targets_by_name(records)
    trained = targets_by_name([record for record in records if not record.model.id.endswith(UNTRAINED)])
    truths = [one for one in records if one.metric is not None and one.metric.kind == "truth"]
    values = {
        **forecast_values(every, figures),
        "in_short": in_short(every),
        "records": f"{len(records):,}",
        "accuracies": f"{len(truths):,}",
        "hours": f"{sum(one.used['seconds'] for one in truths) / 3600:.1f}",
        "architectures": f"{len(ARCHITECTURES)}",
        "parameters": _parameters(records),
        "source_rows": f"{max(one.dataset.examples for one in records if one.dataset.id == SOURCE_ACCURACY):,}",
        "architecture_names": ", ".join(ARCHITECTURES),
        "schoolings": f"{len(SCHOOLINGS)}",
        "schooling_table": tables.table(
            ["name", "what it saw"], [[name, one.words] for name, one in SCHOOLINGS.items()]
        ),
        "accuracy_table": tables.accuracies(every),
        "above": tables.ABOVE,
        "below": tables.BELOW,
        "agreement_table": tables.agreements(every),
        "trained_table": tables.agreements(trained),
        "loss_table": tables.losses(every, LOSSES),
        "term_table": tables.terms(every),
        "setting_table": tables.settings(every),
        "method_table": tables.methods(every["images-50"], tables.GROUPS),
        "collapse_table": collapse_table(),
        "collapse_said": collapse_said(),
        "conclusions": conclusions(every, trained),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def _parameters(records: Sequence[Record]) -> str:
    """Return the fewest and the most parameters of an image backbone, in millions."""
    names = {regime.name for regime in REGIMES.values() if regime.images}
    found = [one.model.parameters for one in records if one.dataset.id in names and one.model.parameters]
    return f"{min(found) / 1e6:.1f} to {max(found) / 1e6:.1f}"


def main() -> int:
    """Write the page and the picture, or compare the page with what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page would change")
    parser.add_argument("--records", type=Path, default=shipped_folder() / EVIDENCE, help="the table of records")
    parser.add_argument("--collected", type=Path, help="the folder of collected checkpoints, whose results are stored")
    parser.add_argument("--hub-truth", type=Path, help="tables of fine-tuned checkpoints of the Hub, for their figures")
    options = parser.parse_args()
    if options.hub_truth is not None:
        keep(hub_trials(options.hub_truth) | limit_trials(options.hub_truth))
    if options.collected is not None:
        write_shipped(collected_records(options.collected), COLLECTED)
    records, figures = read_shipped(options.records), known_figures()
    text = page(records, figures)
    if options.check:
        same = PAGE.read_text(encoding="utf-8") == text
        print("the page is up to date" if same else f"{PAGE} would change")
        return 0 if same else 1
    write_text(PAGE, text)
    targets = targets_by_name(records)
    write_picture(targets, PICTURE)
    write_calibration(said(targets, figures), CALIBRATION)
    print(bars(targets, figures))
    written = ", ".join(str(one.relative_to(ROOT)) for one in (PAGE, PICTURE, CALIBRATION))
    print(f"{written} from {len(records):,} records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
