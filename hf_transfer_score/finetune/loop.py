"""The loop of fine-tuning: AdamW, a learning rate that rises and falls, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_transfer_score import memory
from hf_transfer_score.features.batches import Processes, choose_device, cut
from hf_transfer_score.finetune.classifier import Classifier, Trained
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded, Rows

LARGEST_GRADIENT = 1.0
EVALUATED_AT_ONCE = 64

PARTS, LIKE = 4, 0.8
"""Into how many parts a batch is divided at most, and how long the longest example of a part is at least, as a share of
the longest one before, to stay in one part with it."""


@dataclass(frozen=True)
class LabelledRows:
    """Rows of a sample with their classes."""

    encoded: Encoded
    rows: Rows
    codes: Rows

    def of(self, places: Rows) -> LabelledRows:
        """Return some of the rows."""
        return LabelledRows(self.encoded, self.rows[places], self.codes[places])


@dataclass(frozen=True)
class Score:
    """How well a classifier does on some rows; scores compare by accuracy, then by loss."""

    accuracy: float
    loss: float

    def better_than(self, other: Score | None) -> bool:
        """Whether this score is better."""
        return other is None or (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


def kept_pass(accuracies: Sequence[float], rows: int) -> int:
    """Return which state of a training counts: the last that is within one standard error of the best, on some rows.

    Of few rows the most accurate pass was often lucky, and a later one, at a smaller learning rate, is better.

    Example:
        >>> kept_pass([0.5, 0.8, 0.75, 0.6], 40), kept_pass([0.5, 0.8, 0.75, 0.6], 4000)
        (2, 1)
    """
    best = max(accuracies)
    least = best - math.sqrt(best * (1 - best) / rows) - 1e-9
    return max(place for place, accuracy in enumerate(accuracies) if accuracy >= least)


@dataclass(frozen=True)
class Run:
    """The result of one learning rate: the best validation score, that of the state that counts, and the passes."""

    best: Score
    kept: Score
    epochs: int
    finite: bool


class Machine:
    """The device and precision of computations, by Accelerate."""

    def __init__(self, recipe: Recipe) -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        self.device = choose_device(recipe.device, Processes())
        half = recipe.precision == "bfloat16" or (recipe.precision == "auto" and self.device.type == "cuda")
        how: dict[str, Any] = {"mixed_precision": "bf16" if half else "no", "cpu": self.device.type == "cpu"}
        try:
            self.accelerator = Accelerator(**how)
        except ValueError:  # this process has one with another precision or device
            AcceleratorState._reset_state(reset_partial_state=True)
            self.accelerator = Accelerator(**how)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for forward passes."""
        context: AbstractContextManager[Any] = self.accelerator.autocast()
        return context

    def own_random(self) -> AbstractContextManager[Any]:
        """Return a context in which torch's generators may be set, and are as before afterwards."""
        context: AbstractContextManager[Any] = torch.random.fork_rng(
            devices=[self.device] if self.device.type == "cuda" else []
        )
        return context


class Training:
    """The training of a classifier at one learning rate, which can be interrupted after any pass and continued later.

    The rows held back decide which state counts, and the end. The seed decides the order of rows, and dropout.
    """

    def __init__(
        self,
        trained: Trained,
        data: LabelledRows,
        held: LabelledRows,
        recipe: Recipe,
        rate: float,
        *,
        seed: int,
        machine: Machine,
    ) -> None:
        self.trained, self.data, self.held, self.recipe, self.rate = trained, data, held, recipe, rate
        self.machine, self.order = machine, np.random.default_rng([seed, 2])
        self.optimizer: Any = _optimizer(trained, recipe, rate)  # accelerate would keep it, and with it the network
        per_epoch = len(_batches(np.arange(len(data.rows)), recipe.batch_size))
        self.steps = int(min(recipe.epochs * per_epoch, recipe.steps or math.inf))
        self.step, self.since, self.finite = 0, 0, True
        self.scores: list[Score] = []  # on the rows held back, after each pass
        self.best, self.state = Score(-1.0, math.inf), trained.state()  # any trained state beats the untrained head
        self.rights: list[NDArray[np.bool_]] = []  # which of these rows are classified correctly (N,)
        with self.machine.own_random():
            torch.manual_seed(seed)
            self.random = self._randomness()

    @property
    def epochs(self) -> int:
        """Passes so far."""
        return len(self.scores)

    @property
    def ended(self) -> bool:
        """Whether training is over."""
        patience = self.recipe.patience
        return not self.finite or self.step >= self.steps or (patience is not None and self.since >= patience)

    def advance(self, epochs: int | None = None, after_epoch: Callable[[int, Score], None] | None = None) -> None:
        """Continue until this many passes are done in total, or to the end."""
        with self.machine.own_random(), memory.kept():
            for kind, state in self.random.items():
                torch.cuda.set_rng_state(state, self.machine.device) if kind == "cuda" else torch.set_rng_state(state)
            while not self.ended and (epochs is None or self.epochs < epochs):
                self._pass()
                self.random = self._randomness()
                if after_epoch is not None:
                    after_epoch(self.epochs, self.scores[-1])

    def _pass(self) -> None:
        self.trained.train()
        for places in _batches(self.order.permutation(len(self.data.rows)), self.recipe.batch_size):
            factor = _factor(self.step, self.steps, self.recipe)
            self.finite = _step(self.trained, self.data.of(places), self.optimizer, factor, self.machine)
            self.step += 1
            if not self.finite or self.step >= self.steps:
                break
        score, right = judge(self.trained.classifier, self.held, self.machine)
        self.scores.append(score)
        self.rights.append(right)
        self.since = 0 if score.better_than(self.best) else self.since + 1
        self.best = self.best if self.since else score
        if self._kept == len(self.scores) - 1:
            self.state = self.trained.state()

    @property
    def _kept(self) -> int:
        return kept_pass([one.accuracy for one in self.scores], len(self.held.rows))

    def _randomness(self) -> dict[str, torch.Tensor]:
        found = {"cpu": torch.get_rng_state()}
        if self.machine.device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self.machine.device)
        return found

    def finish(self) -> Run:
        """Put the classifier in the state that counts, and return the result."""
        self.trained.restore(self.state)
        self.optimizer = None
        return Run(self.best, self.scores[self._kept] if self.scores else self.best, self.epochs, self.finite)


