"""The arguments of the command line, without what they do: nothing heavy is loaded for `--help`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hf_transfer_score.cli.card_arguments import add_card
from hf_transfer_score.cli.layers_arguments import add_layers
from hf_transfer_score.cli.leaderboard_arguments import add_leaderboard
from hf_transfer_score.cli.rank_arguments import CACHE_DESCRIPTION, RANK_DESCRIPTION, RANK_EXAMPLES, add_cache, add_rank
from hf_transfer_score.cli.reproduce_arguments import add_reproduce
from hf_transfer_score.cli.results_arguments import add_results
from hf_transfer_score.cli.values import metric_names
from hf_transfer_score.cli.verify_arguments import add_verify
from hf_transfer_score.cli.worker_arguments import add_worker
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.version import VERSION

PROGRAM = "hf-transfer-score"

DESCRIPTION = "Which checkpoint should I fine-tune? Transferability metrics from features of one forward pass."

RANK_USAGE = f"{PROGRAM} rank DATASET --models MODEL ... [options]\n       {PROGRAM} rank example [options]"

ENDING = """\
exit status:
  0    something was scored
  1    nothing could be scored
  2    wrong usage, or something went wrong that no row can tell, in one sentence
  129  ended by SIGHUP, 130 by Ctrl-C, 143 by SIGTERM: what is done is kept
  141  what read the output stopped reading
"""

SCORE_USAGE = f"{PROGRAM} score FILE... [options]"

SCORE_DESCRIPTION = f"""\
Score features that are on disk. One file: the metrics of that model. Several
files: a pool of models on one sample, a row a model, in the order of the mean
rank of {" and ".join(sorted(HEADLINE_METRICS))} where both are computed, else of the first metric's rank.

A FILE is one of
  .npz, .safetensors  arrays `features` and `labels`, and where there are any
                      `source_probs` and `targets`
  .npy                features; labels beside it, NAME.labels.npy or labels.npy
  .parquet            a list column `features`, or a numeric column a feature,
                      and a column `label`

The files of a pool hold the same labels, or take them from --labels. A file
that cannot be scored is a row with the reason. Pickled files are refused.
"""

SCORE_EXAMPLES = f"""\
examples:
  {PROGRAM} score resnet50.npz
  {PROGRAM} score features/*.npz --metrics face,ncti --terms
  {PROGRAM} score features/*.npy --labels labels.npy --csv
  {PROGRAM} score a.npz b.npz --option face.temperature=0.1
  {PROGRAM} score features/*.npz --facts resnet50:parameters=25557032
"""

METRICS_DESCRIPTION = """\
List the metrics with their terms, needs, options and papers; with NAME, all about one of them.
"""

REGISTER_DESCRIPTION = """\
Put the evaluate modules of this package where evaluate looks for metrics, so
that evaluate.load("face_transferability") works, offline too.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _parser(argparse.ArgumentParser, prog=PROGRAM, usage=f"{PROGRAM} COMMAND ...", description=DESCRIPTION)
    parser.epilog = ENDING
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    parser.add_argument("--traceback", action="store_true", help="show where something went wrong; anywhere in a line")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", prog=PROGRAM)
    _add_rank(commands)
    _add_score(commands)
    _add_metrics(commands)
    _add_register(commands)
    _add_cache(commands)
    for add in (add_verify, add_layers, add_reproduce, add_results, add_leaderboard, add_card, add_worker):
        add(commands, _parser)
    return parser


def _parser(make: Any, *arguments: str, **settings: Any) -> argparse.ArgumentParser:
    """Return a parser that shows its text as it is written, and takes no abbreviated options."""
    parser: argparse.ArgumentParser = make(
        *arguments, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings
    )
    return parser


def _add_rank(commands: Any) -> None:
    parser = _parser(
        commands.add_parser,
        "rank",
        help="rank checkpoints for a dataset",
        usage=RANK_USAGE,
        description=RANK_DESCRIPTION,
        epilog=RANK_EXAMPLES,
    )
    add_rank(parser)


def _add_cache(commands: Any) -> None:
    parser = _parser(
        commands.add_parser,
        "cache",
        help="show or remove the features that are kept",
        usage=f"{PROGRAM} cache list|clear [--json]",
        description=CACHE_DESCRIPTION,
    )
    add_cache(parser)


def _add_score(commands: Any) -> None:
    parser = _parser(
        commands.add_parser,
        "score",
        help="score features on disk: one model, or a pool",
        usage=SCORE_USAGE,
        description=SCORE_DESCRIPTION,
        epilog=SCORE_EXAMPLES,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="features of one model each")
    reading = parser.add_argument_group("reading")
    reading.add_argument("--labels", type=Path, metavar="FILE", help="labels of all files, in any of the formats")
    reading.add_argument(
        "--features-key", metavar="KEY", help="name of the features; in .parquet also a pattern of columns, as 'f_*'"
    )
    reading.add_argument("--labels-key", metavar="KEY", help="name of the labels")
    scoring = parser.add_argument_group("scoring")
    scoring.add_argument(
        "--metrics",
        type=metric_names,
        metavar="NAMES",
        help="names with commas, or all; default: all but the slow ones",
    )
    scoring.add_argument(
        "--option",
        action="append",
        default=[],
        dest="options",
        metavar="METRIC.OPTION=VALUE",
        help="set an option of a metric; may be repeated",
    )
    scoring.add_argument(
        "--facts",
        action="append",
        default=[],
        metavar="MODEL:FACT=NUMBER,...",
        help="parameters and downloads of a model, for the trivial baselines; may be repeated",
    )
    printing = parser.add_argument_group("printing")
    printing.add_argument("--terms", action="store_true", help="show the raw terms of a pool too")
    form = printing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument("--csv", action="store_true", help="print the table as CSV, in full precision")


def _add_metrics(commands: Any) -> None:
    parser = _parser(
        commands.add_parser,
        "metrics",
        help="list the metrics, or tell all about one",
        usage=f"{PROGRAM} metrics [NAME] [--json]",
        description=METRICS_DESCRIPTION,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a metric")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _add_register(commands: Any) -> None:
    _parser(
        commands.add_parser,
        "register",
        help="make evaluate.load find the metrics",
        usage=f"{PROGRAM} register",
        description=REGISTER_DESCRIPTION,
    )
