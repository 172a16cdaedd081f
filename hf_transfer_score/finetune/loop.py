"""The loop of fine-tuning: AdamW, a rise and a fall of the learning rate, and an end when nothing is gained."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hf_transfer_score.features.batches import Processes, choose_device, cut
from hf_transfer_score.finetune.classifier import Classifier, Trained
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded, Rows

LARGEST_GRADIENT = 1.0
EVALUATED_AT_ONCE = 64


@dataclass(frozen=True)
class LabelledRows:
    """Rows of a sample with their classes."""

    encoded: Encoded
    rows: Rows
    codes: Rows

    def of(self, places: Rows) -> LabelledRows:
        """Return some of them."""
        return LabelledRows(self.encoded, self.rows[places], self.codes[places])


@dataclass(frozen=True)
class Score:
    """How well a classifier does on some rows; scores compare by accuracy, then by loss."""

    accuracy: float
    loss: float

    def better_than(self, other: Score | None) -> bool:
        """Whether this is the better one."""
        return other is None or (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


@dataclass(frozen=True)
class Run:
    """What one learning rate came to: the best score on the validation part, and the passes until it stopped."""

    best: Score
    epochs: int
    finite: bool


class Machine:
    """Where and in what precision is computed, by Accelerate."""

    def __init__(self, recipe: Recipe) -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        self.device = choose_device(recipe.device, Processes())
        half = recipe.precision == "bfloat16" or (recipe.precision == "auto" and self.device.type == "cuda")
        how: dict[str, Any] = {"mixed_precision": "bf16" if half else "no", "cpu": self.device.type == "cpu"}
        try:
            self.accelerator = Accelerator(**how)
        except ValueError:  # made before in this process, in another precision or elsewhere
            AcceleratorState._reset_state(reset_partial_state=True)
            self.accelerator = Accelerator(**how)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context that forward passes run in."""
        context: AbstractContextManager[Any] = self.accelerator.autocast()
        return context


def train(
    trained: Trained,
    data: LabelledRows,
    held: LabelledRows,
    recipe: Recipe,
    rate: float,
    *,
    seed: int,
    machine: Machine,
    after_epoch: Callable[[int, Score], None] = lambda _epoch, _score: None,
) -> Run:
    """Train a classifier at one learning rate, and leave it in the state that was best on the rows held back.

    These also tell the end. The seed decides the order of rows, and dropout.
    """
    classifier, order = trained.classifier, np.random.default_rng([seed, 2])
    optimizer = machine.accelerator.prepare(_optimizer(trained, recipe, rate))
    per_epoch = len(_batches(np.arange(len(data.rows)), recipe.batch_size))
    steps = min(recipe.epochs * per_epoch, recipe.steps or math.inf)
    best, state, since, step, epoch, finite = evaluate(classifier, held, machine), trained.state(), 0, 0, 0, True
    best = Score(-1.0, best.loss)  # an untrained head is no state to end with
    with torch.random.fork_rng(devices=[machine.device] if machine.device.type == "cuda" else []):
        torch.manual_seed(seed)
        while finite and step < steps and (recipe.patience is None or since < recipe.patience):
            trained.train()
            for places in _batches(order.permutation(len(data.rows)), recipe.batch_size):
                finite = _step(trained, data.of(places), optimizer, _factor(step, int(steps), recipe), machine)
                step += 1
                if not finite or step >= steps:
                    break
            epoch += 1
            score = evaluate(classifier, held, machine)
            after_epoch(epoch, score)
            since = 0 if score.better_than(best) else since + 1
            if not since:
                best, state = score, trained.state()
    trained.restore(state)
    del optimizer
    machine.accelerator.free_memory()  # it holds on to optimisers, and these to all they were made for
    return Run(best, epoch, finite)


def _optimizer(trained: Trained, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    head = list(trained.classifier.head.parameters())
    groups = []
    for weights, factor in ((trained.weights, 1.0), (head, recipe.head_factor)):
        for matrices in (True, False):
            chosen = [one for one in weights if (one.ndim > 1) is matrices]
            if chosen:
                decay, own = recipe.weight_decay if matrices else 0.0, rate * factor
                groups.append({"params": chosen, "weight_decay": decay, "lr": own, "highest": own})
    return torch.optim.AdamW(groups)


def _factor(step: int, steps: int, recipe: Recipe) -> float:
    """Return the share of the highest learning rate at a step: it rises in a line, then falls as a cosine to 0."""
    rise = max(1, round(recipe.warmup_share * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _step(trained: Trained, data: LabelledRows, optimizer: Any, factor: float, machine: Machine) -> bool:
    """Take one step, and return whether the loss was finite; without that no step is taken."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * factor
    classifier = trained.classifier
    batch = classifier.batch(data.encoded.items(classifier.backbone, data.rows))
    with torch.enable_grad():
        with machine.autocast():
            logits = classifier.logits(batch)
        truth = torch.as_tensor(data.codes, device=classifier.device)
        loss = torch.nn.functional.cross_entropy(logits.float(), truth)
        if not bool(torch.isfinite(loss)):
            return False
        optimizer.zero_grad()
        machine.accelerator.backward(loss)
    weights = [one for group in optimizer.param_groups for one in group["params"]]
    machine.accelerator.clip_grad_norm_(weights, LARGEST_GRADIENT)
    optimizer.step()
    return True


def _batches(places: Rows, size: int) -> list[Rows]:
    """Return batches; a single row that is left over is left out, since a batch norm cannot train on it."""
    parts = cut(places, size)
    return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts


def evaluate(classifier: Classifier, data: LabelledRows, machine: Machine) -> Score:
    """Return how well a classifier does; it is in evaluation mode afterwards."""
    right, loss = 0, 0.0
    for part, rows in forward(classifier, data.encoded, data.rows, machine, classifier.logits):
        truth = torch.as_tensor(data.codes[part], device=rows.device)
        right += int((rows.argmax(1) == truth).sum())
        loss += float(torch.nn.functional.cross_entropy(rows, truth, reduction="sum"))
    loss = loss / len(data.rows)
    return Score(right / len(data.rows), loss if math.isfinite(loss) else math.inf)


def forward(
    classifier: Classifier,
    encoded: Encoded,
    rows: Rows,
    machine: Machine,
    compute: Callable[[dict[str, Any]], torch.Tensor],
) -> list[tuple[Rows, torch.Tensor]]:
    """Return places among the rows with what is computed of them, batch by batch, in evaluation mode."""
    backbone, found = classifier.backbone, []
    backbone.module.eval()
    order = np.arange(len(rows))
    if encoded.are_kept(backbone):  # the longest first, so that batches hold little padding
        lengths = np.array([backbone.length(item) for item in encoded.items(backbone, rows)])
        order = np.argsort(-lengths, kind="stable").astype(np.int64)
    with torch.no_grad():
        for part in cut(order, EVALUATED_AT_ONCE):
            with machine.autocast():
                values = compute(classifier.batch(encoded.items(backbone, rows[part])))
            found.append((part, values.float()))
    return found


def features(classifier: Classifier, encoded: Encoded, rows: Rows, machine: Machine) -> torch.Tensor:
    """Return the features of some rows in their order (N, D), in evaluation mode."""
    parts = forward(classifier, encoded, rows, machine, classifier.features)
    order = torch.as_tensor(np.concatenate([part for part, _ in parts])).argsort()
    return torch.cat([values for _, values in parts])[order.to(parts[0][1].device)]
