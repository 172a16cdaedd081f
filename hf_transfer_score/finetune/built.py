"""A checkpoint made ready to be fine-tuned: the rows of a measurement, and a fresh classifier on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hf_transfer_score.backbones.base import Backbone, is_trainable, own_parameters
from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.finetune.adapters import add_adapters
from hf_transfer_score.finetune.classifier import Classifier, Tap, Trained
from hf_transfer_score.finetune.layers import before_last, choose_block, usable_blocks
from hf_transfer_score.finetune.loop import LabelledRows, Machine, features
from hf_transfer_score.finetune.recipe import AUTO, Recipe
from hf_transfer_score.finetune.rows import Encoded, codes_of, split_rows
from hf_transfer_score.sampling.sample import LabelledSample

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MeasuredRows:
    """The rows of a measurement, the same for all checkpoints: of the training rows, some are held back for choices."""

    everything: LabelledRows
    fitted: LabelledRows
    held: LabelledRows
    test: LabelledRows
    classes: int

    @classmethod
    def of(cls, train: LabelledSample, test: LabelledSample, recipe: Recipe, seed: int) -> MeasuredRows:
        """Split two samples; the seed decides which rows are held back."""
        codes, test_codes, classes = codes_of(train, test)
        fitted, held = split_rows(codes, recipe.validation_share, seed)
        everything = LabelledRows(Encoded(train), np.arange(len(train)), codes)
        tested = LabelledRows(Encoded(test), np.arange(len(test)), test_codes)
        return cls(everything, everything.of(fitted), everything.of(held), tested, classes)


@dataclass(frozen=True)
class BuiltNetwork:
    """A classifier ready to be trained, the part that is trained, and how many parameters its answers depend on."""

    classifier: Classifier
    trained: Trained
    total: int
    layer: str | None


@dataclass(frozen=True)
class Anchors:
    """What is computed once from the original checkpoint: its features' centre and scale, and the block to train."""

    centre: torch.Tensor
    scale: torch.Tensor
    layer: str | None


class Builder:
    """Makes classifiers of one checkpoint, each freshly loaded; the seed initialises adapters."""

    def __init__(
        self, load: Callable[[], Backbone], rows: MeasuredRows, recipe: Recipe, machine: Machine, *, seed: int = 0
    ) -> None:
        self.load, self.rows, self.recipe, self.machine, self.seed = load, rows, recipe, machine, seed
        self.block: str | None = None

    def few(self, classifier: Classifier) -> dict[str, object]:
        """Return a batch of two examples."""
        fitted = self.rows.fitted
        return classifier.batch(fitted.encoded.items(classifier.backbone, fitted.rows[:2]))

    def bare(self) -> Classifier:
        """Return a freshly loaded checkpoint without a head."""
        return Classifier(self.load(), self.machine.device)

    def feature_parameters(self, classifier: Classifier) -> int:
        """Return how many parameters the features depend on; without gradients, all of the checkpoint's."""
        if not is_trainable(classifier.backbone):
            return own_parameters(classifier.backbone) or 0
        return sum(one.numel() for one in classifier.reached(self.few(classifier)).values())

    def built(self, known: Anchors | None = None) -> BuiltNetwork:
        """Return a freshly loaded checkpoint with a head, frozen except for the part to train.

        What is `known` from an earlier load is not computed again.
        """
        classifier = self.bare()
        if not is_trainable(classifier.backbone):
            raise CheckpointError(
                "unsupported",
                f"is of a kind that gives features without gradients, so the method {self.recipe.method} cannot train "
                "it; use the method probe",
            )
        module = classifier.backbone.module
        reached = classifier.reached(self.few(classifier))
        name: str | None = None
        part: torch.nn.Module = module
        if known is not None:
            self.block = known.layer
        if self.recipe.method in ("layer", "scl"):
            name, part = self._block(classifier, set(map(id, reached.values())))
        if self.recipe.method == "scl":
            classifier.skip = Tap(part, classifier.backbone), self.recipe.skip
        if known is None:
            rows = features(classifier, self.rows.fitted.encoded, self.rows.fitted.rows, self.machine)
            classifier.add_head(rows, self.rows.classes)
        else:
            classifier.add_head_at(known.centre, known.scale, self.rows.classes)
        adapters = None
        if self.recipe.method == "lora":
            adapters = add_adapters(classifier, reached, self.few(classifier), self.recipe, self.seed)
        trained = Trained(classifier, reached, part, adapters)
        head = sum(one.numel() for one in classifier.head.parameters())
        return BuiltNetwork(classifier, trained, head + sum(one.numel() for one in reached.values()), name)

    def _block(self, classifier: Classifier, reached: set[int]) -> tuple[str, torch.nn.Module]:
        """Return the block to train, which is chosen once, on the whole sample, so that it does not depend on the seed.

        It is the block that `layers` chooses for the same sample.
        """
        blocks = usable_blocks(classifier, reached)
        if self.block is None:
            allowed = before_last(classifier, blocks, self.few(classifier)) if self.recipe.method == "scl" else blocks
            wanted = self.recipe.layer
            looked_at = allowed if wanted == AUTO else blocks
            self.block = choose_block(classifier, looked_at, wanted, self.rows.everything, self.machine)
            if self.block not in allowed:
                raise OptionError(
                    f"layer={wanted!r}: the output of the block {self.block!r} is already the features, and scl would "
                    f"add them to themselves. Choose an earlier block ({', '.join(allowed)}), or the method layer."
                )
        return self.block, blocks[self.block]
