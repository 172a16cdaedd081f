"""Reads the rows of a stream in chunks: their classes, the values to keep, and the labels of drawn rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.columns import Columns
from hf_transfer_score.sampling.media import as_media, decode_mask, is_image, is_sound, shape_of_image
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.untrusted import PIXELS

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 500  # rows of an Arrow chunk, which is a slice of what the reader holds anyway
PYTHON_ROWS = 64  # rows of a chunk of Python values, which may hold whole images
MISSING = -1  # the code of a row without a label
IGNORED_TAG = -100  # the usual label of words without one in token classification


class ArrowChunk:
    """Rows of an Arrow table; only requested values are copied."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> list[Any]:
        """Return a whole column."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which values of a column are missing (n,), such as files with neither content nor path."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.table.column(name)
        absent = np.asarray(column.is_null().combine_chunks())
        if pa.types.is_struct(column.type) and column.type.num_fields:
            fields = [np.asarray(pc.struct_field(column, [place]).is_null()) for place in range(column.type.num_fields)]
            absent = absent | np.logical_and.reduce(fields)
        return absent

    def cell(self, row: int, name: str) -> Any:
        """Return one value."""
        return self.table.column(name)[row].as_py()


class PythonChunk:
    """Rows as dictionaries; missing columns are None."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        """Return a whole column."""
        return [row.get(name) for row in self.rows]

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which values of a column are missing (n,)."""
        parts = [value.values() if isinstance(value, dict) else [value] for value in self.column(name)]
        return np.asarray([all(part is None for part in one) for one in parts], dtype=bool)

    def cell(self, row: int, name: str) -> Any:
        """Return one value."""
        return self.rows[row].get(name)


Chunk: TypeAlias = ArrowChunk | PythonChunk
"""Some rows; labels are read of all of them, inputs only of the few that are kept."""


def python_chunks(rows: Iterable[dict[str, Any]]) -> Iterator[Chunk]:
    """Yield rows in chunks."""
    iterator = iter(rows)
    while some := list(islice(iterator, PYTHON_ROWS)):
        yield PythonChunk(some)


class ClassCodes:
    """Gives each value of a label column a code, in order of appearance.

    `names` are the dataset's own names of its classes. A column with more than `most` values holds no classes.
    """

    def __init__(self, names: Sequence[str] | None, most: int, column: str, dataset: str) -> None:
        self.names, self.most, self.where = names, most, f"Column {column!r} of the dataset {dataset}"
        self.values: list[Any] = []
        self._codes: dict[Any, int] = {}
        self._index = {name: index for index, name in enumerate(names or ())}

    def encode(self, values: Iterable[Any]) -> NDArray[np.int64]:
        """Return the code of each value (n,), MISSING for missing labels."""
        return np.asarray([self.code(value) for value in values], dtype=np.int64)

    def code(self, value: Any) -> int:
        """Return the code of a value, MISSING for a missing label."""
        try:
            known = self._codes.get(value)
        except TypeError:
            what = f"{type(value).__name__}s, such as {value!r:.80}"
            raise DatasetError(f"{self.where} holds {what}; expected one label per row.") from None
        if known is not None and not isinstance(value, bool):
            return known
        label = self._label(value)
        if label is None:
            return MISSING
        if label not in self._codes:
            same = label if self.names else str(label)  # a class may be a number in one file, and text in another
            if same not in self._codes:
                self._codes[same] = self._new(label)
            self._codes[label] = self._codes[same]
        return self._codes[label]

    def _new(self, label: Any) -> int:
        """Return the code of a class that was not seen before, or raise DatasetError if it is one too many."""
        if len(self.values) >= self.most:
            least = f" (at least {2 * len(self.names)})" if self.names else ""
            raise DatasetError(
                f"{self.where} has more than {self.most} different values, such as {self.values[0]!r} and "
                f"{self.values[-1]!r}, and every class needs two examples of the sample: set a larger `max_samples`"
                f"{least}, name another `label_column`, or, if these are numbers, a `task` that ends in -regression."
            )
        self.values.append(label)
        return len(self.values) - 1

    def _label(self, value: Any) -> Any:
        """Return the class of a value, None for a missing label."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, str) and not value.strip():
            return None
        if self.names is not None:
            index = self._index.get(value) if isinstance(value, str) else int(value)
            if index is None or index >= len(self._index):
                raise DatasetError(f"{self.where} holds {value!r}, which is not among its classes.")
            return None if index < 0 else index
        if isinstance(value, float):
            if not value.is_integer():
                raise DatasetError(
                    f"{self.where} holds {value!r}, which is not a class. For numbers choose a task that ends in "
                    "-regression."
                )
            return int(value)
        return str(value) if isinstance(value, bool) else value

    @property
    def hidden(self) -> bool:
        """Whether all labels are missing, or -1."""
        return not self.values or self.values == [-1]

    def order(self, codes: Iterable[int]) -> tuple[dict[int, int], tuple[str, ...]]:
        """Return the class index of each code that occurs, and the names of these classes."""
        present = sorted(set(codes), key=lambda code: (str(type(self.values[code])), self.values[code]))
        return {code: index for index, code in enumerate(present)}, tuple(self.name(code) for code in present)

    def name(self, code: int) -> str:
        """Return the name of the class of a code."""
        value = self.values[code]
        return str(value) if self.names is None else self.names[value]

    def absent(self, present: Sequence[str]) -> list[str]:
        """Return the dataset's classes that are not present."""
        return [name for name in self.names or () if name not in set(present)]


