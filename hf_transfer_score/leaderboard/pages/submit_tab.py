"""The tab that asks for a model to be scored on a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gradio as gr

from hf_transfer_score.errors import TransferScoreError
from hf_transfer_score.leaderboard.pages.page import MODEL, SUBMIT, LeaderboardPage
from hf_transfer_score.leaderboard.pages.submitting import (
    REQUEST_HEADERS,
    Answer,
    Asked,
    RequestList,
    check_form,
    submit,
)
from hf_transfer_score.leaderboard.pages.texts import escape, page
from hf_transfer_score.requests.queue import RequestQueue

LONGEST = 200
AT_ONCE = 4
"""Submissions that ask the Hub at a time."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

INTRODUCTION = """<div class="lb-head"><h2>Have a model scored</h2></div>
<p class="lb-muted">Ask for a public model to be scored on a public dataset. The request is checked, waits in a queue
until a worker takes it, and its records land on the board. Scoring takes one forward pass over a labelled sample;
nothing is fine-tuned, and no code of the model's repository is run.</p>"""

NO_QUEUE = """<div class="lb-head"><h2>Have a model scored</h2></div>
<div class="lb-note">Nobody takes requests here yet. Start the leaderboard with
<code>hf-transfer-score leaderboard --requests FOLDER</code> or <code>--requests OWNER/NAME</code>, a dataset repository
on the Hub, or set <code>REQUESTS</code> on a Space; then let <code>hf-transfer-score worker</code> run on a machine of
yours. Or score the model yourself with <code>hf-transfer-score rank</code>.</div>"""

NO_OAUTH = """<div class="lb-note">Signing in with Hugging Face is not set up for this Space, so it takes no requests:
put <code>hf_oauth: true</code> into the metadata of its README, and
<code>gradio[oauth]</code> into its requirements.</div>"""

SIGN_IN = "Sign in with Hugging Face first: requests carry a name."


def build_submit_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab; on a Space visitors sign in before they may ask."""
    if page.requests is None:
        gr.HTML(NO_QUEUE)
        return
    gr.HTML(INTRODUCTION)
    on_space = bool(os.environ.get("SPACE_ID"))
    queue = RequestQueue(page.requests, vouches=on_space)
    listed = RequestList(queue)
    if on_space and not _can_sign_in():
        gr.HTML(NO_OAUTH)
    else:
        if on_space:
            gr.LoginButton()
        _build_form(page, queue, listed, signed_in=on_space)


def _can_sign_in() -> bool:
    """Return whether this Space has what gradio needs for signing in."""
    return bool(os.environ.get("OAUTH_CLIENT_ID")) and all(map(find_spec, ("authlib", "itsdangerous")))


def _build_form(page: LeaderboardPage, queue: RequestQueue, listed: RequestList, *, signed_in: bool) -> None:
    with gr.Row():
        model = _field("Model", "id on the Hub, such as timm/resnet18.a1_in1k", "lb-ask-model")
        dataset = _field("Dataset", "id on the Hub, such as ethz/food101", "lb-ask-dataset")
    with gr.Row():
        config = _field("Configuration", "where the dataset has several", "lb-ask-config")
        split = _field("Split", "empty for train, or the only one", "lb-ask-split")
        label = _field("Label column", "empty to tell from types and names", "lb-ask-label")
    fields = [model, dataset, config, split, label]
    with gr.Row():
        button = gr.Button("Submit", variant="primary", scale=0, min_width=200, elem_id="lb-ask")
    answer = gr.HTML("", elem_id="lb-answer")
    found = gr.State(None)
    with gr.Row():
        open_model = gr.Button("Open its page", visible=False, size="sm", scale=0, min_width=160, elem_id="lb-ask-open")
        look = gr.Button("Refresh the list", size="sm", scale=0, min_width=160, elem_id="lb-ask-look")
    table = gr.HTML("", elem_id="lb-requests")

    def send(*typed: str, user: str | None) -> tuple[Any, ...]:
        done = submit(Asked(*typed), queue, page.library.catalogue, user=user)
        return (*_told(done), _table(listed, anew=done.accepted))

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
    gr.on([one.blur for one in fields], _checked, inputs=fields, outputs=answer, **QUIET)
    open_model.click(
        lambda known: (known, gr.Tabs(selected=MODEL), MODEL),
        inputs=found,
        outputs=[page.model, page.tabs, page.tab],
        **QUIET,
    )
    page.when_shown(SUBMIT, lambda: _table(listed, anew=False), inputs=[], outputs=[table])
    look.click(lambda: _table(listed, anew=True), outputs=table, **QUIET)


def _field(label: str, info: str, name: str) -> gr.Textbox:
    return gr.Textbox(label=label, info=info, max_lines=1, max_length=LONGEST, elem_id=name)


def _sender(send: Callable[..., tuple[Any, ...]], *, signed_in: bool) -> Callable[..., tuple[Any, ...]]:
    """Return what a click calls; gradio fills in who is signed in by the type of the last argument."""

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
    text = f'<div class="lb-note" role="status">{escape(answer.text, 1000)}</div>'
    return text, answer.model, gr.update(visible=answer.model is not None)


def _checked(*typed: str) -> Any:
    """Return what is wrong with what was typed so far; an earlier answer stays where nothing is."""
    wrong = check_form(Asked(*typed))
    return f'<div class="lb-note" role="status">{escape(wrong, 1000)}</div>' if wrong else gr.skip()


def _table(listed: RequestList, *, anew: bool) -> str:
    try:
        rows = listed.rows(anew=anew)
    except TransferScoreError as error:
        return f'<div class="lb-note">The requests cannot be read now: {escape(error, 600)}</div>'
    if not rows:
        return '<p class="lb-muted">There are no requests yet.</p>'
    return page("requests.html.jinja", headers=REQUEST_HEADERS, rows=rows)
