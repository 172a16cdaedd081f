"""What networks go through before they are ranked, and the checkpoints this leaves."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from hf_transfer_score import BackboneOptions, get_task
from hf_transfer_score.backbones import timm_images
from hf_transfer_score.demonstration.material import SourceMaterial
from hf_transfer_score.demonstration.pictures import as_bytes, target_digits
from hf_transfer_score.demonstration.pretraining import _lessons, network_inputs, write_checkpoint
from hf_transfer_score.demonstration.zoo import SCHOOLINGS, WELL, ZOO, Member

ARCHITECTURE = "test_efficientnet_gn"


@pytest.fixture(scope="module")
def material():
    return SourceMaterial.make(0)


def lessons(name, material, seed=0):
    return _lessons(SCHOOLINGS[name], material, np.random.default_rng(seed))


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_each_architecture_is_there_well_pre_trained_and_once_worse():
    assert len(ZOO) == len({member.name for member in ZOO}) == 12
    by_architecture = {}
    for member in ZOO:
        by_architecture.setdefault(member.architecture, []).append(member.schooling)
    assert len(by_architecture) == 6
    assert all(kinds[0] == WELL and kinds[1] != WELL for kinds in by_architecture.values())
    assert {member.schooling for member in ZOO} == set(SCHOOLINGS)


class TestLessons:
    def test_well_pre_trained_on_all_augmented_pictures(self, material):
        found = lessons(WELL, material)
        np.testing.assert_array_equal(found.pictures, material.augmented.pictures)
        np.testing.assert_array_equal(found.labels, material.augmented.labels)

    def test_few_images(self, material):
        found = lessons("few-images", material)
        there = {
            one.tobytes(): label for one, label in zip(material.plain.pictures, material.plain.labels, strict=True)
        }
        assert len(found) == 60
        assert all(there[one.tobytes()] == label for one, label in zip(found.pictures, found.labels, strict=True))

    def test_rotations_are_told_by_quarters(self, material):
        found = lessons("rotations", material)
        assert set(found.labels) == {0, 1, 2, 3}
        for turned, quarters, picture in zip(
            found.pictures[:50], found.labels, material.augmented.pictures, strict=False
        ):
            np.testing.assert_array_equal(np.rot90(turned, -quarters), picture)

    def test_noisy_labels_tell_nothing(self, material):
        found = lessons("noisy-labels", material)
        assert 0.1 < (found.labels == material.augmented.labels).mean() < 0.3
        assert material.augmented.labels.tolist() == SourceMaterial.make(0).augmented.labels.tolist()


class TestCheckpoints:
    def test_the_same_seed_gives_the_same_weights(self, material, tmp_path, one_thread):
        member = Member(ARCHITECTURE, WELL)
        first, again, other = (
            weights(write_checkpoint(member, material, tmp_path / name, seed, 2))
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        )
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_no_global_generator_is_touched(self, material, tmp_path):
        state = torch.random.get_rng_state()
        write_checkpoint(Member(ARCHITECTURE, "untrained"), material, tmp_path, 0, 1)
        assert torch.equal(state, torch.random.get_rng_state())

    def test_steps_are_those_of_the_schooling_at_most(self, material, tmp_path, monkeypatch):
        seen = []
        monkeypatch.setattr(
            "hf_transfer_score.demonstration.pretraining._train", lambda *arguments: seen.append(arguments[2])
        )
        for name in (WELL, "few-steps", "untrained"):
            write_checkpoint(Member(ARCHITECTURE, name), material, tmp_path, 0, 100)
        assert seen == [100, SCHOOLINGS["few-steps"].steps, 0]

    def test_pre_training_teaches_the_source(self, material, tmp_path, one_thread):
        folder = write_checkpoint(Member(ARCHITECTURE, WELL), material, tmp_path, 0, 80)
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        unseen = SourceMaterial.make(1).augmented
        with torch.inference_mode():
            told = model(network_inputs(unseen.pictures[:400])).argmax(1).numpy()
        assert (told == unseen.labels[:400]).mean() > 0.6

    def test_rank_reads_the_files_as_training_saw_the_pictures(self, material, tmp_path):
        folder = write_checkpoint(Member(ARCHITECTURE, "untrained"), material, tmp_path, 0, 1)
        assert json.loads((folder / "config.json").read_text())["architecture"] == ARCHITECTURE
        backbone = timm_images.load(folder, get_task("image-classification"), BackboneOptions())
        levels = [as_bytes(one) for one in target_digits(4, 0)["train"].pictures]
        batch = backbone.collate(backbone.encode([Image.fromarray(one) for one in levels]))
        with torch.inference_mode():
            features = backbone.forward(batch).features["last"]
            model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
            inputs = network_inputs(np.stack(levels).astype(np.float32) / 255)
            expected = model.forward_head(model.forward_features(inputs), pre_logits=True)
        torch.testing.assert_close(features, expected)
