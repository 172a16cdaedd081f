"""What the rows of a dataset may reach: files inside its own folder, or inside its own repository at one commit.

A row may hold the path of a file in place of its content, and whoever wrote the row chose that path. What is followed
is listed here; whatever is not of these forms is refused, by whatever scheme, chain or link it leads elsewhere.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.hub.settings import hub_cache
from hf_transfer_score.integrity import FOLDERS_VARIABLE, homes_of
from hf_transfer_score.sampling.guarded import open_named
from hf_transfer_score.sampling.library import explained

MOST_MEDIA_BYTES = 64 * 1024 * 1024
"""Bytes of one image or sound: 16 of them are read at a time, and all of that has to fit into 2 GB."""

CHAIN, SCHEME = "::", "://"
ZIP = "zip://"


@dataclass(frozen=True)
class Reach:
    """Which files the rows of a dataset may name.

    Attributes:
        repository: where paths on the Hub have to start, such as "hf://datasets/owner/name@COMMIT/"; None for none.
        folders: the folders on this computer that hold all they may name, by their real paths.
        base: where relative paths start, None for the working folder.
        anywhere: whether they may name any file on this computer, since they were made by the user's own program.
        origins: names of repositories on the Hub, whose files they may name at any one commit.
    """

    repository: str | None = None
    folders: tuple[Path, ...] = ()
    base: Path | None = None
    anywhere: bool = False
    origins: tuple[str, ...] = ()

    @classmethod
    def of_repository(cls, name: str, commit: str) -> Reach:
        """Return the reach of a dataset on the Hub: its repository as it is at one commit."""
        return cls(repository=f"hf://datasets/{name}@{commit}/")

    @classmethod
    def of_folder(cls, folder: Path) -> Reach:
        """Return the reach of a folder or file on this computer: what lies within, and the folders the user names."""
        return cls(folders=homes_of(folder), base=folder)

    def allows_url(self, path: str) -> bool:
        """Whether a path leads to a file of the repository, and to nothing else."""
        starts = [] if self.repository is None else [re.escape(self.repository)]
        starts += [f"hf://datasets/{re.escape(name)}@[0-9a-f]{{40}}/" for name in self.origins]
        found = next((match for start in starts if (match := re.match(start, path))), None)
        return found is not None and is_plain(path[found.end() :])

    def file(self, path: str) -> Path | None:
        """Return the real path of a regular file that may be read, None where there is none by that name.

        Raises:
            DatasetError: there is one that may not be read.
        """
        if not (self.anywhere or self.folders) or SCHEME in path or "\0" in path:
            return None
        for candidate in dict.fromkeys((self.base or Path()) / path if n else Path(path) for n in (1, 0)):
            try:
                real = candidate.expanduser().resolve()
            except (OSError, RuntimeError, ValueError):  # links in a circle, names that no system takes
                continue
            if not real.exists():
                continue
            if not self.anywhere and not any(real.is_relative_to(folder) for folder in self.folders):
                raise DatasetError(
                    f"the path {path!r} leads out of the dataset's folder ({self.base}), which is not followed. If "
                    f"these rows are your own, name the folder of their files in {FOLDERS_VARIABLE}."
                )
            if not stat.S_ISREG(real.stat().st_mode):
                raise DatasetError(f"the path {path!r} is no regular file.")
            return real
        return None


def is_plain(path: str) -> bool:
    """Whether a path or pattern is relative and stays where it starts: no scheme, no chain, no way up.

    Example:
        >>> [is_plain(path) for path in ("a/b.png", "../b.png", "/b.png", "http://b.png", "zip://a::b.zip")]
        [True, False, False, False, False]
    """
    from datasets.utils.file_utils import is_relative_path

    try:
        relative = is_relative_path(path)
    except ValueError:  # how the standard library refuses some addresses
        return False
    parts = PurePosixPath(path).parts
    inside = relative and path != "" and not path.startswith(("/", "~")) and ".." not in parts
    return inside and CHAIN not in path and SCHEME not in path and "\\" not in path and "\0" not in path


def read_file(path: Path, what: str) -> bytes:
    """Return the content of a regular file, as long as it is no longer than an image or sound may be."""
    place = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(place, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise DatasetError(f"the path {what!r} is no regular file.")
        return read_bounded(file, what, about.st_size)


def read_bounded(file: Any, what: str, size: int | None = None) -> bytes:
    """Return what an open file holds, or raise DatasetError where that is too much; no more is read than allowed."""
    content: bytes = b"" if (size or 0) > MOST_MEDIA_BYTES else file.read(MOST_MEDIA_BYTES + 1)
    if (size or 0) > MOST_MEDIA_BYTES or len(content) > MOST_MEDIA_BYTES:
        raise DatasetError(
            f"the file {what!r} is larger than {MOST_MEDIA_BYTES // 2**20} MiB, the most that is read of one image "
            "or sound; make it smaller, or leave its row out."
        )
    return content


def in_zip(path: str) -> tuple[str, str] | None:
    """Return the member and the archive of a path into a zip file, None for other paths."""
    member, chained, archive = path.partition(CHAIN)
    if not chained or not member.startswith(ZIP) or CHAIN in archive:
        return None
    member = member.removeprefix(ZIP)
    return (member, archive) if archive.lower().endswith(".zip") and SCHEME not in member else None


def check_files(paths: Iterable[str], reach: Reach, dataset: str) -> None:
    """Raise DatasetError where a data file of a dataset lies outside it."""
    for path in paths:
        if reach.allows_url(path):
            continue
        try:
            if reach.file(path) is not None:
                continue
            reason = f"the path {path!r} leads out of the dataset"
        except DatasetError as error:
            reason = str(error).rstrip(".")
        raise DatasetError(f"The dataset {dataset} names a data file that is not its own: {reason}.")


def reach_of(dataset: Any) -> Reach:
    """Return the reach of a dataset in memory.

    What the user's own program made may name any file on this computer; what `datasets` loaded from the Hub may name
    files of that repository only, in the cache of the Hub or, for a stream, on the Hub.
    """
    from datasets import config

    streamed = tuple(getattr(dataset, "_token_per_repo_id", None) or ())
    files = [Path(one["filename"]) for one in getattr(dataset, "cache_files", None) or ()]
    cache = Path(config.HF_DATASETS_CACHE)
    parts = [file.relative_to(cache).parts[0] for file in files if file.is_relative_to(cache)]
    prepared = {part for part in parts if "___" in part}  # folders that `datasets` names after a repository
    if not streamed and not prepared:
        return Reach(anywhere=True)
    return Reach(folders=tuple(place for name in prepared for place in _cached(name)), origins=streamed)


def _cached(prepared: str) -> list[Path]:
    """Return where the files of a repository lie that `datasets` names so: OWNER___NAME."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    found = [Path(config.DOWNLOADED_DATASETS_PATH).resolve()]
    for place in hub_cache().glob("datasets--*--*"):
        owner, _, name = place.name.removeprefix("datasets--").partition("--")
        if f"{owner}___{camelcase_to_snakecase(name)}" == prepared:
            found.append(place.resolve())
    return found


