"""What the Hub's clients raise, told once: as the failure of a checkpoint, or of a repository of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from hf_transfer_score.disk import fullness, no_space
from hf_transfer_score.errors import CheckpointError, HubError
from hf_transfer_score.hub.failures import (
    INCONSISTENT,
    NEVER_SENT,
    chain,
    is_forbidden,
    is_offline,
    kinds,
    no_answer,
    not_reached,
    status_of,
)

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"

Doing = Literal["read", "write"]


def has_token(token: str | bool | None = None) -> bool:
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

    if isinstance(error, HubError):
        return error
    known = has_token(token)
    if is_forbidden(error):
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
    unanswered = no_answer(error)
    if unanswered is not None and not unanswered.offline:
        return f"The Hub could not be asked to {doing} {name}: {unanswered.reason}. Try again later."
    if unanswered is not None:
        return f"{name} cannot be reached: {unanswered.reason}."
    if kinds(error) & NEVER_SENT:
        return f"{name} cannot be reached: {not_reached(error)}."
    return f"The connection to the Hub was lost while it was asked to {doing} {name} ({said}): try again."


def _said(error: BaseException) -> str:
    """Return the line of a message that says most."""
    server = getattr(error, "server_message", None)
    lines = [line.strip() for line in str(server or error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def checkpoint_failure(name: str, error: BaseException, revision: str | None = None) -> CheckpointError:
    """Return the failure of one checkpoint that an exception stands for.

    Args:
        name: the id on the Hub.
        error: what a client raised.
        revision: what was asked for, None for the default branch.
    """
    from huggingface_hub import constants, errors

    if isinstance(error, CheckpointError):
        return error
    if fullness(error) is not None:
        return CheckpointError("no_space", str(no_space(error, f"the files of {name}", Path(constants.HF_HUB_CACHE))))
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError("gated", _gated(name))
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError("missing", f"has no revision {revision!r}; give a branch, a tag or a full commit")
    if isinstance(error, errors.RepositoryNotFoundError):
        return _no_checkpoint(name)
    if isinstance(error, errors.HFValidationError):
        return CheckpointError("missing", f"{name!r} is no id of the Hub: expected owner/name, or an existing folder")
    if isinstance(error, errors.DisabledRepoError):
        return CheckpointError("private", "is disabled on the Hub")
    if is_offline(error):
        return CheckpointError("no_network", _offline())
    return _download_failure(name, error)


def _download_failure(name: str, error: BaseException) -> CheckpointError:
    unanswered = no_answer(error)
    if unanswered is not None:
        return CheckpointError("download", f"could not be downloaded: {unanswered.reason}; try again later")
    status = next((found for one in chain(error) if (found := status_of(one)) is not None), None)
    if status == 401 and has_token():
        return CheckpointError("private", "was refused: the Hub does not know this token; log in with `hf auth login`")
    if status == 401:
        return _no_checkpoint(name)
    if status == 403:
        return CheckpointError("private", f"is closed to this token ({_telling_line(error)})")
    if status is not None:
        return CheckpointError("download", f"could not be downloaded: the Hub answered {status}; try again later")
    if INCONSISTENT in str(error):
        reason = "a file came with another size than the Hub names"
        return CheckpointError("download", f"could not be downloaded: {reason}; try again later")
    return CheckpointError("download", f"could not be downloaded: {type(error).__name__}: {_telling_line(error)}")


def _gated(name: str) -> str:
    where = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/{name}"
    if has_token():
        return f"is gated, and the token in use has no access to it: ask for access at {where}"
    return f"is gated: ask for access at {where}, and log in with `hf auth login` or set HF_TOKEN"


def _no_checkpoint(name: str) -> CheckpointError:
    if has_token():
        return CheckpointError("missing", f"there is no {name} on the Hub that this token may see; check the id")
    return CheckpointError(
        "missing", f"there is no {name} on the Hub, or it is private: check the id, or log in with `hf auth login`"
    )


def _offline() -> str:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "is not on this computer, and HF_HUB_OFFLINE forbids to look on the Hub"
    return "is not on this computer, and the Hub cannot be reached"


def _telling_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Cannot access", "(Request ID"))), type(error).__name__)
