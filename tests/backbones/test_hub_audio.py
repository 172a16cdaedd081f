import numpy as np
import pytest
import torch
import transformers

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.hub_audio import KIND
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.backbones.sounds import resample
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Waveform, get_task
from tests.backbones import batched
from tests.backbones.batched import run
from tests.checkpoints.sounds import FAMILIES, RATE, write_sound
from tests.checkpoints.spoil import drop

CLASSIFY = get_task("audio-classification")
NOISE = np.random.default_rng(1).standard_normal(RATE * 2, dtype=np.float32)
SOUNDS = [
    Waveform(NOISE[:size] * np.linspace(0.1, height, size, dtype=np.float32), RATE)
    for size, height in ((4000, 1.0), (7211, 0.2), (5001, 0.6), (4000, 0.3))
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sounds")
    return {family: write_sound(root / family, family) for family in FAMILIES}


def rows_of(folder, sounds=SOUNDS, **options):
    return batched.rows_of(KIND, folder, sounds, CLASSIFY, **options)


def inputs_of(folder, sound):
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(sound.samples, sampling_rate=sound.rate, return_tensors="pt")
    mask = inputs.pop("attention_mask", None)
    if "input_features" in inputs and mask is not None:  # a frame that was added to make them even in number
        inputs["input_features"] = inputs["input_features"][:, : int(mask.sum())]
    return dict(inputs)


def states_of(folder, family, sound):
    """Return the states of one sound in every layer, the output, and which places are not padding, by hand."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = model.encoder if family == "whisper" else model
    with torch.inference_mode():
        output = model(**inputs_of(folder, sound), output_hidden_states=True)
    states = [one[0].numpy() for one in output.hidden_states]
    last = output.last_hidden_state[0].numpy()
    states = states if family == "sew" else [*states[:-1], last]  # whose layers have half the frames of its output
    if family == "whisper":  # a frame of the spectrogram is 160 samples, one of the encoder two of those
        return states, last, np.arange(-(-len(sound.samples) // 320))
    if family == "ast":  # patches of 8 frames, 4 apart, in 2 rows of frequencies behind 2 class tokens
        frames = min(64, 1 + (len(sound.samples) - 400) // 160)
        inside = [time for time in range(15) if time * 4 < frames]
        return states, last, np.array([2 + row * 15 + time for row in range(2) for time in inside])
    return states, last, slice(None)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_one_sound_at_a_time(folders, family):
    folder = folders[family]
    by_hand = [states_of(folder, family, sound) for sound in SOUNDS]
    layers = rows_of(folder, layer="all", pooling="mean")
    assert list(layers) == ["0", "1", "2"]
    for number in range(3):
        expected = [states[number][real].mean(0) for states, _, real in by_hand]
        np.testing.assert_allclose(layers[str(number)], expected, atol=2e-5)
    expected = [last[real].mean(0) for _, last, real in by_hand]
    np.testing.assert_allclose(rows_of(folder, pooling="mean")["last"], expected, atol=2e-5)
    expected = [last[real].max(0) for _, last, real in by_hand]
    np.testing.assert_allclose(rows_of(folder, pooling="max")["last"], expected, atol=2e-5)
    expected = [np.mean(states, 0)[real].mean(0) for states, _, real in by_hand]
    np.testing.assert_allclose(rows_of(folder, layer="mean", pooling="mean")["mean"], expected, atol=2e-5)
    default = [last[:2].mean(0) if family == "ast" else last[real].mean(0) for _, last, real in by_hand]
    np.testing.assert_allclose(rows_of(folder)["last"], default, atol=2e-5)
    assert np.abs(default[0] - default[1]).max() > 1e-3  # sounds differ enough for this to mean something


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_has_the_same_features_alone_and_among_others(folders, family):
    backbone = KIND.load(folders[family], CLASSIFY, BackboneOptions())
    together, alone = (run(backbone, SOUNDS, step)[0]["last"] for step in (0, 1))
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_padding_would_leak_through_a_norm_over_time(folders):
    backbone = KIND.load(folders["wav2vec2"], CLASSIFY, BackboneOptions())
    assert backbone.equal_lengths
    alone = run(backbone, SOUNDS)[0]["last"]
    backbone.equal_lengths = False
    assert np.abs(run(backbone, SOUNDS)[0]["last"] - alone).max() > 1e-3
    assert not KIND.load(folders["wav2vec2-layer"], CLASSIFY, BackboneOptions()).equal_lengths


HEADS = {"whisper": "ForAudioClassification", "ast": "ForAudioClassification"}


@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-layer", "whisper", "ast"])
def test_heads_give_their_probabilities_in_the_same_pass(tmp_path, folders, family):
    folder = write_sound(tmp_path, family, head=HEADS.get(family, "ForSequenceClassification"), num_labels=3)
    backbone = KIND.load(folder, CLASSIFY, BackboneOptions())
    rows, found = run(backbone, SOUNDS)
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = [model(**inputs_of(folder, sound)).logits[0].softmax(-1).numpy() for sound in SOUNDS]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert backbone.source_classes == 3
    if family != "whisper":  # whose head belongs to a class without the decoder
        _, last, real = states_of(folder, family, SOUNDS[0])
        expected = last[:2].mean(0) if family == "ast" else last[real].mean(0)
        np.testing.assert_allclose(rows["last"][0], expected, atol=2e-5)


def test_heads_without_weights_or_for_several_labels_are_left_out(tmp_path):
    several = {"num_labels": 3, "problem_type": "multi_label_classification"}
    folder = write_sound(tmp_path / "several", head="ForSequenceClassification", **several)
    assert run(KIND.load(folder, CLASSIFY, BackboneOptions()), SOUNDS)[1] is None
    folder = write_sound(tmp_path / "missing", head="ForSequenceClassification", num_labels=3)
    drop(folder, "classifier.")
    assert KIND.load(folder, CLASSIFY, BackboneOptions()).source_classes == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_very_short_silent_and_long_sounds(folders, family):
    backbone = KIND.load(folders[family], CLASSIFY, BackboneOptions())
    long = np.tile(NOISE, 17)
    sounds = [Waveform(NOISE[:0], RATE), Waveform(NOISE[:3], RATE), Waveform(np.zeros(900, np.float32), 8000)]
    sounds += [Waveform(long, RATE), Waveform(long[: 30 * RATE], RATE)]
    rows = run(backbone, sounds)[0]["last"]
    assert np.isfinite(rows).all() and rows.shape == (5, 16)
    np.testing.assert_allclose(rows[3], rows[4], atol=1e-6)  # what follows the first 30 seconds is not read


def test_sounds_are_resampled_to_the_rate_of_the_checkpoint(folders):
    time = np.arange(44_100) / 44_100
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    heard = resample(tone, 44_100, RATE)
    assert heard.shape == (RATE,) and heard.dtype == np.float32
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(heard[500:-500], expected[500:-500], atol=1e-3)
    assert len(resample(tone, 44_101, RATE)) == pytest.approx(RATE, rel=2e-3)  # an odd rate, rounded
    rows = rows_of(folders["wav2vec2-layer"], [Waveform(tone, 44_100), Waveform(heard, RATE)])["last"]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_poolings_that_make_no_sense(folders):
    for family, pooling, word in (("wav2vec2", "cls", "class token"), ("ast", "last", "order of its patches")):
        with pytest.raises(CheckpointError, match=word) as caught:
            KIND.load(folders[family], CLASSIFY, BackboneOptions(pooling=pooling))
        assert caught.value.kind == "unsupported"


def test_missing_weights_are_corrupt(tmp_path):
    folder = write_sound(tmp_path)
    drop(folder, "masked_spec_embed")  # for training only
    KIND.load(folder, CLASSIFY, BackboneOptions())
    drop(folder, "encoder.layers.0.attention.k_proj.weight")
    with pytest.raises(CheckpointError, match=r"lacks 1 of \d+ weights: encoder.layers.0.attention") as caught:
        KIND.load(folder, CLASSIFY, BackboneOptions())
    assert caught.value.kind == "corrupt"


def test_without_a_feature_extractor(tmp_path):
    folder = write_sound(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    for attempt in (
        lambda: KIND.files(Repository.from_folder(folder), BackboneOptions()),
        lambda: KIND.load(folder, CLASSIFY, BackboneOptions()),
    ):
        with pytest.raises(CheckpointError, match="has no feature extractor among its files") as caught:
            attempt()
        assert caught.value.kind == "no_preprocessor"
    for content, kind, words in (
        ('{"feature_extractor_type": "OwnExtractor"}', "unsupported", "Unrecognized feature extractor"),
        ('{"feature', "corrupt", "has a preprocessor_config.json that is not JSON"),
    ):
        (folder / "preprocessor_config.json").write_text(content)
        with pytest.raises(CheckpointError, match=words) as caught:
            KIND.load(folder, CLASSIFY, BackboneOptions())
        assert caught.value.kind == kind


def test_claims_and_files(folders):
    for family, folder in folders.items():
        repository = Repository.from_folder(folder)
        assert KIND.claims(repository), family
        named = KIND.files(repository, BackboneOptions())
        assert named[0] == "model.safetensors" and {"config.json", "preprocessor_config.json"} <= set(named)
    assert not KIND.claims(Repository("x", {"config.json": 1}, {"config.json": {"model_type": "bert"}}))


def test_lengths_are_samples_and_all_alike_where_sizes_are_fixed(folders):
    lengths = {}
    for family in ("wav2vec2", "whisper", "ast"):
        backbone = KIND.load(folders[family], CLASSIFY, BackboneOptions())
        lengths[family] = [backbone.length(item) for item in backbone.encode(SOUNDS)]
    assert lengths == {"wav2vec2": [4000, 7211, 5001, 4000], "whisper": [1] * 4, "ast": [1] * 4}
