"""kNN: leave-one-out accuracy of the nearest neighbours."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Metric, Outcome, Rows, Seed, Term, Whole


@dataclass(frozen=True)
class KNNOptions(CheckedOptions):
    """Options of kNN.

    Attributes:
        neighbours: the number of neighbours that vote.
        distance: "cosine" or "euclidean".
        ties: a tied vote goes to the label of the "nearest" neighbour among the tied, or to the "smallest_label".
        max_rows: larger samples are cut to a stratified part of this size, since the cost grows with the square.
        seed: of that part.
    """

    neighbours: Whole = 5
    distance: Literal["cosine", "euclidean"] = "cosine"
    ties: Literal["nearest", "smallest_label"] = "nearest"
    max_rows: Rows = 2000
    seed: Seed = 0


def knn(data: LabelledFeatures, options: KNNOptions) -> Outcome:
    """Return the share of rows whose nearest other rows vote for their class."""
    count, chosen = options.neighbours, data.part(options.max_rows, options.seed)
    if len(chosen) <= count:
        raise NotApplicableError(f"knn with {count} neighbours needs more than {count} rows, got {len(chosen)}")
    rows, codes = data.features[chosen].astype(np.float64), data.codes[chosen]
    half_norms = np.zeros(len(rows))
    if options.distance == "euclidean":
        rows -= data.centre
        half_norms = np.einsum("nd,nd->n", rows, rows) / 2
    else:
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
        rows /= np.where(lengths > 0, lengths, 1.0)
    correct = 0
    for part in row_chunks(len(rows), len(rows)):
        similarity = rows[part] @ rows.T - half_norms
        similarity[np.arange(part.stop - part.start), np.arange(part.start, part.stop)] = -np.inf
        correct += int((_votes(similarity, codes, options) == codes[part]).sum())
    value = correct / len(rows)
    warnings = ("saturated: every row's neighbours are of its class",) if value == 1 else ()
    return Outcome({"knn": value}, headline=value, used={"rows": len(rows)}, warnings=warnings)


def _votes(similarity: Array, codes: NDArray[np.int64], options: KNNOptions) -> NDArray[np.int64]:
    """Return the class that the neighbours of each row vote for, from the similarity of each to all rows."""
    count = options.neighbours
    nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(similarity, nearest, axis=1), axis=1, kind="stable")
    votes = codes[np.take_along_axis(nearest, order, axis=1)]
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    tied = counts == counts.max(axis=1, keepdims=True)
    if options.ties == "nearest":
        return np.asarray(votes[np.arange(len(votes)), tied.argmax(axis=1)])
    return np.asarray(np.where(tied, votes, np.iinfo(np.int64).max).min(axis=1))


METRIC = Metric(
    name="knn",
    title="k nearest neighbours, leave-one-out accuracy",
    citation="Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967",
    compute=knn,
    terms=(Term("knn", "share of rows that their neighbours classify rightly", bounded=True),),
    options=KNNOptions(),
    version=2,
)
