"""Runs one request, which gives records or the reason why there are none."""

import json
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hf_transfer_score.errors import (
    CheckpointError,
    DatasetError,
    HubError,
    InputError,
    OptionError,
    UnknownMetricError,
    chain,
)
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.home import home, write_text
from hf_transfer_score.hub.failures import is_offline, is_transient
from hf_transfer_score.records.record import Record
from hf_transfer_score.requests.box import BoxLimits, BoxResult, folder_of_job, limit_this_process, run_in_box
from hf_transfer_score.requests.request import LONGEST_TEXT, WORD, CheckLimits, Request, check_request
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.records import without_places
from hf_transfer_score.runs.run import rank
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.untrusted import Limits, parse_json

PASSING = ("no_network", "download", "no_space")  # kinds of failure that another attempt may avoid
QUESTION, ANSWER = "question.json", "answer.json"  # files for the communication between a worker and the box of a job

ANSWERS = Limits(size=50_000_000, values=50_000, letters=5_000_000)
"""Limits of an answer; each record is a string in it."""


@dataclass(frozen=True)
class JobOptions:
    """How requests are run."""

    device: str | None = None  # where models run; None for an accelerator if there is one
    max_parameters: int | None = None  # larger models fail
    limits: CheckLimits = field(default_factory=CheckLimits)  # what may be requested
    box: BoxLimits = field(default_factory=BoxLimits)  # limits of one job
    folder: Path | None = None  # parent of the folders of jobs; None for the usual place


@dataclass(frozen=True)
class JobOutcome:
    """The outcome of a request."""

    state: Literal["done", "failed", "refused", "again"]  # "again" if another attempt may succeed
    records: tuple[Record, ...] = ()  # records to publish
    kind: str = "error"  # the kind of failure
    reason: str = ""  # why it failed, was refused, or has to be retried


def carry_out(request: Request, options: JobOptions) -> JobOutcome:
    """Run a request in a box and return its outcome; any error with it is an outcome too."""
    asked: dict[str, Any] = {"request": asdict(request), "limits": asdict(options.box)}
    asked |= {"device": options.device, "max_parameters": options.max_parameters}
    try:
        asked["commit"] = check_request(request, limits=options.limits)
        with folder_of_job((options.folder or home()) / "jobs") as folder:
            write_text(folder / QUESTION, json.dumps(asked))
            command = [sys.executable, "-m", "hf_transfer_score.requests.job", str(folder)]
            ended = run_in_box(command, folder, options.box)
            if ended.over is None and ended.code == 0 and (folder / ANSWER).is_file():
                return _answered(folder / ANSWER, request, asked["commit"])
            return _without_answer(ended, options.box, folder / "log")
    except Exception as error:  # noqa: BLE001  # one request never ends the worker
        if "commit" not in asked and isinstance(error, InputError):
            return JobOutcome("refused", reason=_said(error))
        return _failure(error)


def _without_answer(ended: BoxResult, limits: BoxLimits, log: Path) -> JobOutcome:
    """Return the outcome of a job that ended without an answer: failed if it exceeded a limit, else to be retried."""
    if ended.code < 0 and ended.over is None:
        try:
            name = signal.Signals(-ended.code).name
        except ValueError:
            name = f"signal {-ended.code}"
        peak = f"it took at most {ended.megabytes:,.0f} MB of memory"
        return JobOutcome("again", reason=f"Its process was ended by {name}; {peak}.")
    if ended.over is None:
        return JobOutcome("again", reason=f"Its process ended with exit code {ended.code}: {_last_line(log)}")
    reason = {
        "memory": f"It took more than the {limits.memory / 1e9:.3g} GB of memory",
        "time": f"It took longer than the {limits.seconds:g} s",
        "disk": f"It took more than the {limits.disk / 1e9:.3g} GB of disk",
    }[ended.over]
    reason = f"{reason} that this worker allows for one job (--{ended.over})."
    return JobOutcome("failed", kind=f"out_of_{ended.over}", reason=reason)


