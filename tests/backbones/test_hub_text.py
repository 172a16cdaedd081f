import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.hub_text import KIND
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Words, get_task
from tests.backbones.batched import run
from tests.checkpoints.spoil import drop
from tests.checkpoints.texts import FAMILIES, write_clip, write_text

TEXTS = ["a good film", "the quick brown fox jumps over the lazy dog, and over the town", "", "Berlin", "ten " * 90]
CLASSIFY, LABEL_WORDS = get_task("text-classification"), get_task("token-classification")
ENCODER_DECODERS = ("t5", "bart")
DEFAULTS = {"gpt2": "last", "llama": "last", "clip": "last"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("texts")
    made = {family: write_text(root / family, family) for family in FAMILIES}
    return made | {"clip": write_clip(root / "clip")}


def features_of(folder, examples, task=CLASSIFY, **options):
    return run(KIND.load(folder, task, BackboneOptions(**options)), examples)


def by_hand(folder, family):
    """Return a function from tokens to the states of all layers, for one text without padding."""
    loader = transformers.CLIPTextModel if family == "clip" else transformers.AutoModel
    model = loader.from_pretrained(folder).eval()
    model = model.get_encoder() if family in ENCODER_DECODERS else model

    def states(inputs):
        inputs = {name: torch.tensor([value]) for name, value in inputs.items()}
        if family == "distilbert":
            inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            output = model(**inputs, output_hidden_states=True)
        return [*(one[0].numpy() for one in output.hidden_states[:-1]), output.last_hidden_state[0].numpy()]

    return states


def tokens_of(folder, *texts, length=64):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = dict(tokenizer(*texts, truncation=True, max_length=length))
    return inputs if inputs["input_ids"] else {"input_ids": [tokenizer.eos_token_id]}


POOLED = {
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
    "mean": lambda states: states.mean(0),
    "max": lambda states: states.max(0),
}


@pytest.mark.parametrize("family", [*FAMILIES, "clip"])
def test_features_are_those_of_one_text_at_a_time(folders, family):
    folder, hand = folders[family], by_hand(folders[family], family)
    layers = [hand(tokens_of(folder, text)) for text in TEXTS]
    for how, function in {"auto": POOLED[DEFAULTS.get(family, "mean")], **POOLED}.items():
        rows, probabilities = features_of(folder, TEXTS, max_length=64, pooling=how)
        expected = np.stack([function(states[-1]) for states in layers])
        np.testing.assert_allclose(rows["last"], expected, atol=1e-5)
        assert list(rows) == ["last"]
        assert probabilities is None
    assert np.abs(expected[0] - expected[1]).max() > 1e-2  # texts differ enough for this to mean something
    rows, _ = features_of(folder, TEXTS, max_length=64, layer="all", pooling="mean")
    assert list(rows) == ["0", "1", "2"]
    for number in range(3):
        np.testing.assert_allclose(rows[str(number)], [states[number].mean(0) for states in layers], atol=1e-5)
    rows, _ = features_of(folder, TEXTS, max_length=64, layer="mean", pooling="max")
    np.testing.assert_allclose(rows["mean"], [np.mean(states, 0).max(0) for states in layers], atol=1e-5)
    rows, _ = features_of(folder, TEXTS, max_length=64, layer=1, pooling="last")
    np.testing.assert_allclose(rows["1"], [states[1][-1] for states in layers], atol=1e-5)


@pytest.mark.parametrize("family", [*FAMILIES, "clip"])
def test_a_text_has_the_same_features_alone_and_among_others(folders, family):
    for task, examples in ((CLASSIFY, TEXTS), (LABEL_WORDS, words_of(TEXTS))):
        backbone = KIND.load(folders[family], task, BackboneOptions(max_length=40))
        together, alone = run(backbone, examples)[0]["last"], run(backbone, examples, 1)[0]["last"]
        np.testing.assert_allclose(together, alone, atol=1e-5)


def words_of(texts):
    return [Words(text.split(), np.arange(len(text.split()))) for text in texts]


def test_only_convolutions_over_tokens_need_equal_lengths_and_would_leak_without(folders):
    for family in FAMILIES:
        backbone = KIND.load(folders[family], CLASSIFY, BackboneOptions(max_length=40))
        assert backbone.equal_lengths == (family == "convbert")
    backbone = KIND.load(folders["convbert"], CLASSIFY, BackboneOptions(max_length=40))
    alone = run(backbone, TEXTS, 1)[0]["last"]
    backbone.equal_lengths = False
    assert np.abs(run(backbone, TEXTS)[0]["last"] - alone).max() > 1e-3


@pytest.mark.parametrize("family", ["bert", "roberta", "t5", "bart"])
def test_pairs_are_read_as_the_tokenizer_reads_pairs(folders, family):
    folder, pair = folders[family], ("a good film", "that is bad")
    rows, _ = features_of(folder, [pair, ("a", "b")])
    expected = by_hand(folder, family)(tokens_of(folder, *pair))[-1].mean(0)
    np.testing.assert_allclose(rows["last"][0], expected, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_decoders_read_pairs_with_a_new_line_between(folders, family):
    folder = folders[family]
    rows, _ = features_of(folder, [("a good film", "that is bad")])
    expected = by_hand(folder, family)(tokens_of(folder, "a good film\nthat is bad"))[-1][-1]
    np.testing.assert_allclose(rows["last"][0], expected, atol=1e-5)


def test_an_empty_text_without_special_tokens_is_read_as_the_end_of_texts(folders):
    folder = folders["gpt2"]
    rows, _ = features_of(folder, ["", ("", "")])
    np.testing.assert_allclose(rows["last"][0], by_hand(folder, "gpt2")({"input_ids": [0]})[-1][-1], atol=1e-5)
    assert np.isfinite(rows["last"]).all()


def test_max_length_is_bounded_by_positions_and_by_512(folders, tmp_path):
    def length(folder, **options):
        return KIND.load(folder, CLASSIFY, BackboneOptions(**options)).details["max_length"]

    assert [length(folders[family]) for family in ("bert", "roberta", "gpt2", "bart", "t5")] == [64, 64, 64, 64, 512]
    assert [length(folders["bert"], max_length=asked) for asked in (20, 1000)] == [20, 64]
    assert length(folders["t5"], max_length=600) == 600
    assert length(write_text(tmp_path / "long", max_position_embeddings=1024)) == 512
    rows, _ = features_of(folders["roberta"], ["ten " * 500])  # one position too many would raise
    assert np.isfinite(rows["last"]).all()


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "bart"])
def test_heads_give_their_probabilities_in_the_same_pass(tmp_path, family):
    folder = write_text(tmp_path, family, head="ForSequenceClassification", num_labels=3, pad_token_id=1)
    rows, found = features_of(folder, TEXTS, max_length=30)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for row, text in enumerate(TEXTS):
        inputs = {name: torch.tensor([value]) for name, value in tokens_of(folder, text, length=30).items()}
        with torch.inference_mode():
            expected = model(**inputs).logits[0].softmax(-1).numpy()
        np.testing.assert_allclose(found[row], expected, atol=1e-5)
    states = by_hand(folder, family)(tokens_of(folder, TEXTS[0]))[-1]
    default = {"bert": "cls", "roberta": "cls", "bart": "mean"}.get(family, "last")
    np.testing.assert_allclose(rows["last"][0], POOLED[default](states), atol=1e-5)
    assert found.shape == (len(TEXTS), 3)
    assert features_of(folder, TEXTS[:1], layer="all")[0].keys() == {"0", "1", "2"}


