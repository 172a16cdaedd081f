"""The command line: parse, call, print."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from hf_transfer_score.api import FeatureRanking, choose_metrics
from hf_transfer_score.cli.arguments import PROGRAM, build_parser
from hf_transfer_score.cli.guide_text import guide_text, guides_text
from hf_transfer_score.cli.metric_guide import all_guides, configured_metrics, metric_guide
from hf_transfer_score.cli.score_files import FileOptions, name_models, parse_facts, pool_order, score_files
from hf_transfer_score.cli.score_notes import score_notes
from hf_transfer_score.cli.tables import UNLIMITED, Page, model_text, pool_text
from hf_transfer_score.cli.tables_csv import model_csv, pool_csv
from hf_transfer_score.errors import NoSpaceError, OptionError, TransferScoreError, UnknownMetricError
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import Metric, get_metric

ELSEWHERE = {
    "verify": "verify_command",
    "layers": "layers_command",
    "demo": "demo_command",
    "reproduce": "reproduce_command",
    "publish": "results_command",
    "pull": "results_command",
    "merge": "results_command",
    "validate": "results_command",
    "leaderboard": "leaderboard_command",
    "space": "leaderboard_command",
    "card": "card_command",
    "worker": "worker_command",
}
"""Modules whose `run` does a command; what they need is loaded with them only."""

FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141

PROSE_WIDTH = 100
"""Width of text that is piped, unless COLUMNS says another; tables of scores are then as wide as they need."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    try:
        parser = build_parser()
        status = _run(parser, parser.parse_args(argv))
        sys.stdout.flush()
    except SystemExit as done:
        return int(done.code or 0)
    except TransferScoreError as error:
        if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
            print(f"error: {error}", file=sys.stderr)
        return USAGE if isinstance(error, (OptionError, UnknownMetricError, NoSpaceError)) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    commands = {
        "rank": _rank,
        "score": _score,
        "metrics": _metrics,
        "register": _register,
        "example": _example,
        "cache": _cache,
    }
    if arguments.command is None:
        parser.print_help()
        return 0
    if arguments.command in ELSEWHERE:
        module = import_module(f"hf_transfer_score.cli.{ELSEWHERE[arguments.command]}")
        return int(module.run(arguments, page=_page, write=_write, write_json=_write_json))
    return commands[arguments.command](arguments)


def _rank(arguments: argparse.Namespace) -> int:
    from hf_transfer_score.cli.rank_command import run_rank

    return run_rank(arguments, page=_page, write=_write, write_json=_write_json)


def _cache(arguments: argparse.Namespace) -> int:
    from hf_transfer_score.cli.rank_command import run_cache

    return run_cache(arguments, page=_page, write=_write, write_json=_write_json)


def _score(arguments: argparse.Namespace) -> int:
    files, metrics, facts = _plan(arguments)
    options = FileOptions(arguments.labels, arguments.features_key, arguments.labels_key)
    with _progress(len(files)) as progress:
        ranking = score_files(files, metrics=metrics, options=options, facts=facts, progress=progress)
    if len(files) == 1:
        return _print_model(ranking, arguments)
    return _print_pool(ranking, arguments)


def _plan(arguments: argparse.Namespace) -> tuple[dict[str, Path], list[Metric], dict[str, ModelFacts]]:
    """Return files, metrics and facts by name; whatever is wrong with them is wrong usage."""
    try:
        files = name_models(arguments.files)
        chosen = choose_metrics("all" if arguments.metrics == ["all"] else arguments.metrics)
        metrics = configured_metrics([metric.name for metric in chosen], arguments.options)
        return files, metrics, parse_facts(arguments.facts, files)
    except TransferScoreError as error:
        raise OptionError(str(error)) from error


@contextmanager
def _progress(count: int) -> Iterator[Callable[[str], None]]:
    """Show which model of a pool is scored, where a person looks at the error stream."""
    if count < 2 or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    done = iter(range(1, count + 1))
    with Console(stderr=True, markup=False).status("reading labels") as status:
        yield lambda name: status.update(f"scoring {next(done)} of {count}: {name}")


def _print_model(ranking: FeatureRanking, arguments: argparse.Namespace) -> int:
    name, scores = next(iter(ranking.models.items()))
    if scores.status != "ok":
        raise TransferScoreError(scores.reason)
    if arguments.json:
        _write_json({"model": name, **scores.as_dict()})
    else:
        _write(model_csv(scores) if arguments.csv else model_text(name, scores, _page(UNLIMITED)))
    return 0 if any(result.status == "ok" for result in scores.results.values()) else FAILED


def _print_pool(ranking: FeatureRanking, arguments: argparse.Namespace) -> int:
    order = pool_order(ranking)
    if arguments.json:
        _write_json(
            {"order": order.models, "order_by": order.metrics, "mean_ranks": order.mean_ranks, **ranking.as_dict()}
        )
    elif arguments.csv:
        _write(pool_csv(ranking, order, terms=arguments.terms))
        _write_notes(ranking)
    else:
        _write(pool_text(ranking, order, _page(UNLIMITED), terms=arguments.terms))
    return 0 if ranking.pools else FAILED


def _metrics(arguments: argparse.Namespace) -> int:
    if arguments.name is not None:
        guide = metric_guide(get_metric(arguments.name))
        _write_json(guide.as_dict()) if arguments.json else _write(guide_text(guide, _page()))
    elif arguments.json:
        _write_json([guide.as_dict() for guide in all_guides()])
    else:
        _write(guides_text(all_guides(), _page()))
    return 0


def _register(_: argparse.Namespace) -> int:
    from hf_transfer_score.evaluate_modules.install import register

    paths = register()
    for path in paths:
        _write(f"installed {path}\n")
    _write("".join(f'use it by evaluate.load("{path.stem}")\n' for path in paths))
    return 0


def _example(arguments: argparse.Namespace) -> int:
    from hf_transfer_score.cli.example import example_text, run_example, save_example

    example = run_example()
    if arguments.json:
        _write_json(example.as_dict())
    else:
        _write(example_text(example, _page()))
    if arguments.save is not None:
        save_example(example, arguments.save)
        folder = shlex.quote(str(arguments.save))
        print(f"\nSaved {len(example.features)} files. Score them: {PROGRAM} score {folder}/*.npz", file=sys.stderr)
    return 0


def _page(piped_width: int = PROSE_WIDTH) -> Page:
    """Return what to lay text out for: the terminal, or the width a pipe gets."""
    terminal = sys.stdout.isatty()
    return Page(shutil.get_terminal_size((PROSE_WIDTH if terminal else piped_width, 24)).columns, colour=terminal)


def _write_notes(ranking: FeatureRanking) -> None:
    """Write what a table of numbers has no place for to the error stream."""
    for note in score_notes(ranking):
        print(f"{note.kind}: {note.text}", file=sys.stderr)


def _write_json(value: Any) -> None:
    _write(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """Return a value with null for the numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(text: str) -> None:
    """Write to standard output; letters that its encoding lacks become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
