"""What a backbone is, and the registry of kinds of backbones.

Kinds are found through the entry-point group `hf_transfer_score.backbones`. The built-in kinds use it too, so your own
package adds one by naming `my_kind = "my_package.my_kind:KIND"` in that group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hf_transfer_score.backbones.adapters import Adapter, check_pickle, merge_adapter
from hf_transfer_score.backbones.placing import check_placing, numbers_in
from hf_transfer_score.backbones.repository import Repository, check_own_files, check_type_is_text
from hf_transfer_score.errors import CheckpointError, DuplicateBackboneError, OptionError, check_known, check_least
from hf_transfer_score.tasks import Example, Modality, Task

if TYPE_CHECKING:
    import torch

ENTRY_POINT_GROUP = "hf_transfer_score.backbones"

POOLINGS = ("auto", "cls", "mean", "last", "max")
LAST, ALL, MEAN = "last", "all", "mean"
BEFORE_HEAD = "what the classification head sees"


@dataclass(frozen=True)
class BackboneOptions:
    """How features are read from a checkpoint; everything that can change a feature is a field.

    Attributes:
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        layer: last, mean (of all layers), all (each layer by itself), or the number of a layer; 0 is the embeddings.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another size;
            without it the checkpoint's own size.
        quantize: read with weights of 8bit or 4bit, by bitsandbytes (`pip install hf-transfer-score[quantized]`).
        device_map: auto spreads a model that fits no single device over GPUs, memory and disk; or the most memory of
            each, such as 0=20GB,cpu=30GB.
        half: keep weights in the half precision in which they are stored; a run sets it where it computes in one.
        trust_remote_code: run Python code that comes with the checkpoint.
        allow_pickle: load pickled weights where there are no safetensors.
    """

    pooling: str = "auto"
    layer: int | str = LAST
    max_length: int | None = None
    subword: str = "first"
    image_size: int | None = None
    quantize: str | None = None
    device_map: str | None = None
    half: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        check_known(self, pooling=POOLINGS, subword=("first", "mean"))
        if self.layer not in (LAST, ALL, MEAN) and not (isinstance(self.layer, int) and self.layer >= 0):
            raise OptionError(f"layer={self.layer!r}: expected last, all, mean, or a number from 0 on.")
        check_least(self, max_length=1, image_size=1)
        check_placing(self.quantize, self.device_map)

    @property
    def placed(self) -> list[str]:
        """The options that are set, of those that decide where or how weights are held."""
        return [name for name in ("quantize", "device_map") if getattr(self, name) is not None]

    def plain(self) -> dict[str, Any]:
        """Return the options that can change a feature, by name; some only where they are set."""
        left_out = {"trust_remote_code", "allow_pickle", "device_map", "half"}
        left_out |= {name for name in ("image_size", "quantize") if getattr(self, name) is None}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True)
class AdaptedOptions(BackboneOptions):
    """How features are read from a base with an adapter merged into it; the permissions apply to the base.

    Attributes:
        adapter: the adapter to merge.
        pickled_adapter: load the adapter's own weights where they are pickled.
    """

    adapter: Adapter | None = None
    pickled_adapter: bool = False

    def plain(self) -> dict[str, Any]:
        """Return the options that can change a feature, by name, including both commits."""
        return {name: value for name, value in super().plain().items() if name != "pickled_adapter"}


@dataclass
class BatchOutput:
    """The output of one forward pass.

    Attributes:
        features: (rows, D) by layer name: one entry, except for layer="all". Rows are in the order of the examples,
            and within an example in the order of its words or places; examples are never split.
        source_probs: probabilities of the checkpoint's own classes (rows, S), or None where it has no head.
    """

    features: dict[str, torch.Tensor]
    source_probs: torch.Tensor | None = None


class Backbone(Protocol):
    """A loaded checkpoint.

    `encode` and `collate` run on the CPU, in threads, while another batch is in `forward`; they change no state.
    Three more attributes are optional: `source_heads`, the modules in `module` that are the checkpoint's own head;
    `pool_tokens(states, batch)`, which pools a block's tokens (B, T, C) to one row per example (B, C) as the network
    itself does; and `trainable`, False where gradients reach no weights, so that only a probe can be fitted.

    Attributes:
        module: moved to a device; `forward` runs there.
        details: what was chosen where an option leaves it open (pooling, layer, max_length, preprocessing, ...), as
            plain values; stored with the features. A kind that supports `image_size` names it here.
        source_classes: S of the checkpoint's own head, 0 without one.
    """

    module: torch.nn.Module
    details: Mapping[str, Any]
    source_classes: int

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return one item per example, decoded, resized or tokenised, independent of the batch."""

    def length(self, item: Any) -> int:
        """Return the length of an item, of texts in tokens; batches have items of like length, and fewer long texts."""

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return a batch of tensors and plain values, padded where lengths differ."""

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run a batch whose tensors are on the module's device. Called without gradients, maybe under autocast."""


