"""Limits which files a dataset may read: those in its own folder, or in its own repository at one commit.

A row may hold the path of a file instead of its content, and the author of the row chose that path. A card names file
patterns and reader settings, and `datasets` follows both anywhere. Only the forms listed here are followed; everything
else is refused, whatever scheme, chain or link leads there. Cards are checked first, in the same objects that the
library makes of them.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hf_transfer_score.errors import DatasetError, UnreadableError
from hf_transfer_score.hub.downloads import dataset_file
from hf_transfer_score.hub.settings import hub_cache
from hf_transfer_score.integrity import FOLDERS_VARIABLE, homes_of
from hf_transfer_score.sampling.guarded import explained, open_named
from hf_transfer_score.untrusted import Limits, parse_json, parse_yaml

MOST_MEDIA_BYTES = 64 * 1024 * 1024
"""Of one image or sound: 16 of them are read at a time, and must fit into 2 GB together."""

CHAIN, SCHEME = "::", "://"
ZIP = "zip://"

CARD, SETTINGS, OLD_SETTINGS = "README.md", ".huggingface.yaml", "dataset_infos.json"
DESCRIPTIONS = (CARD, SETTINGS, OLD_SETTINGS)

MOST_BYTES = 8 * 1024 * 1024  # of one description; the cards of the largest collections have a tenth of this

LIMITS = Limits(size=MOST_BYTES, values=2_000_000, letters=MOST_BYTES)

READERS = ("csv", "json", "parquet", "arrow", "text", "conll", "xml", "imagefolder", "audiofolder", "webdataset")
"""Modules of `datasets` for data files that hold their content themselves and name no other file."""

CACHED = "cache"  # the module of `datasets` for rows that it has prepared on this computer before

TAR_MEMBERS = ("txt", "text", "transcript", "cls", "cls2", "index", "inx", "id", "json", "jsn")
"""Suffixes of tar members that are decoded; images and sound stay encoded, and decoding others could run code."""


@dataclass(frozen=True)
class Reach:
    """Which files the rows of a dataset may name."""

    repository: str | None = None  # required prefix of paths on the Hub, "hf://datasets/OWNER/NAME@COMMIT/"
    folders: tuple[Path, ...] = ()  # real paths of the local folders in which named files must lie
    base: Path | None = None  # where relative paths start, None for the working folder
    anywhere: bool = False  # whether any local file is allowed, since the user's own program made the rows
    origins: tuple[str, ...] = ()  # repositories on the Hub whose files are allowed, at any commit

    @classmethod
    def of_repository(cls, name: str, commit: str) -> Reach:
        """Return the reach of a dataset on the Hub: its repository at one commit."""
        return cls(repository=f"hf://datasets/{name}@{commit}/")

    @classmethod
    def of_folder(cls, folder: Path) -> Reach:
        """Return the reach of a local folder: what lies within, and the folders that the user names."""
        return cls(folders=homes_of(folder), base=folder)

    def allows_url(self, path: str) -> bool:
        """Whether a path leads to a file of the repository, and nowhere else."""
        starts = [] if self.repository is None else [re.escape(self.repository)]
        starts += [f"hf://datasets/{re.escape(name)}@[0-9a-f]{{40}}/" for name in self.origins]
        found = next((match for start in starts if (match := re.match(start, path))), None)
        return found is not None and is_plain(path[found.end() :])

    def file(self, path: str) -> Path | None:
        """Return the real path of a regular file, None if there is none; raises DatasetError if it may not be read."""
        if not (self.anywhere or self.folders) or SCHEME in path or "\0" in path:
            return None
        written = dict.fromkeys((path, path.replace("\\", "/")))  # Windows separates folders by backslashes
        for candidate in dict.fromkeys((start / one) for one in written for start in (self.base or Path(), Path())):
            try:
                real = candidate.expanduser().resolve()
            except (OSError, RuntimeError, ValueError):  # link loops, invalid names
                continue
            if not real.exists():
                continue
            if not self.anywhere and not any(real.is_relative_to(folder) for folder in self.folders):
                raise DatasetError(
                    f"the path {path!r} leads out of the dataset's folder ({self.base}), which is not followed. If "
                    f"these rows are your own, name the folder of their files in {FOLDERS_VARIABLE}."
                )
            if not stat.S_ISREG(real.stat().st_mode):
                raise DatasetError(f"the path {path!r} is not a regular file.")
            return real
        return None


def is_plain(path: str) -> bool:
    """Whether a path or pattern is relative and stays within its base: no scheme, no chain, no "..".

    Example:
        >>> [is_plain(path) for path in ("a/b.png", "../b.png", "/b.png", "http://b.png", "zip://a::b.zip")]
        [True, False, False, False, False]
    """
    from datasets.utils.file_utils import is_relative_path

    try:
        relative = is_relative_path(path)
    except ValueError:  # the standard library refuses some URLs
        return False
    parts = PurePosixPath(path).parts
    inside = relative and path != "" and not path.startswith(("/", "~")) and ".." not in parts
    return inside and CHAIN not in path and SCHEME not in path and "\\" not in path and "\0" not in path


def read_file(path: Path, what: str) -> bytes:
    """Return the content of a regular file of at most MOST_MEDIA_BYTES."""
    place = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(place, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise DatasetError(f"the path {what!r} is not a regular file.")
        return read_bounded(file, what, about.st_size)


def read_bounded(file: Any, what: str, size: int | None = None) -> bytes:
    """Return the content of an open file, or raise DatasetError if it exceeds MOST_MEDIA_BYTES; never reads more."""
    content: bytes = b"" if (size or 0) > MOST_MEDIA_BYTES else file.read(MOST_MEDIA_BYTES + 1)
    if (size or 0) > MOST_MEDIA_BYTES or len(content) > MOST_MEDIA_BYTES:
        raise DatasetError(
            f"the file {what!r} is larger than {MOST_MEDIA_BYTES // 2**20} MiB, the limit for one image or sound; make "
            "it smaller, or leave its row out."
        )
    return content


def in_zip(path: str) -> tuple[str, str] | None:
    """Split a path into a zip file into member and archive; None for other paths."""
    member, chained, archive = path.partition(CHAIN)
    if not chained or not member.startswith(ZIP) or CHAIN in archive:
        return None
    member = member.removeprefix(ZIP)
    return (member, archive) if archive.lower().endswith(".zip") and SCHEME not in member else None


def check_files(paths: Iterable[str], reach: Reach, dataset: str) -> None:
    """Raise DatasetError if a data file lies outside its dataset."""
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

    Rows made by the user's own program may name any local file. Rows that `datasets` loaded from the Hub may only name
    files of that repository, in the cache of the Hub or, for a stream, on the Hub.
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
    """Return the folders with the files of a repository, which `datasets` names OWNER___NAME."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    found = [Path(config.DOWNLOADED_DATASETS_PATH).resolve()]
    for place in hub_cache().glob("datasets--*--*"):
        owner, _, name = place.name.removeprefix("datasets--").partition("--")
        if f"{owner}___{camelcase_to_snakecase(name)}" == prepared:
            found.append(place.resolve())
    return found


