"""Blocks of real architectures and the choice of one; SCL-FT is another method than Layer-FT, in every family."""

import numpy as np
import pytest
import timm
import torch

from hf_transfer_score import score_features
from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.finetune.built import before_last, choose_block, nc1_profile, usable_blocks
from hf_transfer_score.finetune.classifier import Classifier, Tap, blocks_of
from hf_transfer_score.finetune.fine_tune import fine_tune
from hf_transfer_score.finetune.loop import LabelledRows, Machine
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded
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


def test_scl_reads_other_features_than_layer(family):
    load, sample = family
    classifier, blocks, batch = blocks_and_batch(load, sample)
    allowed = before_last(classifier, blocks, batch)
    assert allowed and list(blocks)[-1] not in allowed
    with torch.no_grad():
        plain = classifier.features(batch)
        for block in allowed.values():
            with Tap(block, classifier.backbone) as tap:
                classifier.skip = tap, "pad"
                skipped = classifier.features(batch)
            factor = (skipped * plain).sum() / plain.square().sum()
            assert not torch.allclose(skipped, factor * plain, rtol=1e-3), "nothing but another scale"


@pytest.mark.parametrize("family", ["convnext", "timm vit", "t5", "whisper"], indirect=True)
def test_scl_trains_another_network_than_layer(family):
    load, sample = family
    before = list(before_last(*blocks_and_batch(load, sample)))[-1]
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


def test_blocks_of_image_models_of_timm():
    def names(architecture):
        return list(blocks_of(timm.create_model(architecture)))

    assert names("test_resnet") == ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]
    assert names("test_vit") == [f"blocks.{number}" for number in range(6)]
    assert names("test_efficientnet") == [f"blocks.{number}.0" for number in range(5)]
    opened = names("test_convnext3")
    assert len(opened) >= 4 and all(".blocks." in name for name in opened)
    assert {"s1", "s2", "s3", "s4"} <= set(names("regnetx_002"))  # keeps its stages by name, not in a sequence


def test_embeddings_larger_than_all_blocks_are_no_place_to_look_for_blocks():
    blocks = torch.nn.ModuleList(torch.nn.Sequential(torch.nn.Linear(2, 2)) for _ in range(2))
    words = torch.nn.ModuleDict({"table": torch.nn.Embedding(999, 2)})
    network = torch.nn.ModuleDict({"words": words, "body": torch.nn.ModuleDict({"layer": blocks})})
    assert list(blocks_of(network)) == ["body.layer.0.0", "body.layer.1.0"]


def test_blocks_of_transformers(checkpoints):
    from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, SwinConfig, SwinModel

    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 8}
    assert list(blocks_of(BertModel(BertConfig(vocab_size=9, **sizes)))) == [f"encoder.layer.{n}" for n in range(3)]
    gpt = GPT2Model(GPT2Config(vocab_size=9, n_embd=8, n_layer=2, n_head=2))
    assert list(blocks_of(gpt)) == ["h.0", "h.1"]
    swin = SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 2], num_heads=[2, 2], window_size=4)
    opened = [name.replace("encoder.layers.", "") for name in blocks_of(SwinModel(swin))]
    assert opened == ["0.blocks.0", "1.blocks.0", "1.blocks.1"]


@pytest.fixture(scope="module")
def looked_at(checkpoints):
    sample, machine = pictures(30, seed=1), Machine(Recipe(device="cpu"))
    backbone = Loads(checkpoints / "vit", "hub_vision")()
    classifier = Classifier(backbone, machine.device)
    reached = classifier.reached(classifier.batch(backbone.encode(sample.examples([0, 1]))))
    blocks = usable_blocks(classifier, set(map(id, reached.values())))
    return classifier, blocks, LabelledRows(Encoded(sample), np.arange(30), sample.labels), machine, sample


def test_the_profile_is_nc1_of_the_class_token_of_each_layer(looked_at):
    classifier, blocks, data, machine, sample = looked_at
    profile = nc1_profile(classifier, blocks, data, machine)
    inputs = classifier.batch(classifier.backbone.encode(sample.examples(range(30))))
    with torch.no_grad():
        states = classifier.backbone.module.vit(**inputs, output_hidden_states=True).hidden_states
    for number, name in enumerate(("vit.layers.0", "vit.layers.1")):
        scores = score_features(states[number + 1][:, 0].numpy(), sample.labels, metrics="nc1")
        assert profile[name] == pytest.approx(scores["nc1"].terms["nc1"], rel=1e-3)
    assert choose_block(*looked_at[:2], "auto", data, machine) == min(profile, key=profile.get)


def test_where_nc1_cannot_be_computed_it_is_the_block_in_the_middle(looked_at):
    classifier, blocks, data, machine, _ = looked_at
    one_class = LabelledRows(data.encoded, data.rows[:4], np.zeros(4, dtype=np.int64))
    assert choose_block(classifier, blocks, "auto", one_class, machine) == "vit.layers.1"


def test_a_block_is_named_or_counted(looked_at):
    classifier, blocks, data, machine, _ = looked_at
    assert choose_block(classifier, blocks, 0, data, machine) == "vit.layers.0"
    assert choose_block(classifier, blocks, "vit.layers.1", data, machine) == "vit.layers.1"
    with pytest.raises(OptionError, match="layer=7: this checkpoint has the blocks 0 to 1"):
        choose_block(classifier, blocks, 7, data, machine)
    with pytest.raises(OptionError, match="no such block. Did you mean 'vit.layers.1'"):
        choose_block(classifier, blocks, "vit.layer.1", data, machine)
