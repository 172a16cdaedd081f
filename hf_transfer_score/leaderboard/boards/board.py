"""What a board is: the models that were scored on one sample of one dataset, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.forecast import ModelForecast

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoardKey:
    """What all scores of a board share; scores of samples with another fingerprint are not comparable."""

    task: str
    dataset: str
    config: str | None
    split: str | None
    fingerprint: str

    @property
    def slug(self) -> str:
        """Twelve letters that name the board in addresses."""
        text = "\0".join((self.task, self.dataset, self.config or "", self.split or "", self.fingerprint))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class BoardSummary:
    """A board as a list shows it.

    Attributes:
        title: tells it from the other boards; contains text of whoever published the records.
        models: that have a score.
        failed: models without any.
        truths: models whose accuracy was measured.
        time: of the newest record, in UTC.
    """

    key: BoardKey
    title: str
    models: int
    failed: int
    records: int
    truths: int
    time: str


@dataclass(frozen=True)
class BoardColumn:
    """A metric of a board, with its options.

    Attributes:
        label: unique on the board: the metric's name, followed by options where several settings of it are there.
        kind: "score" or "baseline".
        directions: by term, 1 where higher is better and -1 where lower is.
        flags: terms that tell nothing in this pool, with the reason.
    """

    label: str
    metric: str
    kind: str
    version: int
    parameters: Mapping[str, object]
    directions: Mapping[str, int]
    flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ColumnNumbers:
    """The numbers of one column of a board, of all its models; NaN where there is none.

    Attributes:
        terms: names of the raw terms.
        scores: pool scores (M,).
        ranks: ranks (M,).
        values: raw terms (M, T).
        low: lower ends of their intervals (M, T).
        high: upper ends (M, T).
    """

    terms: tuple[str, ...]
    scores: Array
    ranks: Array
    values: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class BoardRow:
    """A model of a board.

    Attributes:
        label: unique on the board: the id, followed by what tells this one from others of the same id.
        library: the kind of backbone.
        pooling: how a row was made of many positions.
        width: features a row.
        throughput: examples a second of the forward pass on `device`.
        rank: place in the order of the board; None where that is by metrics that it does not have.
        low: best place that is likely, by the forecast or by the intervals of its terms.
        high: worst place that is.
        group: in the order of metrics, models of one group share their rank, since they cannot be told apart; 1 holds
            the best.
        mean_rank: mean rank over the metrics that decide.
        forecast: how it would come out after fine-tuning; None where the order is by metrics.
        accuracy: measured after fine-tuning, the mean over seeds; in the unit of the records, as a rule a share.
        accuracies: the single measurements.
        warnings: of its records.
        source: where the numbers were published, unless this package computed them.
        time: of its newest record, in UTC.
        columns: numbers by column label, of which those at its place are its own.
    """

    label: str
    model: str
    commit: str | None = None
    library: str | None = None
    layer: str | None = None
    pooling: str | None = None
    parameters: int | None = None
    width: int | None = None
    license: str | None = None
    downloads: int | None = None
    throughput: float | None = None
    device: str | None = None
    rank: int | None = None
    low: int | None = None
    high: int | None = None
    group: int | None = None
    mean_rank: float | None = None
    forecast: ModelForecast | None = None
    accuracy: float | None = None
    accuracies: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    source: str | None = None
    time: str = ""

    columns: Mapping[str, ColumnNumbers] = field(default_factory=dict, repr=False)
    place: int = 0

    def score(self, label: str) -> float | None:
        """Return the pool score of one column, None where there is none."""
        value = float(self.columns[label].scores[self.place]) if label in self.columns else float("nan")
        return value if value == value else None

    @property
    def chance(self) -> float | None:
        """The probability to be the best of the board."""
        return None if self.forecast is None else self.forecast.best_probability

    @property
    def scores(self) -> dict[str, float]:
        """Pool score by column label; higher is better."""
        found = ((label, float(one.scores[self.place])) for label, one in self.columns.items())
        return {label: value for label, value in found if value == value}

    @property
    def ranks(self) -> dict[str, int]:
        """Rank by column label."""
        found = ((label, float(one.ranks[self.place])) for label, one in self.columns.items())
        return {label: int(value) for label, value in found if value == value}

    @property
    def terms(self) -> dict[str, dict[str, float]]:
        """Raw terms by column label and name."""
        found = {}
        for label, one in self.columns.items():
            values = zip(one.terms, one.values[self.place].tolist(), strict=True)
            if there := {name: value for name, value in values if value == value}:
                found[label] = there
        return found

    @property
    def intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Ends of the intervals of raw terms by column label and name."""
        found = {}
        for label, one in self.columns.items():
            ends = zip(one.terms, one.low[self.place].tolist(), one.high[self.place].tolist(), strict=True)
            if there := {name: (low, high) for name, low, high in ends if low == low}:
                found[label] = there
        return found

    def __eq__(self, other: object) -> bool:
        """Return whether all facts and numbers are the same, wherever the numbers stand."""
        if not isinstance(other, BoardRow):
            return NotImplemented
        facts = vars(self).keys() - {"columns", "place"}
        names = (*facts, "scores", "ranks", "terms", "intervals")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class BoardFailure:
    """A model that could not be scored on this sample, and was not scored later."""

    model: str
    kind: str
    reason: str
    time: str


@dataclass(frozen=True)
class Board:
    """The models of one sample, the best first, then those without a rank.

    Attributes:
        columns: the metrics by label: the two of neural collapse first, baselines last.
        failures: models without any score.
        headline: labels of the columns whose mean rank decides where there is no forecast.
        truth: how the accuracies were measured, such as "accuracy (method=full)"; None where none were.
        truth_exact: whether the accuracies were measured with this very sample, not with another of the dataset.
        examples: in the sample.
        classes: in the sample, None for regression.
        notes: what to know before reading it.
        method: of fine-tuning that the accuracies are of.
        answer: what to do, in words.
        step: the command that measures what the answer leaves open; None where that is nothing.
        memo: what was computed of it, to be kept as long as it is.
    """

    summary: BoardSummary
    columns: Mapping[str, BoardColumn]
    rows: tuple[BoardRow, ...]
    failures: tuple[BoardFailure, ...] = ()
    headline: tuple[str, ...] = ()
    truth: str | None = None
    truth_exact: bool = True
    examples: int = 0
    classes: int | None = None
    notes: tuple[str, ...] = ()
    method: str | None = None
    answer: str = ""
    step: str | None = None
    memo: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def key(self) -> BoardKey:
        """What all its scores share."""
        return self.summary.key

    @property
    def is_forecast(self) -> bool:
        """Whether its models are in the order in which they are expected to come out."""
        return any(row.forecast is not None for row in self.rows[:1])
