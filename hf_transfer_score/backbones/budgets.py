"""What a checkpoint's small files may ask for, looked at before any library builds or prepares anything of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hf_transfer_score.errors import CheckpointError

MOST_LAYERS = 300
"""Layers of a network whose weights do not name more tensors: each layer has some, unless layers share them."""

MOST_PIXELS, MOST_CHANNELS = 2560 * 2560, 64
"""Of one input: document readers take 2560 by 1920, and a few networks read bands of satellites."""

ENDLESS = 10**18
MOST_RATE = 400_000
"""Samples of a second: twice what recordings of bats have."""

MOST_OF_A_SOUND = {
    "sampling_rate": (MOST_RATE, "samples a second"),
    "chunk_length": (600, "seconds of a sound"),
    "n_samples": (2**24, "samples of a sound"),
    "nb_max_samples": (2**24, "samples of a sound"),
    "feature_size": (4096, "frequencies"),
    "num_mel_bins": (4096, "frequencies"),
    "n_fft": (2**16, "samples of a frame"),
    "fft_window_size": (2**16, "samples of a frame"),
}
"""By the names of settings; each is some ten times what any extractor has."""

MOST_FRAMES = 2**20
"""Of one sound; extractors fill all sounds up to their `max_length`, which has some thousand."""

LAYERS = re.compile(r"(?:.*_)?(?:n_layers?|num_layers?|layers?|depths?|num_blocks|num_hidden_layers)")
NO_LAYERS = re.compile(r"(?:n_layers?|num_layers|num_hidden_layers|depth)")
"""Of these none is a network that is not the one its weights are of."""

SIZES = frozenset(
    {
        *("image_size", "img_size", "input_size", "size", "crop_size", "test_input_size", "resolution"),
        *("pad_size", "size_divisor", "size_divisibility"),
    }
)
READERS = ("preprocessor_config.json", "processor_config.json")
CHANNELS = frozenset({"num_channels", "in_chans", "in_channels"})


def check_asked(name: str, content: Any, tensors: int = 0) -> None:
    """Refuse a description that asks for more than any network needs; CheckpointError says what and how much.

    Args:
        name: of the file, for messages.
        content: its values.
        tensors: how many the weights hold, 0 where that is not known.

    Example:
        >>> check_asked("config.json", {"num_hidden_layers": 12, "image_size": 224})
        >>> check_asked("config.json", {"num_hidden_layers": 10**9}, tensors=12)
        Traceback (most recent call last):
        ...
        hf_transfer_score.errors.CheckpointError: has a config.json that asks for 1,000,000,000 layers \
(num_hidden_layers), and its weights hold 12 tensors
    """
    for key, value in _named(content):
        if LAYERS.fullmatch(key):
            _check_layers(name, key, value, tensors)
        elif key in SIZES:
            _at_most(name, key, _pixels(value), MOST_PIXELS, "pixels an input")
        elif key in CHANNELS:
            _at_most(name, key, _whole(value), MOST_CHANNELS, "channels")
        elif key in MOST_OF_A_SOUND:
            _at_most(name, key, _whole(value), *MOST_OF_A_SOUND[key])
        elif key == "min_pixels":
            _at_most(name, key, _whole(value), MOST_PIXELS, "pixels an input")
        elif key == "max_length" and name in READERS:
            _at_most(name, key, _whole(value), MOST_FRAMES, "frames of a sound")


def _named(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield all names with their values, also within each other; goes through them without recursion."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield from ((str(key), one) for key, one in value.items())
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_layers(name: str, key: str, value: Any, tensors: int) -> None:
    values = value if isinstance(value, list) else [value]
    count = sum(map(_whole, values))
    if count > max(MOST_LAYERS, tensors):
        held = f", and its weights hold {tensors:,} tensors" if tensors else f"; at most {MOST_LAYERS} are built"
        raise CheckpointError("too_large", f"has a {name} that asks for {_shown(count)} layers ({key}){held}")
    if NO_LAYERS.fullmatch(key) and isinstance(value, int) and value < 1:
        raise CheckpointError("corrupt", f"has a {name} that asks for a network of {value} layers ({key})")


def _pixels(value: Any) -> int:
    """Return how many pixels a size means: a side, sides, or sides by name."""
    if isinstance(value, Mapping):
        sides = [_whole(one) for key, one in value.items() if key in ("height", "width")]
        longest, shortest = (_whole(value.get(f"{which}_edge")) for which in ("longest", "shortest"))
        if shortest and not longest:
            longest = 2 * shortest  # the other side of a photograph, and that of a panorama is longer
        return max(_area(sides), longest**2, shortest**2)
    if isinstance(value, list):
        return _area([_whole(one) for one in value][-2:])
    return _whole(value) ** 2


def _area(sides: list[int]) -> int:
    if not sides:
        return 0
    return sides[0] * sides[-1] if len(sides) > 1 else sides[0] ** 2


def _whole(value: Any) -> int:
    """Return a number as a whole one, 0 for what is none; libraries round what is not whole."""
    if not isinstance(value, (int, float)) or not value > 0:
        return 0
    return int(value) if value < ENDLESS else ENDLESS


def _at_most(name: str, key: str, asked: int, most: int, what: str) -> None:
    if asked > most:
        raise CheckpointError(
            "too_large", f"has a {name} that asks for {_shown(asked)} {what} ({key}); at most {most:,} are run"
        )


def _shown(count: int) -> str:
    """Return a count as it is read; one without end is not written out."""
    return f"{count:,}" if count < 10**15 else f"more than {10**15:,}"
