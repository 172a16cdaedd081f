"""The command line: parse, call, print."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from hf_transfer_score.cli.arguments import build_parser
from hf_transfer_score.cli.ending import AGAIN, ended_by_signals, interrupted_status, leave_at_once, waiting_threads
from hf_transfer_score.cli.guide_text import guide_text, guides_text
from hf_transfer_score.cli.last_handler import FAILED, split_traceback, tell, tell_output
from hf_transfer_score.cli.metric_guide import all_guides, configured_metrics, metric_guide
from hf_transfer_score.cli.printing import say, standard_streams, status, write, write_json
from hf_transfer_score.cli.score_files import FileOptions, name_models, parse_facts, score_files
from hf_transfer_score.cli.score_notes import score_notes
from hf_transfer_score.cli.tables import UNLIMITED, Page, model_text, pool_text
from hf_transfer_score.cli.tables_csv import model_csv, pool_csv
from hf_transfer_score.errors import OptionError, TransferScoreError
from hf_transfer_score.hub.background import at_work
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import Metric, get_metric
from hf_transfer_score.metrics.scores import choose_metrics
from hf_transfer_score.ranking.ranking import Ranking

ELSEWHERE = {
    "verify": "verify_command",
    "layers": "layers_command",
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

PROSE_WIDTH = 100
"""Width of text that is piped, unless COLUMNS says another; tables of scores are then as wide as they need."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; whatever goes wrong is told in one sentence."""
    with standard_streams() as (output, _):
        arguments, with_traceback = split_traceback(list(sys.argv[1:] if argv is None else argv))
        with ended_by_signals():
            status = _ended(arguments, with_traceback=with_traceback, as_program=argv is None)
            output.flush()
            return status if output.failure is None else tell_output(output.failure, status)


def _ended(arguments: list[str], *, with_traceback: bool, as_program: bool) -> int:
    """Run a command and return its exit status, however it ends."""
    try:
        parser = build_parser()
        return _run(parser, parser.parse_args(arguments))
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else FAILED
    except KeyboardInterrupt:
        if as_program and (at_work() or waiting_threads()):
            leave_at_once(AGAIN)
        say(AGAIN)
        return interrupted_status()
    except Exception as error:  # noqa: BLE001  # the last handler
        return tell(error, with_traceback=with_traceback)


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    commands = {
        "rank": _rank,
        "score": _score,
        "metrics": _metrics,
        "register": _register,
        "cache": _cache,
    }
    if arguments.command is None:
        parser.print_help()
        return 0
    if arguments.command in ELSEWHERE:
        module = import_module(f"hf_transfer_score.cli.{ELSEWHERE[arguments.command]}")
        return int(module.run(arguments, page=_page, write=write, write_json=write_json))
    return commands[arguments.command](arguments)


def _rank(arguments: argparse.Namespace) -> int:
    from hf_transfer_score.cli.rank_command import run_rank

    return run_rank(arguments, page=_page, write=write, write_json=write_json)


def _cache(arguments: argparse.Namespace) -> int:
    from hf_transfer_score.cli.rank_command import run_cache

    return run_cache(arguments, page=_page, write=write, write_json=write_json)


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
    done = iter(range(1, count + 1))
    with status("reading labels") as line:
        yield lambda name: line.update(f"scoring {next(done)} of {count}: {name}")


def _print_model(ranking: Ranking, arguments: argparse.Namespace) -> int:
    name, one = next(iter(ranking.models.items()))
    if one.scores is None or one.why is not None:
        raise TransferScoreError(one.why)
    scores = one.scores
    if arguments.json:
        write_json({"model": name, **scores.as_dict()})
    else:
        write(model_csv(scores) if arguments.csv else model_text(name, scores, _page(UNLIMITED)))
    return 0 if any(result.status == "ok" for result in scores.results.values()) else FAILED


def _print_pool(ranking: Ranking, arguments: argparse.Namespace) -> int:
    if arguments.json:
        write_json(ranking.as_dict())
    elif arguments.csv:
        write(pool_csv(ranking, terms=arguments.terms))
        _write_notes(ranking)
    else:
        write(pool_text(ranking, _page(UNLIMITED), terms=arguments.terms))
    return 0 if ranking.pools else FAILED


def _metrics(arguments: argparse.Namespace) -> int:
    if arguments.name is not None:
        guide = metric_guide(get_metric(arguments.name))
        write_json(guide.as_dict()) if arguments.json else write(guide_text(guide, _page()))
    elif arguments.json:
        write_json([guide.as_dict() for guide in all_guides()])
    else:
        write(guides_text(all_guides(), _page()))
    return 0


def _register(_: argparse.Namespace) -> int:
    from hf_transfer_score.evaluate_modules.install import register

    paths = register()
    for path in paths:
        write(f"installed {path}\n")
    write("".join(f'use it by evaluate.load("{path.stem}")\n' for path in paths))
    return 0


def _page(piped_width: int = PROSE_WIDTH) -> Page:
    """Return what to lay text out for: the terminal, or the width a pipe gets."""
    terminal = sys.stdout.isatty()
    return Page(shutil.get_terminal_size((PROSE_WIDTH if terminal else piped_width, 24)).columns, colour=terminal)


def _write_notes(ranking: Ranking) -> None:
    """Write what a table of numbers has no place for to the error stream."""
    for note in score_notes(ranking):
        say(f"{note.kind}: {note.text}")
