"""Everything that one fixed pool gives, as text: what is printed, written and shown of it.

`python -m tests.frozen.outputs` writes the files of `expected/` again; the difference is then read as a change of what
users see.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import register_backbone, unregister_backbone
from hf_transfer_score.cli import main
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.board_tab import board_csv
from hf_transfer_score.records.record import identity
from hf_transfer_score.records.shipped import shipped_place
from hf_transfer_score.records.table import RecordTable, Stored
from tests.checkpoints import texts
from tests.cli.pool import TOY, write_checkpoint, write_dataset

EXPECTED = Path(__file__).parent / "expected"
MODELS = ("./models/clear", "./models/noisy", "./models/vowels", "./models/broken")
TUNED = ("./models/first", "./models/second", "./models/broken")
QUICK = ("--max-samples", "40", "--replicates", "20", "--method", "probe", "--device", "cpu")

TIMED = (
    "example_milliseconds",
    "examples_per_second",
    "forward_seconds",
    "libraries",
    "machine",
    "measured_here",
    "metric_seconds",
    "seconds",
    "shared_seconds",
    "throughput",
    "time",
)
"""What differs from run to run, or from machine to machine."""


def everything() -> dict[str, str]:
    """Return all outputs by file name."""
    with _pool():
        rank = ("rank", "bank.jsonl", "--models", *MODELS, "--device", "cpu")
        found = {"rank.json": _plain(_printed(*rank, "--json")), "rank.csv": _without_times(_printed(*rank, "--csv"))}
        _printed(*rank, "--save", "results")
        found["records.json"] = _records(Path("results"))
        found["board.csv"] = _without_times(_board(Path("results")))
        found["card.md"] = re.sub(
            r"\| Measured \|.*", "| Measured |", _printed("card", "clear", "--results", "results")
        )
        verify = ("verify", "bank.jsonl", "--models", *TUNED, *QUICK)
        found["verify.json"] = _plain(_printed(*verify, "--json"))
    found["shipped.txt"] = shipped_identities()
    return found


def shipped_identities() -> str:
    """Return how many records ship, and one number of all their identities."""
    table = shipped_place().view().table()
    names = sorted(identity(record) for record in table.records(range(len(table))))
    return f"{len(names)} records, {hashlib.blake2b(' '.join(names).encode(), digest_size=16).hexdigest()}\n"


@contextlib.contextmanager
def _pool() -> Iterator[None]:
    """Be in a folder with the dataset and the checkpoints, and leave nothing behind."""
    before, home = Path.cwd(), os.environ.get("HF_TRANSFER_SCORE_HOME")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "bank.jsonl")
        write_checkpoint(folder / "models" / "clear")
        write_checkpoint(folder / "models" / "noisy", noise=4.0)
        write_checkpoint(folder / "models" / "vowels", letters="aeiou", noise=1.0)
        write_checkpoint(folder / "models" / "broken", wrong="the weights end too early")
        texts.write_text(folder / "models" / "first", seed=0)
        texts.write_text(folder / "models" / "second", seed=1)
        os.environ["HF_TRANSFER_SCORE_HOME"] = str(folder / "home")
        os.chdir(folder)
        register_backbone(TOY)
        try:
            yield
        finally:
            unregister_backbone("toy")
            os.chdir(before)
            os.environ.pop("HF_TRANSFER_SCORE_HOME")
            if home is not None:
                os.environ["HF_TRANSFER_SCORE_HOME"] = home


def _printed(*arguments: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = main(list(arguments))
    assert status == 0, (arguments, out.getvalue()[-2000:])
    return out.getvalue()


def _plain(text: str) -> str:
    return json.dumps(_timeless(json.loads(text)), indent=1) + "\n"


def _timeless(value: Any) -> Any:
    """Return plain values without what differs from run to run."""
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if name not in TIMED}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def _without_times(text: str) -> str:
    """Return a CSV without the columns that differ from run to run."""
    rows = [line.split(",") for line in text.splitlines()]
    kept = [number for number, name in enumerate(rows[0]) if name not in TIMED]
    return "".join(",".join(row[number] for number in kept) + "\n" for row in rows)


def _records(folder: Path) -> str:
    found = {}
    for path in sorted((folder / "records").rglob("*.json")):
        found[path.relative_to(folder).as_posix()] = _timeless(json.loads(path.read_text()))
    return json.dumps(found, indent=1) + "\n"


def _board(folder: Path) -> str:
    files = sorted((folder / "records").rglob("*.json"))
    stored = [Stored.read(path.relative_to(folder).as_posix(), "", path.read_bytes()) for path in files]
    catalogue = Catalogue(RecordTable.of(stored))
    (summary,) = catalogue.boards()
    board = catalogue.board(summary.key)
    return board_csv(board, board.rows)


def write() -> None:
    EXPECTED.mkdir(exist_ok=True)
    for name, text in everything().items():
        (EXPECTED / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
