"""The records that ship with the package: what a leaderboard shows before anybody added any."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hf_transfer_score.results.place import FolderPlace

PACKAGE = "hf_transfer_score"
FOLDER = "shipped"


def shipped_folder() -> Path:
    """Return the folder of the records that ship with the package."""
    return Path(str(files(PACKAGE))) / FOLDER


def shipped_place() -> FolderPlace:
    """Return the records that ship with the package as a place to read from.

    They are the published CIFAR-10 table of NCTI with its measured accuracies, and a real run on scikit-learn's digits.

    Example:
        >>> len(shipped_place().view().files) > 100
        True
    """
    return FolderPlace(shipped_folder())
