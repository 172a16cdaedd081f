"""The libraries above huggingface_hub load models and data from the local Hub, and then without it."""

from __future__ import annotations

import io
import json

import pytest


@pytest.fixture
def models(hub, tmp_path):
    import timm
    import torch
    from timm.models import save_for_hf
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    vision = timm.create_model("test_vit", num_classes=3)
    save_for_hf(vision, tmp_path / "vit", model_config={"num_classes": 3}, safe_serialization=True)
    hub.add("owner/vit", tmp_path / "vit")
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=11)
    text = BertModel(config)
    text.save_pretrained(tmp_path / "bert")
    hub.add("owner/bert", tmp_path / "bert", private=True)
    hub.users = {"hf_owner": "owner"}
    sums = [float(sum(p.detach().abs().sum() for p in model.parameters())) for model in (vision, text)]
    return hub, sums


MODELS = """
import timm, transformers
def total(model):
    return float(sum(p.detach().abs().sum() for p in model.parameters()))
vision = timm.create_model("hf-hub:owner/vit", pretrained=True)
text, loading = transformers.AutoModel.from_pretrained("owner/bert", output_loading_info=True)
answer = [total(vision), vision.num_classes, total(text), sorted(loading["missing_keys"])]
"""


def test_models_load_and_load_again_without_the_hub(models, run_client, hub_environment):
    hub, (vision, text) = models
    environment = hub_environment | {"HF_TOKEN": "hf_owner"}
    online = run_client(MODELS, environment)
    assert online[0] == pytest.approx(vision) and online[1] == 3
    assert online[2] == pytest.approx(text) and online[3] == []
    weights = hub.asked("safetensors$", "GET")
    assert sorted(one.path.split("/")[2] for one in weights) == ["bert", "vit"]
    sizes = {name: hub.repository(f"owner/{name}").head.files["model.safetensors"].size for name in ("bert", "vit")}
    assert {one.path.split("/")[2]: one.sent for one in weights} == sizes  # the weights are read once
    assert {one.status for one in hub.requests} <= {200, 404}
    hub.requests.clear()
    assert run_client(MODELS, environment | {"HF_HUB_OFFLINE": "1"}) == online
    assert hub.requests == []


def shard_of(start: int) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": [f"row {i}" for i in range(start, start + 50)], "label": [i % 2 for i in range(50)]})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def picture_of(colour: tuple[int, int, int]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def data(hub):
    shards = {f"data/train-0000{i}-of-00002.parquet": shard_of(50 * i) for i in range(2)}
    hub.add("owner/rows", {"README.md": "---\nlicense: mit\n---\n", **shards}, kind="dataset")
    pictures = {f"train/{name}/{i}.png": picture_of(colour) for i in range(2) for name, colour in COLOURS.items()}
    hub.add("owner/pictures", pictures, kind="dataset")
    hub.add("owner/table", {"train.csv": "a,b\n1,x\n2,y\n", "test.csv": "a,b\n3,z\n"}, kind="dataset")
    lines = "".join(json.dumps({"a": i}) + "\n" for i in range(3))
    hub.add("owner/lines", {"train.jsonl": lines}, kind="dataset", gated=True)
    return hub


COLOURS = {"blue": (0, 0, 255), "red": (255, 0, 0)}
DATA = """
import datasets
streamed = datasets.load_dataset("owner/rows", split="train", streaming=True)
rows = [[row["text"], row["label"]] for row in streamed]
pictures = datasets.load_dataset("owner/pictures", split="train", streaming=True)
first = [[row["label"], row["image"].getpixel((0, 0))] for row in pictures]
table = datasets.load_dataset("owner/table", split="test", streaming=True)
builder = datasets.load_dataset_builder("owner/pictures")
stored = datasets.load_dataset("owner/pictures", split="train")
try:
    datasets.load_dataset("owner/lines", streaming=True)
    gated = None
except Exception as error:
    gated = [type(error).__name__, str(error)]
answer = dict(
    rows=rows, pictures=first, table=list(table), names=stored.features["label"].names,
    builder=[builder.name, sorted(map(str, builder.config.data_files))],
    cached=datasets.load_dataset("owner/rows", split="train").num_rows, gated=gated,
)
"""


def test_datasets_stream_and_load(data, run_client, hub_environment):
    got = run_client(DATA, hub_environment)
    assert got["rows"] == [[f"row {i}", i % 2] for i in range(100)]
    assert sorted(map(str, got["pictures"])) == sorted(
        str([label, list(colour)]) for label, colour in enumerate(COLOURS.values()) for _ in range(2)
    )
    assert got["table"] == [{"a": 3, "b": "z"}] and got["names"] == ["blue", "red"]
    assert got["builder"] == ["imagefolder", ["train"]] and got["cached"] == 100
    assert got["gated"][0] == "DatasetNotFoundError" and "gated" in got["gated"][1]
    data.requests.clear()
    offline = "import datasets\nanswer = datasets.load_dataset('owner/rows', split='train').num_rows"
    assert run_client(offline, hub_environment | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}) == 100
    assert data.requests == []


def test_one_shard_can_be_streamed_alone(data, run_client, hub_environment):
    code = """
import datasets
rows = datasets.load_dataset("owner/rows", split="train", streaming=True)
answer = next(iter(rows))["text"]
"""
    assert run_client(code, hub_environment) == "row 0"
    assert not data.asked("train-00001", "GET")
    assert data.sent("train-00000") < 3 * len(shard_of(0))
