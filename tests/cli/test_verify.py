"""The command `verify` as a user meets it: a ranking, real fine-tuning, records, and the agreement."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score.cli import main
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.table import RecordTable, Stored
from hf_transfer_score.runs import verifying
from tests.checkpoints import texts
from tests.cli.pool import check_printed

WORDS = (("bad", "slow", "cold"), ("good", "warm", "wit"))
FEW = ("--max-samples", "40", "--device", "cpu", "--replicates", "0")
QUICK = (*FEW, "--learning-rates", "3e-3", "--epochs", "2")
MODELS = ("--models", "./first", "./second", "./broken")


def write_reviews(path: Path, rows: int = 100, *, of_first: int = 2) -> None:
    """Write texts of two classes that differ in one word; one of so many is of the second class."""
    generator = np.random.default_rng(0)
    codes = [int(row % of_first == of_first - 1) for row in range(rows)]
    lines = [
        {"text": f"a {generator.choice(WORDS[code])} film number {row}", "label": ("neg", "pos")[code]}
        for row, code in enumerate(codes)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two checkpoints, one without its weights, and a dataset; features are read once for all tests."""
    place = tmp_path_factory.mktemp("verify")
    texts.write_text(place / "first", seed=0)
    texts.write_text(place / "second", seed=1)
    (texts.write_text(place / "broken") / "model.safetensors").write_bytes(b"no weights")
    write_reviews(place / "reviews.jsonl")
    return place


@pytest.fixture
def verify(folder, monkeypatch, capsys):
    """Run the command in that folder: exit status, output, error output."""
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        status = main(["verify", "reviews.jsonl", *(FEW if "probe" in arguments else QUICK), *arguments])
        return status, *capsys.readouterr()

    command.read = capsys.readouterr
    return command


@pytest.fixture
def counted(monkeypatch):
    made = []

    def counting(load, train, test, recipe, seed, **more):
        made.append(seed)
        return fine_tune(load, train, test, recipe, seed, **more)

    monkeypatch.setattr(verifying, "fine_tune", counting)
    return made


def records(folder):
    paths = sorted((folder / "records").rglob("*.json"))
    return [Record.from_json(path.read_bytes()) for path in paths], paths


def test_the_table_holds_ranks_accuracies_and_the_agreement_of_each_metric(verify):
    status, out, err = verify(*MODELS, "--seeds", "0,1", "--method", "probe")
    assert status == 0, err
    assert "tested on 60 other rows of the split train: method probe, 2 seeds" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert {rows["first"][1], rows["second"][1]} == {"1", "2"}
    assert 0 <= float(rows["first"][2].removesuffix("%")) <= 100
    assert rows["broken"][1] == "failed"
    assert {"mean", "ncti", "face", "logme", "parameter_count", "one"} <= set(rows)
    assert "2 models cannot tell how well a metric works: with fewer than 8" in out
    assert "broken: corrupt: has a model.safetensors" in out
    assert "2 of 3 models to fine-tune, 60 rows to test on" in err
    assert re.search(r"first, seed 1: \d+\.\d%", err)
    (expected,) = [line for line in err.splitlines() if line.startswith("about ")]
    assert expected.endswith(" s for 2 models x 2 seeds")


def test_records_lie_beside_the_scores_and_the_leaderboard_shows_the_accuracies(verify, folder, counted):
    status, out, err = verify(*MODELS, "--seeds", "0,1", "--save", "results", "--json")
    assert status == 0
    (expected,) = [line for line in err.splitlines() if line.startswith("about ")]
    assert expected.endswith(" at most for 2 models x 2 seeds x 1 learning rate of up to 2 epochs")
    found, paths = records(folder / "results")
    truths = [one for one in found if one.metric and one.metric.kind == "truth"]
    told = json.loads(out)["models"]
    check_printed("verify", json.loads(out))
    assert len(truths) == 4
    for one in truths:
        of = told[one.model.id]["measured"][str(one.metric.parameters["seed"])]
        assert one.terms == {"accuracy": of["accuracy"]}
        assert one.metric.parameters["method"] == "full"
        assert one.used["trainable_parameters"] == one.used["total_parameters"] == of["trainable_parameters"]
        assert one.used["learning_rate"] == 3e-3
    made = Catalogue(
        RecordTable.of(
            Stored.of(str(path.relative_to(folder / "results")), "1", one)
            for path, one in zip(paths, found, strict=True)
        )
    )
    (summary,) = made.boards()
    board = made.board(summary.key)
    shown = {row.model: row.accuracies for row in board.rows}
    assert shown.keys() == {"first", "second"}
    for name, values in shown.items():
        assert sorted(values) == sorted(one["accuracy"] for one in told[name]["measured"].values())
    assert board.truth.startswith("accuracy (epochs=2, learning_rates=[0.003], method=full")
    assert board.truth_exact


