"""What a refusal has to be: an error of the package, with a message that is safe to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hf_transfer_score.errors import TransferScoreError

LONGEST = 4000


def check_message(text: str) -> None:
    """A message is one line of a length that can be read, without codes that steer a terminal."""
    assert text and text.isprintable(), repr(text[:500])
    assert len(text) <= LONGEST, f"{len(text)} letters"


def outcome(read: Callable[[], Any], allowed: type[Exception] = TransferScoreError) -> Any:
    """Return what a function returns, None where it refuses; whatever else is raised goes on."""
    try:
        return read()
    except allowed as error:
        check_message(str(error))
        return None
