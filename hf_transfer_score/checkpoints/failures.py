"""What the Hub's clients raise, as the failure of one checkpoint, in words that say what to do."""

from __future__ import annotations

import os
from pathlib import Path

from hf_transfer_score.disk import fullness, no_space
from hf_transfer_score.errors import CheckpointError

TRANSIENT = (408, 429, 500, 502, 503, 504)

ASKED_TO_WAIT = (408, 429)

CLIENT_SECONDS = 10
"""An attempt that took longer was repeated by the client itself, as newer versions do for half a minute."""


def hub_failure(name: str, error: BaseException, revision: str | None = None) -> CheckpointError:
    """Return the failure that an exception stands for.

    Args:
        name: the id on the Hub.
        error: what a client raised.
        revision: what was asked for, None for the default branch.
    """
    from huggingface_hub import constants, errors

    if isinstance(error, CheckpointError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError("gated", _gated(name))
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError("missing", f"has no revision {revision!r}; give a branch, a tag or a full commit")
    if isinstance(error, errors.RepositoryNotFoundError):
        return _missing(name)
    if isinstance(error, errors.HFValidationError):
        return CheckpointError("missing", f"{name!r} is no id of the Hub: expected owner/name, or an existing folder")
    if isinstance(error, errors.DisabledRepoError):
        return CheckpointError("private", "is disabled on the Hub")
    if is_offline(error):
        return CheckpointError("no_network", _offline())
    if fullness(error) is not None:
        return CheckpointError("no_space", str(no_space(error, f"the files of {name}", Path(constants.HF_HUB_CACHE))))
    return _status_failure(name, error)


def _status_failure(name: str, error: BaseException) -> CheckpointError:
    status = next((found for one in chain(error) if (found := status_of(one)) is not None), None)
    if status == 401 and has_token():
        return CheckpointError("private", "was refused: the Hub does not know this token; log in with `hf auth login`")
    if status == 401:
        return _missing(name)
    if status == 403:
        return CheckpointError("private", f"is closed to this token ({_short(error)})")
    if status is not None:
        return CheckpointError("download", f"could not be downloaded: the Hub answered {status}; try again later")
    return CheckpointError("download", f"could not be downloaded: {type(error).__name__}: {_short(error)}")


def _gated(name: str) -> str:
    where = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/{name}"
    if has_token():
        return f"is gated, and the token in use has no access to it: ask for access at {where}"
    return f"is gated: ask for access at {where}, and log in with `hf auth login` or set HF_TOKEN"


def _missing(name: str) -> CheckpointError:
    if has_token():
        return CheckpointError("missing", f"there is no {name} on the Hub that this token may see; check the id")
    return CheckpointError(
        "missing", f"there is no {name} on the Hub, or it is private: check the id, or log in with `hf auth login`"
    )


def _offline() -> str:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "is not on this computer, and HF_HUB_OFFLINE forbids to look on the Hub"
    return "is not on this computer, and the Hub cannot be reached"


def has_token() -> bool:
    """Whether requests to the Hub carry a token."""
    from huggingface_hub import get_token

    return get_token() is not None


def is_offline(error: BaseException) -> bool:
    """Whether an exception, or what it came from, says that there is no way to the Hub.

    A Hub that answers, if only with an error, is reached: the client reports both alike.
    """
    from huggingface_hub import errors

    kinds = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionRefusedError)
    names = ("ConnectError", "ConnectTimeout", "NewConnectionError")
    found = chain(error)
    if any(status_of(one) is not None for one in found):
        return False
    return any(isinstance(one, kinds) or type(one).__name__ in names for one in found)


def chain(error: BaseException) -> list[BaseException]:
    """Return an exception and those it came from."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the Hub was busy, or the connection was lost half-way."""
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT
    if is_offline(error):
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    lost = {"TransportError", "ConnectionError", "ChunkedEncodingError", "IncompleteRead", "Timeout", "ProtocolError"}
    return bool(names & lost) or "Consistency check failed" in str(error)


def is_worth_repeating(error: BaseException, seconds: float) -> bool:
    """Whether to ask or download again after a failure that took so long; the client does so for some answers."""
    return is_transient(error) and not (status_of(error) in ASKED_TO_WAIT and seconds > CLIENT_SECONDS)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an exception carries."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Cannot access", "(Request ID"))), type(error).__name__)
