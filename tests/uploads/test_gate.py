"""The gate in front of an app that records its requests, and the turns of those who ask."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from hf_transfer_score.uploads import limits
from hf_transfer_score.uploads.gate import SCORING, SPACE_VARIABLE, Gate, Turns, visitor_of
from hf_transfer_score.uploads.ledger import Ledger
from tests.uploads.made import file_data
from tests.uploads.test_ledger import Clock


class Anytime:
    """A queue in which only the page "busy" has to wait."""

    def __init__(self):
        self.noted = []

    def reason_to_wait(self, function, session, visitor):
        return "wait" if session == "busy" else ""

    @contextmanager
    def entering(self, function, session, visitor):
        yield lambda event: self.noted.append((session, visitor, event))


@pytest.fixture
def ask(tmp_path):
    """Send a request, and return the answer and the bodies that reached the app."""
    reached, turns = [], Anytime()

    async def app(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        reached.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"event_id": "e1"}'})

    gate = Gate(app, ledger=Ledger(tmp_path / "uploads"), turns=turns)

    def send(method, path, **content):
        async def inside():
            transport = httpx.ASGITransport(app=gate, client=("1.2.3.4", 5))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **content)

        reached.clear()
        return asyncio.run(inside()), list(reached)

    send.turns, send.folder, send.gate = turns, tmp_path, gate
    return send


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        *[("queue/join", {"fn_index": one, "session_hash": "s"}) for one in ("1", 1.0, None, [1])],
        *[
            (path, {"fn_index": 1, "session_hash": one})
            for path in ("queue/join", "call/score")
            for one in ("", 1, ["s"])
        ],
    ],
)
def test_functions_and_pages_have_one_kind_of_name(ask, path, asked):
    answer, reached = ask("POST", f"/gradio_api/{path}", json={"data": [], **asked})
    assert answer.status_code == 400 and "number or name of a function" in answer.text and reached == []


@pytest.mark.parametrize("query", ["&".join(["a=1"] * 100), "upload_id=%ff", "upload_id=\xff", "upload_id"])
def test_no_query_is_too_strange(ask, monkeypatch, query):
    monkeypatch.setattr("hf_transfer_score.uploads.gate.LATEST_SECONDS", 0.01)
    answer, _ = ask("POST", f"/gradio_api/upload?{query}", files=[("files", ("a.npz", b"one"))])
    assert answer.status_code == 200 and len(answer.json()) == 1
    assert ask("GET", f"/gradio_api/upload_progress?{query}")[0].text == 'data: {"msg": "done"}\n\n'


def test_websockets_are_closed(ask):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(ask.gate({"type": "websocket", "path": "/gradio_api/queue/join"}, None, send))
    assert [one["type"] for one in sent] == ["websocket.close"]


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/data?session_hash=a", "/gradio_api/file=/tmp/x"])
def test_pages_are_served(ask, path):
    assert ask("GET", path)[1] == [b""]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *[
            ("GET", f"/gradio_api/{one}", 404)
            for one in ("file=http://a/b", "file=https://a", "file/http://a", "proxy=x")
        ],
        ("GET", "/gradio_api/deep_link?session_hash=a", 404),
        *[
            ("POST", f"/gradio_api/{one}", 404)
            for one in ("run/predict", "api/x", "component_server", "process_recording")
        ],
        *[("POST", f"/gradio_api/{one}", 404) for one in ("vibe-edit", "stream/1", "run-history/connect", "")],
        *[("POST", one, 404) for one in ("/login", "/upload", "/", "/gradio_api//upload")],
        *[(one, "/gradio_api/upload", 405) for one in ("PUT", "PATCH", "DELETE", "TRACE", "ODD")],
    ],
)
def test_unused_paths_are_not_served(ask, method, path, status):
    answer, reached = ask(method, path, content=b"{}" if method == "POST" else None)
    assert answer.status_code == status and reached == []


def test_a_request_reaches_the_app_as_it_was_sent(ask):
    path = ask.folder / "x.npz"
    body = json.dumps({"data": [[file_data(path)], "é"], "fn_index": 3, "session_hash": "s"}).encode()
    answer, reached = ask("POST", "/gradio_api/queue/join", content=body)
    assert answer.status_code == 200 and reached == [body]
    assert ask.turns.noted == [("s", "1.2.3.4", "e1")]


def test_a_call_without_a_page_is_known_by_its_event(ask):
    assert ask("POST", "/gradio_api/call/view", json={"data": []})[0].json() == {"event_id": "e1"}
    assert ask.turns.noted == [("", "1.2.3.4", "e1")]


def test_visitors_without_a_turn_get_the_reason(ask):
    answer, reached = ask("POST", "/gradio_api/queue/join", json={"fn_index": 1, "session_hash": "busy"})
    assert (answer.status_code, answer.json(), reached) == (503, {"detail": "wait"}, [])


@pytest.mark.parametrize(
    "bad", ["http://127.0.0.1/x", "HTTPS://a/x", "file:///etc/passwd", "/etc/passwd", "../x", "x\0", ""]
)
@pytest.mark.parametrize("around", [lambda one: [one], lambda one: [{"a": [[one]]}], lambda one: {"value": one}])
def test_files_that_were_not_uploaded_are_refused(ask, bad, around):
    for path in ("queue/join", "call/score", "call/v2/score", "cancel"):
        answer, reached = ask("POST", f"/gradio_api/{path}", json={"data": around(file_data(bad)), "fn_index": 1})
        assert answer.status_code == 400 and "not uploaded here" in answer.text and reached == []


def test_more_files_than_a_visitor_has_are_not_looked_for(ask):
    files = [file_data(ask.folder / "a.npz")] * (limits.VISITOR_FILES + 1)
    answer, reached = ask("POST", "/gradio_api/call/score", json={"data": [files]})
    assert answer.status_code == 413 and "more than 64 files" in answer.text and reached == []
    assert ask("POST", "/gradio_api/call/score", json={"data": [files[1:]]})[0].status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b"\xff", '{"data": []}'.encode("utf-16"), b'{"a": 1' + b"0" * 5000 + b"}"]
)
def test_invalid_json_is_refused(ask, body):
    answer, reached = ask("POST", "/gradio_api/queue/join", content=body)
    assert answer.status_code == 400 and reached == []


def endless(piece, sent, most=10**9):
    async def pieces():
        while sum(sent) < most:
            sent.append(len(piece))
            yield piece

    return pieces()


def test_a_long_request_is_refused_when_it_is_too_long(ask):
    sent = []
    answer, reached = ask("POST", "/gradio_api/queue/join", content=endless(b" " * 65536, sent))
    assert answer.status_code == 413 and reached == []
    assert sum(sent) <= limits.REQUEST_BYTES + 2 * 65536


def test_a_field_without_a_file_is_refused_at_its_beginning(ask):
    sent, head = [], b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b"}

    async def pieces():
        yield head
        async for piece in endless(b"x" * 65536, sent):
            yield piece

    answer, _ = ask("POST", "/gradio_api/upload", content=pieces(), headers=kind)
    assert (answer.status_code, answer.text) == (400, "Only files are taken here.")
    assert sum(sent) <= 2 * 65536


def test_uploads_are_answered_with_their_paths_and_too_many_leave_nothing(ask, monkeypatch):
    monkeypatch.setattr(limits, "VISITOR_FILES", 2)
    files = [("files", ("a.npz", b"one")), ("files", ("a.npz", b"one"))]
    answer, reached = ask("POST", "/gradio_api/upload", files=files)
    assert len(set(answer.json())) == 2 and reached == []
    assert all(Path(path).read_bytes() == b"one" for path in answer.json())
    answer, _ = ask("POST", "/gradio_api/upload", files=files)
    assert answer.status_code == 413 and answer.text.startswith("Too many files")
    assert len(list((ask.folder / "uploads").iterdir())) == 2


def test_uploads_and_requests_that_take_too_long_are_ended(ask, monkeypatch):
    monkeypatch.setattr(limits, "UPLOAD_SECONDS", 0.05)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.05)

    async def slow():
        yield b"--b\r\n"
        await asyncio.sleep(5)

    for path in ("upload", "queue/join"):
        kind = {"content-type": "multipart/form-data; boundary=b"}
        assert ask("POST", f"/gradio_api/{path}", content=slow(), headers=kind)[0].status_code == 408


def test_a_slow_form_does_not_delay_other_requests(ask, monkeypatch):
    monkeypatch.setattr("hf_transfer_score.uploads.gate.Form.write", lambda form, data: time.sleep(0.5))
    kind = {"content-type": "multipart/form-data; boundary=b"}

    async def both():
        transport = httpx.ASGITransport(app=ask.gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            slow = asyncio.create_task(client.post("/gradio_api/upload", content=b"--b\r\n", headers=kind))
            await asyncio.sleep(0.1)
            assert (await client.get("/")).status_code == 200 and not slow.done()
            assert (await slow).status_code == 400

    asyncio.run(both())


def scope(client, *forwarded):
    return {"client": client and (client, 1), "headers": [(b"x-forwarded-for", one.encode()) for one in forwarded]}


@pytest.mark.parametrize(
    ("client", "forwarded", "here", "on_a_space"),
    [
        ("8.8.8.8", ["9.9.9.9"], "8.8.8.8", "8.8.8.8"),
        ("10.1.2.3", ["9.9.9.9"], "10.1.2.3", "9.9.9.9"),
        ("10.1.2.3", ["1.1.1.1, 9.9.9.9, 10.0.0.7"], "10.1.2.3", "9.9.9.9"),
        ("10.1.2.3", ["1.1.1.1", "9.9.9.9"], "10.1.2.3", "9.9.9.9"),
        ("10.1.2.3", ["nonsense, "], "10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", [], "10.1.2.3", "10.1.2.3"),
        ("::ffff:8.8.8.8", [], "8.8.8.8", "8.8.8.8"),
        ("2001:4860:1:2:3::4", [], "2001:4860:1:2::/64", "2001:4860:1:2::/64"),
        (None, ["9.9.9.9"], "", ""),
    ],
)
def test_a_visitor_is_the_address_that_cannot_be_made_up(monkeypatch, client, forwarded, here, on_a_space):
    monkeypatch.delenv(SPACE_VARIABLE, raising=False)
    assert visitor_of(scope(client, *forwarded)) == here
    monkeypatch.setenv(SPACE_VARIABLE, "owner/space")
    assert visitor_of(scope(client, *forwarded)) == on_a_space


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


def enter(turns, session, visitor, answers=1, waits_for=None):
    """Let a page enter, and gradio keep that many answers; returns why it has to wait."""
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
    assert enter(turns, "p", "a", limits.SESSION_EVENTS) == ""
    assert "This page has too many" in enter(turns, "p", "a")
    for place in range(limits.VISITOR_EVENTS // limits.SESSION_EVENTS):
        enter(turns, f"p{place}", "a", limits.SESSION_EVENTS)
    assert "Your pages have too many" in enter(turns, "new", "a")
    assert enter(turns, "other", "b") == ""
    assert limits.VISITOR_EVENTS < limits.QUEUE / 2


def test_scorings_are_limited_for_page_visitor_and_all(turns):
    for place in range(limits.VISITOR_SCORINGS // 2):
        assert (
            enter(turns, f"p{place}", "a", waits_for="score") == enter(turns, f"p{place}", "a", waits_for="score") == ""
        )
    assert "of this page already wait" in enter(turns, "p0", "a", waits_for="score")
    assert "Other pages of yours" in enter(turns, "new", "a", waits_for="score")
    assert enter(turns, "new", "a") == ""
    left = limits.ALL_SCORINGS - limits.VISITOR_SCORINGS
    assert left > 0
    assert [enter(turns, f"q{place}", f"v{place}", waits_for="score") for place in range(left)] == [""] * left
    assert "Many files wait" in enter(turns, "last", "z", waits_for="score")
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
    assert {enter(turns, f"p{place}", "a", 0) for place in range(limits.VISITOR_PAGES)} == {""}
    assert "Too many of your pages" in enter(turns, "one more", "a", 0)
    assert enter(turns, "p0", "a", 0) == enter(turns, "one more", "b", 0) == ""
    assert limits.VISITOR_PAGES < limits.SESSIONS / 2


def test_unfetched_answers_are_forgotten(turns):
    queue = turns.app._queue
    enter(turns, "p", "a", limits.SESSION_EVENTS)
    enter(turns, "runs", "a", 1)
    queue.event_ids_to_events["runs-0"] = object()
    with turns.entering("view", "", "a") as answered:
        answered("call")
    queue.pending_event_ids_session["call"] = set()
    turns.clock.now = limits.CALL_SECONDS + 1
    assert "This page" in enter(turns, "p", "a")
    assert "call" not in queue.pending_event_ids_session
    turns.clock.now = limits.KEPT_SECONDS + 1
    assert enter(turns, "p", "a") == ""
    assert queue.pending_event_ids_session.keys() == {"p", "runs"} and len(queue.pending_event_ids_session["p"]) == 1
