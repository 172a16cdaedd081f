"""The input of every metric: checked features with their labels, and what was already computed from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import LabelsError, NotApplicableError
from hf_transfer_score.metrics.checks import (
    check_features,
    check_labels,
    check_source_probabilities,
    check_targets,
    row_chunks,
)
from hf_transfer_score.metrics.class_stats import (
    ONE_THREAD_WIDTH,
    Array,
    ClassStatistics,
    Decomposition,
    ScatterSum,
    add_class_sums,
    decompose,
    one_thread,
)

Value = TypeVar("Value")

AUTO = "auto"
NO_PCA = "none"
LEADING = 64
"""The most principal components of the default rule, as in the official NCTI code."""

WHOLE = 1024
"""Up to this width all components are computed even if only the leading ones are needed: other metrics need all."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known about a checkpoint without a forward pass; None if unknown.

    Attributes:
        name: the model's id, which determines its place in a random order.
        parameters: number of parameters.
        downloads: downloads counted by the Hub.
    """

    name: str | None = None
    parameters: int | None = None
    downloads: int | None = None


class Principal(NamedTuple):
    """Rows in the space of the leading principal components, centred.

    rows (N, p), means of the classes (K, p), variances of the components with divisor N-1 (p,).
    """

    rows: Array
    means: Array
    variances: Array


class LabelledFeatures:
    """Checked features (N, D) with class indices (N,), and a memo of everything shared between metrics.

    Attributes:
        features: the features in their own precision; read them through `chunks` or `class_rows`.
        codes: class index of each row, 0..K-1, or None when there are only regression targets.
        targets: regression targets (N, T), or None.
        source_probs: source-class probabilities (N, S), or None.
        facts: what is known about the model itself.
        shared_seconds: seconds spent on each shared quantity, by name.
    """

    def __init__(
        self,
        features: Any,
        labels: Any = None,
        *,
        targets: Any = None,
        source_probs: Any = None,
        facts: ModelFacts | None = None,
    ) -> None:
        self.features = check_features(features)
        rows = len(self.features)
        self._checked_labels = None if labels is None else check_labels(labels, rows)
        self.targets = None if targets is None else check_targets(targets, rows)
        if labels is None and targets is None:
            raise LabelsError("Neither labels nor targets were given: pass one integer per row as `labels`.")
        self.source_probs = None if source_probs is None else check_source_probabilities(source_probs, rows)
        self.facts = facts or ModelFacts()
        self.shared_seconds: dict[str, float] = {}
        self._memo: dict[Any, Any] = {}

    @property
    def rows(self) -> int:
        """Number of rows N."""
        return len(self.features)

    @property
    def width(self) -> int:
        """Number of features D."""
        return int(self.features.shape[1])

    @property
    def has_labels(self) -> bool:
        """Whether class labels were given."""
        return self._checked_labels is not None

    @property
    def codes(self) -> NDArray[np.int64]:
        """Class index of each row (N,)."""
        return self._labels[1]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The label of each class index, ascending (K,)."""
        return self._labels[0]

    @property
    def _labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._checked_labels is None:
            raise NotApplicableError("needs class labels, but only regression targets were given")
        return self._checked_labels

    @property
    def class_count(self) -> int:
        """Number of classes K."""
        return len(self.counts)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class (K,)."""
        return self.memo("counts", lambda: np.bincount(self.codes).astype(np.int64))

    def memo(self, key: Any, compute: Callable[[], Value]) -> Value:
        """Return the cached result of `compute` under `key`; its time counts as shared, not as a metric's."""
        if key not in self._memo:
            before = sum(self.shared_seconds.values())
            start = time.perf_counter()
            self._memo[key] = compute()
            spent = time.perf_counter() - start
            nested = sum(self.shared_seconds.values()) - before
            name = key if isinstance(key, str) else str(key[0])
            self.shared_seconds[name] = self.shared_seconds.get(name, 0.0) + spent - nested
        value: Value = self._memo[key]
        return value

    def chunks(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, features of these rows in float64) from top to bottom."""
        for rows in row_chunks(*self.features.shape):
            yield rows, self.features[rows].astype(np.float64)

    def class_rows(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield (class index, row numbers of that class)."""
        order = np.argsort(self.codes, kind="stable")
        yield from enumerate(np.split(order, np.cumsum(self.counts)[:-1]))

    def part(self, most: int, seed: int) -> NDArray[np.int64]:
        """Return all row numbers, or if there are more than `most`, the same share of each class, at least one."""
        if self.rows <= most:
            return np.arange(self.rows)
        generator, share = np.random.default_rng(seed), most / self.rows
        chosen = [
            generator.choice(rows, max(1, int(len(rows) * share)), replace=False, shuffle=False)
            for _, rows in self.class_rows()
        ]
        return np.sort(np.concatenate(chosen))

    @property
    def statistics(self) -> ClassStatistics:
        """Class statistics of the features as they are."""
        classes = np.arange(self.class_count, dtype=np.int64)
        return self.memo("class means", lambda: ClassStatistics.from_codes(self.features, classes, self.codes))

    @property
    def centre(self) -> Array:
        """Mean of all rows (D,)."""
        if self.has_labels:
            return self.statistics.mean
        return self.memo("mean", lambda: np.sum([chunk.sum(axis=0) for _, chunk in self.chunks()], axis=0) / self.rows)

    @property
    def total_scatter(self) -> Array:
        """Scatter of the centred rows (D, D)."""

        def compute() -> Array:
            scatter, centre = ScatterSum(self.width), self.centre
            for _, chunk in self.chunks():
                chunk -= centre
                scatter.add(chunk)
            return scatter.matrix()

        return self.memo("total scatter", compute)

    @property
    def total_decomposition(self) -> Decomposition:
        """Eigenvalues and eigenvectors of the total scatter, from the smaller of the two Gram matrices."""
        if self.rows < self.width:
            return self.memo("total decomposition", lambda: self._dual(self.centre))
        scatter = self.total_scatter
        return self.memo("total decomposition", lambda: decompose(scatter))

    @property
    def raw_decomposition(self) -> Decomposition:
        """Eigenvalues and eigenvectors of the uncentred second moment, from the smaller Gram matrix."""
        if self.rows < self.width:
            return self.memo("raw decomposition", lambda: self._dual(0.0))
        moment = self.total_scatter + self.rows * np.outer(self.centre, self.centre)
        return self.memo("raw decomposition", lambda: decompose(moment))

    def _dual(self, origin: Array | float) -> Decomposition:
        """Decompose through the (N, N) Gram matrix, which with one float64 copy of the rows is smaller for N < D."""
        rows = self.features.astype(np.float64)
        rows -= origin
        values, vectors = decompose(rows @ rows.T)
        keep = values > len(rows) * np.finfo(np.float64).eps * values[0]
        return Decomposition(values[keep], rows.T @ (vectors[:, keep] / np.sqrt(values[keep])))

    def leading_decomposition(self, width: int) -> Decomposition:
        """Return the `width` leading pairs of the total decomposition, without computing the others if possible."""
        if "total decomposition" in self._memo or self.rows < self.width or self.width <= WHOLE:
            full = self.total_decomposition
            return Decomposition(full.values[:width], full.vectors[:, :width])
        scatter = self.total_scatter
        return self.memo(("leading decomposition", width), lambda: decompose(scatter, width))

    def principal(self, width: int) -> Principal:
        """Return rows and class means in the space of the `width` leading principal components.

        A few components are cached for other metrics; many could take more memory than the features.
        """
        if width > LEADING:
            return self._project(width)
        return self.memo(("principal components", width), lambda: self._project(width))

    def _project(self, width: int) -> Principal:
        leading = self.leading_decomposition(width)
        rows = np.empty((self.rows, leading.vectors.shape[1]))
        offset = self.centre @ leading.vectors
        with one_thread(self.width <= ONE_THREAD_WIDTH):  # the number of threads changes the last digits of a product
            for part, chunk in self.chunks():
                np.matmul(chunk, leading.vectors, out=rows[part])
                rows[part] -= offset
        means = np.zeros((self.class_count, rows.shape[1]))
        add_class_sums(means, rows, self.codes)
        means /= self.counts[:, None]
        return Principal(rows, means, leading.values / max(self.rows - 1, 1))

    def pca_width(self, pca: int | str, *, always: bool = True) -> int | None:
        """Return the number of principal components of an option; None keeps the features unchanged.

        "auto" is min(64, D, N // 5), which keeps metrics from saturating on small samples; with `always` False it
        applies only if D >= N. A number is limited to the rank that N rows can have. "none", or as many components as
        features, keeps the features unchanged.
        """
        if pca == NO_PCA or (pca == AUTO and not always and self.width < self.rows):
            return None
        wanted = min(LEADING, self.rows // 5) if pca == AUTO else int(pca)
        return None if wanted >= self.width else max(1, min(wanted, self.rows - 1))

    def reduced(self, pca: int | str, *, always: bool = True) -> LabelledFeatures:
        """Return these features after PCA as a new sample, or this one if the option keeps the features."""
        width = self.pca_width(pca, always=always)
        if width is None:
            return self
        return self.memo(("reduced", width), lambda: self._reduce(width))

    def turned(self, pca: int | str) -> LabelledFeatures:
        """Return these features along their principal axes: like `reduced`, but rotated even if all axes are kept.

        For what depends on the axes, such as a floor under the variance along each.
        """
        if pca == NO_PCA:
            return self
        width = self.pca_width(pca) or max(1, min(self.width, self.rows - 1))
        return self.memo(("reduced", width), lambda: self._reduce(width))

    def _reduce(self, width: int) -> LabelledFeatures:
        """Return a sample over the centred principal components; labels, targets and facts stay."""
        small = object.__new__(LabelledFeatures)
        small.__dict__.update(self.__dict__)
        if self.has_labels:
            small.features = self.principal(width).rows
        else:
            leading = self.leading_decomposition(width)
            parts = [(chunk - self.centre) @ leading.vectors for _, chunk in self.chunks()]
            small.features = np.concatenate(parts)
        small._memo, small.shared_seconds = {}, {}
        return small
