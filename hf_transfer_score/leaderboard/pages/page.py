"""What the tabs of the leaderboard share, and what each of them may rely on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.leaderboard.pages.charts import SCREEN, screen_of
from hf_transfer_score.records.place import Place
from hf_transfer_score.uploads.ledger import Ledger

BOARD, PLOTS, TRUST, COMPARE, MODEL, UPLOAD, SUBMIT = "board", "plots", "trust", "compare", "model", "upload", "submit"
"""Ids of the tabs; they are part of addresses."""

LONGEST_VALUE = 400
"""Letters that one value of an address may have."""


@dataclass(frozen=True)
class Kept:
    """A component whose value is part of the page's address.

    Attributes:
        name: in the query.
        component: holds the value.
        read: from the text of an address, and the boards there are, to the value. Addresses come from anybody: what
            makes no sense has to become None, which leaves the component as it is; `gr.update(...)` is fine too. None
            where the component is restored by other means.
        write: from the value to text; "" for a value that needs no mention.
    """

    name: str
    component: Any
    read: Callable[[str, Catalogue], Any] | None
    write: Callable[[Any], str]


@dataclass(frozen=True)
class LeaderboardPage:
    """The shared part of the page. A tab is built by `build_X_tab(page)` inside its `gr.Tab`.

    What a tab may rely on:

    - `library.catalogue` is the present state. Ask for it anew in each event, once, and keep no reference to it.
    - `board`, `model`, `tab` and `version` are `gr.State`: use them as inputs, and listen with `when_shown`. To choose
      a model from a tab, return its id to the output `page.model`; to change the tab, return `gr.Tabs(selected=MODEL)`
      to the output `page.tabs` AND the same id to the output `page.tab`. An event that changes a state has to go
      through the queue (the default): without it nobody hears of the change.
    - Nothing is to be computed while the page is built: records may still be loading, and each visitor gets the same
      initial page. Contents come from `when_shown`, which is also called after the first load.
    - Foreign text goes through `texts.escape` into `gr.HTML`, or through `texts.plain` into a component that shows
      plain text (Textbox; Dataframe with datatype "str" or "number"; choices of a Dropdown). Never into Markdown.
    - A chart is two components of `charts.add_chart`; what `charts.drawn` returns for them comes from `when_drawn`.
    - The style sheet has the classes lb-scroll, lb-table, lb-list, lb-button, lb-note, lb-muted and lb-plot (a chart),
      and colours of the theme as --body-text-color and the like.

    Attributes:
        library: the records.
        requests: where requests for scoring go; None where nobody takes any.
        tabs: the tabs, as output only.
        tab: state: the id of the open tab.
        board: state: slug of the chosen board, None where there is none yet.
        model: state: id of the chosen model, None where none was chosen.
        version: state: changes when the shown records do.
        screen: hidden: what charts are drawn for.
        ledger: the files that visitors uploaded.
        kept: components that are part of the address.
    """

    library: Library
    requests: Place | None
    tabs: gr.Tabs
    tab: gr.State
    board: gr.State
    model: gr.State
    version: gr.State
    screen: gr.Textbox
    ledger: Ledger
    kept: list[Kept] = field(default_factory=list)

    def keep(
        self,
        name: str,
        component: Any,
        *,
        read: Callable[[str, Catalogue], Any],
        write: Callable[[Any], str] = lambda value: str(value or ""),
    ) -> None:
        """Make a component's value part of the page's address, so that a link restores it; see Kept.

        The address is brought up to date on the component's `change`. The restored value reaches the component before
        the first call of `when_shown`.

        Example:
            >>> def known_model(text, catalogue):
            ...     return text if text in catalogue.models() else None
            >>> # page.keep("left", left_dropdown, read=known_model)
        """
        self.kept.append(Kept(name, component, read, write))

    def keep_written(self, name: str, component: Any, write: Callable[[Any], str]) -> None:
        """Make a component's value part of the page's address; who calls it restores the value by other means."""
        self.kept.append(Kept(name, component, None, write))

    def when_shown(
        self,
        tab: str,
        function: Callable[..., Any],
        *,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        also: Sequence[Any] = (),
        js: str | None = None,
    ) -> None:
        """Call a function whenever what a tab shows may be out of date: it is opened, or what it shows changes.

        Nothing is called while the tab is not open. An exception that is not a TransferScoreError is a bug.

        Args:
            tab: id of the tab.
            function: from the inputs to a value for each output: a tuple, or the value itself where there is one.
            inputs: components and states; `page.board` and `page.model` among others.
            outputs: components.
            also: further events that call it, such as `my_dropdown.input`.
            js: changes the inputs on the page.
        """
        outputs = list(outputs)

        def if_open(shown: str, *values: Any) -> Any:
            if shown == tab:
                return function(*values)
            return gr.skip() if len(outputs) == 1 else tuple(gr.skip() for _ in outputs)

        changes = [self.tab.change, self.board.change, self.model.change, self.version.change]
        gr.on(
            [*changes, *also],
            if_open,
            inputs=[self.tab, *inputs],
            outputs=outputs,
            js=js,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )

    def when_drawn(
        self,
        tab: str,
        function: Callable[..., Any],
        *,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        also: Sequence[Any] = (),
    ) -> None:
        """Do the same as `when_shown` for a function that draws: its last argument is a `charts.Screen`."""

        def draw(*values: Any) -> Any:
            return function(*values[:-1], screen_of(values[-1]))

        self.when_shown(tab, draw, inputs=[*inputs, self.screen], outputs=outputs, also=also, js=SCREEN)


def offered(choices: Sequence[Any], value: Any, shown: Any) -> Any:
    """Return an update of what a control offers, with a value only where another one is shown.

    A value that comes back from the server undoes what was chosen or typed while it was on its way.

    Args:
        choices: of the control.
        value: that it should have.
        shown: that it had when the event was sent.
    """
    return gr.update(choices=choices) if value == shown else gr.update(choices=choices, value=value)
