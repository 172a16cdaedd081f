"""The arguments of `demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = "hf-transfer-score"

DESCRIPTION = """\
See the whole way once, off line and in about a minute: twelve micro image
networks are pre-trained on the digits 0 to 4 that ship with scikit-learn and
written as checkpoints, `rank` ranks them for the digits 5 to 9, all are
fine-tuned, and the scores are set beside the measured accuracies.

It demonstrates the mechanics. It is no evidence for any metric.
"""

EXAMPLES = f"""\
examples:
  {PROGRAM} demo
  {PROGRAM} demo --save ./demo
  {PROGRAM} rank ./demo/warped-digits-5-9 --models ./demo/checkpoints/* --metrics all
"""


def add_demo(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the command; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes it."""
    made = parser(
        commands.add_parser,
        "demo",
        help="rank, fine-tune and compare a small pool, off line",
        usage=f"{PROGRAM} demo [--save FOLDER] [--seed N] [--json]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    made.add_argument(
        "--save", type=Path, metavar="FOLDER", help="keep checkpoints, pictures and records there; a new folder"
    )
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn; default: 0")
    made.add_argument("--json", action="store_true", help="print everything as JSON")
