"""Tiny folders of static embeddings, as model2vec and sentence-transformers save them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.checkpoints.texts import wordpiece_tokenizer

WIDTH = 6


def table(rows: int) -> np.ndarray:
    """Return different vectors that are the same on every machine."""
    numbers = np.arange(rows * WIDTH, dtype=np.float64).reshape(rows, WIDTH)
    return (np.modf(np.sin(numbers * 12.9898) * 43758.5453)[0]).astype(np.float32)


def write_model2vec(folder: Path, *, normalize: bool = True, quantised: bool = False, **config: object) -> Path:
    """Write a folder of model2vec; quantised, several tokens share a vector, and each has a weight."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = wordpiece_tokenizer().backend_tokenizer
    size = tokenizer.get_vocab_size()
    tensors = {"embeddings": table(size)}
    if quantised:
        tensors["embeddings"] = table(10)
        tensors["mapping"] = (np.arange(size) * 7 % 10).astype(np.int64)
        tensors["weights"] = (1 + np.arange(size) % 5).astype(np.float64)
    save_file(tensors, str(folder / "model.safetensors"))
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": normalize, **config}
    (folder / "config.json").write_text(json.dumps(about))
    modules = [{"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def write_static(folder: Path, *, inside: str = "0_StaticEmbedding", behind: tuple[str, ...] = ("Normalize",)) -> Path:
    """Write a folder of sentence-transformers that starts with a StaticEmbedding."""
    (folder / inside).mkdir(parents=True, exist_ok=True)
    tokenizer = wordpiece_tokenizer().backend_tokenizer
    save_file({"embedding.weight": table(tokenizer.get_vocab_size())}, str(folder / inside / "model.safetensors"))
    tokenizer.save(str(folder / inside / "tokenizer.json"))
    names = [("StaticEmbedding", inside), *((name, f"{at}_{name}") for at, name in enumerate(behind, 1))]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{name}"}
        for at, (name, path) in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder
