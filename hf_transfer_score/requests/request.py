"""A request to score a model on a dataset: its state, its file, and whether it can be run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from hf_transfer_score.errors import HubError, InputError, RecordError
from hf_transfer_score.hub.failures import no_revision, trouble_of
from hf_transfer_score.records.checks import block, wrong
from hf_transfer_score.records.record import plain_record
from hf_transfer_score.untrusted import reason_of
from hf_transfer_score.version import LIBRARY

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEMA_VERSION = 1
FOLDER = "requests"
WITHOUT_OWNER = "_"

LONGEST_ID = 96  # characters of an id, the limit of the Hub

LONGEST_TEXT = 200
LONGEST_REASON = 2000
MOST_METRICS = 50
LARGEST_COUNT = 10**9

PART = r"\w(?:[\w.-]*\w)?"
HUB_ID = re.compile(rf"(?!.*(?:--|\.\.|\.git$)){PART}(?:/{PART})?", re.ASCII)
REVISION = re.compile(r"(?!.*\.\.)\w[\w./-]*", re.ASCII)
METRIC = re.compile(r"[a-z][a-z0-9_]*")
WORD = re.compile(r"[a-z][a-z_]*")

SECONDS = 20.0
BYTES_PER_PARAMETER = 4
SAFE = ".safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MAIN = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.safetensors")
"""The files that libraries load weights from; other .safetensors files hold the same weights in other forms."""

MISSING = "There is no {what} {name} on the Hub, or it is private: check the id; only what is public can be requested."
REFUSED = {
    "missing": MISSING,
    "name": MISSING,
    "private": "The {what} {name} is private: only what is public can be requested.",
    "disabled": "The {what} {name} is disabled on the Hub.",
    "gated": (
        "The {what} {name} is gated: a worker has no access to it. Run it yourself with `hf-transfer-score rank` and a "
        "token that has access."
    ),
}
"""Messages about what cannot be requested, by the kind of trouble."""

State = Literal["pending", "running", "done", "failed", "refused"]


@dataclass(frozen=True)
class Request:
    """A request to score a model on a dataset; an invalid value is an InputError.

    Attributes:
        revision: branch, tag or commit of the model; None for the default branch.
        split: None for train, or the only one.
        label_column: None to determine it from types and names.
        metrics: names of metrics; empty for the default ones.
        asked_by: the user's name on the Hub; None if nobody had to sign in.
        asked: when it was submitted, in UTC; the queue fills it in.
        claimed_until: when the claim ends unless it is renewed, in UTC.
        attempts: how often it was claimed by a worker that did not release it.
        records: how many records were published.

    Example:
        >>> Request("timm/resnet18.a1_in1k", "ethz/food101").state
        'pending'
    """

    model: str
    dataset: str
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    label_column: str | None = None
    metrics: tuple[str, ...] = ()
    asked_by: str | None = None
    asked: str | None = None
    state: State = "pending"
    claimed_by: str | None = None
    claimed_until: str | None = None
    attempts: int = 0
    kind: str | None = None
    reason: str | None = None
    finished: str | None = None
    records: int | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _check_id("model", self.model)
        _check_id("dataset", self.dataset)
        if self.revision is not None and (len(self.revision) > LONGEST_TEXT or not REVISION.fullmatch(self.revision)):
            raise InputError(
                f"The revision {_shown(self.revision)} is not a revision: expected a branch, a tag or a commit."
            )
        for name in ("config", "split", "label_column", "asked_by", "claimed_by"):
            text = getattr(self, name)
            if text is not None and (
                not 0 < len(text) <= LONGEST_TEXT or not text.isprintable() or text != text.strip()
            ):
                raise InputError(
                    f"The field {name} is {_shown(text)}: expected a name of 1 to {LONGEST_TEXT} letters, without line "
                    "breaks."
                )
        _check_metrics(self.metrics)
        _check_outcome(self)

    def to_json(self) -> str:
        """Return the request as JSON."""
        plain = asdict(self)
        block(Request, plain, "")
        return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Request:
        """Parse a request; raises RecordError with the first invalid field."""
        try:
            plain = plain_record(text)
            version = plain.get("schema_version") if isinstance(plain, dict) else SCHEMA_VERSION
            if type(version) is int and version > SCHEMA_VERSION:
                raise RecordError(
                    f"This request has schema version {version}, and this version of the package knows up to "
                    f"{SCHEMA_VERSION}. Install a newer one: pip install -U hf-transfer-score."
                )
            request: Request = block(Request, plain, "")
        except InputError as error:  # the checks and messages are those of records
            raise RecordError(re.sub(r"^A record", "A request", str(error))) from None
        except Exception as error:  # whatever untrusted input makes them raise
            raise RecordError(f"A request cannot be read: {reason_of(error)}") from error
        return request


def request_identity(request: Request) -> str:
    """Return 32 hexadecimal digits that change with what is requested, not with the user or the state."""
    asked = [request.model, request.revision, request.dataset, request.config, request.split, request.label_column]
    text = json.dumps([*asked, sorted(set(request.metrics))], separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def request_path(request: Request) -> PurePosixPath:
    """Return the path of a request in a place: requests/<owner>/<name>/<identity>.json.

    Example:
        >>> request_path(Request("timm/resnet18", "owner/pets")).parent
        PurePosixPath('requests/timm/resnet18')
        >>> request_path(Request("gpt2", "owner/texts")).parent
        PurePosixPath('requests/_/gpt2')
    """
    owner, slash, name = request.model.partition("/")
    parts = (owner, name) if slash else (WITHOUT_OWNER, owner)
    return PurePosixPath(FOLDER, *parts, f"{request_identity(request)}.json")


def is_request_path(path: str) -> bool:
    """Return whether a path may be that of a request.

    Example:
        >>> is_request_path("requests/timm/resnet18/0123.json"), is_request_path("records/a/b/0123.json")
        (True, False)
    """
    return path.startswith(f"{FOLDER}/") and path.endswith(".json") and path.count("/") == 3


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(timezone.utc)


def time_text(moment: datetime) -> str:
    """Return a time as stored in requests: UTC, to the millisecond."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def time_of(text: str) -> datetime:
    """Parse a time of a request."""
    return datetime.fromisoformat(text)


