"""What a command's help shows: of the commands with many flags those that many need, and all of them on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts.help import DefaultFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

LONG = frozenset({"rank", "choose", "verify", "layers"})
"""Commands whose help would be too long to read at once."""

RARE = frozenset(
    {
        *("--library", "--author", "--license", "--sort", "--trust-remote-code", "--allow-pickle"),
        *("--subset", "--revision", "--rows-per-example", "--ignore-value", "--seed", "--full-pass", "--max-rows"),
        *("--pooling", "--max-length", "--subword", "--image-size", "--runtime", "--threads", "--batch-size"),
        *("--headline", "--option", "--replicates", "--level", "--free-disk", "--refresh", "--engine-option"),
        *("--test-split", "--test-samples", "--steps", "--patience", "--train-batch-size", "--skip", "--precision"),
        *("--layer", "--dtype", "--device", "--engine", "--workers", "--min-throughput", "--licenses"),
        *("--first-rows", "--looks", "--confidence", "--lora-rank", "--lora-alpha", "--push"),
    }
)
"""Flags that few need."""

MORE = """
--help-all shows every flag; --config FILE reads flags from a YAML file, --save-config writes it.
"""


class UsualFlags(DefaultFormatter):
    """Leaves out the flags that few need, and the frames around the others."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Show a group of flags, unless nothing of it is left."""
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
