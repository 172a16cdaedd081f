"""What holds for all clients of the Hub: where it is, whether it may be asked, by whom, its cache, and the deadline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

from hf_transfer_score.errors import OptionError

RepositoryType = Literal["dataset", "model", "space"]
"""What kinds of repositories there are, as the Hub's client calls them."""

VARIABLE = "HF_TRANSFER_SCORE_HUB_SECONDS"
DEFAULT_SECONDS = 30.0
ATTEMPTS = 4
SHARES = (1 / 30, 3 / 30, 6 / 30)
"""Of that time, before each further attempt: 1, 3 and 6 seconds by default."""

ONE_WAIT = 1 / 3
"""Of that time, the longest that one attempt waits for data."""

DOWNLOADS = 1.5
"""A download may stand still for so many times as long."""

LEAST_BYTES = 1 << 16
"""What has to arrive within that time; a Hub that sends less has not answered."""

CONNECT_SECONDS = 10.0

REST, RESTS = 12, 20
"""A pause that the Hub asks for because of its rate limits may take so many times as long, and come so often.

By default that is six minutes: the Hub counts requests over five.
"""


def endpoint_of(endpoint: str | None = None) -> str:
    """Return where the Hub is."""
    from huggingface_hub import constants

    return endpoint or str(constants.ENDPOINT)


def page_of(name: str, repo_type: RepositoryType, endpoint: str | None = None) -> str:
    """Return where people see a repository."""
    return f"{endpoint_of(endpoint)}/{'' if repo_type == 'model' else f'{repo_type}s/'}{name}"


def is_forbidden() -> bool:
    """Whether asking the Hub is forbidden."""
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


def question_seconds() -> float:
    """Return how long a question may go without an answer; HF_TRANSFER_SCORE_HUB_SECONDS says otherwise."""
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
    """Return for how long the Hub may ask to wait before it is asked again."""
    return REST * question_seconds()


def pauses() -> tuple[float, ...]:
    """Return the seconds before each further attempt."""
    return tuple(share * question_seconds() for share in SHARES)


@dataclass
class Patience:
    """What is left for one address: time spent waiting, and attempts; both start again whenever data arrives.

    Attributes:
        seconds: how long it may go on without an answer, or without `LEAST_BYTES` more of it.
        waited: how long it did.
        attempts: how often it was asked since then.
        reached: the farthest byte that arrived.
        rests: how often it was waited because the Hub asked for it; no part of the time above.
    """

    seconds: float = field(default_factory=question_seconds)
    waited: float = 0.0
    attempts: int = 0
    reached: int = 0
    rests: int = 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.seconds - self.waited)

    @property
    def over(self) -> bool:
        """Whether it is not asked again."""
        return self.left <= 0 or self.attempts >= ATTEMPTS

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is waited in a block."""
        start = monotonic()
        try:
            yield
        finally:
            self.waited += monotonic() - start

    def arrived(self, end: int) -> None:
        """Count what has arrived up to a byte."""
        if end >= self.reached + LEAST_BYTES:
            self.reached, self.waited, self.attempts = end, 0.0, 1
