"""What is transferred to: how many rows of which classes, and how backbones are fine-tuned on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hf_transfer_score.finetune.recipe import Method, Recipe, default_recipe

SOURCE_CLASSES, TARGET_CLASSES = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
"""Of CIFAR-10 by number: airplane to deer, and dog to truck; animals and vehicles are in both."""

SEEDS = (0, 1, 2)
IMAGE_TEST_ROWS, TEXT_TEST_ROWS = 2000, 600

IMAGE_RECIPE = replace(default_recipe("image"), learning_rates=(1e-3, 4e-3), epochs=20)
"""Micro networks take larger learning rates than those the default tries."""
TEXT_RECIPE = replace(default_recipe("text"), learning_rates=(3e-4,), epochs=10, precision="bfloat16")


@dataclass(frozen=True)
class Regime:
    """A target to transfer to.

    Attributes:
        name: of the dataset's folder, and so of the dataset in records.
        words: what to say of it.
        images: whether it is one of images; else of texts.
        counts: rows of each class to train on, from the first class on.
        recipe: of full fine-tuning.
        methods: what else is measured.
    """

    name: str
    words: str
    images: bool
    counts: tuple[int, ...]
    recipe: Recipe
    methods: tuple[Method, ...] = ()

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """How each backbone is fine-tuned."""
        return self.recipe, *(replace(self.recipe, method=method) for method in self.methods)

    @property
    def test_rows(self) -> int:
        """How many rows the accuracies are measured on at most."""
        return IMAGE_TEST_ROWS if self.images else TEXT_TEST_ROWS


def _images(name: str, words: str, counts: tuple[int, ...], methods: tuple[Method, ...] = ()) -> Regime:
    return Regime(f"cifar10-five-classes-{name}", words, True, counts, IMAGE_RECIPE, methods)


def _texts(classes: int, rows: int) -> Regime:
    name, words = f"banking77-{classes}-classes", f"{classes} classes, {rows} texts per class"
    return Regime(name, words, False, (rows,) * classes, TEXT_RECIPE)


LONG_TAIL = (200, 95, 45, 21, 10)
"""Each class has 0.47 times the rows of the one before."""

REGIMES: Mapping[str, Regime] = {
    "images-50": _images("50-a-class", "50 images per class", (50,) * 5, ("layer", "scl")),
    "images-10": _images("10-a-class", "10 images per class", (10,) * 5),
    "images-long-tailed": _images("long-tailed", "long-tailed, 200 to 10 images per class", LONG_TAIL),
    "images-200": _images("200-a-class", "200 images per class", (200,) * 5),
    "texts-10": _texts(10, 20),
    "texts-77": _texts(77, 5),
}
"""In the order in which they are measured."""

SOURCE_ACCURACY = "cifar10-source-classes"
"""The dataset of source images that pre-training did not see; a linear probe on it tells how good a backbone is."""
