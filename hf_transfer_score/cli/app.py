"""The command line: commands in groups, each loaded only when it is called."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter, UnusedCliTokensError
from cyclopts.help import DefaultFormatter

from hf_transfer_score.cli import ending, naming
from hf_transfer_score.cli.output import output_console, say, standard_streams, write
from hf_transfer_score.cli.shared import TRACEBACK, FlagsOfFile, FlagsToFile, SharedFlags, check_whole_numbers
from hf_transfer_score.text import LONGEST, shown
from hf_transfer_score.version import VERSION

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


LONG = frozenset({"rank", "choose", "verify", "layers"})
"""Commands whose full help does not fit a screen."""

RARE = frozenset(
    {
        *("--library", "--author", "--license", "--sort", "--trust-remote-code", "--allow-pickle"),
        *("--subset", "--revision", "--rows-per-example", "--ignore-value", "--seed", "--full-pass", "--max-rows"),
        *("--pooling", "--max-length", "--subword", "--image-size", "--runtime", "--threads", "--batch-size"),
        *("--headline", "--option", "--replicates", "--level", "--free-disk", "--refresh", "--engine-option"),
        *("--test-split", "--test-samples", "--steps", "--patience", "--train-batch-size", "--skip", "--precision"),
        *("--layer", "--dtype", "--device", "--engine", "--workers", "--min-throughput", "--licenses"),
        *("--first-rows", "--looks", "--confidence", "--lora-rank", "--lora-alpha", "--push"),
        *("--quantize", "--device-map"),
    }
)
"""Flags that few need."""

REPEATED = ("--input", "--option", "--engine-option", "--ignore-value", "--trust-remote-code", "--allow-pickle")
"""Flags of one value that can be given again."""

MORE = """
--help-all shows every flag; --config FILE reads flags from a YAML file, --save-config writes it.
"""


class UsualFlags(DefaultFormatter):
    """Leaves out the rare flags, and the frames around the others."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a group of flags, unless all of them are rare."""
        from cyclopts.help.specs import DescriptionRenderer, NameRenderer
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        entries = [one for one in panel.entries if not RARE & set(one.positive_names)]
        if not entries:
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        name, description = NameRenderer(max_width=None), DescriptionRenderer()
        for one in entries:
            table.add_row(name(one), description(one))
        title = Text.assemble((str(panel.title), "bold"), ":")
        console.print(Group(title, Padding(table, (0, 0, 0, 2))))


PROGRAM = "hf-transfer-score"

DESCRIPTION = """\
Which checkpoint should I fine-tune on my labelled dataset? Transferability metrics from features of one forward pass.

Start with: hf-transfer-score rank example
Your own:   hf-transfer-score rank DATASET --models MODEL MODEL ...
"""

ENDING = """
COMMAND --help explains a command, COMMAND --help-all shows all of its flags. With any command, --config FILE \
reads flags from a YAML file, --save-config FILE writes them to one, and --traceback shows where an error occurred.

Exit status: 0 if something was scored, 1 if nothing could be, 2 for wrong usage and other errors, 129, 130 and 143 \
if ended by SIGHUP, Ctrl-C and SIGTERM (finished work is kept), 141 if the output was closed early.
"""

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Choose a checkpoint": {
        "rank": "Rank checkpoints for a dataset.",
        "choose": "Choose one of many checkpoints within a budget, and fine-tune it.",
        "board": "Rank the known models for a dataset from stored results.",
        "verify": "Fine-tune the best candidates, and check how well the ranking predicted.",
        "layers": "Show how collapsed the classes are in each layer of a checkpoint.",
    },
    "Features and metrics": {
        "score": "Score feature files: one model, or a pool.",
        "metrics": "List the metrics, or explain one.",
        "reproduce": "Print a published table, and score its models again.",
        "register": "Register the metrics with evaluate.load.",
    },
    "Share": {
        "results import": "Import tables of results.",
        "results publish": "Publish results on the Hub.",
        "results pull": "Copy shared results to a folder.",
        "results merge": "Merge results from several places.",
        "results validate": "Check stored results.",
        "leaderboard": "Show stored results as a web page.",
        "space push": "Publish the leaderboard, or a metric, as a Space on the Hub.",
        "card": "Write a model card from stored results.",
        "worker": "Score models that others requested.",
    },
    "This computer": {
        "cache list": "List the cached features.",
        "cache clear": "Delete the cached features.",
    },
}
"""What each command does, by group; `results publish` is the function `results_publish` in the file `results.py`."""

FILES = {"register": "metrics", "space": "leaderboard"}
"""The files of commands whose file has another name."""

WORDS = frozenset(word for commands in COMMANDS.values() for words in commands for word in words.split())

COMPLETION = "Install shell completion of commands and flags."

ROOMS = {
    "results": "Import, publish, pull, merge or validate stored results.",
    "space": "Publish the leaderboard, or a metric, on the Hub.",
    "cache": "List or delete the cached features.",
}


