"""Encodes and decodes images and sound.

The bytes are untrusted: only decoders of plain image formats are used, and images beyond a size limit are refused.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError, OptionError
from hf_transfer_score.tasks import Pixels, Waveform, Words
from hf_transfer_score.untrusted import PIXELS, PIXELS_AT_ONCE, SIDE, SLENDER

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "PSD"),
    *("SGI", "TGA", "TIFF", "WEBP", "XBM"),
)
"""Formats that are decoded, by Pillow's names; PostScript is missing, since it is drawn by running other programs."""

PNG_MODES = ("1", "I", "I;16", "I;16B", "L", "LA", "P", "RGB", "RGBA")  # others are converted
UNREADABLE = (OSError, RuntimeError, SyntaxError, ValueError)  # what Pillow raises for a damaged image
SAMPLES_AT_ONCE = 2**18  # of a sound that is decoded only to check it
PATH = "path"  # marks a value stored as the path of its file, which is read only if its row is drawn


class PixelBudget:
    """An amount that threads share: each waits until there is enough left for it, or until it is alone."""

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0
        self.changed = Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Take an amount for as long as the block lasts."""
        with self.changed:
            self.changed.wait_for(lambda: not self.used or self.used + amount <= self.most)
            self.used += amount
        try:
            yield
        finally:
            with self.changed:
                self.used -= amount
                self.changed.notify_all()


DECODED = PixelBudget(PIXELS_AT_ONCE)
"""Pixels of decoded images that the threads of this process hold."""


def as_media(value: Any) -> bytes | list[str] | None:
    """Return the bytes of an image or sound of a dataset, or [PATH, the path of its file]."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, (str, Path)):
        return [PATH, str(value)]
    if isinstance(value, dict):
        if value.get("array") is not None:
            samples = np.asarray(value["array"], dtype=np.float32)
            if samples.ndim != 1:
                samples = samples.mean(axis=0 if samples.shape[0] < samples.shape[-1] else -1)
            return encode_sound(Waveform(samples, int(value["sampling_rate"])))
        content, path = value.get("bytes"), value.get("path")
        return [PATH, str(path)] if path and not content else content
    encoded = encode_input(value)
    if not isinstance(encoded, bytes):
        raise DatasetError(f"Expected an image or sound as bytes, as a path or decoded; got {type(value).__name__}.")
    return encoded


def encode_input(value: Any) -> Any:
    """Return an input in the form stored in a sample: bytes for images and sound, the words of `Words`, else itself."""
    if isinstance(value, Pixels):
        value = value.image
    if isinstance(value, Words):
        return value.words
    if isinstance(value, Waveform):
        return encode_sound(value)
    if hasattr(value, "save") and hasattr(value, "convert"):
        return _encoded_image(value)
    return value


def _encoded_image(image: Any) -> bytes:
    """Return an image of Pillow as a PNG; nothing if it is empty, or if its file turns out to be damaged."""
    buffer = io.BytesIO()
    try:
        if image.mode not in PNG_MODES:
            image = image.convert("RGBA" if image.mode in ("PA", "RGBa") else "RGB")
        image.save(buffer, format="PNG")
    except UNREADABLE:
        return b""
    return buffer.getvalue()


def encode_sound(sound: Waveform) -> bytes:
    """Return sound as a WAV file of 32-bit floats, without loss."""
    buffer = io.BytesIO()
    sound_library().write(
        buffer, np.asarray(sound.samples, dtype=np.float32), sound.rate, format="WAV", subtype="FLOAT"
    )
    return buffer.getvalue()


def decode_sound(content: bytes) -> Waveform:
    """Decode sound into one channel, the mean of all."""
    soundfile = sound_library()
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        said = getattr(error, "error_string", error)  # the error itself also names the buffer
        raise DatasetError(f"it cannot be decoded as sound ({said}).") from error
    return Waveform(np.ascontiguousarray(samples.mean(axis=1)), int(rate))


