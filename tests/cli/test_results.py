"""The commands `results publish`, `pull`, `merge` and `validate` as a user meets them."""

import json
from dataclasses import replace

import pytest

from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.publishing import publish
from hf_transfer_score.records.record import record_path
from hf_transfer_score.records.store import SNAPSHOT, load
from tests.cli.pool import check_printed
from tests.records.test_record import FAILED, METRIC, OK, SKIPPED

RECORDS = [OK, FAILED, replace(SKIPPED, metric=replace(METRIC, name="leep"))]


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder to be in, with `results` as `rank --save` leaves it."""
    monkeypatch.chdir(tmp_path)
    publish(FolderPlace(tmp_path / "results"), RECORDS)
    (tmp_path / "results" / "ranking.json").write_text("{}")
    return tmp_path


@pytest.fixture
def owner(hub, hub_environment):
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}
    return hub_environment | {"HF_TOKEN": "hf_owner"}


@pytest.fixture
def command(parent, saved):
    """Run the command line in a process of its own: status, output and errors."""

    def run(environment, *arguments):
        done = parent.run(*arguments, environment=environment, folder=saved)
        return done.status, done.out, done.err

    return run


class TestHub:
    def test_from_a_folder_to_the_hub_and_back(self, command, saved, hub, owner):
        address = f"{hub.endpoint}/datasets/owner/results"
        status, out, err = command(owner, "results", "publish", "results", "--to", "owner/results")
        assert (status, err) == (0, "")
        assert out == f"Published to owner/results: 3 written, 0 unchanged.\n{address}\n"
        assert command(owner, "results", "publish", "results", "--to", "hf://datasets/owner/results")[1] == (
            f"Published to owner/results: 0 written, 3 unchanged.\n{address}\n"
        )
        assert command(owner, "results", "validate", "owner/results") == (
            0,
            "owner/results: 3 records, all valid.\n",
            "",
        )
        status, out, _ = command(owner, "results", "pull", "owner/results", "--into", "copy", "--json")
        facts = json.loads(out)
        assert status == 0 and (facts["written"], facts["problems"]) == (3, [])
        check_printed("results", facts)
        copied = load(FolderPlace(saved / "copy")).table.records()
        assert {record_path(one): one for one in copied} == {record_path(one): one for one in RECORDS}

    def test_who_may_not_write_proposes(self, command, saved, hub, owner):
        hub.add("owner/results", {"README.md": "mine"}, kind="dataset")
        guest = owner | {"HF_TOKEN": "hf_guest"}
        status, out, err = command(guest, "results", "publish", "results", "--to", "owner/results")
        assert (status, out) == (1, "") and "or propose the change with --create-pr" in err
        status, out, err = command(
            guest, "results", "publish", "results", "--to", "owner/results", "--create-pr", "--json"
        )
        facts = json.loads(out)
        assert status == 0 and facts["url"] == f"{hub.endpoint}/datasets/owner/results/discussions/1"
        assert facts["version"] is None and facts["written"] == 3
        assert list(hub.repository("owner/results", "dataset").head.files) == ["README.md"]

    def test_without_a_token_it_says_how_to_get_one(self, command, hub, hub_environment):
        status, out, err = command(hub_environment, "results", "publish", "results", "--to", "owner/results")
        assert (status, out) == (1, "") and err.startswith("error: Writing to owner/results on the Hub needs a token")
        assert "`hf auth login`" in err and err.count("\n") == 1 and "Traceback" not in err

    def test_a_trial_needs_no_token_and_writes_nothing(self, command, hub, hub_environment):
        status, out, _ = command(hub_environment, "results", "publish", "results", "--to", "owner/results", "--dry-run")
        assert (status, out) == (0, "To be written to owner/results: 3 written, 0 unchanged.\n")
        assert hub.all("datasets") == []

    def test_the_table_is_brought_in_step(self, command, saved, hub, owner):
        command(owner, "results", "publish", "results", "--to", "owner/results", "--private")
        assert hub.repository("owner/results", "dataset").private
        (hub.repository("owner/results", "dataset").folder / SNAPSHOT).unlink()
        status, out, _ = command(owner, "results", "validate", "owner/results")
        assert (status, out) == (1, f"wrong: {SNAPSHOT}: is missing\nowner/results: 3 records, 1 problem.\n")
        assert command(owner, "results", "merge", "--into", "owner/results") == (
            0, "The table of owner/results is up to date.\n", "",
        )  # fmt: skip
        assert command(owner, "results", "validate", "owner/results", "--json")[0] == 0


class TestFolders:
    def test_folders_are_merged_pulled_and_checked(self, saved, run):
        publish(FolderPlace(saved / "more"), [replace(OK, model=replace(OK.model, id="a/b"))])
        merged = run("results", "merge", "results", "more", "--into", "./both")
        assert merged == (0, "Merged into both: 4 written, 0 unchanged.\n", "")
        pulled = run("results", "pull", "both", "--into", "copy")[1]
        assert pulled == "Pulled from both into copy: 4 written, 0 unchanged.\n"
        assert run("results", "validate", "copy")[:2] == (0, "copy: 4 records, all valid.\n")
        assert run("results", "validate", "copy/records")[1] == "copy/records: 0 records, none below records/.\n"
        published = run("results", "publish", "more", "results", "--to", "./copy")[1]
        assert published == "Published to copy: 0 written, 4 unchanged.\n"
        assert "there is no table to update" in run("results", "merge", "--into", "copy")[1]

    def test_bad_files_are_named_and_the_others_taken(self, saved, run):
        name = record_path(FAILED)
        text = FAILED.to_json().replace('"kind": "gated"', '"\\u001b[31mkind": "gated"')
        (saved / "results" / name).write_text(text)
        status, out, err = run("results", "publish", "results", "--to", "./copy")
        first, second = out.splitlines()
        assert (status, err) == (0, "") and first.startswith(f"bad: {name}: A record")
        assert second == "Published to copy: 2 written, 0 unchanged, 1 bad and left out."
        assert "\x1b" not in out
        status, out, _ = run("results", "validate", "results", "--json")
        facts = json.loads(out)
        assert status == 1 and (facts["records"], facts["valid"]) == (3, False)
        assert [one["path"] for one in facts["problems"]] == [str(name)]
        check_printed("results", facts)

    def test_where_nothing_is_valid_nothing_is_published(self, saved, run):
        for path in (saved / "results" / "records").rglob("*.json"):
            path.write_text("{")
        status, out, err = run("results", "publish", "results", "--to", "./copy")
        assert status == 1 and out.count("bad: records/") == 3 and not (saved / "copy").exists()
        assert err == (
            "error: There is no valid record in results: `rank --save FOLDER` writes them to FOLDER/records.\n"
        )
        status, out, _ = run("results", "publish", "results", "--to", "./copy", "--json")
        assert status == 1 and len(json.loads(out)["problems"]) == 3

    @pytest.mark.parametrize(
        ("line", "status", "said"),
        [
            ("publish none --to ./copy", 1, "There is no folder none"),
            ("publish results --to https://huggingface.co/datasets/a/b", 2, "expected a folder (./results)"),
            ("publish results --to ./copy --create-pr", 2, "--create-pr is for repositories on the Hub"),
            ("publish results/ranking.json --to ./copy", 2, "results/ranking.json is a file"),
            ("publish results", 2, "error: --to is missing: "),
            ("pull ./none --into copy", 1, "There is no folder none"),
            ("pull results --into results/ranking.json", 2, "is a file"),
            ("merge --into ./none", 1, "There is no folder none"),
            ("validate hf://models/a/b", 2, "is not a place of results"),
        ],
    )
    def test_wrong_usage_is_one_line(self, saved, run, line, status, said):
        found, out, err = run("results", *line.split())
        assert (found, out) == (status, "") and said in err and "Traceback" not in err
