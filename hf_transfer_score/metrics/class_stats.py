"""Class statistics of labelled features: computed once, in chunks, in double precision, for all metrics.

Class means come from a first pass and the within-class scatter from a second one over centred rows, so a large common
offset costs no digits. Statistics of parts merge to those of the whole with the pairwise update of Chan, Golub and
LeVeque (1983), which is used to combine processes and streams of batches. Scatters are summed in place, and decomposed
with as many threads as help.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeaturesError
from hf_transfer_score.metrics.checks import CHUNK_BYTES, as_numpy, check_features, row_chunks

Array = NDArray[np.float64]

RELATIVE_CUT = 1e-10
"""Eigenvalues below this fraction of the largest are rounding noise of float32 features, and count as zero."""

ONE_THREAD_WIDTH = 2048
"""Up to this width a decomposition is limited by memory, and more threads only wait for each other."""


class ScatterSum:
    """The sum of xᵀx over chunks of rows, added in place to one triangle, so that a chunk costs no (D, D) copy."""

    def __init__(self, width: int) -> None:
        self._triangle = np.zeros((width, width), order="F")

    def add(self, rows: Array) -> None:
        """Add xᵀx of a chunk of rows (n, D)."""
        from scipy.linalg.blas import dsyrk

        self._triangle = dsyrk(1.0, rows.T, beta=1.0, c=self._triangle, overwrite_c=1)

    def matrix(self) -> Array:
        """Return the sum, (D, D)."""
        matrix = np.triu(self._triangle)
        matrix += np.triu(self._triangle, 1).T
        return matrix


def add_class_sums(sums: Array, rows: Array, codes: NDArray[np.int64]) -> None:
    """Add each float64 row (n, D) to the sum of its class (K, D) in place, by a product with a sparse matrix."""
    from scipy.sparse import csr_matrix

    count = len(rows)
    sums += csr_matrix((np.ones(count), (codes, np.arange(count))), shape=(len(sums), count)) @ rows


class Decomposition(NamedTuple):
    """Eigenvalues of a scatter matrix, largest first (r,), and their eigenvectors in columns (D, r)."""

    values: Array
    vectors: Array

    def above(self, cut: float) -> Decomposition:
        """Return the part whose eigenvalues exceed `cut` times the largest."""
        keep = int((self.values > cut * self.values[0]).sum())
        return Decomposition(self.values[:keep], self.vectors[:, :keep])


def decompose(scatter: Array, leading: int | None = None) -> Decomposition:
    """Return the eigenvalues, clipped at zero, and eigenvectors of a symmetric matrix, or only the leading ones."""
    from scipy.linalg import eigh

    width = len(scatter)
    with one_thread(width <= ONE_THREAD_WIDTH):
        if leading is not None and leading < width // 4:
            values, vectors = eigh(scatter, subset_by_index=[width - leading, width - 1], check_finite=False)
        else:
            values, vectors = eigh(scatter, driver="evd", check_finite=False)
            values, vectors = values[-(leading or width) :], vectors[:, -(leading or width) :]
    return Decomposition(np.maximum(values[::-1], 0.0), vectors[:, ::-1])


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Limit linear algebra to one thread, for matrices that are too small to share.

    Threads that wait for each other after every column take many times as long on a busy machine.
    """
    if not when:
        yield
        return
    with _threads().limit(limits=1, user_api="blas"):
        yield


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _threads() -> Any:
    import scipy.linalg  # noqa: F401  # its library of linear algebra must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class ClassStatistics:
    """Counts, means and scatters of K classes in D dimensions.

    Attributes:
        classes: label values, ascending, (K,).
        counts: rows of each class, (K,).
        means: class means, (K, D).

    Example:
        >>> import numpy as np
        >>> from hf_transfer_score import ClassStatistics
        >>> features, labels = np.eye(4), np.array([0, 0, 1, 1])
        >>> whole = ClassStatistics.from_features(features, labels)
        >>> parts = [ClassStatistics.from_features(features[i::2], labels[i::2]) for i in (0, 1)]
        >>> bool(np.allclose(parts[0].merge(parts[1]).within_scatter, whole.within_scatter))
        True
    """

    def __init__(self, classes: NDArray[np.int64], counts: NDArray[np.int64], means: Array) -> None:
        self.classes = classes
        self.counts = counts
        self.means = means
        self._source: tuple[NDArray[Any], NDArray[np.int64]] | None = None

    @classmethod
    def from_features(cls, features: Any, labels: Any) -> ClassStatistics:
        """Return the statistics of features (N, D), an array or a memory map, with one integer label per row.

        Unlike the metrics, this accepts a single class: a process may have no other.
        """
        array = check_features(features, allow_constant=True)
        classes, codes = np.unique(np.asarray(as_numpy(labels, "labels")), return_inverse=True)
        if len(codes) != len(array) or classes.dtype.kind not in "iub":
            raise FeaturesError(f"Expected {len(array)} integer labels, got {len(codes)} of dtype {classes.dtype}.")
        return cls.from_codes(array, classes.astype(np.int64), codes)

    @classmethod
    def from_codes(cls, features: NDArray[Any], classes: NDArray[np.int64], codes: NDArray[Any]) -> ClassStatistics:
        """Return the statistics of checked features whose rows have the class indices `codes`."""
        counts = np.bincount(codes, minlength=len(classes)).astype(np.int64)
        sums = np.zeros((len(classes), features.shape[1]))
        for rows in row_chunks(*features.shape):
            add_class_sums(sums, features[rows].astype(np.float64), codes[rows])
        statistics = cls(classes, counts, sums / counts[:, None])
        statistics._source = (features, codes)
        return statistics

    @classmethod
    def from_batches(cls, batches: Iterable[tuple[Any, Any]]) -> ClassStatistics:
        """Return the statistics of a stream of (features, labels) batches, without keeping any batch."""
        total: ClassStatistics | None = None
        for features, labels in _regroup(batches):
            part = cls.from_features(features, labels)
            total = part if total is None else total.merge(part)
            total._release()
        if total is None:
            raise FeaturesError("The stream of batches is empty: there is nothing to compute statistics from.")
        return total

    def _release(self) -> None:
        """Compute what needs the rows, and drop them."""
        _ = self._within
        self._source = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to merge: the statistics without the features."""
        self._release()
        return {name: self.__dict__[name] for name in ("classes", "counts", "means", "_within", "_source")}

    @property
    def rows(self) -> int:
        """Number of rows N."""
        return int(self.counts.sum())

    @property
    def class_sums(self) -> Array:
        """Sum of the rows of each class, (K, D)."""
        return np.asarray(self.means * self.counts[:, None])

    @cached_property
    def mean(self) -> Array:
        """Mean of all rows, (D,)."""
        return np.asarray(self.counts @ self.means / self.rows)

    @cached_property
    def _within(self) -> tuple[Array, Array]:
        """Within-class scatter (D, D) and squared distances to the class mean summed by class (K,)."""
        assert self._source is not None
        features, codes = self._source
        scatter, squares = ScatterSum(features.shape[1]), np.zeros(len(self.counts))
        for rows in row_chunks(*features.shape):
            centred = features[rows].astype(np.float64)
            centred -= self.means[codes[rows]]
            scatter.add(centred)
            squares += np.bincount(codes[rows], np.einsum("nd,nd->n", centred, centred), minlength=len(squares))
        return scatter.matrix(), squares

    @property
    def within_scatter(self) -> Array:
        """Sum over rows of (x - mean of its class)(x - mean of its class)ᵀ, (D, D)."""
        return self._within[0]

    @property
    def class_squares(self) -> Array:
        """Squared distance of the rows to their class mean, summed by class, (K,)."""
        return self._within[1]

    @cached_property
    def centred_means(self) -> Array:
        """Class means minus the mean of all rows, (K, D)."""
        return self.means - self.mean

    @cached_property
    def total_scatter(self) -> Array:
        """Sum over rows of (x - mean)(x - mean)ᵀ, (D, D): within plus between."""
        between = self.centred_means * np.sqrt(self.counts)[:, None]
        return np.asarray(self.within_scatter + between.T @ between)

    @cached_property
    def total_decomposition(self) -> Decomposition:
        """Eigenvalues and eigenvectors of the total scatter."""
        return decompose(self.total_scatter)

    @cached_property
    def raw_decomposition(self) -> Decomposition:
        """Eigenvalues and eigenvectors of the sum over rows of x xᵀ, not centred."""
        return decompose(self.total_scatter + self.rows * np.outer(self.mean, self.mean))

    def merge(self, other: ClassStatistics) -> ClassStatistics:
        """Return the statistics of the rows of both; the classes may differ."""
        if self.means.shape[1] != other.means.shape[1]:
            raise FeaturesError(
                f"Statistics of {self.means.shape[1]} and {other.means.shape[1]} dimensions cannot be merged."
            )
        classes = np.union1d(self.classes, other.classes)
        counts, means = np.zeros((2, len(classes)), np.int64), np.zeros((2, len(classes), self.means.shape[1]))
        squares = np.zeros((2, len(classes)))
        for place, part in enumerate((self, other)):  # over the classes of both; absent ones have zero rows
            where = np.searchsorted(classes, part.classes)
            counts[place, where], means[place, where] = part.counts, part.means
            squares[place, where] = part.class_squares
        count, difference = counts[0] + counts[1], means[1] - means[0]
        merged = ClassStatistics(classes, count, means[0] + difference * (counts[1] / count)[:, None])
        shift = difference * np.sqrt(counts[0] * counts[1] / count)[:, None]
        scatter = self.within_scatter + other.within_scatter + shift.T @ shift
        merged.__dict__["_within"] = (scatter, squares[0] + squares[1] + np.einsum("kd,kd->k", shift, shift))
        return merged


def _regroup(batches: Iterable[tuple[Any, Any]]) -> Iterable[tuple[NDArray[Any], NDArray[Any]]]:
    """Join small batches into chunks worth a matrix product; large ones stay as they are."""
    features: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    held = 0
    for some, some_labels in batches:
        features.append(as_numpy(some))
        labels.append(as_numpy(some_labels, "labels"))
        held += features[-1].size * 8
        if held >= CHUNK_BYTES:
            yield np.concatenate(features), np.concatenate(labels)
            features, labels, held = [], [], 0
    if features:
        yield np.concatenate(features), np.concatenate(labels)
