"""A checkpoint's repository as its own files describe it, before anything large is downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.untrusted import Limits, parse_json, reason_of

DESCRIPTIVE_FILES = (
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "preprocessor_config.json",
    "processor_config.json",
    "adapter_config.json",
    "model_index.json",
)
"""Small files that are read before the plan is shown; kinds of backbone decide by them."""

DESCRIPTION = Limits(size=16_000_000, depth=100, values=1_000_000, letters=16_000_000)
"""How much one of them may hold: those with the names of twenty thousand classes have a tenth of that."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf", ".tflite")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class Repository:
    """The files of a checkpoint, on the Hub or in a folder.

    Attributes:
        name: the id or folder, for messages.
        sizes: bytes by file name, None where the Hub does not say; names with slashes for folders within.
        descriptions: contents of those of DESCRIPTIVE_FILES that are there and are JSON.
        library: what the Hub says the library is, a hint at most.
        tags: the tags the Hub shows.
        hashes: by file name, as the Hub says: sha256 of large files, git's hash of the others.
        unread: what is wrong with descriptions that could not be read, by file name.
    """

    name: str
    sizes: Mapping[str, int | None]
    descriptions: Mapping[str, Any] = field(default_factory=dict)
    library: str | None = None
    tags: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

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
        """Whether there is a file of that name."""
        return name in self.sizes

    @property
    def config(self) -> dict[str, Any]:
        """The contents of config.json, empty where there is none."""
        config = self.descriptions.get("config.json")
        return config if isinstance(config, dict) else {}

    @property
    def is_checkpoint(self) -> bool:
        """Whether anything in it is of a checkpoint: a description, or weights of any framework."""
        return any(name in self.sizes for name in DESCRIPTIVE_FILES) or self._has("", WEIGHT_ENDINGS)

    def bytes_of(self, names: Iterable[str]) -> int:
        """Return the bytes of some files, as far as they are known."""
        return sum(self.sizes.get(name) or 0 for name in names)

    def weights(self, *, allow_pickle: bool = False, folder: str = "") -> list[str]:
        """Return the files with the weights: safetensors, or pickles where these are allowed and there is nothing else.

        Args:
            allow_pickle: whether pickled weights will do.
            folder: a folder within the repository, with its slash, such as "0_Transformer/".
        """
        names = [*WEIGHTS, *(PICKLED_WEIGHTS if allow_pickle else ())]
        for name in names:
            if folder + name in self.sizes:
                return [folder + name, *self._shards(folder, name)]
        if any(folder + name in self.sizes for name in PICKLED_WEIGHTS) or self._has(folder, (".bin", ".pt", ".pth")):
            raise CheckpointError(
                "pickle_only",
                "has pickled weights only, and a pickle can run any code when it is loaded; allow it for this model "
                f"if you trust its author (--allow-pickle {self.name}), or ask for safetensors",
            )
        if self._has(folder, (".h5", ".msgpack", ".onnx", ".gguf", ".tflite")):
            raise CheckpointError("unsupported", "has weights for other frameworks only, none for PyTorch")
        raise CheckpointError("corrupt", "has no weights: there is no model.safetensors among its files")

    def _shards(self, folder: str, index: str) -> list[str]:
        if not index.endswith(".index.json"):
            return []
        stem, ending = index.removesuffix(".index.json").rsplit(".", 1)
        return [name for name in self.sizes if name.startswith(f"{folder}{stem}-") and name.endswith(f".{ending}")]

    def _has(self, folder: str, endings: tuple[str, ...]) -> bool:
        return any(name.startswith(folder) and name.endswith(endings) for name in self.sizes)

    def small_files(self, endings: tuple[str, ...] = (".json", ".txt", ".model", ".jinja")) -> list[str]:
        """Return the files that describe and preprocess: configurations, vocabularies, merges, at the top level."""
        return [name for name in self.sizes if "/" not in name and name.endswith(endings) and ".index." not in name]

    def why_unknown(self) -> str:
        """Return why no kind of backbone claims this repository."""
        if not self.sizes:
            return "is empty: there are no files in it"
        if self.unread:
            return " ".join(("has a", *next(iter(self.unread.items()))))
        if "adapter_config.json" in self:
            found = self.descriptions.get("adapter_config.json")
            base = found.get("base_model_name_or_path") if isinstance(found, dict) else None
            return (
                "holds an adapter, and adapters are not supported as candidates yet; merge it into its base model and "
                f"save that (merge_and_unload, then save_pretrained), or rank the base model instead ({base})"
            )
        if "model_index.json" in self:
            return "is a diffusion pipeline, which has no single backbone to read features from"
        if "config.json" not in self:
            return "has no config.json, so that its architecture is unknown"
        if not self.config:
            return "has a config.json that is no JSON object"
        what = self.config.get("model_type") or self.config.get("architecture") or self.config.get("architectures")
        return f"is of a kind that no backbone here knows: {what!r}"


def check_type_is_text(config: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the model_type of a config.json is none that could be looked up."""
    found = config.get("model_type")
    if not isinstance(found, (str, type(None))):
        raise CheckpointError("corrupt", f"has a config.json whose model_type is no text but a {type(found).__name__}")


def read_descriptions(places: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the contents of descriptive files by name, and what is wrong with those that cannot be read."""
    found, unread = {}, {}
    for name, path in places.items():
        try:
            found[name] = read_description(path)
        except (UnreadableError, OSError) as error:
            unread[name] = why_unread(error)
    return found, unread


def read_description(path: Path, limit: Limits = DESCRIPTION) -> Any:
    """Return the values of a small file of JSON, of which no more is read than may be; raises UnreadableError."""
    with path.open("rb") as file:
        return parse_json(file.read(limit.size + 1), what="it", limit=limit, lenient=True)


def why_unread(error: UnreadableError | OSError) -> str:
    """Return what is wrong with a file, after its name.

    Example:
        >>> why_unread(UnreadableError("It is nested too deeply."))
        'that is nested too deeply'
    """
    reason = reason_of(error).rstrip(".")
    return f"that {reason[3:]}" if reason.startswith("It ") else f"that cannot be read: {reason}"
