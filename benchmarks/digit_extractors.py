"""Seven small feature extractors for the digits 5 to 9 of scikit-learn.

The trained ones see only the digits 0 to 4, as a checkpoint has seen another dataset than yours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Extractor = Callable[[Array], Array]

SAMPLE_PER_CLASS = 30
HIDDEN = 48
SEED = 0


def digits() -> tuple[Array, NDArray[np.int64]]:
    """Return the images (N, 64) and the digits they show (N,)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.asarray(data.data, dtype=np.float64) / 16, np.asarray(data.target, dtype=np.int64)


def extractors_of(images: Array, digits: NDArray[np.int64]) -> dict[str, Extractor]:
    """Return the extractors by name, trained on `images` (N, 64)."""
    generator = np.random.default_rng(SEED)
    projection = generator.normal(size=(64, 128)) / 8
    untrained = generator.uniform(-1, 1, size=(64, HIDDEN)) * np.sqrt(6 / (64 + HIDDEN))
    mean = images.mean(axis=0)
    components = np.linalg.svd(images - mean, full_matrices=False)[2][:16].T
    largest = np.abs(components).argmax(axis=0)
    components *= np.sign(components[largest, np.arange(16)])  # otherwise LAPACK chooses the signs
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
    """Return the share of each of 17 grey levels, without their position."""
    levels = np.round(rows * 16)
    return np.stack([(levels == level).mean(axis=1) for level in range(17)], axis=1)


def _hidden_layer(images: Array, digits: NDArray[np.int64]) -> Extractor:
    """Train a small network on `images`, and return the function of its hidden layer."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((HIDDEN,), max_iter=60, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(images, digits)
    weights, bias = network.coefs_[0], network.intercepts_[0]
    return lambda rows: np.maximum(rows @ weights + bias, 0)


def stratified(labels: NDArray[np.int64], seed: int = SEED) -> NDArray[np.int64]:
    """Return the row numbers of the sample, equally many per class."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:SAMPLE_PER_CLASS] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def accuracy(train: Array, train_labels: NDArray[np.int64], test: Array, test_labels: NDArray[np.int64]) -> float:
    """Return the accuracy of a logistic regression on held-out rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(train, train_labels).score(test, test_labels))
