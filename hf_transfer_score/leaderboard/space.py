"""The leaderboard as a Space on the Hub: its files, including this very version of the package.

The Spaces of metrics use `package_files` and `push_files` too.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import hf_transfer_score
from hf_transfer_score.errors import OptionError
from hf_transfer_score.hub.failures import no_token
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.records.place import HUB_NAME, HUB_PREFIX, HubPlace, PlaceView
from hf_transfer_score.text import TEMPLATES, markdown
from hf_transfer_score.version import HOMEPAGE, VERSION

PACKAGE = "hf_transfer_score"
DISTRIBUTION = "hf-transfer-score"
RELEASE = f"{DISTRIBUTION} {VERSION}"
INFORMATION = f"{PACKAGE}-{VERSION}.dist-info"
UNNEEDED = ("__pycache__", ".pyc", ".pyo", "example")
METRICS_GROUP = "hf_transfer_score.metrics"

GRADIO, PYTHON = "6.31.0", "3.11"

APP = '''\
"""The app of this Space."""

from hf_transfer_score.leaderboard.starting import run_space

if __name__ == "__main__":
    run_space({arguments})
'''


@dataclass(frozen=True)
class PushedSpace:
    """The address of the Space or the pull request, its number of files, and what is left to do."""

    address: str
    files: int
    notes: tuple[str, ...] = ()


def push_space(place: HubPlace, *, results: str | None = None, requests: str | None = None) -> PushedSpace:
    """Push the leaderboard to a Space, which is created if it does not exist.

    Results and requests are dataset repositories: None for the records that ship with the package, and for no requests.
    """
    results, requests = _dataset(results, "`results`"), _dataset(requests, "`requests`")
    notes = []
    if results is None:
        notes.append("It shows the records that ship with the package; name others with `results`.")
    if requests is not None:
        notes.append(f"Requests need a token that may write to {requests}: set it as the secret HF_TOKEN of the Space.")
    return push_files(place, space_files(results, requests), title=f"Leaderboard of {RELEASE}", notes=tuple(notes))


def space_place(
    space: str,
    *,
    private: bool = False,
    create_pr: bool = False,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> HubPlace:
    """Return the Space OWNER/NAME, which files can be written to."""
    if HUB_NAME.fullmatch(space) is None:
        raise OptionError(f"{space!r} is not the name of a Space: expected OWNER/NAME.")
    if not has_token(token):
        raise no_token(space)
    return HubPlace(space, token=token, private=private, create_pr=create_pr, repo_type="space", endpoint=endpoint)


def push_files(place: HubPlace, files: Mapping[str, bytes], *, title: str, notes: tuple[str, ...] = ()) -> PushedSpace:
    """Write files by path to a Space, which is created if needed; files of an earlier version are removed."""

    def changes(view: PlaceView) -> dict[str, bytes | None]:
        gone = [path for path in view.files if path.startswith((f"{PACKAGE}/", f"{PACKAGE}-")) and path not in files]
        return {**files, **dict.fromkeys(gone)}

    if not place.create_pr and place.version() is None:
        place.create(space_sdk="gradio")
    with warnings.catch_warnings():  # the client doubts that tables belong in a Space: these do
        warnings.filterwarnings("ignore", r"It seems that you are about to commit a data file", UserWarning)
        done = place.update(changes, title=title)
    address = done if place.create_pr and done.startswith("http") else place.url
    return PushedSpace(address, len(files), notes)


def space_files(results: str | None = None, requests: str | None = None) -> dict[str, bytes]:
    """Return all files of the Space by path."""
    return {path: text.encode() for path, text in demo_files(results, requests).items()} | package_files()


def demo_files(results: str | None = None, requests: str | None = None) -> dict[str, str]:
    """Return the files of the Space except the package, for repositories of records and requests."""
    named = {"results": results, "requests": requests}
    arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in named.items() if value)
    readme = markdown(
        "leaderboard_space.md.jinja", gradio=GRADIO, python=PYTHON, package=PACKAGE, homepage=HOMEPAGE, **named
    )
    return {
        "README.md": readme,
        "app.py": APP.format(arguments=arguments),
        "requirements.txt": requirements(),
    }


def requirements() -> str:
    """Return what a Space installs, in versions tested together, including what requests of strangers reach in gradio.

    Neither torch nor transformers is needed, since nothing is computed from a model there.
    """
    return (TEMPLATES / "space_requirements.txt").read_text(encoding="utf-8")


def _dataset(text: str | None, option: str) -> str | None:
    """Return the name of a dataset repository; a Space cannot read a local folder."""
    if text is None:
        return None
    name = text.removeprefix(HUB_PREFIX).strip("/")
    if HUB_NAME.fullmatch(name) is None:
        raise OptionError(
            f"{option} {text!r}: a Space reads a dataset repository on the Hub, OWNER/NAME. "
            "`hf-transfer-score results publish FOLDER --to OWNER/NAME` makes one from a folder."
        )
    return name


def package_files() -> dict[str, bytes]:
    """Return the installed files of this package by path, with metadata whose entry points list its metrics."""
    root, files = Path(str(hf_transfer_score.__file__)).parent, {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") or part in UNNEEDED for part in inside.parts)
        if path.is_file() and not hidden and path.suffix not in UNNEEDED:
            files[f"{PACKAGE}/{inside.as_posix()}"] = path.read_bytes()
    try:
        points = distribution(DISTRIBUTION).entry_points
    except PackageNotFoundError:
        raise OptionError(f"{DISTRIBUTION} is not installed: its metrics cannot be listed. pip install it.") from None
    lines = "".join(f"{one.name} = {one.value}\n" for one in points if one.group == METRICS_GROUP)
    about = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {VERSION}\n"
    files[f"{INFORMATION}/METADATA"] = about.encode()
    files[f"{INFORMATION}/entry_points.txt"] = f"[{METRICS_GROUP}]\n{lines}".encode()
    return files
