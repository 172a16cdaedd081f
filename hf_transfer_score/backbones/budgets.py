"""Limits on the size of a network, checked before any library builds or prepares it.

The settings in a checkpoint's small files are checked first. But any number there may make a network large: a width, a
vocabulary, a list of depths, a name that stands for a hundred of them. So the network is then built without memory, and
its size compared with that of its weights.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from math import prod
from threading import get_ident
from typing import Any

from hf_transfer_score.backbones.repository import PREPROCESSORS
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.untrusted import EXPANDED_BYTES, USUAL_GROWTH

MOST_LAYERS = 300
"""A network may have more layers only if its weights have as many tensors."""

MOST_PIXELS = 2560 * 2560  # document readers take 2560 by 1920
MOST_FRAMES = 2**20  # extractors pad all sounds to their `max_length`, usually a few thousand
ENDLESS = 10**18

SIZES = frozenset({
    *("image_size", "img_size", "input_size", "size", "crop_size", "test_input_size", "resolution"),
    *("pad_size", "size_divisor", "size_divisibility"),
})  # fmt: skip

MOST = {
    **dict.fromkeys((*SIZES, "min_pixels"), (MOST_PIXELS, "pixels an input")),
    **dict.fromkeys(("num_channels", "in_chans", "in_channels"), (64, "channels")),  # as satellite images have
    "max_length": (MOST_FRAMES, "frames of a sound"),
    "sampling_rate": (400_000, "samples per second"),  # twice that of recordings of bats
    "chunk_length": (600, "seconds of a sound"),
    "n_samples": (2**24, "samples of a sound"),
    "nb_max_samples": (2**24, "samples of a sound"),
    "feature_size": (4096, "frequencies"),
    "num_mel_bins": (4096, "frequencies"),
    "n_fft": (2**16, "samples of a frame"),
    "fft_window_size": (2**16, "samples of a frame"),
}
"""By the names of settings; those of sounds are about ten times what any extractor has."""

LAYERS = re.compile(r"(?:.*_)?(?:n_layers?|num_layers?|layers?|depths?|num_blocks|num_hidden_layers)")
AT_LEAST_ONE = re.compile(r"(?:n_layers?|num_layers|num_hidden_layers|depth)")
"""Settings that no network has at 0."""

BYTES = 4  # per weight: all run in single precision

MOST_PARTS = 500_000
"""Weights, layers, norms and functions of a network: mixtures of hundreds of experts have about ten thousand."""

MOST_SECONDS = 30.0
"""To build one without memory; the largest take two or three."""


def check_asked(name: str, content: Any, tensors: int = 0) -> None:
    """Refuse settings in a file that ask for more than any network needs, or than weights of so many tensors allow."""
    for key, value in _named(content):
        if LAYERS.fullmatch(key):
            count = sum(map(_whole, value if isinstance(value, list) else [value]))
            if count > max(MOST_LAYERS, tensors):
                limit = f", and its weights hold {tensors:,} tensors"
                limit = limit if tensors else f"; at most {MOST_LAYERS} are built"
                raise CheckpointError("too_large", f"has a {name} that asks for {_shown(count)} layers ({key}){limit}")
            if AT_LEAST_ONE.fullmatch(key) and isinstance(value, int) and value < 1:
                raise CheckpointError("corrupt", f"has a {name} that asks for a network of {value} layers ({key})")
        if key not in MOST or (key == "max_length" and name not in PREPROCESSORS):
            continue
        asked, (most, what) = _pixels(value) if key in SIZES else _whole(value), MOST[key]
        if asked > most:
            raise CheckpointError(
                "too_large", f"has a {name} that asks for {_shown(asked)} {what} ({key}); at most {most:,} are run"
            )


def _named(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield all names with their values, nested ones too; without recursion, since nesting may be deep."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield from ((str(key), one) for key, one in value.items())
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _pixels(value: Any) -> int:
    """Return the pixels of a size: one side, several, or sides by name."""
    if isinstance(value, Mapping):
        sides = [_whole(one) for key, one in value.items() if key in ("height", "width")]
        longest, shortest = (_whole(value.get(f"{which}_edge")) for which in ("longest", "shortest"))
        if shortest and not longest:
            longest = 2 * shortest  # as in a photograph; a panorama is even longer
        return max(_area(sides), longest**2, shortest**2)
    if isinstance(value, list):
        return _area([_whole(one) for one in value][-2:])
    return _area([_whole(value)])


def _area(sides: list[int]) -> int:
    return sides[0] * sides[-1] if sides else 0


def _whole(value: Any) -> int:
    """Return a number as an integer, 0 for anything else; libraries round fractions."""
    if not isinstance(value, (int, float)) or not value > 0:
        return 0
    return int(value) if value < ENDLESS else ENDLESS


def _shown(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"more than {10**15:,}"


class _TooMuchError(Exception):
    """Building goes beyond a limit; the message is the rest of a sentence."""


def check_skeleton(build: Callable[[], Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a network that would take far more memory than its weights, by their shapes, or have too many parts.

    It is built where tensors have no memory. Without any shapes nothing is checked: pickles are only opened for users
    who trust them.
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
            except Exception:  # noqa: BLE001 - it is raised again when the network is really built
                asked = counted.total
            counted.check(asked)
    except _TooMuchError as error:
        raise CheckpointError("too_large", f"has a config.json that asks for a network {error}") from None


class _Counted:
    """Raises in this thread when it builds too large a network, or takes too long, while the `with` block lasts.

    Each weight is checked at once: a single one may be too large, and building may fail after it.
    """

    def __init__(self, held: int) -> None:
        self.held, self.most = held, EXPANDED_BYTES + USUAL_GROWTH * held
        self.total = 0
        self._thread, self._start, self._parts = get_ident(), time.monotonic(), 0
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        from torch.nn.modules import module

        watched = (module.register_module_module_registration_hook, module.register_module_parameter_registration_hook)
        self._handles = [watch(self._count) for watch in watched]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def check(self, asked: int) -> None:
        """Refuse this many bytes where the weights hold far fewer."""
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
