"""The layer-wise profile of NC1, of real small checkpoints, against features and formulas by hand."""

import io

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.drawing.look import image_of
from hf_transfer_score.drawing.rank_chart import Lines, layer_chart
from hf_transfer_score.errors import CheckpointError, DatasetError
from hf_transfer_score.runs.layers import layer_profile
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.sample import SampleOptions
from tests.checkpoints.images import timm_image, vit
from tests.checkpoints.texts import write_text
from tests.hub.repositories import write_files
from tests.runs.pool import picture_shards, pictures

WORDS = ("bank", "card", "town")
TEXTS = [
    f"{word} film {'the ' * (number % 5)}{'good' if number % 3 else 'cold'}" for number in range(20) for word in WORDS
]
TOPICS = [word for _ in range(20) for word in WORDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with checkpoints of images and texts, pictures, and what runs keep."""
    made = tmp_path_factory.mktemp("layers")
    timm_image(made / "resnet")
    vit(made / "vit")
    write_text(made / "bert")
    write_files(made / "pictures", picture_shards())
    return made


def profile_of(folder, model, dataset, *, pooling="auto", **sample):
    options = RankOptions(backbone=BackboneOptions(pooling=pooling), sample=SampleOptions(**sample))
    return layer_profile(dataset, str(folder / model), options=options, folder=folder / "home")


def by_hand(rows, labels):
    """trace(Σ_W Σ_B†) / K with full matrices, every class with the same weight."""
    rows, labels = np.asarray(rows, np.float64), np.asarray(labels)
    groups = [rows[labels == one] for one in sorted(set(labels.tolist()))]
    means = np.array([one.mean(axis=0) for one in groups])
    within = np.mean([np.cov(one.T, bias=True) for one in groups], axis=0)
    between = np.cov(means.T, bias=True)
    return float(np.trace(within @ np.linalg.pinv(between, rcond=1e-10, hermitian=True))) / len(groups)


def test_texts_are_those_of_hidden_states(folder):
    from transformers import AutoModel, AutoTokenizer

    rows = Dataset.from_dict({"text": TEXTS, "label": TOPICS})
    profile = profile_of(folder, "bert", rows, pooling="mean")
    model, tokenizer = AutoModel.from_pretrained(folder / "bert").eval(), AutoTokenizer.from_pretrained(folder / "bert")
    states = []
    for text in TEXTS:
        with torch.inference_mode():
            found = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        states.append([one[0].mean(0).numpy() for one in found])
    assert [one.layer for one in profile.rows] == ["0", "1", "2"]
    expected = [by_hand([one[layer] for one in states], TOPICS) for layer in range(3)]
    assert [one.nc1 for one in profile.rows] == pytest.approx(expected, rel=1e-3)
    assert max(expected) > 1.1 * min(expected), "values that are all alike would prove nothing"
    assert {one.width for one in profile.rows} == {16}


def test_images_of_timm_are_those_of_the_stages(folder):
    import timm

    profile = profile_of(folder, "resnet", str(folder / "pictures"), pooling="mean")
    model = timm.create_model(f"local-dir:{folder / 'resnet'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    outputs: dict[str, list[np.ndarray]] = {}

    def keep(name):
        return lambda module, inputs, output: outputs.setdefault(name, []).append(output[0].mean((1, 2)).numpy())

    for name in ("act1", "layer1", "layer2", "layer3", "layer4"):
        getattr(model, name).register_forward_hook(keep(name))
    made, labels = pictures()
    for content in made:
        with torch.inference_mode():
            model(transform(Image.open(io.BytesIO(content)).convert("RGB"))[None])
    expected = [by_hand(rows, labels) for rows in outputs.values()]
    assert [one.layer for one in profile.rows] == ["1", "2", "3", "4", "5"]
    assert [one.nc1 for one in profile.rows] == pytest.approx(expected, rel=2e-3)
    assert profile.best.layer == str(1 + int(np.argmin(expected)))
    assert [one.width for one in profile.rows] == [len(rows[0]) for rows in outputs.values()]


def test_a_layer_without_nc1_is_a_row_with_the_reason(folder):
    profile = profile_of(folder, "vit", str(folder / "pictures"))
    first, *others = profile.rows
    assert (first.layer, first.nc1, first.width) == ("0", None, None)
    assert "All 60 rows of features are identical" in first.reasons["nc1"], "the class token before the first block"
    assert [one.layer for one in others] == ["1", "2"] and all(one.nc1 > 0 and not one.reasons for one in others)
    assert set(others[0].terms) == {"ncti", "face"}
    assert others[0].terms["face"]["variance_collapse"] == pytest.approx(-others[0].nc1)


def test_the_best_is_the_smallest_of_what_blocks_give(folder):
    rows = Dataset.from_dict({"text": TEXTS, "label": TOPICS})
    profile = profile_of(folder, "bert", rows, pooling="mean")
    values = {one.layer: one.nc1 for one in profile.rows}
    assert values["0"] < min(values["1"], values["2"]), "else the embeddings would prove nothing here"
    assert profile.best.layer == min(("1", "2"), key=values.get)
    plain = profile.as_dict()
    assert plain["smallest_nc1"] == profile.best.layer and plain["sample"]["examples"] == len(TEXTS)
    assert plain["layers"][1]["nc1"] == values["1"] and plain["library"] == "hub_text"


def test_the_sample_is_what_options_say(folder):
    profile = profile_of(folder, "vit", str(folder / "pictures"), per_class=5)
    assert len(profile.report.sample) == 15
    whole = profile_of(folder, "vit", str(folder / "pictures"))
    assert profile.rows[1].nc1 != whole.rows[1].nc1


def test_what_cannot_be_profiled_is_said(folder):
    with pytest.raises(CheckpointError, match="bert: is a checkpoint for texts, and image-"):
        profile_of(folder, "bert", str(folder / "pictures"))
    targets = Dataset.from_dict({"text": TEXTS, "label": [0.37 * number for number in range(len(TEXTS))]})
    with pytest.raises(DatasetError, match="NC1 is not defined for any layer of .*bert: .*class labels"):
        profile_of(folder, "bert", targets)


def test_pictures_are_drawn(folder, tmp_path):
    profile = profile_of(folder, "vit", str(folder / "pictures"))
    profile.plot(tmp_path / "profile.png")
    with Image.open(tmp_path / "profile.png") as picture:
        assert picture.size[0] > 1000
    profile.plot(tmp_path / "profile.svg")
    drawn = (tmp_path / "profile.svg").read_text()
    assert "layer 2" in drawn or "layer 1" in drawn, "the layer that is marked is named"
    profile.plot(tmp_path / "profile.html")
    assert "vegaEmbed" in (tmp_path / "profile.html").read_text()


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [None, 1e-9, 3e4], [0.0, 1.0], [0.02, 0.021]])
def test_any_values_can_be_drawn(values):
    points = [(str(number), value) for number, value in enumerate(values)]
    smallest = min((one for one in points if one[1] is not None), key=lambda one: one[1])[0]
    chart = layer_chart(
        Lines({"a/b on $c_d$": dict(points)}, ("a/b on $c_d$", smallest), "NC1", log=True),
        760,
        title="",
        description="",
    )
    assert image_of(chart, "png").startswith(b"\x89PNG")
    assert f"layer {smallest}: ".encode() in image_of(chart, "svg")
