"""What a backbone is, and the one list of the kinds of them.

Kinds are found through the entry-point group `hf_transfer_score.backbones`; the built-in ones come the same way, so a
package of yours that names `my_kind = "my_package.my_kind:KIND"` in that group stands beside them.
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
from hf_transfer_score.backbones.repository import Repository, check_own_files, check_type_is_text
from hf_transfer_score.errors import CheckpointError, DuplicateBackboneError, OptionError, check_known, check_least
from hf_transfer_score.tasks import Example, Modality, Task

if TYPE_CHECKING:
    import torch

ENTRY_POINT_GROUP = "hf_transfer_score.backbones"

POOLINGS = ("auto", "cls", "mean", "last", "max")
LAST, ALL, MEAN = "last", "all", "mean"


@dataclass(frozen=True)
class BackboneOptions:
    """How features are read off a checkpoint; whatever can change a feature is a field.

    Attributes:
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        layer: last, mean (of all layers), all (each layer by itself), or the number of one, 0 the embeddings.
        max_length: tokens of a text that are read at most; without it what the checkpoint can take, at most 512.
        subword: which sub-words stand for a word in token classification: first or their mean.
        image_size: pixels that images are prepared at, on both sides, where the network takes that; without it the
            size that the checkpoint names.
        trust_remote_code: run Python code that comes with the checkpoint.
        allow_pickle: load pickled weights where there are no safetensors.
    """

    pooling: str = "auto"
    layer: int | str = LAST
    max_length: int | None = None
    subword: str = "first"
    image_size: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        """Refuse values that make no sense, before any model is loaded."""
        check_known(self, pooling=POOLINGS)
        if self.layer not in (LAST, ALL, MEAN) and not (isinstance(self.layer, int) and self.layer >= 0):
            raise OptionError(f"layer={self.layer!r}: expected last, all, mean, or a number from 0 on.")
        if self.subword not in ("first", "mean"):
            raise OptionError(f"subword={self.subword!r}: expected first or mean.")
        check_least(self, max_length=1, image_size=1)

    def plain(self) -> dict[str, Any]:
        """Return what can change a feature, by name; an image size only where there is one."""
        left_out = {"trust_remote_code", "allow_pickle", *(("image_size",) if self.image_size is None else ())}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True)
class AdaptedOptions(BackboneOptions):
    """How features are read off a base that an adapter is merged into; permissions are those of the base.

    Attributes:
        adapter: what is merged.
        pickled_adapter: load the adapter's own weights where these are pickled.
    """

    adapter: Adapter | None = None
    pickled_adapter: bool = False

    def plain(self) -> dict[str, Any]:
        """Return what can change a feature, by name, the commits of both among it."""
        return {name: value for name, value in super().plain().items() if name != "pickled_adapter"}


@dataclass
class BatchOutput:
    """What one forward pass gives.

    Attributes:
        features: (rows, D) by layer name: one entry, except for layer="all". Rows are in the order of the examples,
            and within an example in the order of its words or places; whole examples only.
        source_probs: probabilities of the checkpoint's own classes (rows, S), or None where it has no head.
    """

    features: dict[str, torch.Tensor]
    source_probs: torch.Tensor | None = None


class Backbone(Protocol):
    """A loaded checkpoint.

    `encode` and `collate` run on the CPU, in threads, while another batch is in `forward`; they change no state.
    Three more attributes are looked for and may be absent: `source_heads`, the modules in `module` that are the
    checkpoint's own head and no part of a backbone; `pool_tokens(states, batch)`, which makes one row per
    example (B, C) of the tokens (B, T, C) that a block gives, as the network itself reads them; and `trainable`, False
    where gradients reach no weights, so that nothing but a probe can be fitted on the features.

    Attributes:
        module: what is moved to a device; `forward` runs where it is.
        details: what was chosen where an option leaves it open (pooling, layer, max_length, preprocessing, ...), as
            plain values; kept beside the features. A kind that prepares images at an `image_size` names it here.
        source_classes: S of the checkpoint's own head, 0 without one.
    """

    module: torch.nn.Module
    details: Mapping[str, Any]
    source_classes: int

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return one item per example: decoded, resized, tokenised; what does not depend on the batch."""

    def length(self, item: Any) -> int:
        """Return how long an item is, for batches of like length; the same number for all where it does not matter."""

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return a batch: tensors and plain values; padded where lengths differ."""

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run a batch whose tensors are on the module's device. Called without gradients, maybe under autocast."""


