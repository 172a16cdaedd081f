"""The targets: how many rows of which classes, and how backbones are fine-tuned on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hf_transfer_score.finetune.recipe import Recipe, default_recipe
from hf_transfer_score.tasks import Method

SOURCE_CLASSES, TARGET_CLASSES = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
"""Class numbers of CIFAR-10: airplane to deer, and dog to truck; both contain animals and vehicles."""

SEEDS = (0, 1, 2)
IMAGE_TEST_ROWS, TEXT_TEST_ROWS = 2000, 600

IMAGE_RECIPE = replace(default_recipe("image"), learning_rates=(1e-3, 4e-3), epochs=20)
"""Micro networks need larger learning rates than the defaults."""
TEXT_RECIPE = replace(default_recipe("text"), learning_rates=(3e-4,), epochs=10, precision="bfloat16")


@dataclass(frozen=True)
class Regime:
    """A target to fine-tune on.

    Attributes:
        name: of the dataset's folder, and of the dataset in records.
        words: its description.
        images: whether it has images instead of texts.
        counts: training rows of each class, in order.
        recipe: of full fine-tuning.
        methods: other methods to measure.
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
        """The largest number of test rows."""
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
"""In the order of measurement."""

SOURCE_ACCURACY = "cifar10-source-classes"
"""Source images that pre-training did not see; a linear probe on them gives the source accuracy."""
