"""What the Hub's clients raise, told once: as the failure of a checkpoint, or of a repository of results.

What happened is found out in `failures.trouble_of`; here are the sentences for it.
"""

from __future__ import annotations

from typing import Literal

from hf_transfer_score.disk import fullness, no_space
from hf_transfer_score.errors import CheckpointError, HubError
from hf_transfer_score.hub.failures import INCONSISTENT, Trouble, trouble_of
from hf_transfer_score.hub.settings import RepositoryType, has_token, hub_cache, page_of

LOG_IN = "log in with `hf auth login` or set HF_TOKEN"
DAMAGED = "something between here and there damages it; try another network, or the Hub itself in place of a mirror"

Doing = Literal["read", "write"]


def no_revision(revision: str | None) -> str:
    """Return what is to be said of a repository without a revision, as a clause."""
    return f"has no revision {revision!r}; give a branch, a tag or a full commit"


def missing(name: str, repo_type: RepositoryType = "dataset", token: str | bool | None = None) -> HubError:
    """Return the error for a repository that is not there for who asks."""
    what = "Space" if repo_type == "space" else repo_type
    if has_token(token):
        return HubError(f"There is no {what} {name} on the Hub that this token may see: check the name and the token.")
    return HubError(f"There is no {what} {name} on the Hub, or it is private: check the name, or {LOG_IN}.")


def no_token(name: str) -> HubError:
    """Return the error for a change that nobody signs."""
    return HubError(f"Writing to {name} on the Hub needs a token: {LOG_IN}. (A local folder is written ./{name}.)")


def hub_error(
    name: str,
    error: BaseException,
    *,
    doing: Doing = "read",
    repo_type: RepositoryType = "dataset",
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> HubError:
    """Return the error that an exception of the Hub's client stands for.

    Args:
        name: of the repository, as OWNER/NAME.
        error: what was raised.
        doing: what was tried.
        repo_type: what kind of repository it is.
        token: with which token.
        endpoint: on which Hub.
    """
    if isinstance(error, HubError):
        return error
    trouble, known = trouble_of(error), has_token(token)
    if trouble.kind == "missing":
        return missing(name, repo_type, token)
    if trouble.kind == "gated":
        where = f"ask for access at {page_of(name, repo_type, endpoint)}"
        return HubError(f"{name} is gated: {where}{'' if known else f', and {LOG_IN}'}.")
    if trouble.kind == "name":
        return HubError(f"{name!r} is no name of a repository on the Hub: {error}")
    return HubError(_of_results(name, trouble, doing, known=known))


def _of_results(name: str, trouble: Trouble, doing: Doing, *, known: bool) -> str:
    kind, reason = trouble.kind, trouble.reason
    if kind == "forbidden":
        return f"{name} is on the Hub, and HF_HUB_OFFLINE forbids to ask it: unset it, or use a local folder."
    if kind == "offline":
        return f"{name} cannot be reached: {reason}."
    if kind == "unanswered":
        return f"The Hub could not be asked to {doing} {name}: {reason}. Try again later."
    if kind == "unknown token" and known:
        return f"The Hub does not know the token that {name} was asked with: {LOG_IN} to a valid one."
    if kind == "unknown token":
        return f"{name} is not open to everybody: {LOG_IN}."
    if trouble.status == 403 and doing == "write":
        return (
            f"This token may not write to {name} ({reason}): use one with write access (`hf auth login`), "
            "or propose the change with --create-pr."
        )
    if trouble.status == 403:
        return f"{name} is closed to this token ({reason})."
    if kind == "busy":
        return f"The Hub asks to wait before {name} is used again (429, too many requests): try again later."
    if trouble.status is not None:
        return f"The Hub answered {trouble.status} when asked to {doing} {name} ({reason}): try again later."
    return f"The connection to the Hub was lost while it was asked to {doing} {name} ({reason}): try again."


def checkpoint_failure(name: str, error: BaseException, revision: str | None = None) -> CheckpointError:
    """Return the failure of one checkpoint that an exception stands for.

    Args:
        name: the id on the Hub.
        error: what a client raised.
        revision: what was asked for, None for the default branch.
    """
    if isinstance(error, CheckpointError):
        return error
    if fullness(error) is not None:
        return CheckpointError("no_space", str(no_space(error, f"the files of {name}", hub_cache())))
    trouble, known = trouble_of(error), has_token()
    if trouble.kind == "missing" or (trouble.kind == "unknown token" and not known):
        return _no_checkpoint(name)
    if trouble.kind == "gated":
        where = f"ask for access at {page_of(name, 'model')}"
        if known:
            return CheckpointError("gated", f"is gated, and the token in use has no access to it: {where}")
        return CheckpointError("gated", f"is gated: {where}, and {LOG_IN}")
    if trouble.kind == "revision":
        return CheckpointError("missing", no_revision(revision))
    if trouble.kind == "name":
        return CheckpointError("missing", f"{name!r} is no id of the Hub: expected owner/name, or an existing folder")
    return _not_downloaded(error, trouble)


def _not_downloaded(error: BaseException, trouble: Trouble) -> CheckpointError:
    kind, reason = trouble.kind, f"{type(error).__name__}: {trouble.reason}"
    if kind == "disabled":
        return CheckpointError("private", "is disabled on the Hub")
    if kind in ("forbidden", "offline"):
        why = "HF_HUB_OFFLINE forbids to look on the Hub" if kind == "forbidden" else "the Hub cannot be reached"
        return CheckpointError("no_network", f"is not on this computer, and {why}")
    if kind == "unknown token":
        return CheckpointError("private", "was refused: the Hub does not know this token; log in with `hf auth login`")
    if kind == "closed":
        return CheckpointError("private", f"is closed to this token ({trouble.reason})")
    if kind == "unanswered":
        reason = f"{trouble.reason}; try again later"
    elif trouble.status is not None:
        reason = f"the Hub answered {trouble.status}; try again later"
    elif INCONSISTENT in str(error):
        reason = "a file came with another size than the Hub names; try again later"
    return CheckpointError("download", f"could not be downloaded: {reason}")


def _no_checkpoint(name: str) -> CheckpointError:
    if has_token():
        return CheckpointError("missing", f"there is no {name} on the Hub that this token may see; check the id")
    return CheckpointError(
        "missing", f"there is no {name} on the Hub, or it is private: check the id, or log in with `hf auth login`"
    )
