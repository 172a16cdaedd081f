"""Datasets in memory: lists, data frames and datasets of torch give the same samples as files."""

import io

import datasets
import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from hf_transfer_score import DatasetError, SampleOptions, TransferScoreError, load_sample
from tests.sampling.made import image_bytes

COLOURS = ("red", "green", "blue")


def picture(row: int) -> Image.Image:
    values = np.zeros((8, 6, 3), dtype=np.uint8)
    values[..., row % 3] = 100 + row
    return Image.fromarray(values)


def content(row: int) -> bytes:
    return image_bytes(np.asarray(picture(row)))


def pixels_of(sample) -> list[tuple[int, ...]]:
    return sorted(image.getpixel((0, 0)) for image in sample.examples(range(len(sample))))


ROWS = range(12)
EXPECTED = sorted(picture(row).getpixel((0, 0)) for row in ROWS)
NAMES = [COLOURS[row % 3] for row in ROWS]


class Items(torch.utils.data.Dataset):
    """A dataset of torch."""

    def __init__(self, make, classes=None, label=lambda row: row % 3):
        self.make, self.label = make, label
        if classes:
            self.classes = classes

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, row):
        return self.make(row), self.label(row)


def tensor(row: int) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(np.asarray(picture(row)).copy(), -1, 0))


def as_paths(folder):
    for row in ROWS:
        (folder / f"{row}.png").write_bytes(content(row))
    return [str(folder / f"{row}.png") for row in ROWS]


