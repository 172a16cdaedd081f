"""Text towers: the half of a model of two inputs that reads texts, loaded without the other half.

What `pooling="auto"` with the last layer stands for is what the tower itself pools, in front of a projection behind it:
the end of the text for CLIP, the last position through the tower's own head for SigLIP, and the first token through the
tower's own pooler for CLAP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Pooled = Literal["last", "position", "first"]


@dataclass(frozen=True)
class TextTower:
    """A text tower.

    Attributes:
        model: the class of transformers that loads it.
        part: the attribute of that model that is the tower; "" for all of it.
        alone: the model_type under which it is saved without the other half; "" where that is no kind of its own.
        pooled: what it pools: the "last" token, the last "position" through its head, or the "first" token through its
            pooler.
    """

    model: str
    part: str = ""
    alone: str = ""
    pooled: Pooled = "last"

    @property
    def fills(self) -> bool:
        """Whether texts are filled up to the length that it was trained with, and padding is read like the rest."""
        return self.pooled == "position"


TOWERS = {
    "clip": TextTower("CLIPTextModel"),
    "siglip": TextTower("SiglipTextModel", alone="siglip_text_model", pooled="position"),
    "siglip2": TextTower("Siglip2TextModel", alone="siglip2_text_model", pooled="position"),
    "clap": TextTower("ClapTextModelWithProjection", "text_model", "clap_text_model", "first"),
}
"""By the model_type of the model of two inputs."""

ALONE = {one.alone: one for one in TOWERS.values() if one.alone}


def tower_of(model_type: str) -> TextTower | None:
    """Return the tower that a model_type means, None where it has none that is read here.

    Example:
        >>> tower_of("siglip_text_model").model, tower_of("bert")
        ('SiglipTextModel', None)
    """
    return TOWERS.get(model_type) or ALONE.get(model_type)


def tower_types() -> frozenset[str]:
    """Return the model_types of checkpoints whose text tower is read."""
    return frozenset({*TOWERS, *ALONE})


def last_position(states: Tensor, lengths: Tensor) -> Tensor:
    """Return the last position of each text (B, D) in its states (B, T, D), whatever is there."""
    return states[:, -1]
