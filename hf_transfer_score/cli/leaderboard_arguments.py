"""The arguments of `leaderboard` and `space`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

LEADERBOARD_USAGE = "hf-transfer-score leaderboard [--results PLACE] [--requests PLACE] [options]"

LEADERBOARD_DESCRIPTION = """\
Serve a leaderboard of stored results as a web page: a board for each task and
dataset, plots, which metric to trust, models side by side, and scoring of your
own features. It follows the records: new ones appear without a restart.

A PLACE is a folder, as `rank --save FOLDER` leaves it, or a dataset repository
on the Hub as OWNER/NAME. Without --results it shows the records that ship with
the package. It needs `pip install hf-transfer-score[space]`.
"""

LEADERBOARD_EXAMPLES = """\
examples:
  hf-transfer-score leaderboard --open
  hf-transfer-score leaderboard --results ./results
  hf-transfer-score leaderboard --results owner/results --requests owner/requests
"""

SPACE_USAGE = """\
hf-transfer-score space push OWNER/NAME [--results OWNER/NAME] [--requests OWNER/NAME] [options]
       hf-transfer-score space push OWNER/NAME --metric face|ncti [options]"""

SPACE_DESCRIPTION = """\
Put the leaderboard on the Hub as a Space: it is made if it is not there yet, and
gets the app, its settings and this very version of the package, without torch
or transformers. Pushing again brings it up to date; what you added to its files
stays, as long as it is not one of these.

The Space reads --results, a dataset repository as `publish` makes it; without,
it shows the records that ship with the package. With --requests visitors who
are signed in can ask for models to be scored, which `worker` does; the Space
then needs a token that may write there, as its secret HF_TOKEN.

With --metric it is the Space of that metric instead: its card, the module that
`evaluate.load("OWNER/NAME")` loads, and an app that scores an uploaded file.
"""

SPACE_EXAMPLES = """\
examples:
  hf-transfer-score space push owner/leaderboard --results owner/results
  hf-transfer-score space push owner/leaderboard --results owner/results --requests owner/requests
  hf-transfer-score space push community/leaderboard --create-pr
  hf-transfer-score space push owner/face_transferability --metric face
"""

HIGHEST_PORT = 65535
LONGEST_POLL = 86_400


def add_leaderboard(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the commands; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes one."""
    _add_leaderboard(commands, parser)
    _add_space(commands, parser)


def _add_leaderboard(commands: Any, parser: Callable[..., Any]) -> None:
    made = parser(
        commands.add_parser,
        "leaderboard",
        help="show stored results as a web page",
        usage=LEADERBOARD_USAGE,
        description=LEADERBOARD_DESCRIPTION,
        epilog=LEADERBOARD_EXAMPLES,
    )
    made.add_argument("--results", metavar="PLACE", help="where the records are; default: those of the package")
    made.add_argument("--requests", metavar="PLACE", help="where visitors' requests go; default: nobody may ask")
    made.add_argument("--host", metavar="NAME", help="address to listen on; default 127.0.0.1, this machine alone")
    made.add_argument("--port", type=port, metavar="N", help="default: the first free one from 7860")
    made.add_argument("--open", action="store_true", help="show it in a browser")
    made.add_argument(
        "--poll", type=poll, default=30.0, metavar="SECONDS", help="between looks for new records; default 30"
    )


def _add_space(commands: Any, parser: Callable[..., Any]) -> None:
    made = parser(
        commands.add_parser,
        "space",
        help="put the leaderboard, or a metric, on the Hub",
        usage=SPACE_USAGE,
        description=SPACE_DESCRIPTION,
        epilog=SPACE_EXAMPLES,
    )
    made.add_argument("action", choices=["push"], metavar="push", help="write the Space")
    made.add_argument("space", metavar="OWNER/NAME", help="the Space")
    made.add_argument("--results", metavar="OWNER/NAME", help="dataset repository of the records")
    made.add_argument("--requests", metavar="OWNER/NAME", help="dataset repository of requests for scoring")
    made.add_argument("--metric", metavar="NAME", help="the Space of this metric, face or ncti, not the leaderboard")
    made.add_argument("--private", action="store_true", help="make the Space private, if it is not there yet")
    made.add_argument("--create-pr", action="store_true", help="propose the files as a pull request")


def port(text: str) -> int:
    """Return the number of a port."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to {HIGHEST_PORT}, got {text!r}")
    return int(text)


def poll(text: str) -> float:
    """Return a time between two looks in seconds, at least 1.

    Example:
        >>> poll("2.5")
        2.5
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= LONGEST_POLL:
        raise argparse.ArgumentTypeError(f"expected seconds from 1 to {LONGEST_POLL}, got {text!r}")
    return value
