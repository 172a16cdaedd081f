"""Models in memory as candidates: objects of timm, transformers and sentence-transformers, and any torch module.

The object itself is never run or changed. A model of transformers or sentence-transformers is saved by its library into
a folder that lasts as long as the run; any other is copied. A fingerprint of its weights identifies it: a second call
finds the features of the same model, but not those of one that was trained in between.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Literal
from weakref import WeakValueDictionary, finalize

from hf_transfer_score.errors import CheckpointError, OptionError

Form = Literal["timm", "transformers", "sentence-transformers", "module"]

MARK = "hf_transfer_score_held"
"""The key in the config.json of a folder that stands for a model in memory."""

ACCEPTED = (
    "an id or a folder, a model of timm, transformers or sentence-transformers, (model, processor), or "
    "(name, module, transform)"
)
NO_PROCESSOR = (
    "came without a processor for its inputs, and its configuration names no checkpoint that has one: pass it with the "
    "model, as (model, processor) or (model, tokenizer)"
)
AUTO = ("AutoTokenizer", "AutoImageProcessor", "AutoFeatureExtractor")

_held: WeakValueDictionary[str, InMemoryModel] = WeakValueDictionary()


def is_module(thing: Any) -> bool:
    """Whether something is a torch module, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def is_in_memory(thing: Any) -> bool:
    """Whether something is one model in memory, alone or with its name or its processor.

    Example:
        >>> is_in_memory("owner/name"), is_in_memory(("owner/name", "owner/other"))
        (False, False)
    """
    if isinstance(thing, tuple):
        first = thing[1:] if thing and isinstance(thing[0], str) else thing
        return 2 <= len(thing) <= 3 and is_module(first[0]) and not any(map(_has_weights, first[1:]))
    return isinstance(thing, InMemoryModel) or is_module(thing)


def _has_weights(thing: Any) -> bool:
    """Whether something is a model rather than a transform, which may be a torch module too."""
    return is_module(thing) and next(iter(thing.parameters()), None) is not None


def in_memory_model(thing: Any) -> InMemoryModel:
    """Return a model in memory as a candidate; raises OptionError for anything else, and for an incomplete tuple."""
    if isinstance(thing, InMemoryModel):
        return thing
    if not is_in_memory(thing):
        raise OptionError(f"A model of type {type(thing).__name__} was passed; expected {ACCEPTED}.")
    parts = list(thing) if isinstance(thing, tuple) else [thing]
    name = parts.pop(0) if isinstance(parts[0], str) else None
    if not is_module(parts[0]) or len(parts) > 2:
        kinds = ", ".join(type(one).__name__ for one in thing)
        raise OptionError(f"A model was passed as ({kinds}); expected {ACCEPTED}.")
    module, processor = parts[0], parts[1] if len(parts) > 1 else None
    form = form_of(module)
    if form == "module" and (not name or not callable(processor)):
        raise OptionError(
            f"A {type(module).__name__} is a module of no known library: pass it as (name, module, transform), where "
            "the transform turns an image into a tensor, or a list of texts into tensors."
        )
    return InMemoryModel(name or name_of(module, form), module, processor, form)


def form_of(module: Any) -> Form:
    """Return the library of a model; a user's own subclass counts as a module."""
    kind = type(module)
    room = kind.__module__.partition(".")[0]
    if room == "timm" and hasattr(module, "pretrained_cfg"):
        return "timm"
    if room == "transformers" and hasattr(module, "save_pretrained"):
        return "transformers"
    return "sentence-transformers" if room == "sentence_transformers" else "module"


def name_of(module: Any, form: Form) -> str:
    """Return a name for a model that came without one: the name it was loaded by, else its class."""
    if form == "timm":
        about = module.pretrained_cfg or {}
        return ".".join(str(about[key]) for key in ("architecture", "tag") if about.get(key)) or type(module).__name__
    inner = module[0].auto_model if form == "sentence-transformers" else module
    source = str(getattr(inner.config, "_name_or_path", "") or "")
    return Path(source).name or type(inner).__name__


