"""Digits of scikit-learn as pictures of 32 x 32: five for pre-training, the other five, warped, as the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.float32]
Labels = NDArray[np.int64]

SIDE = 32
SOURCE_DIGITS, TARGET_DIGITS = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Warp:
    """How strongly pictures are distorted; on clean digits even random networks do well.

    Attributes:
        turn: largest rotation in degrees.
        stretch: largest relative change of a side.
        bend: largest shift of a position by a smooth field, in pixels.
        noise: standard deviation of the noise per pixel, relative to full ink.
        clutter: ink of random strokes below the digit.
    """

    turn: float = 30.0
    stretch: float = 0.25
    bend: float = 3.0
    noise: float = 0.1
    clutter: float = 0.7


@dataclass(frozen=True)
class Labelled:
    """Pictures with their class numbers.

    Attributes:
        pictures: ink from 0 to 1 (N, 32, 32).
        labels: 0 to 4 (N,).
    """

    pictures: Pictures
    labels: Labels

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)


def source_digits() -> Labelled:
    """Return the digits 0 to 4, not warped."""
    return _digits(SOURCE_DIGITS)


def target_digits(per_class: int, seed: int, warp: Warp | None = None) -> dict[str, Labelled]:
    """Return the digits 5 to 9, warped: the given number per class for training, all others for testing."""
    whole, generator = _digits(TARGET_DIGITS), np.random.default_rng([seed, 1])
    chosen = [generator.permutation(np.flatnonzero(whole.labels == label))[:per_class] for label in range(5)]
    train = np.sort(np.concatenate(chosen))
    test = np.setdiff1d(np.arange(len(whole)), train)
    pictures = warped(whole.pictures, generator, warp or Warp())
    return {name: Labelled(pictures[rows], whole.labels[rows]) for name, rows in ((TRAIN, train), (TEST, test))}


def as_bytes(picture: Pictures) -> NDArray[np.uint8]:
    """Return a picture in 256 levels, as in a file."""
    levels: NDArray[np.uint8] = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return levels


def _digits(digits: tuple[int, ...]) -> Labelled:
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    data = load_digits()
    rows = np.isin(data.target, digits)
    large = zoom(data.images[rows] / 16, (1, SIDE / 8, SIDE / 8), order=1, grid_mode=True, mode="nearest")
    labels = np.searchsorted(digits, data.target[rows])
    return Labelled(np.clip(large, 0, 1).astype(np.float32), labels.astype(np.int64))


def warped(pictures: Pictures, generator: np.random.Generator, warp: Warp) -> Pictures:
    """Return pictures (N, 32, 32), each randomly rotated, stretched, bent, with clutter and noise."""
    moved = np.stack([_moved(picture, generator, warp) for picture in pictures])
    if warp.clutter:
        below = moved[generator.permutation(len(moved))]
        shifts = generator.integers(SIDE // 4, 3 * SIDE // 4, size=(len(moved), 2))
        below = np.stack([np.roll(one, tuple(shift), (0, 1)) for one, shift in zip(below, shifts, strict=True)])
        moved = np.maximum(moved, warp.clutter * below)
    noisy = moved + generator.normal(0, warp.noise, moved.shape) if warp.noise else moved
    return np.clip(noisy, 0, 1).astype(np.float32)


def _moved(picture: Pictures, generator: np.random.Generator, warp: Warp) -> NDArray[np.float64]:
    from scipy.ndimage import map_coordinates

    angle = np.deg2rad(generator.uniform(-warp.turn, warp.turn))
    stretch = 1 + generator.uniform(-warp.stretch, warp.stretch, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * stretch[:, None]
    places = np.mgrid[:SIDE, :SIDE].reshape(2, -1) - (SIDE - 1) / 2
    field = _smooth(generator, warp.bend)
    moved: NDArray[np.float64] = map_coordinates(picture, turn @ places + (SIDE - 1) / 2 + field, order=1)
    return moved.reshape(SIDE, SIDE)


def _smooth(generator: np.random.Generator, bend: float) -> NDArray[np.float64]:
    """Return a smooth shift of every position (2, 1024)."""
    from scipy.ndimage import zoom

    coarse = generator.uniform(-bend, bend, (2, 4, 4))
    fine: NDArray[np.float64] = zoom(coarse, (1, SIDE / 4, SIDE / 4), order=1, grid_mode=True, mode="nearest")
    return fine.reshape(2, -1)
