"""Adapters as peft saves them, for bases as transformers saves them; some of them broken."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.spoil import edit_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LAYERS = ["query", "value"]


def write_adapter(folder: Path, base: Path, name: str, auto: str = "AutoModel", **settings: Any) -> Any:
    """Write an adapter with random weights, for a base of that name on the Hub; return the model of peft."""
    import transformers

    peft = pytest.importorskip("peft", reason="peft is not installed: pip install 'hf-transfer-score[lora]'")

    how: dict[str, Any] = {"target_modules": LAYERS, "r": 3, "lora_alpha": 12, **settings}
    labels = {"num_labels": how.pop("num_labels")} if "num_labels" in how else {}
    loaded = getattr(transformers, auto).from_pretrained(base, ignore_mismatched_sizes=True, **labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft uses deprecated names of transformers
        model = peft.get_peft_model(loaded, peft.LoraConfig(**how))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for key, one in model.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                torch.nn.init.normal_(one, std=0.3)
    model.save_pretrained(folder)
    edit_settings(folder, base_model_name_or_path=name)
    return model.eval()


def edit_settings(folder: Path, **changes: Any) -> Path:
    return edit_json(folder / CONFIG, **changes)


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    changed = {key: value.contiguous() for key, value in change(load_file(folder / WEIGHTS)).items()}
    save_file(changed, folder / WEIGHTS)
    return folder
