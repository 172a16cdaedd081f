"""Changed descriptions of datasets: the card, the settings beside it, and what older versions wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.reach import CARD, OLD_SETTINGS, SETTINGS, check_folder_card, is_plain
from tests.hostile.mutating import changed_bytes, changed_tree, json_of
from tests.hostile.refusing import outcome

Files = dict[str, bytes]
FEATURES = [
    {"name": "text", "dtype": "string"},
    {"name": "label", "dtype": {"class_label": {"names": {"0": "a", "1": "b"}}}},
]
CARDS = (
    {
        "license": "mit",
        "task_categories": ["text-classification"],
        "pretty_name": "Films",
        "tags": ["a", 1, True, None],
    },
    {
        "configs": [
            {
                "config_name": "plain",
                "default": True,
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            },
            {"config_name": "more", "data_files": "rows.csv", "sep": ";", "data_dir": "more"},
        ],
        "dataset_info": {"features": FEATURES, "splits": [{"name": "train", "num_examples": 40, "num_bytes": 1000}]},
    },
)
INFOS = (
    {"plain": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}, "splits": {"train": {"num": 1}}}},
)


@cache
def sound() -> tuple[bytes, ...]:
    """Return sound cards, as they are written."""
    return tuple(b"---\n" + yaml.safe_dump(one, sort_keys=False).encode() + b"---\n\n# Films\n" for one in CARDS)


def _card(text: bytes) -> Files:
    return {CARD: b"---\n" + text + b"\n---\n# Films\n"}


def dataset_files() -> tuple[st.SearchStrategy[Files], Callable[[Files, Path], None]]:
    """Return changed descriptions of datasets, and what has to hold for each."""
    trees = changed_tree(CARDS).map(json_of)
    drawn = st.one_of(
        trees.map(_card),
        changed_bytes(sound()).map(lambda text: {CARD: text}),
        trees.map(lambda text: {SETTINGS: text}),
        changed_tree(INFOS).map(lambda tree: {OLD_SETTINGS: json_of(tree), CARD: sound()[0]}),
        changed_bytes([json_of(one) for one in INFOS]).map(lambda text: {OLD_SETTINGS: text}),
    )
    return drawn, _check


def _check(files: Files, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)

    def read() -> bool:
        check_folder_card(folder, "owner/films")
        return True

    if outcome(read, DatasetError):
        _check_leads_nowhere(folder)


def _check_leads_nowhere(folder: Path) -> None:
    """What `datasets` reads of an accepted card names files of the dataset alone."""
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    if not (folder / CARD).exists():
        return
    text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    try:
        configs = MetadataConfigs.from_dataset_card_data(DatasetCard(text, ignore_metadata_errors=True).data)
    except Exception:  # noqa: BLE001 - what it refuses leads nowhere
        return
    for config in configs.values():
        for one in _texts([config.get("data_files"), config.get("data_dir")]):
            assert is_plain(one), one


def _texts(value: Any) -> list[str]:
    """Return the texts that say where files are."""
    if isinstance(value, dict):
        return [text for key, one in value.items() if key != "split" for text in _texts(one)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []
