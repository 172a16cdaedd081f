"""A board: the models that were scored on one sample of one dataset, in order."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.forecast import ModelForecast
from hf_transfer_score.records.record import RecordedFacts

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoardKey:
    """What all scores of a board share; scores of samples with different fingerprints cannot be compared."""

    task: str
    dataset: str
    config: str | None
    split: str | None
    fingerprint: str

    @property
    def slug(self) -> str:
        """Twelve letters that identify the board in addresses."""
        text = "\0".join((self.task, self.dataset, self.config or "", self.split or "", self.fingerprint))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class BoardSummary:
    """A board as a list shows it: how many models it shows, how many failed, and how many have a measured accuracy.

    The title is unique among the boards and contains foreign text; `time` is that of the newest record.
    """

    key: BoardKey
    title: str
    models: int
    failed: int
    records: int
    truths: int
    time: str
    examples: int = 0
    classes: int | None = None


@dataclass(frozen=True)
class BoardColumn:
    """A metric of a board, with its options, and the terms that say nothing in this pool, with the reason.

    The label is unique on the board: the metric's name, followed by its options if there are several settings.
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
    """The numbers of one column for all models: pool scores and ranks (M,), raw terms and intervals (M, T), or NaN."""

    terms: tuple[str, ...]
    scores: Array
    ranks: Array
    values: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class BoardRow(RecordedFacts):
    """A model of a board.

    Attributes:
        label: unique on the board: the id, followed by what distinguishes rows of the same id.
        throughput: examples per second of the forward pass on `device`.
        rank: None where the order is by metrics that it lacks.
        low: best likely rank, by the forecast or by the intervals of its terms.
        group: in the order of metrics, models of one group cannot be distinguished and share their rank; 1 is the best.
        mean_rank: over the metrics that decide.
        forecast: None where the order is by metrics.
        accuracy: measured after fine-tuning, the mean over seeds, usually a share.
        source: where the numbers were published, unless this package computed them.
        columns: the numbers of all models by column label; its own are at `place`.
    """

    label: str
    model: str
    commit: str | None = None
    library: str | None = None
    layer: str | None = None
    pooling: str | None = None
    parameters: int | None = None
    width: int | None = None
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

    def term(self, label: str, name: str, of: str = "values") -> float | None:
        """Return a raw term of one column, or the `low` or `high` end of its interval, None where there is none."""
        one = self.columns.get(label)
        if one is None or name not in one.terms:
            return None
        value = float(getattr(one, of)[self.place][one.terms.index(name)])
        return value if value == value else None

    @property
    def chance(self) -> float | None:
        """The probability of being the best of the board."""
        return None if self.forecast is None else self.forecast.best_probability

    @property
    def scores(self) -> dict[str, float]:
        """Pool score by column label; higher is better."""
        return {label: value for label in self.columns if (value := self.score(label)) is not None}

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
        """Intervals of raw terms by column label and name."""
        found = {}
        for label, one in self.columns.items():
            ends = zip(one.terms, one.low[self.place].tolist(), one.high[self.place].tolist(), strict=True)
            if there := {name: (low, high) for name, low, high in ends if low == low}:
                found[label] = there
        return found

    def __eq__(self, other: object) -> bool:
        """Return whether all facts and numbers are the same, wherever the numbers are stored."""
        if not isinstance(other, BoardRow):
            return NotImplemented
        facts = vars(self).keys() - {"columns", "place"}
        names = (*facts, "scores", "ranks", "terms", "intervals")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class BoardFailure:
    """A model that could not be scored on this sample, not even later."""

    model: str
    kind: str
    reason: str
    time: str


@dataclass(frozen=True)
class Board:
    """The models of one sample, the best first, then those without a rank.

    Attributes:
        columns: the metrics by label: FaCe and NCTI first, baselines last.
        headline: labels of the columns whose mean rank decides where there is no forecast.
        truth: how the accuracies were measured, such as "accuracy (method=full)"; None where none were.
        truth_exact: whether they were measured with this very sample, not with another one of the dataset.
        notes: what to know before reading it.
        method: the fine-tuning method behind the accuracies.
        ways: all accuracies that were measured, also otherwise, by the name of the method and the id of the model.
        answer: what to do, in words.
        step: the command that measures what the answer leaves open, if anything.
        memo: results computed from it, kept as long as it is.
    """

    summary: BoardSummary
    columns: Mapping[str, BoardColumn]
    rows: tuple[BoardRow, ...]
    failures: tuple[BoardFailure, ...] = ()
    headline: tuple[str, ...] = ()
    truth: str | None = None
    truth_exact: bool = True
    notes: tuple[str, ...] = ()
    method: str | None = None
    ways: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    answer: str = ""
    step: str | None = None
    memo: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def key(self) -> BoardKey:
        """What all its scores share."""
        return self.summary.key

    def row(self, text: str | None) -> BoardRow | None:
        """Return the row with this label, or else the first row of the model with this id."""
        wanted = (text or "").strip()
        named = (row for name in ("label", "model") for row in self.rows if getattr(row, name) == wanted)
        return next(named, None)

    @property
    def is_forecast(self) -> bool:
        """Whether its models are ordered by a forecast."""
        return any(row.forecast is not None for row in self.rows[:1])
