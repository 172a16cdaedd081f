"""Which words and pixels are drawn."""

from collections import Counter

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Features, Image, Sequence, Value

from hf_transfer_score.errors import DatasetError, HiddenLabelsError
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.rows import draw_pixels, draw_words
from hf_transfer_score.sampling.sample import SampleOptions
from tests.sampling.made import image_bytes, picture, shards

TAGS = Features(
    {"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=["O", "B-PER", "B-LOC", "never"]))}
)


def tagged(tags: list[list[int]]) -> datasets.Dataset:
    words = [[f"{row}-{place}" for place in range(len(some))] for row, some in enumerate(tags)]
    return datasets.Dataset.from_dict({"tokens": words, "ner_tags": tags}, features=TAGS)


def labels_by_word(sample) -> dict[str, str]:
    ends = np.cumsum(sample.counts)
    found = {}
    for example, end, count in zip(sample.examples(range(len(sample))), ends, sample.counts, strict=True):
        assert (np.diff(example.positions) > 0).all()
        labels = sample.labels[end - count : end]
        found |= {
            example.words[place]: sample.label_names[label]
            for place, label in zip(example.positions, labels, strict=True)
        }
    return found


@pytest.mark.parametrize("streamed", [False, True])
def test_words_keep_their_labels(tmp_path, streamed):
    tags = [[0, 1, -100, 2], [0], [-100, -100], [2, 0, 0, 1]]
    rows = tagged(tags).to_iterable_dataset() if streamed else shards(tmp_path, tagged(tags), 2)
    sample = load_sample(rows)
    assert sample.task.name == "token-classification" and sample.label_names == ("O", "B-PER", "B-LOC")
    assert labels_by_word(sample) == {
        f"{row}-{place}": ["O", "B-PER", "B-LOC"][tag]
        for row, some in enumerate(tags)
        for place, tag in enumerate(some)
        if tag >= 0
    }
    assert any("1 of 4 rows without a label" in note for note in sample.notes)


def test_blank_words_are_not_drawn():
    rows = datasets.Dataset.from_dict({"tokens": [["a", " ", "b", None]], "ner_tags": [[0, 1, 1, 1]]}, features=TAGS)
    assert load_sample(rows).examples([0])[0].positions.tolist() == [0, 2]


def test_rare_labels_come_first():
    rng = np.random.default_rng(0)
    tags = [rng.choice(3, 50, p=[0.9, 0.08, 0.02]).tolist() for _ in range(200)]
    sample = load_sample(tagged(tags), SampleOptions(rows_per_example=8))
    assert sample.counts.tolist() == [8] * 200
    drawn, all_tags = Counter(sample.labels.tolist()), Counter(tag for some in tags for tag in some)
    rates = [drawn[tag] / all_tags[tag] for tag in range(3)]
    assert rates[0] < 0.8 * rates[1] and rates[1] < 0.9 * rates[2]
    assert drawn[0] > 0.4 * sample.rows, "the usual label is not lost"
    again = load_sample(tagged(tags), SampleOptions(rows_per_example=8))
    other = load_sample(tagged(tags), SampleOptions(rows_per_example=8, seed=1))
    assert again.fingerprint == sample.fingerprint != other.fingerprint


def test_words_by_hand():
    rng = np.random.default_rng(0)
    assert draw_words([0, -1, 1, -1, 0], [2, 1], 5, rng).tolist() == [0, 2, 4]
    hits = Counter(int(draw_words([0, 1], [100, 1], 1, rng)[0]) for _ in range(2200))
    assert 120 < hits[0] < 290, "chances of 1 to 10 for labels seen 100 times and once"


def test_word_labels_that_do_not_fit():
    rows = datasets.Dataset.from_dict({"tokens": [["a", "b"]] * 2, "ner_tags": [[0, 1, 1]] * 2}, features=TAGS)
    with pytest.raises(DatasetError, match="2 words in 'tokens' and 3 labels in 'ner_tags'; expected one label per"):
        load_sample(rows)
    with pytest.raises(HiddenLabelsError, match="All 2 labels"):
        load_sample(tagged([[-100, -1], [-100]]))


def masked(masks: list[np.ndarray], pictures: list[bytes] | None = None) -> datasets.Dataset:
    images = pictures or [picture(row, *mask.shape[:2]) for row, mask in enumerate(masks)]
    rows = {
        "image": [{"bytes": one, "path": None} for one in images],
        "mask": [{"bytes": image_bytes(mask), "path": None} for mask in masks],
    }
    return datasets.Dataset.from_dict(rows, features=Features({"image": Image(), "mask": Image()}))


def random_mask(seed: int, height: int = 12, width: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice([0, 3, 7, 255], (height, width), p=[0.8, 0.15, 0.01, 0.04]).astype(np.uint8)


def test_pixels_have_the_classes_of_the_mask():
    masks = [random_mask(seed) for seed in range(10)]
    sample = load_sample(masked(masks), SampleOptions(rows_per_example=9))
    assert sample.task.name == "image-segmentation" and sample.label_names == ("0", "3", "7")
    by_image = {picture(row, 12, 20): mask for row, mask in enumerate(masks)}
    ends = np.cumsum(sample.counts)
    contents = sample.table.column("input").to_pylist()
    for content, example, end, count in zip(contents, sample.examples(range(10)), ends, sample.counts, strict=True):
        places = (example.positions * (12, 20)).astype(int)
        np.testing.assert_allclose(places + 0.5, example.positions * (12, 20), atol=1e-4, err_msg="centres")
        values = by_image[content][places[:, 0], places[:, 1]]
        assert values.tolist() == [int(sample.label_names[label]) for label in sample.labels[end - count : end]]
        assert count == 9 == len({tuple(place) for place in places})


def test_classes_of_an_image_share_its_pixels():
    mask = np.zeros((20, 20), dtype=np.int64)
    mask[0, :4], mask[1, 0], mask[5] = 1, 2, 255
    _, values = draw_pixels(mask, [255], 13, np.random.default_rng(0))
    assert Counter(values.tolist()) == {0: 8, 1: 4, 2: 1}
    many = np.arange(400).reshape(20, 20)
    assert len(set(draw_pixels(many, [], 16, np.random.default_rng(0))[1].tolist())) == 16
    assert len(draw_pixels(np.full((3, 3), 255), [255], 16, np.random.default_rng(0))[1]) == 0


def test_values_to_leave_out():
    masks = [random_mask(seed) for seed in range(4)]
    assert load_sample(masked(masks), SampleOptions(ignore_values=(0, 255))).label_names == ("3", "7")
    assert load_sample(masked(masks), SampleOptions(ignore_values=())).label_names == ("0", "3", "7", "255")
    binary = [np.where(mask == 0, 0, 255).astype(np.uint8) for mask in masks]
    with pytest.raises(DatasetError, match=r"the only one is '0'. Ignored values: \[255\] \(`ignore_values`\)"):
        load_sample(masked(binary))


def test_masks_of_other_sizes_and_shapes():
    small = masked([random_mask(0, 6, 10)] * 3, [picture(row, 12, 20) for row in range(3)])
    assert len(load_sample(small)) == 3
    mixed = masked([random_mask(0)] * 3, [picture(0, 12, 20), picture(1, 20, 12), picture(2, 12, 20)])
    sample = load_sample(mixed)
    assert len(sample) == 2 and any("image and mask differ in shape" in note for note in sample.notes)


def test_masks_in_colour():
    grey = [np.repeat(random_mask(seed)[..., None], 3, axis=2) for seed in range(3)]
    assert load_sample(masked(grey)).label_names == ("0", "3", "7")
    colours = [np.random.default_rng(0).integers(0, 255, (12, 20, 3), dtype=np.uint8)] * 3
    with pytest.raises(DatasetError, match="an image of mode RGB; expected one channel with class numbers"):
        load_sample(masked(colours))
