"""The tab for requests to score a model: they are checked, compared with what is known, and queued."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import gradio as gr

from hf_transfer_score.errors import InputError, TransferScoreError
from hf_transfer_score.hub.settings import hub_id
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.model_page import board_key
from hf_transfer_score.leaderboard.pages.page import MODEL, QUIET, SUBMIT, LeaderboardPage
from hf_transfer_score.leaderboard.pages.texts import escape, page, plain
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.requests.request import Request, check_request

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REQUEST_HEADERS = ("Model", "Dataset", "State", "Why", "Requested (UTC)", "By")
MOST_ROWS = 200
FRESH_SECONDS = 15.0
"""How long a list of requests is shown before their place, which may be on the Hub, is read again."""

LONGEST = 200
AT_ONCE = 4
"""Submissions that may ask the Hub at the same time."""

STATES = {
    "pending": "waits for a worker",
    "running": "is being run",
    "done": "is done",
    "failed": "failed",
    "refused": "was refused",
}

INTRODUCTION = """<div class="lb-head"><h2>Have a model scored</h2></div>
<p class="lb-muted">Ask for a public model to be scored on a public dataset. The request is checked and waits in a
queue until a worker takes it; its records then appear on the board. Scoring takes one forward pass over a labelled
sample; nothing is fine-tuned, and no code from the model's repository is run.</p>"""

NO_QUEUE = """<div class="lb-head"><h2>Have a model scored</h2></div>
<div class="lb-note">Requests are not accepted here yet. Start the leaderboard with
<code>hf-transfer-score leaderboard --requests FOLDER</code> or <code>--requests OWNER/NAME</code>, a dataset repository
on the Hub, or set <code>REQUESTS</code> on a Space; then run <code>hf-transfer-score worker</code> on one of your
machines. Or score the model yourself with <code>hf-transfer-score rank</code>.</div>"""

NO_OAUTH = """<div class="lb-note">Signing in with Hugging Face is not set up for this Space, so it takes no requests:
add <code>hf_oauth: true</code> to the metadata of its README, and
<code>gradio[oauth]</code> to its requirements.</div>"""

SIGN_IN = "Sign in with Hugging Face first: a request needs a name."


@dataclass(frozen=True)
class Asked:
    """What a visitor typed: ids or addresses of a model and a dataset on the Hub, and optional details."""

    model: str = ""
    dataset: str = ""
    config: str = ""
    split: str = ""
    label_column: str = ""

    def request(self, user: str | None = None) -> Request:
        """Return the request; InputError if it is not valid."""
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
    """The answer to a submission.

    Attributes:
        text: in plain words.
        accepted: whether it is in the queue.
        model: a model whose page already has the answer, or None.
    """

    text: str
    accepted: bool = False
    model: str | None = None


def check_form(asked: Asked) -> str:
    """Return what is wrong with what was typed so far, or "", without asking the Hub."""
    try:
        replace(asked, model=asked.model or "x/x", dataset=asked.dataset or "x/x").request()
    except InputError as error:
        return str(error)
    return ""


def submit(
    asked: Asked, queue: RequestQueue, catalogue: Catalogue, *, user: str | None = None, api: HfApi | None = None
) -> Answer:
    """Queue a request, unless it is queued already, is answered by a board, or cannot be run.

    The user is the visitor's name on the Hub, None if signing in is not required.
    """
    try:
        request = asked.request(user)
        known = already_scored(request, catalogue)
        if known is not None:
            return Answer(f"{request.model} is already on a board of this dataset: {known}.", model=request.model)
        there = queue.get(request)
        if there is None or there.state in ("failed", "refused"):
            check_request(request, api=api)
        done = queue.submit(request)
    except TransferScoreError as error:
        return Answer(plain(error, 1000))
    what = f"{request.model} on {request.dataset}"
    if done.state == "new":
        return Answer(f"{what} is in the queue. A worker will take it; this page shows its state.", accepted=True)
    if done.state == "done":
        when = (done.request.finished or "")[:10]
        return Answer(f"{what} was requested before and finished on {when}.", accepted=True, model=request.model)
    return Answer(f"{what} was requested before and {STATES[done.state]}.", accepted=True)


def already_scored(request: Request, catalogue: Catalogue) -> str | None:
    """Return the title of a board that answers a request, if there is one.

    Numbers published elsewhere do not count, since they are from another sample.
    """
    titles = {one.key: one.title for one in catalogue.boards()}
    for one in catalogue.model_records(request.model):
        sample = one.dataset
        scored = one.status == "ok" and one.metric is not None and one.metric.kind == "score" and one.source is None
        wanted = (request.config in (None, sample.config), request.split in (None, sample.split))
        column = request.label_column in (None, sample.columns.get("label"))
        if scored and sample.id == request.dataset and all(wanted) and column:
            return titles.get(board_key(one), sample.id)
    return None


@dataclass
class RequestList:
    """The requests of a queue as a table, read again after some seconds."""

    queue: RequestQueue
    seconds: float = FRESH_SECONDS
    _rows: list[list[str]] = field(default_factory=list, repr=False)
    _looked: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def rows(self, *, anew: bool = False) -> list[list[str]]:
        """Return the newest requests as plain text, in the columns of REQUEST_HEADERS; StoreError if that fails."""
        with self._lock:
            if anew or self._looked is None or time.monotonic() - self._looked > self.seconds:
                self._rows = request_rows(self.queue.requests())
                self._looked = time.monotonic()
            return self._rows

    def html(self, *, anew: bool) -> str:
        """Return the table as HTML."""
        try:
            rows = self.rows(anew=anew)
        except TransferScoreError as error:
            return f'<div class="lb-note">The requests cannot be read at the moment: {escape(error, 600)}</div>'
        if not rows:
            return '<p class="lb-muted">There are no requests yet.</p>'
        return page("requests.html.jinja", headers=REQUEST_HEADERS, rows=rows)


