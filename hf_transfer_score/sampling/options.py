"""What is drawn from a dataset, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hf_transfer_score.errors import OptionError, check_least
from hf_transfer_score.tasks import get_task


@dataclass(frozen=True)
class SampleOptions:
    """Which rows and columns of a dataset make the sample; whatever can change it is a field.

    Attributes:
        config: the configuration of the dataset; needed where there are several.
        split: the split; without it train, or the only one there is.
        revision: branch, tag or commit of the dataset on the Hub.
        task: what the dataset asks, a name of `TASKS`; without it told from the columns.
        label_column: the column with the labels or targets; without it told from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; without it told from types and names.
        max_samples: examples that are drawn at most.
        per_class: take this many examples of every class (all, where it has fewer) in place of the dataset's own
            proportions.
        rows_per_example: words of a text or pixels of an image that are drawn at most.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides between rows that could be drawn as well.
        full_pass: read all shards, also where some of them hold rows enough.
        max_rows: stop after that many rows; for streams without an end.
    """

    config: str | None = None
    split: str | None = None
    revision: str | None = None
    task: str | None = None
    label_column: str | None = None
    input_columns: tuple[str, ...] = ()
    max_samples: int = 5000
    per_class: int | None = None
    rows_per_example: int = 16
    ignore_values: tuple[int, ...] = (255,)
    seed: int = 0
    full_pass: bool = False
    max_rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense, before anything is read."""
        if self.task is not None:
            get_task(self.task)
        check_least(self, max_samples=4, per_class=2, rows_per_example=1, max_rows=1)
        if isinstance(self.input_columns, str) or len(self.input_columns) > 2:
            raise OptionError(f"input_columns={self.input_columns!r}: expected one name, or two for pairs of texts.")
        if self.seed < 0:
            raise OptionError(f"seed={self.seed}: expected a whole number from 0 on.")

    def plain(self) -> dict[str, Any]:
        """Return the options as values that JSON can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
