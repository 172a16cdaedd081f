"""Disks of growing size: a run ends with its numbers, or with a sentence that names the folder."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from faults_killed import COMMANDS, compared, outcome
from faults_stage import Stage

from tests.hostile.judging import fault_of
from tests.hostile.limited import Finished, run_watched
from tests.hostile.trying import Trial
from tests.runs.pool import PICTURES

RANK = (*COMMANDS["rank of pictures"], "--json", "--quiet")
VERIFY = (
    *("verify", PICTURES, "--models", "good/resnet", "good/vit", "--method", "probe", "--seeds", "0"),
    *("--per-class", "12", "--replicates", "0", "--json", "--quiet"),
)
SIZES = (4, 12, 24, 40, 56, 72, 80, 88, 96, 120, 160, 240, 400, 700, 1200, 3000)
"""Kilobytes."""


@contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of that size at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disks(stage: Stage, random: Random) -> Iterator[Trial]:
    """Put features, samples and records, then downloads, on disks that are too small."""
    expected = {}
    for command in (RANK, VERIFY):
        expected[command] = outcome(
            run_watched(stage.warm, *command, HF_TRANSFER_SCORE_HOME=str(stage.place(f"roomy-{command[0]}")))
        )
    for size in SIZES:
        command = RANK if size != 56 else VERIFY
        with disk(stage.folder / "disk", size) as folder:
            saved = ("--save", str(folder / "records"))
            done = run_watched(stage.warm, *command, *saved, HF_TRANSFER_SCORE_HOME=str(folder / "home"))
            yield _trial(f"{command[0]} in {size} kB", command, done, expected[command], folder)
    for size in (60, 300, 600, 900):
        shutil.rmtree(stage.warm.hub_cache, ignore_errors=True)
        with disk(stage.warm.hub_cache, size) as folder:
            done = run_watched(stage.warm, *RANK, HF_TRANSFER_SCORE_HOME=str(stage.place(f"home-{size}")))
            yield _trial(f"downloads in {size} kB", RANK, done, expected[RANK], folder)
    for size in (4, 40):
        with disk(stage.folder / "temporary", size) as folder:
            home = str(stage.place(f"temporary-{size}"))
            done = run_watched(stage.warm, *RANK, HF_TRANSFER_SCORE_HOME=home, TMPDIR=str(folder))
            yield _trial(f"temporary files in {size} kB", RANK, done, expected[RANK], folder)


def _trial(name: str, command: tuple[str, ...], done: Finished, expected: object, folder: Path) -> Trial:
    wrong = fault_of(done)
    if not wrong and done.code == 0:
        wrong = compared(done, expected)
    elif not wrong and not re.search(rf"(room|space).*{re.escape(str(folder))}", done.err + done.out, re.DOTALL):
        wrong = f"said {done.err.strip()[-300:]!r}"
    return Trial(name, " ".join(command), wrong, done)
