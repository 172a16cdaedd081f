"""Run the suite at the oldest versions that pyproject.toml allows, or at the newest on an index.

    python benchmarks/versions.py oldest FOLDER     # FOLDER gets a virtual environment (7 GB) and one log per part
    python benchmarks/versions.py newest FOLDER
    python benchmarks/versions.py show              # the oldest versions, as constraints for pip

Dependencies without a range (such as gradio's own) are installed in the newest version that fits. Needs Python 3.11 or
later. The exit status is 1 if a part fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import tomllib

ROOT = Path(__file__).parent.parent
RANGE = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(\[[^]]*\])?>=(?P<version>[0-9.]+)")
EXTRAS = ("lora", "openvino", "slurm", "sound", "space", "test")

PARTS = (
    ("tests/metrics", "tests/records", "tests/hub", "tests/requests", "tests/cards"),
    ("tests/backbones", "tests/checkpoints", "tests/features", "tests/sampling", "tests/ranking", "tests/finetune"),
    ("tests/cli", "tests/runs", "tests/choosing", "tests/engines", "tests/drawing", "tests/frozen"),
    ("tests/example", "tests/leaderboard", "tests/uploads", "tests/evidence", "tests/evaluate_modules"),
    ("tests/hostile", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tests").glob("test_*.py")))),
)
"""Folders of tests that each run in their own process."""


def oldest() -> Iterator[str]:
    """Yield the lower end of each range as a constraint."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    for one in ranges:
        found = RANGE.fullmatch(one)
        if found is not None:
            yield f"{found['name']}=={found['version']}"


def make(folder: Path, constraints: list[str]) -> Path:
    """Make a virtual environment with the package and return its Python."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
    listed = folder / "constraints.txt"
    listed.write_text("\n".join(constraints) + "\n", encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "-c", listed, "-e", f"{ROOT}[test]"], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    return python


def run(python: Path, folder: Path) -> int:
    """Run the suite in parts and return how many of them failed."""
    failed = 0
    for number, part in enumerate(PARTS, 1):
        log = folder / f"part-{number}.log"
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [python, "-m", "pytest", "-q", "--tb=short", *part], cwd=ROOT, stdout=file, stderr=file
            )
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        print(f"part {number} of {len(PARTS)}: {''.join(last)}", flush=True)
        failed += done.returncode != 0
    return failed


def main() -> int:
    """Run the command."""
    if sys.argv[1:] == ["show"]:
        print("\n".join(oldest()))
        return 0
    if len(sys.argv) != 3 or sys.argv[1] not in ("oldest", "newest"):
        print(__doc__)
        return 2
    folder = Path(sys.argv[2]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return int(run(make(folder, list(oldest()) if sys.argv[1] == "oldest" else []), folder) > 0)


if __name__ == "__main__":
    sys.exit(main())
