"""The real huggingface_hub meets what is missing, closed, slow or broken."""

from __future__ import annotations

import hashlib
import time

from tests.hub.client_code import ERRORS


def test_errors_are_those_of_the_hub(hub, run_client, hub_environment):
    for name, closed in {"gated": {"gated": True}, "private": {"private": True}, "off": {"disabled": True}}.items():
        hub.add(f"owner/{name}", {"config.json": "{}"}, **closed)
    hub.add("owner/open", {"config.json": "{}"})
    hub.users = {"hf_owner": "owner", "hf_guest": "guest", "hf_reader": "reader"}
    hub.repository("owner/gated").readers.add("reader")
    code = (
        ERRORS
        + """
answer = dict(
    missing=error(api.model_info, "owner/no"), file=error(hf_hub_download, "owner/open", "no.json"),
    revision=error(hf_hub_download, "owner/open", "config.json", revision="v9"),
    info_revision=error(api.model_info, "owner/open", revision="v9"), off=error(api.model_info, "owner/off"),
    off_file=error(hf_hub_download, "owner/off", "config.json"),
    expand=error(api.model_info, "owner/open", expand=["x"]),
    gated_info=error(api.model_info, "owner/gated"), gated=error(hf_hub_download, "owner/gated", "config.json"),
    gated_all=error(snapshot_download, "owner/gated"), gated_check=error(api.auth_check, "owner/gated"),
    private=error(api.model_info, "owner/private"), private_file=error(hf_hub_download, "owner/private", "config.json"),
    listed=sorted(m.id for m in api.list_models()), open=error(hf_hub_download, "owner/open", "config.json"),
)
"""
    )
    got = {
        who: run_client(
            code, hub_environment | {"HF_HOME": f"{hub.root}/{who}"} | ({"HF_TOKEN": f"hf_{who}"} if who else {})
        )
        for who in ("", "owner", "guest", "reader")
    }
    for who in ("", "owner", "guest", "reader"):
        missing = 404 if who else 401
        assert got[who]["missing"][:2] == ["RepositoryNotFoundError", missing]
        assert got[who]["file"][:2] == ["RemoteEntryNotFoundError", 404]
        assert got[who]["revision"][:2] == got[who]["info_revision"][:2] == ["RevisionNotFoundError", 404]
        assert got[who]["off"][:2] == ["DisabledRepoError", 403]
        assert got[who]["off_file"][0] == "LocalEntryNotFoundError"  # what the client makes of it
        assert got[who]["gated_info"] is None and got[who]["open"] is None
        assert got[who]["expand"][:2] == ["BadRequestError", 400]
        closed = None if who in ("owner", "reader") else ["GatedRepoError", 403 if who else 401]
        for what in ("gated", "gated_all", "gated_check"):
            assert (got[who][what] and got[who][what][:2]) == closed
        hidden = None if who == "owner" else ["RepositoryNotFoundError", missing]
        for what in ("private", "private_file"):
            assert (got[who][what] and got[who][what][:2]) == hidden
        assert got[who]["listed"] == sorted(["owner/gated", "owner/open"] + ["owner/private"] * (who == "owner"))


def test_an_unknown_token_is_refused(hub, run_client, hub_environment):
    hub.add("owner/open", {"config.json": "{}"})
    code = ERRORS + 'answer = [error(api.model_info, "owner/open"), error(api.whoami)]'
    info, who = run_client(code, hub_environment | {"HF_TOKEN": "hf_unknown"})
    assert info[:2] == ["HfHubHTTPError", 401] and "Invalid credentials" in info[2]
    assert who[:2] == ["HfHubHTTPError", 401]


def test_a_cut_download_goes_on_where_it_stopped(hub, run_client, hub_environment):
    content = bytes(range(256)) * (12 * 4096)
    hub.add("org/model", {"model.safetensors": content})
    fault = hub.fault("model.safetensors", "cut", after=11 * 2**20)
    code = """
import hashlib
from huggingface_hub import hf_hub_download
answer = hashlib.sha256(open(hf_hub_download("org/model", "model.safetensors"), "rb").read()).hexdigest()
"""
    assert run_client(code, hub_environment) == hashlib.sha256(content).hexdigest()
    assert fault.hits == 1
    first, second = hub.asked("model.safetensors", "GET")
    assert (first.range, second.range) == (None, f"bytes={10 * 2**20}-")  # clients keep whole chunks of 10 MiB
    assert (first.status, second.status) == (200, 206)
    assert (first.sent, second.sent) == (11 * 2**20, 2 * 2**20)
    assert hub.sent("model.safetensors") == 13 * 2**20


def test_a_busy_hub_is_asked_again(hub, run_client, hub_environment):
    hub.add("org/model", {"config.json": "{}"})
    faults = [
        hub.fault("/api/models$", 429, retry_after=0),
        hub.fault("/tree/", 500),
        hub.fault("/commits/", "reset"),
    ]
    code = """
from huggingface_hub import HfApi
from httpx import TransportError
from huggingface_hub.errors import HfHubHTTPError
api = HfApi()

def twice(ask):  # clients before 2.0 do not repeat the questions for a list themselves
    try:
        return ask()
    except (HfHubHTTPError, TransportError):
        return ask()

answer = [
    twice(lambda: [m.id for m in api.list_models()]), twice(lambda: [f.path for f in api.list_repo_tree("org/model")]),
    twice(lambda: len(api.list_repo_commits("org/model"))),
]
"""
    assert run_client(code, hub_environment) == [["org/model"], ["config.json"], 1]
    assert [fault.hits for fault in faults] == [1, 1, 1]
    assert [one.status for one in hub.asked("/tree/")] == [500, 200]
    assert [one.status for one in hub.asked("/api/models$")] == [429, 200]


def test_faults_that_last_and_those_of_one_method(hub, run_client, hub_environment):
    hub.add("org/model", {"config.json": "{}", "other.json": "{}"})
    hub.fault("/api/models/org/model$", 500, times=None, skip=1)
    hub.fault("other.json", "latency", seconds=0.4, method="GET")
    code = (
        ERRORS
        + """
import time
start = time.monotonic()
hf_hub_download("org/model", "other.json")
answer = [time.monotonic() - start, [error(api.model_info, "org/model") for _ in range(3)]]
"""
    )
    seconds, infos = run_client(code, hub_environment)
    assert infos[0] is None and [info[:2] for info in infos[1:]] == [["HfHubHTTPError", 500]] * 2
    assert 0.4 <= seconds < 5
    assert [one.sent > 0 for one in hub.asked("other.json")] == [False, True]


def test_a_reset_is_an_error_of_the_connection(hub, run_client, hub_environment):
    hub.add("org/model", {"config.json": "{}"})
    hub.fault("", "reset", times=None)
    start = time.monotonic()
    got = run_client(ERRORS + 'answer = error(api.model_info, "org/model")', hub_environment)
    assert got[0] in ("ReadError", "RemoteProtocolError", "ConnectError") and time.monotonic() - start < 20
    assert [one.status for one in hub.requests] == [0]
