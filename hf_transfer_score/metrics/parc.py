"""PARC: do rows that differ in features differ in label?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import NO_PCA, LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Rows, Seed, Term


@dataclass(frozen=True)
class PARCOptions(CheckedOptions):
    """Options of PARC.

    Attributes:
        pca: components kept first: "none", "auto" or a number; a component's sign is fixed by its largest loading.
        max_rows: larger samples are cut to a stratified part of this size, since the cost grows with the square.
        seed: of that part.
    """

    pca: Components = "none"
    max_rows: Rows = 1500
    seed: Seed = 0


def parc(data: LabelledFeatures, options: PARCOptions) -> Outcome:
    """Return 100 times the Spearman correlation of feature distances and label distances over all pairs of rows.

    Both distances are 1 - Pearson correlation, of z-scored features and of one-hot labels. Label distances have only
    two values, so the Spearman correlation is that of the feature distances' average ranks with "labels differ".
    """
    chosen = data.part(options.max_rows, options.seed)
    codes = data.codes[chosen]
    width = None if options.pca == NO_PCA else data.pca_width(options.pca) or data.width
    value = 100.0 * _rank_correlation(_distances(_standardised(data.features[chosen], width)), codes)
    used = {"rows": len(chosen), "pca_components": width or NO_PCA}
    return Outcome({"parc": value}, headline=value, used=used)


def _standardised(features: NDArray[Any], width: int | None) -> Array:
    """Return rows, or their components, with every column z-scored and every row then centred and of unit length.

    Components come from a singular value decomposition, because z-scoring gives the smallest as much weight as the
    largest, and a Gram matrix would lose its digits. The entry of largest magnitude of each loading is made positive.
    """
    rows = features.astype(np.float64)
    if width is not None:
        from scipy.linalg import svd

        left, singular, loadings = svd(rows - rows.mean(axis=0), full_matrices=False, check_finite=False)
        largest = loadings[np.arange(len(loadings)), np.abs(loadings).argmax(axis=1)]
        rows = (left * singular * np.sign(largest))[:, :width]
    rows -= rows.mean(axis=0)
    spread = np.sqrt(np.einsum("nd,nd->d", rows, rows) / len(rows))
    rows /= np.where(spread > 0, spread, 1.0)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    rows /= np.where(lengths > 0, lengths, 1.0)
    return rows


def _distances(rows: Array) -> Array:
    """Return 1 minus the product of rows, over the pairs above the diagonal, row by row."""
    count = len(rows)
    distances, filled = np.empty(count * (count - 1) // 2), 0
    for part in row_chunks(count, count):
        block = 1 - rows[part] @ rows.T
        for i in range(part.start, part.stop):
            distances[filled : filled + count - i - 1] = block[i - part.start, i + 1 :]
            filled += count - i - 1
    return distances


def _rank_correlation(distances: Array, codes: NDArray[np.int64]) -> float:
    """Return the Pearson correlation of the distances' average ranks with "labels differ"; sorts in place.

    With two values, the correlation follows from the mean rank of one of them: the ranks of pairs of the same class are
    found by searching for their distances among all.
    """
    count, pairs = len(codes), len(distances)
    same = np.concatenate([codes[i] == codes[i + 1 :] for i in range(count - 1)])
    share = float(same.mean())
    if share in (0.0, 1.0):
        return 0.0
    of_same = distances[same]
    distances.sort()
    ranks = np.searchsorted(distances, of_same, "left") + np.searchsorted(distances, of_same, "right") + 1
    equal = np.concatenate([[False], distances[1:] == distances[:-1], [False]])
    changes = np.flatnonzero(equal[1:] != equal[:-1])
    runs = (changes[1::2] - changes[::2] + 1).astype(np.float64)
    ties = float((runs**3 - runs).sum()) / pairs
    middle = (pairs + 1) / 2
    gap = (middle - float(ranks.mean()) / 2) / (1 - share)
    spread = float(np.sqrt((float(pairs) ** 2 - 1 - ties) / 12))
    return gap * float(np.sqrt(share * (1 - share))) / spread if spread > 0 else 0.0


METRIC = Metric(
    name="parc",
    title="PARC, pairwise annotation representation comparison",
    citation="Bolya, Mittapalli and Hoffman, Scalable diverse model selection for accessible transfer learning, "
    "NeurIPS 2021, arXiv:2111.06977",
    compute=parc,
    terms=(Term("parc", "100 times the rank correlation of feature and label distances", least=-100, most=100),),
    options=PARCOptions(),
    version=2,
)
