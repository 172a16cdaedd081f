"""The tab with the table of a board: search, filters, columns, order, download, and the chosen model."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow, BoardSummary
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages import board_table as tables
from hf_transfer_score.leaderboard.pages import view as views
from hf_transfer_score.leaderboard.pages.page import (
    BOARD,
    MODEL,
    QUIET,
    Kept,
    LeaderboardPage,
    add_chart,
    drawn,
    offered,
    script,
)
from hf_transfer_score.leaderboard.pages.plots_tab import board_size_figure
from hf_transfer_score.leaderboard.pages.texts import hub_url, plain
from hf_transfer_score.records.record import FACTS
from hf_transfer_score.text import counted, csv_text

MOST_ROWS, MOST_CHOICES = 500, 1000
"""Rows sent to a browser at most; the others can be found by search and filters, and are in the CSV. And boards in the
menu at most; the others open by their address, from the pages of their models."""

KEPT_SECONDS = 600.0


@cache
def _downloads() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the program ends."""
    return tempfile.TemporaryDirectory(prefix="board-downloads-")


def download_file(name: str, text: str) -> Path:
    """Return a file to download; files older than ten minutes are removed on the next call."""
    root = Path(_downloads().name)
    for folder in root.iterdir():
        if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    folder = root / hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    folder.mkdir(exist_ok=True)
    aside = folder / f".{time.time_ns()}"
    aside.write_text(text, encoding="utf-8", newline="")
    aside.replace(folder / name)
    return folder / name


