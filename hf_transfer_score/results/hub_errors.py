"""What the Hub's client raises, in words that say what to do, and whether trying again may help."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from hf_transfer_score.errors import HubError

TRANSIENT = (408, 429, 500, 502, 503, 504)
WAITS = (0.5, 2.0, 5.0)
"""Seconds before reading is tried again."""

CLIENT_SECONDS = 10.0
"""An attempt that took longer was repeated by the client itself."""

LOST = {"TransportError", "ConnectionError", "ChunkedEncodingError", "IncompleteRead", "Timeout", "ProtocolError"}
NEVER_SENT = {"ConnectError", "ConnectTimeout", "NewConnectionError"}

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"

Doing = Literal["read", "write"]
Value = TypeVar("Value")


def patiently(action: Callable[[], Value], *, also: Callable[[Exception], bool] | None = None) -> Value:
    """Return what an action gives, trying again after failures that may pass.

    Args:
        action: reads; may be done any number of times.
        also: further failures that may pass.
    """
    for wait in WAITS:
        start = time.monotonic()
        try:
            return action()
        except Exception as error:
            passing = is_transient(error) or (also is not None and also(error))
            if not passing or time.monotonic() - start > CLIENT_SECONDS:
                raise
            time.sleep(wait)
    return action()


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the Hub was busy, or the connection was lost."""
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT
    return not is_offline(error) and not _kinds(error) & NEVER_SENT and bool(_kinds(error) & LOST)


def is_conflict(error: BaseException) -> bool:
    """Whether a commit was refused because the repository is no longer as it was looked at."""
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return False
    gone = isinstance(error, errors.EntryNotFoundError)  # a file to remove that somebody else has removed
    return status_of(error) in (409, 412) or gone or "commit has happened since" in str(error)


def was_refused(error: BaseException) -> bool:
    """Whether it is certain that a commit did not happen, although trying again may help."""
    return status_of(error) in (408, 429)


def underlying(error: Exception) -> Exception:
    """Return what went wrong with the upload of a large file, which the client wraps into an error of its own."""
    cause = error.__cause__
    return cause if isinstance(error, RuntimeError) and isinstance(cause, Exception) else error


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an exception carries."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


def seconds_to_wait(error: BaseException) -> float:
    """Return how long the Hub asks to wait, 0 where it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    text = str(headers.get("Retry-After", ""))
    return float(text) if text.isdigit() else 0.0


def is_offline(error: BaseException) -> bool:
    """Whether an exception says that nobody may ask the Hub."""
    from huggingface_hub import errors

    return isinstance(error, errors.OfflineModeIsEnabled)


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def has_token(token: str | bool | None) -> bool:
    """Whether requests carry a token, where `token` was asked for."""
    from huggingface_hub import get_token

    return bool(token) if isinstance(token, str) or token is False else get_token() is not None


def endpoint_of(endpoint: str | None) -> str:
    """Return where the Hub is."""
    from huggingface_hub import constants

    return endpoint or str(constants.ENDPOINT)


def hub_error(
    name: str,
    error: BaseException,
    *,
    doing: Doing = "read",
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> HubError:
    """Return the error that an exception of the Hub's client stands for.

    Args:
        name: of the repository, as OWNER/NAME.
        error: what was raised.
        doing: what was tried.
        token: with which token.
        endpoint: on which Hub.
    """
    from huggingface_hub import errors

    known = has_token(token)
    if is_offline(error):
        return HubError(f"{name} is on the Hub, and HF_HUB_OFFLINE forbids to ask it: unset it, or use a local folder.")
    if isinstance(error, errors.GatedRepoError):
        where = f"ask for access at {endpoint_of(endpoint)}/datasets/{name}"
        return HubError(f"{name} is gated: {where}{'' if known else f', and {LOG_IN}'}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return missing(name, token)
    if isinstance(error, errors.HFValidationError):
        return HubError(f"{name!r} is no name of a repository on the Hub: {error}")
    return HubError(_by_status(name, error, doing, known, endpoint))


def missing(name: str, token: str | bool | None) -> HubError:
    """Return the error for a repository that is not there for who asks."""
    if has_token(token):
        return HubError(f"There is no dataset {name} on the Hub that this token may see: check the name and the token.")
    return HubError(f"There is no dataset {name} on the Hub, or it is private: check the name, or {LOG_IN}.")


def no_token(name: str) -> HubError:
    """Return the error for a change that nobody signs."""
    return HubError(f"Writing to {name} on the Hub needs a token: {LOG_IN}. (A local folder is written ./{name}.)")


def _by_status(name: str, error: BaseException, doing: Doing, known: bool, endpoint: str | None) -> str:
    status, said = status_of(error), _said(error)
    if status == 401 and not known:
        return f"{name} is not open to everybody: {LOG_IN}."
    if status == 401:
        return f"The Hub does not know the token that {name} was asked with: {LOG_IN} to a valid one."
    if status == 403 and doing == "write":
        return (
            f"This token may not write to {name} ({said}): use one with write access (`hf auth login`), "
            "or propose the change with --create-pr."
        )
    if status == 403:
        return f"{name} is closed to this token ({said})."
    if status == 429:
        return f"The Hub asks to wait before {name} is used again (429, too many requests): try again later."
    if status is not None:
        return f"The Hub answered {status} when asked to {doing} {name} ({said}): try again later."
    if _kinds(error) & NEVER_SENT:
        where = endpoint_of(endpoint)
        return f"{name} cannot be reached: nobody answers at {where}. Check the network{_variable()}."
    return f"The connection to the Hub was lost while it was asked to {doing} {name} ({said}): try again."


def _variable() -> str:
    return " and HF_ENDPOINT" if os.environ.get("HF_ENDPOINT") else ""


def _said(error: BaseException) -> str:
    """Return the line of a message that says most."""
    server = getattr(error, "server_message", None)
    lines = [line.strip() for line in str(server or error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