def test_other_proportions_of_the_test_rows_are_said_once_and_stored(verify, folder):
    write_reviews(folder / "skewed.jsonl", of_first=5)
    arguments = ("skewed.jsonl", *MODELS, *FEW[2:], "--method", "probe", "--seeds", "0", "--per-class", "10")

    def skewed(*more):
        assert main(["verify", *arguments, "--save", "skewed", *more]) == 0
        return verify.read()

    out, _ = skewed()
    said = "The test rows hold the classes in other proportions than the balanced training sample (neg: 50%"
    assert " ".join(out.split()).count(said) == 1
    told = json.loads(skewed("--json")[0])
    (note,) = [one for one in told["notes"] if one.startswith(said)]
    for one in records(folder / "skewed")[0]:
        assert (note in one.warnings) is bool(one.metric and one.metric.kind == "truth")
    _, out, _ = verify(*MODELS, "--method", "probe", "--seeds", "0")
    assert "other proportions" not in out


def test_patience_is_a_part_of_the_measurement_where_it_is_not_the_usual_one(folder, verify, counted):
    slow = ("--models", "./first", "--max-samples", "40", "--device", "cpu", "--replicates", "0", "--seeds", "0")
    slow += ("--learning-rates", "1e-60", "--epochs", "7", "--save", "patient")
    for more, passes in (((), 5), (("--patience", "1"), 2), (("--patience", "9"), 7)):
        assert main(["verify", "reviews.jsonl", *slow, *more, "--json"]) == 0
        (measured,) = json.loads(verify.read()[0])["models"]["first"]["measured"].values()
        assert measured["epochs"] == passes
    assert main(["verify", "reviews.jsonl", *slow, "--patience", "4"]) == 0  # that of texts
    assert len(counted) == 3
    truths = [one for one in records(folder / "patient")[0] if one.metric and one.metric.kind == "truth"]
    assert {one.metric.parameters.get("patience", "usual"): one.used["epochs"] for one in truths} == {
        "usual": 5,
        1: 2,
        9: 7,
    }


def test_what_was_measured_is_not_measured_again(verify, counted):
    common = (*MODELS, "--method", "probe", "--save", "again", "--json")
    first = json.loads(verify(*common, "--seeds", "0")[1])
    assert counted == [0, 0]
    more = json.loads(verify(*common, "--seeds", "0,1")[1])
    assert counted == [0, 0, 1, 1]
    for name in ("first", "second"):
        assert more["models"][name]["measured"]["0"] == first["models"][name]["measured"]["0"]
    verify(*common, "--seeds", "0", "--test-samples", "30")  # other test rows are another measurement
    assert counted == [0, 0, 1, 1, 0, 0]


def test_ctrl_c_keeps_what_is_measured(verify, folder, monkeypatch):
    def interrupted(load, train, test, recipe, seed, **more):
        if seed == 1:
            raise KeyboardInterrupt
        return fine_tune(load, train, test, recipe, seed, **more)

    monkeypatch.setattr(verifying, "fine_tune", interrupted)
    status, out, err = verify(*MODELS, "--method", "probe", "--seeds", "0,1", "--save", "cut")
    assert status == 130
    assert "interrupted: run the same command again to continue" in err
    assert "the run ended before its turn" in out and ": :" not in out
    truths = [one for one in records(folder / "cut")[0] if one.metric and one.metric.kind == "truth"]
    assert [one.metric.parameters["seed"] for one in truths] == [0]


