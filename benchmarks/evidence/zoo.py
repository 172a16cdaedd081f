"""The backbones of the evidence: which there are, and what each of them has been through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STEPS, BATCH, LEARNING_RATE = 800, 128, 2e-3


@dataclass(frozen=True)
class Architecture:
    """A network of timm for pictures of 32 by 32.

    Attributes:
        model: its name in timm.
        arguments: what it is made with.
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
        words: what to say of it.
        steps: batches it sees; none leaves it as it was initialised.
        images: how many different ones of a class it sees, None for all.
        wrong_labels: share of labels that are drawn by lot.
        smoothing: of the labels in the loss.
        rotations: whether it tells by how many quarters an image was turned, in place of its class.
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
        """Return what it is called, which is the name of its folder too."""
        return f"{self.architecture}-{self.schooling}"


@dataclass(frozen=True)
class TextMember:
    """A MiniLM that was cut, and in part made anew.

    Attributes:
        layers: the first so many are kept.
        anew: so many of them, from the last on, are initialised anew.
        embeddings: whether its embeddings are the real ones, or initialised anew.
    """

    layers: int
    anew: int = 0
    embeddings: bool = True

    @property
    def name(self) -> str:
        """Return what it is called, which is the name of its folder too."""
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