def is_hub_id(text: str) -> bool:
    """Return whether a text has the form of an id on the Hub, which excludes local files of the worker.

    Example:
        >>> is_hub_id("timm/resnet18.a1_in1k"), is_hub_id("gpt2"), is_hub_id("../secret"), is_hub_id("a/b/c")
        (True, True, False, False)
    """
    return len(text) <= LONGEST_ID and HUB_ID.fullmatch(text) is not None


def _check_id(what: str, text: str) -> None:
    if not isinstance(text, str) or not is_hub_id(text):
        raise InputError(
            f"The {what} {_shown(text)} is not an id on the Hub: expected owner/name, at most {LONGEST_ID} letters, "
            "digits, '-', '_' and '.'. Folders and web addresses cannot be requested."
        )


def _check_metrics(metrics: tuple[str, ...]) -> None:
    if not isinstance(metrics, tuple) or len(metrics) > MOST_METRICS:
        raise InputError(f"metrics is {_shown(metrics)}: expected a tuple of at most {MOST_METRICS} names.")
    for name in metrics:
        if len(name) > LONGEST_TEXT or not METRIC.fullmatch(name):
            raise InputError(
                f"The metric {_shown(name)} is not the name of a metric; `hf-transfer-score metrics` lists them."
            )


def _check_outcome(request: Request) -> None:
    """Refuse a request whose fields contradict each other."""
    state = request.state
    if request.schema_version != SCHEMA_VERSION:
        raise wrong("schema_version", f"{SCHEMA_VERSION}", request.schema_version)
    expected = {
        "claimed_by": state == "running",
        "claimed_until": state == "running",
        "finished": state in ("done", "failed", "refused"),
        "reason": state in ("failed", "refused"),
        "kind": state == "failed",
    }
    for name, is_there in expected.items():
        value = getattr(request, name)
        if is_there is not (value is not None):
            raise wrong(name, f"{'one' if is_there else 'none'}, since the state is {state!r}", value)
    for name, number in (("attempts", request.attempts), ("records", request.records)):
        if number is not None and not 0 <= number <= LARGEST_COUNT:
            raise wrong(name, f"a number from 0 to {LARGEST_COUNT:,}", number)
    if request.kind is not None and (len(request.kind) > LONGEST_TEXT or not WORD.fullmatch(request.kind)):
        raise wrong("kind", "the kind of failure, a word", request.kind)
    if request.reason is not None and not 0 < len(request.reason) <= LONGEST_REASON:
        raise wrong("reason", f"a text of 1 to {LONGEST_REASON} letters", request.reason)
    for name in ("asked", "claimed_until", "finished"):
        _check_time(name, getattr(request, name))


