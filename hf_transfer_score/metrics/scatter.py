"""Class sums, scatter matrices and their eigenvectors: summed in place, decomposed with as many threads as help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RELATIVE_CUT = 1e-10
"""Eigenvalues below this fraction of the largest are rounding noise of float32 features, and count as zero."""

ONE_THREAD_WIDTH = 2048
"""Up to this width a decomposition waits for memory, and a second thread adds nothing but waiting for each other."""


class ScatterSum:
    """The sum of xᵀx over chunks of rows; one triangle is added to in place, so a chunk costs no (D, D) copy."""

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
    """Add each of some rows (n, D) to the sum of its class, in place, by a product with a sparse one-hot matrix.

    Args:
        sums: sum of each class (K, D).
        rows: float64 rows.
        codes: class index of each row (n,).
    """
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
    """Keep linear algebra to one thread inside, where matrices are too small to share.

    Threads that wait for each other after every column take many times as long on a machine that has other work to do.
    """
    if not when:
        yield
        return
    with _threads().limit(limits=1, user_api="blas"):
        yield


@cache
def _threads() -> Any:
    import scipy.linalg  # noqa: F401  # its library of linear algebra must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
