"""A checkpoint made ready to be fine-tuned: rows, a fresh classifier on them, and its unfinished training in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone, is_trainable, own_parameters
from hf_transfer_score.errors import CheckpointError, InputError, OptionError, did_you_mean
from hf_transfer_score.finetune.adapters import add_adapters
from hf_transfer_score.finetune.classifier import Classifier, Tap, Trained, blocks_of
from hf_transfer_score.finetune.loop import LabelledRows, Machine, Score, Training, features, forward
from hf_transfer_score.finetune.recipe import AUTO, Recipe, most_collapsed
from hf_transfer_score.finetune.rows import Encoded, codes_of, split_rows
from hf_transfer_score.home import whole
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.sampling.sample import LabelledSample


def usable_blocks(classifier: Classifier, reached: set[int]) -> dict[str, torch.nn.Module]:
    """Return the blocks, in order, with parameters that features depend on, given the ids of these."""
    blocks = blocks_of(classifier.backbone.module)
    return {name: one for name, one in blocks.items() if any(id(value) in reached for value in one.parameters())}


def before_last(
    classifier: Classifier, blocks: dict[str, torch.nn.Module], batch: dict[str, object]
) -> dict[str, torch.nn.Module]:
    """Return the blocks that a skip connection can come from: those before the last one; CheckpointError for none.

    A block whose pooled output is already the features is left out: adding it would only change their scale.
    """
    found = dict(list(blocks.items())[:-1])
    with ExitStack() as opened, torch.no_grad():
        taps = {name: opened.enter_context(Tap(block, classifier.backbone)) for name, block in found.items()}
        features = classifier.features(batch)
        rows = {name: tap.rows(batch) for name, tap in taps.items()}
    different = [name for name, one in rows.items() if one.shape != features.shape or not torch.allclose(one, features)]
    if not different:
        raise CheckpointError(
            "unsupported",
            "has no block before the last one for the skip connection of scl, which would add the features to "
            "themselves; use the method layer",
        )
    return {name: found[name] for name in different}


def choose_block(
    classifier: Classifier, blocks: dict[str, torch.nn.Module], wanted: str | int, data: LabelledRows, machine: Machine
) -> str:
    """Return the name of the block in a recipe.

    "auto" is the block whose pooled output has the smallest NC1, as in `layers`; if no block has one, because there are
    too few rows, the one in the middle.
    """
    names = list(blocks)
    if wanted == AUTO:
        return most_collapsed(nc1_profile(classifier, blocks, data, machine)) or names[len(names) // 2]
    if isinstance(wanted, int) or wanted.lstrip("-").isdigit():
        number = int(wanted)
        if not 0 <= number < len(names):
            raise OptionError(f"layer={number}: this checkpoint has the blocks 0 to {len(names) - 1}.")
        return names[number]
    if wanted not in blocks:
        raise OptionError(f"layer={wanted!r}: this checkpoint has no such block.{did_you_mean(wanted, names, 0.0)}")
    return wanted


def nc1_profile(
    classifier: Classifier, blocks: dict[str, torch.nn.Module], data: LabelledRows, machine: Machine
) -> dict[str, float]:
    """Return NC1 of each block's pooled output, where it can be computed; smaller is more collapsed.

    Outputs are pooled as the network pools its own layers, so these are the numbers of `layers`; the last block is read
    after the final norm if its layer is.
    """
    read_at = dict(blocks)
    body, last = getattr(classifier.backbone, "body", None), next(reversed(blocks), None)
    if body is not None and last is not None and last == next(reversed(blocks_of(classifier.backbone.module))):
        read_at[last] = body
    widths: list[int] = []

    def every(batch: dict[str, object]) -> torch.Tensor:
        classifier.features(batch)
        rows = [tap.rows(batch) for tap in taps]
        widths[:] = [one.shape[1] for one in rows]
        return torch.cat(rows, 1)

    with ExitStack() as opened:
        taps = [opened.enter_context(Tap(block, classifier.backbone)) for block in read_at.values()]
        parts = forward(classifier, data.encoded, data.rows, machine, every)
    codes = np.concatenate([data.codes[part] for part, _ in parts])
    rows = torch.cat([values.cpu() for _, values in parts]).numpy()
    metric, found = get_metric("nc1"), {}
    columns = np.split(rows, np.cumsum(widths)[:-1], axis=1)
    for name, values in zip(blocks, columns, strict=True):
        with suppress(InputError):  # such as a single class, or values that are not finite
            result = metric.attempt(LabelledFeatures(np.ascontiguousarray(values), codes))
            if result.status == "ok":
                found[name] = float(result.terms["nc1"])
    return found


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

    @classmethod
    def of(
        cls, load: Callable[[], Backbone], train: LabelledSample, test: LabelledSample, recipe: Recipe, seed: int
    ) -> Builder:
        """Return the builder for a measurement."""
        return cls(load, MeasuredRows.of(train, test, recipe, seed), recipe, Machine(recipe), seed=seed)

    def training(self, built: BuiltNetwork, rate: float) -> Training:
        """Return the training of a classifier at a learning rate, not begun."""
        rows = self.rows
        return Training(built.trained, rows.fitted, rows.held, self.recipe, rate, seed=self.seed, machine=self.machine)

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


KEY = "training"


@dataclass(frozen=True)
class KeptTraining:
    """An unfinished training in one file without pickle: tensors by name, and plain values.

    A training continued from it gives exactly the numbers of an uninterrupted one: the file has the current weights and
    those that count so far, the state of AdamW, and those of both generators (for the order of rows, and for dropout).
    """

    tensors: dict[str, torch.Tensor]
    about: dict[str, Any]

    @property
    def anchors(self) -> Anchors:
        """The values to build the classifier again."""
        return Anchors(self.tensors["centre"], self.tensors["scale"], self.about["layer"])

    @property
    def scores(self) -> list[Score]:
        """The scores on the rows held back, after each pass."""
        return [Score(*one) for one in self.about["scores"]]

    @property
    def rights(self) -> list[NDArray[np.bool_]]:
        """Which of these rows are classified correctly, after each pass."""
        return list(self.tensors["rights"].numpy().astype(np.bool_))

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors of one part."""
        prefix = f"{name}/"
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}


