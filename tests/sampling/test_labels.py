"""Labels of all kinds: names, numbers, missing ones, hidden ones, and invalid ones."""

import datasets
import numpy as np
import pytest

from hf_transfer_score.errors import DatasetError, HiddenLabelsError, OptionError
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions
from tests.sampling.made import pictures, row_numbers, shards, texts

LABEL_KINDS = {
    "strings": (["no", "yes", "no", "yes"], ("no", "yes"), [0, 1, 0, 1]),
    "bools": ([True, False, False, True], ("False", "True"), [1, 0, 0, 1]),
    "whole": ([7, 3, 7, 11], ("3", "7", "11"), [1, 0, 1, 2]),
    "signs": ([-1, 1, 1, -1], ("-1", "1"), [0, 1, 1, 0]),
    "blank": (["b", " \t", "a", "\u00a0"], ("a", "b"), [1, None, 0, None]),
    "some missing": (["b", None, "a", ""], ("a", "b"), [1, None, 0, None]),
}


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_labels_of_all_kinds(kind):
    labels, names, expected = LABEL_KINDS[kind]
    sample = load_sample(texts(labels))
    assert sample.label_names == names
    assert dict(zip(row_numbers(sample), sample.labels.tolist(), strict=True)) == {
        row: label for row, label in enumerate(expected) if label is not None
    }
    left_out = [note for note in sample.notes if note == "2 of 4 rows without a label or input were left out"]
    assert len(left_out) == (kind in ("blank", "some missing"))


def test_classes_that_differ_only_in_blanks_are_pointed_out():
    sample = load_sample(texts(["a", "a ", "b", "A"] * 3))
    assert sample.label_names == ("A", "a", "a ", "b")
    assert "some classes differ only in case or blanks, and may be meant as one: 'A', 'a', 'a '" in sample.notes


def test_class_labels_of_minus_one_are_missing():
    rows = pictures([0, -1, 1, -1, 0, 1], ["a", "b"])
    assert len(load_sample(rows)) == 4


def test_whole_numbers_with_gaps_are_classes_unless_the_user_says_otherwise(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\nrow 0,1\nrow 1,\nrow 2,0\nrow 3,1\n")
    sample = load_sample(tmp_path / "rows.csv")
    assert sample.task.name == "text-classification" and sample.label_names == ("0", "1")
    assert dict(zip(row_numbers(sample), sample.labels.tolist(), strict=True)) == {0: 1, 2: 0, 3: 1}
    asked = load_sample(tmp_path / "rows.csv", SampleOptions(task="text-regression"))
    assert sorted(asked.targets) == [0, 1, 1]
    assert any("all targets are whole numbers" in note and "text-classification" in note for note in asked.notes)


def test_words_that_mean_an_empty_cell_in_csv_files_are_told(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\nrow 0,for\nrow 1,None\nrow 2,against\nrow 3,for\n")
    told = "in CSV files, words such as NA, None and null mean an empty cell"
    notes = load_sample(tmp_path / "rows.csv").notes
    assert f"1 of 4 rows without a label or input ({told}) were left out" in notes
    (tmp_path / "rows.csv").write_text("text,label\nrow 0,for\nrow 1,None\n")
    with pytest.raises(DatasetError, match=f"the only one is 'for'. Some rows have no label: {told}"):
        load_sample(tmp_path / "rows.csv")


def test_targets_without_anything_to_predict_are_refused():
    with pytest.raises(DatasetError, match="All targets in column 'label' of the dataset in memory are 1.5"):
        load_sample(texts([1.5] * 5))
    with pytest.raises(DatasetError, match="Column 'label' of the dataset in memory holds -inf.*remove these rows"):
        load_sample(texts([0.5, -np.inf, 1.5]))


def test_files_of_one_dataset_may_store_a_class_as_number_or_text(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "row 0,0\nrow 1,1\n" * 3)
    (tmp_path / "b.csv").write_text("text,label\n" + "row 0,0\nrow 2,unknown\nrow 3,\n" * 3)
    sample = load_sample(tmp_path)
    assert sample.label_names == ("0", "1", "unknown") and len(sample) == 12
    (tmp_path / "c.csv").write_text("review,stars\nrow 4,1\n")
    with pytest.raises(DatasetError, match="do not all have the same columns and types: make its files alike"):
        load_sample(tmp_path)


def test_regression_is_a_uniform_draw():
    sample = load_sample(texts([row / 7 for row in range(500)]), SampleOptions(max_samples=100))
    assert sample.task.name == "text-regression" and len(sample) == 100
    assert sample.targets.tolist() == [row / 7 for row in row_numbers(sample)]
    assert 20 < np.mean(sample.targets) < 51 and sample.labels is None
    with pytest.raises(OptionError, match="per_class=5: examples of text-regression have no class"):
        load_sample(texts([0.5, 0.7]), SampleOptions(per_class=5))


def test_hidden_labels_name_the_split_to_use():
    splits = datasets.DatasetDict(
        train=texts([0, 1]), validation=texts([1, 0]), test=texts([-1, -1]), other=texts([-1])
    )
    with pytest.raises(
        HiddenLabelsError,
        match="All 2 labels in the split test of the dataset in memory.*use the split train or validation",
    ):
        load_sample(splits, SampleOptions(split="test"))
    with pytest.raises(HiddenLabelsError, match="holds -1 or nothing"):
        load_sample(pictures([-1, -1], ["a", "b"]))
    with pytest.raises(HiddenLabelsError, match="name another `label_column`"):
        load_sample(texts([None, None]))


def test_hidden_labels_in_files(tmp_path):
    shards(tmp_path, texts([0, 1] * 10), 1)
    shards(tmp_path, texts([-1] * 20), 1, "test")
    with pytest.raises(HiddenLabelsError, match="use the split train"):
        load_sample(tmp_path, SampleOptions(split="test"))


def test_invalid_classifications():
    with pytest.raises(
        DatasetError,
        match="At least 2 classes are needed, and in column 'label' of the dataset in memory the only one is 'a'",
    ):
        load_sample(texts(["a"] * 5))
    with pytest.raises(DatasetError, match="more than 2500 different values, such as 0 and 2499.*-regression"):
        load_sample(texts(list(range(6000))))
    with pytest.raises(DatasetError, match=r"set a larger `max_samples` \(at least 40\), name another `label_column`"):
        load_sample(pictures(list(range(20)), [str(n) for n in range(20)]), SampleOptions(max_samples=30))
    with pytest.raises(DatasetError, match="holds 0.5, which is not a class"):
        load_sample(texts([0.5, 1.0]), SampleOptions(task="text-classification"))


def test_labels_that_tell_no_classes_are_refused_and_few_examples_are_noted():
    texts = [f"row {row}" for row in range(30)]
    with pytest.raises(
        DatasetError, match="Each of the 30 rows has its own label in column 'label'.*another `label_column`"
    ):
        load_sample({"text": texts, "label": [f"{row}x" for row in range(30)]})
    few = load_sample({"text": texts[:5], "label": ["a", "a", "b", "b", "c"]})
    assert few.notes[-2:] == (
        "1 class has a single row: c",
        "only 5 examples of 3 classes: too few to trust the order; 5 per class are the least, and 20 are better",
    )
    enough = load_sample({"text": texts[:20], "label": ["a", "b"] * 10})
    assert not any("too few" in note for note in enough.notes)
