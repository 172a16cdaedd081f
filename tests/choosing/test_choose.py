"""Choices among real checkpoints: from a folder of texts to a fine-tuned one, ended and gone on with at any moment."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_transfer_score import (
    BackboneOptions,
    ChooseListener,
    ChooseOptions,
    OptionError,
    RankOptions,
    SampleOptions,
    choose,
)
from hf_transfer_score.backbones.base import all_kinds
from hf_transfer_score.choosing import trainer
from hf_transfer_score.choosing.trainer import Trainer
from hf_transfer_score.cli import main
from hf_transfer_score.finetune.fine_tune import fine_tune, truth_metric
from hf_transfer_score.finetune.loop import Training
from hf_transfer_score.finetune.recipe import default_recipe
from hf_transfer_score.records.record import Record
from tests.checkpoints import texts
from tests.cli.pool import check_printed
from tests.cli.test_verify import write_reviews
from tests.finetune.made import Loads

CHANGES = {"learning_rates": (1e-3, 3e-3), "epochs": 3, "patience": None, "device": "cpu", "precision": "float32"}
OPTIONS = RankOptions(sample=SampleOptions(max_samples=60))
FLAGS = ("--max-samples", "60", "--learning-rates", "1e-3,3e-3", "--epochs", "2", "--patience", "9", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three checkpoints, one without its weights, and a dataset."""
    place = tmp_path_factory.mktemp("choose")
    for seed, name in enumerate(("first", "second", "third")):
        texts.write_text(place / name, seed=seed)
    (texts.write_text(place / "broken") / "model.safetensors").write_bytes(b"no weights")
    write_reviews(place / "reviews.jsonl", 130)
    return place


@pytest.fixture(scope="module")
def chosen(folder):
    """Return a choice among them, kept in a folder."""

    def run(home, heard=None, **how):
        asked = ChooseOptions(**{"changes": CHANGES, "first_rows": 24, "budget": "9 fine-tunings", **how})
        models = ["./first", "./second", "./third", "./broken"]
        return choose(str(folder / "reviews.jsonl"), models, options=OPTIONS, how=asked, heard=heard, folder=home)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run


@pytest.fixture(scope="module")
def whole(chosen, tmp_path_factory):
    """A choice that nothing was done to, and where it is kept."""
    home = tmp_path_factory.mktemp("whole")
    return home, chosen(home)


def truths(home):
    records = [Record.from_json(path.read_bytes()) for path in home.rglob("results/records/**/*.json")]
    return [one for one in records if one.metric and one.metric.kind == "truth"]


def told(choice):
    """Return what a choice came to, without what differs by its nature."""
    tested = {one.name: (one.result.accuracy, one.whole) for one in choice.tested}
    rounds = [(one.words, one.inside, dict(one.gone), one.chance) for one in choice.history]
    return choice.winner, choice.rate, choice.sure, tested, rounds, list(choice.ranking.ranks), choice.curves


def test_a_choice_has_a_winner_its_proof_and_its_history(whole):
    home, choice = whole
    assert choice.winner in ("first", "second", "third") and next(iter(choice.ranking.ranks)) == choice.winner
    assert choice.ranking.models["broken"].status == "failed"
    assert [one.stage for one in choice.history][:2] == ["facts", "rows"] and choice.history[-1].stage == "proof"
    assert choice.tested[0].name == choice.winner and choice.tested[0].whole
    assert choice.accuracy.low <= choice.tested[0].result.accuracy <= choice.accuracy.high
    assert 0 <= choice.sure <= 1 and 0 < choice.share <= 1.2
    assert choice.answer.startswith(f"Use {choice.winner} at learning rate ") and "on 70 test rows" in choice.answer
    assert json.loads(json.dumps(choice.as_dict()))["winner"] == choice.winner
    check_printed("choose", choice.as_dict())
    (won,) = [one for one in choice.curves if (one.name, one.rate) == (choice.winner, choice.rate)]
    assert won.ended and max(won.accuracies) == choice.tested[0].result.validation_accuracy
    assert {one.rate for one in choice.curves} == set(CHANGES["learning_rates"])
    assert {one["name"] for one in choice.as_dict()["curves"]} == {one.name for one in choice.curves}
    stored = {one.model.id: one.terms["accuracy"] for one in truths(home)}
    assert stored == {one.name: one.result.accuracy for one in choice.tested if one.whole}


def test_a_single_candidate_is_told_plainly(whole):
    _, choice = whole
    alone = replace(choice, candidates=1, tested=choice.tested[:1])
    assert alone.answer.endswith("It was the only candidate that could be used, so there was nothing to choose from.")
    assert "candidates" not in alone.cost and "probability" not in alone.answer
    assert "candidates" not in replace(choice, candidates=0).cost
    first = replace(alone, options=replace(choice.options, looks=1))
    assert "only candidate" not in first.answer and "With probability" in first.answer


