"""Text checkpoints that cannot be read say why, and code and pickles run only where they are allowed."""

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.hub_text import KIND
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from tests.backbones.test_hub_text import CLASSIFY, TEXTS, features_of, tokens_of
from tests.checkpoints import spoil
from tests.checkpoints.texts import write_text


def bert(tmp_path):
    return write_text(tmp_path / "bert")


def failure(folder):
    """Return the kind and reason of the failure of files(), or else of load()."""
    options = BackboneOptions()
    return spoil.failure(
        lambda: KIND.files(Repository.from_folder(folder), options), lambda: KIND.load(folder, CLASSIFY, options)
    )


def edit_config(folder, **changes):
    return spoil.edit_json(folder / "config.json", **changes)


def test_checkpoints_that_cannot_be_read_say_why(tmp_path):
    kind, reason = failure(edit_config(write_text(tmp_path / "a"), model_type="bert9"))
    assert kind == "unsupported" and "'bert9'" in reason and "pip install --upgrade transformers" in reason
    auto_map = {"AutoModel": "modeling.Own", "AutoConfig": "modeling.OwnConfig"}
    kind, reason = failure(edit_config(write_text(tmp_path / "b"), model_type="own", auto_map=auto_map))
    assert kind == "remote_code" and "`trust_remote_code`" in reason
    quantised = edit_config(write_text(tmp_path / "c"), quantization_config={"quant_method": "gptq"})
    reason = "has quantised weights (gptq), which are not read here; rank the model they came from"
    assert failure(quantised) == ("unsupported", reason)
    folder = write_text(tmp_path / "d")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert failure(folder)[0] == "no_preprocessor"
    with pytest.raises(CheckpointError, match="has no tokenizer among its files"):
        KIND.load(folder, CLASSIFY, BackboneOptions())
    folder = write_text(tmp_path / "e", vocab_size=20)
    assert failure(folder)[0] == "corrupt" and "do not belong together" in failure(folder)[1]


def test_a_tokenizer_without_its_vocabulary_is_no_tokenizer(tmp_path):
    folder = write_text(tmp_path)
    (folder / "tokenizer.json").unlink()
    assert failure(folder)[0] == "no_preprocessor"


def test_a_tokenizer_that_is_cut_short_is_corrupt(tmp_path):
    folder = write_text(tmp_path)
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text()[:200])
    assert failure(folder)[0] == "corrupt"


def test_pickles_only_where_they_are_allowed(tmp_path):
    folder = write_text(tmp_path)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert failure(folder)[0] == "pickle_only"
    rows, _ = features_of(folder, TEXTS, allow_pickle=True)
    np.testing.assert_array_equal(rows["last"], features_of(bert(tmp_path), TEXTS)[0]["last"])


REMOTE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

class OwnConfig(PretrainedConfig):
    model_type = "own"

class Own(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.word_embeddings = torch.nn.Embedding(200, 4)
        self.post_init()

    def get_input_embeddings(self):
        return self.word_embeddings

    def forward(self, input_ids, attention_mask=None, return_dict=True):
        return BaseModelOutput(last_hidden_state=self.word_embeddings(input_ids))
"""


def test_code_of_a_repository_runs_where_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = write_text(tmp_path / "own")
    auto_map = {"AutoModel": "modeling.Own", "AutoConfig": "modeling.OwnConfig"}
    edit_config(folder, model_type="own", auto_map=auto_map, architectures=["Own"])
    (folder / "modeling.py").write_text(REMOTE)
    table = torch.randn(200, 4)
    save_file({"word_embeddings.weight": table}, folder / "model.safetensors", {"format": "pt"})
    repository = Repository.from_folder(folder)
    assert KIND.claims(repository)
    assert "modeling.py" in KIND.files(repository, BackboneOptions(trust_remote_code=True))
    rows, _ = features_of(folder, ["a film"], trust_remote_code=True)
    expected = table[tokens_of(bert(tmp_path), "a film")["input_ids"]].mean(0)
    np.testing.assert_allclose(rows["last"][0], expected, atol=1e-6)
