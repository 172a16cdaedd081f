"""The arguments of `reproduce`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hf_transfer_score.cli.rank_arguments import whole

REPRODUCE_DESCRIPTION = """\
Print a published table of transferability scores beside the accuracies that
were measured after fine-tuning, and how well they agree. Off line, from the
records that ship with the package; it says where each number is from.

With --run, on line: the checkpoints of the Hub that are nearest to the models
of the table are scored on the dataset on the Hub, as `rank` does, and both
stand side by side. A checkpoint that is missing is a row with the reason.

TABLE is ncti-cifar10: NCTI of eleven ImageNet models for CIFAR-10.
"""

REPRODUCE_EXAMPLES = """\
examples:
  hf-transfer-score reproduce ncti-cifar10
  hf-transfer-score reproduce ncti-cifar10 --json
  hf-transfer-score reproduce ncti-cifar10 --run --per-class 100
"""


def add_reproduce(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the command; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes it."""
    made = parser(
        commands.add_parser,
        "reproduce",
        help="print a published table, and score its models anew",
        usage="hf-transfer-score reproduce TABLE [--run] [options]",
        description=REPRODUCE_DESCRIPTION,
        epilog=REPRODUCE_EXAMPLES,
    )
    made.add_argument("table", metavar="TABLE", help="ncti-cifar10")
    made.add_argument("--json", action="store_true", help="print everything as JSON")
    running = made.add_argument_group("running")
    running.add_argument("--run", action="store_true", help="score the nearest checkpoints on the Hub, on line")
    running.add_argument("--max-samples", type=whole, metavar="N", help="examples drawn; default 5000")
    running.add_argument("--per-class", type=whole, metavar="N", help="draw so many of each class instead")
    running.add_argument("--batch-size", type=whole, metavar="N", help="default: found")
    running.add_argument("--device", metavar="NAME", help="cpu, cuda, mps; default: an accelerator if there is one")
    running.add_argument("--free-disk", action="store_true", help="remove weights this run downloads once scored")
    running.add_argument("--quiet", action="store_true", help="no plan and no progress on the error stream")