def request_rows(requests: list[Request]) -> list[list[str]]:
    """Return requests, given the oldest first, as rows of plain text, the newest first, at most 200."""
    found = []
    for one in requests[: -MOST_ROWS - 1 : -1]:
        details = [one.config, one.split, one.label_column and f"labels in {one.label_column}"]
        inside = ", ".join(part for part in details if part)
        why = one.reason or (f"{one.records} records" if one.records is not None else "")
        found.append(
            [
                plain(one.model),
                plain(f"{one.dataset} ({inside})" if inside else one.dataset),
                one.state,
                plain(f"{one.kind}: {why}" if one.kind else why, 600),
                (one.asked or "")[:16].replace("T", " "),
                plain(one.asked_by or ""),
            ]
        )
    return found


def build_submit_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab; on a Space, visitors have to sign in."""
    if page.requests is None:
        gr.HTML(NO_QUEUE)
        return
    gr.HTML(INTRODUCTION)
    on_space = bool(os.environ.get("SPACE_ID"))
    can_sign_in = bool(os.environ.get("OAUTH_CLIENT_ID")) and all(map(find_spec, ("authlib", "itsdangerous")))
    if on_space and not can_sign_in:
        gr.HTML(NO_OAUTH)
        return
    if on_space:
        gr.LoginButton()
    _build_form(page, RequestQueue(page.requests, vouches=on_space), signed_in=on_space)


def _build_form(page: LeaderboardPage, queue: RequestQueue, *, signed_in: bool) -> None:
    listed = RequestList(queue)

    def add_field(label: str, info: str, name: str) -> gr.Textbox:
        return gr.Textbox(label=label, info=info, max_lines=1, max_length=LONGEST, elem_id=name)

    with gr.Row():
        model = add_field("Model", "id on the Hub, such as timm/resnet18.a1_in1k", "lb-ask-model")
        dataset = add_field("Dataset", "id on the Hub, such as ethz/food101", "lb-ask-dataset")
    with gr.Row():
        config = add_field("Configuration", "if the dataset has several", "lb-ask-config")
        split = add_field("Split", "leave empty for train, or the only one", "lb-ask-split")
        label = add_field("Label column", "leave empty to detect it from types and names", "lb-ask-label")
    fields = [model, dataset, config, split, label]
    with gr.Row():
        button = gr.Button("Submit", variant="primary", scale=0, min_width=200, elem_id="lb-ask")
    answer = gr.HTML("", elem_id="lb-answer")
    found = gr.State(None)
    with gr.Row():
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 160}
        open_model = gr.Button("Open its page", visible=False, elem_id="lb-ask-open", **small)
        look = gr.Button("Refresh the list", elem_id="lb-ask-look", **small)
    table = gr.HTML("", elem_id="lb-requests")

    def send(*typed: str, user: str | None) -> tuple[Any, ...]:
        done = submit(Asked(*typed), queue, page.library.catalogue, user=user)
        return (*_told(done), listed.html(anew=done.accepted))

    def checked(*typed: str) -> Any:
        wrong = check_form(Asked(*typed))
        return _note(wrong) if wrong else gr.skip()  # an earlier answer stays if nothing is wrong

    gr.on(
        [button.click, *(one.submit for one in fields)],
        _sender(send, signed_in=signed_in),
        inputs=fields,
        outputs=[answer, found, open_model, table],
        concurrency_limit=AT_ONCE,
        show_progress_on=answer,
        trigger_mode="once",
        api_visibility="private",
    )
    gr.on([one.blur for one in fields], checked, inputs=fields, outputs=answer, **QUIET)
    places = [page.model, page.tabs, page.tab]
    open_model.click(lambda known: (known, gr.Tabs(selected=MODEL), MODEL), inputs=found, outputs=places, **QUIET)
    page.when_shown(SUBMIT, lambda: listed.html(anew=False), inputs=[], outputs=[table])
    look.click(lambda: listed.html(anew=True), outputs=table, **QUIET)


def _sender(send: Callable[..., tuple[Any, ...]], *, signed_in: bool) -> Callable[..., tuple[Any, ...]]:
    """Return the function for a click; gradio passes who is signed in by the type of the last argument."""

    def named(
        model: str, dataset: str, config: str, split: str, label: str, profile: gr.OAuthProfile | None
    ) -> tuple[Any, ...]:
        if profile is None:
            return (*_told(Answer(SIGN_IN)), gr.skip())
        return send(model, dataset, config, split, label, user=profile.username)

    def nameless(model: str, dataset: str, config: str, split: str, label: str) -> tuple[Any, ...]:
        return send(model, dataset, config, split, label, user=None)

    return named if signed_in else nameless


def _told(answer: Answer) -> tuple[Any, ...]:
    return _note(answer.text), answer.model, gr.update(visible=answer.model is not None)


def _note(text: str) -> str:
    return f'<div class="lb-note" role="status">{escape(text, 1000)}</div>'
