"""A ranking as a picture: rank against size, for people who choose a checkpoint."""

from __future__ import annotations

from pathlib import Path

from hf_transfer_score.atomic import write_bytes, write_text
from hf_transfer_score.errors import OptionError
from hf_transfer_score.selection.drawing.points import picture_of
from hf_transfer_score.selection.report import RankReport

ENDINGS = (".png", ".svg", ".html")


def check_plot_path(path: Path) -> None:
    """Raise OptionError unless `save_plot` can write there: called before a run that takes hours."""
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"{path}: the name of a picture has to end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if path.is_dir():
        raise OptionError(f"{path} is a folder; name a file for the picture.")
    above = next((folder for folder in path.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise OptionError(f"{path}: {above} is a file, so nothing can be written below it.")


def save_plot(report: RankReport, path: Path) -> None:
    """Draw rank against parameters, with rank ranges, tie groups, and the best rank up to each size.

    Models are labelled with their names where there is room. Those whose parameter count is not known stand at the
    side; where no count is known, the width of the features takes its place.

    Args:
        report: what was ranked; without ranked models the picture says so.
        path: a file in .png, .svg or .html; the page in .html shows what is known of each model and needs no other
            file, no script and no network.
    """
    check_plot_path(path)
    picture, ending = picture_of(report), path.suffix.lower().removeprefix(".")
    if ending == "html":
        from hf_transfer_score.selection.drawing.page import page_of

        write_text(path, page_of(picture, report))
        return
    from hf_transfer_score.selection.drawing.figure import image_of

    write_bytes(path, image_of(picture, ending))