def is_trainable(backbone: Backbone) -> bool:
    """Whether the weights of a loaded checkpoint can be trained: yes, unless it says otherwise."""
    return bool(getattr(backbone, "trainable", True))


def own_parameters(backbone: Backbone) -> int | None:
    """Return how many parameters a loaded checkpoint has without its own head; None where it does not show them."""
    heads = {id(one) for head in getattr(backbone, "source_heads", ()) for one in head.parameters()}
    return sum(numbers_in(one) for one in backbone.module.parameters() if id(one) not in heads) or None


@dataclass(frozen=True)
class BackboneKind:
    """A way to make backbones: one library's checkpoints of one modality.

    Attributes:
        name: names its file, its entry point and the `library` users see.
        modality: the modality of its inputs.
        claims: whether a repository's small files show that it is of this kind; nothing is loaded.
        files: the files of a repository to download, weights first; raises CheckpointError with the kind "pickle_only",
            "remote_code", "no_preprocessor" or "unsupported" where that is already known.
        load: returns a backbone from a local folder that holds these files; raises CheckpointError. It is called only
            for folders whose files do not lead outside.
        priority: if several kinds claim a repository, the highest wins.
        library: what users call the library; the name where that is empty.
        large: whether `quantize` and `device_map` apply to its models.
    """

    name: str
    modality: Modality
    claims: Callable[[Repository], bool]
    files: Callable[[Repository, BackboneOptions], list[str]]
    load: Callable[[Path, Task, BackboneOptions], Backbone]
    priority: int = 0
    library: str = ""
    large: bool = False

    def __post_init__(self) -> None:
        """Wrap `load` and `files`: both refuse options that no kind supports, and `load` checks its folder first."""
        load, files = self.load, self.files

        @wraps(files)
        def files_of(repository: Repository, options: BackboneOptions) -> list[str]:
            self._check_options(options)
            found = files(repository, options)
            if isinstance(options, AdaptedOptions) and options.adapter is not None:
                check_pickle(options.adapter, allow_pickle=options.pickled_adapter)
                found = [*found, *options.adapter.files]
            return found

        @wraps(load)
        def checked(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
            check_own_files(
                Path(folder), allow_pickle=options.allow_pickle, trust_remote_code=options.trust_remote_code
            )
            self._check_options(options)
            backbone = load(folder, task, options)
            if options.image_size is not None and backbone.details.get("image_size") != options.image_size:
                raise CheckpointError(
                    "unsupported",
                    f"is of the kind {self.name}, which prepares images only at the checkpoint's own size",
                )
            if isinstance(options, AdaptedOptions) and options.adapter is not None:
                merge_adapter(backbone, options.adapter)
            if options.quantize is not None:
                backbone.details = {**backbone.details, "quantize": options.quantize}
            return backbone

        object.__setattr__(self, "load", checked)
        object.__setattr__(self, "files", files_of)

    def _check_options(self, options: BackboneOptions) -> None:
        placed = options.placed
        if placed and not self.large:
            raise CheckpointError(
                "unsupported", f"is of the kind {self.name}, and {placed[0]} is for text models of transformers"
            )
        if placed and isinstance(options, AdaptedOptions) and options.adapter is not None:
            raise CheckpointError(
                "unsupported",
                f"is an adapter, which is not merged with {placed[0]}; merge it into its base and save the result "
                "(merge_and_unload, then save_pretrained)",
            )
        if options.image_size is not None and self.modality != "image":
            raise CheckpointError(
                "unsupported", f"takes {self.modality}, and image_size={options.image_size} is for images; leave it out"
            )


_registered: dict[str, BackboneKind] = {}


def register_backbone(kind: BackboneKind) -> BackboneKind:
    """Add a kind for this process; installed packages use the entry-point group instead.

    Example:
        >>> kind = BackboneKind(
        ...     "lengths",
        ...     "text",
        ...     claims=lambda repository: repository.config.get("model_type") == "lengths",
        ...     files=lambda repository, options: ["config.json"],
        ...     load=lambda folder, task, options: MemoryBackbone(lambda text: [len(text)]),
        ... )
        >>> register_backbone(kind).name in all_kinds()
        True
        >>> unregister_backbone("lengths")
    """
    if kind.name in {*_installed(), *_registered}:
        raise DuplicateBackboneError(f"A kind of backbone named {kind.name!r} already exists; choose another name.")
    _registered[kind.name] = kind
    return kind


def unregister_backbone(name: str) -> None:
    """Remove a kind that `register_backbone` added."""
    if name not in _registered:
        raise OptionError(f"No kind of backbone named {name!r} was added with register_backbone.")
    del _registered[name]


@cache
def _installed() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise DuplicateBackboneError(
                f"Two installed packages register a kind of backbone named {point.name!r}: {found[point.name].value} "
                f"and {point.value}. Uninstall one."
            )
        found[point.name] = point
    return found


def all_kinds() -> dict[str, BackboneKind]:
    """Return every kind of backbone by name.

    Example:
        >>> all_kinds()["timm_images"].modality
        'image'
    """
    return {name: point.load() for name, point in sorted(_installed().items())} | _registered


PLURALS = {"image": "images", "text": "texts", "audio": "sound"}


def kind_of(repository: Repository, task: Task) -> BackboneKind:
    """Return the kind that loads a repository for a task, or raise CheckpointError."""
    if repository.unread:  # any of them may show that the checkpoint is of another kind
        raise CheckpointError("corrupt", repository.why_unknown())
    check_type_is_text(repository.config)
    claiming = [kind for kind in all_kinds().values() if kind.claims(repository)]
    fitting = [kind for kind in claiming if kind.modality == task.modality]
    if fitting:
        return max(fitting, key=lambda kind: kind.priority)
    if claiming:
        others = " and ".join(sorted({PLURALS[kind.modality] for kind in claiming}))
        needed = f"{task.name} needs one for {PLURALS[task.modality]}"
        raise CheckpointError("wrong_modality", f"is a checkpoint for {others}, and {needed}")
    damaged = "config.json" in repository and not repository.config
    raise CheckpointError("corrupt" if damaged else "unsupported", repository.why_unknown())


class MemoryBackbone:
    """Features from a function of one example that returns a row (D,), or rows (n, D) for words and pixels.

    Example:
        >>> backbone = MemoryBackbone(lambda text: [len(text), text.count("e")])
        >>> batch = backbone.collate(backbone.encode(["seven", "two"]))
        >>> backbone.forward(batch).features["last"].tolist()
        [[5.0, 2.0], [3.0, 0.0]]
    """

    source_classes = 0
    trainable = False

    def __init__(self, function: Callable[[Any], Any]) -> None:
        import torch

        self.function = function
        self.module: torch.nn.Module = torch.nn.Identity()
        self.details: Mapping[str, Any] = {"pooling": "none"}

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return the rows of each example."""
        return [np.atleast_2d(np.asarray(self.function(example), dtype=np.float32)) for example in examples]

    def length(self, item: Any) -> int:
        """Return 1: batches may mix any examples."""
        return 1

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return all rows in one array."""
        import torch

        return {"rows": torch.from_numpy(np.concatenate(items))}

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Return the rows."""
        return BatchOutput({"last": self.module(batch["rows"])})
