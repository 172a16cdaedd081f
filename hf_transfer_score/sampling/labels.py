"""Labels of all kinds as codes, and back as class indices with names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError

MISSING = -1
"""The code of a row without a label."""

IGNORED_TAG = -100
"""What token classification writes where a word has no label."""


class Classes:
    """Gives each value of a label column a code, in the order in which they come.

    Args:
        names: names that the dataset gives its classes, None where it gives none.
        most: classes that there may be; beyond that it is a number or an identifier.
        column: the column, for messages.
        dataset: the dataset, for messages.
    """

    def __init__(self, names: Sequence[str] | None, most: int, column: str, dataset: str) -> None:
        self.names, self.most, self.column, self.dataset = names, most, column, dataset
        self.values: list[Any] = []
        self._codes: dict[Any, int] = {}
        self._index = {name: index for index, name in enumerate(names or ())}

    def encode(self, values: Iterable[Any]) -> NDArray[np.int64]:
        """Return the code of each value (n,), MISSING where it is no label."""
        return np.asarray([self.code(value) for value in values], dtype=np.int64)

    def code(self, value: Any) -> int:
        """Return the code of a value, MISSING where it is no label."""
        try:
            known = self._codes.get(value)
        except TypeError:
            raise DatasetError(
                f"Column {self.column!r} of {self.dataset} holds {type(value).__name__}s, such as {value!r:.80}; "
                "expected one label a row."
            ) from None
        return known if known is not None and not isinstance(value, bool) else self._new(value)

    def _new(self, value: Any) -> int:
        label = self._label(value)
        if label is None:
            return MISSING
        if label not in self._codes:
            if len(self.values) >= self.most:
                self._refuse_many()
            self._codes[label] = len(self.values)
            self.values.append(label)
        return self._codes[label]

    def _label(self, value: Any) -> Any:
        """Return a value as the class it stands for, None where it stands for none."""
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if self.names is not None:
            return self._named(value)
        if isinstance(value, float):
            if not value.is_integer():
                raise DatasetError(
                    f"Column {self.column!r} of {self.dataset} holds {value!r}, which is no class. For numbers choose "
                    "a task that ends in -regression."
                )
            return int(value)
        return str(value) if isinstance(value, bool) else value

    def _named(self, value: Any) -> int | None:
        index = self._index.get(value) if isinstance(value, str) else int(value)
        if index is None or index >= len(self._index):
            raise DatasetError(
                f"Column {self.column!r} of {self.dataset} holds {value!r}, which is not among its classes."
            )
        return None if index < 0 else index

    def _refuse_many(self) -> None:
        advice = f"set max_samples to {2 * len(self.names)} at least" if self.names else "choose another label_column"
        raise DatasetError(
            f"Column {self.column!r} of {self.dataset} has more than {self.most} different values, such as "
            f"{self.values[0]!r} and {self.values[-1]!r}, and every class needs two examples of the sample: {advice}, "
            "or a task that ends in -regression if these are numbers, or a larger max_samples."
        )

    @property
    def hidden(self) -> bool:
        """Whether there is no label at all, or -1 in place of all."""
        return not self.values or self.values == [-1]

    def order(self, codes: Iterable[int]) -> tuple[dict[int, int], tuple[str, ...]]:
        """Return class indices from 0 on by code, for the codes that occur, and the names in that order."""
        present = sorted(set(codes), key=lambda code: (str(type(self.values[code])), self.values[code]))
        return {code: index for index, code in enumerate(present)}, tuple(self.name(code) for code in present)

    def name(self, code: int) -> str:
        """Return the name of a class."""
        value = self.values[code]
        return str(value) if self.names is None else self.names[value]

    def absent(self, present: Sequence[str]) -> list[str]:
        """Return the names of the dataset's classes that are not among these."""
        return [name for name in self.names or () if name not in set(present)]