def _check_time(name: str, text: str | None) -> None:
    try:
        known = text is None or (len(text) <= LONGEST_TEXT and time_of(text).utcoffset() == timedelta(0))
    except (ValueError, OverflowError):
        known = False
    if not known:
        raise wrong(name, "a time in UTC such as 2025-01-31T12:00:00.000+00:00", text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 2 * LONGEST_ID else f"{text[: 2 * LONGEST_ID]}..."


@dataclass(frozen=True)
class CheckLimits:
    """Limits of what may be requested."""

    weight_bytes: int = 5 * 10**9


def check_request(request: Request, *, api: HfApi | None = None, limits: CheckLimits | None = None) -> str:
    """Refuse a request that no worker can or should run, and return the full commit of the model.

    An InputError is final: the model or the dataset is missing, not public, or of a kind that is not run. After a
    HubError the Hub did not answer, and the same request may be valid later.
    """
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi(**LIBRARY)
    model = _info(api, "model", request.model, request.revision)
    _check_weights(request.model, model, limits or CheckLimits())
    dataset = _info(api, "dataset", request.dataset)
    if not any(not file.rfilename.startswith((".", "README")) for file in dataset.siblings or []):
        raise InputError(f"The dataset {request.dataset} has no files: there is nothing to score on.")
    return str(model.sha)


def _info(api: HfApi, what: str, name: str, revision: str | None = None) -> Any:
    """Return what the Hub says about a repository; one that is not public is refused, whatever the token."""
    try:
        more: dict[str, Any] = {"files_metadata": what == "model", "timeout": SECONDS}
        info = api.repo_info(name, repo_type=what, revision=revision, **more)
    except Exception as error:
        trouble = trouble_of(error)
        if trouble.kind == "revision":
            raise InputError(f"The {what} {name} {no_revision(revision)}.") from None
        if trouble.kind in REFUSED:
            raise InputError(REFUSED[trouble.kind].format(what=what, name=name)) from None
        reason = f"{type(error).__name__}: {trouble.reason}"
        raise HubError(f"The Hub gave no information on the {what} {name} ({reason}); try again later.") from error
    for kind in ("private", "disabled", "gated"):
        if getattr(info, kind):
            raise InputError(REFUSED[kind].format(what=what, name=name))
    return info


def _check_weights(name: str, info: Any, limits: CheckLimits) -> None:
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    safe = {file: size for file, size in sizes.items() if file.endswith(SAFE)}
    pickled = sorted(file for file in sizes if file.endswith(PICKLED))
    if not safe and not pickled:
        raise InputError(f"The model {name} has no weights in safetensors files: there is nothing to load.")
    if not safe:
        raise InputError(
            f"The model {name} has pickled weights only ({pickled[0]}), and loading these may run code: its owner can "
            "add safetensors, for example with https://huggingface.co/spaces/safetensors/convert."
        )
    main = {file: size for file, size in safe.items() if MAIN.fullmatch(file)} or safe
    if None in main.values():
        total = info.safetensors.total * BYTES_PER_PARAMETER if info.safetensors else 0
    else:
        total = sum(main.values())
    if total > limits.weight_bytes:
        raise InputError(
            f"The weights of {name} take {total / 1e9:.1f} GB, and requests may ask for up to "
            f"{limits.weight_bytes / 1e9:.1f} GB: run it yourself with `hf-transfer-score rank`."
        )