def is_sound(content: bytes) -> bool:
    """Return whether a sound can be decoded, is not empty and holds numbers.

    After a valid header only FLAC fails, and only floats can be no numbers.
    """
    soundfile = sound_library()
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            sure = sound.format != "FLAC" and sound.subtype not in ("FLOAT", "DOUBLE")
            blocks = () if sure else sound.blocks(SAMPLES_AT_ONCE, dtype="float32")
            return bool(sound.frames and all(len(part) and np.isfinite(part).all() for part in blocks))
    except (soundfile.LibsndfileError, RuntimeError):
        return False


def sound_library() -> Any:
    """Return the soundfile module; raises OptionError if it is not installed."""
    try:
        import soundfile
    except ModuleNotFoundError:
        raise OptionError("Sounds are read by soundfile>=0.13: pip install 'hf-transfer-score[sound]'.") from None
    return soundfile


def open_image(content: bytes, least_side: int | None = None) -> Any:
    """Open an image, reading its header only; raises ValueError if it is not an image, or too large.

    A JPEG is opened at 1/2, 1/4 or 1/8 of its size if both sides then have at least so many pixels, which is faster.
    """
    from PIL import Image

    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is checked below
            image = Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name in Image.ID])
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
    size = f"it has {image.width} x {image.height} pixels, and images may have at most"
    if not 0 < image.width * image.height <= PIXELS or max(image.size) > SIDE:
        raise ValueError(f"{size} {PIXELS // 10**6} megapixels, and {SIDE:,} pixels along a side")
    if max(image.size) > SLENDER * min(image.size):
        raise ValueError(f"{size} an aspect ratio of {SLENDER}")
    if least_side is not None:
        image.draft(None, (least_side, least_side))
    return image


def decode_image(content: bytes, least_side: int | None = None) -> Any:
    """Decode an image into RGB, rotated by its EXIF orientation, transparency on white; see `open_image`."""
    from PIL import Image, ImageOps

    try:
        image = ImageOps.exif_transpose(open_image(content, least_side))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        if image.mode.startswith("I"):  # 16-bit grey, of which Pillow's conversion would keep the lowest 8 bits
            image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(max=255).astype(np.uint8))
        return image.convert("RGB")
    except UNREADABLE as error:
        raise DatasetError(f"it cannot be decoded as an image ({error}).") from error


def is_image(content: bytes) -> bool:
    """Return whether an image can be decoded: a PNG by its checksums, a JPEG at an eighth of its size."""
    pixels = pixels_of_image(content, 1)
    if not pixels:
        return False
    with DECODED.taken(pixels):
        image = open_image(content)
        if image.format == "PNG":
            with suppress(*UNREADABLE):
                image.verify()
                return True
        try:
            decode_image(content, 1)
        except DatasetError:
            return False
    return True


def decode_mask(content: bytes, dataset: str) -> NDArray[np.int64]:
    """Return the class numbers of a mask (height, width): grey values, or the indices of a palette."""
    try:
        image = open_image(content)
        values = np.asarray(image)
    except UNREADABLE as error:
        raise DatasetError(f"A mask of the dataset {dataset} cannot be decoded: {error}.") from error
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind == "f":
        raise DatasetError(
            f"A mask of the dataset {dataset} is an image of mode {image.mode}; expected one channel with class "
            "numbers. If colours stand for classes, convert them to numbers first."
        )
    return values.astype(np.int64)


def pixels_of_image(content: bytes, least_side: int | None = None) -> int:
    """Return the pixels of an image from its header, 0 if it is not an image, or too large; see `open_image`."""
    try:
        image = open_image(content, least_side)
    except ValueError:
        return 0
    return int(image.width * image.height)


def shape_of_image(content: bytes) -> tuple[int, int] | None:
    """Return height and width of an image after its EXIF rotation, None if it is not an image, or too large.

    The EXIF data of a PNG may stand behind its pixels, which are then decoded.
    """
    from PIL import ExifTags

    try:
        image = open_image(content)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except UNREADABLE:
        return None
    return (image.width, image.height) if turned else (image.height, image.width)
