"""`verify` on sounds: tones in folders, checkpoints of two families, a probe and real fine-tuning."""

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from hf_transfer_score import RankOptions, SampleOptions
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import verify
from tests.checkpoints.sounds import RATE, write_sound

PITCHES = {"low": 0.05, "middle": 0.3, "high": 0.9}
FAMILIES = ("wav2vec2", "whisper")
EACH, WIDTH = 20, 16


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of noisy tones of several lengths, a folder a pitch, beside two checkpoints."""
    folder, generator = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for pitch, step in PITCHES.items():
        (folder / "tones" / pitch).mkdir(parents=True)
        for number in range(EACH):
            length = 3000 + 400 * (number % 5)
            wave = np.sin(np.arange(length) * step * generator.uniform(0.9, 1.1) + generator.uniform(0, 6))
            noisy = wave + generator.normal(scale=0.1, size=length)
            soundfile.write(folder / "tones" / pitch / f"{number}.wav", noisy * 0.4, RATE)
    for family in FAMILIES:
        write_sound(folder / family, family)
    return folder


def verified(place, method):
    """Verify with half of the tones, and test on the other half."""
    quick = {"epochs": 2, "learning_rates": (1e-3,)} if method == "full" else {}
    return verify(
        str(place / "tones"),
        [str(place / family) for family in FAMILIES],
        options=RankOptions(sample=SampleOptions(per_class=EACH // 2), replicates=0),
        how=VerifyOptions(method, changes={"device": "cpu", **quick}, seeds=(0,)),
        folder=place / "home",
        save=place / method,
    )


@pytest.mark.parametrize("method", ["probe", "full"])
def test_sounds_are_fine_tuned(place, method):
    drawn = np.random.get_state()[1:3]  # noqa: NPY002  # what the masks of speech models would change
    report = verified(place, method)
    assert str(np.random.get_state()[1:3]) == str(drawn), "the seed decides, and no global generator"  # noqa: NPY002
    assert report.ranking.sample.task.name == "audio-classification"
    assert len(report.ranking.sample) == len(report.test) == len(PITCHES) * EACH // 2
    assert {name: one.reason for name, one in report.models.items()} == dict.fromkeys(FAMILIES)
    for family in FAMILIES:
        measured = report.models[family].measured[0]
        reached = parameters(place / family)
        head = measured.total_parameters - reached
        assert head == (WIDTH + 1) * len(PITCHES)
        assert measured.trainable_parameters == (head if method == "probe" else reached + head)
        assert measured.epochs == (0 if method == "probe" else 2)
    assert report.models["whisper"].mean > 0.9, "its mel bands tell pitches apart, and a guess gives a third"
    stored = [Record.from_json(path.read_bytes()) for path in (place / method / "records").rglob("*.json")]
    truths = {one.model.id: one.terms for one in stored if one.metric and one.metric.kind == "truth"}
    assert truths == {name: {"accuracy": one.mean} for name, one in report.models.items()}


def parameters(folder):
    """Return how many numbers of a checkpoint its last hidden state depends on, read from its file."""
    path = folder / "model.safetensors"
    apart = ("decoder.", "masked_spec_embed")
    return sum(value.size for name, value in load_file(path).items() if not name.startswith(apart))
