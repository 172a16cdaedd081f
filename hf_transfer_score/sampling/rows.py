"""What is looked at in every row of a stream, what is kept of some, and what becomes of those that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.limits import PIXELS
from hf_transfer_score.sampling.chunks import Chunk
from hf_transfer_score.sampling.columns import Columns
from hf_transfer_score.sampling.labels import IGNORED_TAG, MISSING, Classes
from hf_transfer_score.sampling.media import as_media
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.places import decode_mask, draw_pixels, draw_words, same_shape, shape_of_image


class Truth(NamedTuple):
    """What a drawn example has beside its input: codes of its classes or its target, and places within it."""

    value: Any
    positions: list[Any] | None = None


class Rows:
    """Examples with one class each.

    Attributes:
        classes: the classes seen, None for regression.
        stratified: whether the shares of the classes are kept.
        media: how many of the values that are kept are images or sound.
        why_lost: what is wrong with rows for which `truth` returns None.
    """

    stratified = True
    media = 1
    why_lost = f"what they hold is no image of at most {PIXELS // 10**6} megapixels"

    def __init__(self, columns: Columns, options: SampleOptions, dataset: str) -> None:
        self.columns, self.options, self.dataset = columns, options, dataset
        self.classes: Classes | None = self._classes()

    def _classes(self) -> Classes | None:
        most = self.options.max_samples // 2
        return Classes(self.columns.class_names, most, self.columns.label, self.dataset)

    def strata(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return the class of each row (n,), MISSING for rows without label or input."""
        codes = self.codes(chunk.column(self.columns.label))
        for name in self.columns.inputs:
            codes[chunk.missing(name)] = MISSING
        return codes

    def codes(self, labels: list[Any]) -> NDArray[np.int64]:
        """Return the class of each row (n,), MISSING where there is no label."""
        assert self.classes is not None
        return self.classes.encode(labels)

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return what is kept of a row: its inputs first, then its label if that is still needed."""
        return [self.plain_input(chunk.cell(row, name)) for name in self.columns.inputs]

    def plain_input(self, value: Any) -> Any:
        """Return an input as bytes or plain values."""
        if self.columns.task.modality == "text":
            return str(value)
        return as_media(value)

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> Truth | None:
        """Return label and places of a row that is drawn, None if it cannot be used after all."""
        return Truth(stratum) if self.usable(kept) else None

    def usable(self, kept: list[Any]) -> bool:
        """Return whether an image is one, as far as its first bytes tell."""
        return self.columns.task.modality != "image" or shape_of_image(kept[0]) is not None


class TargetRows(Rows):
    """Examples with a number each: drawn uniformly."""

    stratified = False

    def _classes(self) -> None:
        return None

    def codes(self, labels: list[Any]) -> NDArray[np.int64]:
        """Return 0 for rows with a target."""
        return np.asarray([MISSING if value is None or value != value else 0 for value in labels], dtype=np.int64)

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return inputs and target."""
        return [*super().keep(chunk, row), float(chunk.cell(row, self.columns.label))]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> Truth | None:
        """Return the target."""
        return Truth(kept[-1]) if self.usable(kept) else None


class WordRows(Rows):
    """Texts as words, with a class each."""

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
        """Return words and the codes of their labels; a word without letters has none."""
        words, tags = chunk.cell(row, self.columns.inputs[0]), chunk.cell(row, self.columns.label)
        if len(words) != len(tags):
            raise DatasetError(
                f"A row of {self.dataset} has {len(words)} words in {self.columns.inputs[0]!r} and {len(tags)} labels "
                f"in {self.columns.label!r}; expected one label a word."
            )
        codes = [
            code if word and word.strip() else MISSING for word, code in zip(words, self._tag_codes(tags), strict=True)
        ]
        return [[word or "" for word in words], codes]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> Truth | None:
        """Return the words that are drawn and their labels."""
        positions = draw_words(kept[1], self.counts, self.options.rows_per_example, rng).tolist()
        return Truth([kept[1][place] for place in positions], positions) if positions else None


class PixelRows(Rows):
    """Images with a mask of classes."""

    stratified = False
    media = 2
    why_lost = "no pixel has a label, or image and mask differ in shape"

    def strata(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return 0 for rows with an image and a mask."""
        found = np.zeros(len(chunk), dtype=np.int64)
        for name in self.columns.all:
            found[chunk.missing(name)] = MISSING
        return found

    def keep(self, chunk: Chunk, row: int) -> list[Any]:
        """Return image and mask."""
        return [as_media(chunk.cell(row, name)) for name in self.columns.all]

    def truth(self, kept: list[Any], stratum: int, rng: np.random.Generator) -> Truth | None:
        """Return the pixels that are drawn and their classes."""
        mask, shape = decode_mask(kept[1], self.dataset), shape_of_image(kept[0])
        if shape is None or not same_shape(shape, mask.shape):
            return None
        centres, values = draw_pixels(mask, self.options.ignore_values, self.options.rows_per_example, rng)
        assert self.classes is not None
        codes = [self.classes.code(int(value)) for value in values]
        return Truth(codes, centres.ravel().tolist()) if codes else None


def rows_for(columns: Columns, options: SampleOptions, dataset: str) -> Rows:
    """Return how to look at the rows of a task."""
    task = columns.task
    kinds: dict[str, type[Rows]] = {"word": WordRows, "pixel": PixelRows}
    kind = TargetRows if task.truth == "targets" else kinds.get(task.unit, Rows)
    return kind(columns, options, dataset)
