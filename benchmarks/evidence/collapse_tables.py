"""What docs/evidence.md says about collapse during fine-tuning, from the figures in collapse.json."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

from benchmarks.evidence.tables import table

KEPT = Path(__file__).with_name("collapse.json")
METRICS = ("nc1", "face", "ncti")
WHERE = ("training rows", "held-out rows")


def collapse_table() -> str:
    """Return the kept figures as a table: averages over the targets, with the least and the most."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    lines = []
    for where in WHERE:
        cells = [
            _cell([one[f"{moment}, {where}"][name] for one in kept.values()])
            for name in METRICS
            for moment in ("before", "after")
        ]
        lines.append([where, *cells, _cell([one[f"epochs, {where}"]["nc1"] for one in kept.values()])])
    names = [f"{name}, {moment}" for name in METRICS for moment in ("before", "after")]
    return table(["features of", *names, "nc1 over epochs"], lines)


def collapse_said() -> str:
    """Return in words what the kept figures say of the paper's finding."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")).values()

    def said(moment: str, where: str) -> str:
        found = mean(one[f"{moment}, {where}"]["nc1"] for one in kept)
        return f"{'agrees' if found > 0.5 else 'hardly agrees'} with test accuracy ({found:.2f})"

    rows, held = WHERE
    return (
        f"Within one network, collapse of held-out rows {said('epochs', held)} from epoch to epoch, and that of "
        f"training rows {said('epochs', rows)}. Between networks, collapse of held-out rows after fine-tuning "
        f"{said('after', held)}, and before it {said('before', held)}. That of training rows after fine-tuning "
        f"{said('after', rows)}: a network can also collapse rows that it has only memorised. This is why "
        "`CollapseCallback` ([truth](truth.md)) measures held-out rows."
    )


def _cell(values: list[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})".replace("-", "−")
