"""Checkpoints that cannot be scored, one for each reason."""

import json
from collections.abc import Callable
from typing import Any

from tests.hub.server import LocalHub
from tests.runs.pool import again, change_weights

TINY_CODE = """
import time

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling


class TinyConfig(PretrainedConfig):
    model_type = "tiny_of_its_own"


class TinyModel(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(3, 4)
        self.post_init()

    def forward(self, pixel_values, **more):
        time.sleep(SECONDS)
        rows = self.layer(pixel_values.mean((2, 3)))
        return BaseModelOutputWithPooling(last_hidden_state=rows[:, None], pooler_output=rows)
"""


def add_bad(hub: LocalHub) -> None:
    again(hub, "bad/gated", gated=True)
    again(hub, "bad/private", private=True)
    again(hub, "bad/disabled", disabled=True)
    again(hub, "bad/large", parameters=7_000_000_000)
    _edit(hub, "bad/truncated", weights=lambda content: content[: len(content) // 2])
    _edit(hub, "bad/header", weights=lambda content: b"\x10\0\0\0\0\0\0\0{not a header}}}" + content[40:])
    _edit(hub, "bad/config", config=lambda _: "{ not json")
    _without(hub, "bad/no-config", "config.json")
    _without(hub, "bad/no-processor", "preprocessor_config.json", like="good/vit")
    _without(hub, "bad/no-weights", "model.safetensors")
    _config(hub, "bad/unknown-timm", architecture="resnet_of_the_future")
    _config(hub, "bad/unknown", like="good/vit", model_type="frobnicator", architectures=["FrobnicatorModel"])
    change_weights(
        again(hub, "bad/nan", "good/vit"),
        lambda weights: {name: value * float("nan") for name, value in weights.items()},
    )
    lacking = again(hub, "bad/lacking", "good/vit")
    change_weights(
        lacking,
        lambda weights: {
            name: value for name, value in weights.items() if "layer.1" not in name and "layers.1" not in name
        },
    )
    hub.add(
        "bad/adapter",
        {"adapter_config.json": '{"base_model_name_or_path": "good/vit"}', "adapter_model.safetensors": "x"},
    )
    hub.add("bad/empty", {})
    hub.add("bad/strange", {"config.json": '{"model_type": ["vit"]}', "model.safetensors": "x"})
    hub.add("bad/keras", {"config.json": '{"model_type": "vit"}', "preprocessor_config.json": "{}", "tf_model.h5": "x"})
    for name in ("bad/pickled", "fair/pickled"):
        _pickled(hub, name)
    for name in ("bad/remote", "fair/remote"):
        add_own_code(hub, name)


def _edit(
    hub: LocalHub,
    name: str,
    *,
    weights: Callable[[bytes], bytes] | None = None,
    config: Callable[[str], str] | None = None,
) -> None:
    folder = again(hub, name)
    if weights is not None:
        path = folder / "model.safetensors"
        path.write_bytes(weights(path.read_bytes()))
    if config is not None:
        path = folder / "config.json"
        path.write_text(config(path.read_text()))


def _without(hub: LocalHub, name: str, file: str, like: str = "good/resnet") -> None:
    (again(hub, name, like) / file).unlink()


def _config(hub: LocalHub, name: str, like: str = "good/resnet", **settings: Any) -> None:
    folder = again(hub, name, like)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def _pickled(hub: LocalHub, name: str) -> None:
    import torch
    from safetensors.torch import load_file

    folder = again(hub, name, "good/vit")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def add_own_code(hub: LocalHub, name: str, seconds: float = 0.0) -> None:
    """Add a checkpoint with code of its own, which waits for so long in each forward pass."""
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    folder = again(hub, name, "good/vit")
    config = {
        "model_type": "tiny_of_its_own",
        "architectures": ["TinyModel"],
        "auto_map": {"AutoConfig": "tiny.TinyConfig", "AutoModel": "tiny.TinyModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tiny.py").write_text(TINY_CODE.replace("SECONDS", str(seconds)))
    weights = {"layer.weight": rng.normal(size=(4, 3)).astype("f4"), "layer.bias": np.zeros(4, "f4")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
