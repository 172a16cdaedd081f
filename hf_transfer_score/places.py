"""Where things are kept on this computer."""

from __future__ import annotations

import os
from pathlib import Path

from hf_transfer_score.errors import OptionError

HOME_VARIABLE = "HF_TRANSFER_SCORE_HOME"
LIMIT_VARIABLE = "HF_TRANSFER_SCORE_CACHE_SIZE"
DEFAULT_LIMIT = 20 * 10**9
"""Bytes of features that are kept unless the environment says another number."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def home() -> Path:
    """Return the folder of samples, features and what is known of checkpoints.

    It is HF_TRANSFER_SCORE_HOME, else the folder `transfer_score` in HF_HOME, which by default is ~/.cache/huggingface.
    """
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE]).expanduser()
    return hub_home() / "transfer_score"


def hub_home() -> Path:
    """Return the folder in which the Hub's clients keep what they download: HF_HOME, or ~/.cache/huggingface."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def cache_limit() -> int:
    """Return how many bytes of features are kept; HF_TRANSFER_SCORE_CACHE_SIZE may say "500M" or "20GB"."""
    text = os.environ.get(LIMIT_VARIABLE)
    return DEFAULT_LIMIT if not text else parse_bytes(text)


def parse_bytes(text: str) -> int:
    """Return a number of bytes from text.

    Example:
        >>> parse_bytes("1.5GB"), parse_bytes("300M")
        (1500000000, 300000000)
    """
    bare = text.strip().upper().removesuffix("B")
    unit = bare[-1:] if bare[-1:] in UNITS else ""
    try:
        return int(float(bare.removesuffix(unit)) * UNITS[unit])
    except ValueError:
        raise OptionError(f"{text!r} is no number of bytes: expected one such as 500M or 20GB.") from None
