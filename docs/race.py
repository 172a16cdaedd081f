"""Choose among the example's checkpoints, and write the result into docs/choosing.md and docs/race.svg."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hf_transfer_score import choose
from hf_transfer_score.cli.choose import choice_text
from hf_transfer_score.cli.output import Page
from hf_transfer_score.drawing.look import day_and_night, image_of
from hf_transfer_score.home import write_text

FOLDER = Path(__file__).parent
WIDTH = 118
BLOCK = re.compile(r"(?<=<!-- race: start -->\n)(.*?)(?=<!-- race: end -->)", re.DOTALL)
COMMAND = "hf-transfer-score choose example --epochs 8 --learning-rates 1e-3,3e-3 --within 2 --plot race.svg"


def main() -> None:
    """Write the page and the picture."""
    with tempfile.TemporaryDirectory() as folder:
        choice = choose(
            "example", epochs=8, learning_rates=(1e-3, 3e-3), within=2, device="cpu", folder=folder, progress=False
        )
    write_text(FOLDER / "race.svg", day_and_night(image_of(choice.plot(), "svg").decode()))
    told, page = choice_text(choice, Page(WIDTH)).partition("\nmodel ")[0].rstrip("\n"), FOLDER / "choosing.md"
    said = f"```\n$ {COMMAND}\n{told}\n```\n"
    page.write_text(BLOCK.sub(lambda _: said, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
