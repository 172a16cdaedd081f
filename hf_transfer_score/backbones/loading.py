"""Loading checkpoints from folders: quietly and completely, with every failure as a `CheckpointError`."""

import copy
import logging
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.budgets import check_asked, check_skeleton
from hf_transfer_score.backbones.placing import placed
from hf_transfer_score.backbones.repository import (
    DESCRIPTION,
    PREPROCESSORS,
    check_type_is_text,
    read_description,
    shards_of,
    why_unread,
)
from hf_transfer_score.errors import CheckpointError, FailureKind, TransferScoreError, UnreadableError
from hf_transfer_score.file_heads import CutShortError, Tensor, read_header
from hf_transfer_score.untrusted import LARGE

LIBRARIES = ("transformers", "accelerate", "timm", "sentence_transformers", "torchvision")
DAMAGED = "delete the file and download it again"
OWN_CODE = (
    "needs Python code from its own repository to run; read that code, and if you trust it name this model in "
    "`trust_remote_code`"
)

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
UNKNOWN = ("does not recognize this architecture", "Unrecognized ", "Unknown model")
UNREAD = ("PytorchStreamReader", "central directory")
MISFIT = ("size mismatch", "ignore_mismatched_sizes", "in loading state_dict")
"""Parts of libraries' messages, by their meaning."""

TOKENIZER_LIMITS = replace(LARGE, depth=100, letters=LARGE.size)


@contextmanager
def quietly() -> Iterator[None]:
    """Turn off logs, warnings and progress bars of libraries while they load; for one thread at a time."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in LIBRARIES]
    levels = [logger.level for logger in loggers]
    had_bars, hub_had_bars = transformers_logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if had_bars:
            transformers_logging.enable_progress_bar()  # also enables those of the Hub
        (enable_progress_bars if hub_had_bars else disable_progress_bars)()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def loading_errors(library: str) -> Iterator[None]:
    """Turn whatever a library, by its name on PyPI, raises for a checkpoint into a CheckpointError."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError("corrupt", f"has weights that cannot be read ({one_line(error)}); {DAMAGED}") from error
    except ImportError as error:
        raise CheckpointError("unsupported", f"needs a package that cannot be imported: {one_line(error)}") from error
    except MemoryError as error:
        raise CheckpointError("out_of_memory", "does not fit in memory") from error
    except TransferScoreError:
        raise
    except Exception as error:
        text, line = str(error), one_line(error)
        for words, kind, reason in (
            (NO_MEMORY, "out_of_memory", f"does not fit in memory: {line}"),
            (("trust_remote_code",), "remote_code", OWN_CODE),
            (UNKNOWN, "unsupported", _unknown_architecture(line, library)),
            (UNREAD, "corrupt", f"has weights that cannot be read ({line}); {DAMAGED}"),
            (MISFIT, "corrupt", f"has weights that do not fit its config.json: {line}"),
            (("",), "error", f"cannot be loaded by {_named(library)}: {type(error).__name__}: {line}"),
        ):
            if any(word in text for word in words):
                raise CheckpointError(cast("FailureKind", kind), reason) from error


def _unknown_architecture(what: str, library: str) -> str:
    advice = f"a newer version may know it (pip install --upgrade {library})"
    return f"has an architecture that {_named(library)} does not know: {what}; {advice}"