FORMS = {
    "lists": lambda _: ([picture(row) for row in ROWS], NAMES),
    "arrays": lambda _: ([np.asarray(picture(row)) for row in ROWS], np.array([row % 3 for row in ROWS])),
    "frame of images": lambda _: pandas.DataFrame({"image": [picture(row) for row in ROWS], "label": NAMES}),
    "frame of bytes": lambda _: pandas.DataFrame({"image": [content(row) for row in ROWS], "label": NAMES}),
    "frame of arrays": lambda _: pandas.DataFrame({"image": list(map(np.asarray, map(picture, ROWS))), "label": NAMES}),
    "frame of paths": lambda folder: pandas.DataFrame({"path": as_paths(folder), "label": NAMES}),
    "torch, images": lambda _: Items(picture, COLOURS),
    "torch, bytes": lambda _: Items(tensor, COLOURS, lambda row: torch.tensor(row % 3)),
    "torch, numbers": lambda _: Items(lambda row: tensor(row) / 255),
    "torch, names": lambda _: Items(picture, label=lambda row: COLOURS[row % 3]),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_of_every_form(form, tmp_path):
    sample = load_sample(FORMS[form](tmp_path))
    assert sample.task.name == "image-classification" and pixels_of(sample) == EXPECTED
    assert np.bincount(sample.labels).tolist() == [4, 4, 4]
    if form not in ("arrays", "torch, numbers"):
        assert set(sample.label_names) == set(COLOURS)


@pytest.mark.parametrize("mode", ["CMYK", "F", "HSV", "LAB", "PA", "YCbCr"])
def test_images_of_modes_that_no_png_has(mode):
    images = [(picture(row).convert("P") if mode == "PA" else picture(row)).convert(mode) for row in ROWS]
    found = pixels_of(load_sample((images, NAMES)))
    assert len(found) == 12
    if mode not in ("F", "LAB"):  # which lose the colour, or some of it
        assert np.abs(np.subtract(found, EXPECTED)).max() <= 9


def test_images_that_turn_out_to_be_damaged_are_left_out():
    whole, closed = image_bytes(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)), picture(1)
    closed.close()
    bad = [Image.open(io.BytesIO(whole[: len(whole) // 2])), closed, Image.new("RGB", (0, 0))]
    sample = load_sample(([*map(picture, ROWS), *bad], [*NAMES, *COLOURS]))
    assert pixels_of(sample) == EXPECTED and any("3 drawn examples were left out" in note for note in sample.notes)


@pytest.mark.parametrize(
    "given",
    [
        (["good", "bad"] * 6, ["yes", "no"] * 6),
        [["good", "bad"] * 6, [1, 0] * 6],
        pandas.DataFrame({"text": ["good", "bad"] * 6, "label": pandas.Categorical(["yes", "no"] * 6)}),
        Items(lambda row: ("good", "bad")[row % 2], label=lambda row: row % 2),
        {"text": np.array(["good", "bad"] * 6), "label": [1, 0] * 6},
        {"train": (["good", "bad"] * 6, [1, 0] * 6)},
        [("good", 1), ("bad", 0)] * 6,
        [{"text": "good", "label": 1}, {"text": "bad", "label": 0}] * 6,
        pandas.DataFrame({"text": ["good", "bad", "?"] * 6, "label": [1, 0, None] * 6}),
        pandas.DataFrame({"text": ["good", "bad", "?"] * 6, "label": pandas.array([1, 0, None] * 6, dtype="Int64")}),
    ],
    ids=[*("tuple", "list", "frame", "torch", "columns", "splits", "pairs", "rows", "frame, missing", "frame, Int64")],
)
def test_texts_of_every_form(given):
    sample = load_sample(given)
    assert sample.task.name == "text-classification"
    assert sorted(sample.examples(range(12))) == ["bad"] * 6 + ["good"] * 6 and set(sample.labels) == {0, 1}


def test_splits_may_have_any_form(tmp_path):
    splits = {"train": FORMS["lists"](None), "test": FORMS["frame of images"](None)}
    assert load_sample(splits).source.split == "train"
    assert load_sample(splits, SampleOptions(split="test")).source.split == "test"
    held = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": ["a", "b"] * 4, "label": [0, 1] * 4})})
    assert len(load_sample(held)) == 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SampleOptions(split="test"), "The dataset in memory has no splits, so split='test' cannot be used"),
        (
            SampleOptions(config="plain"),
            "The dataset in memory is not on the Hub, so `config` cannot be used; leave it out",
        ),
        (SampleOptions(revision="main"), "so `revision` cannot be used"),
    ],
    ids=["split", "config", "revision"],
)
def test_options_that_would_have_no_effect_are_refused(options, said):
    rows = datasets.Dataset.from_dict({"text": ["a", "b"] * 4, "label": [0, 1] * 4})
    with pytest.raises(TransferScoreError, match=said):
        load_sample(rows, options)


def test_datasets_made_by_a_reader_or_a_generator_are_called_memory(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\n" + "a,0\nb,1\n" * 4)
    stored = datasets.Dataset.from_csv(str(tmp_path / "rows.csv"), cache_dir=str(tmp_path))
    assert {load_sample(one).source.dataset for one in (Items(tensor), stored)} == {"memory"}


def test_a_stored_sample_is_found_again(tmp_path):
    first = load_sample(FORMS["lists"](None), folder=tmp_path)
    again = load_sample(FORMS["lists"](None), folder=tmp_path)
    assert first.fingerprint == again.fingerprint and len(list(tmp_path.glob("*.arrow"))) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "Expected a dataset as an id on the Hub, .*pandas DataFrame, .*lists .*; got int"),
        ([1, 2, 3], "got list"),
        ((["a"], ["x", "y"]), "There are 1 inputs and 2 labels"),
        (([], []), "The dataset is empty"),
        ((["a", "b", "c"], [2**70, 1, 2]), "A column has values that cannot be stored"),
        ((["a", "b"] * 2, [{"x": 1}] * 4), "has a label column 'label' of a type that cannot be used"),
        ({"image": ["a.png"] * 4, "label": [0, 1] * 2}, "'image' holds paths of images, and there is no file a.png"),
        ({"path": ["a.png"] * 4, "label": [0, 1] * 2}, "'path' holds paths of images, and there is no file a.png"),
        ({"text": ["a", "b"], "label": [1]}, r"have different lengths: {'text': 2, 'label': 1}"),
        (pandas.DataFrame([["a", 0, 1]] * 4, columns=["text", "label", "label"]), "share a name: text, label, label"),
        ((np.zeros((4, 3, 8, 8), np.uint8), [0, 1] * 2), r"\(3, 8, 8\); expected an array \(H, W, C\) of bytes"),
        ((["a", "b", "c"], [1, "1", 2]), r"The column 'label' has values of several types \(int, str\)"),
        (Items(lambda row: tensor(row).float() - 50), "tensor of numbers from .*Remove the normalisation"),
        (Items(lambda row: {"x": 1}), "begin with a dict; expected an image"),
        (torch.utils.data.TensorDataset(torch.zeros(4, 3, 8, 8)), r"are of type tuple; expected \(image or text"),
    ],
)
def test_unknown_forms_are_refused(given, said):
    with pytest.raises(DatasetError, match=said):
        load_sample(given)