class DrawnTruth(NamedTuple):
    """The class code or target of a drawn example; for words and pixels a list of codes, with their positions."""

    value: Any
    positions: list[Any] | None = None


class ExampleRows:
    """Examples with one class each.

    Attributes:
        classes: the classes seen, None for regression.
        stratified: whether the sample keeps the shares of the classes.
        media: how many of the kept values are images or sound.
        why_lost: why some rows are not `usable`, or have no `truth`.
    """

    stratified = True
    media = 1
    why_lost = f"they do not hold an undamaged image of at most {PIXELS // 10**6} megapixels"

    def __init__(self, columns: Columns, options: SampleOptions, dataset: str) -> None:
        self.columns, self.options, self.dataset = columns, options, dataset
        self.classes: ClassCodes | None = None
        if columns.task.truth == "labels":
            self.classes = ClassCodes(columns.class_names, options.max_samples // 2, columns.label, dataset)
        if columns.task.modality == "audio":
            self.why_lost = "they are empty, or cannot be decoded as sound"

    def strata(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return the class of each row (n,), MISSING for rows without label or input."""
        codes = self.codes(chunk.column(self.columns.label))
        for name in self.columns.inputs:
            codes[chunk.missing(name)] = MISSING
        return codes

    def codes(self, labels: list[Any]) -> NDArray[np.int64]:
        """Return the class of each row (n,), MISSING for rows without label."""
        assert self.classes is not None
        return self.classes.encode(labels)

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return the values to keep of a row: its inputs, then its label if that is still needed."""
        plain = str if self.columns.task.modality == "text" else as_media
        return [plain(chunk.cell(row, name)) for name in self.columns.inputs]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> DrawnTruth | None:
        """Return label and positions of a drawn row, None if there are none."""
        return DrawnTruth(stratum)

    def usable(self, kept: list[Any]) -> bool:
        """Return whether the images or the sound of a row can be decoded, and are not too large."""
        check = {"image": is_image, "audio": is_sound}.get(self.columns.task.modality)
        return check is None or all(map(check, kept[: self.media]))


class TargetRows(ExampleRows):
    """Examples with a numeric target, drawn uniformly."""

    stratified = False

    def codes(self, labels: list[Any]) -> NDArray[np.int64]:
        """Return 0 for rows with a target."""
        endless = next((value for value in labels if value in (math.inf, -math.inf)), None)
        if endless is not None:
            raise DatasetError(
                f"Column {self.columns.label!r} of the dataset {self.dataset} holds {endless}, which no model can "
                "predict: remove these rows, or store them without a target."
            )
        return np.asarray([MISSING if value is None or value != value else 0 for value in labels], dtype=np.int64)

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return inputs and target."""
        return [*super().keep(chunk, row), float(chunk.cell(row, self.columns.label))]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> DrawnTruth | None:
        """Return the target."""
        return DrawnTruth(kept[-1])


class WordRows(ExampleRows):
    """Texts as words with a class each."""

    stratified = False
    why_lost = "no word that is not blank has a label"

    def __init__(self, columns: Columns, options: SampleOptions, dataset: str) -> None:
        super().__init__(columns, options, dataset)
        self.counts: list[int] = []

    def codes(self, labels: list[Any]) -> NDArray[np.int64]:
        """Return 0 for texts in which a word has a label, and count the labels."""
        assert self.classes is not None
        found = np.full(len(labels), MISSING, dtype=np.int64)
        for row, tags in enumerate(labels):
            codes = self._tag_codes(tags or [])
            self.counts += [0] * (len(self.classes.values) - len(self.counts))
            for code in codes:
                if code >= 0:
                    self.counts[code] += 1
                    found[row] = 0
        return found

    def _tag_codes(self, tags: Sequence[Any]) -> list[int]:
        assert self.classes is not None
        return [MISSING if tag == IGNORED_TAG else self.classes.code(tag) for tag in tags]

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return words and the codes of their labels; blank words have none."""
        words, tags = chunk.cell(row, self.columns.inputs[0]), chunk.cell(row, self.columns.label)
        if len(words) != len(tags):
            raise DatasetError(
                f"A row of the dataset {self.dataset} has {len(words)} words in {self.columns.inputs[0]!r} and "
                f"{len(tags)} labels in {self.columns.label!r}; expected one label per word."
            )
        codes = [
            code if word and word.strip() else MISSING for word, code in zip(words, self._tag_codes(tags), strict=True)
        ]
        return [[word or "" for word in words], codes]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> DrawnTruth | None:
        """Return the drawn words and their labels."""
        positions = draw_words(kept[1], self.counts, self.options.rows_per_example, rng).tolist()
        return DrawnTruth([kept[1][place] for place in positions], positions) if positions else None


class PixelRows(ExampleRows):
    """Images with a mask of class numbers."""

    stratified = False
    media = 2
    why_lost = "no pixel has a label, image and mask differ in shape, or one of them is damaged or too large"

    def strata(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return 0 for rows with an image and a mask."""
        found = np.zeros(len(chunk), dtype=np.int64)
        for name in self.columns.all:
            found[chunk.missing(name)] = MISSING
        return found

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return image and mask."""
        return [as_media(chunk.cell(row, name)) for name in self.columns.all]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> DrawnTruth | None:
        """Return the drawn pixels and their classes."""
        mask, shape = decode_mask(kept[1], self.dataset), shape_of_image(kept[0])
        if shape is None or not 0.95 < (shape[0] * mask.shape[1]) / (shape[1] * mask.shape[0]) < 1.05:
            return None  # one may be a resized version of the other, but must have the same proportions
        centres, values = draw_pixels(mask, self.options.ignore_values, self.options.rows_per_example, rng)
        assert self.classes is not None
        codes = [self.classes.code(int(value)) for value in values]
        return DrawnTruth(codes, centres.ravel().tolist()) if codes else None


def even_quotas(counts: Sequence[int], each: int, most: int) -> list[int]:
    """Return how many rows each class gives with the same limit for all: the largest that fits."""
    low, high = 0, each
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(count, middle) for count in counts) <= most else (low, middle - 1)
    return [min(count, low) for count in counts]


def draw_words(codes: Sequence[int], counts: Sequence[int], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw words of a text and return their indices, ascending; words with a code below 0 have no label.

    The weight of a word is one over the square root of the count of its label: where most words have the label "O",
    the others are more likely, but "O" is not lost.
    """
    labelled = np.flatnonzero(np.asarray(codes) >= 0)
    if len(labelled) <= most:
        return labelled
    weights = np.asarray([counts[codes[place]] for place in labelled.tolist()], dtype=np.float64) ** -0.5
    chosen = rng.choice(labelled, most, replace=False, p=weights / weights.sum())
    return np.sort(chosen)


def draw_pixels(
    mask: NDArray[np.int64], ignored: Sequence[int], most: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw pixels and return their centres (n, 2), down and across as fractions, and their classes (n,).

    The classes of an image give the same number of pixels each, as far as they have enough.
    """
    flat = mask.ravel()
    usable = np.flatnonzero(~np.isin(flat, np.asarray(ignored, dtype=np.int64)))
    order = usable[np.argsort(flat[usable], kind="stable")]
    _, starts, counts = np.unique(flat[order], return_index=True, return_counts=True)
    quotas = even_quotas(counts.tolist(), most, most)
    left = min(most, int(counts.sum())) - sum(quotas)
    for index in rng.permutation(len(counts)):
        if left > 0 and quotas[index] < counts[index]:
            quotas[index] += 1
            left -= 1
    parts = [
        order[start + rng.choice(count, quota, replace=False)]
        for start, count, quota in zip(starts, counts, quotas, strict=True)
    ]
    chosen = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
    down, across = np.divmod(chosen, mask.shape[1])
    centres = np.stack([(down + 0.5) / mask.shape[0], (across + 0.5) / mask.shape[1]], axis=1)
    return centres.astype(np.float32), flat[chosen]


def rows_for(columns: Columns, options: SampleOptions, dataset: str) -> ExampleRows:
    """Return the reader of rows for a task."""
    task = columns.task
    kinds: dict[str, type[ExampleRows]] = {"word": WordRows, "pixel": PixelRows}
    kind = TargetRows if task.truth == "targets" else kinds.get(task.unit, ExampleRows)
    return kind(columns, options, dataset)
