"""Install the evaluate modules where `evaluate.load` finds them: in the cache of this computer, or in a Space.

`evaluate` falls back on modules in its cache, `evaluate_modules/metrics/OWNER--NAME/HASH/NAME.py`, and takes the one
that was changed last. Its own modules have the owner `evaluate-metric`, which may be left out. The Space of a metric
has a card, the module and the app, with this version of the package.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from hf_transfer_score.errors import OptionError, RegistrationError

if TYPE_CHECKING:
    from hf_transfer_score.leaderboard.space import PushedSpace
    from hf_transfer_score.records.place import HubPlace

MODULE_NAMES = ("face_transferability", "ncti_transferability")

METRICS = {name.partition("_")[0]: name for name in MODULE_NAMES}
"""The metrics that have a module, and its name."""

EVALUATE_REQUIREMENTS = "datasets==5.2.0\nevaluate==0.4.6\n"
"""The requirements of the module in addition to those of the app."""

APP = '''\
"""The app of this Space."""

from hf_transfer_score.evaluate_modules.space import run_space

if __name__ == "__main__":
    run_space("{metric}")
'''


def register() -> list[Path]:
    """Make `evaluate.load("face_transferability")` and `evaluate.load("ncti_transferability")` work, online or offline.

    The modules are written once to each cache of Hugging Face modules (HF_HOME, HF_MODULES_CACHE), and their paths are
    returned. Calling again changes nothing, even from several processes. If two versions of this package share a cache,
    the modules of the last caller are loaded.

    Example:
        >>> sorted(path.stem for path in register())
        ['face_transferability', 'ncti_transferability']
    """
    cache = modules_cache()
    try:
        installed = [_install(cache, name) for name in MODULE_NAMES]
        importlib.invalidate_caches()  # otherwise this process does not see new files for a moment
        return installed
    except OSError as error:
        raise RegistrationError(
            f"The evaluate modules could not be written to {cache} ({error}). Make that folder writable, or set "
            "HF_MODULES_CACHE to a writable folder before evaluate is imported."
        ) from error


def modules_cache() -> Path:
    """Return the folder of `evaluate`'s modules: the one it found when it was imported, or would find now."""
    loaded = sys.modules.get("evaluate.config")
    if loaded is not None:
        return Path(loaded.HF_MODULES_CACHE).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    home = Path(os.environ.get("HF_HOME", base)).expanduser()
    return Path(os.environ.get("HF_MODULES_CACHE", home / "modules")).absolute()


def _install(cache: Path, name: str) -> Path:
    code = (Path(__file__).parent / name / f"{name}.py").read_bytes()
    family = cache / "evaluate_modules" / "metrics" / f"evaluate-metric--{name}"
    script = family / code_hash(code.decode()) / f"{name}.py"
    family.mkdir(parents=True, exist_ok=True)
    for package in (cache, *family.parents[1::-1], family):
        _ensure_empty_file(package / "__init__.py")
    if not script.is_file() or script.read_bytes() != code:
        _place(script, code)
    _ensure_empty_file(script.parent / "__init__.py")
    # the script must have a later time than those of other versions
    others = [other for other in script.parents[1].glob(f"*/{script.name}") if len(other.parent.name) == 64]
    latest = max((other.stat().st_mtime for other in others if other != script), default=0.0)
    if script.stat().st_mtime <= latest:
        moment = max(time.time(), latest + 1)
        os.utime(script, (moment, moment))
    return script


def code_hash(code: str) -> str:
    """Return the name of the folder that `evaluate` itself would give this script."""
    lines = [re.sub(r"#.*", "", line) for line in code.splitlines(keepends=True)]
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()


def _ensure_empty_file(path: Path) -> None:
    if not path.exists():  # touching it would fail in a folder that is read only
        path.touch()


def _place(script: Path, code: bytes) -> None:
    """Write a script into its folder; other processes see all of it or nothing."""
    fresh = script.parent.with_name(f"new-{uuid.uuid4().hex}")
    fresh.mkdir()
    try:
        (fresh / "__init__.py").touch()
        (fresh / script.name).write_bytes(code)
        if script.parent.exists():
            (fresh / script.name).replace(script)
        else:
            try:
                fresh.rename(script.parent)
            except OSError:  # another process has just put the same folder there
                if not script.parent.exists():
                    raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def push_metric_space(place: HubPlace, metric: str) -> PushedSpace:
    """Write the Space of a metric, "face" or "ncti", which is created if it does not exist.

    It has the name of the module: `evaluate.load("OWNER/NAME")` looks for NAME.py in it.
    """
    from hf_transfer_score.leaderboard.space import RELEASE, push_files

    module = _module(metric)
    if place.name.partition("/")[2] != module:
        raise OptionError(f"{place.name!r}: evaluate loads a module by the name of its Space; expected OWNER/{module}.")
    return push_files(place, metric_space_files(metric), title=f"Module of {RELEASE}")


def metric_space_files(metric: str) -> dict[str, bytes]:
    """Return all files of the Space by path."""
    from hf_transfer_score.leaderboard.space import package_files

    return {path: text.encode() for path, text in metric_demo_files(metric).items()} | package_files()


def metric_demo_files(metric: str) -> dict[str, str]:
    """Return the files of the Space beside those of the package."""
    from hf_transfer_score.leaderboard.space import GRADIO, PYTHON, requirements

    name = _module(metric)
    folder = Path(__file__).parent / name
    card = (folder / "README.md").read_text(encoding="utf-8")
    return {
        "README.md": card.replace("{gradio}", GRADIO, 1).replace("{python}", PYTHON, 1),
        "app.py": APP.format(metric=metric),
        f"{name}.py": (folder / f"{name}.py").read_text(encoding="utf-8"),
        "requirements.txt": requirements() + EVALUATE_REQUIREMENTS,
    }


def _module(metric: str) -> str:
    if metric not in METRICS:
        raise OptionError(f"{metric!r} has no module for evaluate. Metrics with one: {', '.join(METRICS)}.")
    return METRICS[metric]
