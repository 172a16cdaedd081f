"""The commands `rank` and `cache`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hf_transfer_score.checkpoints.candidate import read_candidates
from hf_transfer_score.cli.ending import is_main, leaving_at_once
from hf_transfer_score.cli.metric_guide import configured_metrics
from hf_transfer_score.cli.printing import say
from hf_transfer_score.cli.rank_arguments import rank_options, search_of
from hf_transfer_score.cli.rank_csv import report_csv
from hf_transfer_score.cli.rank_progress import watching
from hf_transfer_score.cli.rank_tables import cache_text, plan_text, report_notes, report_text
from hf_transfer_score.cli.tables import UNLIMITED, Page
from hf_transfer_score.errors import NoSpaceError, OptionError
from hf_transfer_score.example import example_dataset
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.features.processes import Processes
from hf_transfer_score.home import cache_limit, home
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.selection.plan import Plan
from hf_transfer_score.selection.report import Interrupted, RankReport
from hf_transfer_score.selection.run import plan_rank, rank
from hf_transfer_score.selection.words import short_bytes

FAILED = 1

AFTER_EXAMPLE = """
See how far that holds: fine-tune all ten (about a minute):
  hf-transfer-score verify example --seeds 0 --learning-rates 1e-3 --epochs 8
Your own dataset:
  hf-transfer-score rank DATASET --models MODEL MODEL ...
"""


def run_rank(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run `rank` and return its exit status."""
    metrics = _metrics(arguments)
    if arguments.plot is not None:
        from hf_transfer_score.drawing.files import check_plot_path

        check_plot_path(arguments.plot)
    if arguments.save is not None and arguments.save.exists() and not arguments.save.is_dir():
        raise OptionError(f"{arguments.save} is a file; name a folder for the records.")
    models = [*arguments.models, *(read_candidates(arguments.models_from) if arguments.models_from else [])]
    terminal = sys.stderr.isatty()
    call = plan_rank if arguments.dry_run else rank
    quiet = arguments.quiet or arguments.dry_run or not is_main()
    with leaving_at_once():
        try:
            with watching(_show_plan, terminal=terminal, quiet=quiet) as listener:
                result = call(
                    arguments.dataset,
                    models,
                    options=rank_options(arguments),
                    metrics=metrics,
                    headline=arguments.headline,
                    search=search_of(arguments),
                    listener=listener,
                )
        except Interrupted as error:
            if is_main():
                _answer(error.report, arguments, page, write, write_json)
            raise
        status = _answer(result, arguments, page, write, write_json) if is_main() else 0
    Processes.current().leave()
    return status


def _answer(
    result: RankReport | Plan,
    arguments: argparse.Namespace,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Print what a run or a plan came to, and return the exit status."""
    if isinstance(result, Plan):
        write_json(plan_facts(result)) if arguments.json else write(plan_text(result, page(UNLIMITED)))
        return 0
    _finish(result, arguments, page, write, write_json)
    full = next((str(one.reason) for one in result.models.values() if one.kind == "no_space"), None)
    if full is not None:
        raise NoSpaceError(full)
    return 0 if result.ranks else FAILED


def _metrics(arguments: argparse.Namespace) -> list[Metric] | str | None:
    if arguments.metrics == ["all"]:
        return "all"
    if arguments.metrics is None and not arguments.options:
        return None
    return configured_metrics(arguments.metrics or ["ncti", "face", "logme"], arguments.options)


def _finish(
    report: RankReport,
    arguments: argparse.Namespace,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> None:
    """Print the report in the form asked for, and write the files asked for."""
    if arguments.json:
        write_json(report.as_dict())
    elif arguments.csv:
        write(report_csv(report, terms=arguments.terms))
        for note in report_notes(report):
            say(f"{note.kind}: {note.text}")
    else:
        write(report_text(report, page(UNLIMITED), terms=arguments.terms))
        if example_dataset(arguments.dataset) is not None:
            write(f"\n{report.answer}\n{AFTER_EXAMPLE}")
    if arguments.save is not None:
        count = report.save(arguments.save)
        say(f"Saved {count} records to {arguments.save}")
    if arguments.plot is not None:
        from hf_transfer_score.drawing.files import save_plot

        save_plot(report, arguments.plot)
        say(f"Drew {arguments.plot}")


def _show_plan(plan: Plan) -> None:
    terminal = sys.stderr.isatty()
    width = os.get_terminal_size(sys.stderr.fileno()).columns if terminal else UNLIMITED
    say(plan_text(plan, Page(width or 100, colour=terminal)))


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "download_bytes": plan.download_bytes,
        "free_bytes": plan.free_bytes,
        "notes": list(plan.notes),
        "models": [
            {
                "name": model.name,
                "state": model.state,
                "commit": model.checkpoint.commit if model.checkpoint else None,
                "kind": model.kind,
                "parameters": model.parameters,
                "files": list(model.files),
                "download_bytes": model.download_bytes,
                "failure": {"kind": model.failure.kind, "reason": str(model.failure)} if model.failure else None,
            }
            for model in plan.models
        ],
    }


def run_cache(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run `cache` and return its exit status."""
    cache = FeatureCache(home() / "features", cache_limit())
    if arguments.action == "clear":
        count, size = cache.clear()
        write(f"Removed {count} entries, {short_bytes(size)}.\n")
        return 0
    entries = cache.entries()
    if arguments.json:
        write_json([asdict(entry) for entry in entries])
    else:
        write(cache_text(entries, cache.limit, page(UNLIMITED)))
    return 0
