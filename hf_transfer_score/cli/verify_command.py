"""The command `verify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hf_transfer_score.checkpoints.candidate import read_candidates
from hf_transfer_score.cli.ending import interrupted_status, leave_at_once, leaving_at_once
from hf_transfer_score.cli.printing import Status, say, status
from hf_transfer_score.cli.rank_arguments import rank_options, search_of
from hf_transfer_score.cli.rank_command import _metrics, _show_plan
from hf_transfer_score.cli.rank_progress import watching
from hf_transfer_score.cli.rank_tables import report_text
from hf_transfer_score.cli.tables import UNLIMITED, Page
from hf_transfer_score.cli.verify_arguments import verify_options
from hf_transfer_score.cli.verify_tables import verify_text
from hf_transfer_score.errors import OptionError
from hf_transfer_score.hub.background import at_work
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.selection.listener import Listener
from hf_transfer_score.selection.report import Interrupted, RankReport
from hf_transfer_score.selection.verified import Verified, VerifyReport
from hf_transfer_score.selection.verifying import VerifyListener, verify
from hf_transfer_score.truth.fine_tune import Measured

FAILED = 1


def run(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run `verify` and return its exit status."""
    how, metrics = verify_options(arguments), _metrics(arguments)
    if arguments.save is not None and arguments.save.exists() and not arguments.save.is_dir():
        raise OptionError(f"{arguments.save} is a file; name a folder for the records.")
    models = [*arguments.models, *(read_candidates(arguments.models_from) if arguments.models_from else [])]
    with leaving_at_once():
        try:
            with _watching(quiet=arguments.quiet) as (listener, heard):
                report = verify(
                    arguments.dataset,
                    models,
                    options=rank_options(arguments),
                    how=how,
                    metrics=metrics,
                    headline=arguments.headline,
                    search=search_of(arguments),
                    listener=listener,
                    heard=heard,
                    save=arguments.save,
                )
        except Interrupted as error:
            write_json(error.report.as_dict()) if arguments.json else write(report_text(error.report, page(UNLIMITED)))
            leave_at_once("interrupted while ranking: run the same command again to go on")
        write_json(report.as_dict()) if arguments.json else write(verify_text(report, page(UNLIMITED)))
    return _status(report, arguments)


def _status(report: VerifyReport, arguments: argparse.Namespace) -> int:
    if report.interrupted:
        kept = "run the same command again to go on" if arguments.save else "with --save it would be kept"
        if at_work():  # on the weights of the candidate that was next
            leave_at_once(f"interrupted: {kept}")
        say(f"interrupted: {kept}")
        return interrupted_status()
    return 0 if any(one.measured for one in report.models.values()) else FAILED


@contextmanager
def _watching(*, quiet: bool) -> Iterator[tuple[Listener, VerifyListener]]:
    terminal = sys.stderr.isatty()
    with watching(_show_plan, terminal=terminal, quiet=quiet) as listener:
        if quiet:
            yield listener, VerifyListener()
        elif not terminal:
            yield listener, _Lines()
        else:
            with status("ranking") as line:
                line.stop()
                yield listener, _Status(listener, line)


class _Lines(VerifyListener):
    """Says what is done, a line for each candidate and seed."""

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        """Say what will be done."""
        say(f"{len(names)} of {len(report.models)} models to fine-tune, {len(test)} rows to test on")

    def measured(self, name: str, seed: int, measured: Measured, *, before: bool) -> None:
        """Say what was found."""
        say(f"{name}, seed {seed}: {measured.accuracy:.4f}{' (measured before)' if before else ''}")

    def failed(self, verified: Verified) -> None:
        """Say why."""
        say(f"failed: {verified.name}: {verified.reason}")


class _Status(_Lines):
    """Shows besides what is being done now."""

    def __init__(self, listener: Listener, status: Status) -> None:
        self._listener, self._status = listener, status

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        """Put a line that moves in the place of the bars of the ranking."""
        bars = getattr(self._listener, "progress", None)
        if bars is not None:
            bars.stop()
        super().ranked(report, test, names)
        self._status.start()

    def stage(self, name: str, seed: int, words: str) -> None:
        """Say what is being done."""
        self._status.update(f"{name}, seed {seed}: {words}")
