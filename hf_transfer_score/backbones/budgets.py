"""What a checkpoint may ask for, looked at before any library builds or prepares anything of it.

Its small files are looked at first. But any number in a description may make a network large: a width, a vocabulary, a
list of depths, a name that stands for a hundred of them. So the network is built without memory then, and held against
its weights: what is built tells, whatever the numbers are called.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from math import prod
from threading import get_ident
from typing import Any

from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.untrusted import EXPANDED_BYTES, USUAL_GROWTH

MOST_LAYERS = 300
"""Layers of a network whose weights do not name more tensors: each layer has some, unless layers share them."""

MOST_PIXELS, MOST_CHANNELS = 2560 * 2560, 64
"""Of one input: document readers take 2560 by 1920, and a few networks read bands of satellites."""

ENDLESS = 10**18
MOST_RATE = 400_000
"""Samples of a second: twice what recordings of bats have."""

SIZES = frozenset(
    {
        *("image_size", "img_size", "input_size", "size", "crop_size", "test_input_size", "resolution"),
        *("pad_size", "size_divisor", "size_divisibility"),
    }
)
MOST_FRAMES = 2**20
"""Of one sound; extractors fill all sounds up to their `max_length`, which has some thousand."""

MOST = {
    **dict.fromkeys((*SIZES, "min_pixels"), (MOST_PIXELS, "pixels an input")),
    **dict.fromkeys(("num_channels", "in_chans", "in_channels"), (MOST_CHANNELS, "channels")),
    "max_length": (MOST_FRAMES, "frames of a sound"),
    "sampling_rate": (MOST_RATE, "samples a second"),
    "chunk_length": (600, "seconds of a sound"),
    "n_samples": (2**24, "samples of a sound"),
    "nb_max_samples": (2**24, "samples of a sound"),
    "feature_size": (4096, "frequencies"),
    "num_mel_bins": (4096, "frequencies"),
    "n_fft": (2**16, "samples of a frame"),
    "fft_window_size": (2**16, "samples of a frame"),
}
"""By the names of settings; of a sound each is some ten times what any extractor has."""

LAYERS = re.compile(r"(?:.*_)?(?:n_layers?|num_layers?|layers?|depths?|num_blocks|num_hidden_layers)")
NO_LAYERS = re.compile(r"(?:n_layers?|num_layers|num_hidden_layers|depth)")
"""Of these none is a network that is not the one its weights are of."""

READERS = ("preprocessor_config.json", "processor_config.json")

BYTES = 4
"""Of a weight; all are run in single precision."""

MOST_PARTS = 500_000
"""Weights, layers, norms, functions of a network: mixtures of hundreds of experts have some ten thousand."""

MOST_SECONDS = 30.0
"""For building one without memory; the largest take two or three."""


def check_asked(name: str, content: Any, tensors: int = 0) -> None:
    """Refuse values of a file that ask for more than any network needs, or than weights of so many tensors do."""
    for key, value in _named(content):
        if LAYERS.fullmatch(key):
            count = sum(map(_whole, value if isinstance(value, list) else [value]))
            if count > max(MOST_LAYERS, tensors):
                held = (
                    f", and its weights hold {tensors:,} tensors" if tensors else f"; at most {MOST_LAYERS} are built"
                )
                raise CheckpointError("too_large", f"has a {name} that asks for {_shown(count)} layers ({key}){held}")
            if NO_LAYERS.fullmatch(key) and isinstance(value, int) and value < 1:
                raise CheckpointError("corrupt", f"has a {name} that asks for a network of {value} layers ({key})")
        if key not in MOST or (key == "max_length" and name not in READERS):
            continue
        asked, (most, what) = _pixels(value) if key in SIZES else _whole(value), MOST[key]
        if asked > most:
            raise CheckpointError(
                "too_large", f"has a {name} that asks for {_shown(asked)} {what} ({key}); at most {most:,} are run"
            )


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


def _shown(count: int) -> str:
    """Return a count as it is read; one without end is not written out."""
    return f"{count:,}" if count < 10**15 else f"more than {10**15:,}"


class _TooMuchError(Exception):
    """Building goes beyond a limit; the message is the rest of a sentence."""


def check_skeleton(build: Callable[[], Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a network that would take far more memory than its weights of some shapes, or more parts than any has.

    It is built where tensors have no memory. Without any shapes, nothing is checked: pickles are opened for those who
    trust them.
    """
    if not shapes:
        return
    import torch

    counted = _Counted(BYTES * sum(prod(shape) for shape in shapes.values()))
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad(), counted:
            try:
                model = build()
                asked = sum({id(one): BYTES * one.numel() for one in model.parameters()}.values())
                asked += sum(one.numel() * one.element_size() for one in model.buffers())
            except _TooMuchError:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, it comes again from who builds it
                asked = counted.total
            counted.check(asked)
    except _TooMuchError as error:
        raise CheckpointError("too_large", f"has a config.json that asks for a network {error}") from None


class _Counted:
    """Stops this thread when it puts too much into networks, or takes too long for it, while the `with` block lasts.

    A single weight may be the one that is too large, and what is built behind it may fail, so each counts at once.
    """

    def __init__(self, held: int) -> None:
        self.held, self.most = held, EXPANDED_BYTES + USUAL_GROWTH * held
        self.total = 0
        self._thread, self._start, self._parts = get_ident(), time.monotonic(), 0
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        from torch.nn.modules import module

        watched = (module.register_module_module_registration_hook, module.register_module_parameter_registration_hook)
        self._handles = [watch(self._count) for watch in watched]  # many are made before the list they are put into

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def check(self, asked: int) -> None:
        """Refuse so many bytes where the weights hold far fewer."""
        if asked > self.most:
            raise _TooMuchError(f"of {_gigabytes(asked)}, and its weights hold {_gigabytes(self.held)}")

    def _count(self, _module: Any, _name: str, part: Any) -> None:
        if get_ident() != self._thread:
            return
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _TooMuchError(f"of more than {MOST_PARTS:,} parts; at most that many are built")
        if time.monotonic() - self._start > MOST_SECONDS:
            raise _TooMuchError(f"that takes more than {MOST_SECONDS:.0f} s to build")
        if hasattr(part, "numel"):
            self.total += BYTES * part.numel()
            self.check(BYTES * part.numel())


def _gigabytes(count: float) -> str:
    return f"{count / 10**9:,.0f} GB" if count >= 10**10 else f"{count / 10**9:.3f} GB"
