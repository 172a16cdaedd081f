"""The command `demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hf_transfer_score.cli.demo_text import demo_text
from hf_transfer_score.cli.printing import moving, say
from hf_transfer_score.cli.tables import Page
from hf_transfer_score.demonstration.options import DemoOptions, Watch
from hf_transfer_score.demonstration.run import PHASES, demonstrate


def run(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run the demonstration and return its exit status."""
    with _watching() as watch:
        found = demonstrate(DemoOptions(seed=arguments.seed), save=arguments.save, watch=watch)
    if arguments.json:
        write_json(found.as_dict())
    else:
        write(demo_text(found, page(PIPED_WIDTH)))
    return 0


PIPED_WIDTH = 120
"""Of a text that goes to a file or another program."""


@contextmanager
def _watching() -> Iterator[Watch]:
    """Yield what shows the phases: bars where a person looks at the error stream, else a line each."""
    if not sys.stderr.isatty():
        yield _say
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with moving(*columns) as progress:
        bars = {phase: progress.add_task(phase, total=None, start=False) for phase in PHASES}

        def watch(phase: str, done: int, total: int) -> None:
            if not done:
                progress.start_task(bars[phase])
            progress.update(bars[phase], completed=done, total=total)

        yield watch


def _say(phase: str, done: int, total: int) -> None:
    if not done:
        say(f"{phase} ...")
