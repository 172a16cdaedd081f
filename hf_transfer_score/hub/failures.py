"""Explains exceptions of the Hub's clients: whether they are transient, what happened, and what to do.

`trouble_of` classifies an exception, which becomes the failure of a checkpoint or of a repository of results.
"""

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Literal

from hf_transfer_score.errors import CheckpointError, HubError, NoAnswerError, chain
from hf_transfer_score.home import fullness, no_space
from hf_transfer_score.hub import settings

BUSY = 429  # the HTTP status for too many requests

TRANSIENT = (408, BUSY, 500, 502, 503, 504)
LOST = {"TransportError", "ConnectionError", "ChunkedEncodingError", "IncompleteRead", "Timeout", "ProtocolError"}
NEVER_SENT = {"ConnectError", "ConnectTimeout", "NewConnectionError"}
INCONSISTENT = "Consistency check failed"  # the client's message about a file of unexpected size

LOG_IN = "log in with `hf auth login` or set HF_TOKEN"
DAMAGED = "it is damaged on the way; try another network, or the Hub itself instead of a mirror"

Doing = Literal["read", "write"]

Kind = Literal[
    "gated",
    "revision",  # the repository does not have it
    "missing",
    "name",  # it is not valid
    "disabled",
    "forbidden",  # offline mode
    "offline",  # nobody was reached
    "unanswered",
    "unknown token",
    "closed",  # access is denied
    "busy",  # too many requests
    "status",  # another one
    "other",
]


@dataclass(frozen=True)
class Trouble:
    """The meaning of an exception of a client of the Hub."""

    kind: Kind
    reason: str  # why nobody was reached or answered, as a clause; otherwise the most informative line of the message
    status: int | None = None  # the HTTP status, if there was one


def trouble_of(error: BaseException) -> Trouble:
    """Classify an exception."""
    from huggingface_hub import errors

    meant: dict[Kind, type[Exception]] = {
        "gated": errors.GatedRepoError,
        "revision": errors.RevisionNotFoundError,
        "missing": errors.RepositoryNotFoundError,
        "name": errors.HFValidationError,
        "disabled": errors.DisabledRepoError,
    }
    statuses: dict[int | None, Kind] = {None: "other", 401: "unknown token", 403: "closed", 429: "busy"}
    told, unanswered = chain(error, hidden=False), no_answer(error)
    status = next((found for one in chain(error) if (found := status_of(one)) is not None), None)
    for kind, expected in meant.items():
        if any(isinstance(one, expected) for one in told):
            return Trouble(kind, telling_line(error), status)
    if is_offline(error):
        forbidden = settings.is_forbidden() or any(isinstance(one, errors.OfflineModeIsEnabled) for one in told)
        return Trouble("forbidden" if forbidden else "offline", unanswered.reason if unanswered else not_reached(error))
    if unanswered is not None:
        return Trouble("unanswered", unanswered.reason, status)
    return Trouble(statuses.get(status, "status"), telling_line(error), status)