def _named(library: str) -> str:
    return f"{library} {version(library)}"


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def read_json(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Return the JSON object in a file of a checkpoint, or raise CheckpointError."""
    try:
        content = read_description(folder / name, TOKENIZER_LIMITS if name == "tokenizer.json" else DESCRIPTION)
    except FileNotFoundError as error:
        raise CheckpointError("corrupt", f"has no {name}") from error
    except (UnreadableError, OSError) as error:
        raise CheckpointError("corrupt", f"has a {name} {why_unread(error)}; {DAMAGED}") from error
    if not isinstance(content, dict):
        raise CheckpointError("corrupt", f"has a {name} that is not a JSON object but a {type(content).__name__}")
    return content


def read_modules(folder: Path) -> Any:
    """Return the contents of modules.json, None where there is none; raises CheckpointError."""
    try:
        return read_description(folder / "modules.json")
    except FileNotFoundError:
        return None
    except (UnreadableError, OSError) as error:
        raise CheckpointError("corrupt", f"has a modules.json {why_unread(error)}") from error


def check_preprocessors(folder: Path) -> bool:
    """Refuse preprocessors in a folder whose settings ask for too much; return whether there are any."""
    found = [name for name in PREPROCESSORS if (folder / name).exists()]
    for name in found:
        check_asked(name, read_json(folder, name))
    return bool(found)


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in the model's safetensors, and check them as `weight_headers` does."""
    return {name: tensor.shape for name, tensor in weight_headers(folder).items()}


def weight_headers(folder: Path) -> dict[str, Tensor]:
    """Return each tensor's header in the model's safetensors, and check that the files are complete.

    Only headers are read. Empty where weights are pickled. Raises CheckpointError "corrupt" for a file that is cut
    short or not a safetensors file, and for shards in the index that the folder lacks.
    """
    found: dict[str, Tensor] = {}
    shards = shards_of(folder)
    lacking = [name for name in shards if not (folder / name).exists()]
    if lacking:
        raise CheckpointError("corrupt", f"lacks {_some(lacking, 'files', len(shards))}; download them again")
    for path in sorted({*folder.glob("model*.safetensors"), *(folder / name for name in shards)}):
        try:
            found |= read_header(path)
        except CutShortError as error:
            said = str(error).removeprefix("It has ").rstrip(".")
            raise CheckpointError("corrupt", f"has a {path.name} of {said}; {DAMAGED}") from error
        except UnreadableError as error:
            said = str(error).rstrip(".")
            said = f"that {said[3:]}" if said.startswith("It is") else f"that cannot be read: {said}"
            raise CheckpointError(
                "corrupt", f"has a {path.name} ({path.stat().st_size:,} bytes) {said}; {DAMAGED}"
            ) from error
    return found


def _some(names: Iterable[str], what: str, total: int) -> str:
    listed = sorted(names)
    shown = ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
    return f"{len(listed)} of {total} {what}: {shown}"


def lacking_weights(names: Iterable[str], total: int) -> CheckpointError:
    """Return the error for a checkpoint that lacks some of its model's weights."""
    lacking = _some(names, "weights", total)
    return CheckpointError("corrupt", f"lacks {lacking}; features of random weights would mean nothing")


@dataclass(frozen=True)
class LoadedModel:
    """A model of transformers, and the names of weights that the checkpoint lacks, which are random now."""

    model: Any
    missing: frozenset[str]

    def require(self, optional: Callable[[str], bool] = lambda _: False) -> None:
        """Raise CheckpointError "corrupt" if weights are missing, unless their names are `optional`."""
        lacking = [name for name in self.missing if not optional(name)]
        if lacking:
            raise lacking_weights(lacking, len(self.model.state_dict()))


def from_folder(auto_class: Any, folder: Path, options: BackboneOptions) -> Any:
    """Load a folder by an Auto class of transformers, other than one for models; raises CheckpointError."""
    with quietly(), loading_errors("transformers"):
        return auto_class.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=options.trust_remote_code
        )


def load_config(folder: Path, options: BackboneOptions) -> Any:
    """Return the configuration object of transformers for a folder, or raise CheckpointError."""
    content = read_json(folder)
    check_model_type(content, options)
    check_asked("config.json", content, len(weight_shapes(folder)))
    from transformers import AutoConfig

    config: Any = from_folder(AutoConfig, folder, options)
    for part in filter(None, (config, getattr(config, "backbone_config", None))):
        if getattr(part, "use_pretrained_backbone", False):
            part.use_pretrained_backbone = False  # its weights are here; older versions fetch others first
    return config


def check_model_type(config: dict[str, Any], options: BackboneOptions) -> None:
    """Raise CheckpointError for an architecture that transformers does not have, from config.json alone."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    check_type_is_text(config)
    model_type = config.get("model_type")
    if model_type in CONFIG_MAPPING_NAMES or (config.get("auto_map") and options.trust_remote_code):
        return
    if config.get("auto_map"):
        raise CheckpointError("remote_code", OWN_CODE)
    raise CheckpointError("unsupported", _unknown_architecture(f"model_type {model_type!r}", "transformers"))


def load_transformers(model_class: Any, folder: Path, config: Any, options: BackboneOptions) -> LoadedModel:
    """Return a model of transformers from a folder, in evaluation mode.

    It is in float32 and on the CPU, unless the options place its weights. The class may be an Auto class or a model's
    own; the configuration comes from `load_config`, or is a part of that.
    """
    only_auto = {"trust_remote_code": options.trust_remote_code} if hasattr(model_class, "_model_mapping") else {}

    def skeleton() -> Any:
        own = copy.deepcopy(config)
        return model_class.from_config(own, **only_auto) if only_auto else model_class(own)

    headers = weight_headers(folder)
    shapes = {name: tensor.shape for name, tensor in headers.items()}
    with quietly(), loading_errors("transformers"):
        check_skeleton(skeleton, shapes)
        load = partial(
            model_class.from_pretrained,
            str(folder),
            config=config,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=None if options.allow_pickle else True,
            **only_auto,
        )
        where: Any = {name: getattr(options, name) for name in ("quantize", "device_map", "half")}
        model, info = placed(load, {tensor.kind for tensor in headers.values()}, **where)
    return LoadedModel(model, frozenset(info["missing_keys"]))


def has_head(config: Any, endings: tuple[str, ...]) -> bool:
    """Whether a configuration names a head with exclusive classes, by the ending of its class name.

    Heads for regression and for several labels at once do not count: their outputs are not probabilities of classes.
    """
    several = getattr(config, "problem_type", None) in ("regression", "multi_label_classification")
    named = any(name.endswith(endings) for name in getattr(config, "architectures", None) or ())
    return named and not several and int(getattr(config, "num_labels", 0)) > 1


def head_modules(whole: Any, body: Any) -> list[Any]:
    """Return the modules of a model that contain nothing of its body: its head."""
    inside = set(body.modules())
    return [one for one in whole.modules() if not inside & set(one.modules()) and any(True for _ in one.parameters())]