def test_the_same_call_again_trains_nothing_and_says_the_same(whole, chosen, monkeypatch):
    home, choice = whole
    monkeypatch.setattr(Training, "advance", lambda *_, **__: pytest.fail("a finished round is run again"))
    assert told(chosen(home)) == told(choice)


@pytest.mark.parametrize("gave", [{"failed": ["error", "broke"]}, {}, None, {"notes": []}])
def test_steps_of_another_form_are_done_again(whole, chosen, tmp_path, gave):
    home, choice = whole
    shutil.copytree(home, tmp_path / "home")
    for path in (tmp_path / "home" / "choices").rglob("steps/*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "gave": gave}))
    assert told(chosen(tmp_path / "home")) == told(choice)


def test_files_without_a_record_in_its_own_results_are_said(whole, chosen, tmp_path):
    home, choice = whole
    shutil.copytree(home, tmp_path / "home")
    next((tmp_path / "home").rglob("results/records/**/*.json")).write_text("{")
    assert not any("valid record" in note for note in choice.notes)
    said = f"1 file in {tmp_path / 'home' / 'results'} without a valid record left out; "
    assert [note.startswith(said) for note in chosen(tmp_path / "home").notes].count(True) == 1


class Ending(ChooseListener):
    """Ends a choice at some stage of its race, as Ctrl-C does."""

    def __init__(self, after):
        self.left = after

    def stage(self, words):
        self.left -= "learning rate" in words
        if self.left < 0:
            raise KeyboardInterrupt


def test_ended_at_any_stage_it_gives_the_best_so_far_and_goes_on_from_there(whole, chosen, tmp_path):
    _, choice = whole
    moments, passes = 0, []
    counted = Trainer._leg
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_leg", lambda self, arm, to: passes.append((arm, to)) or counted(self, arm, to))
        for after in (1, 3, 5, 99):
            found = chosen(tmp_path, Ending(after))
            moments += found.interrupted
            if not found.interrupted:
                break
            assert found.answer.startswith("So far: use ") and not found.tested
            assert ("not won yet" in found.plot().to_dict()["description"]) == bool(found.curves)
    assert moments == 3
    assert told(found) == told(choice)
    assert len(passes) == len(set(passes))  # no finished leg is run twice


def test_ended_in_the_race_it_is_as_sure_as_its_last_round_said(chosen, tmp_path):
    found = chosen(tmp_path, Ending(9), within=0.0)
    assert found.interrupted and found.history[-1].words == "2 epochs" and found.sure == found.history[-1].chance


def test_an_epoch_is_trained_once_though_it_is_ended_between_two_comparisons(whole, chosen, tmp_path, monkeypatch):
    _, choice = whole
    trained, one_pass = [], Training._pass
    monkeypatch.setattr(trainer, "SAVED_EVERY", 0.0)

    def end(self):
        if len(trained) in (2, 5):  # the second is in the middle of a leg
            trained.append("ended")
            raise KeyboardInterrupt
        one_pass(self)
        trained.append((self.rate, self.epochs))

    monkeypatch.setattr(Training, "_pass", end)
    assert [chosen(tmp_path).interrupted for _ in range(2)] == [True, True]
    found = chosen(tmp_path)
    assert told(found) == told(choice) and found.spent.passes == choice.spent.passes == len(trained) - 2
    assert found.spent.seconds > 0


def test_a_winner_that_cannot_be_tested_does_not_get_the_accuracy_of_another(whole, chosen, tmp_path):
    _, choice = whole
    tested = Trainer._tested

    def fail(self, arm):
        if arm.name == choice.winner:
            raise RuntimeError("the weights are gone")
        return tested(self, arm)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_tested", fail)
        found = chosen(tmp_path)
    assert (found.winner, found.tested, found.accuracy) == (choice.winner, (), None)
    assert "It could not be tested." in found.answer
    assert found.history[-1].gone == {choice.winner: "cannot be tested: RuntimeError: the weights are gone"}
    assert {one.model.id for one in truths(tmp_path)} == {one.name for one in choice.tested[1:] if one.whole}
    for path in (tmp_path / "choices").rglob("states/*"):
        path.unlink()
    assert "the state of its training is gone: delete " in chosen(tmp_path).history[-1].gone[choice.winner]


def test_finalists_that_cannot_be_trained_are_not_chosen_and_tried_again(whole, chosen, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "advance", lambda *_, **__: 1 / 0)
        found = chosen(tmp_path)
    assert found.winner is None and found.answer == "No candidate could be chosen." and not found.interrupted
    assert "cannot be fine-tuned: ZeroDivisionError" in json.dumps([dict(one.gone) for one in found.history])
    assert told(chosen(tmp_path)) == told(whole[1])


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(whole, chosen, tmp_path):
    small = chosen(tmp_path, budget="1 fine-tuning")
    assert small.spent.tunings <= 1.2 and small.winner is not None
    large = chosen(tmp_path)
    assert told(large)[:4] == told(whole[1])[:4]


@pytest.mark.filterwarnings("ignore:'pin_memory'")
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_what_is_saved_of_texts_answers_as_it_was_tested_and_the_script_trains_it(
    folder, tmp_path, monkeypatch, family
):
    """The heads of both fit in width, but that of BERT reads a layer between, and that of GPT-2 has no bias."""
    texts.write_text(tmp_path / family, family, head="ForSequenceClassification", num_labels=3)
    column = {"bert": "label", "gpt2": "labels"}[family]
    reviews, model = tmp_path / "reviews.jsonl", tmp_path / family
    reviews.write_text((folder / "reviews.jsonl").read_text().replace('"label"', f'"{column}"'))
    how = ChooseOptions(changes={**CHANGES, "learning_rates": (3e-3,)}, budget="2 fine-tunings")
    choice = choose(str(reviews), [str(model)], options=OPTIONS, how=how, folder=tmp_path / "home")
    place = choice.save_model(tmp_path / "model")
    assert not json.loads((place / "choice.json").read_text())["whole_classifier"]
    assert answers_right(choice, place) == pytest.approx(choice.tested[0].result.accuracy, abs=0.02)
    monkeypatch.chdir(tmp_path)
    again = {}
    exec((place / "train.py").read_text(), again)
    assert again["trainer"].evaluate()["eval_accuracy"] > 0.7


@pytest.mark.filterwarnings("ignore:'pin_memory'")
def test_what_is_saved_of_pictures_is_a_whole_classifier_and_the_scripts_train_it_again(tmp_path, monkeypatch):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    monkeypatch.chdir(tmp_path)
    changes = {**CHANGES, "learning_rates": (3e-3,), "epochs": 8}
    how = ChooseOptions(changes=changes, budget="2 fine-tunings")
    asked = {"options": RankOptions(SampleOptions(max_samples=240)), "how": how, "folder": tmp_path / "home"}
    choice = choose("example", ["example/resnet-pretrained"], **asked)
    place = choice.save_model("model")
    model, prepare = AutoModelForImageClassification.from_pretrained(place), AutoImageProcessor.from_pretrained(place)
    pictures = [one.convert("RGB") for one in choice.test.examples(range(len(choice.test)))]
    with torch.no_grad():
        answers = model.eval()(**prepare(pictures, return_tensors="pt")).logits.argmax(1).numpy()
    accuracy = choice.tested[0].result.accuracy
    assert np.mean(answers == choice.test.labels) == pytest.approx(accuracy, abs=0.01)
    assert set(model.config.label2id) == set("56789")
    again = {}
    exec((place / "train.py").read_text(), again)
    assert again["trainer"].evaluate()["eval_accuracy"] == pytest.approx(accuracy, abs=0.15)


def test_the_script_repeats_the_very_choice_from_any_folder(folder, tmp_path, monkeypatch):
    """The table has two columns that may be labels, and a name of its own."""
    rows = [json.loads(line) for line in (folder / "reviews.jsonl").read_text().splitlines()]
    table = [{**row, "tone": row["label"], "label": f"{number % 5} of 5"} for number, row in enumerate(rows)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, table)))
    sample = SampleOptions(max_samples=60, label_column="tone", dataset_name="Birds of Wales")
    options = RankOptions(sample, BackboneOptions(pooling="max"))  # which the other scripts do not know
    how = ChooseOptions(changes={**CHANGES, "learning_rates": (3e-3,)}, budget="2 fine-tunings", test_samples=50)
    choice = choose("rows.jsonl", [str(folder / "first")], options=options, how=how, folder=tmp_path / "home")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path / "home"))
    again = {}
    exec(choice.script, again)
    (found,) = again["report"].models.values()
    first, second = found.measured[0], choice.tested[0].result
    assert first.total_parameters == second.total_parameters and first.accuracy > 0.7 and second.accuracy > 0.7
    assert again["report"].test.table["input"].to_pylist() == choice.test.table["input"].to_pylist()