def is_trainable(backbone: Backbone) -> bool:
    """Whether the weights of a loaded checkpoint can be trained; they can where it says nothing else."""
    return bool(getattr(backbone, "trainable", True))


def own_parameters(backbone: Backbone) -> int | None:
    """Return how many parameters a loaded checkpoint has, its own head for its own classes not counted.

    None where it shows none: a kind that keeps its weights elsewhere is no small one.
    """
    heads = {id(one) for head in getattr(backbone, "source_heads", ()) for one in head.parameters()}
    return sum(one.numel() for one in backbone.module.parameters() if id(one) not in heads) or None


@dataclass(frozen=True)
class BackboneKind:
    """A way to make backbones: one library's checkpoints of one modality.

    Attributes:
        name: the word that names its file, its entry point and the `library` users see.
        modality: what its inputs are.
        claims: whether a repository's own files say that it is of this kind; small files only, nothing is loaded.
        files: the files of a repository that are to be downloaded, weights first; raises CheckpointError with
            the kind "pickle_only", "remote_code", "no_preprocessor" or "unsupported" where that shows beforehand.
        load: returns a backbone from a local folder that holds these files; raises CheckpointError. It is called for
            folders only whose files do not lead out of them.
        priority: of several kinds that claim a repository, the highest is taken.
        library: what users call the library that reads it; the name where that is empty.
    """

    name: str
    modality: Modality
    claims: Callable[[Repository], bool]
    files: Callable[[Repository, BackboneOptions], list[str]]
    load: Callable[[Path, Task, BackboneOptions], Backbone]
    priority: int = 0
    library: str = ""

    def __post_init__(self) -> None:
        """Let `load` look at the files of a folder first, whoever calls it, and both refuse what no kind takes."""
        load, files = self.load, self.files

        @wraps(files)
        def files_of(repository: Repository, options: BackboneOptions) -> list[str]:
            self._check_modality(options)
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
            self._check_modality(options)
            backbone = load(folder, task, options)
            if options.image_size is not None and backbone.details.get("image_size") != options.image_size:
                raise CheckpointError(
                    "unsupported",
                    f"is of the kind {self.name}, which prepares images at the checkpoint's own size only",
                )
            if isinstance(options, AdaptedOptions) and options.adapter is not None:
                merge_adapter(backbone, options.adapter)
            return backbone

        object.__setattr__(self, "load", checked)
        object.__setattr__(self, "files", files_of)

    def _check_modality(self, options: BackboneOptions) -> None:
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
        raise DuplicateBackboneError(f"There is a kind of backbone named {kind.name!r} already; choose another name.")
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
                f"Two installed packages name a kind of backbone {point.name!r}: {found[point.name].value} and "
                f"{point.value}. Uninstall one."
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


def kind_of(repository: Repository, task: Task) -> BackboneKind:
    """Return the kind that makes backbones of a repository for a task, or raise CheckpointError."""
    if repository.unread:  # any of them may say that the checkpoint is of another kind
        raise CheckpointError("corrupt", repository.why_unknown())
    check_type_is_text(repository.config)
    claiming = [kind for kind in all_kinds().values() if kind.claims(repository)]
    fitting = [kind for kind in claiming if kind.modality == task.modality]
    if fitting:
        return max(fitting, key=lambda kind: kind.priority)
    if claiming:
        others = " and ".join(sorted({kind.modality for kind in claiming}))
        raise CheckpointError("wrong_modality", f"is a checkpoint for {others}, and {task.name} needs {task.modality}")
    damaged = "config.json" in repository and not repository.config
    raise CheckpointError("corrupt" if damaged else "unsupported", repository.why_unknown())


class MemoryBackbone:
    """Features by a function of one example that returns a row (D,), or rows (n, D) for words and pixels.

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
        """Return all rows below each other."""
        import torch

        return {"rows": torch.from_numpy(np.concatenate(items))}

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Return the rows."""
        return BatchOutput({"last": self.module(batch["rows"])})