@pytest.mark.parametrize(
    "settings", [{"problem_type": "multi_label_classification", "num_labels": 3}, {"num_labels": 1}]
)
def test_heads_that_give_no_distribution_are_left_out(tmp_path, settings):
    folder = write_text(tmp_path, head="ForSequenceClassification", **settings)
    assert KIND.load(folder, CLASSIFY, BackboneOptions()).source_classes == 0
    assert features_of(folder, TEXTS)[1] is None


def test_a_head_whose_weights_are_missing_is_left_out(tmp_path):
    folder = write_text(tmp_path, head="ForSequenceClassification", num_labels=3)
    before, _ = features_of(folder, TEXTS, pooling="mean")
    drop(folder, "classifier.")
    rows, probabilities = features_of(folder, TEXTS)
    assert probabilities is None
    np.testing.assert_array_equal(rows["last"], before["last"])


WORDS = Words(["Berlin", "and", "Paris", "are", "towns"], np.array([0, 2, 4]))


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5"])
@pytest.mark.parametrize("subword", ["first", "mean"])
def test_words_are_read_from_their_subwords(folders, family, subword):
    folder = folders[family]
    rows, _ = features_of(folder, [WORDS, Words(["a"], np.array([0]))], LABEL_WORDS, subword=subword)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    space = " " if family in ("roberta", "gpt2") else ""  # bytes carry the space before a word
    pieces = [
        tokenizer(space * (at > 0) + word, add_special_tokens=False)["input_ids"] for at, word in enumerate(WORDS.words)
    ]
    whole = tokens_of(folder, " ".join(WORDS.words))
    before = 0 if family in ("gpt2", "t5") else 1
    assert whole["input_ids"][before : before + sum(map(len, pieces))] == [one for piece in pieces for one in piece]
    states = by_hand(folder, family)(whole)[-1][before:]
    for row, position in enumerate(WORDS.positions):
        start, stop = sum(map(len, pieces[:position])), sum(map(len, pieces[: position + 1]))
        expected = states[start] if subword == "first" else states[start:stop].mean(0)
        assert stop - start > 1
        np.testing.assert_allclose(rows["last"][row], expected, atol=1e-5)
    assert rows["last"].shape == (4, 16)


