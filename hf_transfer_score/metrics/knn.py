"""kNN: leave-one-out accuracy of the nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, Outcome, Term, check_choice, check_whole


@dataclass(frozen=True)
class KNNOptions:
    """Options of kNN.

    Attributes:
        neighbours: how many neighbours vote.
        distance: "cosine" or "euclidean".
        ties: a tied vote goes to the label of the "nearest" neighbour among the tied, or to the "smallest_label".
    """

    neighbours: int = 5
    distance: Literal["cosine", "euclidean"] = "cosine"
    ties: Literal["nearest", "smallest_label"] = "nearest"

    def __post_init__(self) -> None:
        """Check the values."""
        check_whole("neighbours", self.neighbours)
        check_choice("distance", self.distance, ("cosine", "euclidean"))
        check_choice("ties", self.ties, ("nearest", "smallest_label"))


def knn(data: LabelledFeatures, options: KNNOptions) -> Outcome:
    """Return the share of rows whose nearest other rows vote for their class."""
    count = options.neighbours
    if data.rows <= count:
        raise NotApplicableError(f"knn with {count} neighbours needs more than {count} rows, got {data.rows}")
    scale, half_norms = _norms(data, options.distance)
    correct = 0
    for part in row_chunks(data.rows, data.rows):
        similarity = _similarities(data, part, scale, half_norms)
        similarity[np.arange(part.stop - part.start), np.arange(part.start, part.stop)] = -np.inf
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(similarity, nearest, axis=1), axis=1, kind="stable")
        votes = data.codes[np.take_along_axis(nearest, order, axis=1)]
        counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
        tied = counts == counts.max(axis=1, keepdims=True)
        if options.ties == "nearest":
            winners = votes[np.arange(len(votes)), tied.argmax(axis=1)]
        else:
            winners = np.where(tied, votes, np.iinfo(np.int64).max).min(axis=1)
        correct += int((winners == data.codes[part]).sum())
    value = correct / data.rows
    warnings = ("saturated: every row's neighbours are of its class",) if value == 1 else ()
    return Outcome({"knn": value}, headline=value, warnings=warnings)


def _norms(data: LabelledFeatures, distance: str) -> tuple[Array, Array]:
    """Return what rows are multiplied by (N,) and what is subtracted from their products (N,) to rank neighbours."""
    squares = np.empty(data.rows)
    origin = data.centre if distance == "euclidean" else 0.0
    for rows, chunk in data.chunks():
        chunk -= origin
        squares[rows] = np.einsum("nd,nd->n", chunk, chunk)
    if distance == "euclidean":
        return np.ones(data.rows), squares / 2
    return np.where(squares > 0, 1 / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0), np.zeros(data.rows)


def _similarities(data: LabelledFeatures, part: slice, scale: Array, half_norms: Array) -> Array:
    """Return a number for each row of `part` and every row that is larger the nearer they are."""
    origin = data.centre if half_norms.any() else 0.0
    queries = (data.features[part].astype(np.float64) - origin) * scale[part, None]
    similarity = np.empty((len(queries), data.rows))
    for rows, chunk in data.chunks():
        chunk -= origin
        np.matmul(queries, chunk.T, out=similarity[:, rows])
    similarity *= scale
    similarity -= half_norms
    return similarity


METRIC = Metric(
    name="knn",
    title="k nearest neighbours, leave-one-out accuracy",
    citation="Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967",
    compute=knn,
    terms=(Term("knn", "share of rows that their neighbours classify rightly", bounded=True),),
    options=KNNOptions(),
    slow=True,
)
