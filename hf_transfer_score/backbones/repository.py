"""A checkpoint's repository as its own files describe it, before anything large is downloaded.

A checkpoint may only use its own files, which is checked before any library opens its folder. Libraries follow what
files say: an index names weight files, a tokenizer names its vocabulary, an adapter names another model, and links lead
anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.integrity import FOLDERS_VARIABLE, homes_of
from hf_transfer_score.untrusted import LARGE, Limits, parse_json, reason_of

DESCRIPTIVE_FILES = (
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "preprocessor_config.json",
    "processor_config.json",
    "adapter_config.json",
    "model_index.json",
)
"""Small files that are read before the plan is shown; they decide the kind of backbone."""

DESCRIPTION = Limits(size=16_000_000, depth=100, values=1_000_000, letters=16_000_000)
"""Limits of such a file; one with the names of twenty thousand classes has a tenth of that."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf", ".tflite")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")

INDICES = {"model.safetensors.index.json": ".safetensors", "pytorch_model.bin.index.json": ".bin"}
"""Files that say which file holds which weight, with the ending of the files that they may name."""

PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
MAY_NAME_CODE = ("config.json", "tokenizer_config.json", *PREPROCESSORS)

UNUSED = ("special_tokens_map_file",)
"""Settings of a tokenizer that name a file which no version opens."""


def pickle_only(what: str, name: str) -> CheckpointError:
    """Return the error for a model with only pickled weights, which are not allowed."""
    return CheckpointError(
        "pickle_only",
        f"{what} only pickled weights, and a pickle can run any code when it is loaded; if you trust its author, name "
        f"{name} in `allow_pickle`, or ask for safetensors",
    )


@dataclass(frozen=True)
class Repository:
    """The files of a checkpoint, on the Hub or in a folder, by their names, which have slashes in subfolders."""

    name: str  # the id or folder, for messages
    sizes: Mapping[str, int | None]  # bytes, None where unknown
    descriptions: Mapping[str, Any] = field(default_factory=dict)  # contents of the DESCRIPTIVE_FILES that are there
    library: str | None = None  # according to the Hub, only a hint
    tags: tuple[str, ...] = ()  # on the Hub
    hashes: Mapping[str, str] = field(default_factory=dict)  # on the Hub: sha256 of large files, git's of the others
    unread: Mapping[str, str] = field(default_factory=dict)  # why descriptions could not be read

    @classmethod
    def from_folder(cls, folder: Path) -> Repository:
        """Describe a local folder."""
        sizes = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        }
        descriptions, unread = read_descriptions({name: folder / name for name in DESCRIPTIVE_FILES if name in sizes})
        return cls(str(folder), sizes, descriptions, unread=unread)

    def __contains__(self, name: str) -> bool:
        return name in self.sizes

    @property
    def config(self) -> dict[str, Any]:
        """The contents of config.json, empty where there is none."""
        config = self.descriptions.get("config.json")
        return config if isinstance(config, dict) else {}

    @property
    def is_checkpoint(self) -> bool:
        """Whether it holds anything of a checkpoint: a description, or weights of any framework."""
        return any(name in self.sizes for name in DESCRIPTIVE_FILES) or self._has("", WEIGHT_ENDINGS)

    @property
    def code(self) -> list[str]:
        """The Python files."""
        return [name for name in self.sizes if name.endswith(".py")]

    def bytes_of(self, names: Iterable[str]) -> int:
        """Return the bytes of some files, as far as they are known."""
        return sum(self.sizes.get(name) or 0 for name in names)

    def weights(self, *, allow_pickle: bool = False, folder: str = "") -> list[str]:
        """Return the weight files in a subfolder such as "0_Transformer/"; pickled ones only if allowed and needed."""
        for name in (*WEIGHTS, *(PICKLED_WEIGHTS if allow_pickle else ())):
            if folder + name in self.sizes:
                stem, ending = name.removesuffix(".index.json").rsplit(".", 1)
                parts = [one for one in self.sizes if one.startswith(f"{folder}{stem}-") and one.endswith(f".{ending}")]
                return [folder + name, *(parts if name.endswith(".index.json") else ())]
        if any(folder + name in self.sizes for name in PICKLED_WEIGHTS) or self._has(folder, (".bin", ".pt", ".pth")):
            raise pickle_only("has", self.name)
        if self._has(folder, (".h5", ".msgpack", ".onnx", ".gguf", ".tflite")):
            raise CheckpointError("unsupported", "has weights only for other frameworks, none for PyTorch")
        raise CheckpointError("corrupt", "has no weights: there is no model.safetensors among its files")

    def _has(self, folder: str, endings: tuple[str, ...]) -> bool:
        return any(name.startswith(folder) and name.endswith(endings) for name in self.sizes)

    def small_files(self, folder: str | None = None) -> list[str]:
        """Return configurations, vocabularies and merges: at the top level, or anywhere below a subfolder."""
        return [
            name
            for name in self.sizes
            if (name.startswith(folder) if folder else "/" not in name)
            and name.endswith((".json", ".txt", ".model", ".jinja"))
            and ".index." not in name
        ]

    def why_unknown(self) -> str:
        """Return why no kind of backbone claims this repository."""
        if not self.sizes:
            return "is empty: there are no files in it"
        if self.unread:
            return " ".join(("has a", *next(iter(self.unread.items()))))
        if "adapter_config.json" in self:
            return (
                "holds an adapter, and adapters are only read from the Hub; name it there (OWNER/NAME), or merge it "
                "into its base model and save the result (merge_and_unload, then save_pretrained)"
            )
        if "model_index.json" in self:
            return "is a diffusion pipeline, which has no single backbone to read features from"
        if "config.json" not in self:
            return "has no config.json, so its architecture is unknown"
        if not isinstance(self.descriptions.get("config.json"), dict):
            return "has a config.json that is not a JSON object"
        what = self.config.get("model_type") or self.config.get("architecture") or self.config.get("architectures")
        if not what:
            return "has a config.json that names no architecture"
        return f"is of a kind that no backbone here knows: {what!r}"


