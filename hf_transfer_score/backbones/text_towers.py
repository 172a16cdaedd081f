"""Text towers: the half that reads texts, of a model of two inputs, loaded without the other half.

`pooling="auto"` with the last layer is the tower's own pooling, before its projection: the end of the text for CLIP,
the last position through the tower's own head for SigLIP, and the first token through the tower's own pooler for CLAP.
"""

from dataclasses import dataclass
from typing import Literal

Pooled = Literal["last", "position", "first"]


@dataclass(frozen=True)
class TextTower:
    """A text tower."""

    model: str  # the class of transformers that loads it
    part: str = ""  # the attribute of that model that is the tower; "" for all of it
    alone: str = ""  # the model_type when it is saved without the other half, "" where there is none
    pooled: Pooled = "last"  # the last token, the last position through its head, or the first through its pooler

    @property
    def fills(self) -> bool:
        """Whether texts are padded to the length that it was trained with, and padding is read like the rest."""
        return self.pooled == "position"


TOWERS = {
    "clip": TextTower("CLIPTextModel"),
    "siglip": TextTower("SiglipTextModel", alone="siglip_text_model", pooled="position"),
    "siglip2": TextTower("Siglip2TextModel", alone="siglip2_text_model", pooled="position"),
    "clap": TextTower("ClapTextModelWithProjection", "text_model", "clap_text_model", "first"),
}
"""By the model_type of the whole model."""

ALONE = {one.alone: one for one in TOWERS.values() if one.alone}


def tower_of(model_type: str) -> TextTower | None:
    """Return the tower of a model_type, None where it has none that is read here.

    Example:
        >>> tower_of("siglip_text_model").model, tower_of("bert")
        ('SiglipTextModel', None)
    """
    return TOWERS.get(model_type) or ALONE.get(model_type)


def tower_types() -> frozenset[str]:
    """Return the model_types of checkpoints whose text tower is read."""
    return frozenset({*TOWERS, *ALONE})
