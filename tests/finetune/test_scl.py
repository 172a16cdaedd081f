"""SCL-FT is another method than Layer-FT, for a network of every family."""

import numpy as np
import pytest
import torch

from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.finetune.built import before_last, usable_blocks
from hf_transfer_score.finetune.classifier import Classifier, Tap
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.sampling.sample import memory_sample
from hf_transfer_score.tasks import Waveform
from tests.checkpoints.images import vit
from tests.finetune.families import IMAGES, SOUNDS, TEXTS
from tests.finetune.made import QUICK, Loads, pictures, reviews

CPU = torch.device("cpu")
FEW = pictures(12, 1)
ONCE = {**QUICK, "epochs": 1, "batch_size": 3}


def tones(rows, seed):
    """Return short sounds of two classes, which differ in their pitch."""
    generator, labels = np.random.default_rng(seed), [row % 2 for row in range(rows)]
    times = np.arange(4_800) / 16_000
    waves = [np.sin(6.28 * (300 + 500 * label) * times) + generator.normal(0, 0.1, 4_800) for label in labels]
    sounds = [Waveform(wave.astype(np.float32), 16_000) for wave in waves]
    return memory_sample("audio-classification", sounds, labels)


KINDS = {
    **{name: (write, kind, pictures, "image-classification") for name, (write, kind) in IMAGES.items()},
    **{name: (write, "hub_text", reviews, "text-classification") for name, write in TEXTS.items()},
    **{name: (write, "hub_audio", tones, "audio-classification") for name, write in SOUNDS.items()},
}


@pytest.fixture(params=KINDS)
def family(request, tmp_path):
    """What loads a network of a family, and a small sample for it."""
    write, kind, sample, task = KINDS[request.param]
    return Loads(write(tmp_path / "network"), kind, task), sample(12, 1)


def blocks_and_batch(load, sample):
    backbone = load()
    classifier = Classifier(backbone, CPU)
    batch = classifier.batch(backbone.encode(sample.examples([0, 1, 2])))
    reached = classifier.reached(batch)
    return classifier, usable_blocks(classifier, set(map(id, reached.values()))), batch


def test_scl_differs_from_layer(family):
    load, sample = family
    classifier, blocks, batch = blocks_and_batch(load, sample)
    allowed = before_last(classifier, blocks, batch)
    assert allowed and list(blocks)[-1] not in allowed
    with torch.no_grad():
        plain = classifier.features(batch)
        for block in allowed.values():
            classifier.skip = Tap(block, classifier.backbone), "pad"
            skipped = classifier.features(batch)
            classifier.skip[0].remove()
            factor = (skipped * plain).sum() / plain.square().sum()
            assert not torch.allclose(skipped, factor * plain, rtol=1e-3), "nothing but another scale"
    before = list(allowed)[-1]
    recipes = [Recipe(method, layer=before, **ONCE) for method in ("scl", "layer")]
    scl, layer = (fine_tune(load, sample, sample, recipe, 0) for recipe in recipes)
    assert scl.layer == layer.layer == before
    trained = [one.module.state_dict() for one in load.loaded[-2:]]
    assert any(not torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A ViT of two blocks."""
    return Loads(vit(tmp_path_factory.mktemp("scl") / "vit"), "hub_vision")


@pytest.mark.parametrize("wanted", ["vit.layers.1", 1])
def test_the_last_block_is_refused_with_the_reason(plain, wanted):
    with pytest.raises(OptionError, match="is already the features, and scl would add them to themselves"):
        fine_tune(plain, FEW, FEW, Recipe("scl", layer=wanted, **ONCE), 0)


def test_auto_takes_a_block_before_the_last(plain):
    assert fine_tune(plain, FEW, FEW, Recipe("scl", **ONCE), 0).layer == "vit.layers.0"


def test_a_network_of_one_usable_block_is_refused(plain):
    classifier, blocks, batch = blocks_and_batch(plain, FEW)
    only = dict(list(blocks.items())[-1:])
    words = "has no block before the last one for the skip connection of scl"
    with pytest.raises(CheckpointError, match=words) as caught:
        before_last(classifier, only, batch)
    assert caught.value.kind == "unsupported"
