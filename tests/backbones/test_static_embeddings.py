"""Static embeddings: numbers of model2vec itself, means by hand, and folders that cannot be read."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from hf_transfer_score.backbones.base import BackboneOptions, kind_of, own_parameters
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.backbones.static_embeddings import KIND
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.tasks import Words, get_task
from tests.backbones.batched import rows_of
from tests.checkpoints.statics import WIDTH, table, write_model2vec, write_static
from tests.finetune.made import QUICK, Loads, reviews

CLASSIFY, LABEL_WORDS = get_task("text-classification"), get_task("token-classification")
TEXTS = ["a good film", "the quick brown fox jumps over the lazy dog!", "", "名 Berlin 名", "ten " * 90]
OF_MODEL2VEC = [
    (
        {},
        [
            [0.21181, 0.25016, 0.90212],
            [0.19498, -0.52964, -0.06239],
            [0.0, 0.0, 0.0],
            [0.28728, -0.72896, 0.03223],
            [-0.28689, -0.4503, -0.32291],
        ],
    ),
    (
        {"normalize": False, "quantised": True},
        [
            [-0.22374, 0.05211, 0.08497],
            [0.25918, 0.1778, -0.22231],
            [0.0, 0.0, 0.0],
            [0.04941, -0.09418, 0.6491],
            [1.63956, 0.96952, 1.8662],
        ],
    ),
    (
        {"normalize": False, "max_length": 5},
        [
            [0.18345, 0.21665, 0.78131],
            [0.04726, -0.3278, -0.2039],
            [0.0, 0.0, 0.0],
            [0.23535, -0.17195, 0.08616],
            [-0.1209, -0.18105, -0.17007],
        ],
    ),
]
"""The first columns of `StaticModel.from_pretrained(folder).encode(TEXTS)` of model2vec 0.10.0."""


def rows(folder, examples=TEXTS, task=CLASSIFY, step=0, **options):
    return rows_of(KIND, folder, examples, task, step, **options)


@pytest.mark.parametrize(("settings", "expected"), OF_MODEL2VEC)
def test_features_are_those_of_model2vec(tmp_path, settings, expected):
    folder = write_model2vec(tmp_path, **settings)
    found = rows(folder)["last"]
    assert found.shape == (len(TEXTS), WIDTH)
    np.testing.assert_allclose(found[:, :3], expected, atol=2e-5)
    np.testing.assert_allclose(rows(folder, step=1)["last"], found, atol=1e-6)


@pytest.mark.parametrize("inside", ["0_StaticEmbedding", ""])
@pytest.mark.parametrize("behind", [(), ("Normalize",)])
def test_a_folder_of_sentence_transformers_is_the_mean_of_all_tokens(tmp_path, inside, behind):
    folder = write_static(tmp_path, inside=inside, behind=behind)
    tokenizer = Tokenizer.from_file(str(folder / inside / "tokenizer.json"))
    vectors, expected = table(tokenizer.get_vocab_size()), []
    for text in TEXTS:
        numbers = tokenizer.encode(text, add_special_tokens=False).ids[:512]
        row = vectors[numbers].mean(0) if numbers else np.zeros(WIDTH)
        expected.append(row / max(np.linalg.norm(row), 1e-12) if behind else row)
    np.testing.assert_allclose(rows(folder)["last"], expected, atol=1e-5)
    assert rows(folder, layer="all").keys() == {"0"} and rows(folder, layer="mean").keys() == {"mean"}


def test_pairs_are_joined_and_words_are_read_one_by_one(tmp_path):
    folder = write_model2vec(tmp_path, normalize=False)
    pair = rows(folder, [("a good", "film")])["last"]
    np.testing.assert_allclose(pair, rows(folder, ["a good\nfilm"])["last"], atol=1e-6)
    words = ["quick", "brown", "fox", "名"]
    found = rows(folder, [Words(words, np.array([2, 0])), Words(words, np.array([3]))], LABEL_WORDS, subword="mean")
    np.testing.assert_allclose(found["last"], rows(folder, ["fox", "quick", ""])["last"], atol=1e-6)
    first = rows(folder, [Words(words, np.array([0]))], LABEL_WORDS)["last"]
    assert np.abs(first - rows(folder, ["quick"])["last"]).max() > 1e-2, "its first token alone"


@pytest.mark.parametrize("write", [write_model2vec, write_static])
def test_repositories_are_told_by_their_files(tmp_path, write):
    repository = Repository.from_folder(write(tmp_path))
    assert kind_of(repository, CLASSIFY) is KIND
    named = KIND.files(repository, BackboneOptions())
    assert named[0].endswith("model.safetensors") and any(name.endswith("tokenizer.json") for name in named)
    assert "modules.json" in named


@pytest.mark.parametrize("method", ["probe", "full"])
def test_they_are_probed_and_trained(tmp_path, method):
    load = Loads(write_model2vec(tmp_path), "static_embeddings", "text-classification")
    found = fine_tune(load, reviews(60, 1), reviews(60, 2), Recipe(method, **{**QUICK, "learning_rates": (3e-2,)}), 0)
    head, body = 2 * (WIDTH + 1), own_parameters(load.loaded[0])
    assert found.total_parameters == head + body
    assert found.trainable_parameters == (head if method == "probe" else head + body)
    if method == "full":
        assert found.train_accuracy > 0.6, "vectors are learned"


def test_what_has_no_blocks_cannot_train_one(tmp_path):
    load = Loads(write_model2vec(tmp_path), "static_embeddings", "text-classification")
    with pytest.raises(CheckpointError, match="in which no sequence of blocks was found; use another method"):
        fine_tune(load, reviews(20, 1), reviews(20, 2), Recipe("layer", **QUICK), 0)


def test_what_cannot_be_read_says_why(tmp_path):
    def failing(match, kind, folder=None, **options):
        with pytest.raises(CheckpointError, match=match) as caught:
            KIND.load(folder or whole, CLASSIFY, BackboneOptions(**options))
        assert caught.value.kind == kind

    whole = write_model2vec(tmp_path / "whole")
    failing("pooling='cls' has no meaning", "unsupported", pooling="cls")
    failing("has only the layer 0", "unsupported", layer=3)
    dense = write_static(tmp_path / "dense", behind=("Dense",))
    failing("after a StaticEmbedding only Normalize and Dropout are read", "unsupported", dense)
    away = write_static(tmp_path / "away")
    modules = json.loads((away / "modules.json").read_text())
    (away / "modules.json").write_text(json.dumps([modules[0] | {"path": "../whole"}]))
    failing("points out of its folder", "corrupt", away)
    path = whole / "model.safetensors"
    vectors = load_file(str(path))["embeddings"]
    save_file({"embeddings": vectors[:5]}, str(path))
    failing("has a tokenizer of .* tokens and vectors of 5", "corrupt")
    save_file({"embeddings": vectors[:5], "mapping": np.full(len(vectors), 5)}, str(path))
    failing("do not fit its table of vectors", "corrupt")
    save_file({"other": vectors}, str(path))
    failing("has no table of vectors", "corrupt")
    save_file({"embeddings": vectors}, str(path))
    (whole / "tokenizer.json").write_text("{}")
    failing("has no tokenizer that can be loaded", "no_preprocessor")
    (whole / "tokenizer.json").unlink()
    failing("has no tokenizer.json", "no_preprocessor")
