"""What the tabs of the leaderboard share, and what each of them may rely on."""

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
from hf_transfer_score.untrusted import Limits, parse_json
from hf_transfer_score.uploads.ledger import Ledger

BOARD, PLOTS, TRUST, COMPARE, MODEL, UPLOAD, SUBMIT = "board", "plots", "trust", "compare", "model", "upload", "submit"
"""Ids of the tabs; they are part of addresses."""

LONGEST_VALUE = 400
"""Letters that one value of an address may have."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of an event that shows no progress and is none of the API."""

NO_BOARD = '<div class="lb-note">There is no board yet: no records were found so far.</div>'

LEAST_WIDTH, MOST_WIDTH = 280, 860
SHORT = Limits(size=1000, depth=3, values=10, letters=100)

SCREEN = """
(...values) => {
  const night = document.body.classList.contains("dark");
  const width = document.querySelector("#%s")?.clientWidth || window.innerWidth;
  return [...values.slice(0, -1), JSON.stringify({night, width})];
}
"""
"""Puts what a chart has to know of the screen into the last input of an event."""


class Screen(NamedTuple):
    """What a chart is drawn for: its width in pixels, and whether the ground is dark."""

    width: int = WIDTH
    night: bool = False


def screen_of(text: str | None) -> Screen:
    """Return what a page says of its screen; the text may come from anybody.

    Example:
        >>> screen_of('{"night": true, "width": 400}'), screen_of("x")
        (Screen(width=400, night=True), Screen(width=760, night=False))
    """
    try:
        told = parse_json(text or "", what="what a page says of its screen", limit=SHORT)
        width = min(MOST_WIDTH, max(LEAST_WIDTH, int(told["width"])))
        return Screen(width, told["night"] is True)
    except (UnreadableError, ValueError, TypeError, KeyError, OverflowError):
        return Screen()


def add_chart(name: str) -> list[Any]:
    """Add the components of a chart: the chart itself, and its words with its numbers as a table."""
    plot = gr.Plot(show_label=False, container=False, visible=False, elem_id=name, elem_classes="lb-plot")
    return [plot, gr.HTML("", elem_id=f"{name}-words")]


def drawn(figure: Figure | None, screen: Screen, file: str) -> tuple[Any, str]:
    """Return what the components of a chart show, nothing at all for None; visitors save it as a file of that name."""
    if figure is None or figure.chart is None:
        return gr.update(value=None, visible=False), "" if figure is None else figure.words_html()
    found = specification(figure.chart, night=screen.night, file=file)
    found.pop("$schema", None)  # gradio draws with an older version of the language, and warns of the newer one
    return gr.update(value=PlotData(type="altair", plot=json.dumps(found)), visible=True), figure.words_html()


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
    write: Callable[[Any], str] = lambda value: str(value or "")


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
    - A chart is two components of `add_chart`; what `drawn` returns for them comes from `when_drawn`.
    - The style sheet has the classes lb-scroll, lb-table, lb-list, lb-button, lb-note, lb-muted and lb-plot (a chart),
      and colours of the theme as --body-text-color and the like.

    Attributes:
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

    def keep(self, name: str, component: Any, *, read: Callable[[str, Catalogue], Any]) -> None:
        """Make a component's value part of the page's address, so that a link restores it; see Kept.

        The address is brought up to date on the component's `change`. The restored value reaches the component before
        the first call of `when_shown`.
        """
        self.kept.append(Kept(name, component, read))

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
        inputs = [self.tab, *inputs]
        gr.on([*changes, *also], if_open, inputs=inputs, outputs=outputs, js=js, trigger_mode="always_last", **QUIET)

    def when_drawn(
        self,
        tab: str,
        function: Callable[..., Any],
        *,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        also: Sequence[Any] = (),
        within: str = "lb-tabs",
    ) -> None:
        """Do the same as `when_shown` for a function that draws: its last argument is a Screen, as wide as `within`."""

        def draw(*values: Any) -> Any:
            return function(*values[:-1], screen_of(values[-1]))

        self.when_shown(tab, draw, inputs=[*inputs, self.screen], outputs=outputs, also=also, js=SCREEN % within)


def offered(choices: Sequence[Any], value: Any, shown: Any) -> Any:
    """Return an update of what a control offers, with a value only where another one was shown when the event was sent.

    A value that comes back from the server undoes what was chosen or typed while it was on its way.
    """
    return gr.update(choices=choices) if value == shown else gr.update(choices=choices, value=value)


def add_finder(
    choices: Sequence[gr.Dropdown], narrowed: Callable[..., list[str]], *, inputs: Sequence[Any] = (), name: str
) -> gr.Textbox:
    """Add a field beside choices of very many names: what is typed there narrows what they offer.

    It is hidden until there are more names than a choice offers at a time. A choice cannot be narrowed by its own
    letters: what the server answers would meet what was typed since.

    Args:
        choices: what it narrows.
        narrowed: from what was typed, and the values of `inputs`, to the names to offer.
        inputs: components.
        name: id of the element.
    """
    field = gr.Textbox(
        label="Find a model",
        info="there are more models than the choice shows at a time: any part of a name narrows it",
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
