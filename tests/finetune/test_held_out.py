"""Test rows: none is trained on, and their classes have the same numbers as those of the training rows."""

from dataclasses import replace

import datasets
import numpy as np
import pytest

from hf_transfer_score.errors import DatasetError, NoTestRowsError
from hf_transfer_score.finetune.rows import held_out, other_proportions, training_and_test
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions, memory_sample


def split(name, labels, **columns):
    return datasets.Dataset.from_dict(
        {"text": [f"{name} row {row}" for row in range(len(labels))], "label": labels} | columns
    )


LABELS = ["cat", "dog"] * 20


def texts_of(sample):
    return sample.table.column("input").to_pylist()


def drawn(dataset, *, count=1000, test_split=None, **options):
    asked = SampleOptions(**options)
    train = load_sample(dataset, asked)
    return train, held_out(dataset, train, asked, split=test_split, count=count)


@pytest.mark.parametrize("options", [{"max_samples": 12}, {"per_class": 5}, {"max_samples": 12, "seed": 3}])
def test_without_another_split_rows_that_the_sample_left_are_taken(options):
    train, test = drawn(split("train", LABELS), **options)
    assert not set(texts_of(train)) & set(texts_of(test))
    assert sorted(texts_of(train) + texts_of(test)) == sorted(f"train row {row}" for row in range(40))
    assert [test.label_names[code] for code in test.labels] == [LABELS[int(text.split()[2])] for text in texts_of(test)]


def test_so_many_are_taken_at_most_and_the_same_ones_again():
    dataset = split("train", LABELS)
    first, again = (drawn(dataset, max_samples=10, count=8)[1] for _ in range(2))
    assert len(first) == 8
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != drawn(dataset, max_samples=11, count=8)[1].fingerprint
    assert any("8 test rows only" in note for note in first.notes)


def test_a_test_split_is_taken_where_it_has_labels():
    whole = datasets.DatasetDict(
        train=split("train", [0, 1] * 10), validation=split("validation", [0, 1] * 4), test=split("test", [0, 1] * 3)
    )
    assert drawn(whole)[1].source.split == "test"
    assert drawn(whole, test_split="validation")[1].source.split == "validation"
    hidden = datasets.DatasetDict({**whole, "test": split("test", [-1] * 6)})
    assert drawn(hidden)[1].source.split == "validation"
    assert drawn(whole, split="test", max_samples=4)[1].source.split == "validation"


def test_classes_have_the_numbers_of_the_training_rows_and_new_ones_are_left_out():
    whole = datasets.DatasetDict(
        train=split("train", ["dog", "eel"] * 5), test=split("test", ["cat", "eel", "dog", "dog", "eel", "cat"])
    )
    train, test = drawn(whole)
    assert [train.label_names[code] for code in test.labels] == [
        {"1": "eel", "2": "dog", "3": "dog", "4": "eel"}[text.split()[2]] for text in texts_of(test)
    ]
    assert any("2 test rows are of classes that the training sample lacks" in note for note in test.notes)


def test_rows_of_a_test_split_that_are_training_rows_too_are_left_out():
    rows = split("train", [0, 1] * 5)
    more = datasets.concatenate_datasets([rows, split("test", [0, 1, 1])])
    _, test = drawn(datasets.DatasetDict(train=rows, test=more))
    assert sorted(texts_of(test)) == ["test row 0", "test row 1", "test row 2"]
    assert any("10 test rows are also in the training sample" in note for note in test.notes)


def test_where_nothing_is_left_the_message_says_what_to_do():
    with pytest.raises(DatasetError, match=r"all 40 rows of the split .* Draw fewer rows with `per_class` or `max_sam"):
        drawn(split("train", LABELS))
    whole = datasets.DatasetDict(train=split("train", [0, 1] * 10))
    with pytest.raises(DatasetError, match="has no split 'tests'"):
        drawn(whole, test_split="tests")


def samples(own, other, names=("cat", "dog")):
    """Return training and test rows with so many of each class."""
    labels = ([code for code, count in enumerate(counts) for _ in range(count)] for counts in (own, other))
    made = (memory_sample("text-classification", [f"text {row}" for row in range(len(one))], one) for one in labels)
    return tuple(replace(one, label_names=names) for one in made)


def test_other_proportions_of_the_classes_are_a_note():
    (note,) = other_proportions(*samples((50, 50), (80, 20)))
    assert note.startswith(
        "The test rows hold the classes in other proportions than the balanced training sample (cat: 50% of the "
        "sample, 80% of the test rows)."
    )
    (note,) = other_proportions(*samples((60, 20), (30, 70)))
    assert "than the training sample (cat: 75% of the sample, 30% of the test rows)" in note
    (note,) = other_proportions(*samples((50, 50), (80, 20), names=None))
    assert "(class 0: 50%" in note
    (note,) = other_proportions(*samples((50, 50), (80, 20), names=("c\nat" * 30, "dog")))
    assert "\n" not in note and len(note) < 300, "names of classes are anybody's"


def test_like_proportions_are_no_note_nor_is_what_few_rows_make():
    assert other_proportions(*samples((50, 50), (520, 480))) == ()
    assert other_proportions(*samples((80, 20), (80, 20))) == ()
    many = [1 if row % 2 else 3 for row in range(40)]
    drawn_so = (np.bincount(np.random.default_rng(0).integers(0, 40, 80), minlength=40)).tolist()
    assert other_proportions(*samples([2] * 40, drawn_so, names=None)) == (), "80 rows of 40 classes are never equal"
    assert other_proportions(*samples([50] * 40, [5 * one for one in many], names=None)), "half of them thrice as often"


def test_of_a_dataset_that_is_all_in_the_sample_a_fifth_is_kept_for_the_test(tmp_path):
    whole, how = split("train", LABELS), {"split": None, "count": 1000, "folder": tmp_path}
    asked, train, test = training_and_test(whole, SampleOptions(), **how)
    assert (asked.max_samples, len(train), len(test)) == (32, 32, 8)
    assert not set(texts_of(train)) & set(texts_of(test)) and np.bincount(train.labels).tolist() == [16, 16]
    assert test.notes[0] == "8 of 40 rows are kept for the test; the ranking and the training use the others."
    with pytest.raises(NoTestRowsError, match="Draw fewer rows with `per_class`"):
        training_and_test(whole, SampleOptions(per_class=20), **how)
    balanced = SampleOptions(per_class=10)
    asked, _, test = training_and_test(whole, balanced, **how)
    assert (asked, len(test)) == (balanced, 20)