def keep_training(path: Path, training: Training, built: BuiltNetwork) -> None:
    """Write the state of a training after its last pass."""
    from safetensors.torch import save_file

    tensors = {"centre": built.classifier.centre, "scale": built.classifier.scale}
    for name, state in (("now", training.trained.state()), ("best", training.state), ("random", training.random)):
        tensors |= {f"{name}/{key}": value for key, value in state.items()}
    for number, values in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": torch.as_tensor(value) for key, value in values.items()}
    tensors["rights"] = torch.from_numpy(np.stack(training.rights))
    about = {
        "rate": training.rate,
        "layer": built.layer,
        "step": training.step,
        "since": training.since,
        "finite": training.finite,
        "ended": training.ended,
        "best": [training.best.accuracy, training.best.loss],
        "scores": [[one.accuracy, one.loss] for one in training.scores],
        "order": training.order.bit_generator.state,
    }
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole(path, sum(value.nbytes for value in copies.values())) as aside:
        save_file(copies, aside, metadata={KEY: json.dumps(about)})


def kept_training(path: Path) -> KeptTraining | None:
    """Return the contents of a file, None if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            return KeptTraining({name: file.get_tensor(name) for name in file.keys()}, about)  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def resume(training: Training, kept: KeptTraining) -> None:
    """Bring a new training to the state of a stored one."""
    about, device = kept.about, training.machine.device
    training.trained.restore(kept.part("now"))
    training.state = {name: value.to(device) for name, value in kept.part("best").items()}
    training.random = kept.part("random")
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in kept.part("optimizer").items():
        number, _, key = name.partition("/")
        moments.setdefault(int(number), {})[key] = value
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    training.order.bit_generator.state = about["order"]
    training.step, training.since, training.finite = about["step"], about["since"], about["finite"]
    training.best, training.scores = Score(*about["best"]), kept.scores
    training.rights = kept.rights
