"""What the environment says to all clients of the Hub: where it is, whether it may be asked, by whom, and its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

RepositoryType = Literal["dataset", "model", "space"]
"""What kinds of repositories there are, as the Hub's client calls them."""


def endpoint_of(endpoint: str | None = None) -> str:
    """Return where the Hub is."""
    from huggingface_hub import constants

    return endpoint or str(constants.ENDPOINT)


def page_of(name: str, repo_type: RepositoryType, endpoint: str | None = None) -> str:
    """Return where people see a repository."""
    return f"{endpoint_of(endpoint)}/{'' if repo_type == 'model' else f'{repo_type}s/'}{name}"


def is_forbidden() -> bool:
    """Whether nobody may ask the Hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def has_token(token: str | bool | None = None) -> bool:
    """Whether requests carry a token, where `token` was asked for."""
    from huggingface_hub import get_token

    return bool(token) if isinstance(token, str) or token is False else get_token() is not None


def hub_cache() -> Path:
    """Return the folder of the files that were downloaded."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
