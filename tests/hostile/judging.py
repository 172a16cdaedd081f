"""Compares the outcome of hostile input with what is allowed."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from hf_transfer_score.errors import TransferScoreError
from tests.hostile.limited import Finished

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LONGEST = 4000  # characters of a message
Terms = dict[str, dict[str, float]]  # by metric


def fault_of(done: Finished) -> str:
    """Return what is wrong with how a command ended, whatever its message; "" if nothing is."""
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
    """Return the last non-empty line, "" if there is none."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def terms_of(results: Mapping[str, Any]) -> Terms:
    """Return the terms of successful metrics, from the results of a model in `--json`."""
    return {name: dict(one["terms"]) for name, one in results.items() if one["status"] == "ok"}


def printed(text: str) -> dict[str, Any] | None:
    """Parse the output of `--json`, None if it is not JSON."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return None


def same(found: Terms, expected: Terms, tolerance: float = 1e-6) -> bool:
    """Whether two sets of terms are equal up to rounding."""
    return found.keys() == expected.keys() and all(
        found[metric].keys() == terms.keys()
        and all(math.isclose(found[metric][term], value, rel_tol=tolerance) for term, value in terms.items())
        for metric, terms in expected.items()
    )


def judge(said: str, found: Terms | None, refused: str | None, expected: Terms | None) -> str:
    """Return what is wrong with the outcome of an input, "" if nothing is.

    Args:
        said: the message.
        found: the terms, None if it was refused.
        refused: pattern of the message, None if the input must be accepted.
        expected: the terms if it may be accepted, None if it must be refused.
    """
    if found is None:
        if refused is None:
            return f"refused: {said}"
        return "" if re.search(refused, said) else f"said {said!r} where {refused!r} was expected"
    if expected is None:
        return f"accepted with {found}"
    return "" if same(found, expected) else f"other numbers: {found} for {expected}"


def check_message(text: str) -> None:
    """Check that a message is one readable line without control codes."""
    assert text and text.isprintable(), repr(text[:500])
    assert len(text) <= LONGEST, f"{len(text)} letters"


def outcome(read: Callable[[], Any], allowed: type[Exception] = TransferScoreError) -> Any:
    """Return the result of a function, None if it raises an allowed error with a valid message."""
    try:
        return read()
    except allowed as error:
        check_message(str(error))
        return None
