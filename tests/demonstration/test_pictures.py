"""Which digits the pictures show, what warping does to them, and what the files hold."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from hf_transfer_score import SampleOptions, load_sample
from hf_transfer_score.demonstration.material import COPIES, SourceMaterial
from hf_transfer_score.demonstration.pictures import Labelled, Warp, source_digits, target_digits, warped, write_folder

STILL = Warp(turn=0, stretch=0, bend=0, noise=0, clutter=0)


def small(pictures):
    """Return pictures in the size that scikit-learn has them."""
    return pictures.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))


def test_the_source_is_the_digits_0_to_4():
    data, source = load_digits(), source_digits()
    originals = data.images[data.target < 5] / 16
    np.testing.assert_array_equal(source.labels, data.target[data.target < 5])
    assert np.abs(small(source.pictures) - originals).mean() < 0.08
    agreed = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small(source.pictures), originals, strict=True)]
    assert min(agreed) > 0.9


def test_the_target_is_every_digit_from_5_to_9_once():
    data, parts = load_digits(), target_digits(20, 0, STILL)
    assert np.bincount(parts["train"].labels).tolist() == [20] * 5
    together = np.concatenate([parts["train"].labels, parts["test"].labels])
    assert np.bincount(together).tolist() == np.bincount(data.target[data.target >= 5])[5:].tolist()
    pictures = np.concatenate([parts["train"].pictures, parts["test"].pictures])
    assert len({one.tobytes() for one in pictures}) == len(pictures)


def test_the_seed_draws_other_pictures_and_other_warps():
    first, again, other = (target_digits(5, seed)["train"].pictures for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


class TestWarping:
    def test_no_warp_changes_nothing(self):
        pictures = source_digits().pictures[:10]
        np.testing.assert_allclose(warped(pictures, np.random.default_rng(0), STILL), pictures, atol=1e-6)

    @pytest.mark.parametrize("part", ["turn", "stretch", "bend", "noise", "clutter"])
    def test_each_part_of_it_changes_something(self, part):
        pictures = source_digits().pictures[:10]
        alone = Warp(**{**vars(STILL), part: getattr(Warp(), part)})
        found = warped(pictures, np.random.default_rng(0), alone)
        assert all(np.abs(a - b).max() > 0.05 for a, b in zip(found, pictures, strict=True))
        assert found.min() >= 0
        assert found.max() <= 1

    def test_turning_turns_about_the_middle(self):
        picture = np.zeros((1, 32, 32), np.float32)
        picture[0, 15:17, :] = 1
        found = warped(picture, np.random.default_rng(3), Warp(turn=90, stretch=0, bend=0, noise=0, clutter=0))[0]
        angle = np.random.default_rng(3).uniform(-90, 90)
        down, across = np.nonzero(found > 0.5)
        slope = np.polyfit(across, down, 1)[0] if abs(angle) < 45 else 1 / np.polyfit(down, across, 1)[0]
        assert abs(abs(np.degrees(np.arctan(slope))) - abs(angle)) < 3
        assert found[15:17, 15:17].min() > 0.5


def test_the_folder_is_a_dataset_with_these_pictures(tmp_path):
    parts = target_digits(4, 0)
    write_folder({name: Labelled(one.pictures[:40], one.labels[:40]) for name, one in parts.items()}, tmp_path)
    sample = load_sample(str(tmp_path), SampleOptions(split="train"))
    assert (sample.task.name, sample.label_names) == ("image-classification", ("5", "6", "7", "8", "9"))
    there = {np.asarray(image.convert("L")).tobytes() for image in sample.examples(range(len(sample)))}
    assert there == {np.round(one * 255).astype(np.uint8).tobytes() for one in parts["train"].pictures}
    with Image.open(next((tmp_path / "test").rglob("*.png"))) as image:
        assert image.size == (32, 32)


def test_the_material_comes_back_from_its_file(tmp_path):
    made = SourceMaterial.make(0)
    back = SourceMaterial.read(made.write(tmp_path / "material.npz"))
    np.testing.assert_array_equal(back.augmented.pictures, made.augmented.pictures)
    np.testing.assert_array_equal(back.plain.labels, made.plain.labels)
    assert len(back.augmented) == COPIES * len(back.plain)
    np.testing.assert_array_equal(back.augmented.labels, np.tile(back.plain.labels, COPIES))
