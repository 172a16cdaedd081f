import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from hf_transfer_score.backbones import hub_text
from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.backbones.sentence_folders import KIND
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Words, get_task
from tests.backbones import batched
from tests.checkpoints import spoil
from tests.checkpoints.texts import write_sentence_folder, write_text

CLASSIFY, LABEL_WORDS = get_task("text-classification"), get_task("token-classification")
TEXTS = ["a good film", "the quick brown fox jumps over the lazy dog", "Berlin", ""]
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def rows_of(folder, examples=TEXTS, task=CLASSIFY, kind=KIND, **options):
    return batched.rows_of(kind, folder, examples, task, **options)


def states_of(folder, text, length=64):
    """The states of one text in every layer, by hand."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        inputs = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
        return [states[0].numpy() for states in model(**inputs, output_hidden_states=True).hidden_states]


def pooled(states, mode):
    weights = np.arange(1, len(states) + 1)[:, None]
    return {
        "cls": lambda: states[0],
        "lasttoken": lambda: states[-1],
        "max": lambda: states.max(0),
        "mean": lambda: states.mean(0),
        "mean_sqrt_len_tokens": lambda: states.sum(0) / len(states) ** 0.5,
        "weightedmean": lambda: (states * weights).sum(0) / weights.sum(),
    }[mode]()


@pytest.mark.parametrize("new_layout", [False, True])
@pytest.mark.parametrize("modes", [(mode,) for mode in MODES] + [MODES, ("cls", "mean")])
def test_every_pooling_and_their_concatenation(tmp_path, modes, new_layout):
    folder = write_sentence_folder(tmp_path, modes=modes, normalize=False, new_layout=new_layout)
    expected = [np.concatenate([pooled(states_of(folder, text)[-1], mode) for mode in modes]) for text in TEXTS]
    np.testing.assert_allclose(rows_of(folder)["last"], expected, atol=1e-5)


@pytest.mark.parametrize("family", ["roberta", "distilbert", "gpt2", "llama"])
def test_other_transformers_and_one_in_a_folder_of_its_own(tmp_path, family):
    folder = write_sentence_folder(tmp_path, family, modes=("lasttoken",), normalize=False, inside="0_Transformer")
    texts = TEXTS[:3]  # an empty text is no token at all for GPT-2
    if family == "distilbert":
        expected = rows_of(folder / "0_Transformer", texts, kind=hub_text.KIND, pooling="last")["last"]
    else:
        expected = [states_of(folder / "0_Transformer", text)[-1][-1] for text in texts]
    np.testing.assert_allclose(rows_of(folder, texts)["last"], expected, atol=1e-5)


def test_dense_and_normalisation_follow(tmp_path):
    folder = write_sentence_folder(tmp_path, dense=5)
    layer = load_file(folder / "2_Dense" / "model.safetensors")
    rows = np.stack([states_of(folder, text)[-1].mean(0) for text in TEXTS])
    rows = np.tanh(rows @ layer["linear.weight"].numpy().T + layer["linear.bias"].numpy())
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(rows_of(folder)["last"], expected, atol=1e-5)
    assert expected.shape == (4, 5)


def test_other_layers_and_poolings_read_the_transformer_itself(tmp_path):
    folder = write_sentence_folder(tmp_path, modes=("max",), dense=5)
    layers = rows_of(folder, layer="all")
    assert list(layers) == ["0", "1", "2"]
    for number in range(3):
        expected = [states_of(folder, text)[number].max(0) for text in TEXTS]
        np.testing.assert_allclose(layers[str(number)], expected, atol=1e-5)
    expected = [states_of(folder, text)[-1][0] for text in TEXTS]
    np.testing.assert_allclose(rows_of(folder, pooling="cls")["last"], expected, atol=1e-5)


def test_words_come_from_the_transformer_itself(tmp_path):
    folder = write_sentence_folder(tmp_path, dense=5)
    example = Words(["good", "film"], np.array([1]))
    expected = rows_of(folder, [example], LABEL_WORDS, hub_text.KIND)["last"]
    np.testing.assert_array_equal(rows_of(folder, [example], LABEL_WORDS)["last"], expected)


def test_the_folder_says_how_long_texts_are(tmp_path):
    folder = write_sentence_folder(tmp_path, max_seq_length=5, normalize=False)
    expected = [states_of(folder, text, 5)[-1].mean(0) for text in TEXTS]
    np.testing.assert_allclose(rows_of(folder)["last"], expected, atol=1e-5)
    longer = [states_of(folder, text, 9)[-1].mean(0) for text in TEXTS]
    np.testing.assert_allclose(rows_of(folder, max_length=9)["last"], longer, atol=1e-5)
    assert np.abs(np.subtract(longer, expected)).max() > 1e-2


def test_texts_are_lowercased_and_prompted_where_the_folder_says_so(tmp_path):
    plain = write_sentence_folder(tmp_path / "plain", "roberta")
    lower = write_sentence_folder(tmp_path / "lower", "roberta", do_lower_case=True)
    np.testing.assert_array_equal(rows_of(lower, ["A FILM"])["last"], rows_of(plain, ["a film"])["last"])
    assert np.abs(rows_of(plain, ["A FILM"])["last"] - rows_of(plain, ["a film"])["last"]).max() > 1e-2
    prompts = {"prompts": {"query": "find: "}, "default_prompt_name": "query"}
    (lower / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    np.testing.assert_array_equal(rows_of(lower, ["FILM"])["last"], rows_of(plain, ["find: film"])["last"])


@pytest.mark.parametrize("inside", ["", "0_Transformer"])
def test_the_files_it_names_are_all_it_needs(tmp_path, inside):
    folder = write_sentence_folder(tmp_path / "all", dense=5, inside=inside)
    (folder / "README.md").write_text("# words")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_text("")
    repository = Repository.from_folder(folder)
    named = KIND.files(repository, BackboneOptions())
    assert named[0].endswith("model.safetensors")
    assert not {"README.md", "onnx/model.onnx"} & set(named)
    for name in named:
        (tmp_path / "some" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, tmp_path / "some" / name)
    np.testing.assert_array_equal(rows_of(tmp_path / "some")["last"], rows_of(folder)["last"])


def test_it_is_preferred_to_the_transformer_alone(tmp_path):
    repository = Repository.from_folder(write_sentence_folder(tmp_path / "sentences"))
    assert KIND.claims(repository) and hub_text.KIND.claims(repository)
    assert KIND.priority > hub_text.KIND.priority
    assert not KIND.claims(Repository.from_folder(write_text(tmp_path / "text")))


def test_a_cross_encoder_is_left_to_its_transformer(tmp_path):
    folder = write_text(tmp_path, head="ForSequenceClassification", num_labels=3)
    modules = [{"idx": 0, "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    repository = Repository.from_folder(folder)
    assert not KIND.claims(repository) and hub_text.KIND.claims(repository)


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def failure(folder):
    return spoil.failure(lambda: KIND.load(folder, CLASSIFY, BackboneOptions()))


def test_modules_that_are_not_read_are_named(tmp_path):
    folder = write_sentence_folder(tmp_path)
    edit_json(folder / "modules.json", lambda modules: modules[2].update(type="sentence_transformers.models.LSTM"))
    kind, reason = failure(folder)
    assert kind == "unsupported" and "'sentence_transformers.models.LSTM'" in reason and "Pooling" in reason
    with pytest.raises(CheckpointError, match="LSTM"):
        KIND.files(Repository.from_folder(folder), BackboneOptions())
    edit_json(folder / "modules.json", lambda modules: modules[2].update(type="own_code.Normalize"))
    assert "'own_code.Normalize'" in failure(folder)[1]
    edit_json(folder / "modules.json", lambda modules: modules.__delitem__(slice(0, 1)))
    assert failure(folder)[0] == "unsupported"


def test_settings_that_are_not_read_are_named(tmp_path):
    folder = write_sentence_folder(tmp_path, dense=5, new_layout=True)
    spoil.edit_json(folder / "2_Dense" / "config.json", activation_function="os.system")
    reason = "has a Dense module with the activation 'os.system', which is not read here"
    assert failure(folder) == ("unsupported", reason)
    spoil.edit_json(folder / "1_Pooling" / "config.json", pooling_mode="median")
    assert failure(folder) == ("unsupported", "pools by 'median', which is not read here")
    edit_json(folder / "modules.json", lambda modules: modules[1].update(path="../1_Pooling"))
    assert "points out of its folder" in failure(folder)[1]


def test_a_quantised_transformer_within_is_not_read(tmp_path):
    folder = write_sentence_folder(tmp_path, inside="0_Transformer")
    spoil.edit_json(folder / "0_Transformer" / "config.json", quantization_config={"quant_method": "awq"})
    assert failure(folder)[0] == "unsupported" and "quantised weights (awq)" in failure(folder)[1]


def test_what_is_broken_is_corrupt(tmp_path):
    folder = write_sentence_folder(tmp_path, dense=5)
    path = str(folder / "2_Dense" / "model.safetensors")
    save_file({"linear.weight": load_file(path)["linear.weight"]}, path)
    assert failure(folder)[0] == "corrupt"
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"short")
    assert failure(folder)[0] == "corrupt"
    (folder / "1_Pooling" / "config.json").unlink()
    assert failure(folder) == ("corrupt", "has no 1_Pooling/config.json")
    (folder / "modules.json").write_text("[")
    assert failure(folder)[0] == "corrupt"
