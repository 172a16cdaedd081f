"""A checkpoint reaches its own files only: looked at before any library opens its folder.

Libraries follow what a checkpoint's files say: a map of weights names files to open, a tokenizer names its vocabulary,
an adapter names another model, and links lead anywhere. What is followed is listed here; the rest is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.integrity import FOLDERS_VARIABLE, homes_of
from hf_transfer_score.untrusted import LARGE, parse_json

MAPS = {"model.safetensors.index.json": ".safetensors", "pytorch_model.bin.index.json": ".bin"}
"""Files that say which file holds which weight, with the ending of those that they may name."""

PROCESSORS = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
"""Descriptions that may name Python code."""

UNUSED = ("special_tokens_map_file",)
"""Settings of a tokenizer that name a file which no version opens."""


def check_own_files(folder: Path, *, allow_pickle: bool = False, trust_remote_code: bool = False) -> None:
    """Raise CheckpointError where files in a folder lead out of it, by a link or by what they say.

    Args:
        folder: the checkpoint.
        allow_pickle: whether pickled weights may be opened, so that their map counts too.
        trust_remote_code: whether Python code may run, which has to be the checkpoint's own then.
    """
    _check_links(folder)
    for place in _folders_of(folder):
        shards_of(place, allow_pickle=allow_pickle)
        _check_tokenizer(place, folder)
        _check_adapter(place)
        if trust_remote_code:
            _check_code(place)


def _check_links(folder: Path) -> None:
    homes = homes_of(folder)
    for path in _entries(folder):
        real, shown = path.resolve(), path.relative_to(folder)
        if not any(real.is_relative_to(home) for home in homes):
            raise CheckpointError(
                "corrupt",
                f"holds {shown}, a link out of its folder, which is not followed; copy the file there, or name the "
                f"folder it lies in in {FOLDERS_VARIABLE}",
            )
        mode = real.stat().st_mode if real.exists() else stat.S_IFREG
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise CheckpointError("corrupt", f"holds {shown}, which is no regular file")


def _entries(folder: Path) -> Iterator[Path]:
    """Yield files and links below a folder; what begins with a dot belongs to tools, and is read by nobody here."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in [*links, *files] if not name.startswith("."))


def _folders_of(folder: Path) -> list[Path]:
    """Return the folder and those within that hold a part of the checkpoint."""
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))]


def shards_of(folder: Path, *, allow_pickle: bool = False) -> list[str]:
    """Return the files that the map of weights in a folder names, sorted; empty without a map that is read.

    Raises:
        CheckpointError: it is no map, or it names something else than plain files of its own kind beside it.
    """
    for index, ending in MAPS.items():
        if (folder / index.removesuffix(".index.json")).exists():
            return []  # one file with everything goes first
        if (folder / index).exists() and (ending == ".safetensors" or allow_pickle):
            return _named_shards(_object(folder / index), index, ending)
    return []


def _named_shards(content: Mapping[str, Any], index: str, ending: str) -> list[str]:
    weights = content.get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise CheckpointError("corrupt", f"has a {index} without a map of weights")
    names = set(map(str, weights.values()))
    wrong = sorted(name for name in names if not (_is_plain(name) and name.endswith(ending)))
    if wrong:
        raise CheckpointError(
            "corrupt", f"has a {index} that names {wrong[0][:200]!r}; expected *{ending} files beside it, nothing else"
        )
    return sorted(names)


def _is_plain(name: str) -> bool:
    """Whether a name is one of a file in the same folder."""
    return Path(name).name == name and not name.startswith(".") and not {"/", "\\", "\0", ":"} & set(name)


def _check_tokenizer(folder: Path, checkpoint: Path) -> None:
    settings = _object(folder / "tokenizer_config.json")
    if settings.get("init_inputs"):
        raise CheckpointError("unsupported", "has a tokenizer_config.json with positional arguments (init_inputs)")
    versions = settings.get("fast_tokenizer_files") or []
    if not isinstance(versions, list) or not all(isinstance(one, str) and _is_plain(one) for one in versions):
        raise CheckpointError("corrupt", "has a tokenizer_config.json that names tokenizers outside its folder")
    for key, value in settings.items():
        if key.endswith("_file") and key not in UNUSED and isinstance(value, str) and _leads_out(value, checkpoint):
            raise CheckpointError(
                "corrupt", f"has a tokenizer_config.json that names a file outside its folder ({key}: {value[:200]!r})"
            )


def _leads_out(value: str, checkpoint: Path) -> bool:
    """Whether a path leads to a file that is there, and not one of the checkpoint's."""
    try:
        real = Path(value).expanduser().resolve()
        return real.exists() and not real.is_relative_to(checkpoint.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def _check_adapter(folder: Path) -> None:
    """Refuse an adapter where transformers would load it, and with it the model that it names."""
    if (folder / "adapter_config.json").exists() and find_spec("peft") is not None:
        raise CheckpointError(
            "unsupported",
            "holds an adapter beside its weights (adapter_config.json), which names another model; merge it and save "
            "the whole, or rank its base model instead",
        )


def _check_code(folder: Path) -> None:
    for name in PROCESSORS:
        found = _object(folder / name).get("auto_map")
        if any("--" in one for one in _texts(found)):
            raise CheckpointError(
                "remote_code", f"names Python code of another repository in its {name}, which is not run: copy it here"
            )


def _texts(value: Any) -> Iterator[str]:
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        yield value
    for one in inside:
        yield from _texts(one)


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, empty where there is none; what is no JSON is told by whoever needs it."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            content = file.read(LARGE.size + 1)
        found = parse_json(content, what=path.name, limit=LARGE, lenient=True)
    except UnreadableError as error:
        raise CheckpointError("corrupt", f"has a {path.name} that cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}
