"""The arguments of `rank` and `cache`, and what they mean as options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.values import metric_names
from hf_transfer_score.ranking.pools import HEADLINE_METRICS

if TYPE_CHECKING:
    from hf_transfer_score.checkpoints.search import Search
    from hf_transfer_score.selection.options import RankOptions

HEADLINE = ",".join(HEADLINE_METRICS)

RANK_DESCRIPTION = """\
Rank checkpoints for a labelled dataset: a sample of the dataset goes through
each of them once, metrics are read off the features, and the order is shown
with how sure it is. Nothing is fine-tuned.

DATASET is an id on the Hub, a folder or a file (parquet, csv, json, arrow,
folders of images or sound). A model is an id on the Hub (owner/name, or
owner/name@revision) or a folder.

The dataset `example` ships with the package, with ten checkpoints that need not
be named: a toy to try things on, off line. One of them is example/NAME.

Features are kept: a second call with other metrics runs no model and asks
nobody. A checkpoint that cannot be scored is a row with the reason.
"""

RANK_EXAMPLES = """\
examples:
  hf-transfer-score rank example
  hf-transfer-score rank ethz/food101 --models timm/resnet50.a1_in1k facebook/dinov2-small
  hf-transfer-score rank banking77 --search minilm --max-params 50M --limit 5
  hf-transfer-score rank ./my_images --models-from models.txt --csv > ranking.csv
  hf-transfer-score rank data.parquet --models ./checkpoint-a ./checkpoint-b --plot ranking.png
  hf-transfer-score rank banking77 --models a/b c/d --dry-run
  accelerate launch --num_processes 4 -m hf_transfer_score rank banking77 --models a/b c/d
"""

CACHE_DESCRIPTION = """\
Show or remove the features that earlier runs kept. They are in the folder
transfer_score of HF_HOME, or in HF_TRANSFER_SCORE_HOME; beyond
HF_TRANSFER_SCORE_CACHE_SIZE (20GB by default) the ones that were not used for
longest are removed.
"""

UNITS = {"K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9}


def add_rank(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of `rank`."""
    parser.add_argument("dataset", metavar="DATASET", help="id on the Hub, folder or file; or example")
    _add_models(parser.add_argument_group("models"))
    _add_dataset(parser.add_argument_group("dataset"))
    _add_features(parser.add_argument_group("features"))
    _add_scoring(parser.add_argument_group("scoring"))
    _add_running(parser.add_argument_group("running"))
    _add_printing(parser.add_argument_group("printing"))


def _add_models(group: Any) -> None:
    group.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="ids on the Hub, or folders")
    group.add_argument("--models-from", type=Path, metavar="FILE", help="a file that names one a line")
    group.add_argument(
        "--search", nargs="?", const="", metavar="WORDS", help="search the Hub for models with these words in their id"
    )
    group.add_argument("--library", metavar="NAME", help="search: timm, transformers, sentence-transformers, ...")
    group.add_argument("--author", metavar="NAME", help="search: a user or organisation")
    group.add_argument("--license", metavar="NAME", help="search: such as apache-2.0")
    group.add_argument("--sort", choices=("downloads", "likes", "trending"), help="search: default downloads")
    group.add_argument("--limit", type=whole, metavar="N", help="search: how many models; default 10")
    group.add_argument("--max-params", type=count, metavar="N", help="run no model with more, such as 100M or 1.5B")
    group.add_argument(
        "--trust-remote-code",
        action="append",
        default=[],
        metavar="MODEL",
        help="run the Python code that comes with this model; may be repeated",
    )
    group.add_argument(
        "--allow-pickle",
        action="append",
        default=[],
        metavar="MODEL",
        help="load this model's pickled weights; may be repeated",
    )


def _add_dataset(group: Any) -> None:
    group.add_argument(
        "--task",
        metavar="TASK",
        help="what the dataset asks (image-classification, text-classification, token-classification, "
        "audio-classification, image-segmentation, *-regression); default: told from its columns. In a search also "
        "the task under which models are listed, such as fill-mask",
    )
    group.add_argument("--config", metavar="NAME", help="configuration of the dataset")
    group.add_argument("--split", metavar="NAME", help="default: train, or the only one")
    group.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of the dataset")
    group.add_argument("--label", metavar="COLUMN", help="column with labels or targets; default: told from names")
    group.add_argument(
        "--input", action="append", default=[], metavar="COLUMN", help="column with inputs; twice for pairs of texts"
    )
    group.add_argument("--max-samples", type=whole, default=5000, metavar="N", help="examples drawn; default 5000")
    group.add_argument("--per-class", type=whole, metavar="N", help="draw so many of each class instead")
    group.add_argument(
        "--rows-per-example",
        type=whole,
        default=16,
        metavar="N",
        help="words of a text, or pixels of an image, that are drawn; default 16",
    )
    group.add_argument(
        "--ignore-value", type=int, action="append", metavar="N", help="value of a mask without label; default 255"
    )
    group.add_argument("--max-rows", type=whole, metavar="N", help="stop after so many rows of a stream without an end")
    group.add_argument("--full-pass", action="store_true", help="read the whole split, where some files would do")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample and the bootstrap; default 0")


