"""What the tabs of the leaderboard share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gradio as gr
from gradio.components.plot import PlotData

from hf_transfer_score.drawing.figure import WIDTH, Figure
from hf_transfer_score.drawing.look import specification
from hf_transfer_score.errors import UnreadableError
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.records.place import Place
from hf_transfer_score.text import TEMPLATES
from hf_transfer_score.untrusted import Limits, parse_json
from hf_transfer_score.uploads.ledger import Ledger

BOARD, PLOTS, TRUST, COMPARE, MODEL, UPLOAD, SUBMIT = "board", "plots", "trust", "compare", "model", "upload", "submit"
"""Ids of the tabs; they are part of addresses."""

LONGEST_VALUE = 400
"""Letters in one value of an address at most."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of an event without progress, outside the API."""

NO_BOARD = '<div class="lb-note">There is no board yet: no records have been found.</div>'

LEAST_WIDTH, MOST_WIDTH = 280, 860
SHORT = Limits(size=1000, depth=3, values=10, letters=100)


class Screen(NamedTuple):
    """The width in pixels that a chart is drawn for, and whether the page is dark."""

    width: int = WIDTH
    night: bool = False


def screen_of(text: str | None) -> Screen:
    """Return the screen that a page reports; the text may come from anybody.

    Example:
        >>> screen_of('{"night": true, "width": 400}'), screen_of("x")
        (Screen(width=400, night=True), Screen(width=760, night=False))
    """
    try:
        told = parse_json(text or "", what="the screen of a page", limit=SHORT)
        width = min(MOST_WIDTH, max(LEAST_WIDTH, int(told["width"])))
        return Screen(width, told["night"] is True)
    except (UnreadableError, ValueError, TypeError, KeyError, OverflowError):
        return Screen()


