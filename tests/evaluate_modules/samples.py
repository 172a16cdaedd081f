"""The sample and the modules that these tests use."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import hf_transfer_score

MODULES = Path(hf_transfer_score.__file__).parent / "evaluate_modules"
SPACES = MODULES.parents[1] / "spaces_demo"
NAMES = {"face": "face_transferability", "ncti": "ncti_transferability"}


def sample(rows: int = 240, width: int = 24, classes: int = 4) -> tuple[Any, Any]:
    """Return float32 features of overlapping classes, off the origin, and their labels in a mixed order."""
    generator = np.random.default_rng(7)
    labels = generator.permutation(np.arange(rows) % classes)
    features = generator.normal(size=(rows, width)) * generator.uniform(0.1, 3, size=width) + 5
    return (features + 2 * np.eye(width)[labels]).astype(np.float32), labels


@cache
def load(name: str, **options: Any) -> Any:
    """Return the module of a metric, loaded by `evaluate` from its folder."""
    import evaluate

    return evaluate.load(str(MODULES / NAMES[name]), **options)


def expected(name: str, features: Any, labels: Any, **options: Any) -> dict[str, float]:
    """Return what the metric itself says, without `evaluate`."""
    result = hf_transfer_score.get_metric(name, **options)(features, labels)
    return {name: result.headline, **result.terms}
