"""Submissions: checked against the local Hub, compared with boards and queue, answered in sentences."""

from dataclasses import replace

import pytest
from huggingface_hub import HfApi

from hf_transfer_score.hub.settings import hub_id
from hf_transfer_score.leaderboard.pages.submit_tab import (
    MOST_ROWS,
    REQUEST_HEADERS,
    Asked,
    RequestList,
    check_form,
    request_rows,
    submit,
)
from hf_transfer_score.records.place import MemoryPlace
from hf_transfer_score.requests.queue import QueueLimits, RequestQueue
from hf_transfer_score.requests.request import Request
from tests.hub.server import LocalHub
from tests.leaderboard.made import accuracy, catalogue, failed, score

SAFE = {"config.json": "{}", "model.safetensors": b"\x02\0\0\0\0\0\0\0{}"}
ROWS = {"train.jsonl": '{"text": "a", "label": 0}\n'}
WANTED = Asked("owner/model", "owner/pets")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with LocalHub(tmp_path_factory.mktemp("submitting") / "hub") as local:
        local.add("owner/model", SAFE)
        local.add("owner/pets", ROWS, kind="dataset")
        yield local


@pytest.fixture
def api(hub):
    hub.requests.clear()
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def queue():
    return RequestQueue(MemoryPlace())


@pytest.fixture
def ask(queue, api):
    """Submit a request where boards have some records."""
    return lambda typed=WANTED, *records, **how: submit(typed, queue, catalogue(records), api=api, **how)


def test_a_request_reaches_the_queue_with_a_name_and_its_details(queue, ask):
    done = ask(Asked(" owner/model ", "owner/pets", "plain", "train", " breed "), user="visitor")
    assert done.accepted
    assert done.text.startswith("owner/model on owner/pets is in the queue.")
    (request,) = queue.requests()
    assert (request.model, request.dataset, request.asked_by) == ("owner/model", "owner/pets", "visitor")
    assert (request.config, request.split, request.label_column) == ("plain", "train", "breed")


def test_the_same_request_is_answered_with_its_state_and_not_checked_again(queue, ask, hub):
    ask()
    hub.requests.clear()
    again = ask()
    assert "was requested before and waits for a worker" in again.text
    claimed = queue.claim("worker", 60)
    assert "is being run" in ask().text
    queue.finish(claimed, "worker", records=3)
    done = ask()
    assert "finished on" in done.text and done.model == "owner/model"
    assert hub.requests == [] and len(queue.requests()) == 1


def test_what_failed_is_checked_and_waits_again(queue, ask, hub):
    ask()
    queue.fail(queue.claim("worker", 60), "worker", "out of memory", kind="out_of_memory")
    hub.requests.clear()
    assert "is in the queue" in ask().text
    assert len(hub.requests) == 2


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (Asked("", "owner/pets"), "Give the id of a model on the Hub"),
        (Asked("owner/model", "  "), "Give the id of a dataset on the Hub"),
        (Asked("<script>alert(1)</script>", "owner/pets"), "is not an id on the Hub: expected owner/name"),
        (Asked("../../etc/passwd", "owner/pets"), "is not an id on the Hub"),
        (Asked("owner/model", "owner/pets", split="a\nb"), "The field split is"),
        (Asked("owner/model", "owner/pets", config="x" * 500), "The field config is"),
        (Asked("owner/missing", "owner/pets"), "There is no model owner/missing on the Hub, or it is private"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_sentence(queue, ask, typed, words):
    done = ask(typed)
    assert words in done.text and "\n" not in done.text
    assert not done.accepted and queue.requests() == []


def test_the_rate_limit_is_told_as_the_queue_says_it(api):
    queue = RequestQueue(MemoryPlace(), QueueLimits(per_user=1))
    submit(WANTED, queue, catalogue([]), user="eager", api=api)
    more = submit(replace(WANTED, split="test"), queue, catalogue([]), user="eager", api=api)
    assert more.text.startswith("eager has 1 waiting or running requests, and may have 1")
    assert not more.accepted


SCORED = score("owner/model", "logme", 0.5)


@pytest.mark.parametrize(
    ("records", "typed", "is_known"),
    [
        ([SCORED], WANTED, True),
        ([SCORED], Asked("owner/model", "owner/pets", "plain", "train", "breed"), True),
        ([SCORED], Asked("owner/model", "owner/pets", split="test"), False),
        ([SCORED], Asked("owner/model", "owner/pets", config="fancy"), False),
        ([SCORED], Asked("owner/model", "owner/pets", label_column="colour"), False),
        ([replace(SCORED, source="a paper")], WANTED, False),
        ([failed("owner/model")], WANTED, False),
        ([accuracy("owner/model", 0.9)], WANTED, False),
        ([score("owner/other", "logme", 0.5)], WANTED, False),
    ],
)
def test_what_is_on_a_board_already_is_not_asked_for_again(queue, ask, records, typed, is_known):
    done = ask(typed, *records)
    assert ("owner/model is already on a board of this dataset: owner/pets" in done.text) is is_known
    assert done.model == ("owner/model" if is_known else None)
    assert len(queue.requests()) == (0 if is_known else 1)


def test_what_was_typed_is_checked_without_the_hub():
    assert check_form(Asked()) == ""
    assert check_form(Asked("owner/model", "https://huggingface.co/datasets/owner/pets")) == ""
    assert "The model '<b>' is not an id on the Hub" in check_form(Asked("<b>"))
    assert "The dataset 'a/b/c' is not an id on the Hub" in check_form(Asked(dataset="a/b/c"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gpt2", "gpt2"),
        ("https://huggingface.co/gpt2?not-for-all-audiences=true", "gpt2"),
        ("https://huggingface.co/owner/model/tree/main#files", "owner/model"),
        ("https://hf.co/datasets/owner/pets", "owner/pets"),
        ("https://elsewhere.example/owner/model", "https://elsewhere.example/owner/model"),
    ],
)
def test_addresses_of_the_hub_are_read_as_ids(text, name):
    assert hub_id(text) == name


def test_requests_are_listed_with_states_and_reasons_the_newest_first(queue):
    for number in range(3):
        queue.submit(Request(f"owner/m{number}", "owner/pets", split="train", asked_by="visitor"))
    queue.fail(queue.claim("worker", 60), "worker", "<b>no memory</b>\nat all", kind="out_of_memory")
    queue.finish(queue.claim("worker", 60), "worker", records=7)
    rows = [dict(zip(REQUEST_HEADERS, row, strict=True)) for row in request_rows(queue.requests())]
    assert [(row["Model"], row["State"]) for row in rows] == [
        ("owner/m2", "pending"),
        ("owner/m1", "done"),
        ("owner/m0", "failed"),
    ]
    assert [row["Why"] for row in rows] == ["", "7 records", "out_of_memory: <b>no memory</b> at all"]
    assert rows[0]["Dataset"] == "owner/pets (train)"
    assert rows[0]["By"] == "visitor"


def test_long_lists_are_cut():
    many = [Request(f"owner/m{number}", "owner/pets") for number in range(MOST_ROWS + 5)]
    rows = request_rows(many)
    assert len(rows) == MOST_ROWS
    assert rows[0][0] == f"owner/m{MOST_ROWS + 4}"


def test_the_list_is_kept_for_a_time_and_looked_up_when_asked():
    queue = RequestQueue(MemoryPlace())
    listed = RequestList(queue, seconds=3600)
    assert listed.rows() == []
    queue.submit(Request("owner/model", "owner/pets"))
    assert listed.rows() == []
    assert len(listed.rows(anew=True)) == 1
    assert len(listed.rows()) == 1
