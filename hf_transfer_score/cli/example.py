"""A small real pool: seven feature extractors for telling the digits 5 to 9 apart, scored and measured.

The images ship with scikit-learn. Extractors that are trained see the digits 0 to 4 only, as a checkpoint sees another
dataset than yours. It shows how a ranking works; it is too small to say anything about a metric.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.cli.tables import Page, number, pairs, pool_text, render
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.ranking import Ranking, rank_features

if TYPE_CHECKING:
    from rich.console import RenderableType

Array = NDArray[np.float64]
Extractor = Callable[[Array], Array]

METRICS = ("face", "ncti", "logme", "hscore", "nc1", "knn", "feature_width")
SAMPLE_PER_CLASS = 30
HIDDEN = 48
SEED = 0

CAVEAT = (
    "This shows how things work and is no evidence for any metric: one sample, seven tiny extractors, nothing "
    "fine-tuned. The accuracy is that of a logistic regression on the features of the sample's rows, measured on "
    "{rows} other rows."
)


@dataclass(frozen=True)
class Example:
    """The pool with what was measured.

    Attributes:
        features: features (N, D) of the sample, by extractor.
        labels: its labels (N,).
        ranking: the scores.
        accuracies: accuracy on held-out rows, by extractor.
        agreement: weighted Kendall's τ of each metric's pool scores with the accuracies.
        held_out_rows: rows that the accuracy was measured on.
    """

    features: dict[str, Array]
    labels: NDArray[np.int64]
    ranking: Ranking
    accuracies: dict[str, float]
    agreement: dict[str, float]
    held_out_rows: int

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, without the features, as plain values that JSON can hold."""
        return {
            "accuracies": self.accuracies,
            "agreement": self.agreement,
            "held_out_rows": self.held_out_rows,
            **self.ranking.as_dict(),
        }


def run_example() -> Example:
    """Extract, score and measure; the same numbers every time on one machine."""
    images, digits = _digits()
    extractors = _extractors(images[digits < 5], digits[digits < 5])
    target, labels = images[digits >= 5], digits[digits >= 5]
    sample = _stratified(labels)
    held_out = np.setdiff1d(np.arange(len(labels)), sample)
    features = {name: extract(target[sample]) for name, extract in extractors.items()}
    accuracies = {
        name: _accuracy(features[name], labels[sample], extract(target[held_out]), labels[held_out])
        for name, extract in extractors.items()
    }
    ranking = rank_features(features, labels[sample], metrics=METRICS)
    truth = list(accuracies.values())
    agreement = {
        metric: weighted_kendall([pool.scores[name] for name in accuracies], truth)
        for metric, pool in ranking.pools.items()
    }
    return Example(features, labels[sample], ranking, accuracies, agreement, len(held_out))


def save_example(example: Example, folder: Path) -> None:
    """Write the features and labels of each extractor to FOLDER/NAME.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, features in example.features.items():
        np.savez(folder / f"{name}.npz", features=features, labels=example.labels)


def example_text(example: Example, page: Page) -> str:
    """Return the pool beside what was measured, and how far they agree."""
    rows, classes = len(example.labels), len(np.unique(example.labels))
    title = f"Seven extractors on {rows} images of {classes} digits that none of them was trained on.\n"
    table = pool_text(example.ranking, page, measured={"accuracy": example.accuracies})
    agreement = sorted(example.agreement.items(), key=lambda item: -item[1])
    below: list[RenderableType] = [
        "\nAgreement of each metric's order with the accuracy, weighted Kendall τ: 1 is perfect, 0 is chance.\n",
        pairs([(metric, number(value)) for metric, value in agreement], indent=4),
        f"\n{CAVEAT.format(rows=example.held_out_rows)}",
    ]
    return render([title], page) + table + render(below, page)


def _digits() -> tuple[Array, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.asarray(data.data, dtype=np.float64) / 16, np.asarray(data.target, dtype=np.int64)


def _extractors(images: Array, digits: NDArray[np.int64]) -> dict[str, Extractor]:
    """Return the extractors by name; what they learn, they learn from `images` (N, 64)."""
    generator = np.random.default_rng(SEED)
    projection = generator.normal(size=(64, 128)) / 8
    untrained = generator.uniform(-1, 1, size=(64, HIDDEN)) * np.sqrt(6 / (64 + HIDDEN))
    mean = images.mean(axis=0)
    components = np.linalg.svd(images - mean, full_matrices=False)[2][:16].T
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(16)])  # else LAPACK chooses them
    return {
        "pixels": lambda rows: rows,
        "pixels_blurred": lambda rows: rows.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16),
        "grey_histogram": _grey_histogram,
        "pca_16": lambda rows: (rows - mean) @ components,
        "random_relu_128": lambda rows: np.maximum(rows @ projection, 0),
        "network_untrained": lambda rows: np.maximum(rows @ untrained, 0),
        "network_trained": _hidden_layer(images, digits),
    }


def _grey_histogram(rows: Array) -> Array:
    """Return the share of each of 17 grey levels: where the ink is, is forgotten."""
    levels = np.round(rows * 16)
    return np.stack([(levels == level).mean(axis=1) for level in range(17)], axis=1)


def _hidden_layer(images: Array, digits: NDArray[np.int64]) -> Extractor:
    """Train a small network on `images`, and return what gives its hidden layer."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((HIDDEN,), max_iter=60, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(images, digits)
    weights, bias = network.coefs_[0], network.intercepts_[0]
    return lambda rows: np.maximum(rows @ weights + bias, 0)


def _stratified(labels: NDArray[np.int64], seed: int = SEED) -> NDArray[np.int64]:
    """Return the row numbers of the sample, as many of each class."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:SAMPLE_PER_CLASS] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def _accuracy(train: Array, train_labels: NDArray[np.int64], test: Array, test_labels: NDArray[np.int64]) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(train, train_labels).score(test, test_labels))
