"""Charts in files: an image, or a page that needs no other file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.drawing.words import Across, printable
from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import write_bytes, write_text
from hf_transfer_score.ranking.ranking import Ranking

if TYPE_CHECKING:
    from hf_transfer_score.drawing.race_chart import Curves

ENDINGS = (".png", ".svg", ".html")


def check_plot_path(path: Path) -> None:
    """Raise OptionError unless a chart can be written there; called before a run that takes hours."""
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"{path}: a chart has to end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if path.is_dir():
        raise OptionError(f"{path} is a folder; name a file for the chart.")
    above = next((folder for folder in path.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise OptionError(f"{path}: {above} is a file, so nothing can be written below it.")


def save_plot(ranking: Ranking, path: Path, across: Across = "parameters") -> None:
    """Write the chart of a ranking to a file in .png, .svg or .html; the page in .html needs no other file.

    Models are drawn against their parameters or their throughput, in examples per second. Those of unknown size stand
    at the side; where no parameter count is known, the width of the features takes its place.
    """
    check_plot_path(path)
    from hf_transfer_score.drawing.pages import ranking_page
    from hf_transfer_score.drawing.rank_chart import picture_of, rank_chart

    picture = picture_of(ranking, across)
    chart = rank_chart(picture)
    _write(path, chart, lambda: ranking_page(chart, picture))


def save_race(race: Curves, path: Path) -> None:
    """Write the learning curves of the finalists of a choice to a file; the page in .html also has them as a table."""
    check_plot_path(path)
    from hf_transfer_score.drawing.pages import race_page
    from hf_transfer_score.drawing.race_chart import race_chart

    chart = race_chart(race)
    _write(path, chart, lambda: race_page(chart, race))


def save_profile(values: Mapping[str, float | None], best: str, model: str, about: str, path: Path) -> None:
    """Write `profile_chart` to a file."""
    check_plot_path(path)
    from hf_transfer_score.drawing.pages import profile_page
    from hf_transfer_score.drawing.rank_chart import profile_chart

    chart = profile_chart(values, best, model, about)
    _write(path, chart, lambda: profile_page(chart, f"{printable(model)} {about}", values))


def _write(path: Path, chart: Any, page: Callable[[], str]) -> None:
    from hf_transfer_score.drawing.look import image_of

    ending = path.suffix.lower().removeprefix(".")
    if ending == "html":
        write_text(path, page())
    else:
        write_bytes(path, image_of(chart, ending))