def _last_line(log: Path) -> str:
    """Return the last line of the output of a job, without paths and tokens."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 2000, 0))
        lines = file.read().decode(errors="replace").split("\n")
    found = [line.strip() for line in lines if line.strip()]
    return without_places(found[-1] if found else "it printed nothing")


def _answered(answer: Path, request: Request, commit: str) -> JobOutcome:
    """Return the outcome in the answer of a job, which is untrusted."""
    if answer.stat().st_size > ANSWERS.size:
        return JobOutcome("failed", reason=f"Its records take more than {ANSWERS.size:,} bytes.")
    plain = parse_json(answer.read_bytes(), what="the answer", limit=ANSWERS)
    records, kind = tuple(map(Record.from_json, plain["records"])), str(plain["kind"])
    for one in records:
        one.to_json()  # it can be written, and no request ends the worker
        of_it = one.model.id == request.model and one.model.commit in (None, commit)
        if not of_it or one.dataset.id != request.dataset:
            return JobOutcome("failed", reason="Its records are of another model or dataset.")
    state: Literal["done", "failed", "again"] = plain["state"]
    if state not in ("done", "failed", "again"):
        return JobOutcome("failed", reason="It ended in an unknown state.")
    is_kind = len(kind) <= LONGEST_TEXT and WORD.fullmatch(kind)
    return JobOutcome(state, records, kind if is_kind else "error", str(plain["reason"]))


def scored(
    request: Request, commit: str, *, device: str | None, max_parameters: int | None, folder: Path
) -> JobOutcome:
    """Run a request in this process and return its outcome; any error with it is an outcome too.

    The records of a ranking with a single candidate hold raw terms, which do not depend on other candidates.
    """
    options = RankOptions(
        sample=SampleOptions(config=request.config, split=request.split, label_column=request.label_column),
        extract=ExtractOptions(device=device),
        max_parameters=max_parameters,
        free_disk=True,
    )
    models, metrics = [f"hf-hub:{request.model}@{commit}"], list(request.metrics) or None
    try:
        report = rank(request.dataset, models, options=options, metrics=metrics, folder=folder)
        records = tuple(report.records())
        for one in records:
            one.to_json()  # a record that cannot be written is a failure of this request, not of the place
    except Exception as error:  # noqa: BLE001
        return _failure(error)
    failed = next((one for one in records if one.status == "failed"), None)
    if failed is None:
        return JobOutcome("done", records)
    if failed.kind in PASSING:
        return JobOutcome("again", records, failed.kind, failed.reason or "")
    return JobOutcome("failed", records, failed.kind or "error", failed.reason or "")


def _failure(error: Exception) -> JobOutcome:
    """Return the outcome for an exception before there were records."""
    passing = isinstance(error, HubError) or any(is_transient(one) or is_offline(one) for one in chain(error))
    return JobOutcome("again" if passing else "failed", kind=_kind(error, passing=passing), reason=_said(error))


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
    """Return the message of an exception, without paths of the worker and tokens."""
    expected = isinstance(error, (InputError, DatasetError, HubError, CheckpointError, UnknownMetricError))
    return without_places(str(error) if expected else f"{type(error).__name__}: {error}")


def main(folder: Path) -> None:
    """Run the job in a folder, in the process of its box, and write the answer."""
    asked = parse_json((folder / QUESTION).read_bytes(), what="the question", limit=ANSWERS)
    limit_this_process(BoxLimits(**asked["limits"]), device=asked["device"])
    outcome = scored(
        Request.from_json(json.dumps(asked["request"])),
        asked["commit"],
        device=asked["device"],
        max_parameters=asked["max_parameters"],
        folder=folder / "kept",
    )
    plain = {**asdict(outcome), "records": [one.to_json() for one in outcome.records]}
    write_text(folder / ANSWER, json.dumps(plain))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
