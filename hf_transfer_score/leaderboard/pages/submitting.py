"""Asking for a model to be scored: what was typed is checked, compared with what is known, and put into the queue."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_transfer_score.errors import InputError, TransferScoreError
from hf_transfer_score.leaderboard.boards.board import BoardKey
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.texts import hub, plain
from hf_transfer_score.requests.checking import check_request
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.requests.request import Request

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REQUEST_HEADERS = ("Model", "Dataset", "State", "Why", "Asked (UTC)", "By")
MOST_ROWS = 200
FRESH_SECONDS = 15.0
"""So long a list of requests is shown again without a look at their place, which may be on the Hub."""

STATES = {
    "pending": "waits for a worker",
    "running": "is being run",
    "done": "is done",
    "failed": "failed",
    "refused": "was refused",
}


@dataclass(frozen=True)
class Asked:
    """What a visitor typed.

    Attributes:
        model: id of the model, or its address on the Hub.
        dataset: id of the dataset, or its address.
        config: the configuration; "" for the only one.
        split: the split; "" for train.
        label_column: the column with the labels; "" to tell from types and names.
    """

    model: str = ""
    dataset: str = ""
    config: str = ""
    split: str = ""
    label_column: str = ""

    def request(self, user: str | None = None) -> Request:
        """Return the request that this is; InputError where it cannot be one."""
        if not self.model.strip() or not self.dataset.strip():
            missing = "model" if not self.model.strip() else "dataset"
            raise InputError(f"Give the id of a {missing} on the Hub, such as owner/name.")
        return Request(
            model=hub_id(self.model),
            dataset=hub_id(self.dataset),
            config=self.config.strip() or None,
            split=self.split.strip() or None,
            label_column=self.label_column.strip() or None,
            asked_by=user,
        )


@dataclass(frozen=True)
class Answer:
    """What became of a submission.

    Attributes:
        text: in plain words.
        accepted: whether it is in the queue, now or since before.
        model: a model whose page shows what was asked for, None where there is none yet.
    """

    text: str
    accepted: bool = False
    model: str | None = None


def hub_id(text: str) -> str:
    """Return the id that a text means: itself, or the one in an address of the Hub.

    Example:
        >>> hub_id(" timm/resnet18 "), hub_id("https://huggingface.co/datasets/ethz/food101/tree/main")
        ('timm/resnet18', 'ethz/food101')
    """
    found = text.strip()
    for start in (hub(), "https://huggingface.co", "https://hf.co"):
        if found.startswith(f"{start}/"):
            parts = [part for part in found[len(start) :].split("?")[0].split("#")[0].split("/") if part]
            parts = parts[1:] if parts[:1] in (["datasets"], ["models"]) else parts
            return "/".join(parts[:2])
    return found


def check_form(asked: Asked) -> str:
    """Return what is wrong with what was typed so far, "" where nothing is; the Hub is not asked."""
    try:
        Asked(asked.model or "x/x", asked.dataset or "x/x", asked.config, asked.split, asked.label_column).request()
    except InputError as error:
        return str(error)
    return ""


def submit(
    asked: Asked, queue: RequestQueue, catalogue: Catalogue, *, user: str | None = None, api: HfApi | None = None
) -> Answer:
    """Put what was asked for into the queue, unless it is there, is on a board, or cannot be run.

    Args:
        asked: by a visitor.
        queue: takes it.
        catalogue: what is known already.
        user: the visitor's name on the Hub, None where nobody has to sign in.
        api: asks the Hub; None for one with the settings of the environment.
    """
    try:
        request = asked.request(user)
        known = already_scored(request, catalogue)
        if known is not None:
            return Answer(f"{request.model} is on a board of this dataset already: {known}.", model=request.model)
        there = queue.get(request)
        if there is None or there.state in ("failed", "refused"):
            check_request(request, api=api)
        done = queue.submit(request)
    except TransferScoreError as error:
        return Answer(plain(error, 1000))
    return _answer(done.state, done.request)


def _answer(state: str, request: Request) -> Answer:
    what = f"{request.model} on {request.dataset}"
    if state == "new":
        return Answer(f"{what} is in the queue. A worker will take it; this page shows how far it is.", accepted=True)
    if state == "done":
        when = (request.finished or "")[:10]
        return Answer(f"{what} was asked for before and is done since {when}.", accepted=True, model=request.model)
    return Answer(f"{what} was asked for before and {STATES[state]}.", accepted=True)


def already_scored(request: Request, catalogue: Catalogue) -> str | None:
    """Return the title of a board that answers a request, None where none does.

    Numbers that were published elsewhere are no answer: they came from another sample.
    """
    titles = {one.key: one.title for one in catalogue.boards()}
    for one in catalogue.model_records(request.model):
        sample = one.dataset
        scored = one.status == "ok" and one.metric is not None and one.metric.kind == "score" and one.source is None
        wanted = (request.config in (None, sample.config), request.split in (None, sample.split))
        column = request.label_column in (None, sample.columns.get("label"))
        if scored and sample.id == request.dataset and all(wanted) and column:
            key = BoardKey(sample.task, sample.id, sample.config, sample.split, sample.fingerprint)
            return titles.get(key, sample.id)
    return None


@dataclass
class RequestList:
    """The requests of a queue as a table, looked up anew after a time.

    Attributes:
        queue: whose requests they are.
        seconds: for which a look holds.
    """

    queue: RequestQueue
    seconds: float = FRESH_SECONDS
    _rows: list[list[str]] = field(default_factory=list, repr=False)
    _looked: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def rows(self, *, anew: bool = False) -> list[list[str]]:
        """Return the newest requests as plain text, in columns as in REQUEST_HEADERS.

        StoreError where their place cannot be read.

        Args:
            anew: look at the place now.
        """
        with self._lock:
            if anew or self._looked is None or time.monotonic() - self._looked > self.seconds:
                self._rows = request_rows(self.queue.requests())
                self._looked = time.monotonic()
            return self._rows


def request_rows(requests: list[Request]) -> list[list[str]]:
    """Return requests as plain text, the newest first, at most 200.

    Args:
        requests: the oldest first.
    """
    return [_row(one) for one in requests[: -MOST_ROWS - 1 : -1]]


def _row(request: Request) -> list[str]:
    details = [request.config, request.split, request.label_column and f"labels in {request.label_column}"]
    inside = ", ".join(part for part in details if part)
    dataset = f"{request.dataset} ({inside})" if inside else request.dataset
    why = request.reason or (f"{request.records} records" if request.records is not None else "")
    kind = f"{request.kind}: " if request.kind else ""
    return [
        plain(request.model),
        plain(dataset),
        request.state,
        plain(kind + why, 600),
        (request.asked or "")[:16].replace("T", " "),
        plain(request.asked_by or ""),
    ]
