"""Images, masks and sounds that cannot be decoded are left out of a sample."""

import io

import datasets
import numpy as np
import pytest
import soundfile

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.load import load_sample
from tests.sampling.made import image_bytes, picture, sound


def damaged(content: bytes) -> bytes:
    """Return a file with its beginning and its end, and with zeros between them."""
    return content[:300] + bytes(len(content) - 400) + content[-100:]


def test_invalid_pictures(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    forms = {form: image_bytes(noise, form) for form in ("PNG", "JPEG", "WEBP", "GIF", "AVIF")}
    marked = forms["JPEG"][:700] + b"\xff\xc1" * 50 + forms["JPEG"][800:]  # markers that no JPEG has there
    halves = [whole[: len(whole) // 2] for whole in forms.values()]
    bad = [b"broken", b"", marked, *halves, *(damaged(forms[form]) for form in ("PNG", "GIF"))]
    good = [*map(picture, range(3)), forms["JPEG"] + b"\0\0", picture(3) + b"more", forms["PNG"][:-12], forms["WEBP"]]
    images = [{"bytes": content, "path": None} for content in [*good, *bad]]
    labels = [number % 2 for number in range(len(images) + 1)]
    rows = datasets.Dataset.from_dict({"image": [*images, None], "label": labels})
    sample = load_sample(rows.cast_column("image", datasets.Image()))
    assert len(sample.examples(range(len(good)))) == len(sample) == len(good)
    why = "they do not hold an undamaged image of at most 64 megapixels"
    assert f"{len(bad)} drawn examples were left out: {why}" in sample.notes
    assert f"1 of {len(labels)} rows without a label or input were left out" in sample.notes
    gone = datasets.Dataset.from_dict({"image": [{"bytes": None, "path": "gone.png"}] * 4, "label": [0, 1, 0, 1]})
    with pytest.raises(DatasetError, match="the path 'gone.png' instead of the content of a file"):
        load_sample(gone.cast_column("image", datasets.Image()))


def test_damaged_images_and_masks_are_left_out():
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    image, mask = image_bytes(noise), image_bytes(noise[..., 0] // 128)
    pairs = [(image, mask)] * 2 + [(damaged(image), mask), (image, mask[:-50])]
    columns = {
        name: [{"bytes": pair[place], "path": None} for pair in pairs] for place, name in enumerate(("image", "mask"))
    }
    rows = datasets.Dataset.from_dict(columns, features=datasets.Features(dict.fromkeys(columns, datasets.Image())))
    sample = load_sample(rows)
    assert len(sample) == 2 and any("2 drawn examples were left out: no pixel" in note for note in sample.notes)


def test_invalid_sounds(tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).uniform(-0.5, 0.5, 9000), 8000, format="FLAC")
    flac, empty, no_numbers = buffer.getvalue(), sound(0, 0), io.BytesIO()
    soundfile.write(no_numbers, np.array([0.1, np.nan, 0.2]), 8000, format="WAV", subtype="FLOAT")
    bad = [damaged(flac), flac[:3000], empty, b"", b"RIFF and no more", no_numbers.getvalue()]
    files = [*map(sound, range(4)), flac, *bad]
    for number, content in enumerate(files):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[number % 2] / f"{number}.{'flac' if content[:4] == b'fLaC' else 'wav'}").write_bytes(content)
    sample = load_sample(tmp_path)
    assert len(sample.examples(range(5))) == len(sample) == 5
    assert "6 drawn examples were left out: they are empty, or cannot be decoded as sound" in sample.notes


def test_a_damaged_file_is_not_taken_for_a_network_that_fails_and_no_server_learns_what_is_read(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("datasets.config.HF_UPDATE_DOWNLOAD_COUNTS", True)
    monkeypatch.setattr("datasets.load.get_session", lambda: asked.append("a server"))
    (tmp_path / "rows.parquet").write_bytes(b"no table")
    with pytest.raises(DatasetError, match=r"rows\.parquet is corrupt or not what its name says"):
        load_sample(tmp_path / "rows.parquet")
    assert asked == [] and datasets.config.HF_UPDATE_DOWNLOAD_COUNTS is True
