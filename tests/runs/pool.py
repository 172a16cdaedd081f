"""What the local Hub holds for these tests: a dataset of pictures, one of texts, and checkpoints, good and bad."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.sampling.sample import LabelledSample
from tests.checkpoints import images, texts
from tests.hub.server import LocalHub
from tests.runs.warm import Warm
from tests.sampling.made import image_bytes

CLASSES, EACH, SHARDS = 3, 20, 3
PICTURES, REVIEWS = "data/pictures", "data/reviews"
CARD = "---\nlicense: {license}\npipeline_tag: {pipeline}\n---\n"

COLOURS = ("red", "green", "blue")


def pictures() -> tuple[list[bytes], list[int]]:
    """Return small noisy pictures, each class brighter in another channel, and their classes."""
    rng = np.random.default_rng(0)
    labels = [row % CLASSES for row in range(CLASSES * EACH)]
    made = []
    for label in labels:
        values = rng.integers(0, 180, (12, 16, 3))
        values[..., label] += 40
        made.append(image_bytes(values.astype(np.uint8)))
    return made, labels


def picture_shards() -> dict[str, bytes]:
    """Return the pictures as they lie on the Hub, in some Parquet files, and a card."""
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(COLOURS))})
    made, labels = pictures()
    rows = {"image": [{"bytes": one, "path": None} for one in made], "label": labels}
    return shards(datasets.Dataset.from_dict(rows, features=features))


def review_shards() -> dict[str, bytes]:
    """Return texts with two classes, in the same way."""
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    words = (("bad", "slow", "cold"), ("good", "warm", "wit"))
    rows = [(f"a {words[row % 2][row % 3]} film number {row}", row % 2) for row in range(60)]
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    return shards(datasets.Dataset.from_dict(columns, features=features))


def shards(dataset: Any) -> dict[str, bytes]:
    """Return the files of a dataset by name."""
    found = {}
    for number in range(SHARDS):
        buffer = io.BytesIO()
        dataset.shard(SHARDS, number, contiguous=True).to_parquet(buffer)
        found[f"data/train-{number:05d}-of-{SHARDS:05d}.parquet"] = buffer.getvalue()
    return found


def fill(hub: LocalHub, folder: Path) -> None:
    """Put the datasets and good checkpoints on the Hub; copies of the latter are added under more names by `again`."""
    hub.add(PICTURES, picture_shards(), kind="dataset")
    hub.add(REVIEWS, review_shards(), kind="dataset")
    image = {"pipeline_tag": "image-classification"}
    hub.add("good/resnet", images.timm_image(folder / "resnet"), **image)
    hub.add("good/vit", images.vit(folder / "vit"), **image)
    hub.add("good/dinov2", images.dinov2(folder / "dinov2"), pipeline_tag="image-feature-extraction")
    hub.add("good/bert", texts.write_text(folder / "bert"), license="mit", pipeline_tag="fill-mask")
    sentences = texts.write_sentence_folder(folder / "sentences")
    hub.add("good/sentences", sentences, pipeline_tag="sentence-similarity")


def again(hub: LocalHub, name: str, like: str = "good/resnet", **known: Any) -> Path:
    """Add a copy of a checkpoint with weights a little different, so that nothing of the other is on disk."""
    folder = hub.add(name, hub.root / "models" / like, **known)
    change_weights(
        folder,
        lambda weights: {key: value * 1.01 if value.dtype == "float32" else value for key, value in weights.items()},
    )
    return folder


def change_weights(folder: Path, change: Any) -> None:
    """Write the weights of a checkpoint again, changed."""
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def kept(warm: Warm) -> FeatureCache:
    return FeatureCache(warm.home / "features", 10**9)


def sample_of(warm: Warm, report: dict[str, Any]) -> LabelledSample:
    (path,) = (warm.home / "samples").glob(f"{report['sample']['fingerprint']}-*.arrow")
    return LabelledSample.load(path)


def weights_on_disk(warm: Warm, name: str) -> list[Path]:
    """Return the weights of a model that the Hub's client keeps: links by their names, and what these lead to."""
    folder = warm.hub_cache / f"models--{name.replace('/', '--')}"
    files = [path for path in folder.rglob("*") if path.suffix == ".safetensors" or path.parent.name == "blobs"]
    return [path for path in files if path.suffix == ".safetensors" or path.read_bytes()[8:9] == b"{"]
