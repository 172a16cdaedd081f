"""The backbones of the evidence and their pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STEPS, BATCH, LEARNING_RATE = 800, 128, 2e-3


@dataclass(frozen=True)
class Architecture:
    """A timm network for pictures of 32 x 32 pixels.

    Attributes:
        model: its name in timm.
        arguments: for creating it.
    """

    model: str
    arguments: Mapping[str, int] = field(default_factory=dict)


ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet": Architecture("test_resnet"),
    "byobnet": Architecture("test_byobnet"),
    "efficientnet": Architecture("test_efficientnet"),
    "efficientnet-gn": Architecture("test_efficientnet_gn"),
    "convnext": Architecture("test_convnext3"),
    "mambaout": Architecture("test_mambaout"),
    "nfnet": Architecture("test_nfnet"),
    "vit": Architecture("test_vit", {"img_size": 32, "patch_size": 8}),
}


@dataclass(frozen=True)
class Schooling:
    """How a backbone is pre-trained.

    Attributes:
        words: its description.
        steps: number of batches; 0 leaves the network untrained.
        images: number of different images per class, None for all.
        wrong_labels: share of random labels.
        smoothing: of the labels in the loss.
        rotations: whether it predicts the rotation of an image in quarter turns instead of its class.
    """

    words: str
    steps: int = STEPS
    images: int | None = None
    wrong_labels: float = 0.0
    smoothing: float = 0.0
    rotations: bool = False


SCHOOLINGS: Mapping[str, Schooling] = {
    "well": Schooling("all images"),
    "smoothed": Schooling("all images, labels smoothed by 0.3", smoothing=0.3),
    "few-images": Schooling("50 images per class", steps=STEPS // 2, images=50),
    "noisy-labels": Schooling("80% of the labels drawn at random", steps=STEPS // 2, wrong_labels=0.8),
    "rotations": Schooling("predicts how far an image was rotated, not what it shows", rotations=True),
    "few-steps": Schooling("stopped after 80 steps", steps=STEPS // 10),
    "untrained": Schooling("initialised, never trained", steps=0),
}


@dataclass(frozen=True)
class ImageMember:
    """An image backbone.

    Attributes:
        architecture: a name of `ARCHITECTURES`.
        schooling: a name of `SCHOOLINGS`.
    """

    architecture: str
    schooling: str

    @property
    def name(self) -> str:
        """Return its name, which is also that of its folder."""
        return f"{self.architecture}-{self.schooling}"


@dataclass(frozen=True)
class TextMember:
    """A MiniLM that was cut, and in part reinitialised.

    Attributes:
        layers: number of first layers that are kept.
        anew: number of last layers that are reinitialised.
        embeddings: whether it has the real embeddings, or reinitialised ones.
    """

    layers: int
    anew: int = 0
    embeddings: bool = True

    @property
    def name(self) -> str:
        """Return its name, which is also that of its folder."""
        parts = [f"minilm-{self.layers}"]
        if not self.embeddings:
            parts.append("untrained" if self.anew == self.layers else "embeddings-anew")
        elif self.anew:
            parts.append(f"last-{self.anew}-anew")
        return "-".join(parts)


IMAGES = tuple(ImageMember(one, other) for one in ARCHITECTURES for other in SCHOOLINGS)
TEXTS = (
    *(TextMember(layers) for layers in range(1, 7)),
    *(TextMember(6, anew) for anew in range(1, 7)),
    TextMember(3, 1),
    TextMember(3, 3),
    TextMember(6, embeddings=False),
    TextMember(1, 1, embeddings=False),
    TextMember(3, 3, embeddings=False),
    TextMember(6, 6, embeddings=False),
)
