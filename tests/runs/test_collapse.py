"""Collapse on held-out rows comes into the trainer's logs, and changes nothing of the training."""

import logging

import numpy as np
import pytest
import torch
import transformers
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
)

import hf_transfer_score as package  # its callback takes seconds to import, as Trainer does: only where they are used
from hf_transfer_score import OptionError, score_features
from tests.checkpoints.texts import wordpiece_tokenizer, write_text

TOPICS = ("fox", "film", "town")


def rows(count: int, seed: int, tokenizer) -> Dataset:
    """Return texts of three topics, each with a few words that say nothing."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=count)
    texts = [f"the {TOPICS[label]} is " + "good and " * int(generator.integers(4)) for label in labels]
    return Dataset.from_dict({"text": texts, "label": labels, **tokenizer(texts)})


def trainer_of(folder, tokenizer) -> "transformers.Trainer":
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), num_labels=3, **shape))
    told = {"max_steps": 24, "learning_rate": 3e-3, "logging_steps": 8, "report_to": "none", "use_cpu": True}
    told |= {"per_device_train_batch_size": 16, "save_strategy": "no", "disable_tqdm": True}
    arguments = transformers.TrainingArguments(folder, **told)
    trained = rows(96, 0, tokenizer)
    return transformers.Trainer(
        model, arguments, DataCollatorWithPadding(tokenizer), trained, processing_class=tokenizer
    )


@pytest.fixture(scope="module")
def tokenizer():
    return wordpiece_tokenizer()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tokenizer):
    """The same training without and with the callback."""
    plain, watched = (trainer_of(tmp_path_factory.mktemp("run"), tokenizer) for _ in range(2))
    callback = package.CollapseCallback(watched, rows(200, 1, tokenizer), every=10, most_rows=60)
    watched.add_callback(callback)
    for one in (plain, watched):
        transformers.set_seed(0)
        one.train()
    return plain, watched, callback


def looks(trainer: "transformers.Trainer") -> list[dict[str, float]]:
    return [one for one in trainer.state.log_history if "collapse_nc1" in one]


def test_it_looks_at_the_start_now_and_then_and_at_the_end(runs):
    found = looks(runs[1])
    assert [one["step"] for one in found] == [0, 10, 20, 24]
    names = {f"collapse_{name}" for name in ("nc1", "nc1_layer_0", "nc1_layer_1", "nc1_layer_2")}
    names |= {f"collapse_face_{name}" for name in ("variance_collapse", "class_fairness")}
    assert set(found[0]) - {"step", "epoch"} == names | {f"collapse_ncti_{name}" for name in ("seli", "ncc", "vc")}


def test_of_a_decoder_the_last_token_of_each_text_counts(tmp_path):
    folder = write_text(tmp_path / "gpt2", "gpt2", head="ForSequenceClassification", num_labels=3)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    arguments = transformers.TrainingArguments(tmp_path / "out", report_to="none", use_cpu=True)
    held_out = rows(40, 1, tokenizer)
    trainer = transformers.Trainer(model, arguments, DataCollatorWithPadding(tokenizer), processing_class=tokenizer)
    told = package.CollapseCallback(trainer, held_out).measured()
    with torch.no_grad():
        alone = [
            model.transformer(torch.tensor([ids])).last_hidden_state[0, -1].numpy() for ids in held_out["input_ids"]
        ]
    expected = score_features(np.array(alone), np.array(held_out["label"]), metrics=["nc1"])["nc1"].terms["nc1"]
    assert told["collapse_nc1"] == pytest.approx(expected, rel=1e-3)


def test_classes_collapse_while_they_are_learned(runs):
    first, *_, last = looks(runs[1])
    assert last["collapse_nc1"] < first["collapse_nc1"] / 2
    assert last["collapse_ncti_ncc"] > first["collapse_ncti_ncc"]


def test_training_takes_the_same_course(runs):
    plain, watched, _ = runs
    losses = [[one["loss"] for one in each.state.log_history if "loss" in one] for each in (plain, watched)]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    for mine, theirs in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_numbers_are_those_of_what_the_classifier_reads(runs, tokenizer):
    _, watched, callback = runs
    model, read = watched.model.eval(), []
    for row in callback.rows:
        ids = {name: torch.tensor([row[name]]) for name in ("input_ids", "token_type_ids", "attention_mask")}
        with torch.no_grad():
            read.append(model.bert(**ids).pooler_output[0].numpy())
    terms = score_features(np.array(read), np.array(callback.rows["label"]), metrics=["nc1"])["nc1"].terms
    assert callback.measured()["collapse_nc1"] == pytest.approx(terms["nc1"], rel=1e-4)


def test_rows_without_labels_are_refused(runs, tokenizer):
    _, watched, _ = runs
    with pytest.raises(OptionError, match="have no labels or label"):
        package.CollapseCallback(watched, rows(20, 2, tokenizer).remove_columns("label")).measured()
    with pytest.raises(OptionError, match="every=0"):
        package.CollapseCallback(watched, rows(20, 2, tokenizer), every=0)


def test_a_training_that_diverges_goes_on(tmp_path, tokenizer, caplog):
    trainer, logger = trainer_of(tmp_path, tokenizer), logging.getLogger("hf_transfer_score")
    trainer.model.bert.embeddings.word_embeddings.weight.data.fill_(float("nan"))
    trainer.add_callback(package.CollapseCallback(trainer, rows(20, 1, tokenizer)))
    trainer.args.max_steps = 1
    logger.addHandler(caplog.handler)
    trainer.train()
    logger.removeHandler(caplog.handler)
    assert trainer.state.global_step == 1 and not looks(trainer)
    assert "The collapse at step 0 cannot be measured: Features hold" in caplog.text
    with pytest.raises(OptionError, match="There are 1 held-out rows: expected at least two"):
        package.CollapseCallback(trainer, rows(1, 1, tokenizer))
