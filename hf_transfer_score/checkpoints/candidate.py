"""What a user names: an id on the Hub with or without a revision, or a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_transfer_score.errors import OptionError
from hf_transfer_score.example import NAME, example_checkpoints

HUB_PREFIXES = ("hf-hub:", "hf_hub:", "https://huggingface.co/", "hf://")
FOLDER_PREFIX = "local-dir:"


@dataclass(frozen=True)
class Candidate:
    """A checkpoint that was asked for.

    Attributes:
        name: the id on the Hub, or the folder as it was written.
        revision: a branch, tag or commit; None for the default branch.
        folder: the folder, None for the Hub.
    """

    name: str
    revision: str | None = None
    folder: Path | None = None

    def __str__(self) -> str:
        """Show it as it can be typed."""
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def parse_candidate(text: str) -> Candidate:
    """Return what is meant by "owner/name", "owner/name@revision", "hf-hub:owner/name", or a folder.

    What is there on this computer is meant, whatever it holds: the Hub is asked only for what is not, or for what
    begins with one of its prefixes.

    Example:
        >>> parse_candidate("hf-hub:timm/resnet18.a1_in1k@main")
        Candidate(name='timm/resnet18.a1_in1k', revision='main', folder=None)
    """
    text = text.strip().rstrip("/")
    if not text:
        raise OptionError("A model's name is empty.")
    if text.startswith(FOLDER_PREFIX):
        return _folder(text.removeprefix(FOLDER_PREFIX))
    for prefix in HUB_PREFIXES:
        if text.startswith(prefix):
            break
    else:
        prefix = ""
        if text.startswith((".", "/", "~")) or (os.sep != "/" and os.sep in text) or is_here(text):
            return _folder(text)
    name, _, revision = text.removeprefix(prefix).partition("@")
    return Candidate(name, revision or None)


def is_here(text: str) -> bool:
    """Whether there is a file or folder of this name; no name is too long or too odd to ask.

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
    except (OSError, RuntimeError, ValueError):  # links in a circle, no such home: a row, and the others go on
        return Candidate(text, folder=Path(text).absolute())


def read_candidates(path: Path) -> list[str]:
    """Return the models that a file names: one per line, or the first column of a CSV; `#` begins a comment."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read as a list of models: {error}.") from None
    names = [line.split("#", 1)[0].split(",", 1)[0].strip().strip('"') for line in lines]
    found = [name for name in names if name and name.lower() not in ("model", "models", "model_id")]
    if not found:
        raise OptionError(f"{path} names no models: expected one per line.")
    return found


def parse_candidates(texts: Iterable[str]) -> list[Candidate]:
    """Return candidates in order, each once; `example` means all checkpoints that ship with the package."""
    return list(dict.fromkeys(one for text in texts for one in _shipped(text) or [parse_candidate(text)]))


def _shipped(text: str) -> list[Candidate]:
    """Return checkpoints that ship with the package, under names that are the same on every machine."""
    return [Candidate(f"{NAME}/{folder.name}", folder=folder) for folder in example_checkpoints(text.strip())]


def display_names(candidates: Sequence[Candidate]) -> list[str]:
    """Return a name for each: folders by their last part, with as much of the path as tells equal ones apart."""
    names = [str(one) if one.folder is None else last_part(one) for one in candidates]
    return [
        str(one) if names.count(name) > 1 and one.folder is not None else name
        for one, name in zip(candidates, names, strict=True)
    ]


def last_part(candidate: Candidate) -> str:
    """Return what to call a folder: the last part of what was typed, or of where it is for "." and the like."""
    typed = Path(candidate.name.removeprefix(FOLDER_PREFIX)).name
    return typed if typed.strip(".") or candidate.folder is None else candidate.folder.name