def script(name: str) -> str:
    """Return a function of the page in JavaScript, from a file in `templates/`."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def add_chart(name: str) -> list[Any]:
    """Add the components of a chart: the chart, and its words with its numbers as a table."""
    plot = gr.Plot(show_label=False, container=False, visible=False, elem_id=name, elem_classes="lb-plot")
    return [plot, gr.HTML("", elem_id=f"{name}-words")]


def drawn(figure: Figure | None, screen: Screen, file: str) -> tuple[Any, str]:
    """Return what the components of a chart show; visitors save it under the name of the file."""
    if figure is None or figure.chart is None:
        return gr.update(value=None, visible=False), "" if figure is None else figure.words_html()
    found = specification(figure.chart, night=screen.night, file=file)
    found.pop("$schema", None)  # gradio draws with an older version of Vega-Lite and would warn about the newer one
    return gr.update(value=PlotData(type="altair", plot=json.dumps(found)), visible=True), figure.words_html()


@dataclass(frozen=True)
class Kept:
    """A component whose value is part of the page's address.

    Attributes:
        name: in the query.
        component: holds the value.
        read: turns the text of an address, which may come from anybody, into the value or a `gr.update(...)`, given the
            boards; None leaves the component as it is. Without `read`, the component is restored by other means.
        write: turns the value into text; "" for a value that need not be in the address.
    """

    name: str
    component: Any
    read: Callable[[str, Catalogue], Any] | None = None
    write: Callable[[Any], str] = lambda value: str(value or "")


@dataclass(frozen=True)
class LeaderboardPage:
    """The shared part of the page. A tab is built by `build_X_tab(page)` inside its `gr.Tab`.

    Rules for tabs:

    - `library.catalogue` is the present state. Read it once in each event, and keep no reference to it.
    - `board`, `model`, `tab` and `version` are `gr.State`: use them as inputs, and listen with `when_shown`. To choose
      a model from a tab, return its id to the output `page.model`; to change the tab, return `gr.Tabs(selected=MODEL)`
      to the output `page.tabs` AND the same id to the output `page.tab`. An event that changes a state has to go
      through the queue (the default); otherwise the change triggers no event.
    - Compute nothing while the page is built: records may still be loading, and each visitor gets the same initial
      page. Contents come from `when_shown`, which is also called after the first load.
    - Foreign text goes through `texts.escape` into `gr.HTML`, or through `texts.plain` into a component that shows
      plain text (Textbox; Dataframe with datatype "str" or "number"; choices of a Dropdown). Never into Markdown.
    - A chart is the two components of `add_chart`; `when_shown`, with `within`, calls a function that returns `drawn`.
    - The style sheet has the classes lb-scroll, lb-table, lb-list, lb-button, lb-note, lb-muted and lb-plot (a chart),
      and colours of the theme as --body-text-color and the like.

    Attributes:
        requests: where requests for scoring go; None if they are not accepted.
        tabs: the tabs, as output only.
        tab: state: the id of the open tab.
        board: state: slug of the chosen board, or None.
        model: state: id of the chosen model, or None.
        version: state: changes when the shown records do.
        screen: hidden: the text for `screen_of`.
        ledger: the files that visitors uploaded.
        kept: components whose values are part of the address.
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

    def without_board(self) -> Any:
        """Return what a tab shows without a board: that there is none, or what it shows if there will be one."""
        waits = self.library.status.loading or self.library.catalogue.boards()
        return gr.skip() if waits else NO_BOARD

    def when_shown(
        self,
        tab: str,
        function: Callable[..., Any],
        *,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        also: Sequence[Any] = (),
        within: str | None = None,
    ) -> None:
        """Call a function when an open tab may be out of date: it was just opened, or a state of the page changed.

        Args:
            tab: id of the tab.
            function: turns the inputs into a tuple with a value for each output, or into the value of a single output.
            inputs: components and states, such as `page.board` and `page.model`.
            outputs: components.
            also: further events that call it, such as `my_dropdown.input`.
            within: id of an element; its Screen, as wide as the element, is then the last argument of the function.
        """

        def if_open(shown: str, *values: Any) -> Any:
            if shown != tab:
                return gr.skip() if len(outputs) == 1 else tuple(gr.skip() for _ in outputs)
            return function(*values) if within is None else function(*values[:-1], screen_of(values[-1]))

        changes = [self.tab.change, self.board.change, self.model.change, self.version.change, *also]
        asked, js = [self.tab, *inputs], None
        if within is not None:
            asked, js = [*asked, self.screen], script("screen.js") % within
        gr.on(changes, if_open, inputs=asked, outputs=list(outputs), js=js, trigger_mode="always_last", **QUIET)


def offered(choices: Sequence[Any], value: Any, shown: Any) -> Any:
    """Return an update of the choices of a control, with a value only if another one was shown.

    A value from the server would undo what was chosen or typed while it was on its way.
    """
    return gr.update(choices=choices) if value == shown else gr.update(choices=choices, value=value)


def add_finder(
    choices: Sequence[gr.Dropdown], narrowed: Callable[..., list[str]], *, inputs: Sequence[Any] = (), name: str
) -> gr.Textbox:
    """Add a field that narrows dropdowns of very many names, and is hidden while there are few.

    Typing into the dropdown itself could not narrow it: the answer of the server would overwrite what was typed since.

    Args:
        choices: the dropdowns.
        narrowed: turns what was typed, and the values of `inputs`, into the names to offer.
        inputs: components.
        name: id of the element.
    """
    field = gr.Textbox(
        label="Find a model",
        info="there are more models than the list can show: type any part of a name to narrow it",
        max_length=LONGEST_VALUE,
        max_lines=1,
        visible=False,
        elem_id=name,
    )

    def offer(typed: str | None, *values: Any) -> Any:
        found = gr.update(choices=narrowed((typed or "")[:LONGEST_VALUE], *values))
        return found if len(choices) == 1 else tuple(found for _ in choices)

    field.change(offer, inputs=[field, *inputs], outputs=list(choices), trigger_mode="always_last", **QUIET)
    return field
