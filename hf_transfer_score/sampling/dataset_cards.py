"""What the card of a dataset may ask for: its own files, read by readers that open nothing else.

The card names patterns of files and settings of a reader, and `datasets` follows both to wherever they lead. They are
looked at first, in the very objects that the library makes of the card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import DatasetError, UnreadableError
from hf_transfer_score.hub.downloads import dataset_file
from hf_transfer_score.sampling.reach import Reach, check_files, is_plain
from hf_transfer_score.untrusted import Limits, parse_json, parse_yaml

CARD, SETTINGS, OLD_SETTINGS = "README.md", ".huggingface.yaml", "dataset_infos.json"
DESCRIPTIONS = (CARD, SETTINGS, OLD_SETTINGS)
MOST_BYTES = 8 * 1024 * 1024
"""Of one description; the cards of the largest collections have a tenth of that."""

LIMITS = Limits(size=MOST_BYTES, values=2_000_000, letters=MOST_BYTES)

READERS = ("csv", "json", "parquet", "arrow", "text", "conll", "xml", "imagefolder", "audiofolder", "webdataset")
"""Kinds of data files, by their modules in `datasets`, that hold their content themselves and name no other file."""

CACHED = "cache"
"""What `datasets` calls rows that it has prepared on this computer before."""

TAR_MEMBERS = ("txt", "text", "transcript", "cls", "cls2", "index", "inx", "id", "json", "jsn")
"""Kinds of members of a tar that are decoded; images and sound are kept as they are, others could run code."""


def check_hub_card(name: str, commit: str) -> None:
    """Raise DatasetError where the card of a dataset on the Hub asks for more than its own files."""
    found = {file: dataset_file(name, file, commit) for file in DESCRIPTIONS}
    _check_descriptions({file: path for file, path in found.items() if path is not None}, name)


def check_folder_card(folder: Path, name: str) -> None:
    """Raise DatasetError where the card in a folder asks for more than what lies in it."""
    found = {file: folder / file for file in DESCRIPTIONS if (folder / file).is_file()}
    _check_descriptions(found, name)


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
                f"The card of the dataset {name} asks for {str(pattern)[:200]!r}, which is outside the dataset, and so "
                "it is not read. Patterns have to be relative, such as data/train-*.parquet; files from elsewhere "
                "are to be downloaded first and given as a folder."
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
    """Yield every pattern in what a card may write: one, a list, or lists by split."""
    if isinstance(value, Mapping):
        inside: Iterable[Any] = [value["path"]] if "path" in value else value.values()
        for one in inside:
            yield from _patterns(one)
    elif isinstance(value, list):
        for one in value:
            yield from _patterns(one)
    elif value is not None:
        yield value


def check_builder(builder: Any, reach: Reach, name: str, *, offline: bool = False) -> None:
    """Raise DatasetError where a builder reads by other means than READERS, or files that are not the dataset's own."""
    kind = re.sub(r".*\.", "", type(builder).__module__)
    if offline and kind == CACHED:
        return
    if kind not in READERS:
        raise DatasetError(
            f"The dataset {name} has files that `datasets` reads by its {kind!r} reader, which is not used here: it "
            f"may open others. Convert them to Parquet; read here: {', '.join(READERS)}."
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
    """Raise DatasetError where a dataset that `save_to_disk` wrote names files outside its folder."""
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
    """Return what `datasets` reads out of a text that is known to be within limits: by the loader that it uses."""
    import yaml  # type: ignore[import-untyped]

    try:
        parse_yaml(text, what=f"{file} of the dataset {name}", limit=LIMITS)
        return yaml.safe_load(text)
    except (UnreadableError, yaml.YAMLError, ValueError, RecursionError) as error:
        line = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"The dataset {name} has a {file} that cannot be read: {line}") from error