def _optimizer(trained: Trained, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    head = list(trained.classifier.head.parameters())
    groups = []
    for weights, factor in ((trained.weights, 1.0), (head, recipe.head_factor)):
        for matrices in (True, False):
            chosen = [one for one in weights if (one.ndim > 1) is matrices]
            if chosen:
                decay, own = recipe.weight_decay if matrices else 0.0, rate * factor
                groups.append({"params": chosen, "weight_decay": decay, "lr": own, "highest": own})
    fused = trained.classifier.device.type in ("cpu", "cuda") or None
    return torch.optim.AdamW(groups, fused=fused)


def _factor(step: int, steps: int, recipe: Recipe) -> float:
    """Return the learning rate at a step, as a share of the highest: it rises linearly, then falls as a cosine to 0."""
    rise = max(1, round(recipe.warmup_share * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _step(trained: Trained, data: LabelledRows, optimizer: Any, factor: float, machine: Machine) -> bool:
    """Take one step if the loss is finite, and return whether it is."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * factor
    classifier, backbone = trained.classifier, trained.classifier.backbone
    items = data.encoded.items(backbone, data.rows)
    together = classifier.device.type != "cpu"  # anywhere else, one large batch is faster than several small ones
    optimizer.zero_grad()
    for part in [np.arange(len(items))] if together else of_like_length([backbone.length(item) for item in items]):
        batch = classifier.batch([items[place] for place in part])
        truth = torch.as_tensor(data.codes[part], device=classifier.device)
        with torch.enable_grad():
            with machine.autocast():
                logits = classifier.logits(batch)
            loss = torch.nn.functional.cross_entropy(logits.float(), truth) * (len(part) / len(items))
            if not bool(torch.isfinite(loss)):
                return False
            machine.accelerator.backward(loss)
    weights = [one for group in optimizer.param_groups for one in group["params"]]
    machine.accelerator.clip_grad_norm_(weights, LARGEST_GRADIENT)
    optimizer.step()
    return True


def of_like_length(lengths: Sequence[int]) -> list[Rows]:
    """Return the places of a batch in at most `PARTS` parts that need little padding; their gradients add up.

    Example:
        >>> [part.tolist() for part in of_like_length([30, 9, 10, 8, 9, 31, 8, 10])]
        [[5, 0], [2, 7, 1, 4, 3, 6]]
    """
    order = np.argsort(-np.asarray(lengths), kind="stable").astype(np.int64)
    found: list[Rows] = []
    for part in np.array_split(order, max(1, min(PARTS, len(order) // 2))):
        if found and lengths[part[0]] >= LIKE * lengths[found[-1][0]]:
            found[-1] = np.concatenate([found[-1], part])
        else:
            found.append(part)
    return found


def _batches(places: Rows, size: int) -> list[Rows]:
    """Return batches, without a single remaining row, since batch norms cannot train on one."""
    parts = cut(places, size)
    return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts


def evaluate(classifier: Classifier, data: LabelledRows, machine: Machine) -> Score:
    """Return the score of a classifier, which is left in evaluation mode."""
    return judge(classifier, data, machine)[0]


def judge(classifier: Classifier, data: LabelledRows, machine: Machine) -> tuple[Score, NDArray[np.bool_]]:
    """Return the score of a classifier, and which rows it classifies correctly (N,)."""
    right, loss = np.zeros(len(data.rows), bool), 0.0
    for part, rows in forward(classifier, data.encoded, data.rows, machine, classifier.logits):
        truth = torch.as_tensor(data.codes[part], device=rows.device)
        right[part] = (rows.argmax(1) == truth).cpu().numpy()
        loss += float(torch.nn.functional.cross_entropy(rows, truth, reduction="sum"))
    loss = loss / len(data.rows)
    return Score(int(right.sum()) / len(data.rows), loss if math.isfinite(loss) else math.inf), right


def forward(
    classifier: Classifier,
    encoded: Encoded,
    rows: Rows,
    machine: Machine,
    compute: Callable[[dict[str, Any]], torch.Tensor],
) -> list[tuple[Rows, torch.Tensor]]:
    """Return indices into the rows with the values computed for them, batch by batch, in evaluation mode."""
    backbone, found = classifier.backbone, []
    backbone.module.eval()
    order = np.arange(len(rows))
    if encoded.are_kept(backbone):  # the longest first, so that batches have little padding
        lengths = np.array([backbone.length(item) for item in encoded.items(backbone, rows)])
        order = np.argsort(-lengths, kind="stable").astype(np.int64)
    with torch.no_grad(), memory.kept():
        for part in cut(order, EVALUATED_AT_ONCE):
            with machine.autocast():
                values = compute(classifier.batch(encoded.items(backbone, rows[part])))
            found.append((part, values.float()))
    return found


def features(classifier: Classifier, encoded: Encoded, rows: Rows, machine: Machine) -> torch.Tensor:
    """Return the features of rows in order (N, D), in evaluation mode."""
    parts = forward(classifier, encoded, rows, machine, classifier.features)
    order = torch.as_tensor(np.concatenate([part for part, _ in parts])).argsort()
    return torch.cat([values for _, values in parts])[order.to(parts[0][1].device)]
