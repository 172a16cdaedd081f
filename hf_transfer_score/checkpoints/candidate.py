"""Candidates: those that a user names (an id on the Hub, a folder, or an object), and those that a search finds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hf_transfer_score.backbones.held import InMemoryModel, in_memory_model, is_in_memory
from hf_transfer_score.errors import HubError, OptionError, check_known, check_least
from hf_transfer_score.home import EXAMPLE, example_checkpoints
from hf_transfer_score.hub.client import patiently
from hf_transfer_score.hub.failures import trouble_of
from hf_transfer_score.hub.settings import CONNECT_SECONDS, endpoint_of
from hf_transfer_score.tasks import TASKS, Modality
from hf_transfer_score.version import LIBRARY

HUB_PREFIXES = ("hf-hub:", "hf_hub:", "https://huggingface.co/", "hf://")
FOLDER_PREFIX = "local-dir:"

Sort = Literal["downloads", "likes", "trending"]
SORTS: dict[str, str] = {"downloads": "downloads", "likes": "likes", "trending": "trending_score"}

PIPELINES: dict[Modality, tuple[str, ...]] = {
    "image": ("image-classification", "image-feature-extraction", "zero-shot-image-classification"),
    "text": ("feature-extraction", "sentence-similarity", "fill-mask", "text-classification", "text-generation"),
    "audio": ("audio-classification", "automatic-speech-recognition", "feature-extraction"),
}
"""Pipeline tags of checkpoints of a modality, for searches without a task."""

Models = Any
"""Candidates as users pass them: one or several ids, folders and models in memory."""

LOOKED_AT = 50
"""Repositories that are read for each one wanted, before a search gives up."""


@dataclass(frozen=True)
class Candidate:
    """A model that a user named: an id on the Hub at a branch, tag or commit, a folder as typed, or an object."""

    name: str
    revision: str | None = None
    folder: Path | None = None
    held: InMemoryModel | None = None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def parse_candidate(text: str) -> Candidate:
    """Return the candidate for "owner/name", "owner/name@revision", "hf-hub:owner/name", or a folder.

    A name that exists on this computer means that file or folder; all others, and those with one of the Hub's prefixes,
    mean the Hub.
    """
    text = text.strip().rstrip("/")
    if not text:
        raise OptionError("A model's name is empty.")
    if text.startswith(FOLDER_PREFIX):
        return _folder(text.removeprefix(FOLDER_PREFIX))
    prefix = next((one for one in HUB_PREFIXES if text.startswith(one)), "")
    looks_like_one = text.startswith((".", "/", "~")) or (os.sep != "/" and os.sep in text)
    if not prefix and (looks_like_one or is_here(text)):
        return _folder(text)
    name, _, revision = text.removeprefix(prefix).partition("@")
    return Candidate(name, revision or None)


def is_here(text: str) -> bool:
    """Whether there is a file or folder of this name, which may be invalid.

    Example:
        >>> is_here("."), is_here("no/such"), is_here("x" * 5000), is_here("a" + chr(0))
        (True, False, False, False)
    """
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _folder(text: str) -> Candidate:
    try:
        return Candidate(text, folder=Path(text).expanduser().resolve())
    except (OSError, RuntimeError, ValueError):  # circular links or an unknown home become a row, and the others go on
        return Candidate(text, folder=Path(text).absolute())


def read_candidates(path: Path) -> list[str]:
    """Return the models in a file: one per line, or the first column of a CSV; `#` starts a comment."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or error if isinstance(error, OSError) else "it is not text in UTF-8"
        raise OptionError(f"{path} cannot be read as a list of models: {why}.") from None
    names = [line.split("#", 1)[0].split(",", 1)[0].strip().strip('"') for line in lines]
    found = [name for name in names if name and name.lower() not in ("model", "models", "model_id")]
    if not found:
        raise OptionError(f"{path} names no models: expected one per line.")
    return found


def listed(models: Any) -> list[Any]:
    """Return models as a list; a single one, of any form, becomes a list of one.

    Example:
        >>> listed("owner/name"), listed(("owner/name", "owner/other"))
        (['owner/name'], ['owner/name', 'owner/other'])
    """
    if models is None:
        return []
    if isinstance(models, Mapping) or hasattr(models, "columns") or hasattr(models, "column_names"):
        raise OptionError(
            f"A {type(models).__name__} was passed as the models: the dataset comes first, then the models, as ids, "
            "folders, models in memory or (name, module, transform)."
        )
    return [models] if isinstance(models, (str, Path, Candidate)) or is_in_memory(models) else list(models)


def refuse_model(dataset: Any) -> None:
    """Raise OptionError if one or several models stand where the dataset belongs."""
    several = dataset if isinstance(dataset, list) else [dataset]
    if several and all(map(_is_model, several)):
        named = several[0] if isinstance(several[0], (str, Path)) else type(several[0]).__name__
        raise OptionError(f"{named} is a model, and a dataset is expected here: it comes first, then the models.")


def _is_model(thing: Any) -> bool:
    if not isinstance(thing, (str, Path)):
        return is_in_memory(thing)
    if str(thing) != EXAMPLE and example_checkpoints(str(thing)):
        return True
    try:
        folder = Path(thing).expanduser()
        return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    except (OSError, RuntimeError, ValueError):  # a name that is too long, an unknown home, a zero byte
        return False


