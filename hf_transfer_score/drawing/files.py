"""Charts in files: an image, or a page that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.drawing.words import Across
from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import write_bytes, write_text
from hf_transfer_score.ranking.ranking import Ranking

if TYPE_CHECKING:
    from hf_transfer_score.drawing.race_chart import Curves

ENDINGS = (".png", ".svg", ".html")
PROFILE_WIDTH = 840


def check_plot_path(path: Path) -> None:
    """Raise OptionError unless a chart can be written there: called before a run that takes hours."""
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"{path}: the name of a picture has to end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if path.is_dir():
        raise OptionError(f"{path} is a folder; name a file for the picture.")
    above = next((folder for folder in path.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise OptionError(f"{path}: {above} is a file, so nothing can be written below it.")


def save_plot(ranking: Ranking, path: Path, across: Across = "parameters") -> None:
    """Draw rank against size or speed, with rank ranges, tie groups, and the best rank up to each size; layers across.

    Where the layers of models were ranked, these are drawn across, with a line for each model. Models are labelled with
    their names where there is room. Those whose parameter count is not known stand at the side; where no count is
    known, the width of the features takes its place.

    Args:
        ranking: what was ranked; without ranked models the picture says so.
        path: a file in .png, .svg or .html; the page in .html shows what is known of each model, and needs no other
            file and no network.
        across: what models are drawn against: parameters, or throughput, the examples that they read a second.
    """
    check_plot_path(path)
    from hf_transfer_score.drawing.page import ranking_page
    from hf_transfer_score.drawing.points import picture_of
    from hf_transfer_score.drawing.rank_chart import rank_chart

    picture = picture_of(ranking, across)
    chart = rank_chart(picture)
    _write(path, chart, lambda: ranking_page(chart, picture))


def save_race(race: Curves, path: Path) -> None:
    """Draw the learning curves of the finalists of a choice; the page in .html has them in a table, too."""
    check_plot_path(path)
    from hf_transfer_score.drawing.page import race_page
    from hf_transfer_score.drawing.race_chart import race_chart

    chart = race_chart(race)
    _write(path, chart, lambda: race_page(chart, race))


def save_profile(values: Mapping[str, float | None], best: str, model: str, about: str, path: Path) -> None:
    """Draw NC1 against the layers of a model, on a logarithmic scale, with the smallest marked.

    Args:
        values: NC1 by layer, None where it is not defined.
        best: the layer to mark.
        model: the id or folder.
        about: what the title says besides the model.
        path: a file in .png, .svg or .html.
    """
    check_plot_path(path)
    from hf_transfer_score.drawing.page import profile_page
    from hf_transfer_score.drawing.words import printable

    chart = profile_chart(values, best, model, about)
    _write(path, chart, lambda: profile_page(chart, f"{printable(model)} {about}", values))


def profile_chart(values: Mapping[str, float | None], best: str, model: str, about: str) -> Any:
    """Return the chart that `save_profile` writes."""
    from hf_transfer_score.drawing.layer_chart import Lines, layer_chart
    from hf_transfer_score.drawing.look import title_of
    from hf_transfer_score.drawing.words import printable

    named = printable(model)
    title = f"{named} {about}"
    lines = Lines({named: values}, (named, best), "NC1, smaller is more collapsed", log=True)
    return layer_chart(lines, PROFILE_WIDTH, title=title_of(title, (), PROFILE_WIDTH), description=title)


def _write(path: Path, chart: Any, page: Callable[[], str]) -> None:
    from hf_transfer_score.drawing.export import image_of

    ending = path.suffix.lower().removeprefix(".")
    if ending == "html":
        write_text(path, page())
    else:
        write_bytes(path, image_of(chart, ending))
