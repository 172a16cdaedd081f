"""The arguments of `layers`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_transfer_score.cli.rank_arguments import whole

LAYERS_DESCRIPTION = """\
Show in which layer of a checkpoint the classes of a dataset are most collapsed:
NC1 of the pooled features of every layer, with the terms of ncti and face, from
one forward pass over a sample. Nothing is fine-tuned.

The layer with the smallest NC1 is where layer-wise fine-tuning (Layer-FT) would
train: the block that ends there, and a new classifier.

MODEL is an id on the Hub or a folder; DATASET an id on the Hub, a folder or a
file.
"""

LAYERS_EXAMPLES = """\
examples:
  hf-transfer-score layers facebook/dinov2-small uoft-cs/cifar10 --per-class 50
  hf-transfer-score layers sentence-transformers/all-MiniLM-L6-v2 banking77 --plot profile.png
  hf-transfer-score layers ./checkpoint data.parquet --csv > profile.csv
"""


def add_layers(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the command; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes it."""
    made = parser(
        commands.add_parser,
        "layers",
        help="show how collapsed classes are in each layer",
        usage="hf-transfer-score layers MODEL DATASET [options]",
        description=LAYERS_DESCRIPTION,
        epilog=LAYERS_EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help="id on the Hub, or folder")
    made.add_argument("dataset", metavar="DATASET", help="id on the Hub, folder or file")
    _add_dataset(made.add_argument_group("dataset"))
    _add_features(made.add_argument_group("features"))
    _add_printing(made.add_argument_group("printing"))


def _add_dataset(group: Any) -> None:
    group.add_argument("--task", metavar="TASK", help="what the dataset asks; default: told from its columns")
    group.add_argument("--config", metavar="NAME", help="configuration of the dataset")
    group.add_argument("--split", metavar="NAME", help="default: train, or the only one")
    group.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of the dataset")
    group.add_argument("--label", metavar="COLUMN", help="column with labels; default: told from names")
    group.add_argument(
        "--input", action="append", default=[], metavar="COLUMN", help="column with inputs; twice for pairs of texts"
    )
    group.add_argument("--max-samples", type=whole, default=5000, metavar="N", help="examples drawn; default 5000")
    group.add_argument("--per-class", type=whole, metavar="N", help="draw so many of each class instead")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample; default 0")


def _add_features(group: Any) -> None:
    group.add_argument("--pooling", default="auto", metavar="NAME", help="auto, cls, mean, last or max")
    group.add_argument("--max-length", type=whole, metavar="N", help="tokens of a text that are read; at most 512")
    group.add_argument("--dtype", default="float32", metavar="NAME", help="float32, bfloat16 or float16")
    group.add_argument("--batch-size", type=whole, metavar="N", help="default: found")
    group.add_argument("--device", metavar="NAME", help="cpu, cuda, mps; default: an accelerator if there is one")
    group.add_argument("--trust-remote-code", action="store_true", help="run the Python code that comes with MODEL")
    group.add_argument("--allow-pickle", action="store_true", help="load the pickled weights of MODEL")
    group.add_argument("--refresh", action="store_true", help="ask the Hub and read the dataset again")


def _add_printing(group: Any) -> None:
    group.add_argument("--plot", type=Path, metavar="FILE", help="also draw it: .png, .svg or .html")
    group.add_argument("--quiet", action="store_true", help="no plan and no progress on the error stream")
    form = group.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument("--csv", action="store_true", help="print the table as CSV, in full precision")
