"""The settings of metrics that are computed besides the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_transfer_score.metrics.registry import Metric, get_metric

OPTIONS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "face": (
        {"include_self": True},
        {"covariance": "spherical"},
        {"covariance": "diagonal"},
        {"covariance": "full"},
        {"temperature": 0.01},
        {"temperature": 0.2},
        {"temperature": 1.0},
        {"weighting": "sample"},
        {"pca": 16},
        {"pca": 64},
    ),
    "ncti": ({"pca": 64}, {"pca": 16}, {"pca": "none"}),
    "logme": ({"convention": "official", "pca": "none"}, {"convention": "icml", "pca": "none"}, {"pca": "none"}),
    "gbc": ({"convention": "official", "pca": 64}, {"covariance": "diagonal"}),
    "sfda": ({"convention": "official"},),
    "leep": ({"logarithm": False},),
    "nleep": ({"logarithm": False},),
    "hscore": ({"pca": "auto"},),
    "reg_hscore": ({"pca": "auto"},),
    "transrate": ({"pca": "auto"}, {"normalise": False}),
    "parc": ({"pca": "auto"},),
    "nc1": ({"form": "trace_ratio"}, {"weighting": "sample"}),
    "knn": ({"distance": "euclidean"},),
}


def rounds() -> list[list[Metric]]:
    """Return the settings in as few groups as possible, with each metric at most once per group."""
    count = max(map(len, OPTIONS.values()))
    return [
        [get_metric(name).configured(**several[number]) for name, several in OPTIONS.items() if number < len(several)]
        for number in range(count)
    ]
