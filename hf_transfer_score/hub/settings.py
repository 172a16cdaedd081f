"""Settings of all clients of the Hub: its address, offline mode, token, cache, and time limits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

from hf_transfer_score.errors import OptionError

RepositoryType = Literal["dataset", "model", "space"]  # kinds of repositories, by the names of the Hub's client

VARIABLE = "HF_TRANSFER_SCORE_HUB_SECONDS"
DEFAULT_SECONDS = 30.0
ATTEMPTS = 4
SHARES = (1 / 30, 3 / 30, 6 / 30)
"""Shares of the time limit to wait before each further attempt: 1, 3 and 6 seconds by default."""

ONE_WAIT = 1 / 3  # share of the time limit that one attempt waits for data
DOWNLOADS = 1.5  # a download may stall for this many times the limit
LEAST_BYTES = 1 << 16  # bytes that must arrive within the limit; fewer do not count as an answer

CONNECT_SECONDS = 10.0

REST, RESTS = 12, 20
"""A pause that the Hub asks for because of its rate limits may take `REST` times the limit, and come `RESTS` times.

By default that is six minutes: the Hub counts requests over five.
"""


def endpoint_of(endpoint: str | None = None) -> str:
    """Return the URL of the Hub."""
    from huggingface_hub import constants

    return endpoint or str(constants.ENDPOINT)


def page_of(name: str, repo_type: RepositoryType, endpoint: str | None = None) -> str:
    """Return the web page of a repository."""
    return f"{endpoint_of(endpoint)}/{'' if repo_type == 'model' else f'{repo_type}s/'}{name}"


def is_forbidden() -> bool:
    """Whether requests to the Hub are forbidden."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def has_token(token: str | bool | None = None) -> bool:
    """Whether requests with the setting `token` carry one."""
    from huggingface_hub import get_token

    return bool(token) if isinstance(token, str) or token is False else get_token() is not None


def hub_id(text: str) -> str:
    """Return the id in a text: the text itself, or the one in an address of the Hub.

    Example:
        >>> hub_id(" timm/resnet18 "), hub_id("https://huggingface.co/datasets/ethz/food101/tree/main")
        ('timm/resnet18', 'ethz/food101')
    """
    found = text.strip()
    if "://" not in found:
        return found
    for start in (endpoint_of(), "https://huggingface.co", "https://hf.co"):
        if found.startswith(f"{start}/"):
            parts = [part for part in found[len(start) :].split("?")[0].split("#")[0].split("/") if part]
            parts = parts[1:] if parts[:1] in (["datasets"], ["models"]) else parts
            return "/".join(parts[:2])
    return found


def hub_cache() -> Path:
    """Return the folder of downloaded files."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_names(repo_type: RepositoryType) -> list[str]:
    """Return the ids of the repositories of which something was downloaded."""
    return [one.name.partition("--")[2].replace("--", "/") for one in hub_cache().glob(f"{repo_type}s--*")]


def question_seconds() -> float:
    """Return how many seconds a request may go unanswered; HF_TRANSFER_SCORE_HUB_SECONDS changes it."""
    text = os.environ.get(VARIABLE)
    if not text:
        return DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise OptionError(f"{VARIABLE}={text!r}: expected a number of seconds above 0, such as 30.")
    return seconds


def longest_rest() -> float:
    """Return the longest pause that the Hub may ask for, in seconds."""
    return REST * question_seconds()


def pauses() -> tuple[float, ...]:
    """Return the seconds before each further attempt."""
    return tuple(share * question_seconds() for share in SHARES)


@dataclass
class RetryBudget:
    """The time and attempts spent on one URL; both are reset whenever data arrives."""

    seconds: float = field(default_factory=question_seconds)  # without an answer, or `LEAST_BYTES` more of it
    waited: float = 0.0  # seconds spent waiting
    attempts: int = 0  # number of requests
    reached: int = 0  # the farthest byte that arrived
    rests: int = 0  # number of pauses that the Hub asked for, which do not count as waiting

    @property
    def left(self) -> float:
        """Remaining seconds."""
        return max(0.0, self.seconds - self.waited)

    @property
    def over(self) -> bool:
        """Whether there are no more attempts."""
        return self.left <= 0 or self.attempts >= ATTEMPTS

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the duration of a block as waiting."""
        start = monotonic()
        try:
            yield
        finally:
            self.waited += monotonic() - start

    def arrived(self, end: int) -> None:
        """Note that data up to a byte has arrived."""
        if end >= self.reached + LEAST_BYTES:
            self.reached, self.waited, self.attempts = end, 0.0, 1
