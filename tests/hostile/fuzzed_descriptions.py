"""Changed descriptions of datasets (card, settings, older formats) and of checkpoints, and changed model cards."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from hf_transfer_score.backbones.base import BackboneOptions, kind_of
from hf_transfer_score.backbones.budgets import check_asked
from hf_transfer_score.backbones.loading import read_json
from hf_transfer_score.backbones.repository import Repository, check_own_files
from hf_transfer_score.cards.metadata import END, START, merged_card, split
from hf_transfer_score.errors import CheckpointError, DatasetError, InputError
from hf_transfer_score.sampling.reach import CARD, OLD_SETTINGS, SETTINGS, check_folder_card, is_plain
from hf_transfer_score.tasks import TASKS
from tests.hostile.judging import check_message, outcome
from tests.hostile.mutating import changed_bytes, changed_json, changed_tree, json_of
from tests.hub.repositories import write_files

Files = dict[str, bytes]
CHANNELS, MEAN = {"num_channels": 3}, {"mean": [0.5] * 3}
OF_CHECKPOINTS: dict[str, tuple[Any, ...]] = {
    "config.json": (
        {"model_type": "vit", "architectures": ["ViTModel"], "num_hidden_layers": 2, "image_size": 32} | CHANNELS,
        {"architecture": "resnet18", "num_classes": 2, "pretrained_cfg": {"input_size": [3, 32, 32]} | MEAN},
        {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 100, "id2label": {"0": "a", "1": "b"}},
        {"model_type": "wav2vec2", "conv_dim": [8, 8], "conv_stride": [2, 2], "feat_extract_norm": "group"},
    ),
    "preprocessor_config.json": (
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3},
        {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 8000, "feature_size": 1},
    ),
    "modules.json": (
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
    ),
    "tokenizer_config.json": ({"tokenizer_class": "BertTokenizer", "model_max_length": 64, "vocab_file": "vocab.txt"},),
    "model.safetensors.index.json": ({"metadata": {"total_size": 1}, "weight_map": {"a": "model-1.safetensors"}},),
    "adapter_config.json": ({"base_model_name_or_path": "owner/base", "peft_type": "LORA"},),
}
BESIDE = ("model.safetensors", "vocab.txt", "model-1.safetensors")
FEATURES = [
    {"name": "text", "dtype": "string"},
    {"name": "label", "dtype": {"class_label": {"names": {"0": "a", "1": "b"}}}},
]
OF_DATASETS = (
    {
        "license": "mit",
        "task_categories": ["text-classification"],
        "pretty_name": "Films",
        "tags": ["a", 1, True, None],
    },
    {
        "configs": [
            {"config_name": "plain", "default": True, "data_files": [{"split": "train", "path": "train-*.parquet"}]},
            {"config_name": "more", "data_files": "rows.csv", "sep": ";", "data_dir": "more"},
        ],
        "dataset_info": {"features": FEATURES, "splits": [{"name": "train", "num_examples": 40, "num_bytes": 1000}]},
    },
)
OF_OLD_DATASETS = (
    {"plain": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}, "splits": {"train": {"num": 1}}}},
)


@cache
def dataset_cards() -> tuple[bytes, ...]:
    return tuple(b"---\n" + yaml.safe_dump(one, sort_keys=False).encode() + b"---\n\n# Films\n" for one in OF_DATASETS)


def _card(text: bytes) -> Files:
    return {CARD: b"---\n" + text + b"\n---\n# Films\n"}


def dataset_files() -> tuple[st.SearchStrategy[Files], Callable[[Files, Path], None]]:
    """Return changed descriptions of datasets, and their check."""
    trees = changed_tree(OF_DATASETS).map(json_of)
    drawn = st.one_of(
        trees.map(_card),
        changed_bytes(dataset_cards()).map(lambda text: {CARD: text}),
        trees.map(lambda text: {SETTINGS: text}),
        changed_tree(OF_OLD_DATASETS).map(lambda tree: {OLD_SETTINGS: json_of(tree), CARD: dataset_cards()[0]}),
        changed_bytes([json_of(one) for one in OF_OLD_DATASETS]).map(lambda text: {OLD_SETTINGS: text}),
    )
    return drawn, _check_dataset


def _check_dataset(files: Files, folder: Path) -> None:
    write_files(folder, files)

    def read() -> bool:
        check_folder_card(folder, "owner/films")
        return True

    if outcome(read, DatasetError):
        _check_leads_nowhere(folder)


def _check_leads_nowhere(folder: Path) -> None:
    """Check that `datasets` reads only files of the dataset from an accepted card."""
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    if not (folder / CARD).exists():
        return
    text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    try:
        configs = MetadataConfigs.from_dataset_card_data(DatasetCard(text, ignore_metadata_errors=True).data)
    except Exception:  # noqa: BLE001 - a refused card leads nowhere
        return
    for config in configs.values():
        for one in _texts([config.get("data_files"), config.get("data_dir")]):
            assert is_plain(one), one


def _texts(value: Any) -> list[str]:
    """Return all texts that name files."""
    if isinstance(value, dict):
        return [text for key, one in value.items() if key != "split" for text in _texts(one)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


def checkpoint_files() -> tuple[st.SearchStrategy[Files], Callable[[Files, Path], None]]:
    """Return files of checkpoints, one of them changed, and their check."""
    drawn = st.one_of(
        *[
            st.tuples(changed_json(trees), st.sampled_from(OF_CHECKPOINTS["config.json"])).map(
                lambda found, name=name: {"config.json": json_of(found[1]), name: found[0]}
            )
            for name, trees in OF_CHECKPOINTS.items()
        ]
    )
    return drawn, _check_files


def _check_files(files: Files, folder: Path) -> None:
    write_files(folder, {**dict.fromkeys(BESIDE, b""), **files})
    repository = Repository.from_folder(folder)
    for reason in repository.unread.values():
        check_message(reason)
    options = BackboneOptions()
    for task in ("image-classification", "text-classification", "audio-classification"):
        kind = outcome(lambda task=task: kind_of(repository, TASKS[task]), CheckpointError)
        if kind is not None:
            outcome(lambda kind=kind: kind.files(repository, options), CheckpointError)
    outcome(lambda: check_own_files(folder), CheckpointError)
    outcome(lambda: check_own_files(folder, allow_pickle=True, trust_remote_code=True), CheckpointError)
    for name in files:
        content = outcome(lambda name=name: read_json(folder, name), CheckpointError)
        if content is not None:
            outcome(lambda name=name, content=content: check_asked(name, content, tensors=4), CheckpointError)


@cache
def model_cards() -> tuple[bytes, ...]:
    metadata = {
        "license": "mit",
        "tags": ["a", "b"],
        "model-index": [{"name": "x", "results": [{"task": {"type": "t"}, "metrics": [{"type": "f1", "value": 0.5}]}]}],
        "date": "2025-01-01",
    }
    section = f"# A model\n\nText.\n\n{START}\nold\n{END}\n\nMore.\n"
    plain = yaml.safe_dump(metadata, sort_keys=False)
    return (f"---\n{plain}---\n{section}".encode(), b"# No metadata\n", f"---\n{json.dumps(metadata)}\n---\n".encode())


RESULTS = [{"task": {"type": "image-classification"}, "metrics": [{"type": "face", "value": -1.0}]}]


def card_of_a_checkpoint() -> tuple[st.SearchStrategy[bytes], Callable[[bytes, Path], None]]:
    heads = [yaml.safe_load(split(one.decode())[0].strip().strip("-")) for one in model_cards() if b"---" in one]
    trees = changed_tree(heads).map(lambda tree: b"---\n" + json_of(tree) + b"\n---\n# A model\n")
    dumped = changed_tree(heads).map(
        lambda tree: b"---\n" + yaml.safe_dump(tree, encoding="utf-8") + b"---\n# A model\n"
    )
    return st.one_of(changed_bytes(model_cards()), trees, dumped), _check_card


def _check_card(content: bytes, _: Path) -> None:
    text = content.decode(errors="replace")
    section = f"{START}\nnew\n{END}"
    made = outcome(lambda: merged_card(text, section, RESULTS), InputError)
    if made is not None:
        assert section in made.replace("\r\n", "\n")
        assert merged_card(made, section, None) == made
        before = split(text.removeprefix("\ufeff"))[1]
        assert START in before or made.endswith(before + section + "\n") or before.strip() in made
