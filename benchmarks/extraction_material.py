"""Data and checkpoints for `extraction.py`, generated if none are given."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = [f"word{number}" for number in range(400)]


def image_model(folder: Path, architecture: str) -> Path:
    """Save a timm model with random weights in the Hub's format."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    save_for_hf(timm.create_model(architecture, num_classes=1000), folder, safe_serialization=True)
    return folder


def text_model(folder: Path, *, width: int = 384, layers: int = 6, inner: int = 1536, heads: int = 12) -> Path:
    """Save a BERT of MiniLM's shape with random weights, and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, BertTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate([*special, *WORDS])}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=512).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(special) + len(WORDS),
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=inner,
        num_attention_heads=heads,
    )
    BertModel(config).save_pretrained(folder)
    torch.manual_seed(torch.initial_seed() + 1)
    return folder


def wide_models(folder: Path, count: int, width: int) -> list[Path]:
    """Save shallow models with wide features."""
    import torch

    torch.manual_seed(0)
    return [text_model(folder / f"model{n}", width=width, layers=1, inner=64, heads=12) for n in range(count)]


def text_file(path: Path, rows: int, *, source: Path | None = None, classes: int = 10) -> Path:
    """Write labelled texts as JSON lines: a sample of a dataset, or generated words that depend on the class."""
    if source is not None:
        from hf_transfer_score import SampleOptions, load_sample

        sample = load_sample(str(source), SampleOptions(max_samples=rows))
        texts: Any = sample.examples(range(len(sample)))
        labels = sample.labels.tolist()
    else:
        generator = np.random.default_rng(0)
        labels = [row % classes for row in range(rows)]
        texts = [_text(row % classes, generator) for row in range(rows)]
    lines = (json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True))
    path.write_text("\n".join(lines) + "\n")
    return path


def _text(label: int, generator: np.random.Generator) -> str:
    own = [WORDS[(5 * label + number) % len(WORDS)] for number in range(5)]
    length = int(generator.integers(4, 24))
    return " ".join(generator.choice(own if generator.random() < 0.4 else WORDS) for _ in range(length))


def image_folder(folder: Path, rows: int) -> Path:
    """Write PNGs of 32 x 32 pixels into one Parquet file."""
    return _parquet(folder, rows, rows, padding=0)


def stream_folder(folder: Path, rows: int) -> Path:
    """Write many images into several files: 1,000 different ones, with 3 kB of padding per row."""
    return _parquet(folder, rows, 20_000, padding=3000)


def _parquet(folder: Path, rows: int, rows_a_file: int, *, padding: int) -> Path:
    from datasets import ClassLabel, Dataset, Features, Image

    generator = np.random.default_rng(0)
    images = [_png(label % 10, generator) for label in range(1000)]
    features = Features({"image": Image(), "label": ClassLabel(names=[str(label) for label in range(10)])})
    folder.mkdir(parents=True)
    for start in range(0, rows, rows_a_file):
        numbers = range(start, min(start + rows_a_file, rows))
        cells = [{"bytes": images[n % 1000] + generator.bytes(padding), "path": None} for n in numbers]
        data = {"image": cells, "label": [n % 10 for n in numbers]}
        Dataset.from_dict(data, features=features).to_parquet(str(folder / f"train-{start:07}.parquet"))
    return folder


def _png(label: int, generator: np.random.Generator) -> bytes:
    from PIL import Image

    pixels = generator.normal(loc=25 * label, scale=40, size=(32, 32, 3)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
