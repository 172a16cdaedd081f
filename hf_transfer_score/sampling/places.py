"""Which words of a text and which pixels of an image make rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.draw import even_quotas
from hf_transfer_score.sampling.pictures import open_image


def draw_words(codes: Sequence[int], counts: Sequence[int], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers of the words that are drawn from a text, ascending.

    A word's chance grows with the rarity of its label, by one over the square root of how often it was seen: where most
    words have the label "O", those with another come first, and "O" is not lost.

    Args:
        codes: the code of the label of each word, below 0 where there is none.
        counts: how often each code was seen.
        most: words to draw at most.
        rng: source of randomness.
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
    """Return pixel centres (n, 2), down and across as fractions, and the values of the mask there (n,).

    The classes of an image give the same number of pixels each, as far as they have them.

    Args:
        mask: class numbers (height, width).
        ignored: values that mean "no label".
        most: pixels to draw at most.
        rng: source of randomness.
    """
    flat = mask.ravel()
    usable = np.flatnonzero(~np.isin(flat, np.asarray(ignored, dtype=np.int64)))
    order = usable[np.argsort(flat[usable], kind="stable")]
    _, starts, counts = np.unique(flat[order], return_index=True, return_counts=True)
    quotas = _shares(counts.tolist(), most, rng)
    parts = [
        order[start + rng.choice(count, quota, replace=False)]
        for start, count, quota in zip(starts, counts, quotas, strict=True)
    ]
    chosen = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
    down, across = np.divmod(chosen, mask.shape[1])
    centres = np.stack([(down + 0.5) / mask.shape[0], (across + 0.5) / mask.shape[1]], axis=1)
    return centres.astype(np.float32), flat[chosen]


def _shares(counts: list[int], most: int, rng: np.random.Generator) -> list[int]:
    quotas = even_quotas(counts, most, most)
    left = min(most, sum(counts)) - sum(quotas)
    for index in rng.permutation(len(counts)):
        if left > 0 and quotas[index] < counts[index]:
            quotas[index] += 1
            left -= 1
    return quotas


def decode_mask(content: bytes, dataset: str) -> NDArray[np.int64]:
    """Return the class numbers of a mask (height, width): grey values, or the indices of a palette."""
    try:
        image = open_image(content)
        values = np.asarray(image)
    except (OSError, ValueError) as error:
        raise DatasetError(f"A mask of {dataset} cannot be decoded: {error}.") from error
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind == "f":
        raise DatasetError(
            f"A mask of {dataset} is an image of mode {image.mode}, where one channel with class numbers was expected. "
            "If classes are told by colours, turn these into numbers first."
        )
    return values.astype(np.int64)


def shape_of_image(content: bytes) -> tuple[int, int] | None:
    """Return height and width of an image as its camera was held, by its first bytes.

    None if it is no image, or one with more pixels than are read.
    """
    from PIL import ExifTags

    try:
        image = open_image(content)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except (OSError, ValueError, SyntaxError):
        return None
    return (image.width, image.height) if turned else (image.height, image.width)


def same_shape(image: tuple[int, int], mask: tuple[int, ...]) -> bool:
    """Return whether places in a mask are the same places in an image: one may be the other in another size.

    Example:
        >>> same_shape((480, 640), (120, 160)), same_shape((480, 640), (640, 480))
        (True, False)
    """
    ratio = (image[0] * mask[1]) / (image[1] * mask[0])
    return 0.95 < ratio < 1.05
