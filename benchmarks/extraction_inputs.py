"""What padding and decoding cost: part of `extraction.py`."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from extraction_material import WORDS, image_model, text_file, text_model

BATCH = 32
MOST_PADDING = 0.05
PHOTOS, SIZES = 8, ((500, 375), (1024, 768), (2048, 1536), (4032, 3024))

Row = Callable[..., tuple[str, ...]]


def padding(options: Any, folder: Path, row: Row) -> Iterator[tuple[str, ...]]:
    """Yield which share of the tokens that run is padding, in sorted batches, and as texts come."""
    from hf_transfer_score import BackboneOptions, SampleOptions, load_sample
    from hf_transfer_score.backbones import hub_text
    from hf_transfer_score.features.batches import Loader, cut

    known = str(options.texts or text_file(folder / "texts.jsonl", 5000))
    model = options.text_model or text_model(folder / "minilm")
    for name, data in (("short texts", known), ("texts of 3 to 2,000 words", mixed_texts(folder / "mixed.jsonl"))):
        texts = load_sample(data, SampleOptions(max_samples=5000))
        loader = Loader(hub_text.load(Path(model), texts.task, BackboneOptions()), texts)
        lengths = np.zeros(len(texts), dtype=np.int64)
        shares = []
        for order in loader.windows():
            lengths[order] = [
                loader.backbone.length(loader.prepare(order[n : n + 1]).items[0]) for n in range(len(order))
            ]
            shares.append(_padding([lengths[part] for part in cut(order, BATCH)]))
        (own,), other = shares, _padding(np.array_split(lengths, len(lengths) // BATCH))
        cells = f"{own:.2%} padding", f"{other:.1%} unsorted"
        yield row(f"padding: {len(texts):,} {name}", *cells, own / other, "< 5%", ok=own < MOST_PADDING)


def _padding(batches: list[Any]) -> float:
    """Return the share of padding in batches of texts with these lengths."""
    return float(1 - sum(one.sum() for one in batches) / sum(len(one) * one.max() for one in batches))


def mixed_texts(path: Path) -> str:
    """Write texts of very different lengths, of which a model reads 512 tokens at most."""
    generator = np.random.default_rng(0)
    counts = np.clip(generator.lognormal(4.5, 1.2, size=5000), 3, 2000).astype(int)
    lines = ({"text": " ".join(generator.choice(WORDS, count)), "label": n % 10} for n, count in enumerate(counts))
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return str(path)


def decoding(options: Any, folder: Path, row: Row) -> Iterator[tuple[str, ...]]:
    """Yield the time to decode and prepare photos of several sizes, at a smaller size and whole, if features agree."""
    import torch

    from hf_transfer_score import BackboneOptions
    from hf_transfer_score.backbones import timm_images
    from hf_transfer_score.features.batches import Loader
    from hf_transfer_score.features.precision import agree
    from hf_transfer_score.sampling.sample import memory_sample

    name, everything = options.image_architecture, np.arange(PHOTOS)
    place = image_model(folder / name, name)
    for size in SIZES:
        photos = memory_sample("image-classification", [photo(size, n) for n in everything], everything % 2)
        loader = Loader(timm_images.load(place, photos.task, BackboneOptions()), photos)
        side, _ = loader.smaller(loader.prepare(everything))  # type: ignore[misc]  # they are images
        seconds, found = [], []
        for loader.least_side in (side, None):
            taken = []
            for _ in range(options.rounds):
                start = time.process_time()
                batch = loader.prepare(everything)
                taken.append((time.process_time() - start) / PHOTOS)
            seconds.append(min(taken))
            with torch.inference_mode():
                features = loader.backbone.forward(batch.inputs).features
            found.append({layer: rows.numpy() for layer, rows in features.items()})
        what = f"decoding: JPEGs of {size[0]} x {size[1]} for {name}"
        cells = [f"{1000 * one:.1f} ms" for one in seconds]
        yield row(what, *cells, seconds[1] / seconds[0], "agree", ok=agree(*reversed(found)))


def photo(size: tuple[int, int], seed: int) -> bytes:
    """Return a JPEG with shapes of all sizes, the smaller ones fainter, as in photos."""
    from PIL import Image

    generator, pixels = np.random.default_rng(seed), np.zeros((size[1], size[0], 3), dtype=np.float32)
    for level in range(2, 11):
        small = generator.normal(scale=0.5**level, size=(3, 2**level, 2**level)).astype(np.float32)
        grow = partial(Image.Image.resize, size=size, resample=Image.Resampling.BICUBIC)
        pixels += np.stack([np.asarray(grow(Image.fromarray(one))) for one in small], axis=-1)
    pixels = 255 * (pixels - pixels.min()) / (pixels.max() - pixels.min())
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
