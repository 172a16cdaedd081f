"""Parts and settings for a checkpoint's own head and its own training are not used in fine-tuning."""

import numpy as np
import pytest
import torch

from hf_transfer_score.finetune.built import nc1_profile, usable_blocks
from hf_transfer_score.finetune.classifier import Classifier, Trained
from hf_transfer_score.finetune.fine_tune import fine_tune, nothing_learned, truth_metric, truth_record
from hf_transfer_score.finetune.loop import LabelledRows, Machine
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded
from hf_transfer_score.runs.layers import layer_profile
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.sample import SampleOptions, memory_sample
from tests.checkpoints import images
from tests.finetune.families import IMAGES, mobilenet, timm_small
from tests.finetune.made import CLASSES, QUICK, Loads, pictures
from tests.hub.repositories import write_files
from tests.records.test_record import OK
from tests.runs.pool import picture_shards

CPU = torch.device("cpu")
TRAIN, TEST = pictures(60, seed=1), pictures(60, seed=2)


def built(load):
    backbone = load()
    classifier = Classifier(backbone, CPU)
    reached = classifier.reached(classifier.batch(backbone.encode(TRAIN.examples([0, 1, 2]))))
    return classifier, Trained(classifier, reached, backbone.module)


def test_a_mobilenet_with_a_dropout_of_0_999_learns(tmp_path):
    load = Loads(mobilenet(tmp_path / "mobilenet"), "hub_vision")
    assert load().module.config.classifier_dropout_prob == 0.999
    recipe = Recipe("full", **{**QUICK, "learning_rates": (3e-4,), "batch_size": 8, "epochs": 12, "patience": None})
    one = fine_tune(load, TRAIN, TEST, recipe, 0)
    assert one.accuracy > 0.6 > 1.5 / CLASSES
    assert not one.notes


def test_features_in_training_are_those_in_front_of_the_dropout(tmp_path):
    load = Loads(mobilenet(tmp_path / "mobilenet"), "hub_vision")
    classifier, trained = built(load)
    assert [type(one).__name__ for one in trained.silent] == ["Dropout"]
    trained.train()
    assert classifier.backbone.module.mobilenet_v1.training and not classifier.backbone.module.dropout.training
    rows = classifier.features(classifier.batch(classifier.backbone.encode(TRAIN.examples(range(12)))))
    assert (rows == 0).double().mean() < 0.9, "dropout of 0.999 leaves next to nothing"
    norms = [one for one in classifier.backbone.module.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert norms and not any(one.training for one in norms), "their statistics are the checkpoint's"
    assert all(one.weight.requires_grad for one in norms)


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext3", "test_efficientnet"])
def test_networks_of_timm_have_their_dropout_in_a_module_or_in_none(tmp_path, architecture):
    arguments = {"drop_rate": 0.9, **({"img_size": 64} if architecture == "test_vit" else {})}
    load = Loads(timm_small(architecture, **arguments)(tmp_path / "network"), "timm_images")
    backbone = load()
    backbone.module.drop_rate = 0.9  # as an argument that is kept beside the weights leaves it
    for module in backbone.module.modules():
        if isinstance(module, torch.nn.Dropout) and not module.p:
            module.p = 0.9 if module in backbone.module.get_classifier().modules() else 0.0
    classifier, trained = built(lambda: backbone)
    trained.train()
    batch = classifier.batch(backbone.encode(TRAIN.examples(range(4))))
    with torch.no_grad():
        first, again = classifier.features(batch), classifier.features(batch)
    assert torch.equal(first, again)


def test_dropout_inside_blocks_is_left_at_work(tmp_path):
    backbone = Loads(images.vit(tmp_path / "vit"), "hub_vision")()
    for module in backbone.module.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    classifier, trained = built(lambda: backbone)
    assert not [one for one in trained.silent if any(one is other for other in backbone.module.vit.layers.modules())]
    trained.train()
    batch = classifier.batch(backbone.encode(TRAIN.examples(range(4))))
    with torch.no_grad():
        assert not torch.equal(classifier.features(batch), classifier.features(batch))


def test_a_network_that_learns_nothing_is_a_warning_in_the_record_too(tmp_path):
    load = Loads(images.vit(tmp_path / "vit"), "hub_vision")
    recipe = Recipe("full", **{**QUICK, "epochs": 1})
    alike = memory_sample("image-classification", TRAIN.examples([0] * 30), [row % CLASSES for row in range(30)])
    one = fine_tune(load, alike, TEST, recipe, 0)
    assert any(note.startswith("it hardly learned its own training rows") for note in one.notes)
    assert truth_record(OK, truth_metric(recipe, 0, TEST), one).warnings == one.notes
    assert nothing_learned(0.45, np.repeat([0, 1, 2], 10)), "within the luck of thirty rows"
    assert nothing_learned(0.92, np.repeat([0, 1], [90, 10])), "the largest class alone makes as much"
    assert not nothing_learned(0.97, np.repeat([0, 1], [90, 10]))
    assert not nothing_learned(1.0, np.array([0, 0, 1, 1])), "no more can be learned of a few rows"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A folder of pictures of three classes."""
    folder = tmp_path_factory.mktemp("pictures")
    write_files(folder / "pictures", picture_shards())
    return folder


@pytest.mark.parametrize("name", ["data2vec", "beit", "vit", "dinov2"])
def test_layers_and_verify_choose_by_the_same_numbers(shown, name):
    write, kind = IMAGES[name]
    folder = write(shown / name)
    options = RankOptions(sample=SampleOptions())
    profile = layer_profile(str(shown / "pictures"), str(folder), options=options, folder=shown / "home")
    sample = profile.report.sample
    load = Loads(folder, kind)
    classifier = Classifier(load(), CPU)
    reached = classifier.reached(classifier.batch(classifier.backbone.encode(sample.examples([0, 1]))))
    blocks = usable_blocks(classifier, set(map(id, reached.values())))
    data = LabelledRows(Encoded(sample), np.arange(len(sample)), sample.labels)
    own = nc1_profile(classifier, blocks, data, Machine(Recipe(device="cpu")))
    told = {one.layer: one.nc1 for one in profile.rows if one.layer != "0"}
    assert list(own.values()) == pytest.approx(list(told.values()), rel=1e-3)
    recipe = Recipe("layer", **{**QUICK, "epochs": 1, "steps": 1})
    chosen = fine_tune(load, sample, sample, recipe, 3).layer
    assert list(blocks).index(chosen) + 1 == int(profile.best.layer)
