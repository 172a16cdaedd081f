"""What was said of hostile input, held against what must become of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from hf_transfer_score.errors import TransferScoreError
from tests.hostile.limited import Finished

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LONGEST = 4000
"""Letters of a message."""

Terms = dict[str, dict[str, float]]
"""Terms by metric."""


def fault_of(done: Finished) -> str:
    """Return how a command ended that should not have ended so, "" where it ended well, whatever it says."""
    if done.over:
        limit = f"{done.seconds:.0f} s" if done.over == "time" else f"{done.megabytes:.0f} MB"
        return f"over its limit of {done.over} ({limit})"
    if done.code < 0:
        return f"ended by signal {-done.code}"
    if "Traceback (most recent call last)" in done.out + done.err:
        return f"a traceback: {last_line(done.err)}"
    if found := CONTROL.search(done.out + done.err.replace("\r", "")):
        return f"a raw control code {found.group()!r}"
    return ""


def last_line(text: str) -> str:
    """Return the last line that is not empty, "" for none."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def terms_of(results: Mapping[str, Any]) -> Terms:
    """Return the terms of the metrics that could be computed, from what `--json` prints of a model."""
    return {name: dict(one["terms"]) for name, one in results.items() if one["status"] == "ok"}


def printed(text: str) -> dict[str, Any] | None:
    """Return what `--json` printed, None where it is no JSON."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return None


def same(found: Terms, expected: Terms, tolerance: float = 1e-6) -> bool:
    """Whether two sets of terms say the same."""
    return found.keys() == expected.keys() and all(
        found[metric].keys() == terms.keys()
        and all(math.isclose(found[metric][term], value, rel_tol=tolerance) for term, value in terms.items())
        for metric, terms in expected.items()
    )


def judge(said: str, found: Terms | None, refused: str | None, expected: Terms | None) -> str:
    """Return what is wrong with what became of an input, "" where it is right.

    Args:
        said: the message.
        found: the terms, None where it was refused.
        refused: what the message must say, None where the input must be accepted.
        expected: the terms where it may be accepted, None where it must not be.
    """
    if found is None:
        if refused is None:
            return f"refused: {said}"
        return "" if re.search(refused, said) else f"said {said!r} where {refused!r} was expected"
    if expected is None:
        return f"accepted with {found}"
    return "" if same(found, expected) else f"other numbers: {found} for {expected}"


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
