"""The arguments of `worker`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from hf_transfer_score.cli.rank_arguments import count, whole
from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import parse_bytes
from hf_transfer_score.worker.box import BoxLimits

WORKER_USAGE = "hf-transfer-score worker --requests PLACE --results PLACE [options]"

WORKER_DESCRIPTION = """\
Take requests, one by one: claim the oldest, rank its model on its dataset as
`rank` does, publish the records, write the state back, and go on. Any number of
workers on any machines may share a queue. A PLACE is a folder, or a dataset
repository on the Hub as OWNER/NAME, which needs a token that may write there.

A claim is renewed while its request runs. Ctrl-C and SIGTERM give it back at
once; that of a worker that died ends after --lease seconds, and another worker
takes it. After three starts that did not finish, however they ended, a request
fails. What waits for the Hub is tried again; what cannot be scored is a failed
request with the reason. No remote code runs, no pickled weights are loaded.

Each request runs in a process of its own: without your token and the rest of
your environment, in a folder that is removed afterwards, killed with all that
it started when it takes more memory, time or disk than it may.
"""

WORKER_EXAMPLES = """\
examples:
  hf-transfer-score worker --requests me/requests --results me/results
  hf-transfer-score worker --requests ./requests --results ./results --once
  hf-transfer-score worker --requests me/requests --results me/results --device cuda:1 --max-params 500M
"""


def add_worker(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the command."""
    worker = parser(
        commands.add_parser,
        "worker",
        help="score what others requested",
        usage=WORKER_USAGE,
        description=WORKER_DESCRIPTION,
        epilog=WORKER_EXAMPLES,
    )
    places = worker.add_argument_group("places")
    places.add_argument("--requests", required=True, metavar="PLACE", help="where the requests are")
    places.add_argument("--results", required=True, metavar="PLACE", help="where the records go")
    working = worker.add_argument_group("working")
    working.add_argument("--once", action="store_true", help="stop when no request waits")
    working.add_argument("--limit", type=whole, metavar="N", help="stop after so many requests")
    working.add_argument("--poll", type=seconds, default=30.0, metavar="SECONDS", help="between looks; default 30")
    working.add_argument(
        "--lease", type=seconds, default=900.0, metavar="SECONDS", help="a claim lasts so long; default 900"
    )
    working.add_argument(
        "--name", default="worker", metavar="NAME", help="how others see this worker; a random part is added"
    )
    box = worker.add_argument_group("what one job may take")
    box.add_argument("--memory", type=size, metavar="BYTES", help="such as 8G; default 12G, or most of this machine's")
    box.add_argument(
        "--time", type=seconds, default=BoxLimits.seconds, metavar="SECONDS", help="from start to end; default 3600"
    )
    box.add_argument(
        "--disk", type=size, default=BoxLimits.disk, metavar="BYTES", help="downloads included; default 20G"
    )
    running = worker.add_argument_group("running")
    running.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, mps; default: an accelerator if there is one"
    )
    running.add_argument("--max-params", type=count, metavar="N", help="models with more fail, such as 100M or 1.5B")


def size(text: str) -> int:
    """Return a number of bytes.

    Example:
        >>> size("1.5G")
        1500000000
    """
    try:
        return parse_bytes(text)
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """Return a time in seconds, above 0.

    Example:
        >>> seconds("0.5")
        0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds above 0 and up to 86400, got {text!r}")
    return value
