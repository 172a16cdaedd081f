"""The winner's weights as a checkpoint of its own library: the fine-tuned body with the new head."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.home import room_for, write_text
from hf_transfer_score.text import json_text

if TYPE_CHECKING:
    import torch

    from hf_transfer_score.choosing.result import Choice
    from hf_transfer_score.choosing.terms import Arm
    from hf_transfer_score.choosing.trainer import Trainer

HEAD, ABOUT, SCRIPT = "classifier.safetensors", "choice.json", "train.py"
SMALL = (".json", ".txt", ".model", ".vocab")


def save_winner(choice: Choice, trainer: Trainer, arm: Arm, folder: Path) -> Path:
    """Write the fine-tuned winner, a script that repeats its training, and a description into a folder.

    The head is folded into one linear layer on the features. If the checkpoint has a head of its own in that place, it
    is replaced, so that `from_pretrained` or `timm.create_model` load a whole classifier; else the head is written
    separately as `classifier.safetensors` (weight (K, D), bias (K,)).
    """
    from safetensors.torch import save_file

    from hf_transfer_score.finetune.adapters import merge_adapters

    built, _ = trainer.best_state(arm)
    weight, bias = _folded(built.classifier)
    module, names = built.classifier.backbone.module, _names(choice, len(bias))
    if built.trained.adapters is not None:
        merge_adapters(module)
    with room_for("the model", folder):
        folder.mkdir(parents=True, exist_ok=True)
        _copy_small(trainer.finalists[arm.name].folder(), folder)
        heads = getattr(built.classifier.backbone, "source_heads", ())
        native = built.classifier.skip is None and _put_head(module, heads, weight, bias)
        _save_body(module, folder, names if native else None)
        if not native:
            save_file({"weight": weight, "bias": bias}, folder / HEAD)
    about = choice.as_dict()
    about.pop("ranking")
    write_text(folder / ABOUT, json_text({**about, "classes": names, "whole_classifier": native}))
    write_text(folder / SCRIPT, choice.script)
    return folder


def _folded(classifier: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (K, D) and bias (K,) of the head on features without shift and scale."""
    weight = (classifier.head.weight / classifier.scale).detach().cpu().contiguous()
    bias = (classifier.head.bias.detach().cpu() - weight @ classifier.centre.cpu()).contiguous()
    return weight, bias


def _names(choice: Choice, classes: int) -> list[str]:
    """Return the names of the classes in the order of the head's outputs."""
    sample = choice.ranking.sample
    known = sorted(set(sample.labels.tolist())) if sample.labels is not None else list(range(classes))
    named = sample.label_names
    return [named[code] if named else str(code) for code in known]


def _put_head(module: Any, heads: Any, weight: torch.Tensor, bias: torch.Tensor) -> bool:
    """Replace the checkpoint's own head, and return whether there was one that fits."""
    import torch

    own = [name for name, one in module.named_modules() if any(one is head for head in heads)]
    if len(own) != 1:
        return False
    old = module.get_submodule(own[0])
    if not isinstance(old, torch.nn.Linear) or old.in_features != weight.shape[1]:
        return False
    head = torch.nn.Linear(weight.shape[1], len(bias))
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    parent, _, last = own[0].rpartition(".")
    setattr(module.get_submodule(parent), last, head.to(old.weight.device))
    return True


def _save_body(module: Any, folder: Path, names: list[str] | None) -> None:
    """Write a network as its library does; with names as a whole classifier of these classes."""
    from safetensors.torch import save_file

    if hasattr(module, "save_pretrained"):
        if names is not None:
            module.config.id2label = dict(enumerate(names))
            module.config.label2id = {name: number for number, name in enumerate(names)}
        module.save_pretrained(folder)
    elif hasattr(module, "pretrained_cfg"):
        import timm

        if names is not None:
            module.num_classes = len(names)
        config = {} if names is None else {"num_classes": len(names), "label_names": names}
        timm.models.save_for_hf(module, str(folder), model_config=config, safe_serialization=True)
    else:
        state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
        save_file(state, folder / "model.safetensors")


def _copy_small(source: Path, folder: Path) -> None:
    """Copy the configuration of a checkpoint, and how its inputs are prepared."""
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix in SMALL:
            shutil.copyfile(path, folder / path.name)
