"""What exceptions of the Hub's clients mean, and that no sentence of it holds a token."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub import constants, errors

from hf_transfer_score.errors import CheckpointError, HubError, NoAnswerError, chain
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
def test_what_an_exception_means(kind, monkeypatch):
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


def test_what_is_told_already_is_not_told_anew():
    lost, failed = NoAnswerError("the Hub answered 503"), CheckpointError("gated", "is gated")
    assert hub_error("a/b", lost) is lost and checkpoint_failure("a/b", failed) is failed


def test_a_chain_ends_where_it_is_hidden_or_begins_again():
    inner, outer = KeyError("inner"), ValueError("outer")
    outer.__context__ = inner
    assert chain(outer) == chain(outer, hidden=False) == [outer, inner]
    outer.__suppress_context__ = True
    inner.__context__ = outer
    assert chain(outer) == [outer, inner] and chain(outer, hidden=False) == [outer] and chain(None) == []
