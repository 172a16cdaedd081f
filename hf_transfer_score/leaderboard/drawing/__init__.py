"""Pictures of a board as text: they need no script, no file and nothing from outside, and fit any width."""

from hf_transfer_score.leaderboard.drawing.accuracy import AccuracyPoint, Agreement, accuracy_figure
from hf_transfer_score.leaderboard.drawing.agreement import TrustRow, trust_figure
from hf_transfer_score.leaderboard.drawing.boards import (
    board_accuracy_figure,
    board_collapse_figure,
    board_size_figure,
    record_overlap_figure,
)
from hf_transfer_score.leaderboard.drawing.figure import Figure, Table, sentence_figure
from hf_transfer_score.leaderboard.drawing.heatmap import overlap_figure
from hf_transfer_score.leaderboard.drawing.size import SizePoint, size_figure
from hf_transfer_score.leaderboard.drawing.terms import TermPoint, collapse_figure

__all__ = [
    "AccuracyPoint",
    "Agreement",
    "Figure",
    "SizePoint",
    "Table",
    "TermPoint",
    "TrustRow",
    "accuracy_figure",
    "board_accuracy_figure",
    "board_collapse_figure",
    "board_size_figure",
    "collapse_figure",
    "overlap_figure",
    "record_overlap_figure",
    "sentence_figure",
    "size_figure",
    "trust_figure",
]
