"""The arguments of `verify`, and what they mean as options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.rank_arguments import _add_dataset, _add_models, _add_scoring, _layer, whole

if TYPE_CHECKING:
    from hf_transfer_score.selection.verified import VerifyOptions

VERIFY_USAGE = """\
hf-transfer-score verify DATASET --models MODEL ... [options]
       hf-transfer-score verify example [options]"""

VERIFY_DESCRIPTION = """\
Rank checkpoints for a labelled dataset as `rank` does, fine-tune the best of
them on the very sample they were ranked by, test them on rows that had no part
in it, and say how well each metric and each trivial baseline predicted the
accuracies.

Methods: probe (a classifier on frozen features), full, layer (one block and the
classifier), scl (the same with a skip connection from that block to the last
features). The learning rate, or the penalty of a probe, is chosen on a fifth of
the sample that is held back from training; test rows choose nothing.

Test rows come from --test-split, else from a split called test or validation
that has labels, else from the rows of the split that the sample left.

With --save each accuracy is a record as soon as it is there; the same command
goes on where an earlier one ended. Start it with a small --top and one seed.
"""

VERIFY_EXAMPLES = """\
examples:
  hf-transfer-score verify banking77 --models a/b c/d --method probe --per-class 20
  hf-transfer-score verify ./my_images --models-from models.txt --top 3 --seeds 0 --save results
  hf-transfer-score verify ./my_images --models-from models.txt --save results --method scl --layer auto
"""


def add_verify(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the command."""
    verify = parser(
        commands.add_parser,
        "verify",
        help="fine-tune the best candidates, and see how well the ranking predicted",
        usage=VERIFY_USAGE,
        description=VERIFY_DESCRIPTION,
        epilog=VERIFY_EXAMPLES,
    )
    verify.add_argument("dataset", metavar="DATASET", help="id on the Hub, folder or file; or example")
    _add_models(verify.add_argument_group("models"))
    _add_dataset(verify.add_argument_group("dataset"))
    _add_testing(verify.add_argument_group("testing"))
    _add_tuning(verify.add_argument_group("fine-tuning"))
    _add_features(verify.add_argument_group("features"))
    _add_scoring(verify.add_argument_group("scoring"))
    _add_running(verify.add_argument_group("running"))


def _add_testing(group: Any) -> None:
    group.add_argument("--test-split", metavar="NAME", help="default: test or validation, else rows the sample left")
    group.add_argument("--test-samples", type=whole, default=1000, metavar="N", help="test rows; default 1000")


def _add_tuning(group: Any) -> None:
    group.add_argument(
        "--method", choices=("probe", "full", "layer", "scl"), default="full", help="what is trained; default full"
    )
    group.add_argument("--top", type=whole, default=12, metavar="N", help="fine-tune the best N; default 12")
    group.add_argument("--seeds", type=seeds, default=(0, 1, 2), metavar="SEEDS", help="with commas; default 0,1,2")
    group.add_argument("--epochs", type=whole, metavar="N", help="passes at most; default by modality")
    group.add_argument("--steps", type=whole, metavar="N", help="optimiser steps at most; default none")
    group.add_argument(
        "--learning-rates", type=_numbers, metavar="RATES", help="each is tried; with commas; default by modality"
    )
    group.add_argument("--train-batch-size", type=whole, metavar="N", help="examples a step; default by modality")
    group.add_argument(
        "--layer",
        dest="block",
        type=_layer,
        metavar="BLOCK",
        help="block that layer and scl train: auto (smallest NC1), a name, or a number from 0; default auto",
    )
    group.add_argument(
        "--skip", choices=("pad", "interpolate"), help="width of the skip connection of scl; default pad"
    )
    group.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), help="of training; default auto: bfloat16 on CUDA"
    )


def _add_features(group: Any) -> None:
    group.add_argument("--pooling", default="auto", metavar="NAME", help="auto, cls, mean, last or max")
    group.add_argument("--max-length", type=whole, metavar="N", help="tokens of a text that are read; at most 512")
    group.add_argument("--dtype", default="float32", metavar="NAME", help="of the ranking: float32, bfloat16, float16")
    group.add_argument("--batch-size", type=whole, metavar="N", help="of the ranking; default: found")
    group.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, mps; default: an accelerator if there is one"
    )
    group.set_defaults(layer="last", subword="first")  # features are scored where the classifier will stand


def _add_running(group: Any) -> None:
    group.add_argument("--save", type=Path, metavar="FOLDER", help="write the records there, and go on from them")
    group.add_argument("--free-disk", action="store_true", help="remove weights this run downloads after use")
    group.add_argument("--refresh", action="store_true", help="ask the Hub and read the dataset again")
    group.add_argument("--quiet", action="store_true", help="no plan and no progress on the error stream")
    group.add_argument("--json", action="store_true", help="print everything as JSON")


def verify_options(arguments: argparse.Namespace) -> VerifyOptions:
    """Return the options that the arguments mean."""
    from hf_transfer_score.errors import OptionError
    from hf_transfer_score.selection.verified import VerifyOptions

    if arguments.block is not None and arguments.method not in ("layer", "scl"):
        raise OptionError(f"--layer is for the methods layer and scl, and {arguments.method} trains no single block.")
    if arguments.skip is not None and arguments.method != "scl":
        raise OptionError(f"--skip is for the method scl, and {arguments.method} has no skip connection.")
    asked = {
        "epochs": arguments.epochs,
        "steps": arguments.steps,
        "learning_rates": arguments.learning_rates,
        "batch_size": arguments.train_batch_size,
        "layer": arguments.block,
        "skip": arguments.skip,
        "precision": arguments.precision,
        "device": arguments.device,
    }
    return VerifyOptions(
        method=arguments.method,
        changes={name: value for name, value in asked.items() if value is not None},
        top=arguments.top,
        seeds=arguments.seeds,
        test_split=arguments.test_split,
        test_samples=arguments.test_samples,
    )


def seeds(text: str) -> tuple[int, ...]:
    """Return seeds that are written with commas.

    Example:
        >>> seeds("0,1,2")
        (0, 1, 2)
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas, such as 0,1,2, got {text!r}")
    return tuple(int(part) for part in parts)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers with commas, such as 1e-4,1e-3, got {text!r}") from None
