"""The winner of a choice on a Hub, with its card and its record."""

import json

import pytest

from hf_transfer_score import ChooseOptions, OptionError, RankOptions, SampleOptions, choose
from hf_transfer_score.cli import main
from hf_transfer_score.errors import HubError
from hf_transfer_score.records.record import Record
from tests.checkpoints import texts
from tests.cli.test_verify import write_reviews

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the Hub's client uploads so


@pytest.fixture
def choice(tmp_path, monkeypatch):
    """A choice by probes, which is the cheapest."""
    for seed, name in enumerate(("first", "second")):
        texts.write_text(tmp_path / name, seed=seed)
    write_reviews(tmp_path / "reviews.jsonl", 130)
    monkeypatch.chdir(tmp_path)
    options = RankOptions(sample=SampleOptions(max_samples=60))
    how = ChooseOptions(method="probe", changes={"device": "cpu"})
    return choose(str(tmp_path / "reviews.jsonl"), ["./first", "./second"], options=options, how=how, folder=tmp_path)


def test_weights_card_and_record_are_pushed_and_nothing_that_only_this_computer_knows(hub, choice, tmp_path):
    hub.users = {"hf_owner": "owner"}
    where = choice.push("owner/chosen", token="hf_owner", endpoint=hub.endpoint)
    assert where == f"{hub.endpoint}/owner/chosen"
    files = {path: one.content for path, one in hub.repository("owner/chosen").head.files.items()}
    assert {"README.md", "record.json", "choice.json", "config.json", "model.safetensors"} <= files.keys()
    assert "train.py" not in files  # the winner and the rows are folders of this computer
    record = Record.from_json(files["record.json"].read_bytes())
    assert record.terms["accuracy"] == choice.tested[0].result.accuracy and record.model.id == choice.winner
    card = files["README.md"].read_text(encoding="utf-8")
    assert "reviews.jsonl" in card and choice.winner in card and "base_model" not in card
    assert "test rows that had no part in the choice" in card
    assert json.loads(files["choice.json"].read_bytes())["winner"] == choice.winner
    for name, content in files.items():
        assert str(tmp_path).encode() not in content.read_bytes(), name


def test_words_of_somebody_else_stay(hub, choice):
    hub.users = {"hf_owner": "owner"}
    hub.add("owner/chosen", {"README.md": "# Mine\n"})
    choice.push("owner/chosen", token="hf_owner", endpoint=hub.endpoint)
    files = hub.repository("owner/chosen").head.files
    assert files["README.md"].content.read_text() == "# Mine\n" and "record.json" in files


def test_what_cannot_be_pushed_is_refused_before_any_work(monkeypatch, capsys):
    from hf_transfer_score.choosing.pushing import check_target

    for name in ("chosen", "a/b/c", "../x", "owner/"):
        with pytest.raises(OptionError, match="expected OWNER/NAME"):
            check_target(name, "hf_token")
    with pytest.raises(HubError, match="needs a token"):
        check_target("owner/chosen", False)
    assert main(["choose", "no_such_dataset", "--models", "a/b", "--push", "chosen"]) == 2
    assert "expected OWNER/NAME" in capsys.readouterr().err