def read_media(value: Any, dataset: str, reach: Reach) -> bytes:
    """Return the content of a value from `as_media`, which may be the path of a file."""
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DatasetError(f"A row of the dataset {dataset} has an image or sound without content.")
    path = str(value[1])
    try:
        found = _read(path, dataset, reach)
    except (DatasetError, OSError) as error:
        raise DatasetError(f"A row of the dataset {dataset} cannot be used: {error}") from error
    if found is None:
        raise DatasetError(
            f"A row of the dataset {dataset} has the path {path!r} instead of the content of a file, and the dataset "
            "has no such file of its own. Store the content in the rows (as push_to_hub and to_parquet of `datasets` "
            "do), or keep the files beside them."
        )
    return found


def _read(path: str, dataset: str, reach: Reach) -> bytes | None:
    """Return the content of an allowed file, None if there is none at that path."""
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


def check_hub_card(name: str, commit: str) -> None:
    """Raise DatasetError if the card of a dataset on the Hub names files outside it."""
    found = {file: dataset_file(name, file, commit) for file in DESCRIPTIONS}
    _check_descriptions({file: path for file, path in found.items() if path is not None}, name)


def check_folder_card(folder: Path, name: str) -> None:
    """Raise DatasetError if the card in a folder names files outside it."""
    _check_descriptions({file: folder / file for file in DESCRIPTIONS if (folder / file).is_file()}, name)


