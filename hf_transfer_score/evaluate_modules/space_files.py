"""The Space of a metric on the Hub: card, module and app, with this very version of the package among them."""

from __future__ import annotations

from pathlib import Path

from hf_transfer_score.errors import OptionError
from hf_transfer_score.evaluate_modules.install import MODULE_NAMES
from hf_transfer_score.leaderboard.space import (
    GRADIO,
    PYTHON,
    RELEASE,
    REQUIREMENTS,
    PushedSpace,
    package_files,
    push_files,
    space_place,
)

METRICS = {name.partition("_")[0]: name for name in MODULE_NAMES}
"""The metrics that have a module, and its name."""

EVALUATE_REQUIREMENTS = ("datasets==5.2.0", "evaluate==0.4.6")
"""What the module needs beside what the app needs, where the Space's folder is used as a module."""

APP = '''\
"""The app of this Space."""

from hf_transfer_score.evaluate_modules.space import run_space

if __name__ == "__main__":
    run_space("{metric}")
'''


def push_metric_space(
    space: str,
    metric: str,
    *,
    private: bool = False,
    create_pr: bool = False,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> PushedSpace:
    """Write the Space of a metric, which is made if it is not there yet.

    Args:
        space: OWNER/NAME, where NAME is that of the module: `evaluate.load("OWNER/NAME")` looks for NAME.py in it.
        metric: "face" or "ncti".
        private: make the Space private.
        create_pr: propose the files as a pull request to a Space that is there.
        token: for the Hub; None for the one that its client finds.
        endpoint: another Hub than that of HF_ENDPOINT.
    """
    module = _module(metric)
    place = space_place(space, private=private, create_pr=create_pr, token=token, endpoint=endpoint)
    if space.partition("/")[2] != module:
        raise OptionError(f"{space!r}: evaluate loads a module by the name of its Space; expected OWNER/{module}.")
    return push_files(place, metric_space_files(metric), title=f"Module of {RELEASE}")


def metric_space_files(metric: str) -> dict[str, bytes]:
    """Return all files of the Space by path."""
    return {path: text.encode() for path, text in metric_demo_files(metric).items()} | package_files()


def metric_demo_files(metric: str) -> dict[str, str]:
    """Return the files of the Space that are not the package's own."""
    name = _module(metric)
    folder = Path(__file__).parent / name
    card = (folder / "README.md").read_text(encoding="utf-8")
    return {
        "README.md": card.replace("{gradio}", GRADIO, 1).replace("{python}", PYTHON, 1),
        "app.py": APP.format(metric=metric),
        f"{name}.py": (folder / f"{name}.py").read_text(encoding="utf-8"),
        "requirements.txt": "".join(f"{one}\n" for one in (*REQUIREMENTS, *EVALUATE_REQUIREMENTS)),
    }


def _module(metric: str) -> str:
    if metric not in METRICS:
        raise OptionError(f"{metric!r} has no module for evaluate; those that have one: {', '.join(METRICS)}.")
    return METRICS[metric]
