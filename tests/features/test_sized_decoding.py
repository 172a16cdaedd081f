"""Large JPEGs are decoded at a smaller size only if that saves time, and the features stay the same."""

import io

import numpy as np
import pytest
from PIL import Image

from hf_transfer_score.backbones import timm_images
from hf_transfer_score.backbones.base import BackboneOptions, BatchOutput, MemoryBackbone
from hf_transfer_score.features import batches
from hf_transfer_score.features.batches import Loader
from hf_transfer_score.features.precision import Precision, possible
from hf_transfer_score.features.runtimes import is_installed
from hf_transfer_score.sampling.media import decode_image
from hf_transfer_score.sampling.sample import memory_sample
from tests.checkpoints.images import timm_image
from tests.features.extracted import features


def photo(number, form="JPEG", **options):
    """Return an image of 400 x 300 pixels, with large and small shapes."""
    noise = np.random.default_rng(number)
    large, small = (noise.integers(0, 255, (height, height, 3), dtype=np.uint8) for height in (6, 60))
    images = [Image.fromarray(one).resize((400, 300), Image.Resampling.BICUBIC) for one in (large, small)]
    buffer = io.BytesIO()
    Image.blend(*images, 0.2).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos():
    return memory_sample("image-classification", [photo(number) for number in range(10)], [0, 1] * 5)


@pytest.fixture
def decoding_is_slow(monkeypatch):
    monkeypatch.setattr(batches, "DECODING_SECONDS", 1.0)


class Cropped(MemoryBackbone):
    """A model that reads the first pixels of an image, as it comes."""

    def __init__(self):
        super().__init__(lambda image: np.asarray(image)[:8, :8])

    def encode(self, examples):
        return [one.reshape(1, 3, 8, 8) for one in super().encode(examples)]

    def forward(self, batch):
        return BatchOutput({"last": batch["rows"].flatten(1)})


def test_large_jpegs_are_decoded_smaller_and_the_features_stay_the_same(photos, tmp_path, decoding_is_slow):
    backbone = timm_images.KIND.load(timm_image(tmp_path / "model"), photos.task, BackboneOptions(image_size=64))
    side = Loader(backbone, photos).prepare(np.arange(2)).inputs["pixel_values"].shape[-1]
    expected, about = features(backbone, photos, tmp_path / "exact", dtype="float32", batch_size=4)
    assert "sized_decoding" not in about
    found, about = features(backbone, photos, tmp_path, dtype="auto", runtime="torch", batch_size=4)
    assert (about["sized_decoding"], about["dtype"], about.get("note")) == (True, "float32", None)
    assert (found != expected).any(axis=1).all(), "every row, also those of the trial"
    assert np.allclose(found, expected, rtol=0.01, atol=0.01 * np.abs(expected).max())
    (size,) = {one.size for one in photos.examples(range(10), 2 * side)}
    assert min(size) >= 2 * side and size[0] < 400
    way = Precision.of(about)
    assert way in possible("auto", "torch", images=True) and way.details() == {
        "runtime": "torch",
        "sized_decoding": True,
    }


def test_a_model_that_reads_images_as_they_come_gets_them_whole(photos, tmp_path, decoding_is_slow):
    expected, _ = features(Cropped(), photos, tmp_path / "exact", dtype="float32", batch_size=4)
    found, about = features(Cropped(), photos, tmp_path, dtype="auto", runtime="torch", batch_size=4)
    assert np.array_equal(found, expected) and "sized_decoding" not in about


@pytest.mark.skipif(not is_installed(), reason="OpenVINO is an extra and not installed")
@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_only_auto_decodes_smaller_with_openvino_too(photos, tmp_path, decoding_is_slow, dtype):
    backbone = timm_images.KIND.load(timm_image(tmp_path / "model"), photos.task, BackboneOptions(image_size=64))
    _, about = features(backbone, photos, tmp_path, dtype=dtype, runtime="openvino", batch_size=4)
    assert about["runtime"] == "openvino" and about.get("sized_decoding", False) is (dtype == "auto")
    assert Precision.of(about) in possible(dtype, "openvino", images=True)


def test_other_formats_small_images_and_short_work_are_read_as_they_are(photos, tmp_path):
    backbone = timm_images.KIND.load(timm_image(tmp_path / "model"), photos.task, BackboneOptions(image_size=64))
    _, about = features(backbone, photos, tmp_path, dtype="auto", runtime="torch", batch_size=4)
    assert "sized_decoding" not in about
    pngs = memory_sample("image-classification", [photo(0, "PNG"), photo(1, "PNG")], [0, 1])
    loader = Loader(backbone, pngs)
    assert loader.smaller(loader.prepare(np.arange(2)))[1] == 0.0
    assert decode_image(photo(0), 151).size == (400, 300) and decode_image(photo(0), 150).size == (200, 150)


def test_a_turned_photo_is_turned_at_any_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    whole, small = (decode_image(photo(3, exif=exif), side) for side in (None, 100))
    assert (whole.size, small.size) == ((300, 400), (150, 200))
    apart = np.asarray(whole.resize(small.size, Image.Resampling.BOX), dtype=int) - np.asarray(small)
    assert np.abs(apart).mean() < 2
