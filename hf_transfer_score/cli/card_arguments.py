"""The arguments of `card`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

CARD_DESCRIPTION = """\
Write what the records say of a model as a section of its model card, with
model-index metadata: what was measured, on which sample, with which terms,
what it means and what not, how to measure it again, and what to cite. With
--push it goes to the model's page on the Hub, as a pull request with
--create-pr. What the card there has stays as it is; a section of ours that is
there already is replaced.

With --metric, write the card of a metric instead.
"""

CARD_EXAMPLES = """\
examples:
  hf-transfer-score card timm/resnet50.a1_in1k --results ./results
  hf-transfer-score card timm/resnet50.a1_in1k --results OWNER/results --push --create-pr
  hf-transfer-score card pixels --out card.md
  hf-transfer-score card --metric face
"""


def add_card(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the commands; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes one."""
    card = parser(
        commands.add_parser,
        "card",
        help="write what the records say of a model as its card",
        usage="hf-transfer-score card MODEL [options]\n       hf-transfer-score card --metric NAME [options]",
        description=CARD_DESCRIPTION,
        epilog=CARD_EXAMPLES,
    )
    card.add_argument(
        "model", nargs="?", metavar="MODEL", help="as the records call it: OWNER/NAME, or a folder's name"
    )
    card.add_argument("--metric", metavar="NAME", help="the card of a metric instead")
    card.add_argument(
        "--results", metavar="FOLDER|OWNER/NAME", help="where the records are; default: those of the package"
    )
    card.add_argument("--dataset", metavar="ID", help="records of this dataset only")
    card.add_argument("--no-metadata", action="store_true", help="the section alone, without model-index metadata")
    card.add_argument(
        "--eval-results",
        action="store_true",
        help="write measured accuracies as .eval_results/*.yaml, for datasets that are benchmarks on the Hub; with "
        "--push in the same commit, else in place of the card",
    )
    card.add_argument("--eval-task", metavar="ID", help="the task of the benchmark, where it has several")
    where = card.add_argument_group("writing")
    where.add_argument("--out", type=Path, metavar="FILE", help="into a file; a card that is there gets the section")
    where.add_argument("--push", action="store_true", help="onto the model's page on the Hub")
    where.add_argument("--create-pr", action="store_true", help="with --push: as a pull request")
    where.add_argument("--json", action="store_true", help="print the card and its metadata as JSON")