def _check_descriptions(found: Mapping[str, Path], name: str) -> None:
    from huggingface_hub import DatasetCardData
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    texts = {file: _text(path, file, name) for file, path in found.items()}
    block = REGEX_YAML_BLOCK.search(texts.get(CARD, ""))
    card = None if block is None else _parsed_yaml(block.group(2), CARD, name)
    if not isinstance(card, (dict, type(None))):
        raise DatasetError(f"The dataset {name} has a {CARD} whose metadata is not a mapping of names to values.")
    more = _parsed_yaml(texts[SETTINGS], SETTINGS, name) if SETTINGS in texts else None
    if isinstance(more, dict):
        card = {**(card or {}), **more}
    if OLD_SETTINGS in texts:
        _parsed_json(texts[OLD_SETTINGS], OLD_SETTINGS, name)
    named = {key: value for key, value in (card or {}).items() if isinstance(key, str) and key != "self"}
    configs = DatasetCardData(**named).get("configs") or []
    if not isinstance(configs, list) or not all(isinstance(one, dict) for one in configs):
        raise DatasetError(f"The card of the dataset {name} has `configs` that are not a list of settings.")
    asked = [config.get(key) for config in configs for key in ("data_files", "data_dir")]
    for pattern in (one for value in asked for one in _patterns(value)):
        if not (isinstance(pattern, str) and is_plain(pattern)):
            raise DatasetError(
                f"The card of the dataset {name} asks for {str(pattern)[:200]!r}, which is outside the dataset and is "
                "not read. Patterns must be relative, such as data/train-*.parquet; to use files from elsewhere, "
                "download them and give the folder."
            )


def _text(path: Path, file: str, name: str) -> str:
    with path.open("rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DatasetError(
            f"The dataset {name} has a {file} of more than {MOST_BYTES // 2**20} MiB, which is not read."
        )
    return content.decode("utf-8", errors="replace")


def _patterns(value: Any) -> Iterator[Any]:
    """Yield every pattern of a card, which may hold one, a list, or lists by split."""
    if isinstance(value, Mapping):
        value = [value["path"]] if "path" in value else list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _patterns(one)
    elif value is not None:
        yield value


def check_builder(builder: Any, reach: Reach, name: str, *, offline: bool = False) -> None:
    """Raise DatasetError if a builder is not one of READERS, or reads files outside the dataset."""
    kind = re.sub(r".*\.", "", type(builder).__module__)
    if offline and kind == CACHED:
        return
    if kind not in READERS:
        raise DatasetError(
            f"The dataset {name} needs the {kind!r} reader of `datasets`, which is not used here, since it may open "
            f"other files. Convert the files to Parquet; the readers used here: {', '.join(READERS)}."
        )
    files = builder.config.data_files or {}
    check_files((str(path) for paths in files.values() for path in paths), reach, name)
    # no setting of a card may skip damaged files, or decode what could run code
    if hasattr(builder.config, "on_bad_files"):
        builder.config.on_bad_files = "error"
    decoders = getattr(builder, "DECODERS", None)
    if isinstance(decoders, dict):
        type(builder).DECODERS = {ending: decoders[ending] for ending in TAR_MEMBERS if ending in decoders}


def check_saved(folder: Path, name: str) -> None:
    """Raise DatasetError if a dataset written by `save_to_disk` names files outside its folder."""
    splits: list[Any] = _object(folder / "dataset_dict.json", name).get("splits") or []
    _check_saved_names(splits, name)
    for state in [folder / "state.json", *(folder / split / "state.json" for split in splits)]:
        about = _object(state, name)
        files = [*(about.get("_data_files") or []), *(about.get("_indices_data_files") or [])]
        _check_saved_names([one.get("filename") if isinstance(one, dict) else one for one in files], name)
    check_files((str(one) for one in folder.rglob("*.arrow")), Reach.of_folder(folder), name)


def _check_saved_names(names: Iterable[Any], name: str) -> None:
    for found in names:
        if not (isinstance(found, str) and is_plain(found)):
            raise DatasetError(f"The dataset {name} names the file {str(found)[:200]!r}, which is outside its folder.")


def _object(path: Path, name: str) -> dict[str, Any]:
    found = _parsed_json(_text(path, path.name, name), path.name, name) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _parsed_json(text: str, file: str, name: str) -> Any:
    try:
        return parse_json(text, what=f"{file} of the dataset {name}", limit=LIMITS, lenient=True)
    except UnreadableError as error:
        raise DatasetError(str(error)) from error


def _parsed_yaml(text: str, file: str, name: str) -> Any:
    """Check a text against limits, then parse it with the loader that `datasets` uses."""
    import yaml  # type: ignore[import-untyped]

    try:
        parse_yaml(text, what=f"{file} of the dataset {name}", limit=LIMITS)
        return yaml.safe_load(text)
    except (UnreadableError, yaml.YAMLError, ValueError, RecursionError) as error:
        line = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"The dataset {name} has a {file} that cannot be read: {line}") from error
