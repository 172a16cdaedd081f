"""Cards on their way to a Hub: pull requests and commits by the real client, and what stands in the way."""

import json

import pytest
from huggingface_hub import HfApi

from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.cards.model_card import TITLE, model_card, model_section, push_card
from hf_transfer_score.errors import HubError, InputError, OptionError
from tests.cards.made import MODEL, pool, scores
from tests.leaderboard.made import write_records

CARD = "---\nlicense: mit # theirs\n---\n\n# Model\n\nTheir words.\n"
EVIDENCE = gather(MODEL, scores())


@pytest.fixture
def model(hub):
    """A model of somebody else, whom a guest may propose changes to."""
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}
    hub.add(MODEL, {"README.md": CARD, "config.json": "{}"})
    return hub.repository(MODEL)


def push(hub, token, evidence=EVIDENCE, **options):
    return push_card(evidence, token=token, endpoint=hub.endpoint, **options)


def text_of(repository, reference="refs/heads/main"):
    commit = repository.find(reference)
    return commit.files["README.md"].content.read_text(encoding="utf-8")


def test_a_pull_request_holds_the_card_and_main_stays(hub, model):
    pushed = push(hub, "hf_guest", create_pr=True)
    assert (pushed.state, pushed.where) == ("proposed", f"{hub.endpoint}/{MODEL}/discussions/1")
    assert text_of(model) == CARD
    proposed = text_of(model, "refs/pr/1")
    assert proposed == model_card(EVIDENCE, CARD)
    assert proposed.startswith("---\nlicense: mit # theirs\nmodel-index:\n") and "\nTheir words.\n" in proposed
    (discussion,) = model.discussions
    assert (discussion.title, discussion.author) == (TITLE, "guest")


def test_nothing_is_proposed_twice(hub, model):
    push(hub, "hf_guest", create_pr=True)
    again = push(hub, "hf_guest", create_pr=True)
    assert (again.state, again.where) == ("pending", f"{hub.endpoint}/{MODEL}/discussions/1")
    HfApi(hub.endpoint, token="hf_owner").merge_pull_request(MODEL, 1)
    merged = push(hub, "hf_guest", create_pr=True)
    assert merged.state == "unchanged" and len(model.discussions) == 1
    other = push(hub, "hf_guest", gather(MODEL, scores(height=0.1)), create_pr=True)
    assert other.state == "proposed" and text_of(model, "refs/pr/2").count("## Transferability") == 1


def test_the_owner_writes_and_writes_nothing_again(hub, model):
    pushed = push(hub, "hf_owner")
    assert pushed.state == "written" and pushed.where == model.head.name
    assert text_of(model) == model_card(EVIDENCE, CARD)
    again = push(hub, "hf_owner")
    assert (again.state, again.where) == ("unchanged", pushed.where)


def test_without_metadata_the_head_of_the_card_stays(hub, model):
    push(hub, "hf_owner", metadata=False)
    assert text_of(model) == CARD + "\n" + model_section(EVIDENCE)


def test_a_model_without_a_card_gets_one(hub, model):
    hub.add("owner/bare", {"config.json": "{}"})
    push(hub, "hf_owner", gather("owner/bare", scores("owner/bare")))
    text = text_of(hub.repository("owner/bare"))
    assert text.startswith("---\nmodel-index:\n- name: bare\n") and "\n# owner/bare\n" in text


def test_a_change_of_somebody_else_is_built_upon(hub, model, monkeypatch):
    from huggingface_hub import HfApi

    commit, others = HfApi.create_commit, ["One more word.\n", "And one.\n"]

    def slow(api, *arguments, **options):
        """Somebody else is faster twice."""
        if others:
            (model.folder / "README.md").write_text((model.folder / "README.md").read_text() + others.pop(0))
        return commit(api, *arguments, **options)

    monkeypatch.setattr(HfApi, "create_commit", slow)
    assert push(hub, "hf_owner").state == "written" and not others
    assert text_of(model) == model_card(EVIDENCE, CARD + "One more word.\nAnd one.\n")


def test_whoever_may_not_write_is_told_of_pull_requests(hub, model):
    with pytest.raises(HubError, match=r"may not write to owner/model .* or propose the change with `create_pr`"):
        push(hub, "hf_guest")
    with pytest.raises(HubError, match=r"needs a token: log in with `hf auth login`"):
        push(hub, False, create_pr=True)
    assert text_of(model) == CARD and not model.discussions


def test_models_that_are_not_there_are_not_made(hub, model):
    for name, token in (("owner/gone", "hf_owner"), ("guest/gone", "hf_guest")):
        with pytest.raises(HubError, match=f"There is no model {name} on the Hub"):
            push(hub, token, gather(name, scores(name)))
        assert hub.find("models", name) is None
    hub.repository(MODEL).private = True
    with pytest.raises(HubError, match="that this token may see"):
        push(hub, "hf_guest", create_pr=True)


def test_a_gated_model_says_where_to_ask(hub, model):
    model.gated = "manual"
    with pytest.raises(HubError, match=f"is gated: ask for access at {hub.endpoint}/{MODEL}"):
        push(hub, "hf_guest", create_pr=True)
    model.readers = {"guest"}
    assert push(hub, "hf_guest", create_pr=True).state == "proposed"


def test_cards_that_cannot_be_kept_whole_are_left_alone(hub, model):
    (model.folder / "README.md").write_bytes(b"---\nlicense: \xff\n---\n")
    with pytest.raises(HubError, match="not UTF-8"):
        push(hub, "hf_owner")
    (model.folder / "README.md").write_text("---\n{license: mit}\n---\n# x\n")
    with pytest.raises(InputError, match="metadata=False"):
        push(hub, "hf_owner")
    assert len(model.discussions) == 0


def test_folders_have_no_page(hub):
    with pytest.raises(OptionError, match="'mine' is not a model on the Hub"):
        push(hub, "hf_owner", gather("mine", scores("mine")))


def test_the_command_pushes_from_a_results_repository(hub, model, run_client, hub_environment, tmp_path):
    hub.add("team/results", write_records(tmp_path / "records", pool()).folder, kind="dataset")
    code = """
import contextlib, io
from hf_transfer_score.cli import main
def call(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["card", "owner/model", "--results", "team/results", *words])
    return [status, out.getvalue(), err.getvalue()]
answer = [call("--push"), call("--push", "--create-pr"), call("--push", "--create-pr", "--json")]
"""
    refused, proposed, again = run_client(code, hub_environment | {"HF_TOKEN": "hf_guest"})
    assert refused[0] == 1 and "--create-pr" in refused[2]
    assert proposed == [0, f"Proposed at {hub.endpoint}/{MODEL}/discussions/1\n", ""]
    assert json.loads(again[1]) == {
        "model": MODEL,
        "state": "pending",
        "where": f"{hub.endpoint}/{MODEL}/discussions/1",
    }
    text = text_of(model, "refs/pr/1")
    assert "[`team/results`](https://huggingface.co/datasets/team/results)" in text and "2 of 3" in text
    assert "hf_guest" not in json.dumps([refused, proposed, again]) + text
