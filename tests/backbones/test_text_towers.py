"""Text towers of models of two inputs, compared with the library itself."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from hf_transfer_score.backbones.base import BackboneOptions, kind_of, own_parameters
from hf_transfer_score.backbones.hub_text import KIND
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.tasks import Words, get_task
from tests.backbones.batched import rows_of
from tests.checkpoints import spoil, texts
from tests.finetune.made import QUICK, Loads, reviews

CLASSIFY, LABEL_WORDS = get_task("text-classification"), get_task("token-classification")
TEXTS = ["a good film", "the quick brown fox jumps over the lazy dog, and over the town", "", "Berlin", "ten " * 90]
MADE = {
    "siglip": {},
    "siglip-alone": {"alone": True},
    "siglip-left": {"side": "left"},
    "siglip2": {"second": True},
    "siglip2-alone": {"second": True, "alone": True},
    "clap": {},
    "clap-alone": {"alone": True},
}
CLASSES = {"siglip": "SiglipTextModel", "siglip2": "Siglip2TextModel", "clap": "ClapTextModelWithProjection"}
WHOLE = {"siglip": "SiglipModel", "siglip2": "Siglip2Model", "clap": "ClapModel"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, write = tmp_path_factory.mktemp("towers"), {"s": texts.write_siglip, "c": texts.write_clap}
    return {name: write[name[0]](root / name, **how) for name, how in MADE.items()}


def rows(folder, examples=TEXTS, task=CLASSIFY, step=0, **options):
    return rows_of(KIND, folder, examples, task, step, **options)


def inputs_of(folder, name):
    """Return texts tokenised as in each family's own documentation."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    length = 24 if name.startswith("siglip") else 64
    how = "max_length" if name.startswith("siglip") else True
    inputs = dict(tokenizer(TEXTS, padding=how, truncation=True, max_length=length, return_tensors="pt"))
    if name.startswith("siglip"):
        inputs = {"input_ids": inputs["input_ids"]}
        assert inputs["input_ids"].shape == (len(TEXTS), 24)
    return inputs


def first_of(folder, name, numbers):
    """Return the position of the first token of each text."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if tokenizer.padding_side == "right":
        return torch.zeros(len(numbers), dtype=torch.long)
    lengths = [len(tokenizer(text, truncation=True, max_length=24)["input_ids"]) for text in TEXTS]
    return numbers.shape[1] - torch.tensor(lengths)


def tower(folder, name):
    model = getattr(transformers, CLASSES[name.partition("-")[0]]).from_pretrained(folder).eval()
    return model.text_model if name.startswith("clap") else model


@pytest.mark.parametrize("name", MADE)
def test_features_are_what_the_tower_pools(folders, name):
    inputs = inputs_of(folders[name], name)
    with torch.inference_mode():
        expected = tower(folders[name], name)(**inputs, output_hidden_states=True)
    found = rows(folders[name])
    np.testing.assert_allclose(found["last"], expected.pooler_output, atol=1e-5)
    assert np.abs(found["last"][0] - found["last"][1]).max() > 1e-2, "texts differ enough for this to mean something"
    assert list(found) == ["last"]
    every = rows(folders[name], layer="all", pooling="cls")
    assert list(every) == ["0", "1", "2"]
    first = first_of(folders[name], name, inputs["input_ids"])
    each = torch.arange(len(TEXTS))
    np.testing.assert_allclose(every["1"], expected.hidden_states[1][each, first], atol=1e-5)
    np.testing.assert_allclose(every["2"], expected.last_hidden_state[each, first], atol=1e-5)


@pytest.mark.parametrize("name", ["siglip", "siglip2", "clap"])
def test_with_the_projection_they_are_the_text_features_of_the_whole_model(folders, name):
    model = getattr(transformers, WHOLE[name]).from_pretrained(folders[name]).eval()
    inputs = inputs_of(folders[name], name)
    found = torch.from_numpy(rows(folders[name])["last"])
    with torch.inference_mode():
        expected = model.get_text_features(**inputs)
        expected = getattr(expected, "pooler_output", expected)
        if name == "clap":
            found = torch.nn.functional.normalize(model.text_projection(found), dim=-1)
            expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MADE)
def test_a_text_has_the_same_features_alone_and_among_others(folders, name):
    words = [Words(text.split(), np.arange(len(text.split()))) for text in TEXTS if text]
    for task, examples in ((CLASSIFY, TEXTS), (LABEL_WORDS, words)):
        together, alone = (rows(folders[name], examples, task, step)["last"] for step in (0, 1))
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_siglip_reads_padding_as_it_was_trained_to(folders):
    """Without filling, the last position would be the end of the text, which is another feature."""
    filled = rows(folders["siglip"])["last"]
    with torch.inference_mode():
        model = tower(folders["siglip"], "siglip")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folders["siglip"])
        bare = model(input_ids=torch.tensor([tokenizer(TEXTS[0])["input_ids"]])).pooler_output[0]
    assert np.abs(filled[0] - bare.numpy()).max() > 1e-2
    backbone = KIND.load(folders["siglip"], CLASSIFY, BackboneOptions())
    assert backbone.details["pooling"] == "last position, through the tower's head"
    last = rows(folders["siglip"], pooling="last")["last"]
    assert last.shape == (len(TEXTS), texts.WIDTH), "of the last token that is real, without the head"


@pytest.mark.parametrize("name", ["siglip", "clap"])
def test_texts_take_the_text_tower_by_the_files_of_the_repository(folders, name):
    repository = Repository.from_folder(folders[name])
    assert kind_of(repository, CLASSIFY) is KIND
    alone = KIND.load(folders[f"{name}-alone"], CLASSIFY, BackboneOptions())
    whole = KIND.load(folders[name], CLASSIFY, BackboneOptions())
    assert own_parameters(whole) == own_parameters(alone), "and nothing of the other half"


@pytest.mark.parametrize("name", ["siglip", "clap"])
@pytest.mark.parametrize("method", ["probe", "full", "layer"])
def test_they_are_fine_tuned(folders, name, method):
    load = Loads(folders[name], "hub_text", "text-classification")
    recipe = Recipe(method, layer=0, **{**QUICK, "epochs": 2})
    found = fine_tune(load, reviews(24, 1), reviews(24, 2), recipe, 0)
    head = 2 * ((12 if name == "siglip" else 16) + 1)
    body = own_parameters(load.loaded[0])
    assert found.total_parameters - head <= body
    if method == "full":
        assert found.trainable_parameters == found.total_parameters > body * 0.9


def test_a_tower_without_some_weight_is_refused(folders, tmp_path):
    folder = Path(shutil.copytree(folders["siglip"], tmp_path / "siglip"))
    spoil.drop(folder, "text_model.head.weight")
    with pytest.raises(CheckpointError, match="lacks 1 of .*head.weight"):
        KIND.load(folder, CLASSIFY, BackboneOptions())