class BoardTab:
    """The components of the tab, and what fills them."""

    def __init__(self, page: LeaderboardPage) -> None:
        self.page = page
        self._build_controls()
        self._build_table()
        self.of_board = [self.libraries, self.licenses, self.sort]
        """Controls whose choices depend on the board."""
        self.controls = [self.search, self.groups, self.libraries, self.licenses, self.smallest, self.largest]
        self.controls += [self.since, self.sort, self.order, self.by]
        """The arguments of `views.view_of`."""
        self.restored_components = [self.board, *self.controls, self.missing]
        """The outputs of `restored`."""
        for dropdown in (self.board, *self.of_board):  # the view checks choices itself: after a restart, the server
            dropdown.preprocess = _unchecked  # would not know those of open pages
        self._listen()
        self._keep()

    def _build_controls(self) -> None:
        def add_several(label: str, name: str) -> gr.Dropdown:
            return gr.Dropdown([], multiselect=True, label=label, info="none selected means all", elem_id=name)

        self.board = gr.Dropdown([], label="Dataset: choose the one most like yours", elem_id="lb-board")
        self.missing = gr.HTML("", visible=False, elem_id="lb-missing")
        self.head = gr.HTML(tables.READING, elem_id="lb-head")
        with gr.Row(elem_classes="lb-inline", elem_id="lb-bar"):
            self.count = gr.HTML("", elem_id="lb-count")
            self.search = gr.Textbox(
                label="Search",
                placeholder="Search models",
                show_label=False,
                container=False,
                max_length=200,
                min_width=120,
                elem_id="lb-search",
            )
            self.download = gr.Button("Download CSV", size="sm", scale=0, min_width=130, elem_id="lb-download")
            self.file = gr.File(visible="hidden", label="CSV")
        with gr.Accordion("Columns, filters and order", open=False, elem_id="lb-controls"):
            self.by = gr.Radio(
                [(title, name) for name, title in views.ORDERS.items()],
                value=views.FORECAST,
                label="Ranked by",
                info="how well they should do after fine-tuning, or their mean rank by both metrics",
                elem_id="lb-by",
            )
            groups = [(title, name) for name, title in tables.GROUPS.items()]
            self.groups = gr.CheckboxGroup(groups, value=list(tables.SHOWN), label="Columns", elem_id="lb-columns")
            with gr.Row():
                self.libraries = add_several("Library", "lb-libraries")
                self.licenses = add_several("License", "lb-licenses")
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
                self.sort = gr.Dropdown(views.sorts_of(None), value=views.BY_RANK, label="Sort by", elem_id="lb-sort")
                self.order = gr.Radio(
                    [(name, name) for name in (views.USUAL, views.REVERSED)],
                    value=views.USUAL,
                    label="Order",
                    info="usual: the best, the newest, the smallest, or A first",
                    elem_id="lb-order",
                )

    def _build_table(self) -> None:
        with gr.Row(elem_id="lb-main"):
            with gr.Column(scale=8, min_width=320):
                self.table = gr.Dataframe(
                    None,
                    headers=["Model"],
                    datatype="str",
                    type="array",
                    interactive=False,
                    pinned_columns=2,
                    max_height=640,
                    show_label=False,
                    label="Models of the board",
                    buttons=[],
                    elem_id="lb-table",
                )
            with gr.Column(scale=5, min_width=320, elem_id="lb-beside"):
                self.card = gr.HTML("", visible=False, elem_id="lb-card")
                self.open_model = gr.Button(
                    "All records of this model", visible=False, size="sm", elem_id="lb-open-model"
                )
                self.chart = add_chart("lb-board-plot")
        self.notes = gr.HTML("", elem_id="lb-notes")

    def _listen(self) -> None:
        """Connect the events; none sets the control that triggered it, which would undo what was typed since."""
        page, chosen, view = self.page, [self.board, *self.of_board, self.by], [self.board, *self.controls]
        events = [self.search.change, self.groups.input, self.libraries.input, self.licenses.input, self.sort.input]
        events += [self.order.input, self.by.input, self.smallest.change, self.largest.change, self.since.change]
        always_last: dict[str, Any] = {"trigger_mode": "always_last"}
        gr.on(
            [*events, self.board.input, page.version.change],  # a single event, so that the last answer wins
            self._view_changed,
            inputs=view,
            outputs=[self.table, self.count, self.notes],
            show_progress="hidden",
            api_name="view",
            **always_last,
        )
        page.when_shown(
            BOARD, self._chart, inputs=[page.model, *view], outputs=self.chart, also=events, within="lb-beside"
        )
        outputs = [*self.of_board, self.head, page.board]
        self.board.input(
            lambda *values: (*self._board_changed(*values), None, gr.update(visible=False)),
            inputs=chosen,
            outputs=[*outputs, page.model, self.missing],
            **always_last,
            **QUIET,
        )
        gr.on(
            [page.version.change, self.by.input],
            self._board_changed,
            inputs=chosen,
            outputs=outputs,
            **always_last,
            **QUIET,
        )
        states, shown = [page.board, page.model], [self.card, self.open_model]
        changes = [page.board.change, page.model.change, page.version.change]
        gr.on(changes, self._model_card, inputs=states, outputs=shown, **QUIET)
        self.table.select(self._row_chosen, inputs=self.board, outputs=page.model, **QUIET)
        self.open_model.click(lambda: (gr.Tabs(selected=MODEL), MODEL), outputs=[page.tabs, page.tab], **QUIET)
        made = self.download.click(self._csv, inputs=view, outputs=self.file, api_name="csv", show_progress="hidden")
        made.then(None, inputs=self.file, js=script("download_file.js"), **QUIET)

    def _keep(self) -> None:
        def keep(name: str, component: Any, write: Callable[[Any], str]) -> None:
            self.page.kept.append(Kept(name, component, write=write))

        keep("board", self.board, lambda slug: slug or "")
        keep("search", self.search, lambda text: (text or "").strip())
        keep("columns", self.groups, views.groups_text)
        keep("libraries", self.libraries, views.list_text)
        keep("licenses", self.licenses, views.list_text)
        keep("smallest", self.smallest, views.number_text)
        keep("largest", self.largest, views.number_text)
        keep("since", self.since, lambda day: day if views.is_day(day or "") else "")
        keep("sort", self.sort, lambda sort: "" if sort in (None, views.BY_RANK) else sort)
        keep("order", self.order, lambda order: views.REVERSED if order == views.REVERSED else "")
        keep("by", self.by, lambda by: views.METRICS if by == views.METRICS else "")

    def restored(self, query: Mapping[str, str], catalogue: Catalogue, *, arriving: bool) -> list[Any]:
        """Return updates for the board and the controls from an address, and a note if its board is missing.

        Fields are restored only on arrival, when nothing can have been typed.
        """
        slug = query.get("board", "")
        asked = catalogue.named(slug)
        board = asked or catalogue.named(_first(catalogue))
        known, sorts = views.choices(board), views.sorts_of(board)
        view = views.read_view(query, known, [name for _, name in sorts])
        libraries = gr.update(choices=_named(known.libraries), value=list(view.libraries))
        licenses = gr.update(choices=_named(known.licenses), value=list(view.licenses))
        sort, order = gr.update(choices=sorts, value=view.sort), views.REVERSED if view.turned else views.USUAL
        sizes = [view.smallest, view.largest, view.since]
        wanted = [view.search, list(view.groups), libraries, licenses, *sizes, sort, order, view.by]
        chosen = [
            update if arriving or control in self.of_board else gr.skip()
            for control, update in zip(self.controls, wanted, strict=True)
        ]
        missing = tables.missing_html(slug) if slug and asked is None and board is not None else ""
        shown = gr.update(choices=_titles(catalogue, board), value=None if board is None else board.key.slug)
        return [shown, *chosen, gr.update(value=missing, visible=bool(missing))]

    def brought_up_to_date(self, slug: str | None, catalogue: Catalogue) -> Any:
        """Return an update for the choice of the board after the records changed; a board that is still there stays."""
        there = catalogue.find(slug or "")
        known = _titles(catalogue, there)
        if there is not None:
            return gr.update(choices=known)
        return gr.update(choices=known, value=_first(catalogue))

    def _board(self, slug: str | None, by: str | None = None) -> Board | None:
        return self.page.library.catalogue.named(slug, by_metrics=by == views.METRICS)

    def _view_changed(self, slug: str | None, *controls: Any) -> tuple[Any, ...]:
        """Return the table, how many models it shows, and the notes; without a board, what is shown stays."""
        view = views.view_of(*controls)
        board = self._board(slug, view.by)
        if board is None:
            return (gr.skip(),) * 3 if self.page.library.catalogue.boards() else (gr.update(visible=False), "", "")
        view = views.fitting(view, board)
        found = views.select(board, view)
        rows, columns = found[:MOST_ROWS], tables.columns_of(board, view.groups)
        labels = {id(row): label for row, label in zip(board.rows, tables.shown_labels(board.rows), strict=True)}
        shown = [labels[id(row)] for row in rows]
        update = gr.update(
            value=tables.table_value(columns, rows, shown),
            headers=[column.header for column in columns],
            datatype=[column.kind for column in columns],
            column_widths=tables.column_widths(columns, shown),
            visible=bool(rows),
        )
        count = tables.count_html(len(rows), len(found), len(board.rows), views.remarks_on(view))
        return update, count, tables.alignment_css(columns) + tables.notes_html(board, rows, columns)

    def _board_changed(
        self,
        slug: str | None,
        libraries: list[str] | None,
        licenses: list[str] | None,
        sort: str | None,
        by: str | None,
    ) -> tuple[Any, ...]:
        """Return the choices that a board offers, its head and its slug; choices that it lacks are dropped."""
        board = self._board(slug, by)
        if board is None:
            head = tables.READING if self.page.library.status.loading else tables.NO_BOARDS
            return *(gr.skip() for _ in self.of_board), head, None
        known, sorts, offers = views.choices(board), views.sorts_of(board), []
        for names, chosen in ((known.libraries, libraries or []), (known.licenses, licenses or [])):
            offers.append(offered(_named(names), [name for name in chosen if name in names], chosen))
        offers.append(offered(sorts, sort if sort in [name for _, name in sorts] else views.BY_RANK, sort))
        return *offers, tables.head_html(board), board.key.slug

    def _row_chosen(self, slug: str | None, event: gr.SelectData) -> Any:
        board = self._board(slug)
        cells = event.row_value or []
        if board is None or len(cells) <= tables.MODEL_PLACE:
            return gr.skip()
        name = cells[tables.MODEL_PLACE]
        labels = zip(board.rows, tables.shown_labels(board.rows), strict=True)
        return next((row.model for row, label in labels if label == name), gr.skip())

    def _chart(self, model: str | None, slug: str | None, *rest: Any) -> tuple[Any, str]:
        """Return the chart of the models in the table."""
        *controls, screen = rest
        view = views.view_of(*controls)
        board = self._board(slug, view.by)
        rows = [] if board is None else views.select(board, views.fitting(view, board))[:MOST_ROWS]
        if board is None or not rows:
            return drawn(None, screen, "size")
        marked = next((row.label for row in rows if row.model == model), None)
        return drawn(board_size_figure(board, rows=rows, marked=marked, width=screen.width), screen, "size")

    def _model_card(self, slug: str | None, model: str | None) -> tuple[Any, Any]:
        board = self._board(slug)
        rows = [] if board is None else [row for row in board.rows if row.model == model]
        if board is None or not rows:
            return gr.update(visible=False), gr.update(visible=False)
        cards = "".join(tables.card_html(board, row) for row in rows)
        return gr.update(value=cards, visible=True), gr.update(visible=True)

    def _csv(self, slug: str | None, *controls: Any) -> Any:
        view = views.view_of(*controls)
        board = self._board(slug, view.by)
        if board is None:
            return None
        return str(download_file(f"board-{board.key.slug}.csv", board_csv(board, views.select(board, view))))


