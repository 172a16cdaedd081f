"""Whether a request can be run at all, asked of the Hub before it joins the queue: two questions, no file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_transfer_score.errors import HubError, InputError
from hf_transfer_score.hub.failures import no_revision, trouble_of
from hf_transfer_score.requests.request import Request

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SECONDS = 20.0
BYTES_A_PARAMETER = 4
SAFE = ".safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MAIN = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.safetensors")
"""The names that libraries load weights from; other files beside them are the same weights in other forms."""

MISSING = "There is no {what} {name} on the Hub, or it is private: check the id; only what is public can be requested."
REFUSED = {
    "missing": MISSING,
    "name": MISSING,
    "private": "The {what} {name} is private: only what is public can be requested.",
    "disabled": "The {what} {name} is disabled on the Hub.",
    "gated": (
        "The {what} {name} is gated: a worker has no access to it. Run it yourself with `hf-transfer-score rank` and a "
        "token that has."
    ),
}
"""What is said of what cannot be requested, by what the Hub says of it."""


@dataclass(frozen=True)
class CheckLimits:
    """What a request may ask for.

    Attributes:
        weight_bytes: the most that the weights of a model may take.
    """

    weight_bytes: int = 5 * 10**9


def check_request(request: Request, *, api: HfApi | None = None, limits: CheckLimits | None = None) -> str:
    """Refuse a request that no worker could run, or none should, and return the model's full commit.

    Args:
        request: what is asked for; its names were checked when it was made.
        api: asks the Hub; None for one with the settings of the environment.
        limits: what may be asked for.

    Raises:
        InputError: the model or the dataset is missing, closed, or not of a kind that is run; the message says which.
        HubError: the Hub did not answer; the same request may be good later.
    """
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    hub = api
    model = _info(
        "model",
        request.model,
        request.revision,
        lambda: hub.model_info(request.model, revision=request.revision, files_metadata=True, timeout=SECONDS),
    )
    _check_open("model", request.model, model)
    _check_weights(request.model, model, limits or CheckLimits())
    dataset = _info("dataset", request.dataset, None, lambda: hub.dataset_info(request.dataset, timeout=SECONDS))
    _check_open("dataset", request.dataset, dataset)
    if not any(not file.rfilename.startswith((".", "README")) for file in dataset.siblings or []):
        raise InputError(f"The dataset {request.dataset} holds no files: there is nothing to score on.")
    return str(model.sha)


def _info(what: str, name: str, revision: str | None, ask: Callable[[], Any]) -> Any:
    """Return what the Hub says of a repository."""
    try:
        return ask()
    except Exception as error:
        trouble = trouble_of(error)
        if trouble.kind == "revision":
            raise InputError(f"The {what} {name} {no_revision(revision)}.") from None
        if trouble.kind in REFUSED:
            raise InputError(REFUSED[trouble.kind].format(what=what, name=name)) from None
        reason = f"{type(error).__name__}: {trouble.reason}"
        raise HubError(f"The Hub did not say what the {what} {name} is ({reason}); try again later.") from error


def _check_open(what: str, name: str, info: Any) -> None:
    """Refuse what not everybody may read, also where this program could."""
    for kind in ("private", "disabled", "gated"):
        if getattr(info, kind):
            raise InputError(REFUSED[kind].format(what=what, name=name))


def _check_weights(name: str, info: Any, limits: CheckLimits) -> None:
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    safe = {file: size for file, size in sizes.items() if file.endswith(SAFE)}
    pickled = sorted(file for file in sizes if file.endswith(PICKLED))
    if not safe and not pickled:
        raise InputError(f"The model {name} holds no weights in safetensors files: there is nothing to load.")
    if not safe:
        raise InputError(
            f"The model {name} has pickled weights only ({pickled[0]}), and loading these may run code: its owner can "
            "add safetensors, for example with https://huggingface.co/spaces/safetensors/convert."
        )
    main = {file: size for file, size in safe.items() if MAIN.fullmatch(file)} or safe
    if None in main.values():
        total = info.safetensors.total * BYTES_A_PARAMETER if info.safetensors else 0
    else:
        total = sum(main.values())
    if total > limits.weight_bytes:
        raise InputError(
            f"The weights of {name} take {total / 1e9:.1f} GB, and requests may ask for up to "
            f"{limits.weight_bytes / 1e9:.1f} GB: run it yourself with `hf-transfer-score rank`."
        )