def check_type_is_text(config: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the model_type of a config.json is not text."""
    found = config.get("model_type")
    if not isinstance(found, (str, type(None))):
        raise CheckpointError("corrupt", f"has a config.json whose model_type is not text but a {type(found).__name__}")


def read_descriptions(places: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the contents of descriptive files by name, and why others cannot be read."""
    found, unread = {}, {}
    for name, path in places.items():
        try:
            found[name] = read_description(path)
        except (UnreadableError, OSError) as error:
            unread[name] = why_unread(error)
    return found, unread


def read_description(path: Path, limit: Limits = DESCRIPTION) -> Any:
    """Return the contents of a small JSON file, reading no more than the limit; raises UnreadableError."""
    with path.open("rb") as file:
        return parse_json(file.read(limit.size + 1), what="it", limit=limit, lenient=True)


def why_unread(error: UnreadableError | OSError) -> str:
    """Return what is wrong with a file, as a clause that follows its name."""
    reason = reason_of(error).rstrip(".")
    return f"that {reason[3:]}" if reason.startswith("It ") else f"that cannot be read: {reason}"


def check_own_files(folder: Path, *, allow_pickle: bool = False, trust_remote_code: bool = False) -> None:
    """Raise CheckpointError where files in a folder lead out of it, by a link or by their contents.

    The index of pickles is checked where these may be opened, and code that may run must be the checkpoint's own.
    """
    _check_links(folder)
    parts = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for place in (folder, *parts):
        shards_of(place, allow_pickle=allow_pickle)
        _check_tokenizer(place, folder)
        if (place / "adapter_config.json").exists() and find_spec("peft") is not None:  # transformers would load it
            raise CheckpointError(
                "unsupported",
                "holds an adapter beside its weights (adapter_config.json), which names another model; merge it and "
                "save the result, or rank its base model instead",
            )
        for name in MAY_NAME_CODE if trust_remote_code else ():
            if any("--" in one for one in _texts(_object(place / name).get("auto_map"))):
                raise CheckpointError(
                    "remote_code",
                    f"names Python code of another repository in its {name}, which is not run: copy it here",
                )


def _check_links(folder: Path) -> None:
    """Refuse links out of a folder; names that begin with a dot are never read here."""
    homes, entries = homes_of(folder), []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(place, name).is_symlink()]
        entries += [Path(place, name) for name in [*links, *files] if not name.startswith(".")]
    for path in entries:
        real, shown = path.resolve(), path.relative_to(folder)
        if not any(real.is_relative_to(home) for home in homes):
            raise CheckpointError(
                "corrupt",
                f"holds {shown}, a link out of its folder, which is not followed; copy the file there, or name its "
                f"folder in {FOLDERS_VARIABLE}",
            )
        mode = real.stat().st_mode if real.exists() else stat.S_IFREG
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise CheckpointError("corrupt", f"holds {shown}, which is not a regular file")


def shards_of(folder: Path, *, allow_pickle: bool = False) -> list[str]:
    """Return the weight files in a folder's index, sorted; empty without an index that is used.

    A broken index, or one that names anything but files of its own kind beside it, is a CheckpointError.
    """
    for index, ending in INDICES.items():
        if (folder / index.removesuffix(".index.json")).exists():
            return []  # libraries prefer a single file
        if not (folder / index).exists() or (ending == ".bin" and not allow_pickle):
            continue
        weights = _object(folder / index).get("weight_map")
        if not isinstance(weights, dict) or not weights:
            raise CheckpointError("corrupt", f"has a {index} without a weight_map")
        names = sorted(set(map(str, weights.values())))
        wrong = [name for name in names if not (_is_plain(name) and name.endswith(ending))]
        if wrong:
            named = f"names {wrong[0][:200]!r}; expected *{ending} files beside it, nothing else"
            raise CheckpointError("corrupt", f"has a {index} that {named}")
        return names
    return []


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in the same folder."""
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
    """Whether a path leads to an existing file outside the checkpoint."""
    try:
        real = Path(value).expanduser().resolve()
        return real.exists() and not real.is_relative_to(checkpoint.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def _texts(value: Any) -> Iterator[str]:
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        yield value
    for one in inside:
        yield from _texts(one)


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            found = parse_json(file.read(LARGE.size + 1), what=path.name, limit=LARGE, lenient=True)
    except UnreadableError as error:
        raise CheckpointError("corrupt", f"has a {path.name} that cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}
