"""How much input from strangers may ask for, with reasons; what asks for more is refused before the work begins.

What is written plainly takes as much room as its file, and a file that large was put there knowingly. What is written
so that it grows when it is read is a bomb where it grows beyond all that real data do.
"""

from __future__ import annotations

EXPANDED_BYTES = 2**30
"""Of what a small file may become: with what the metrics take beside it, features of that size stay within 2 GB."""

USUAL_GROWTH = 4
"""Times that larger files may grow: features, pixels and texts of real data are compressed by less."""

HEADER_BYTES, HEADER_ENTRIES = 32_000_000, 100_000
"""Of a .safetensors file: the largest checkpoints have some ten thousand tensors, described by some megabytes."""

NESTING = 200
"""Lists and objects within each other in a line of JSON: real rows have fewer than ten, and Arrow's reader, which calls
itself for each, ends the whole process at some ten thousand."""

LINE_BYTES = 128 * 2**20
"""Of a line of .csv or .json, which is parsed whole and takes several times as much in memory then."""

RESULT_BYTES, TABLE_BYTES = 1_000_000, 300_000_000
"""Of a file of results, and of a table of a million records: results are read whole by whoever shows them."""

PIXELS = 64_000_000
"""Of an image: in floating numbers, as many preprocessors hold it, it has 768 MB. Nearly all cameras have fewer."""

SIDE = 65_535
"""Pixels along a side of an image, as of the largest JPEG; to resize a longer one takes minutes."""

SLENDER = 200
"""Times that an image may be as long as it is wide: where its shorter side is brought to that of a network, the longer
one grows with it, to thousands of megapixels for a line of single pixels. Lines of text reach some fifty."""

PIXELS_AT_ONCE = 48_000_000
"""Of the images that threads decode at the same time, so that they stay below 2 GB together; a larger one is alone."""

PIXELS_TOGETHER = 16_000_000
"""Of the images of a batch that one thread holds decoded; those of a usual data set are all of the batch."""


def too_large(expanded: int, size: int) -> str:
    """Return why a file of `size` bytes may not become `expanded` bytes, "" where it may.

    Example:
        >>> too_large(3_000_000_000, 2_000_000_000)
        ''
        >>> too_large(3_000_000_000, 20_000)
        'its 20,000 bytes would become 3,000,000,000, more than the 1,073,741,824 that are read of such a file'
    """
    most = max(EXPANDED_BYTES, USUAL_GROWTH * size)
    if expanded <= most:
        return ""
    return f"its {size:,} bytes would become {expanded:,}, more than the {most:,} that are read of such a file"
