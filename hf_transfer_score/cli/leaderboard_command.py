"""The commands `leaderboard` and `space`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.tables import Page
from hf_transfer_score.errors import OptionError

if TYPE_CHECKING:
    from hf_transfer_score.leaderboard.space import PushedSpace

Write = Callable[[str], None]


def run(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Write,
    write_json: Callable[[Any], None],
) -> int:
    """Run a command about the leaderboard and return its exit status."""
    return _push(arguments, write) if arguments.command == "space" else _serve(arguments, write)


def _serve(arguments: argparse.Namespace, write: Write) -> int:
    if find_spec("gradio") is None:
        raise OptionError("The leaderboard needs gradio>=6.31: pip install 'hf-transfer-score[space]'.")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from hf_transfer_score.leaderboard.starting import build

    app = build(arguments.results, arguments.requests, poll_seconds=arguments.poll)
    from hf_transfer_score.leaderboard.pages.app import Serving, serve

    address = serve(app, Serving(arguments.host, arguments.port, arguments.open))
    shown = arguments.results or "the records of the package"
    write(f"Leaderboard of {shown}: {address}\nCtrl-C stops it.\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):  # or SIGTERM: it is how a service is ended, and no failure
        threading.Event().wait()
    app.close(verbose=False)
    return 0


def _push(arguments: argparse.Namespace, write: Write) -> int:
    pushed = _push_leaderboard(arguments) if arguments.metric is None else _push_metric(arguments)
    write(f"{'Proposed' if arguments.create_pr else 'Pushed'} {pushed.files} files: {pushed.address}\n")
    for note in pushed.notes:
        write(f"{note}\n")
    return 0


def _push_leaderboard(arguments: argparse.Namespace) -> PushedSpace:
    from hf_transfer_score.leaderboard.space import push_space

    return push_space(
        arguments.space,
        results=arguments.results,
        requests=arguments.requests,
        private=arguments.private,
        create_pr=arguments.create_pr,
    )


def _push_metric(arguments: argparse.Namespace) -> PushedSpace:
    from hf_transfer_score.evaluate_modules.space_files import push_metric_space

    if arguments.results is not None or arguments.requests is not None:
        raise OptionError("--results and --requests are for the leaderboard: the Space of a metric has no records.")
    return push_metric_space(
        arguments.space, arguments.metric, private=arguments.private, create_pr=arguments.create_pr
    )
