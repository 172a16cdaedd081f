"""`board`: the ranking of a dataset from stored results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from hf_transfer_score.cli.ending import FAILED
from hf_transfer_score.cli.flags import OUTPUT, Table
from hf_transfer_score.cli.output import Page, TableOutput, render, say, words
from hf_transfer_score.cli.ranking_text import step_text
from hf_transfer_score.cli.tables import (
    MISSING,
    Group,
    Note,
    forecast_group,
    forecast_legend,
    groups_text,
    metric_group,
    notes_table,
    pairs,
)
from hf_transfer_score.drawing.files import check_plot_path, save_plot
from hf_transfer_score.drawing.words import shorten
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.ranking.answer import next_step
from hf_transfer_score.ranking.board import board as ranked_board
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.ranking.showing import FORECAST_COLUMNS, forecast_cells, forecast_rows
from hf_transfer_score.text import csv_text, short_count, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_MODELS, SHOWN_REASONS, SHOWN_WHY = 30, 2, 10


def board(
    dataset: str,
    /,
    *,
    results: Annotated[list[str], Parameter(required=True, consume_multiple=True)],
    task: str | None = None,
    method: str | None = None,
    rows: Annotated[int, Parameter(group=OUTPUT, validator=validators.Number(gte=1))] = SHOWN_MODELS,
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    output: Table = TableOutput(),
) -> int:
    """Rank the known models for a dataset from stored results.

    No model is run. The metrics on this dataset, and how the same and related models did on others, give a forecast:
    which model is likely to be the best after fine-tuning, and by how many points the others are behind.

    ```bash
    hf-transfer-score board cifar100 --results ./results
    hf-transfer-score board owner/pets --results owner/results ./mine --json
    ```

    Args:
        dataset: its id, as the results name it.
        results: stored results: folders, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME.
        task: the task, if the results are of several.
        method: fine-tuning method to forecast; by default full, or the one with the most results.
        rows: how many rows to print as text.
        plot: also draw a chart: .png, .svg or .html.
    """
    check_plot_path(plot)
    with quiet_client():
        ranking = ranked_board(dataset, results=results, task=task, method=method)
    notes = [Note("note", text) for text in ranking.notes]
    output.show_table(
        lambda: {
            "dataset": ranking.dataset,
            "answer": ranking.answer,
            "models": forecast_rows(ranking),
            "notes": list(ranking.notes),
        },
        lambda page: _text(ranking, page, rows, notes),
        lambda: _csv(ranking),
        lambda: notes,
    )
    if plot is not None and ranking.ranks:
        save_plot(ranking, plot)
        say(f"Drew {plot}")
    return 0 if ranking.ranks else FAILED


def _text(ranking: Ranking, page: Page, most: int, notes: list[Note]) -> str:
    """Return the answer, the table, the reasons for the first places, the notes and the next step."""
    rows = forecast_rows(ranking)
    facts = {}
    for row in rows:
        level, size = row["expected_accuracy"], row["parameters"]
        expected = MISSING if level is None else f"{level['value']:.1%}"
        facts[row["name"]] = (expected, MISSING if size is None else short_count(size))
    by_metrics = [] if ranking.forecasts else [metric_group(ranking, metric) for metric in ranking.pools]
    groups = [*(by_metrics or [forecast_group(ranking)]), Group("", ("accuracy", "params"), facts)]
    table = groups_text([row["name"] for row in rows[:most]], groups, page, failed={})
    if len(rows) > most:
        notes = [*notes, Note("note", f"{len(rows) - most:,} more models: --rows N shows more, --csv all of them.")]
    room = page.width // 2  # for names, so that their reasons can be read
    why = [(shorten(shown(row["name"]), room), shown("; ".join(row["why"][:SHOWN_REASONS]))) for row in rows[:most]]
    accuracy = ("accuracy", "expected after fine-tuning, or as measured on this dataset")
    legend: list[RenderableType] = [forecast_legend(ranking, accuracy), ""] if len(ranking.ranks) > 1 else []
    below: list[RenderableType] = [*legend, "Why:", pairs(why[:SHOWN_WHY], indent=2), *notes_table(notes)]
    below = below if ranking.forecasts else notes_table(notes)[1:]
    answer = render([words(shown(ranking.answer)), ""], page)
    return answer + table + render(below, page) + step_text(next_step(ranking), page)


def _csv(ranking: Ranking) -> str:
    header = ("model", "rank", "rank_low", "rank_high", *FORECAST_COLUMNS, "parameters", "why")
    rows = [
        (
            *(row["name"], row["rank"], *row["rank_range"]),
            *forecast_cells(ranking, row["name"]),
            row["parameters"],
            "; ".join(row["why"]),
        )
        for row in forecast_rows(ranking)
    ]
    return csv_text(header, rows)