def _unchecked(payload: Any) -> Any:
    """Return a text, or a list of texts, that a page sent, whether it is a choice or not."""
    if isinstance(payload, list):
        return [one for one in payload if isinstance(one, str)]
    return payload if isinstance(payload, str) else None


def _first(catalogue: Catalogue) -> str | None:
    """Return the board to show first: of a dataset on the Hub, with the most measured accuracies."""

    def known(one: BoardSummary) -> tuple[bool, int, int, int]:
        return bool(one.truths and hub_url(one.key.dataset)), one.truths, one.models, one.records

    best = max(catalogue.boards(), key=known, default=None)
    return None if best is None else best.key.slug


def _titles(catalogue: Catalogue, shown: Board | BoardSummary | None = None) -> list[tuple[str, str]]:
    """Return the choices of boards, those with the most models and the shown one: titles and slugs."""
    found = catalogue.boards()[:MOST_CHOICES]
    if shown is not None and shown.key not in [one.key for one in found]:
        found += filter(None, [catalogue.find(shown.key.slug)])
    return [(f"{plain(one.title, 160)} ({counted(one.models, 'model')})", one.key.slug) for one in found]


def _named(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(plain(name, 80), name) for name in names]


BEFORE = ("rank", "low", "high", "group", "mean_rank", "model", "label", "commit", "library", "layer", "pooling")
EXPECTED = (
    *("best_probability", "points_below_best", "points_below_low", "points_below_high"),
    *("expected_accuracy", "expected_low", "expected_high"),
)
"""The columns of a forecast."""
AFTER = ("accuracy", "parameters", "width", *FACTS, "throughput", "device", "source", "time")
"""Fields of a row before and after its scores."""


def board_csv(board: Board, rows: Iterable[BoardRow]) -> str:
    """Return some rows of a board as CSV: facts, pool scores, raw terms and their intervals."""
    columns = list(board.columns.values())
    terms = [(column.label, term) for column in columns for term in column.directions]
    header = [*BEFORE, *EXPECTED, *(column.label for column in columns), *AFTER]
    header += [f"{label}.{term}{end}" for label, term in terms for end in ("", ".low", ".high")]

    def line(row: BoardRow) -> list[Any]:
        scores, values, intervals = row.scores, row.terms, row.intervals
        one = row.forecast
        cells = [getattr(row, name) for name in BEFORE]
        if one is None:
            cells += [None] * len(EXPECTED)
        else:
            cells += [one.best_probability, *one.points_below_best, *(one.expected_accuracy or (None,) * 3)]
        cells += [scores.get(column.label) for column in columns]
        cells += [getattr(row, name) for name in AFTER]
        for label, term in terms:
            cells += [values.get(label, {}).get(term), *intervals.get(label, {}).get(term, (None, None))]
        return cells

    return csv_text(header, map(line, rows))
