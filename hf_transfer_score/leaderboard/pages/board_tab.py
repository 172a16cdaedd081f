"""The tab with the table of a board: search, filters, columns, order, download, and the model that is chosen in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.board_csv import board_csv
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.boards.selecting import choices, select
from hf_transfer_score.leaderboard.pages.board_table import (
    GROUPS,
    SHOWN,
    alignment_css,
    column_widths,
    columns_of,
    shown_labels,
    table_value,
)
from hf_transfer_score.leaderboard.pages.board_words import (
    NO_BOARDS,
    READING,
    card_html,
    count_html,
    head_html,
    missing_html,
    notes_html,
)
from hf_transfer_score.leaderboard.pages.downloads import download_file
from hf_transfer_score.leaderboard.pages.page import MODEL, LeaderboardPage, offered
from hf_transfer_score.leaderboard.pages.texts import plain
from hf_transfer_score.leaderboard.pages.view import (
    BY_RANK,
    REVERSED,
    USUAL,
    View,
    fitting,
    groups_text,
    is_day,
    list_text,
    number_text,
    read_view,
    remarks_on,
    selection_of,
    sorts_of,
)

MOST_ROWS = 500
"""Rows that are sent to a browser; the others are found by search and filters, and are in the CSV."""

DOWNLOAD = """
(file) => {
  if (!file || !file.url) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name || "board.csv";
  document.body.append(link);
  link.click();
  link.remove();
}
"""
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class BoardTab:
    """The components of the tab, and what fills them."""

    def __init__(self, page: LeaderboardPage) -> None:
        self.page = page
        self._build_controls()
        self._build_table()
        self._take_any_choice()
        self._listen()
        self._keep()

    def _build_controls(self) -> None:
        with gr.Row():
            self.board = gr.Dropdown(
                [], label="Board", info="task, dataset and sample; type to search", scale=3, elem_id="lb-board"
            )
            self.search = gr.Textbox(
                label="Search", info="in the names of the models", max_length=200, scale=2, elem_id="lb-search"
            )
        with gr.Accordion("Columns, filters and order", open=False, elem_id="lb-controls"):
            self.groups = gr.CheckboxGroup(
                [(title, name) for name, title in GROUPS.items()],
                value=list(SHOWN),
                label="Columns",
                elem_id="lb-columns",
            )
            with gr.Row():
                self.libraries = _several("Library", "lb-libraries")
                self.licenses = _several("License", "lb-licenses")
                self.since = gr.Textbox(
                    label="Since", info="a day in UTC", placeholder="YYYY-MM-DD", max_length=10, elem_id="lb-since"
                )
            with gr.Row():
                self.smallest = gr.Number(
                    label="Millions of parameters, at least", value=None, minimum=0, elem_id="lb-smallest"
                )
                self.largest = gr.Number(
                    label="Millions of parameters, at most", value=None, minimum=0, elem_id="lb-largest"
                )
                self.sort = gr.Dropdown(sorts_of(None), value=BY_RANK, label="Sort by", elem_id="lb-sort")
                self.order = gr.Radio(
                    [(name, name) for name in (USUAL, REVERSED)],
                    value=USUAL,
                    label="Order",
                    info="usual: the best, the newest, the smallest, or A first",
                    elem_id="lb-order",
                )

    def _build_table(self) -> None:
        self.missing = gr.HTML("", visible=False, elem_id="lb-missing")
        self.head = gr.HTML(READING, elem_id="lb-head")
        with gr.Row(elem_classes="lb-inline"):
            self.count = gr.HTML("", elem_id="lb-count")
            self.download = gr.Button("Download CSV", size="sm", scale=0, min_width=150, elem_id="lb-download")
            self.file = gr.File(visible="hidden", label="CSV")
        self.table = gr.Dataframe(
            None,
            headers=["Model"],
            datatype="str",
            type="array",
            interactive=False,
            pinned_columns=1,
            max_height=640,
            show_label=False,
            label="Models of the board",
            buttons=[],
            elem_id="lb-table",
        )
        self.card = gr.HTML("", visible=False, elem_id="lb-card")
        self.open_model = gr.Button("All records of this model", visible=False, size="sm", elem_id="lb-open-model")
        self.notes = gr.HTML("", elem_id="lb-notes")

    def _take_any_choice(self) -> None:
        """Leave it to the view what is a choice: a server that restarted does not know those of open pages."""
        for dropdown in (self.board, self.libraries, self.licenses, self.sort):
            dropdown.preprocess = _as_it_came

    @property
    def controls(self) -> list[Any]:
        """What a view is made of, in the order of `view_of`."""
        return [
            self.search,
            self.groups,
            self.libraries,
            self.licenses,
            self.smallest,
            self.largest,
            self.since,
            self.sort,
            self.order,
        ]

    @property
    def of_board(self) -> list[Any]:
        """Controls whose choices are those of the board."""
        return [self.libraries, self.licenses, self.sort]

    def _listen(self) -> None:
        """Connect the events; none puts a value into a control of its own, which would undo what was typed since."""
        page = self.page
        events = [self.search.change, self.groups.input, self.libraries.input, self.licenses.input, self.sort.input]
        events += [self.order.input, self.smallest.change, self.largest.change, self.since.change]
        gr.on(
            [*events, self.board.input, page.version.change],  # one event for the table, so that the last answer stays
            self._view_changed,
            inputs=[self.board, *self.controls],
            outputs=[self.table, self.count, self.notes],
            trigger_mode="always_last",
            show_progress="hidden",
            api_name="view",
        )
        self.board.input(
            self._board_chosen,
            inputs=[self.board, *self.of_board],
            outputs=[*self.of_board, self.head, page.board, page.model, self.missing],
            trigger_mode="always_last",
            **QUIET,
        )
        page.version.change(
            self._board_changed,
            inputs=[self.board, *self.of_board],
            outputs=[*self.of_board, self.head, page.board],
            trigger_mode="always_last",
            **QUIET,
        )
        gr.on(
            [page.board.change, page.model.change, page.version.change],
            self._model_card,
            inputs=[page.board, page.model],
            outputs=[self.card, self.open_model],
            **QUIET,
        )
        self.table.select(self._row_chosen, inputs=self.board, outputs=page.model, **QUIET)
        self.open_model.click(lambda: (gr.Tabs(selected=MODEL), MODEL), outputs=[page.tabs, page.tab], **QUIET)
        self.download.click(
            self._csv, inputs=[self.board, *self.controls], outputs=self.file, api_name="csv", show_progress="hidden"
        ).then(None, inputs=self.file, js=DOWNLOAD, **QUIET)

    def _keep(self) -> None:
        keep = self.page.keep_written
        keep("board", self.board, lambda slug: slug or "")
        keep("search", self.search, lambda text: (text or "").strip())
        keep("columns", self.groups, groups_text)
        keep("libraries", self.libraries, list_text)
        keep("licenses", self.licenses, list_text)
        keep("smallest", self.smallest, number_text)
        keep("largest", self.largest, number_text)
        keep("since", self.since, lambda day: day if is_day(day or "") else "")
        keep("sort", self.sort, lambda sort: "" if sort in (None, BY_RANK) else sort)
        keep("order", self.order, lambda order: REVERSED if order == REVERSED else "")

    @property
    def restored_components(self) -> list[Any]:
        """What `restored` is about."""
        return [self.board, *self.controls, self.missing]

    def restored(self, query: Mapping[str, str], catalogue: Catalogue, *, arriving: bool) -> list[Any]:
        """Return updates for the board and the controls, as an address asks for them, and a note where it cannot be.

        Args:
            query: of the address.
            catalogue: the boards; there are none yet while they are read for the first time.
            arriving: whether nothing can have been typed so far; later the fields are left alone.
        """
        slug = query.get("board", "")
        asked = _board(catalogue, slug)
        board = asked or _board(catalogue, _first(catalogue))
        known = None if board is None else choices(board)
        libraries, licenses = ((), ()) if known is None else (known.libraries, known.licenses)
        view = read_view(query, libraries, licenses, [name for _, name in sorts_of(board)])
        typed = [
            *(view.search, list(view.groups), gr.update(choices=_named(libraries), value=list(view.libraries))),
            *(gr.update(choices=_named(licenses), value=list(view.licenses)), view.smallest, view.largest, view.since),
            *(gr.update(choices=sorts_of(board), value=view.sort), REVERSED if view.turned else USUAL),
        ]
        chosen = [
            update if arriving or control in self.of_board else gr.skip()
            for control, update in zip(self.controls, typed, strict=True)
        ]
        missing = missing_html(slug) if slug and asked is None and board is not None else ""
        slug_shown = None if board is None else board.key.slug
        return [
            gr.update(choices=_titles(catalogue), value=slug_shown),
            *chosen,
            gr.update(value=missing, visible=bool(missing)),
        ]

    def brought_up_to_date(self, slug: str | None, catalogue: Catalogue) -> Any:
        """Return an update for the choice of the board after the records changed; the chosen one stays."""
        known = _titles(catalogue)
        if catalogue.find(slug or "") is not None:
            return gr.update(choices=known)
        return gr.update(choices=known, value=_first(catalogue))

    def _view_changed(self, slug: str | None, *controls: Any) -> tuple[Any, ...]:
        """Return the table of a view; without a board what is shown stays: a page that is being filled asks early."""
        catalogue = self.page.library.catalogue
        board = _board(catalogue, slug)
        if board is None:
            return tuple(gr.skip() for _ in _no_table()) if catalogue.boards() else _no_table()
        known = choices(board)
        return _table(board, fitting(view_of(*controls), board, known.libraries, known.licenses))

    def _board_chosen(self, slug: str | None, *of_board: Any) -> tuple[Any, ...]:
        return (*self._board_changed(slug, *of_board), None, gr.update(visible=False))

    def _board_changed(
        self, slug: str | None, libraries: list[str] | None, licenses: list[str] | None, sort: str | None
    ) -> tuple[Any, ...]:
        """Return what a board offers to choose from, its head and its slug; what it does not have is chosen no more."""
        library = self.page.library
        board = _board(library.catalogue, slug)
        if board is None:
            return *(gr.skip() for _ in self.of_board), READING if library.status.loading else NO_BOARDS, None
        known, sorts = choices(board), sorts_of(board)
        return (
            _several_offered(known.libraries, libraries or []),
            _several_offered(known.licenses, licenses or []),
            offered(sorts, sort if sort in [name for _, name in sorts] else BY_RANK, sort),
            head_html(board),
            board.key.slug,
        )

    def _row_chosen(self, slug: str | None, event: gr.SelectData) -> Any:
        board = _board(self.page.library.catalogue, slug)
        name = event.row_value[0] if event.row_value else None
        if board is None or name is None:
            return gr.skip()
        row = next((row for row, label in _labelled(board) if label == name), None)
        return gr.skip() if row is None else row.model

    def _model_card(self, slug: str | None, model: str | None) -> tuple[Any, Any]:
        board = _board(self.page.library.catalogue, slug)
        rows = [] if board is None else [row for row in board.rows if row.model == model]
        if board is None or not rows:
            return gr.update(visible=False), gr.update(visible=False)
        cards = "".join(card_html(board, row) for row in rows)
        return gr.update(value=cards, visible=True), gr.update(visible=True)

    def _csv(self, slug: str | None, *controls: Any) -> Any:
        board = _board(self.page.library.catalogue, slug)
        if board is None:
            return None
        rows = select(board, selection_of(view_of(*controls)))
        return str(download_file(f"board-{board.key.slug}.csv", board_csv(board, rows)))


def _as_it_came(payload: Any) -> Any:
    """Return a text, or a list of texts, that a page sent."""
    if isinstance(payload, list):
        return [one for one in payload if isinstance(one, str)]
    return payload if isinstance(payload, str) else None


def _several(label: str, name: str) -> gr.Dropdown:
    return gr.Dropdown([], multiselect=True, label=label, info="none chosen means all", elem_id=name)


def view_of(
    search: str | None,
    groups: list[str] | None,
    libraries: list[str] | None,
    licenses: list[str] | None,
    smallest: float | None,
    largest: float | None,
    since: str | None,
    sort: str | None,
    order: str | None,
) -> View:
    """Return the view that the controls say."""
    return View(
        search=(search or "").strip(),
        groups=tuple(groups or ()),
        libraries=tuple(libraries or ()),
        licenses=tuple(licenses or ()),
        smallest=smallest or None,
        largest=largest or None,
        since=(since or "").strip(),
        sort=sort or BY_RANK,
        turned=order == REVERSED,
    )


def _board(catalogue: Catalogue, slug: str | None) -> Board | None:
    found = catalogue.find(slug or "")
    return None if found is None else catalogue.board(found.key)


def _first(catalogue: Catalogue) -> str | None:
    return next((one.key.slug for one in catalogue.boards()), None)


def _titles(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return what the choice of the board shows, with the slugs."""
    return [(f"{plain(one.title, 160)} ({one.models:,} models)", one.key.slug) for one in catalogue.boards()]


def _several_offered(known: Sequence[str], chosen: list[str]) -> Any:
    """Return an update of names that may be chosen, without the chosen ones that are offered no more."""
    kept = [name for name in chosen if name in known]
    return offered(_named(known), kept, chosen)


def _named(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(plain(name, 80), name) for name in names]


def _labelled(board: Board) -> list[tuple[BoardRow, str]]:
    return list(zip(board.rows, shown_labels(board.rows), strict=True))


def _no_table() -> tuple[Any, ...]:
    return gr.update(visible=False), "", ""


def _table(board: Board, view: View) -> tuple[Any, ...]:
    """Return the table, how many models it shows, and the notes."""
    found = select(board, selection_of(view))
    rows = found[:MOST_ROWS]
    columns = columns_of(board, view.groups)
    labels = {id(row): label for row, label in _labelled(board)}
    shown = [labels[id(row)] for row in rows]
    update = gr.update(
        value=table_value(columns, rows, shown),
        headers=[column.header for column in columns],
        datatype=[column.kind for column in columns],
        column_widths=column_widths(columns, shown),
        visible=bool(rows),
    )
    count = count_html(len(rows), len(found), len(board.rows), remarks_on(view))
    return update, count, alignment_css(columns) + notes_html(board, rows)