def test_what_failed_is_a_record_that_counts_as_nothing_and_is_tried_again(verify, folder, counted, monkeypatch):
    arguments = (*MODELS, "--method", "probe", "--seeds", "0,1", "--save", "failing")

    def failing(load, train, test, recipe, seed, **more):
        if seed == 1:
            raise RuntimeError("/home/somebody/it.py broke")
        return fine_tune(load, train, test, recipe, seed, **more)

    with monkeypatch.context() as patched:
        patched.setattr(verifying, "fine_tune", failing)
        status, out, _ = verify(*arguments)
    assert status == 0
    assert "error: RuntimeError: /home/somebody/it.py broke" in " ".join(out.split())
    failed = [one for one in records(folder / "failing")[0] if one.is_failed_measurement]
    assert sorted(one.model.id for one in failed) == ["first", "second"]
    for one in failed:
        assert (one.kind, one.reason) == ("error", "RuntimeError: it.py broke")
        assert one.metric.parameters["seed"] == 1 and one.metric.name == "accuracy"
        assert Record.from_json(one.to_json()) == one
    assert verify(*arguments)[0] == 0
    assert counted == [1, 1], "the seeds that failed, and no other"
    found = records(folder / "failing")[0]
    assert not [one for one in found if one.is_failed_measurement]
    truths = [one for one in found if one.metric and one.metric.kind == "truth"]
    assert sorted((one.model.id, one.metric.parameters["seed"]) for one in truths) == [
        (name, seed) for name in ("first", "second") for seed in (0, 1)
    ]


def test_only_the_best_are_fine_tuned_and_the_text_says_so(verify, counted):
    status, out, _ = verify(*MODELS, "--method", "probe", "--seeds", "0", "--top", "1")
    assert (status, counted) == (0, [0])
    assert "One model ranked below was not fine-tuned" in " ".join(out.split())
    assert "1 model cannot tell how well a metric works" in " ".join(out.split())


def test_a_block_that_is_not_there_is_a_row_with_the_reason(verify):
    status, out, _ = verify(*MODELS, "--method", "layer", "--seeds", "0", "--layer", "9")
    assert status == 1
    assert "first: bad_input: --layer 9: this checkpoint has the blocks 0 to 1" in out
    assert not (Path("records")).exists(), "nothing is stored unasked"


def test_wrong_usage_is_told_before_anything_is_read(verify, folder, capsys):
    status, _, err = verify(*MODELS, "--seeds", "0,0")
    assert status == 2 and "--seeds (0, 0): expected whole numbers from 0 on, each once" in err
    status, _, err = verify(*MODELS, "--seeds", "x")
    assert status == 2 and "expected whole numbers separated by commas, such as 0,1,2, got 'x'" in err
    status, _, err = verify(*MODELS, "--layer", "1")
    assert status == 2 and "--layer is for the methods layer and scl; full trains no single block" in err
    for flag in ("--patience", "--epochs", "--steps", "--train-batch-size"):
        status, _, err = verify(*MODELS, "--method", "probe", flag, "3")
        assert status == 2 and f"{flag} is for methods that train in epochs; a probe is fitted at once" in err
    status, _, err = verify(*MODELS, "--patience", "0")
    assert status == 2 and "--patience" in err
    status, _, err = verify(*MODELS, "--learning-rates", "1e-3")
    assert status == 2 and "--learning-rates can be given only once" in err
    assert main(["verify", "reviews.jsonl", *MODELS, "--learning-rates", "-1"]) == 2
    assert "--learning-rates (-1.0,): expected at least one number above 0" in capsys.readouterr().err
    assert main(["verify", "reviews.jsonl", *MODELS, "--per-class", "50", "--device", "cpu", "--replicates", "0"]) == 1
    assert "Draw fewer rows with --per-class or --max-samples" in capsys.readouterr().err
    status, _, err = verify(*MODELS, "--save", "reviews.jsonl")
    assert status == 2 and "is a file; name a folder." in err
