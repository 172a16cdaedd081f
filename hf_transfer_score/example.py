"""The dataset and the checkpoints that ship with the package, and which names mean them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAME = "example"
"""Of the dataset, and of all the checkpoints together; one of them is `example/NAME`."""

CAUTION = "this is a toy to try the package on: what it shows is no evidence for or against any metric"

FOLDER = Path(__file__).parent / "shipped" / NAME


def example_dataset(dataset: Any) -> Path | None:
    """Return the folder of the dataset where its name was given; what is here under that name counts more."""
    return FOLDER / "dataset" if isinstance(dataset, str) and dataset == NAME and not Path(NAME).exists() else None


def example_checkpoints(text: str) -> list[Path]:
    """Return the folders of the checkpoints that are meant: all, one, or none; what is here counts more.

    Example:
        >>> [folder.name for folder in example_checkpoints("example/vit-pretrained")]
        ['vit-pretrained']
        >>> example_checkpoints("owner/model")
        []
    """
    owner, _, name = text.partition("/")
    if owner != NAME or Path(NAME).exists():
        return []
    return sorted(one for one in (FOLDER / "checkpoints").iterdir() if name in ("", one.name))
