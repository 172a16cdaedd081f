"""One request, run: from what is asked for to records, or to the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hf_transfer_score.checkpoints.failures import chain, is_offline, is_transient
from hf_transfer_score.errors import (
    CheckpointError,
    DatasetError,
    HubError,
    InputError,
    OptionError,
    UnknownMetricError,
)
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.requests.checking import CheckLimits, check_request
from hf_transfer_score.requests.request import Request
from hf_transfer_score.results.record import Record
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.selection.options import RankOptions
from hf_transfer_score.selection.records import records_of, without_places
from hf_transfer_score.selection.run import rank

PASSING = ("no_network", "download", "no_space")
"""Kinds of failure that another attempt may not meet."""


@dataclass(frozen=True)
class JobOptions:
    """How requests are run.

    Attributes:
        device: where models run; None for an accelerator if there is one.
        max_parameters: models with more fail.
        limits: what may be asked for.
        folder: where samples and features are kept; None for the usual place.
    """

    device: str | None = None
    max_parameters: int | None = None
    limits: CheckLimits = field(default_factory=CheckLimits)
    folder: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What a request came to.

    Attributes:
        state: "again" for what may go well another time.
        records: what is to be published.
        kind: the kind of failure.
        reason: why it failed, was refused, or has to be tried again.
    """

    state: Literal["done", "failed", "refused", "again"]
    records: tuple[Record, ...] = ()
    kind: str = "error"
    reason: str = ""


def carry_out(request: Request, options: JobOptions) -> Outcome:
    """Return what a request comes to; whatever goes wrong with it is an outcome too."""
    try:
        commit = check_request(request, limits=options.limits)
    except InputError as error:
        return Outcome("refused", reason=_said(error))
    except Exception as error:  # noqa: BLE001  # one request never ends the worker
        return _failure(error)
    try:
        return _scored(request, commit, options)
    except Exception as error:  # noqa: BLE001
        return _failure(error)


def _scored(request: Request, commit: str, options: JobOptions) -> Outcome:
    """Return the records of a ranking with one candidate: they hold raw terms, which need no others beside them."""
    if Path(request.dataset).exists():
        raise OptionError(f"Where this worker runs lies {request.dataset}, which is not the dataset on the Hub.")
    report = rank(
        request.dataset,
        [f"hf-hub:{request.model}@{commit}"],
        options=RankOptions(
            sample=SampleOptions(config=request.config, split=request.split, label_column=request.label_column),
            extract=ExtractOptions(device=options.device),
            max_parameters=options.max_parameters,
            free_disk=True,
        ),
        metrics=list(request.metrics) or None,
        folder=options.folder,
    )
    records = tuple(records_of(report))
    for one in records:
        one.to_json()  # what cannot be written is this request's failure, not that of the place
    failed = next((one for one in records if one.status == "failed"), None)
    if failed is None:
        return Outcome("done", records)
    if failed.kind in PASSING:
        return Outcome("again", records, failed.kind, failed.reason or "")
    return Outcome("failed", records, failed.kind or "error", failed.reason or "")


def _failure(error: Exception) -> Outcome:
    """Return the outcome of what was raised before there was anything to make a record of."""
    passing = isinstance(error, HubError) or any(is_transient(one) or is_offline(one) for one in chain(error))
    return Outcome("again" if passing else "failed", kind=_kind(error, passing=passing), reason=_said(error))


def _kind(error: Exception, *, passing: bool) -> str:
    if isinstance(error, CheckpointError):
        return error.kind
    if passing:
        return "no_network"
    if isinstance(error, DatasetError):
        return "dataset"
    if isinstance(error, MemoryError):
        return "out_of_memory"
    return "bad_input" if isinstance(error, (OptionError, UnknownMetricError)) else "error"


def _said(error: Exception) -> str:
    """Return what an exception says, without what the worker's files are called and without tokens."""
    expected = isinstance(error, (InputError, DatasetError, HubError, CheckpointError, UnknownMetricError))
    return without_places(str(error) if expected else f"{type(error).__name__}: {error}")