class InMemoryModel:
    """A model in memory: the user's own module, which is only read, and its processor, tokenizer or transform, if any.

    Without one, the processor is that of the checkpoint that its configuration names.
    """

    def __init__(self, name: str, module: Any, processor: Any, form: Form) -> None:
        self.name, self.module, self.processor, self.form = name, module, processor, form

    def __str__(self) -> str:
        return self.name

    @property
    def parameters(self) -> int:
        """How many parameters it has."""
        return sum(one.numel() for one in self.module.parameters())

    @cached_property
    def fingerprint(self) -> str:
        """40 hexadecimal digits that change with the weights, the structure, and what prepares the inputs."""
        from hashlib import sha1

        parts = self._structure(), self._code(), self._prepared(), self._weights()
        found = f"{self.form} {type(self.module).__qualname__} {' '.join(parts)}"
        return sha1(found.encode(), usedforsecurity=False).hexdigest()

    def _weights(self) -> str:
        import torch
        import xxhash

        digest = xxhash.xxh3_128()
        for name, value in (*self.module.named_parameters(), *self.module.named_buffers()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            if value.numel() and not value.is_meta:
                whole = value.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
                digest.update(memoryview(whole.numpy()))
        return digest.hexdigest()

    def _structure(self) -> str:
        about: Any = getattr(self.module, "config", None) or getattr(self.module, "pretrained_cfg", None)
        config = about.to_json_string() if hasattr(about, "to_json_string") else str(about)
        return f"{self.module!r} {config}"

    def _code(self) -> str:
        """Return what identifies the code of modules of no library, and their settings; else as `_prepared`."""
        if self.form != "module":
            return ""
        own = [one for one in self.module.modules() if not type(one).__module__.startswith("torch.")]
        codes = [
            (name, _plain_code(function.__code__))
            for kind in dict.fromkeys(kind for one in own for kind in type(one).__mro__)
            if kind.__module__.partition(".")[0] not in ("torch", "builtins")
            for name, function in vars(kind).items()
            if isinstance(function, FunctionType)
        ]
        settings = [
            {name: value for name, value in vars(one).items() if name[0] != "_" and name != "training"} for one in own
        ]
        with suppress(Exception):
            from datasets.fingerprint import Hasher

            return f"{codes} {Hasher.hash(settings)}"
        return uuid.uuid4().hex

    def _prepared(self) -> str:
        """Return what identifies the processor; something new each time where that is not possible."""
        if self.processor is None:
            config = getattr(self.module, "config", None)
            return f"{getattr(config, '_name_or_path', '')} {getattr(config, '_commit_hash', '')}"
        with suppress(Exception):
            from datasets.fingerprint import Hasher

            return f"{type(self.processor).__qualname__} {Hasher.hash(self.processor)}"
        return uuid.uuid4().hex

    @cached_property
    def folder(self) -> Path:
        """A folder that it can be loaded from, written when first needed; raises CheckpointError where it cannot be."""
        place = Path(tempfile.mkdtemp(prefix="hf-transfer-score-model-"))
        finalize(self, shutil.rmtree, place, ignore_errors=True)
        self._write(place)
        return place

    def _write(self, folder: Path) -> None:
        if any(one.is_meta for one in self.module.parameters()):
            raise CheckpointError("unsupported", "is on the meta device, where weights have no values: load them")
        if self.form in ("timm", "module"):
            _held[self.fingerprint] = self
            about = {MARK: self.fingerprint, "form": self.form}
            (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
            return
        from hf_transfer_score.backbones.loading import quietly

        try:
            with _unchanged(self.module), quietly():
                if self.form == "transformers":
                    _check_structure(self.module)
                self.module.save_pretrained(str(folder))
        except CheckpointError:
            raise
        except Exception as error:  # whatever a library raises is the failure of this model
            raise CheckpointError("unsupported", f"cannot be saved by {self.form}: {error}") from error
        if self.form == "transformers":
            self._write_processors(folder)

    def _write_processors(self, folder: Path) -> None:
        if self.processor is not None:
            if not hasattr(self.processor, "save_pretrained"):
                raise CheckpointError("no_preprocessor", f"came with a {type(self.processor).__name__}: {NO_PROCESSOR}")
            self.processor.save_pretrained(str(folder))
            return
        import transformers

        from hf_transfer_score.backbones.loading import quietly

        source, found = str(getattr(self.module.config, "_name_or_path", "") or ""), False
        for name in AUTO if source else ():
            with suppress(Exception), quietly():  # most checkpoints have just one of them
                getattr(transformers, name).from_pretrained(source).save_pretrained(str(folder))
                found = True
        if not found:
            raise CheckpointError("no_preprocessor", NO_PROCESSOR)


def model_of_fingerprint(fingerprint: str) -> InMemoryModel:
    """Return the model in memory that a folder stands for; other processes do not have it."""
    found = _held.get(fingerprint)
    if found is None:
        raise CheckpointError("missing", "was in the memory of a process that has ended; pass the model again")
    return found


def _plain_code(code: CodeType) -> str:
    """Return what a function does, wherever it stands in its file."""
    constants = [_plain_code(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


@contextmanager
def _unchanged(module: Any) -> Iterator[None]:
    """Restore a model's configurations after a library saved it: some libraries change them."""
    configs = {
        id(one.config): one.config for one in module.modules() if hasattr(getattr(one, "config", None), "to_dict")
    }
    before = [(one, deepcopy(vars(one))) for one in configs.values()]
    try:
        yield
    finally:
        for config, values in before:
            vars(config).clear()
            vars(config).update(values)


def _check_structure(module: Any) -> None:
    """Raise CheckpointError where a model has other layers than its class builds from its configuration."""
    import torch

    with torch.device("meta"):
        fresh = type(module)(deepcopy(module.config))
    if set(fresh.state_dict()) != set(module.state_dict()):
        raise CheckpointError(
            "unsupported",
            "has other layers than its class builds from its configuration, such as adapters: merge them, or pass "
            "(name, model, transform)",
        )


def without_own_hooks(module: Any) -> Any:
    """Return a copy of a module in evaluation mode and float32, without its user's hooks."""
    copied = deepcopy(module)
    for one in copied.modules():
        for hooks in (one._forward_hooks, one._forward_pre_hooks, one._backward_hooks):
            for key in [key for key, hook in hooks.items() if not _is_of_torch(hook)]:
                del hooks[key]
    for parameter in copied.parameters():  # modules of TorchScript have no `requires_grad_` of their own
        parameter.requires_grad_(True)
    return copied.float().eval()


def _is_of_torch(hook: Callable[..., Any]) -> bool:
    """Whether a hook is part of the network, such as weight norm."""
    return (getattr(hook, "__module__", None) or type(hook).__module__).partition(".")[0] == "torch"
