"""Short help for commands with many flags: --help shows the common ones, --help-all shows all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts.help import DefaultFormatter

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
