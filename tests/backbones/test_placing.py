"""Decoders larger than memory: weights in half precision, on disk, or quantised, and what records say of it."""

import gc
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, MambaConfig, MambaModel

from hf_transfer_score import BackboneOptions, OptionError, RankOptions, rank, verify
from hf_transfer_score.backbones.base import all_kinds, own_parameters
from hf_transfer_score.backbones.placing import is_elsewhere, most_memory, place_of
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.features.precision import EXACT, TorchForward, in_torch
from hf_transfer_score.records.record import Record
from hf_transfer_score.tasks import get_task
from tests.checkpoints.images import vit
from tests.checkpoints.texts import CORPUS, write_text

TASK = get_task("text-classification")
CPU = torch.device("cpu")
WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32}  # quantised in blocks of 64 numbers


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """A Llama whose file holds bfloat16, as most decoders on the Hub do; it has 160 kB."""
    folder = tmp_path_factory.mktemp("decoders")
    exact, half = write_text(folder / "exact", "llama", **WIDE), folder / "half"
    AutoModelForCausalLM.from_pretrained(exact, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(exact).save_pretrained(half)
    return half


def loaded(folder: Path, **options):
    return all_kinds()["hub_text"].load(folder, TASK, BackboneOptions(**options))


def rows_of(backbone, dtype: str = "float32", texts=CORPUS) -> np.ndarray:
    forward = TorchForward(backbone, CPU, EXACT if dtype == "float32" else in_torch(dtype))
    with torch.inference_mode():
        rows = forward(backbone.collate(backbone.encode(texts))).features["last"].float().numpy()
    forward.undo()
    return rows


@pytest.fixture(scope="module")
def whole(decoder):
    backbone = loaded(decoder)
    return {dtype: rows_of(backbone, dtype) for dtype in ("float32", "bfloat16")}


def leftovers() -> set[Path]:
    gc.collect()
    return {one for one in Path(tempfile.gettempdir()).glob("hf-transfer-score-*") if "-tests-" not in one.name}


def test_weights_stay_in_half_precision_and_give_what_they_gave(decoder, whole):
    backbone = loaded(decoder, half=True)
    kept = sum(one.nbytes for one in backbone.module.parameters())
    assert kept < 0.6 * sum(one.nbytes for one in loaded(decoder).module.parameters())
    np.testing.assert_array_equal(rows_of(backbone, "bfloat16"), whole["bfloat16"])
    assert np.abs(whole["bfloat16"] - whole["float32"]).max() > 0.01


def test_networks_that_use_weights_outside_their_layers_stay_in_half_precision_too(decoder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    model = MambaModel(MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1))
    for kept in (model.bfloat16(), tokenizer):
        kept.save_pretrained(tmp_path)
    np.testing.assert_array_equal(
        rows_of(loaded(tmp_path, half=True), "bfloat16"), rows_of(loaded(tmp_path), "bfloat16")
    )


@pytest.mark.parametrize(("memory", "dtype"), [("cpu=1KB", "float32"), ("cpu=100KB", "bfloat16")])
def test_what_does_not_fit_in_memory_is_read_from_the_disk(decoder, whole, memory, dtype):
    before = leftovers()
    backbone = loaded(decoder, device_map=memory, half=dtype == "bfloat16")
    away = [one.numel() for one in backbone.module.parameters() if one.is_meta]
    assert sum(away) > 40_000 and is_elsewhere(backbone.module) and place_of(backbone.module) == CPU
    np.testing.assert_array_equal(rows_of(backbone, dtype), whole[dtype])
    assert own_parameters(backbone) == own_parameters(loaded(decoder))
    del backbone
    assert leftovers() == before


def test_what_fits_is_loaded_as_ever(decoder, whole):
    backbone = loaded(decoder, device_map="auto")
    assert not is_elsewhere(backbone.module) and place_of(backbone.module) is None
    np.testing.assert_array_equal(rows_of(backbone), whole["float32"])


NF4 = (-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0)
NF4 += (0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0)
"""The sixteen values of QLoRA's paper, as shares of the largest of 64 weights."""


def rounded(weight: torch.Tensor) -> torch.Tensor:
    blocks = weight.reshape(-1, 64)
    most = blocks.abs().amax(1, keepdim=True)
    nearest = (blocks[..., None] / most[..., None] - torch.tensor(NF4)).abs().argmin(-1)
    return (torch.tensor(NF4)[nearest] * most).reshape(weight.shape)


def cosines(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_quantised_weights_give_what_rounded_ones_do(decoder, whole, quantize):
    pytest.importorskip("bitsandbytes", reason="it is not installed: pip install 'hf-transfer-score[quantized]'")
    backbone, reference = loaded(decoder, quantize=quantize), loaded(decoder)
    assert backbone.details["quantize"] == quantize and own_parameters(backbone) == own_parameters(reference)
    sizes = [sum(one.nbytes for one in made.module.parameters()) for made in (backbone, reference)]
    assert sizes[0] < sizes[1] / 2
    rows = rows_of(backbone)
    if quantize == "8bit":  # it rounds inputs too, and those depend on the batch
        assert cosines(rows, whole["float32"]).min() > 0.9
        return
    for layer in reference.module.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = rounded(layer.weight.data)
    near, far = cosines(rows, rows_of(reference)), cosines(rows, whole["float32"])
    assert near.min() > 0.99 and np.all(1 - near < (1 - far) / 4)  # some CPUs multiply in bfloat16
    alone = np.concatenate([rows_of(backbone, texts=[text]) for text in CORPUS])
    assert cosines(rows, alone).min() > 0.9999  # a batch of one may be added up in another order


def records(folder: Path) -> dict[str, Record]:
    paths = [path for path in folder.rglob("*.json") if path.name != "ranking.json"]
    return {path.name: Record.from_json(path.read_bytes()) for path in paths}


def test_records_and_kept_features_tell_them_apart(decoder, tmp_path):
    pytest.importorskip("bitsandbytes", reason="it is not installed: pip install 'hf-transfer-score[quantized]'")
    rows = [json.dumps({"text": CORPUS[row % 2], "label": row % 2}) for row in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    ways = {"plain": {}, "disk": {"device_map": "cpu=1KB"}, "4bit": {"quantize": "4bit"}}
    found = {}
    for name, how in ways.items():
        options = RankOptions(backbone=BackboneOptions(**how), replicates=0)
        report = rank(str(tmp_path / "rows.jsonl"), [decoder], options=options, folder=tmp_path / "home")
        report.save(tmp_path / name)
        found[name] = report.models["half"]
    assert found["disk"].from_cache and not found["4bit"].from_cache  # where weights lie changes no feature
    kept = {name: records(tmp_path / name) for name in ways}
    assert kept["plain"].keys() == kept["disk"].keys() and not kept["plain"].keys() & kept["4bit"].keys()
    assert {one.model.details.get("quantize") for one in kept["4bit"].values()} == {"4bit"}
    assert not any("quantize" in one.model.details for one in kept["plain"].values())


def test_what_is_run_from_the_disk_says_so_and_has_no_speed(decoder, tmp_path):
    rows = [json.dumps({"text": CORPUS[row % 2], "label": row % 2}) for row in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    options = RankOptions(backbone=BackboneOptions(device_map="cpu=1KB"), replicates=0)
    report = rank(str(tmp_path / "rows.jsonl"), [decoder], options=options, batch_size=4, folder=tmp_path / "home")
    made = report.models["half"].extraction
    assert made["device"] == "cpu with weights elsewhere" and "measured_here" not in made


def test_options_that_cannot_be_met_are_refused_with_what_to_do(decoder, tmp_path, monkeypatch):
    assert most_memory("auto") is None and most_memory("0=20GB, cpu=8GiB") == {0: "20GB", "cpu": "8GiB"}
    for wrong in ("gpu", "0=20", "0=20GB;cpu=8GB"):
        with pytest.raises(OptionError, match="expected auto, or the most memory of each GPU"):
            BackboneOptions(device_map=wrong)
    with pytest.raises(OptionError, match="expected one of 8bit, 4bit"):
        BackboneOptions(quantize="2bit")
    with pytest.raises(OptionError, match="leave out `device` and `runtime`"):
        rank("example", ["a/b"], device_map="auto", device="cpu")
    with pytest.raises(OptionError, match="device_map=auto is for reading features"):
        verify("example", ["a/b"], options=RankOptions(backbone=BackboneOptions(device_map="auto")))
    with pytest.raises(CheckpointError, match="hub_vision, and device_map is for text models of transformers"):
        image = get_task("image-classification")
        all_kinds()["hub_vision"].load(vit(tmp_path / "vit"), image, BackboneOptions(device_map="auto"))
    monkeypatch.setattr("hf_transfer_score.backbones.placing.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'hf-transfer-score\[quantized\]'"):
        BackboneOptions(quantize="4bit")
