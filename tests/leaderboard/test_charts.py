"""The charts of a board: their data are the board's own numbers, and the page shows them as its screen needs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score.leaderboard.boards.board import (
    Board,
    BoardColumn,
    BoardKey,
    BoardRow,
    BoardSummary,
    ColumnNumbers,
)
from hf_transfer_score.leaderboard.pages.page import LEAST_WIDTH, MOST_WIDTH, Screen, drawn, screen_of
from hf_transfer_score.leaderboard.pages.plots_tab import (
    board_accuracy_figure,
    board_collapse_figure,
    board_size_figure,
)
from tests.drawing.charts import marks, rows_of


@pytest.fixture
def board():
    key = BoardKey("image-classification", "owner/pets", None, "train", "0" * 32)
    directions = {"variance_collapse": 1, "class_fairness": 1}
    column = BoardColumn("face", "face", "score", 1, {}, directions, {"class_fairness": "range too small"})
    places = np.arange(1, 6)
    values = np.stack([-places.astype(float), 1 - places / 50], axis=1)
    none = np.full((5, 2), np.nan)
    numbers = ColumnNumbers(("variance_collapse", "class_fairness"), 2 - places / 5, places, values, none, none)
    rows = tuple(
        BoardRow(
            f"owner/m{place}",
            f"owner/m{place}",
            parameters=10**6 * place,
            rank=place,
            low=max(1, place - 1),
            high=place + 1,
            mean_rank=float(place),
            columns={"face": numbers},
            place=place - 1,
            accuracy=None if place == 5 else 0.9 - place / 100,
        )
        for place in range(1, 6)
    )
    summary = BoardSummary(key, "pets", 5, 1, 10, 4, "2025-01-01T00:00:00+00:00")
    failed = BoardRow("owner/bad", "owner/bad")
    return Board(summary, {"face": column}, (*rows, failed), (), ("face", "ncti"), "accuracy (method=full)", False)


def test_the_data_of_a_chart_are_the_numbers_of_the_board(board):
    rows = board.rows[:5]
    size = board_size_figure(board)
    assert marks(size) == {row.label: (row.parameters, row.rank) for row in rows}
    assert {row["model"]: (row["y_low"], row["y_high"]) for row in rows_of(size.chart)} == {
        row.label: (row.low, row.high) for row in rows
    }
    assert "Best: owner/m1 (rank 1 (1 to 2), parameters 1M)." in size.description
    assert marks(board_size_figure(board, "face")) == {row.label: (row.parameters, row.scores["face"]) for row in rows}
    collapse = board_collapse_figure(board)
    assert marks(collapse) == {
        row.label: (row.terms["face"]["class_fairness"], row.terms["face"]["variance_collapse"]) for row in rows
    }
    assert collapse.caption.endswith("Class fairness: range too small.")
    assert "no records of FaCe" in board_collapse_figure(board, "ncti").description


def test_the_accuracy_of_a_board_is_drawn_and_said(board):
    figure = board_accuracy_figure(board, agreement=(1.0, None))
    assert marks(figure) == {row.label: (row.mean_rank, row.accuracy) for row in board.rows[:4]}
    assert figure.title == "Mean rank against accuracy (method=full): τ_w 1.00"
    assert (
        "The rank is the mean rank by face and ncti. "
        "The accuracy was measured with another sample of the same dataset." in figure.caption
    )
    told_at_length = replace(board, truth="accuracy (epochs=20, learning_rates=[0.001, 0.004], method=full)")
    assert board_accuracy_figure(told_at_length).title == "Mean rank against measured accuracy"


@pytest.mark.parametrize(
    ("text", "screen"),
    [
        ('{"night": true, "width": 400}', Screen(400, True)),
        ('{"night": "yes", "width": 1e9}', Screen(MOST_WIDTH, False)),
        ('{"night": false, "width": -5}', Screen(LEAST_WIDTH, False)),
        *((text, Screen()) for text in (None, "", "[]", "7", '{"width": "x"}', '{"width": Infinity}', "[" * 100_000)),
    ],
)
def test_what_a_page_says_of_its_screen_is_looked_at(text, screen):
    assert screen_of(text) == screen


def test_a_page_gets_the_specification_or_words_alone(board):
    update, words = drawn(board_size_figure(board, marked="owner/m2", width=400), Screen(400, True), "size")
    assert update["visible"] and update["value"].type == "altair"
    told = json.loads(update["value"].plot)
    assert told["usermeta"]["embedOptions"]["downloadFileName"] == "size"
    assert told["usermeta"]["embedOptions"]["actions"] == {
        "export": True,
        "source": False,
        "compiled": False,
        "editor": False,
    }
    assert told["width"] < 400 and "<table>" in words
    update, words = drawn(board_collapse_figure(board, "ncti"), Screen(), "terms")
    assert not update["visible"] and "no records of FaCe" in words
    assert drawn(None, Screen(), "") == ({"value": None, "visible": False, "__type__": "update"}, "")
