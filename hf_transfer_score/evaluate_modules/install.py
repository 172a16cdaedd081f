"""Put the evaluate modules where `evaluate.load("face_transferability")` finds them without the Hub.

`evaluate` falls back on the modules it has loaded before, kept as `evaluate_modules/metrics/OWNER--NAME/HASH/NAME.py`,
and takes the one changed last. Its own modules belong to the owner `evaluate-metric`, who need not be named.
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

from hf_transfer_score.errors import RegistrationError

MODULE_NAMES = ("face_transferability", "ncti_transferability")


def register() -> list[Path]:
    """Make `evaluate.load("face_transferability")` and `evaluate.load("ncti_transferability")` work, on line or off.

    The modules are written once for each cache of Hugging Face modules (HF_HOME, HF_MODULES_CACHE); calling again, from
    several processes too, changes nothing. Where two versions of this package share a cache, the one that called last
    has its modules loaded.

    Returns:
        The installed scripts.
    """
    cache = modules_cache()
    try:
        installed = [_install(cache, name) for name in MODULE_NAMES]
        importlib.invalidate_caches()  # else files that are new are not seen by this process for a moment
        return installed
    except OSError as error:
        raise RegistrationError(
            f"The evaluate modules could not be written to {cache} ({error}). Make that folder writable, or set "
            "HF_MODULES_CACHE to one that is, before evaluate is imported."
        ) from error


def modules_cache() -> Path:
    """Return the folder of `evaluate`'s modules: as it found it when it was imported, or as it would find it now."""
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
    _make_latest(script)
    return script


def code_hash(code: str) -> str:
    """Return the name of the folder that `evaluate` itself would give this script."""
    lines = [re.sub(r"#.*", "", line) for line in code.splitlines(keepends=True)]
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()


def _ensure_empty_file(path: Path) -> None:
    if not path.exists():
        path.touch()


def _place(script: Path, code: bytes) -> None:
    """Write a script into its folder; whoever reads meanwhile sees all of it or nothing."""
    fresh = script.parent.with_name(f"new-{uuid.uuid4().hex}")
    fresh.mkdir()
    try:
        (fresh / "__init__.py").touch()
        (fresh / script.name).write_bytes(code)
        if script.parent.exists():
            (fresh / script.name).replace(script)
        else:
            _rename_unless_there(fresh, script.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _rename_unless_there(fresh: Path, folder: Path) -> None:
    """Rename a folder, unless another process has put the same one there in this moment."""
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def _make_latest(script: Path) -> None:
    """Give the script a later time than those of other versions, unless it has one already."""
    others = [other for other in script.parents[1].glob(f"*/{script.name}") if len(other.parent.name) == 64]
    latest = max((other.stat().st_mtime for other in others if other != script), default=0.0)
    if script.stat().st_mtime <= latest:
        moment = max(time.time(), latest + 1)
        os.utime(script, (moment, moment))