def parse_candidates(models: Iterable[Any]) -> list[Candidate]:
    """Return candidates in order, without duplicates; `example` means all checkpoints shipped with the package."""
    found: dict[Any, Candidate] = {}
    for model in models:
        if isinstance(model, Candidate):
            meant = [model]
        elif isinstance(model, (str, Path)):
            text = str(model)
            shipped = example_checkpoints(text.strip())  # with names that are the same on every machine
            meant = [Candidate(f"{EXAMPLE}/{folder.name}", folder=folder) for folder in shipped]
            meant = meant or [parse_candidate(text)]
        else:
            held = in_memory_model(model)
            meant = [Candidate(held.name, held=held)]
        for one in meant:
            found.setdefault(one.folder or one, one)
    return list(found.values())


def display_names(candidates: Sequence[Candidate]) -> list[str]:
    """Return a name for each, of folders the last part; equal ones get the full path or a fingerprint."""
    names = [str(one) if one.folder is None else last_part(one) for one in candidates]
    names = [
        name if one.held is None or names.count(name) == 1 else f"{name} ({one.held.fingerprint[:7]})"
        for one, name in zip(candidates, names, strict=True)
    ]
    return [
        str(one) if names.count(name) > 1 and one.folder is not None else name
        for one, name in zip(candidates, names, strict=True)
    ]


def last_part(candidate: Candidate) -> str:
    """Return a name for a folder: the last part as typed, or of its full path for "." and the like."""
    typed = Path(candidate.name.removeprefix(FOLDER_PREFIX)).name
    return typed if typed.strip(".") or candidate.folder is None else candidate.folder.name


@dataclass(frozen=True)
class Search:
    """A search for models on the Hub.

    Attributes:
        text: words in the id.
        task: a pipeline tag; without it those that suit the dataset's modality.
        library: such as timm, transformers or sentence-transformers.
        author: a user or organisation.
        license: such as apache-2.0.
        max_parameters: the most parameters; repositories without a known number are left out.
        sort: what comes first.
        limit: how many to take.
    """

    text: str | None = None
    task: str | None = None
    library: str | None = None
    author: str | None = None
    license: str | None = None
    max_parameters: int | None = None
    sort: Sort = "downloads"
    limit: int = 10

    def __post_init__(self) -> None:
        check_known(self, sort=SORTS)
        check_least(self, limit=1)

    def words(self) -> str:
        """Return the search in words, for messages."""
        known = (self.text, self.task, self.library, self.author, self.license)
        named = zip(("", "task ", "library ", "by ", "license "), known, strict=True)
        words = [f"{word}{value}" for word, value in named if value is not None]
        if self.max_parameters is not None:
            words.append(f"at most {self.max_parameters:,} parameters")
        return ", ".join(words) or "everything"


@dataclass(frozen=True)
class Found:
    """The result of a search: ids in order, and why others were left out."""

    names: list[str]
    left_out: dict[str, int]


def search_models(search: Search, modality: Modality) -> Found:
    """Return the ids of suitable checkpoints; raises HubError if the Hub does not answer, or there are none."""
    names: list[str] = []
    left_out: dict[str, int] = {}
    try:
        for info in patiently(lambda: _listed(search)):
            reason = _unfit(info, search, modality)
            if reason is None:
                names.append(info.id)
            else:
                left_out[reason] = left_out.get(reason, 0) + 1
            if len(names) == search.limit:
                break
    except Exception as error:  # noqa: BLE001  # nothing can go on without the list
        trouble = trouble_of(error)
        what = f"The Hub answered {trouble.status}" if trouble.status else "The Hub cannot be reached"
        if trouble.kind == "unanswered":
            what = f"{trouble.reason[:1].upper()}{trouble.reason[1:]}"
        raise HubError(f"{what}, so models cannot be searched ({search.words()}). Name models instead.") from None
    if not names:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise HubError(f"The search found no model that fits ({search.words()}).{f' Left out: {why}.' if why else ''}")
    return Found(names, left_out)


def _listed(search: Search) -> list[Any]:
    from huggingface_hub import HfApi, get_session

    # requests for lists are repeated; this one fails at once
    get_session().head(endpoint_of(), timeout=CONNECT_SECONDS)
    tags = [search.library, f"license:{search.license}" if search.license else None]
    known = {name for names in PIPELINES.values() for name in names} | {"token-classification", "image-segmentation"}
    return list(
        HfApi(**LIBRARY).list_models(
            search=search.text,
            author=search.author,
            filter=[tag for tag in tags if tag] or None,
            pipeline_tag=search.task if search.task not in TASKS or search.task in known else None,
            limit=LOOKED_AT * search.limit,
            sort=SORTS[search.sort],  # type: ignore[arg-type]  # a name the client knows
            expand=["safetensors", "downloads", "likes", "gated", "pipeline_tag", "library_name", "tags"],
        )
    )


def _unfit(info: Any, search: Search, modality: Modality) -> str | None:
    """Return why a repository is left out, None if it fits."""
    if info.gated:
        return "gated (name one to try it)"
    if search.task is None and info.pipeline_tag not in PIPELINES[modality]:
        return f"listed under no task for {modality}"
    if search.max_parameters is not None:
        total = info.safetensors.total if info.safetensors else None
        if total is None:
            return "without a parameter count"
        if total > search.max_parameters:
            return "too large"
    return None
