"""The arguments of `publish`, `pull`, `merge` and `validate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = "hf-transfer-score"

PUBLISH_DESCRIPTION = """\
Share results: bring the records of folders, as `rank --save FOLDER` leaves them,
into a dataset repository on the Hub. It is made when it is not there yet.

Each record is checked before. What is there already stays, unless your record
was made later. Many may publish to one repository at the same time: nobody's
records are lost. A table of all records, which the dataset viewer shows, and a
card come with them.

Writing needs a token (`hf auth login`, or HF_TOKEN). Who may not write to a
repository proposes the records by --create-pr.
"""

PUBLISH_EXAMPLES = f"""\
examples:
  {PROGRAM} rank banking77 --models a/b c/d --save ./results
  {PROGRAM} publish ./results --to owner/results
  {PROGRAM} publish ./results --to community/results --create-pr
  {PROGRAM} publish ./monday ./tuesday --to owner/results --dry-run
"""

PULL_DESCRIPTION = """\
Copy the records of a repository on the Hub, or of a folder, into a folder on
this computer. A second call reads only what changed. Records that are not as
they should be are reported and left out; what you have and made later stays.
"""

PULL_EXAMPLES = f"""\
examples:
  {PROGRAM} pull owner/results --into ./results
  {PROGRAM} pull hf://datasets/owner/results --into ./results --json
"""

MERGE_DESCRIPTION = """\
Bring the records of several places into one, which is a folder or a repository
on the Hub. Of records with one identity (model, dataset and metric, with all
their options) the one that was made last counts.

Without a SOURCE it only brings the table of a repository in step with its
records, which is due after pull requests were merged.
"""

MERGE_EXAMPLES = f"""\
examples:
  {PROGRAM} merge ./monday ./tuesday --into ./results
  {PROGRAM} merge owner/results other/results --into ./results
  {PROGRAM} merge --into owner/results
"""

VALIDATE_DESCRIPTION = """\
Look through all records of a folder or a repository: each has to be a record of
a version this package knows, named by its identity, in the folder of its model,
and in the table beside them. Ends with status 1 when something is wrong.
"""

VALIDATE_EXAMPLES = f"""\
examples:
  {PROGRAM} validate ./results
  {PROGRAM} validate owner/results --json
"""

STORE = "folder, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME"


def add_results(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the commands; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes one."""
    _add_publish(commands, parser)
    _add_pull(commands, parser)
    _add_merge(commands, parser)
    _add_validate(commands, parser)


def _add_publish(commands: Any, parser: Callable[..., Any]) -> None:
    made = parser(
        commands.add_parser,
        "publish",
        help="share results on the Hub",
        usage=f"{PROGRAM} publish FOLDER... --to OWNER/NAME [--create-pr] [options]",
        description=PUBLISH_DESCRIPTION,
        epilog=PUBLISH_EXAMPLES,
    )
    made.add_argument("folders", nargs="+", metavar="FOLDER", help="what `rank --save` wrote")
    made.add_argument("--to", required=True, metavar="STORE", help=STORE)
    made.add_argument("--create-pr", action="store_true", help="propose the records as a pull request")
    made.add_argument("--private", action="store_true", help="make the repository private, if it is not there yet")
    made.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    made.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_pull(commands: Any, parser: Callable[..., Any]) -> None:
    made = parser(
        commands.add_parser,
        "pull",
        help="copy shared results into a folder",
        usage=f"{PROGRAM} pull SOURCE --into FOLDER [--json]",
        description=PULL_DESCRIPTION,
        epilog=PULL_EXAMPLES,
    )
    made.add_argument("source", metavar="SOURCE", help=STORE)
    made.add_argument("--into", required=True, type=Path, metavar="FOLDER", help="made when needed")
    made.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_merge(commands: Any, parser: Callable[..., Any]) -> None:
    made = parser(
        commands.add_parser,
        "merge",
        help="bring results of several places into one",
        usage=f"{PROGRAM} merge [SOURCE...] --into STORE [--json]",
        description=MERGE_DESCRIPTION,
        epilog=MERGE_EXAMPLES,
    )
    made.add_argument("sources", nargs="*", metavar="SOURCE", help=STORE)
    made.add_argument("--into", required=True, metavar="STORE", help=f"{STORE}; a folder to be made is ./a/b")
    made.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_validate(commands: Any, parser: Callable[..., Any]) -> None:
    made = parser(
        commands.add_parser,
        "validate",
        help="check stored results",
        usage=f"{PROGRAM} validate STORE [--json]",
        description=VALIDATE_DESCRIPTION,
        epilog=VALIDATE_EXAMPLES,
    )
    made.add_argument("store", metavar="STORE", help=STORE)
    made.add_argument("--json", action="store_true", help="print what was found as JSON")
