"""Which models and datasets of the local Hub may be requested."""

import pytest
from huggingface_hub import HfApi

from hf_transfer_score.errors import HubError, InputError
from hf_transfer_score.requests.request import CheckLimits, Request, check_request
from tests.hub.server import LocalHub

SAFE = {"config.json": "{}", "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + b"w" * 1000}
ROWS = {"README.md": "# Rows\n", "train.jsonl": '{"text": "a", "label": 0}\n'}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with LocalHub(tmp_path_factory.mktemp("checking") / "hub") as local:
        local.users = {"hf_owner": "owner"}
        closed = {"gated": {"gated": True}, "private": {"private": True}, "off": {"disabled": True}, "open": {}}
        for name, known in closed.items():
            local.add(f"owner/{name}", SAFE, **known)
            local.add(f"owner/{name}", ROWS, kind="dataset", **known)
        local.add("owner/pickled", {"config.json": "{}", "pytorch_model.bin": b"x"})
        local.add("owner/none", {"config.json": "{}"})
        local.add("owner/both", {**SAFE, "pytorch_model.bin": b"x" * 5000, "other.safetensors": b"x" * 5000})
        shards = {f"model-0000{number}-of-00002.safetensors": b"x" * 800 for number in (1, 2)}
        local.add("owner/shards", {"config.json": "{}", **shards})
        local.add("owner/empty", {"README.md": "# Empty\n", ".gitattributes": ""}, kind="dataset")
        yield local


@pytest.fixture(params=[False, "hf_owner"], ids=["stranger", "owner"])
def api(request, hub):
    return HfApi(endpoint=hub.endpoint, token=request.param)


def test_valid_requests_pass_with_two_questions(hub, api):
    hub.requests.clear()
    commit = check_request(Request("owner/open", "owner/open", revision="main"), api=api)
    assert commit == hub.repository("owner/open").head.name
    assert [path for _, path in hub.requests] == ["/api/models/owner/open/revision/main", "/api/datasets/owner/open"]
    check_request(Request("owner/both", "owner/open"), api=api, limits=CheckLimits(weight_bytes=1010))


@pytest.mark.parametrize("what", ["model", "dataset"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("owner/gated", "The {what} owner/gated is gated: a worker has no access to it"),
        ("owner/off", "The {what} owner/off is disabled on the Hub"),
        ("owner/missing", "There is no {what} owner/missing on the Hub, or it is private: check the id"),
        ("missing", "There is no {what} missing on the Hub, or it is private"),
    ],
)
def test_closed_repositories_are_refused_for_every_user(api, what, name, message):
    ids = {"model": "owner/open", "dataset": "owner/open", what: name}
    with pytest.raises(InputError, match=message.format(what=what)):
        check_request(Request(**ids), api=api)


@pytest.mark.parametrize("what", ["model", "dataset"])
def test_private_repositories_are_refused_even_for_their_owner(hub, what):
    request = Request(**{"model": "owner/open", "dataset": "owner/open", what: "owner/private"})
    with pytest.raises(InputError, match=f"The {what} owner/private is private: only what is public"):
        check_request(request, api=HfApi(endpoint=hub.endpoint, token="hf_owner"))
    with pytest.raises(InputError, match=f"There is no {what} owner/private on the Hub, or it is private"):
        check_request(request, api=HfApi(endpoint=hub.endpoint, token=False))


@pytest.mark.parametrize(
    ("request_", "limit", "message"),
    [
        (Request("owner/open", "owner/open", revision="v9"), 10**6, "The model owner/open has no revision 'v9'; give"),
        (
            Request("owner/pickled", "owner/open"),
            10**6,
            r"pickled weights only \(pytorch_model.bin\), and loading these",
        ),
        (Request("owner/none", "owner/open"), 10**6, "owner/none has no weights in safetensors files"),
        (Request("owner/open", "owner/open"), 1009, r"The weights of owner/open take .* GB, and requests may ask for"),
        (Request("owner/shards", "owner/open"), 1599, "The weights of owner/shards take"),
        (Request("owner/open", "owner/empty"), 10**6, "The dataset owner/empty has no files"),
    ],
)
def test_requests_that_no_worker_should_run_are_refused(api, request_, limit, message):
    with pytest.raises(InputError, match=message):
        check_request(request_, api=api, limits=CheckLimits(weight_bytes=limit))


@pytest.mark.parametrize("status", [503, 429, "reset"])
def test_a_hub_that_does_not_answer_says_nothing_about_the_request(hub, api, status):
    fault = hub.fault("/api/datasets/owner/open", status, times=None)
    with pytest.raises(HubError, match=r"The Hub gave no information on the dataset owner/open \(.*\); try again"):
        check_request(Request("owner/open", "owner/open"), api=api)
    hub.faults.remove(fault)
