"""Turns in the queue of a real app of gradio, whose queue is filled by hand."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from hf_transfer_score.uploads import limits
from hf_transfer_score.uploads.turns import SCORING, Turns
from tests.uploads.test_ledger import Clock


@pytest.fixture(scope="module")
def app():
    import gradio as gr

    async def build():
        with gr.Blocks(analytics_enabled=False) as blocks:
            box = gr.Textbox()
            box.submit(str, box, box, api_name="view")
            box.change(str, box, box, api_name="score", concurrency_id=SCORING)
        blocks.queue()
        return blocks

    with ThreadPoolExecutor(1) as pool:  # a browser of other tests has a loop of its own in this thread
        return pool.submit(asyncio.run, build()).result()


@pytest.fixture
def turns(app):
    queue = app._queue
    queue.pending_event_ids_session.clear()
    queue.event_queue_per_concurrency_id.clear()
    queue.event_ids_to_events.clear()
    return Turns(app, Clock())


def ask(turns, session, visitor, answers=1, waits_for=None):
    """Let a page ask, and gradio keep that many answers; returns why it has to wait."""
    queue, function = turns.app._queue, waits_for or "view"
    if reason := turns.reason_to_wait(function, session, visitor):
        return reason
    with turns.entering(function, session, visitor):
        pass
    ids = queue.pending_event_ids_session.setdefault(session, set())
    for _ in range(answers):
        ids.add(f"{session}-{len(ids)}")
    if waits_for:
        queue.create_event_queue_for_fn(next(one for one in turns.app.fns.values() if one.api_name == waits_for))
        queue.event_queue_per_concurrency_id[SCORING].queue.append(SimpleNamespace(session_hash=session))
    return ""


def test_a_page_and_a_visitor_have_a_part_of_the_queue(turns):
    assert ask(turns, "p", "a", limits.SESSION_EVENTS) == ""
    assert "This page has too many" in ask(turns, "p", "a")
    for place in range(limits.VISITOR_EVENTS // limits.SESSION_EVENTS):
        ask(turns, f"p{place}", "a", limits.SESSION_EVENTS)
    assert "Your pages have too many" in ask(turns, "new", "a")
    assert ask(turns, "other", "b") == ""
    assert limits.VISITOR_EVENTS < limits.QUEUE / 2


def test_scorings_are_limited_for_page_visitor_and_all(turns):
    for place in range(limits.VISITOR_SCORINGS // 2):
        assert ask(turns, f"p{place}", "a", waits_for="score") == ask(turns, f"p{place}", "a", waits_for="score") == ""
    assert "of this page already wait" in ask(turns, "p0", "a", waits_for="score")
    assert "Other pages of yours" in ask(turns, "new", "a", waits_for="score")
    assert ask(turns, "new", "a") == ""
    left = limits.ALL_SCORINGS - limits.VISITOR_SCORINGS
    assert left > 0
    assert [ask(turns, f"q{place}", f"v{place}", waits_for="score") for place in range(left)] == [""] * left
    assert "Many files wait" in ask(turns, "last", "z", waits_for="score")
    number = next(one._id for one in turns.app.fns.values() if one.api_name == "score")
    assert "Many files wait" in turns.reason_to_wait(number, "last", "z")


def test_requests_that_come_at_the_same_time_count_before_they_are_in_the_queue(turns):
    with ExitStack() as at_once:
        for _ in range(limits.VISITOR_SCORINGS):
            assert turns.reason_to_wait("score", "", "a") == ""
            at_once.enter_context(turns.entering("score", "", "a"))
        assert "Other pages of yours" in turns.reason_to_wait("score", "", "a")
        assert turns.reason_to_wait("view", "", "a") == turns.reason_to_wait("score", "", "b") == ""
        for place in range(limits.ALL_SCORINGS - limits.VISITOR_SCORINGS):
            at_once.enter_context(turns.entering("score", "", f"b{place}"))
        assert "Many files wait" in turns.reason_to_wait("score", "", "c")
        for _ in range(limits.VISITOR_EVENTS):
            at_once.enter_context(turns.entering("view", "", "d"))
        assert "Your pages have too many" in turns.reason_to_wait("view", "", "d")
    assert turns.reason_to_wait("score", "", "a") == turns.reason_to_wait("view", "", "d") == ""


def test_pages_of_one_visitor_are_limited(turns):
    assert {ask(turns, f"p{place}", "a", 0) for place in range(limits.VISITOR_PAGES)} == {""}
    assert "Too many of your pages" in ask(turns, "one more", "a", 0)
    assert ask(turns, "p0", "a", 0) == ask(turns, "one more", "b", 0) == ""
    assert limits.VISITOR_PAGES < limits.SESSIONS / 2


def test_unfetched_answers_are_forgotten(turns):
    queue = turns.app._queue
    ask(turns, "p", "a", limits.SESSION_EVENTS)
    ask(turns, "runs", "a", 1)
    queue.event_ids_to_events["runs-0"] = object()
    with turns.entering("view", "", "a") as answered:
        answered("call")
    queue.pending_event_ids_session["call"] = set()
    turns.clock.now = limits.CALL_SECONDS + 1
    assert "This page" in ask(turns, "p", "a")
    assert "call" not in queue.pending_event_ids_session
    turns.clock.now = limits.KEPT_SECONDS + 1
    assert ask(turns, "p", "a") == ""
    assert queue.pending_event_ids_session.keys() == {"p", "runs"} and len(queue.pending_event_ids_session["p"]) == 1
