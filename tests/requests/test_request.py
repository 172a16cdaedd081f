"""Requests as files: round trips, identities, and invalid ones."""

import json
from dataclasses import asdict, replace

import pytest

from hf_transfer_score.errors import InputError, RecordError
from hf_transfer_score.requests.request import Request, is_request_path, request_identity, request_path

NOW = "2025-01-31T12:00:00.000+00:00"
FULL = Request(
    "timm/resnet18.a1_in1k",
    "owner/pets",
    revision="refs/pr/3",
    config="größe",
    split="test",
    label_column="breed name",
    metrics=("ncti", "face"),
    asked_by="someone",
    asked=NOW,
    state="failed",
    attempts=2,
    kind="out_of_memory",
    reason="no room\nat all",
    finished=NOW,
    records=1,
)


def plain(**changes):
    return {**json.loads(FULL.to_json()), **changes}


def test_a_request_comes_back_equal_and_is_one_file():
    assert Request.from_json(FULL.to_json()) == FULL == Request.from_json(FULL.to_json().encode())
    assert set(json.loads(FULL.to_json())) == set(asdict(FULL))
    path = request_path(FULL)
    assert path.parent.as_posix() == "requests/timm/resnet18.a1_in1k" and path.stem == request_identity(FULL)
    assert is_request_path(str(path)) and len(path.stem) == 32
    assert not is_request_path(f"records/{path}") and not is_request_path("requests/README.md")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"model": "timm/resnet18"}, False),
        ({"dataset": "owner/pet"}, False),
        ({"revision": None}, False),
        ({"config": None}, False),
        ({"config": "test", "split": "größe"}, False),
        ({"split": None}, False),
        ({"label_column": None}, False),
        ({"metrics": ("ncti",)}, False),
        ({"metrics": ("face", "ncti", "face")}, True),
        ({"asked_by": "another"}, True),
        ({"asked": None}, True),
        ({"attempts": 0, "reason": "another", "records": 7}, True),
    ],
)
def test_identity_depends_on_what_is_requested(change, same):
    assert (request_identity(replace(FULL, **change)) == request_identity(FULL)) is same


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "/etc/passwd", "a/b/c", "./a", "~/a", "a/..", "a/.b", ".a/b", "a//b", "a/b/", "a\\b"),
        *("C:/x", "https://huggingface.co/a/b", "hf://a/b", "a b/c", "a/b\n", "a/b@main"),
        *("a/b.git", "a--b/c", "a/b..c", "a/<script>", "ä/b", "x" * 97, "local-dir:a", "a/b\0", "-a/b", "a/-b"),
    ],
)
@pytest.mark.parametrize("what", ["model", "dataset"])
def test_invalid_ids_are_refused(what, name):
    with pytest.raises(InputError, match=rf"^The {what} .* is not an id on the Hub: expected owner/name"):
        Request(**{"model": "a/b", "dataset": "c/d", what: name})
    with pytest.raises(RecordError, match=f"The {what} "):
        Request.from_json(json.dumps(plain(**{what: name})))


@pytest.mark.parametrize("name", ["gpt2", "a/b", "a/B_c-d.e", "_a/b", "x" * 96, "a/b-", "0/1"])
def test_ids_are_valid_if_the_client_of_the_hub_accepts_them(name):
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
        Request(name, name)
    except HFValidationError:
        with pytest.raises(InputError):
            Request(name, name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"revision": "../main"}, "The revision '../main' is not a revision: expected a branch"),
        ({"revision": "--upload"}, "The revision '--upload' is not a revision"),
        ({"revision": ""}, "The revision '' is not a revision"),
        ({"config": "a\nb"}, r"The field config is 'a\\nb': expected a name of 1 to 200 letters"),
        ({"split": ""}, "The field split is ''"),
        ({"label_column": "x" * 201}, "The field label_column is 'x+'?...: expected"),
        ({"asked_by": "\x1b[2J"}, "The field asked_by"),
        ({"metrics": ["ncti", "../x"]}, r"The metric '../x' is not the name of a metric"),
        ({"metrics": ["m"] * 51}, "expected a tuple of at most 50 names"),
        ({"metrics": "ncti"}, "A request's field 'metrics': expected a list, got 'ncti'"),
        ({"state": "claimed"}, "A request's field 'state': expected one of pending, running, done, failed, refused"),
        ({"state": "pending"}, "'finished': expected none, since the state is 'pending'"),
        ({"state": "running"}, "'claimed_by': expected one, since the state is 'running', got None"),
        ({"reason": None}, "'reason': expected one, since the state is 'failed'"),
        ({"reason": "x" * 2001}, "'reason': expected a text of 1 to 2000"),
        ({"kind": "<b>"}, "'kind': expected the kind of failure"),
        ({"attempts": -1}, "'attempts'"),
        ({"attempts": True}, "'attempts': expected a whole number, got True"),
        ({"records": 2**63}, "'records': expected a whole number up to"),
        ({"asked": "yesterday"}, "'asked': expected a time in UTC such as 2025"),
        ({"asked": "2025-01-31T12:00:00"}, "'asked': expected a time in UTC"),
        ({"finished": "2025-01-31T12:00:00+02:00"}, "'finished': expected a time in UTC"),
        ({"schema_version": 2}, "This request has schema version 2, .* knows up to 1. Install a newer one"),
        ({"schema_version": 0}, "'schema_version': expected 1, got 0"),
        ({"more": 1}, "A request has an unknown field 'more'"),
    ],
)
def test_invalid_requests_are_refused_with_the_first_wrong_field(change, message):
    with pytest.raises(RecordError, match=message):
        Request.from_json(json.dumps(plain(**change)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A request is not JSON"),
        (b"\xff\xfe", "A request is not UTF-8"),
        ("[1]", "A request's field 'itself': expected an object"),
        ('{"model": "a/b", "model": "c/d"}', "it names 'model' twice"),
        ("[" * 100_000, "A request is nested too deeply"),
        (json.dumps({name: value for name, value in plain().items() if name != "asked"}), "field 'asked' is missing"),
        (FULL.to_json().replace('"attempts": 2', '"attempts": NaN'), "'attempts': expected a whole number, got nan"),
        (FULL.to_json().replace("someone", "\\ud800"), "'asked_by': expected valid UTF-8 text"),
    ],
)
def test_texts_that_hold_no_request_are_refused(text, message):
    with pytest.raises(RecordError, match=message):
        Request.from_json(text)
