"""Tasks and columns from the features of datasets as they are on the Hub."""

import datasets
import numpy as np
import pandas as pd
import pytest
from datasets import Audio, ClassLabel, Features, Image, List, Value

from hf_transfer_score.errors import DatasetError, OptionError
from hf_transfer_score.sampling.columns import find_columns
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions
from tests.sampling.made import picture

TEXT, WHOLE, FLOAT = Value("string"), Value("int64"), Value("float32")
BINARY = ClassLabel(names=["no", "yes"])
WORDS, TAGS = datasets.Sequence(TEXT), datasets.Sequence(ClassLabel(names=["O", "B"]))

KNOWN = {
    "cifar100": ({"img": Image(), "fine_label": BINARY, "coarse_label": BINARY}, "image-classification img fine_label"),
    "mnist": ({"image": Image(), "label": ClassLabel(num_classes=10)}, "image-classification image label"),
    "imdb": ({"text": TEXT, "label": BINARY}, "text-classification text label"),
    "banking": ({"text": TEXT, "intent": TEXT}, "text-classification text intent"),
    "mnli": (
        {"premise": TEXT, "hypothesis": TEXT, "label": BINARY, "idx": WHOLE},
        "text-classification premise hypothesis label",
    ),
    "qnli": (
        {"question": TEXT, "sentence": TEXT, "label": BINARY, "idx": WHOLE},
        "text-classification question sentence label",
    ),
    "stsb": ({"sentence1": TEXT, "sentence2": TEXT, "label": FLOAT}, "text-regression sentence1 sentence2 label"),
    "amazon": ({"label": BINARY, "title": TEXT, "content": TEXT}, "text-classification content label"),
    "conll": (
        {"id": TEXT, "tokens": WORDS, "pos_tags": TAGS, "chunk_tags": TAGS, "ner_tags": TAGS},
        "token-classification tokens ner_tags",
    ),
    "whole tags": ({"words": WORDS, "labels": datasets.Sequence(WHOLE)}, "token-classification words labels"),
    "named tags": ({"tokens": WORDS, "tags": WORDS}, "token-classification tokens tags"),
    "minds14": (
        {"path": TEXT, "audio": Audio(), "transcription": TEXT, "intent_class": BINARY, "lang_id": BINARY},
        "audio-classification audio intent_class",
    ),
    "raw audio": (
        {"audio": {"array": datasets.Sequence(FLOAT), "sampling_rate": WHOLE}, "label": WHOLE},
        "audio-classification audio label",
    ),
    "plain bytes": (
        {"image": {"bytes": Value("binary"), "path": TEXT}, "label": WHOLE},
        "image-classification image label",
    ),
    "sidewalk": ({"pixel_values": Image(), "label": Image()}, "image-segmentation pixel_values label"),
    "scene": (
        {"image": Image(), "annotation": Image(), "scene_category": BINARY},
        "image-segmentation image annotation",
    ),
    "webdataset": ({"__key__": TEXT, "__url__": TEXT, "jpg": Image(), "cls": WHOLE}, "image-classification jpg cls"),
    "odd label": ({"id": WHOLE, "tweet": TEXT, "polarity": WHOLE}, "text-classification tweet polarity"),
    "truth": ({"text": TEXT, "spam": Value("bool")}, "text-classification text spam"),
    "age": ({"image": Image(), "age": FLOAT}, "image-regression image age"),
    "loudness": ({"audio": Audio(), "score": FLOAT}, "audio-regression audio score"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_datasets(name):
    features, expected = KNOWN[name]
    columns = find_columns(Features(features), SampleOptions(), name)
    assert " ".join([columns.task.name, *columns.inputs, columns.label]) == expected


def test_the_choice_is_reported():
    notes = find_columns(Features(KNOWN["cifar100"][0]), SampleOptions(), "cifar100").notes
    assert notes == ("label: column 'fine_label' (2 classes); also there: coarse_label", "input: column 'img' (image)")
    notes = find_columns(Features(KNOWN["amazon"][0]), SampleOptions(), "amazon").notes
    assert "input columns not taken: title" in notes
    assert any(
        "floating-point numbers" in note for note in find_columns(Features(KNOWN["stsb"][0]), SampleOptions(), "").notes
    )


def test_everything_can_be_said():
    features = Features(KNOWN["amazon"][0])
    columns = find_columns(features, SampleOptions(input_columns=("title", "content")), "amazon")
    assert columns.inputs == ("title", "content")
    conll = find_columns(Features(KNOWN["conll"][0]), SampleOptions(label_column="pos_tags"), "conll")
    assert (conll.task.name, conll.label) == ("token-classification", "pos_tags")
    scene = find_columns(Features(KNOWN["scene"][0]), SampleOptions(label_column="scene_category"), "scene")
    assert (scene.task.name, scene.inputs) == ("image-classification", ("image",))
    asked = find_columns(Features(KNOWN["odd label"][0]), SampleOptions(task="text-regression"), "odd")
    assert (asked.task.name, asked.label) == ("text-regression", "polarity")
    tags = find_columns(Features(KNOWN["conll"][0]), SampleOptions(task="token-classification"), "conll")
    assert tags.label == "ner_tags"
    mask = find_columns(
        Features({"a": Image(), "b": Image()}), SampleOptions(task="image-segmentation", label_column="b"), ""
    )
    assert mask.inputs == ("a",)


IMDB, CIFAR = KNOWN["imdb"][0], KNOWN["cifar100"][0]
REFUSED = {
    "two texts": (
        {"foo": TEXT, "bar": TEXT, "label": WHOLE},
        {},
        r"2 columns that could be the input: foo, bar.*input_columns.*foo \(string\)",
    ),
    "two labels": (
        {"text": TEXT, "foo": WHOLE, "bar": WHOLE},
        {},
        "could hold the labels: foo, bar. Choose one with `label_column`",
    ),
    "two class labels": ({"text": TEXT, "foo": BINARY, "bar": BINARY}, {}, "could hold the labels: foo, bar"),
    "no label": ({"text": TEXT}, {}, "no column that could hold labels.*Texts need a table, such as a CSV"),
    "no input": ({"label": WHOLE, "id": WHOLE}, {}, "no column with text as input"),
    "multi-label": (
        {"text": TEXT, "labels": TAGS},
        {},
        r"several labels per example \(column 'labels' holds lists.*Choose another.*labels \(lists of class labels\)",
    ),
    "multi-hot": ({"text": TEXT, "labels": List(Value("float32"))}, {}, "several labels per example"),
    "multi-hot by name": (
        {"text": TEXT, "hot": List(Value("float32"))},
        {"label_column": "hot"},
        "several labels per example",
    ),
    "input as label": (
        IMDB,
        {"input_columns": ("text", "label"), "label_column": "label"},
        "has text, label as input and label as label. Name a different column for each",
    ),
    "multi-label image": ({"image": Image(), "labels": TAGS}, {}, "several labels per example"),
    "mask or label": (
        {"image": Image(), "mask": Image(), "label": BINARY},
        {},
        "image-segmentation .column 'mask'. or for one label .*'label'",
    ),
    "tags or label": (
        {"tokens": WORDS, "ner_tags": TAGS, "intent": BINARY},
        {},
        "token-classification .column 'ner_tags'",
    ),
    "misspelt": (CIFAR, {"label_column": "fine_labels"}, "no column 'fine_labels'. Did you mean 'fine_label'"),
    "misspelt input": (IMDB, {"input_columns": ("txt",)}, "no column 'txt'. Did you mean 'text'"),
    "wrong type": (
        IMDB,
        {"task": "text-regression", "label_column": "label"},
        "column 'label' of type class labels, which cannot be the labels of text-regression",
    ),
    "several types": (
        {"text": TEXT, "label": datasets.Json()},
        {},
        r"of a type that cannot be used \(values of several types\)",
    ),
    "rows in a row": ({"data": List({"text": TEXT, "label": WHOLE})}, {}, "JSON has to hold one object per row"),
    "no masks": (IMDB, {"task": "image-segmentation"}, "no column for the labels of image-segmentation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_columns_are_refused_with_the_candidates(name):
    features, options, message = REFUSED[name]
    with pytest.raises(DatasetError, match=message) as caught:
        find_columns(Features(features), SampleOptions(**options), name)
    assert str(caught.value).startswith(f"The dataset {name} ") and "Its columns: " in str(caught.value)


@pytest.mark.parametrize("name", ["0", "a film of which I expected more", "cats/1.jpg", "-1.5"])
def test_a_table_without_header_is_told_from_its_names(name):
    features = Features({name: TEXT, "dull": TEXT})
    with pytest.raises(DatasetError, match=r"The first line may be a row: .* such as text,label\."):
        find_columns(features, SampleOptions(), "mine/films.csv")
    named = SampleOptions(input_columns=(name,), label_column="dull")
    assert "the first line, which is read as names, may be a row" in find_columns(features, named, "a.tsv").notes[-2]
    assert len(find_columns(features, named, "owner/films").notes) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_samples": 3}, "max_samples=3: expected at least 4"),
        ({"per_class": 1}, "per_class=1"),
        ({"task": "image-clasification"}, "Did you mean 'image-classification'"),
        ({"input_columns": "text"}, "expected one name, or two"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_invalid_options(options, message):
    with pytest.raises(OptionError, match=message):
        SampleOptions(**options)


def test_names_may_have_blanks_around_them():
    found = find_columns({"topic ": TEXT, " Text": TEXT, " label": TEXT, "id ": WHOLE}, SampleOptions(), "data.csv")
    assert (found.inputs, found.label) == ((" Text",), " label")


def test_the_row_numbers_that_pandas_writes_are_no_labels(tmp_path):
    rows = pd.DataFrame({"text": [f"text {n}" for n in range(8)], "colour": ["red", "blue"] * 4})
    rows.to_csv(tmp_path / "numbered.csv")
    assert load_sample(tmp_path / "numbered.csv").label_names == ("blue", "red")
    rows[["text"]].set_index(np.arange(8) % 2).to_csv(tmp_path / "alone.csv")
    assert load_sample(tmp_path / "alone.csv").label_names == ("0", "1"), "there is nothing else"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_paths_of_windows_are_followed(tmp_path, suffix):
    rows = []
    for number in range(4):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(number))
        rows.append({"image": rf"images\{number}.png", "label": number % 2})
    table, file = pd.DataFrame(rows), tmp_path / f"table.{suffix}"
    table.to_csv(file, index=False) if suffix == "csv" else table.to_json(file, orient="records", lines=True)
    assert (len(load_sample(file)), load_sample(file).task.name) == (4, "image-classification")
    secret = tmp_path.parent / f"{tmp_path.name}.png"
    secret.write_bytes(picture(0))
    table.assign(image=rf"images\..\..\{secret.name}").to_csv(tmp_path / "out.csv", index=False)
    with pytest.raises(DatasetError, match="leads out of the dataset's folder"):
        load_sample(tmp_path / "out.csv")


def test_folders_that_cannot_be_listed_are_errors_that_teach(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match="/ is the whole disk, not a dataset: name the folder of one."):
        load_sample("/")

    def shut(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("pathlib.Path.iterdir", shut)
    for store in (None, tmp_path / "samples"):
        with pytest.raises(DatasetError, match=r"cannot be read \(Permission denied: .*ask for the right to read it"):
            load_sample(str(tmp_path), folder=store)


def test_splits_in_capitals_are_not_joined_in_silence(tmp_path):
    for folder, names in (("capital", ("Train", "TEST")), ("lower", ("train", "test"))):
        for name in names:
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{name}.csv").write_text("text,label\n" + "one,a\ntwo,b\n" * 4)
    found = load_sample(tmp_path / "capital")
    assert "TEST and Train are read as one split, train: rename them to test and train to have splits" in found.notes
    assert len(found) == 16 and not any("one split" in note for note in load_sample(tmp_path / "lower").notes)


def test_labels_that_cannot_be_classes_are_told_what_to_do(tmp_path):
    file = tmp_path / "numbers.csv"
    file.write_text("text,score\n" + "".join(f"text {n},{n}\n" for n in range(40)))
    with pytest.raises(DatasetError, match="if these are numbers, a `task` that ends in -regression"):
        load_sample(file)
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n' * 8)
    with pytest.raises(DatasetError, match="Write all labels as numbers, or all as texts"):
        load_sample(mixed)


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08" + b"\0" * 20, b"no archive"])
def test_a_damaged_archive_of_a_table_is_an_error_of_the_dataset(tmp_path, content):
    file = tmp_path / "table.csv.gz"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match="table.csv.gz"):
        load_sample(file)
