"""What exceptions of the Hub's clients mean, asking again, threads for what waits, and parts that downloads left."""

import os
import threading
import time
from pathlib import Path

import httpx
import pytest
from huggingface_hub import constants, errors

from hf_transfer_score.errors import CheckpointError, HubError, NoAnswerError, chain
from hf_transfer_score.home import alone
from hf_transfer_score.hub.client import patiently
from hf_transfer_score.hub.downloads import Background, map_at_once, sweep_parts
from hf_transfer_score.hub.failures import checkpoint_failure, hub_error, trouble_of

REQUEST = httpx.Request("GET", "http://hub.test/api", headers={"authorization": "Bearer hf_secret"})


def answered(status: int, kind: type = errors.HfHubHTTPError) -> Exception:
    return kind("said.\n(Request ID: x)", response=httpx.Response(status, request=REQUEST))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


TROUBLES = {
    "gated": answered(403, errors.GatedRepoError),
    "revision": answered(404, errors.RevisionNotFoundError),
    "missing": answered(401, errors.RepositoryNotFoundError),
    "name": errors.HFValidationError("no name"),
    "disabled": answered(403, errors.DisabledRepoError),
    "forbidden": caused(errors.LocalEntryNotFoundError("x"), errors.OfflineModeIsEnabled("no")),
    "offline": httpx.ConnectError("Name or service not known", request=REQUEST),
    "unanswered": caused(RuntimeError("x"), NoAnswerError("the Hub answered 503", status=503)),
    "unknown token": answered(401),
    "closed": answered(403),
    "busy": answered(429),
    "status": caused(errors.LocalEntryNotFoundError("x"), answered(500)),
    "other": httpx.ReadError("cut", request=REQUEST),
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_exceptions_are_classified(kind, monkeypatch):
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    trouble = trouble_of(TROUBLES[kind])
    assert trouble.kind == kind and trouble.reason and "\n" not in trouble.reason
    told = [
        hub_error("a/b", TROUBLES[kind], doing=doing, token=token)
        for doing in ("read", "write")
        for token in ("hf_secret", False)
    ]
    failure = checkpoint_failure("a/b", TROUBLES[kind], "main")
    assert all(isinstance(one, HubError) for one in told) and isinstance(failure, CheckpointError)
    assert not any("hf_secret" in str(one) for one in (*told, failure))


def test_known_errors_are_not_explained_again():
    lost, failed = NoAnswerError("the Hub answered 503"), CheckpointError("gated", "is gated")
    assert hub_error("a/b", lost) is lost and checkpoint_failure("a/b", failed) is failed


def test_a_chain_ends_at_hidden_or_repeated_exceptions():
    inner, outer = KeyError("inner"), ValueError("outer")
    outer.__context__ = inner
    assert chain(outer) == chain(outer, hidden=False) == [outer, inner]
    outer.__suppress_context__ = True
    inner.__context__ = outer
    assert chain(outer) == [outer, inner] and chain(outer, hidden=False) == [outer] and chain(None) == []


def test_retries_end(monkeypatch):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HUB_SECONDS", "0.6")  # pauses of 0.02, 0.06 and 0.12 seconds
    tried = []

    def fails():
        tried.append(time.monotonic())
        raise ConnectionError(f"attempt {len(tried)}")

    with pytest.raises(ConnectionError, match="attempt 4"):
        patiently(fails)
    assert tried[3] - tried[0] > 0.19
    monkeypatch.setenv("HF_TRANSFER_SCORE_HUB_SECONDS", "1800")
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0)
    assert patiently(lambda: 5) == 5


def test_things_are_done_in_turn_and_dropped_when_closed():
    background, begun, go, done = Background(), threading.Event(), threading.Event(), []
    first = background.submit(lambda: (begun.set(), go.wait(10), done.append("first")))
    second = background.submit(lambda: done.append("second"))
    assert begun.wait(10)
    background.close()
    go.set()
    first.result(10)
    assert second.cancelled() and done == ["first"]


def test_values_come_in_order_and_failures_are_raised():
    assert map_at_once(lambda number: (time.sleep(0.03 / number), number)[1], [1, 2, 3], 3) == [1, 2, 3]
    assert map_at_once(len, [], 4) == []
    with pytest.raises(ZeroDivisionError):
        map_at_once(lambda number: 1 / number, [1, 0, 2], 2)


OWN = "0123abcd.incomplete"


def part(blobs: Path, name: str, age: float) -> Path:
    blobs.mkdir(parents=True, exist_ok=True)
    path = blobs / name
    path.write_bytes(b"x" * 10)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_only_abandoned_parts_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    blobs, locks = tmp_path / "models--a--b" / "blobs", tmp_path / ".locks" / "models--a--b"
    young = part(blobs, f"young.{OWN}", 60)
    left = part(blobs, f"left.{OWN}", 3600)
    held = part(blobs, f"held.{OWN}", 3600)
    old = part(blobs, f"old.{OWN}", 10**6)
    whole = part(blobs, "whole", 10**6)
    other = part(tmp_path / "models--a--c" / "blobs", f"left.{OWN}", 10**6)
    with alone(locks / "held.lock"):
        assert sweep_parts("a/b") == 20
        assert [one.exists() for one in (young, held, whole, other)] == [True] * 4
        assert [one.exists() for one in (left, old)] == [False] * 2
    assert sweep_parts("a/b") == 10, "its holder is gone"
    assert sweep_parts("nothing/here") == 0