def test_every_word_of_a_long_text_has_a_row_from_a_window_around_it(folders):
    folder, backbone = folders["bert"], KIND.load(folders["bert"], LABEL_WORDS, BackboneOptions(max_length=12))
    letters = list("abcdefghijklmnopqrstuvwxyz")
    rows = run(backbone, [Words(letters, np.arange(26))])[0]["last"]
    assert rows.shape == (26, 16)
    tokenizer, hand = transformers.AutoTokenizer.from_pretrained(folder), by_hand(folder, "bert")
    windows = [(0, 10), (8, 18), (16, 26)]  # ten words and two special tokens; a quarter of the ten is shared
    read_from = [0] * 9 + [1] * 8 + [2] * 9  # shared words belong to the window where they are farther from its cut
    for position, window in enumerate(read_from):
        start, stop = windows[window]
        states = hand(dict(tokenizer(letters[start:stop], is_split_into_words=True)))[-1]
        np.testing.assert_allclose(rows[position], states[1 + position - start], atol=1e-5)
    some = run(backbone, [Words(letters, np.array([3, 25]))])[0]["last"]
    np.testing.assert_allclose(some, rows[[3, 25]], atol=1e-5)


def test_words_that_the_tokenizer_drops_are_read_as_unknown(folders):
    for family, unknown in (("bert", "日"), ("gpt2", None)):
        silent = Words(["a", "\x00" if unknown else "", "film", ""], np.arange(4))
        rows, _ = features_of(folders[family], [silent], LABEL_WORDS)
        assert np.isfinite(rows["last"]).all() and rows["last"].shape == (4, 16)
        if unknown:
            same, _ = features_of(folders[family], [Words(["a", unknown, "film", unknown], np.arange(4))], LABEL_WORDS)
            np.testing.assert_allclose(rows["last"], same["last"], atol=1e-6)


def test_words_longer_than_a_window_and_examples_without_labelled_words(folders):
    examples = [Words(["x" * 300, "film"], np.array([0, 1])), Words([], np.array([], dtype=int)), WORDS]
    rows, _ = features_of(folders["bert"], examples, LABEL_WORDS, subword="mean")
    assert rows["last"].shape == (5, 16) and np.isfinite(rows["last"]).all()
    alone, _ = features_of(folders["bert"], [WORDS], LABEL_WORDS, subword="mean")
    np.testing.assert_allclose(rows["last"][2:], alone["last"], atol=1e-5)
    nothing, _ = features_of(folders["bert"], [examples[1]], LABEL_WORDS)
    assert nothing["last"].shape == (0, 16)