def read_media(value: Any, dataset: str, reach: Reach) -> bytes:
    """Return bytes, read from their file if that is what is known of them.

    Args:
        value: what `as_media` returned.
        dataset: the dataset, for messages.
        reach: which files the rows may name.
    """
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DatasetError(f"A row of {dataset} has an image or sound without content.")
    path = str(value[1])
    try:
        found = _read(path, dataset, reach)
    except (DatasetError, OSError) as error:
        raise DatasetError(f"A row of {dataset} cannot be used: {error}") from error
    if found is None:
        raise DatasetError(
            f"A row of {dataset} has the path {path!r} in place of the content of a file, and the dataset has no such "
            "file of its own. Store the content with the rows (`datasets` does so in push_to_hub and to_parquet), or "
            "keep the files beside them."
        )
    return found


def _read(path: str, dataset: str, reach: Reach) -> bytes | None:
    """Return the content of a file that is allowed, None where there is none by that path."""
    from datasets.utils.file_utils import xopen

    packed = in_zip(path)
    if packed is None:
        if real := reach.file(path):
            return read_file(real, path)
        if not reach.allows_url(path):
            return None
        opened = partial(xopen, path, "rb")
        with explained(dataset), open_named(opened, lambda file: file.size <= MOST_MEDIA_BYTES) as file:
            return read_bounded(file, path, getattr(file, "size", None))
    member, archive = packed
    try:
        if (real := reach.file(archive)) is not None:
            with real.open("rb") as file:
                return _member(file, member)
        if reach.allows_url(archive):
            with explained(dataset), xopen(archive, "rb") as file:
                return _member(file, member)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"{member!r} cannot be read from {archive!r} ({error}).") from error
    return None


def _member(file: IO[bytes], name: str) -> bytes:
    with zipfile.ZipFile(file) as archive, archive.open(name) as member:
        return read_bounded(member, name, archive.getinfo(name).file_size)