def telling_line(error: BaseException) -> str:
    """Return the most informative line of a message; the client puts no token there."""
    text = str(getattr(error, "server_message", None) or error)
    lines = [line.strip().rstrip(".") for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Cannot access", "(Request ID"))), type(error).__name__)


def kinds(error: BaseException) -> set[str]:
    """Return the names of the classes of an exception, which do not depend on the HTTP library of the client."""
    return {kind.__name__ for kind in type(error).__mro__}


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an exception carries."""
    if isinstance(error, NoAnswerError):
        return error.status
    status = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


def no_answer(error: BaseException) -> NoAnswerError | None:
    """Return the unanswered request that caused an exception, if one did."""
    return next((one for one in chain(error) if isinstance(one, NoAnswerError)), None)


def is_offline(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, means that the Hub cannot be reached.

    The client may report an error status of the Hub in the same way, although the Hub was reached then.
    """
    from huggingface_hub import errors

    unanswered = no_answer(error)
    if unanswered is not None:
        return unanswered.offline
    meant = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionRefusedError)
    found = chain(error)
    if any(status_of(one) is not None for one in found):
        return False
    return any(isinstance(one, meant) or kinds(one) & NEVER_SENT for one in found)


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may help: the Hub was busy, or the connection was lost."""
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT
    if isinstance(error, NoAnswerError):
        return not error.offline and not error.final
    if is_offline(error):
        return False
    return bool(kinds(error) & LOST) or INCONSISTENT in str(error)


def is_conflict(error: BaseException) -> bool:
    """Whether a commit was refused because the repository has changed since it was read."""
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return False
    gone = isinstance(error, errors.EntryNotFoundError)  # somebody else has removed a file that was to be removed
    return status_of(error) in (409, 412) or gone or "commit has happened since" in str(error)


def was_refused(error: BaseException) -> bool:
    """Whether a commit certainly did not happen, although trying again may help."""
    return status_of(error) in (408, 429)


def underlying(error: Exception) -> Exception:
    """Return the cause of a failed upload of a large file, which the client wraps in an error of its own."""
    cause = error.__cause__
    return cause if isinstance(error, RuntimeError) and isinstance(cause, Exception) else error


def seconds_to_wait(error: BaseException) -> float:
    """Return how many seconds the Hub asks to wait, 0 if it does not say."""
    if isinstance(error, NoAnswerError):
        return error.wait or 0.0
    return asked_to_wait(getattr(error, "response", None)) or 0.0


def asked_to_wait(response: Any) -> float | None:
    """Return the seconds of a Retry-After or RateLimit header; None if there is none, or a date.

    Example:
        >>> from types import SimpleNamespace
        >>> asked_to_wait(SimpleNamespace(status_code=429, headers={"RateLimit": '"api";r=0;t=55'}))
        55.0
    """
    headers = getattr(response, "headers", None) or {}
    text = str(headers.get("Retry-After", "")).strip()
    if text.isdigit():
        return float(text)
    left = re.search(r"\bt=(\d+)", str(headers.get("RateLimit", "")))  # seconds until the current window ends
    return float(left[1]) if left and getattr(response, "status_code", None) == BUSY else None


def status_failure(response: Any) -> NoAnswerError:
    """Return the failure for an answer with an error status."""
    status, wait = response.status_code, asked_to_wait(response)
    busy = " (too many requests)" if status == 429 else ""
    return NoAnswerError(f"the Hub answered {status}{busy}", str(response.url), status=status, wait=wait)


def transport_failure(error: BaseException, request: Any, budget: settings.RetryBudget) -> NoAnswerError | None:
    """Return the failure for an exception of the HTTP library; None if it is not about the network."""
    names, url = kinds(error), "" if request is None else str(request.url)
    if "OfflineModeIsEnabled" in names:
        return None
    if "TooManyRedirects" in names:
        return _from(error, "the Hub redirects without end", url, final=True)
    if names & NEVER_SENT:
        return _from(error, not_reached(error), url, offline=True, final=True)
    if "TimeoutException" in names:
        return _from(error, f"the Hub sent nothing for {budget.waited:.3g} s", url)
    if "DecodingError" in names:
        return _from(error, "the Hub sent data that cannot be decompressed", url)
    if names & LOST or isinstance(error, ConnectionError):
        return _from(error, "the connection to the Hub was cut off", url)
    return None


def _from(error: BaseException, reason: str, url: str, **more: Any) -> NoAnswerError:
    failure = NoAnswerError(reason, url, **more)
    failure.__cause__ = error
    return failure


def not_reached(error: BaseException) -> str:
    """Return why the Hub was not reached, as a clause."""
    request = getattr(error, "_request", None)
    place = settings.endpoint_of() if request is None else f"{request.url.scheme}://{request.url.netloc.decode()}"
    causes = chain(error)
    if any(isinstance(one, socket.gaierror) for one in causes) or "Name or service not known" in str(error):
        return f"the name in {place} has no address: check the network and HF_ENDPOINT"
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes) or "CERTIFICATE_VERIFY" in str(error):
        return f"the certificate of {place} is not trusted here: check the network, or SSL_CERT_FILE"
    if any(isinstance(one, ssl.SSLError) for one in causes) or "SSL" in str(error):
        return f"{place} does not speak TLS: check the network, and whether HF_ENDPOINT begins with http:// or https://"
    return f"nobody answers at {place}: check the network and HF_ENDPOINT"


def gave_up(failure: NoAnswerError, budget: settings.RetryBudget) -> NoAnswerError:
    """Return the failure after the last attempt, with the number of attempts."""
    reason = failure.reason
    if failure.wait is not None and failure.wait >= budget.left:
        reason += f" and asks to wait {failure.wait:,.0f} s, longer than the time limit"
    elif not failure.final and failure.status is None and budget.attempts > 1:
        reason += f", {budget.attempts} times"
    more = {"status": failure.status, "wait": failure.wait, "offline": failure.offline, "final": failure.final}
    found = NoAnswerError(reason, failure.url, **more)  # type: ignore[arg-type]
    found.__cause__ = failure.__cause__
    return found


def cut_short(request: Any, response: Any) -> NoAnswerError | None:
    """Return the failure for a part of a file with fewer bytes than its header says, else None."""
    first, _, last = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")[0].partition("-")
    if not (first.isdigit() and last.isdigit()) or len(response.content) == int(last) - int(first) + 1:
        return None
    expected = int(last) - int(first) + 1
    return NoAnswerError(f"the Hub sent {len(response.content):,} bytes of {expected:,}", str(request.url))


def no_revision(revision: str | None) -> str:
    """Return the message about a repository without a revision, as a clause."""
    return f"has no revision {revision!r}; give a branch, a tag or a full commit"


def missing(name: str, repo_type: settings.RepositoryType = "dataset", token: str | bool | None = None) -> HubError:
    """Return the error for a repository that does not exist, or is not visible."""
    what = "Space" if repo_type == "space" else repo_type
    if settings.has_token(token):
        return HubError(f"There is no {what} {name} on the Hub that this token may see: check the name and the token.")
    return HubError(f"There is no {what} {name} on the Hub, or it is private: check the name, or {LOG_IN}.")


def no_token(name: str) -> HubError:
    """Return the error for a change without a token."""
    return HubError(f"Writing to {name} on the Hub needs a token: {LOG_IN}. (For a local folder, write ./{name}.)")


def hub_error(
    name: str,
    error: BaseException,
    *,
    doing: Doing = "read",
    repo_type: settings.RepositoryType = "dataset",
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> HubError:
    """Return the error for an exception of the Hub's client while reading or writing a repository of results."""
    if isinstance(error, HubError):
        return error
    trouble, known = trouble_of(error), settings.has_token(token)
    if trouble.kind == "missing":
        return missing(name, repo_type, token)
    if trouble.kind == "gated":
        where = f"ask for access at {settings.page_of(name, repo_type, endpoint)}"
        return HubError(f"{name} is gated: {where}{'' if known else f', and {LOG_IN}'}.")
    if trouble.kind == "name":
        return HubError(f"{name!r} is not the name of a repository on the Hub: {error}")
    return HubError(_of_results(name, trouble, doing, known=known))


def _of_results(name: str, trouble: Trouble, doing: Doing, *, known: bool) -> str:
    reason, token = trouble.reason, f"The Hub does not know the token for {name}: {LOG_IN} to a valid one."
    messages: dict[Kind, str] = {
        "forbidden": f"{name} is on the Hub, but HF_HUB_OFFLINE forbids requests: unset it, or use a local folder.",
        "offline": f"{name} cannot be reached: {reason}.",
        "unanswered": f"The Hub did not answer a request to {doing} {name}: {reason}. Try again later.",
        "unknown token": token if known else f"{name} is not public: {LOG_IN}.",
        "busy": f"The Hub asks to wait before {name} is used again (429, too many requests): try again later.",
    }
    if trouble.kind in messages:
        return messages[trouble.kind]
    if trouble.status == 403 and doing == "write":
        return (
            f"This token may not write to {name} ({reason}): use one with write access (`hf auth login`), "
            "or propose the change with `create_pr`."
        )
    if trouble.status == 403:
        return f"{name} is closed to this token ({reason})."
    if trouble.status is not None:
        return f"The Hub answered {trouble.status} to a request to {doing} {name} ({reason}): try again later."
    return f"The connection to the Hub was lost during a request to {doing} {name} ({reason}): try again."


def checkpoint_failure(name: str, error: BaseException, revision: str | None = None) -> CheckpointError:
    """Return the failure of one checkpoint for an exception."""
    if isinstance(error, CheckpointError):
        return error
    if fullness(error) is not None:
        return CheckpointError("no_space", str(no_space(error, f"the files of {name}", settings.hub_cache())))
    trouble, known = trouble_of(error), settings.has_token()
    if trouble.kind == "missing" or (trouble.kind == "unknown token" and not known):
        advice = "check the id" if known else "check the id, or log in with `hf auth login`"
        hidden = " that this token may see;" if known else ", or it is private:"
        return CheckpointError("missing", f"there is no {name} on the Hub{hidden} {advice}")
    if trouble.kind == "gated":
        where = f"ask for access at {settings.page_of(name, 'model')}"
        if known:
            return CheckpointError("gated", f"is gated, and the token in use has no access to it: {where}")
        return CheckpointError("gated", f"is gated: {where}, and {LOG_IN}")
    if trouble.kind == "revision":
        return CheckpointError("missing", no_revision(revision))
    if trouble.kind == "name":
        return CheckpointError(
            "missing", f"{name!r} is not an id on the Hub: expected owner/name, or an existing folder"
        )
    return _not_downloaded(error, trouble)


def _not_downloaded(error: BaseException, trouble: Trouble) -> CheckpointError:
    kind, reason = trouble.kind, f"{type(error).__name__}: {trouble.reason}"
    if kind == "disabled":
        return CheckpointError("private", "is disabled on the Hub")
    if kind in ("forbidden", "offline"):
        why = "HF_HUB_OFFLINE forbids requests to the Hub" if kind == "forbidden" else "the Hub cannot be reached"
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
        reason = "the size of a file does not match the Hub; try again later"
    return CheckpointError("download", f"could not be downloaded: {reason}")
