"""Whole runs of the command against a Hub: ranking, features, and what later runs ask for."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from hf_transfer_score.version import VERSION
from tests.runs.pool import COLOURS, PICTURES, again, change_weights, kept, pictures, sample_of

MODELS = ("runs/resnet", "runs/vit", "runs/dinov2")


@pytest.fixture(scope="module")
def first(shared_hub, warm):
    """The first run, and what it asked of the Hub."""
    facts = {"resnet": {"downloads": 300, "license": "mit"}, "vit": {"downloads": 200, "license": "apache-2.0"}}
    for name in ("resnet", "vit", "dinov2"):
        again(shared_hub, f"runs/{name}", f"good/{name}", **facts.get(name, {"downloads": 100}))
    shared_hub.requests.clear()
    done = warm.run("rank", PICTURES, "--models", *MODELS, "--json")
    return done, list(shared_hub.requests)


def test_models_of_the_hub_are_ranked(first, shared_hub):
    done, _ = first
    assert done.status == 0
    report = done.report
    assert sorted(report["ranks"]) == sorted(MODELS) and report["order"] == sorted(MODELS, key=report["ranks"].get)
    assert [one["name"] for one in report["models"]] == report["order"] and report["confidence"] is None
    sample = report["sample"]
    assert sample["revision"] == shared_hub.repository(PICTURES, "dataset").head.name
    assert (sample["examples"], sample["label_names"], sample["complete"]) == (60, list(COLOURS), True)
    for name, downloads, license_ in (("resnet", 300, "mit"), ("vit", 200, "apache-2.0"), ("dinov2", 100, None)):
        one = done.models[f"runs/{name}"]
        assert (one["downloads"], one["license"], one["from_cache"]) == (downloads, license_, False)
        assert one["commit"] == shared_hub.repository(f"runs/{name}").head.name
    assert [done.models[name]["library"] for name in MODELS] == ["timm_images", "hub_vision", "hub_vision"]


def test_parameters_are_those_of_the_loaded_models_without_their_heads(first, shared_hub):
    import timm
    from transformers import Dinov2Model, ViTModel

    folder = shared_hub.root / "models" / "runs"
    loaded = {
        "runs/resnet": timm.create_model(f"local-dir:{folder / 'resnet'}", pretrained=True, num_classes=0),
        "runs/vit": ViTModel.from_pretrained(folder / "vit", add_pooling_layer=False),
        "runs/dinov2": Dinov2Model.from_pretrained(folder / "dinov2"),
    }
    counted = {name: sum(one.numel() for one in model.parameters()) for name, model in loaded.items()}
    assert {name: one["parameters"] for name, one in first[0].models.items()} == counted


def test_data_and_weights_are_read_once(first, shared_hub):
    _, requests = first
    shards = shared_hub.repository(PICTURES, "dataset").head.files
    sent = {path: sum(one.sent for one in requests if one.path.endswith(path)) for path in sorted(shards)}
    times = [count / shards[path].size for path, count in sent.items()]
    assert times == [2, 1, 1], "the end of the first file describes the columns, and this small file has no other part"
    for name in MODELS:
        weights = [one for one in requests if one.path.startswith(f"/{name}/") and one.path.endswith(".safetensors")]
        size = shared_hub.repository(name).head.files["model.safetensors"].size
        assert [one.sent for one in weights if one.method == "GET"] == [size]
    last_data = max(number for number, one in enumerate(requests) if "/datasets/" in one.path)
    first_model = min(number for number, one in enumerate(requests) if one.path.startswith("/api/models/"))
    assert last_data < first_model


def test_features_are_those_of_a_hand_loop(first, shared_hub, warm):
    import torch
    from transformers import ViTForImageClassification, ViTImageProcessor

    cache, sample = kept(warm), sample_of(warm, first[0].report)
    entry = next(one for one in cache.entries() if one.meta["model"] == "runs/vit")
    found = cache.get(entry.key)
    folder = shared_hub.root / "models" / "runs" / "vit"
    model, processor = ViTForImageClassification.from_pretrained(folder), ViTImageProcessor.from_pretrained(folder)
    rows, probabilities = [], []
    for content in sample.table.column("input").to_pylist():
        with torch.no_grad():
            pixels = processor(Image.open(io.BytesIO(content)).convert("RGB"), return_tensors="pt")
            rows.append(model.vit(**pixels).last_hidden_state[0, 0].numpy())
            probabilities.append(model(**pixels).logits[0].softmax(-1).numpy())
    np.testing.assert_allclose(found.features["last"], rows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.source_probs, probabilities, rtol=1e-4, atol=1e-5)
    assert np.std(rows, axis=0).min() > 1e-3, "features that are all alike would prove nothing"


def test_rows_and_labels_belong_together(first, warm):
    sample = sample_of(warm, first[0].report)
    made, labels = pictures()
    classes = dict(zip(made, labels, strict=True))
    assert [classes[one] for one in sample.table.column("input").to_pylist()] == sample.labels.tolist()


OTHER_METRICS = """
import contextlib, io, sys
from hf_transfer_score.cli import main
out = io.StringIO()
with contextlib.redirect_stdout(out):
    status = main(sys.argv[1:])
