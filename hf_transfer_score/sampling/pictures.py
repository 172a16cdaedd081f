"""Images from bytes of strangers: of kinds that are pictures and no programs, and no larger than there is room for."""

from __future__ import annotations

import io
import warnings
from typing import Any

from hf_transfer_score.limits import PIXELS, SIDE, SLENDER

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "PSD"),
    *("SGI", "TGA", "TIFF", "WEBP", "XBM"),
)
"""Kinds that are decoded, as Pillow calls them; PostScript is not one: other programs are run to draw it."""


def open_image(content: bytes) -> Any:
    """Return an image of which only the first bytes were read so far.

    Raises:
        ValueError: it is no image, or one larger than what is read.
    """
    from PIL import Image

    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is looked at below
            image = Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name in Image.ID])
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
    if not 0 < image.width * image.height <= PIXELS or max(image.size) > SIDE:
        raise ValueError(
            f"it has {image.width} x {image.height} pixels, where {PIXELS // 10**6} megapixels are read at most, and "
            f"{SIDE:,} pixels along a side"
        )
    if max(image.size) > SLENDER * min(image.size):
        raise ValueError(
            f"it has {image.width} x {image.height} pixels, where images are read that are at most {SLENDER} times as "
            "long as they are wide"
        )
    return image