def test_the_command_says_what_it_would_do_and_then_what_it_did(folder, monkeypatch, capsys):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    models = ("reviews.jsonl", "--models", "./first", "./second", "--budget", "1 fine-tuning")
    assert main(["choose", *models, *FLAGS, "--dry-run"]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("Candidates: 2, at most 0 B to download.\n")
    assert "Budget: 1 fine-tuning, at most about " in out
    assert main(["choose", *models, *FLAGS, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    check_printed("choose-plan", plan)
    assert main(["choose", *models[:4], "--budget", "2 days", *FLAGS, "--dry-run", "--json"]) == 0
    assert plan["tuning_seconds"] < json.loads(capsys.readouterr().out)["budget_seconds"] < 3600
    assert main(["choose", *models, *FLAGS, "--save-model", "chosen", "--plot", "race.svg"]) == 0
    out, err = capsys.readouterr()
    assert " at learning rate 0.00" in out and "It took " in out and "of the work" in out
    assert "\nproof" not in err and "60 rows: " in err and "Saved the model to chosen" in err
    assert (folder / "chosen" / "train.py").is_file()
    assert "Drew race.svg" in err and "of the validation rows right" in (folder / "race.svg").read_text()
    assert main(["choose", *models, "--plot", "race.bmp"]) == 2
    assert "race.bmp" in capsys.readouterr().err
    assert main(["choose", *models, "--budget", "soon"]) == 2
    assert "--budget" in capsys.readouterr().err


def test_what_cannot_be_fine_tuned_is_refused_before_any_model(folder):
    with pytest.raises(OptionError, match="expected a probability"):
        ChooseOptions(confidence=1.0)
    with pytest.raises(OptionError, match="layer="):
        choose(str(folder / "reviews.jsonl"), ["./first"], options=RankOptions(backbone=BackboneOptions(layer="all")))


def test_adapters_are_merged_into_what_is_saved(chosen, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed: pip install 'hf-transfer-score[lora]'")
    from safetensors.torch import load_file

    changes = {**CHANGES, "learning_rates": (3e-3,), "lora_rank": 2}
    choice = chosen(tmp_path / "home", method="lora", changes=changes, budget="1 fine-tuning")
    place = choice.save_model(tmp_path / "model")
    assert not list(place.glob("adapter*")) and not [
        key for key in load_file(place / "model.safetensors") if "lora" in key
    ]
    assert answers_right(choice, place) == pytest.approx(choice.tested[0].result.accuracy, abs=0.02)
    told = [one.metric.parameters for one in truths(tmp_path / "home")]
    assert told and {(one["method"], one["lora_rank"]) for one in told} == {("lora", 2)}
    assert "lora_rank=2" in choice.script and compile(choice.script, "train.py", "exec")


def test_who_will_fit_a_probe_chooses_by_that_very_probe(chosen, folder, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    changes = {"device": "cpu", "precision": "float32"}
    choice = chosen(tmp_path / "home", method="probe", changes=changes, within=0.0, confidence=0.999)
    assert choice.rate is None and " at learning rate" not in choice.answer and choice.tested[0].whole
    recipe = default_recipe("text", "probe")
    for one in choice.tested:
        alone = fine_tune(Loads(folder / one.name, "hub_text", "text-classification"), *samples(choice), recipe, 0)
        same = ("accuracy", "validation_accuracy", "penalty", "epochs", "trainable_parameters", "total_parameters")
        for name in same:
            assert getattr(one.result, name) == pytest.approx(getattr(alone, name)), name
    best = max(choice.tested, key=lambda one: one.result.validation_accuracy)
    assert choice.tested[0].result.validation_accuracy == best.result.validation_accuracy
    stored = [one.metric.parameters for one in truths(tmp_path / "home")]
    assert len(stored) == len(choice.tested)
    assert stored[0] == truth_metric(replace(recipe, **changes), 0, choice.test).parameters
    place = choice.save_model(tmp_path / "model")
    saved, before = (load_file(at / "model.safetensors") for at in (place, folder / choice.winner))
    assert all(torch.equal(saved[key], value) for key, value in before.items())
    assert "method='probe'" in choice.script and "epochs" not in choice.script
    monkeypatch.setattr("hf_transfer_score.finetune.fine_tune.fit_probe", lambda *_: pytest.fail("fitted again"))
    assert told(chosen(tmp_path / "home", method="probe", changes=changes, within=0.0, confidence=0.999)) == told(
        choice
    )


def answers_right(choice, place):
    """Return the share of the test rows that a saved body with its separate classifier answers correctly."""
    from safetensors.torch import load_file

    backbone = all_kinds()["hub_text"].load(place, choice.test.task, BackboneOptions())
    head = load_file(place / "classifier.safetensors")
    with torch.no_grad():
        batch = backbone.collate(backbone.encode(choice.test.examples(range(len(choice.test)))))
        answers = backbone.forward(batch).features["last"] @ head["weight"].T + head["bias"]
    return float(np.mean(answers.argmax(1).numpy() == choice.test.labels))


def samples(choice):
    """Return the rows that a choice was trained and tested on."""
    return choice.trained[0].train, choice.test