heavy = [name for name in ("torch", "transformers", "timm", "datasets") if name in sys.modules]
answer = [status, heavy, out.getvalue()]
"""


def test_other_metrics_ask_nobody_and_run_nothing(first, shared_hub, warm, run_client):
    shared_hub.requests.clear()
    arguments = ("rank", PICTURES, "--models", *MODELS, "--metrics", "logme,knn,leep", "--json", "--quiet")
    status, heavy, out = run_client(OTHER_METRICS, warm.environment, *arguments, fresh=True)
    assert (status, heavy) == (0, []), "neither a model nor the dataset is looked at again"
    assert shared_hub.requests == []
    report = json.loads(out)
    assert report["headline"] == ["logme"] and len(report["ranks"]) == 3
    assert all(one["from_cache"] for one in report["pool"].values())


def test_a_run_without_the_hub_reads_what_is_on_disk(first, shared_hub, warm, run_client):
    again(shared_hub, "runs/never-asked-for", "good/vit")
    shared_hub.requests.clear()
    offline = {**warm.environment, "HF_HUB_OFFLINE": "1"}
    models = ("runs/vit", "runs/never-asked-for")
    arguments = ("rank", PICTURES, "--models", *models, "--layer", "mean", "--json", "--replicates", "0")
    status, heavy, out = run_client(OTHER_METRICS, offline, *arguments)
    models = json.loads(out)["pool"]
    assert status == 0 and shared_hub.requests == []
    assert models["runs/vit"]["status"] == "ok" and not models["runs/vit"]["from_cache"]
    assert "torch" in heavy, "else the test before proves nothing"
    assert models["runs/never-asked-for"]["kind"] == "no_network"
    said = models["runs/never-asked-for"]["reason"]
    assert said == "is not on this computer, and HF_HUB_OFFLINE forbids requests to the Hub"


def test_a_new_commit_is_seen_when_asked_for(shared_hub, warm):
    folder = again(shared_hub, "moving/vit", "good/vit")
    arguments = ("rank", PICTURES, "--models", "moving/vit", "good/vit", "--json", "--replicates", "0")
    before = warm.run(*arguments).models
    change_weights(folder, lambda weights: {name: value * 1.5 for name, value in weights.items()})
    head = shared_hub.repository("moving/vit").head.name
    shared_hub.requests.clear()
    same = warm.run(*arguments).models
    assert shared_hub.requests == [] and same["moving/vit"]["commit"] == before["moving/vit"]["commit"] != head
    fresh = warm.run(*arguments, "--refresh").models
    assert (fresh["moving/vit"]["commit"], fresh["moving/vit"]["from_cache"]) == (head, False)
    assert fresh["good/vit"]["from_cache"], "its commit is the same"
    about = [one.user_agent.split(";")[0] for one in shared_hub.requests if "moving/vit" in one.path]
    assert about and set(about) == {f"hf-transfer-score/{VERSION}"}
    assert fresh["moving/vit"]["scores"] != before["moving/vit"]["scores"]