def test_heads_for_tokens_give_probabilities_of_words(tmp_path):
    folder = write_text(tmp_path, head="ForTokenClassification", num_labels=3)
    _, found = features_of(folder, [WORDS, WORDS], LABEL_WORDS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(WORDS.words, is_split_into_words=True, return_tensors="pt")
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(**encoded).logits[0].softmax(-1).numpy()
    places = [encoded.word_ids().index(one) for one in WORDS.positions]
    np.testing.assert_allclose(found, np.tile(expected[places], (2, 1)), atol=1e-5)
    assert features_of(folder, TEXTS)[1] is None  # a head for tokens says nothing about texts


def test_tokenizers_without_a_fast_form_are_read_word_by_word(tmp_path):
    folder = write_text(tmp_path, "t5", vocab_size=384)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    transformers.ByT5Tokenizer().save_pretrained(folder)
    rows, _ = features_of(folder, ["abc", ("a", "bc"), ""])
    hand = by_hand(folder, "t5")
    expected = [hand({"input_ids": one})[-1].mean(0) for one in ([100, 101, 102, 1], [100, 1, 101, 102, 1], [1])]
    np.testing.assert_allclose(rows["last"], expected, atol=1e-5)
    rows, _ = features_of(folder, [Words(["ab", "c"], np.array([0, 1]))], LABEL_WORDS)
    np.testing.assert_allclose(rows["last"], hand({"input_ids": [100, 101, 102, 1]})[-1][[0, 2]], atol=1e-5)


def test_threads_may_encode_at_the_same_time(folders):
    backbone = KIND.load(folders["bert"], CLASSIFY, BackboneOptions(max_length=10))
    expected = [one.sequences[0].numbers.tolist() for one in backbone.encode(TEXTS * 50)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: backbone.encode(TEXTS * 50), range(4)))
    for items in found:
        assert [one.sequences[0].numbers.tolist() for one in items] == expected


def test_items_are_compact_and_batches_as_wide_as_their_longest(folders):
    backbone = KIND.load(folders["bert"], CLASSIFY, BackboneOptions())
    items = backbone.encode(["a", "a good film"])
    assert items[0].sequences[0].numbers.dtype == np.int32
    assert backbone.collate(items)["numbers"].shape[1] == backbone.length(items[1])
    assert backbone.length(items[0]) == 3


def test_missing_weights_are_corrupt_and_a_missing_pooler_is_not(folders, tmp_path):
    folder = write_text(tmp_path / "bert")
    drop(folder, "pooler.")
    expected, _ = features_of(folders["bert"], TEXTS)
    np.testing.assert_array_equal(features_of(folder, TEXTS)[0]["last"], expected["last"])
    drop(folder, "encoder.layer.1.output.dense.weight")
    with pytest.raises(CheckpointError, match=r"lacks 1 of \d+ weights: encoder.layer.1.output.dense.weight") as caught:
        KIND.load(folder, CLASSIFY, BackboneOptions())
    assert caught.value.kind == "corrupt"


def test_claims_and_files(folders, tmp_path):
    for family, folder in folders.items():
        repository = Repository.from_folder(folder)
        assert KIND.claims(repository), family
        named = KIND.files(repository, BackboneOptions())
        assert named[0] == "model.safetensors"
        assert {"config.json", "tokenizer.json", "tokenizer_config.json"} <= set(named)
    sizes = {"config.json": 1, "model.safetensors": 1}
    others = [{"model_type": name} for name in ("vit", "wav2vec2", "whisper")]
    for config in (*others, {"architecture": "resnet18"}, {}):
        assert not KIND.claims(Repository("x", sizes, {"config.json": config} if config else {}))


def test_an_encoder_that_was_saved_alone_says_what_the_whole_says(folders, tmp_path):
    shutil.copytree(folders["t5"], tmp_path / "alone")
    (tmp_path / "alone" / "model.safetensors").unlink()
    transformers.T5EncoderModel.from_pretrained(folders["t5"]).save_pretrained(tmp_path / "alone")
    config = json.loads((tmp_path / "alone" / "config.json").read_text())
    assert config["architectures"] == ["T5EncoderModel"]
    whole, alone = (features_of(one, TEXTS)[0]["last"] for one in (folders["t5"], tmp_path / "alone"))
    np.testing.assert_array_equal(whole, alone)