def build_app(asked: Collection[str] = (), *, all_flags: bool = False) -> App:
    """Return the command line.

    Args:
        asked: words of commands that will be loaded, and have help of their own.
        all_flags: whether help also shows the flags that few need.
    """
    parameter = Parameter(
        name_transform=naming.flag,
        negative=(),
        consume_multiple=False,
        json_dict=False,  # a file may be named "[1].npz"
        json_list=False,
        show_default=naming.shown_default,
    )
    app = App(
        name=PROGRAM,
        version=f"{PROGRAM} {VERSION}",
        help=DESCRIPTION,
        help_epilogue=ENDING,
        help_format="plaintext",
        default_parameter=parameter,
        group_commands=Group("More", sort_key=len(COMMANDS)),
        suppress_keyboard_interrupt=False,
    )
    for place, (title, commands) in enumerate(COMMANDS.items()):
        group = Group(title, sort_key=place)
        for number, (words, line) in enumerate(commands.items()):
            *room, name = words.split()
            if room and room[0] not in app:
                about = App(room[0], help=ROOMS[room[0]], group=group, group_commands="Commands", sort_key=number)
                about.help_epilogue = ""
                app.command(about)
            parent = app[room[0]] if room else app
            parent.command(
                f"hf_transfer_score.cli.{FILES.get(words.split()[0], words.split()[0])}:{words.replace(' ', '_')}",
                name=name,
                help=None if set(words.split()) <= set(asked) else line,
                group=None if room else group,
                sort_key=number,
                help_format="markdown",
                help_epilogue=MORE if words in LONG and not all_flags else "",
                help_formatter=UsualFlags() if words in LONG and not all_flags else "default",
            )
    app.command("hf_transfer_score.cli.app:install_completion", name="--install-completion", help=COMPLETION)
    return app


def install_completion(*, shell: Literal["bash", "zsh", "fish"] | None = None, output: Path | None = None) -> int:
    """Install shell completion of commands and flags.

    Args:
        shell: which shell; by default the current one.
        output: where to write the script; by default where the shell looks, with a line in its start-up file.
    """
    path = build_app(WORDS).install_completion(shell=shell, output=output, add_to_startup=output is None)
    write(f"Wrote {path}; start a new shell to use it.\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; any error is printed as one sentence."""
    with standard_streams() as (output, _):
        arguments = list(sys.argv[1:] if argv is None else argv)
        with ending.ended_by_signals():
            status = _ended(arguments, as_program=argv is None)
            output.flush()
            return status if output.failure is None else ending.tell_output(output.failure, status)


def _run(shared: SharedFlags) -> int:
    """Run a command and return its exit status."""
    app = build_app(shared.words, all_flags=shared.all_flags)
    app.console = output_console()
    naming.arguments.set(lambda: flags_of(app, shared.words))
    kept = None if shared.save_config is None else FlagsToFile(shared.save_config)
    given = None if shared.config is None else FlagsOfFile(shared.config)
    app.config = tuple(one for one in (given, check_whole_numbers, kept) if one is not None)
    if kept is not None:
        app.parse_args(shared.words, exit_on_error=False, print_error=False)
        kept.write()
    return app(shared.words, exit_on_error=False, print_error=False, result_action="return_value") or 0


def _ended(arguments: list[str], *, as_program: bool) -> int:
    """Run a command and return its exit status, however it ends."""
    try:
        return _run(SharedFlags.split(arguments))
    except CycloptsError as error:
        error.verbose = False
        said = re.sub(r'"\[(.+?)\]" from', r"\1 from", str(error))  # how Cyclopts writes a flag of a file
        if isinstance(error, UnusedCliTokensError):
            said = _unexpected(error.unused_tokens or [], arguments)
        elif isinstance(error, MissingArgumentError) and error.argument is not None:
            name = error.argument.name
            said = f"{name} needs a value." if name in arguments else f"{name} is missing: {_about(error.app, name)}"
        command = " ".join([PROGRAM, *(error.command_chain or ())])
        say(f"error: {shown(said, LONGEST)}\nSee {command} --help.")
        return ending.USAGE
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else ending.FAILED
    except KeyboardInterrupt:
        from hf_transfer_score.hub.downloads import at_work

        if as_program and (at_work() or ending.waiting_threads()):
            ending.leave_at_once(ending.AGAIN)
        say(ending.AGAIN)
        return ending.interrupted_status()
    except Exception as error:  # noqa: BLE001  # the last handler
        return ending.tell(error, with_traceback=TRACEBACK in arguments)


def _about(command: App | None, name: str) -> str:
    """Return the help of an argument."""
    known = [] if command is None else command.assemble_argument_collection(parse_docstring=True)
    return " ".join(str(next((one.parameter.help for one in known if one.name == name), "")).split())


def _unexpected(unused: Sequence[str], arguments: Sequence[str]) -> str:
    """Return what is wrong with arguments that belong to no flag, and how to give a flag two values.

    Example:
        >>> _unexpected(["b"], ["rank", "pairs.csv", "--input", "a", "b"])
        'Unexpected argument: b. Give each value by itself: --input a --input b.'
        >>> _unexpected(["a/b"], ["rank", "pairs.csv", "a/b"])
        'Unexpected argument: a/b. Name models with --models.'
    """
    said = f"Unexpected argument: {' '.join(unused)}."
    place = arguments.index(unused[0]) if unused and unused[0] in arguments else 0
    flag, value = arguments[place - 2 : place] if place > 1 else ("", "")
    if flag in ("--metrics", "--headline"):
        return f"{said} Separate names by commas: {flag} {','.join([value, *unused])}."
    if place == 2 and arguments[0] in ("rank", "choose", "verify"):
        return f"{said} Name models with --models."
    each = " ".join(f"{flag} {one}" for one in (value, *unused))
    return f"{said} Give each value by itself: {each}." if flag in REPEATED else said


def flags_of(app: App, words: Sequence[str]) -> dict[str, str]:
    """Return the flags of the command that some words call, by argument name."""
    command = app.parse_commands(words)[1][-1]
    found = {
        one.field_info.name: one.name
        for one in command.assemble_argument_collection(default_parameter=app.default_parameter)
        if one.parse
    }
    return {name: flag for name, flag in found.items() if flag.startswith("--")}
