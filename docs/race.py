"""Choose among the example's checkpoints, and write the result into docs/choosing.md and docs/race.svg."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from hf_transfer_score.drawing.look import day_and_night
from hf_transfer_score.home import write_text

FOLDER = Path(__file__).parent
WIDTH = 118
BLOCK = re.compile(r"(?<=<!-- race: start -->\n)(.*?)(?=<!-- race: end -->)", re.DOTALL)
COMMAND = "hf-transfer-score choose example --epochs 8 --learning-rates 1e-3,3e-3 --within 2 --plot race.svg"


def main() -> None:
    """Write the page and the picture."""
    page = FOLDER / "choosing.md"
    with tempfile.TemporaryDirectory() as folder:
        usual = {**os.environ, "HF_TRANSFER_SCORE_HOME": folder, "COLUMNS": str(WIDTH)}
        words = [sys.executable, "-m", "hf_transfer_score", *COMMAND.split()[1:], "--device", "cpu", "--quiet"]
        ran = subprocess.run(words, cwd=folder, env=usual, stdout=subprocess.PIPE, text=True, check=True)
        picture = (Path(folder) / "race.svg").read_text(encoding="utf-8")
    write_text(FOLDER / "race.svg", day_and_night(picture))
    told = ran.stdout.partition("\nmodel ")[0].rstrip("\n")
    said = f"```\n$ {COMMAND}\n{told}\n```\n"
    page.write_text(BLOCK.sub(lambda _: said, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
