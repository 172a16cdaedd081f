"""About how long forward passes take, by the pace of models of their kind that ran on this computer before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_transfer_score.checkpoints.resolve import BYTES_A_PARAMETER

if TYPE_CHECKING:
    from hf_transfer_score.runs.plan import PlannedModel

ALIKE = 10
"""A model's pace is told by one of at most so many times its size, or of at least this part of it."""


class KnownPace(NamedTuple):
    """How long one example took in a model that ran before.

    Attributes:
        kind: of backbone.
        parameters: of the model.
        seconds: of one example.
    """

    kind: str
    parameters: int
    seconds: float


def paces(kept: Iterable[dict[str, Any]]) -> list[KnownPace]:
    """Return the paces of models by what is kept beside their features, on the device that computed last.

    Args:
        kept: the last used first.
    """
    found, device = [], None
    for meta in kept:
        made = meta.get("extraction") or {}
        seconds, examples, parameters = made.get("seconds"), made.get("examples"), meta.get("own_parameters")
        if not (seconds and examples and parameters):
            continue
        device = device or made.get("device")
        if made.get("device") == device:
            found.append(KnownPace(str(meta.get("kind")), int(parameters), float(seconds) / int(examples)))
    return found


def expected_seconds(models: Sequence[PlannedModel], examples: int, known: Sequence[KnownPace]) -> float | None:
    """Return about how long the forward passes of the models that are to run take together.

    A model takes the time of the one of its kind that is nearest to it in size, in proportion to their sizes.

    Returns:
        Seconds; None where a model has no such peer.
    """
    total = 0.0
    for model in models:
        if model.state not in ("on disk", "download"):
            continue
        size = model.parameters or model.weight_bytes // BYTES_A_PARAMETER
        near = min((one for one in known if one.kind == model.kind), key=lambda one: _apart(size, one), default=None)
        if near is None or _apart(size, near) > math.log(ALIKE):
            return None
        total += near.seconds * examples * size / near.parameters
    return total


def _apart(size: int, other: KnownPace) -> float:
    """Return how far two sizes are apart, as the logarithm of their ratio."""
    return abs(math.log(max(size, 1) / other.parameters))
