"""Render the cards in this folder from the records that ship with the package: `python model_cards/render.py`."""

from __future__ import annotations

from pathlib import Path

from hf_transfer_score.cards.model_card import model_card
from hf_transfer_score.cli.card import collect
from hf_transfer_score.records.shipped import shipped_place

FOLDER = Path(__file__).parent
MODELS = (
    *("pixels", "pixels_blurred", "grey_histogram", "pca_16", "random_relu_128", "network_untrained"),
    *("network_trained", "resnet50"),
)


def rendered() -> dict[str, str]:
    """Return the cards by file name."""
    place = shipped_place()
    return {f"{name}.md": model_card(collect(name, place)) for name in MODELS}


def main() -> None:
    """Write the cards."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