def _add_features(group: Any) -> None:
    group.add_argument("--pooling", default="auto", metavar="NAME", help="auto, cls, mean, last or max")
    group.add_argument(
        "--layer", type=_layer, default="last", metavar="LAYER", help="last, mean, a number, or all: a row a layer"
    )
    group.add_argument("--max-length", type=whole, metavar="N", help="tokens of a text that are read; at most 512")
    group.add_argument("--subword", default="first", metavar="NAME", help="what stands for a word: first or mean")
    group.add_argument("--dtype", default="float32", metavar="NAME", help="float32, bfloat16 or float16")
    group.add_argument("--batch-size", type=whole, metavar="N", help="default: found, and halved where memory runs out")
    group.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, mps; default: an accelerator if there is one"
    )


def _add_scoring(group: Any) -> None:
    group.add_argument(
        "--metrics", type=metric_names, metavar="NAMES", help=f"names with commas, or all; default {HEADLINE},logme"
    )
    group.add_argument(
        "--headline",
        type=metric_names,
        metavar="NAMES",
        help=f"the metrics whose mean rank is the order; default {HEADLINE}",
    )
    group.add_argument(
        "--option",
        action="append",
        default=[],
        dest="options",
        metavar="METRIC.OPTION=VALUE",
        help="set an option of a metric; may be repeated",
    )
    group.add_argument(
        "--replicates", type=int, default=100, metavar="N", help="bootstrap samples behind the rank ranges; 0 for none"
    )
    group.add_argument("--level", type=float, default=0.9, metavar="SHARE", help="what rank ranges cover; default 0.9")


def _add_running(group: Any) -> None:
    group.add_argument("--dry-run", action="store_true", help="show what would be downloaded and run, and stop")
    group.add_argument(
        "--free-disk", action="store_true", help="remove weights this run downloads once they are scored"
    )
    group.add_argument("--refresh", action="store_true", help="ask the Hub and read the dataset again")
    group.add_argument("--quiet", action="store_true", help="no plan and no progress on the error stream")


def _add_printing(group: Any) -> None:
    group.add_argument("--terms", action="store_true", help="show the raw terms too")
    group.add_argument("--save", type=Path, metavar="FOLDER", help="also write records and the ranking as JSON there")
    group.add_argument("--plot", type=Path, metavar="FILE", help="also draw it: .png, .svg or .html")
    form = group.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument("--csv", action="store_true", help="print the table as CSV, in full precision")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of `cache`."""
    parser.add_argument("action", choices=("list", "clear"), help="show the features that are kept, or remove them")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def rank_options(arguments: argparse.Namespace) -> RankOptions:
    """Return the options that the arguments mean."""
    from hf_transfer_score.backbones.base import BackboneOptions
    from hf_transfer_score.features.extract import ExtractOptions
    from hf_transfer_score.sampling.options import SampleOptions
    from hf_transfer_score.selection.options import RankOptions
    from hf_transfer_score.tasks import TASKS

    searching = wants_search(arguments) and arguments.task not in TASKS
    return RankOptions(
        sample=SampleOptions(
            config=arguments.config,
            split=arguments.split,
            revision=arguments.revision,
            task=None if searching else arguments.task,
            label_column=arguments.label,
            input_columns=tuple(arguments.input),
            max_samples=arguments.max_samples,
            per_class=arguments.per_class,
            rows_per_example=arguments.rows_per_example,
            ignore_values=tuple(arguments.ignore_value or (255,)),
            max_rows=arguments.max_rows,
            seed=arguments.seed,
            full_pass=arguments.full_pass,
        ),
        backbone=BackboneOptions(
            pooling=arguments.pooling,
            layer=arguments.layer,
            max_length=arguments.max_length,
            subword=arguments.subword,
        ),
        extract=ExtractOptions(dtype=arguments.dtype, batch_size=arguments.batch_size, device=arguments.device),
        max_parameters=arguments.max_params,
        trust_remote_code=tuple(arguments.trust_remote_code),
        allow_pickle=tuple(arguments.allow_pickle),
        free_disk=arguments.free_disk,
        refresh=arguments.refresh,
        replicates=arguments.replicates,
        level=arguments.level,
        seed=arguments.seed,
    )


def wants_search(arguments: argparse.Namespace) -> bool:
    """Whether the Hub is to be searched for models."""
    asked = (arguments.search, arguments.library, arguments.author, arguments.license, arguments.sort, arguments.limit)
    return any(value is not None for value in asked)


def search_of(arguments: argparse.Namespace) -> Search | None:
    """Return the search that the arguments mean, or None."""
    from hf_transfer_score.checkpoints.search import Search

    if not wants_search(arguments):
        return None
    return Search(
        text=arguments.search or None,
        task=arguments.task,
        library=arguments.library,
        author=arguments.author,
        license=arguments.license,
        max_parameters=arguments.max_params,
        sort=arguments.sort or "downloads",
        limit=arguments.limit or 10,
    )


def whole(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def count(text: str) -> int:
    """Return a count such as 100M or 1.5B.

    Example:
        >>> count("1.5B"), count("300K"), count("12_000")
        (1500000000, 300000, 12000)
    """
    unit = text[-1:].upper()
    try:
        return int(float(text[:-1]) * UNITS[unit]) if unit in UNITS else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number such as 100M or 1.5B, got {text!r}") from None


def _layer(text: str) -> str | int:
    return int(text) if text.isdigit() else text
