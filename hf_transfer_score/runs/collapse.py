"""Collapse of the classes on held-out rows during fine-tuning, in the logs of transformers' Trainer."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_transfer_score.errors import CheckpointError, FeaturesError, OptionError
from hf_transfer_score.metrics.scores import score_features

Array = NDArray[np.float32]

LOG = logging.getLogger(__name__)

PREFIX = "collapse_"
LABELS = ("labels", "label")


class CollapseCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types here
    """Logs the collapse of held-out rows: at the start, every few steps, and at the end.

    `collapse_nc1` is the variance within classes relative to the variance between them, of the features that the
    classifier reads; smaller means more collapse. `collapse_nc1_layer_3` is the same for a layer's mean over tokens or
    positions, where 0 means the embeddings. The terms of FaCe and NCTI have their own names. Training is not affected.

        trainer.add_callback(CollapseCallback(trainer, held_out, every=50))

    Args:
        trainer: the trainer, whose logs get the numbers.
        held_out: labelled rows that are not trained on, like the trainer's `eval_dataset`.
        every: steps between two measurements.
        most_rows: rows to measure at most, drawn at random once.
        seed: of the drawing.
    """

    def __init__(
        self, trainer: Trainer, held_out: Any, *, every: int = 100, most_rows: int = 1000, seed: int = 0
    ) -> None:
        if every < 1 or most_rows < 2:
            raise OptionError(f"every={every}, most_rows={most_rows}: expected at least one step and two rows.")
        if len(held_out) < 2:
            raise OptionError(f"There are {len(held_out)} held-out rows: expected at least two.")
        self.trainer, self.every = trainer, every
        chosen = np.sort(np.random.default_rng(seed).permutation(len(held_out))[:most_rows]).tolist()
        self.rows = held_out.select(chosen) if hasattr(held_out, "select") else Subset(held_out, chosen)
        self._logged: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure before the first step."""
        self._log(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure every few steps."""
        if state.global_step % self.every == 0:
            self._log(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure after the last step."""
        self._log(state)

    def _log(self, state: TrainerState) -> None:
        if self._logged != state.global_step:
            self._logged = state.global_step
            try:
                found = self.measured()
            except FeaturesError as error:  # of a training that diverges, which may still recover
                LOG.warning("The collapse at step %d cannot be measured: %s", state.global_step, error)
            else:
                self.trainer.log(found)

    def measured(self) -> dict[str, float]:
        """Return the collapse of the model as it is now."""
        layers, features, labels = self._passed()
        found = {f"{PREFIX}nc1_layer_{number}": layer for number, layer in enumerate(layers)}
        told = {name: score_features(one, labels, metrics=["nc1"])["nc1"].terms for name, one in found.items()}
        numbers = {name: float(terms["nc1"]) for name, terms in told.items() if "nc1" in terms}
        for name, result in score_features(features, labels, metrics=["nc1", "face", "ncti"]).results.items():
            for term, value in result.terms.items():
                numbers[PREFIX + (term if term == name else f"{name}_{term}")] = float(value)
        return numbers

    def _passed(self) -> tuple[list[Array], Array, NDArray[np.int64]]:
        """Return the features of each layer, those that the classifier reads, and the labels."""
        model, parts = self.trainer.model, []
        with _evaluating(model), _reading(model) as read:
            for batch in self.trainer.get_eval_dataloader(self.rows):
                labels = [batch.pop(name) for name in LABELS if name in batch]
                if not labels:
                    raise OptionError(f"The held-out rows have no {' or '.join(LABELS)}: collapse needs classes.")
                outputs = model(**batch, output_hidden_states=True)
                mask = batch.get("attention_mask")
                states = [_means(one, mask) for one in outputs.hidden_states or ()]
                part = self.trainer.accelerator.gather_for_metrics((*states, _head_rows(read.pop(), mask), labels[0]))
                parts.append([one.cpu().numpy() for one in part])
        joined = [np.concatenate(some) for some in zip(*parts, strict=True)]
        return joined[:-2], joined[-2], joined[-1].reshape(-1).astype(np.int64)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode, and restore its modes and the random state afterwards."""
    before = [(one, one.training) for one in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            yield
    finally:
        for one, training in before:
            one.training = training


@contextmanager
def _reading(model: Any) -> Iterator[list[torch.Tensor]]:
    """Yield a list that gets the input of the model's classifier in each pass."""
    wide = getattr(model.config, "num_labels", None)
    heads = [one for one in model.modules() if isinstance(one, torch.nn.Linear) and one.out_features == wide]
    if not heads:
        raise CheckpointError("unsupported", f"no linear layer of the model has {wide} outputs, one per class")
    read: list[torch.Tensor] = []
    hook = heads[-1].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        yield read
    finally:
        hook.remove()


def _head_rows(states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return what the classifier decides by, one row per example: a decoder's has every token, and the last counts."""
    if states.ndim == 3 and mask is not None and mask.shape == states.shape[:2]:
        last = mask.shape[1] - 1 - mask.long().flip(1).argmax(1)
        return states[torch.arange(len(states), device=states.device), last].float()
    return _means(states, None)


def _means(states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return one row per example: the mean over its tokens (within the mask, if any) or its positions."""
    states = states.float()
    if states.ndim == 4:
        states = states.mean((2, 3))
    elif states.ndim == 3 and mask is not None and mask.shape == states.shape[:2]:
        weights = mask.float()[..., None]
        states = (states * weights).sum(1) / weights.sum(1)
    elif states.ndim == 3:
        states = states.mean(1)
    return states
