"""Which networks make the pool, and what each of them has been through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STEPS, BATCH, LEARNING_RATE = 120, 64, 2e-3


@dataclass(frozen=True)
class Schooling:
    """How a network is pre-trained.

    Attributes:
        words: what to say of it.
        steps: batches it sees; none leaves it as it was initialised.
        augmented: whether it sees warped copies of the pictures, or only the pictures themselves.
        pictures: how many different ones it sees, None for all.
        wrong_labels: share of labels that are drawn by lot.
        rotations: whether it tells by how many quarters a picture was turned, in place of which digit it shows.
    """

    words: str
    steps: int = STEPS
    augmented: bool = True
    pictures: int | None = None
    wrong_labels: float = 0.0
    rotations: bool = False


WELL = "pretrained"
SCHOOLINGS: Mapping[str, Schooling] = {
    WELL: Schooling("all pictures of the digits 0 to 4, augmented"),
    "rotations": Schooling("tells how far a picture was turned, never which digit it shows", rotations=True),
    "few-images": Schooling("60 pictures, not augmented", augmented=False, pictures=60),
    "plain-images": Schooling("all pictures, not augmented", augmented=False),
    "few-steps": Schooling("stopped after 15 steps", steps=15),
    "noisy-labels": Schooling("labels drawn by lot", wrong_labels=1.0),
    "untrained": Schooling("as it was initialised", steps=0),
}


@dataclass(frozen=True)
class Member:
    """One network of the pool.

    Attributes:
        architecture: its name in timm.
        schooling: a name of `SCHOOLINGS`.
    """

    architecture: str
    schooling: str

    @property
    def name(self) -> str:
        """Return what it is called, which is the name of its folder too."""
        return f"{self.architecture.removeprefix('test_').replace('_', '-')}-{self.schooling}"


ZOO: tuple[Member, ...] = tuple(
    Member(architecture, schooling)
    for architecture, worse in {
        "test_convnext3": "noisy-labels",
        "test_efficientnet_gn": "untrained",
        "test_mambaout": "plain-images",
        "test_resnet": "rotations",
        "test_byobnet": "few-steps",
        "test_efficientnet": "few-images",
    }.items()
    for schooling in (WELL, worse)
)
"""Each architecture twice: well pre-trained, and made worse in a way that happens."""
