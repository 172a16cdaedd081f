"""The stored sample: examples survive a round trip, and images of every kind are decoded as a viewer shows them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.media import decode_image, decode_sound
from hf_transfer_score.sampling.sample import LabelledSample, memory_sample
from hf_transfer_score.tasks import Pixels, Waveform, Words


def encoded(image, form="PNG", **settings):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **settings)
    return buffer.getvalue()


class TestImages:
    def test_transparency_becomes_white(self):
        image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
        image.putpixel((1, 0), (255, 0, 0, 255))
        assert np.asarray(decode_image(encoded(image))).tolist() == [[[255, 255, 255], [255, 0, 0]]]

    def test_palettes_with_transparency(self):
        image = Image.new("P", (1, 1), 3)
        image.putpalette([10, 20, 30] * 256)
        assert decode_image(encoded(image)).getpixel((0, 0)) == (10, 20, 30)
        assert decode_image(encoded(image, transparency=3)).getpixel((0, 0)) == (255, 255, 255)

    def test_sixteen_bits_of_grey_keep_their_shades(self):
        values = np.array([[0, 256 * 100, 65535]], dtype=np.uint16)
        found = np.asarray(decode_image(encoded(Image.fromarray(values))))
        assert found[0, :, 0].tolist() == [0, 100, 255]

    def test_images_are_turned_as_the_camera_was_held(self):
        image = Image.new("RGB", (2, 1), (0, 0, 0))
        exif = Image.Exif()
        exif[0x0112] = 6
        assert decode_image(encoded(image, exif=exif)).size == (1, 2)

    @pytest.mark.parametrize("mode", ["1", "L", "CMYK", "RGB"])
    def test_every_mode_becomes_rgb(self, mode):
        form = "JPEG" if mode == "CMYK" else "PNG"
        assert decode_image(encoded(Image.new(mode, (3, 2)), form)).mode == "RGB"

    @pytest.mark.parametrize("content", [b"", b"no image", encoded(Image.new("RGB", (64, 64), "red"))[:60]])
    def test_invalid_images_are_reported(self, content):
        with pytest.raises(DatasetError, match="it cannot be decoded as an image"):
            decode_image(content)

    def test_the_message_says_which_example(self):
        image = encoded(Image.effect_noise((64, 64), 50).convert("RGB"))
        sample = memory_sample("image-classification", [Image.new("RGB", (2, 2))], [0], name="mine")
        table = sample.table.set_column(0, "input", [[image[: len(image) // 2]]])
        with pytest.raises(
            DatasetError, match=r"Example 0 of the sample of the dataset mine is damaged: it cannot be .*`seed`"
        ):
            replace(sample, table=table).examples([0])


class TestSounds:
    def test_several_channels_become_their_mean(self):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.array([[0.5, -0.5], [0.2, 0.4]]), 8000, format="WAV", subtype="FLOAT")
        sound = decode_sound(buffer.getvalue())
        assert sound.rate == 8000 and np.allclose(sound.samples, [0.0, 0.3]) and sound.samples.dtype == np.float32

    def test_invalid_sounds_are_reported(self):
        with pytest.raises(DatasetError, match=r"it cannot be decoded as sound \([^<]*not recognised\.\)"):
            decode_sound(b"no sound")


SAMPLES = [
    ("text-classification", ["a", "b", "c"], [0, 1, 0]),
    ("text-classification", [("a", "x"), ("b", "y"), ("c", "z")], [0, 1, 0]),
    ("text-regression", ["a", "b", "c"], [0.5, 1.5, -2.0]),
    ("token-classification", [Words(["a", "b"], np.array([0, 1])), Words(["c"], np.array([0]))], [[1, 0], [1]]),
    ("image-classification", [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")], [0, 1]),
    (
        "image-segmentation",
        [Pixels(Image.new("RGB", (2, 2)), np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32))],
        [[0, 1]],
    ),
    ("audio-classification", [Waveform(np.array([0.1, -0.2], dtype=np.float32), 16000)], [0]),
]


def plain(example):
    if isinstance(example, Image.Image):
        return np.asarray(example).tolist()
    if isinstance(example, (Words, Pixels, Waveform)):
        return [plain(part) if isinstance(part, Image.Image) else np.asarray(part).tolist() for part in example]
    return example


@pytest.mark.parametrize(("task", "inputs", "truth"), SAMPLES)
def test_stored_examples_are_read_in_any_order(tmp_path, task, inputs, truth):
    sample = memory_sample(task, inputs, truth, label_names=["no", "yes"])
    sample.save(tmp_path / "sample.arrow")
    loaded = LabelledSample.load(tmp_path / "sample.arrow")
    for one in (sample, loaded):
        order = list(reversed(range(len(inputs))))
        assert [plain(example) for example in one.examples(order)] == [plain(inputs[place]) for place in order]
        rows = [value for part in truth for value in (part if isinstance(part, list) else [part])]
        values = one.labels if one.task.truth == "labels" else one.targets
        assert values.tolist() == rows and one.rows == len(rows) == one.counts.sum()
    assert loaded.fingerprint == sample.fingerprint and loaded.source == sample.source
    assert loaded.label_names == ("no", "yes")


def test_the_fingerprint_changes_with_every_input_and_label():
    prints = {
        memory_sample("text-classification", inputs, truth).fingerprint
        for inputs, truth in [(["a", "b"], [0, 1]), (["a", "c"], [0, 1]), (["a", "b"], [1, 0]), (["ab", ""], [0, 1])]
    }
    assert len(prints) == 4
