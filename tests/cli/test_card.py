"""`card` on the command line: what it prints, writes and refuses."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hf_transfer_score.records.record import Record
from tests.cards.made import PETS, pool, scores, truth
from tests.cli.pool import check_printed, write_checkpoint
from tests.leaderboard.made import write_records


@pytest.fixture
def results(tmp_path):
    return str(write_records(tmp_path / "results", pool()).folder)


@pytest.fixture
def card(run):
    """Run the command: exit status, output, error output."""
    return lambda *words: run("card", *words)


def test_the_card_is_printed(card, results):
    status, text, errors = card("owner/model", "--results", results)
    assert status == 0 and not errors
    assert text.startswith("---\nmodel-index:\n- name: model\n") and "**Expected place 2 of 3 after fine-tuning" in text
    bare = card("owner/model", "--results", results, "--no-metadata")[1]
    assert bare.startswith("# owner/model\n") and text.endswith(bare)


def test_without_results_the_records_of_the_package_are_read(card):
    status, text, _ = card("pixels")
    assert status == 0 and "scikit-learn digits" in text


def test_json_holds_the_section_and_the_metadata(card, results):
    found = json.loads(card("owner/model", "--results", results, "--json")[1])
    text = card("owner/model", "--results", results)[1]
    assert found["section"] in text and found["model"] == "owner/model"
    assert yaml.safe_load(text.split("---\n")[1])["model-index"] == found["model-index"]
    check_printed("card", found)


def test_a_file_gets_the_section_once(card, results, tmp_path):
    out = tmp_path / "new" / "card.md"
    words = ("owner/model", "--results", results, "--out", str(out))
    assert card(*words)[:2] == (0, f"Wrote {out}\n")
    first = out.read_bytes()
    assert card(*words)[:2] == (0, f"Nothing to do: {out} is up to date\n")
    assert out.read_bytes() == first
    out.write_bytes(b"---\r\nlicense: mit # theirs\r\n---\r\n# Mine\r\n")
    assert card(*words)[0] == 0
    text = out.read_bytes()
    assert text.startswith(b"---\r\nlicense: mit # theirs\r\nmodel-index:") and b"\r\n# Mine\r\n" in text
    assert text.count(b"\n") == text.count(b"\r\n")


def test_one_dataset_can_be_chosen(card, tmp_path):
    other = replace(PETS, id="team/cars", fingerprint="c" * 32)
    folder = str(write_records(tmp_path, [*scores(), *scores(dataset=other)]).folder)
    both = card("owner/model", "--results", folder)[1]
    one = card("owner/model", "--results", folder, "--dataset", "team/cars")[1]
    assert "team/pets" in both and "team/cars" in both and "team/pets" not in one and "team/cars" in one
    status, _, errors = card("owner/model", "--results", folder, "--dataset", "team/dogs")
    assert status == 1 and "has no record of owner/model on team/dogs, only on: team/cars, team/pets" in errors


def test_a_model_that_only_its_user_ranked_is_answered_with_where_its_records_would_be(card):
    status, _, errors = card("resnet5")
    assert status == 1 and errors.startswith(
        "error: The results that ship with the package have no record of resnet5. "
    )
    assert "Name your own with --results, such as the folder of `rank --save`. There are " in errors


def test_metric_cards(card, tmp_path):
    status, text, _ = card("--metric", "ncti")
    assert status == 0 and "| `vc` |" in text and "↓ lower" in text
    assert json.loads(card("--metric", "ncti", "--json")[1]) == {"metric": "ncti", "card": text}
    assert card("--metric", "nctl")[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a MODEL, or a metric"),
        (("a/b", "--metric", "face"), "name a MODEL, or a metric"),
        (("a/b", "--create-pr"), "use both"),
        (("--metric", "face", "--push"), "are for models"),
        (("a/b", "--push", "--out", "x.md"), "use one of them"),
        (("a/b", "--eval-task", "x"), "use both"),
        (("pixels", "--push"), "'pixels' is not a model on the Hub"),
        (("pixels", "--results", "nothing://x"), "is not a place of results"),
        (("pixels", "--eval-results"), "is not a dataset on the Hub"),
        (("pca_16", "--eval-results", "--dataset", "scikit-learn digits 5-9"), "is not a dataset on the Hub"),
    ],
)
def test_wrong_usage(card, words, message):
    status, text, errors = card(*words)
    assert status == 2 and not text and message in errors and errors.startswith("error: ")


def test_places_without_records_say_so(card, tmp_path):
    status, _, errors = card("a/b", "--results", str(tmp_path / "gone"))
    assert status == 1 and "There is no folder " in errors
    (tmp_path / "empty").mkdir()
    status, _, errors = card("a/b", "--results", str(tmp_path / "empty"))
    assert status == 1 and "There are no results in " in errors and "hf-transfer-score rank ... --save FOLDER" in errors


def test_a_file_that_is_no_card_is_left_alone(card, results, tmp_path):
    out = tmp_path / "weights.bin"
    out.write_bytes(b"\xff\xfe\x00")
    status, _, errors = card("owner/model", "--results", results, "--out", str(out))
    assert status == 1 and "cannot be read as a card" in errors and out.read_bytes() == b"\xff\xfe\x00"


def test_measured_accuracies_of_a_benchmark_are_printed(hub, run_client, hub_environment, tmp_path):
    hub.add("team/pets", {"eval.yaml": "tasks:\n- id: cats\n"}, kind="dataset")
    folder = write_records(tmp_path / "r", [*scores(), truth(0.75)]).folder
    code = f"""
import contextlib, io
from hf_transfer_score.cli import main
out = io.StringIO()
with contextlib.redirect_stdout(out):
    status = main(["card", "owner/model", "--results", {str(folder)!r}, "--eval-results"])
answer = [status, out.getvalue()]
"""
    status, text = run_client(code, hub_environment)
    assert status == 0 and yaml.safe_load(text)[0]["value"] == 0.75
    assert text.startswith("# .eval_results/hf-transfer-score-team-pets-method-full.yaml\n")


OPTIONS = [
    [],
    ["--seed", "3", "--max-samples", "40", "--metrics", "face,knn,feature_width", "--level", "0.8"],
    ["--per-class", "9", "--option", "face.temperature=0.1", "--metrics", "all", "--replicates", "0"],
    ["--label", "intent", "--input", "text", "--option", "ncti.pca=4", "--task", "text-classification"],
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_command_of_a_card_makes_the_same_records_again(bank, run, options):
    write_checkpoint(bank / "clear")
    write_checkpoint(bank / "noisy", noise=4.0)
    assert run("rank", "bank.jsonl", "--models", "./clear", "./noisy", "--save", "first", "--quiet", *options)[0] == 0
    status, text, errors = run("card", "clear", "--results", "./first")
    assert status == 0, errors
    program, *words = shlex.split(text.split("```bash\n")[1].split("\n```")[0].replace("\\\n", ""))
    assert program == "hf-transfer-score" and run(*words, "--save", "again", "--refresh", "--quiet")[0] == 0
    first, again = (
        {path.name: path for path in Path(name, "records/_local/clear").iterdir()} for name in ("first", "again")
    )
    assert first.keys() == again.keys() and len(first) >= 3
    for name, path in first.items():
        old, new = (Record.from_json(one.read_bytes()) for one in (path, again[name]))
        assert (old.terms, old.interval, old.interval_level) == (new.terms, new.interval, new.interval_level)
