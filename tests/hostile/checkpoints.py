"""Hostile checkpoints: how each is written, and what must become of it."""

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tests.hostile.checkpoint_changes import (
    CONFIG,
    INDEX,
    WEIGHTS,
    Change,
    CheckpointCase,
    each,
    weighed,
    weighed_one_by_one,
    written,
)
from tests.hostile.checkpoint_descriptions import code, configs, readers
from tests.hostile.feature_files import Payload
from tests.hostile.traps import Traps


def _header(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of the header of the weights, without their bytes."""

    def forge(content: bytes) -> bytes:
        length = struct.unpack("<Q", content[:8])[0]
        header = change(json.loads(content[8 : 8 + length]))
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + length :]

    return written(WEIGHTS, forge)


def weights() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose weights are broken or forged."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1000\n"
    whole: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda content: b"",
        "one-byte": lambda content: content[:1],
        "cut-in-header": lambda content: content[:50],
        "cut-in-half": lambda content: content[: len(content) // 2],
        "cut-at-the-end": lambda content: content[:-1],
        "more-at-the-end": lambda content: content + bytes(1000),
        "giant-length": lambda content: struct.pack("<Q", 2**63) + content[8:],
        "length-of-the-file": lambda content: struct.pack("<Q", len(content)) + content[8:],
        "text": lambda content: pointer,
        "html": lambda content: b"<!DOCTYPE html><html>Not Found</html>",
        "zeros": lambda content: bytes(len(content)),
        "zip": lambda content: b"PK\x03\x04" + content,
    }
    for base in ("vit", "bert"):
        yield from each(f"{base}-weights-", base, whole, partial(written, WEIGHTS))

    def tensors(header: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in header.items() if name != "__metadata__"}

    def overlapping(header: dict[str, Any]) -> dict[str, Any]:
        places = {name: one["data_offsets"] for name, one in tensors(header).items()}
        return {name: {**header[name], "data_offsets": [0, end - start]} for name, (start, end) in places.items()}

    def first(**settings: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def change(header: dict[str, Any]) -> dict[str, Any]:
            name = next(iter(tensors(header)))
            return {**header, name: {**header[name], **settings}}

        return change

    empty = {"dtype": "F32", "shape": [0] * 20, "data_offsets": [0, 0]}
    headers: dict[str, Callable[[dict[str, Any]], Any]] = {
        "list": lambda header: [1, 2],
        "no-tensors": lambda header: {},
        "overlapping": overlapping,
        "offsets-outside": first(data_offsets=[0, 2**60]),
        "giant-shape": first(shape=[2**40, 2**20]),
        "negative-shape": first(shape=[-1, 5]),
        "unknown-kind": first(dtype="F7"),
        "wrong-kind": first(dtype="I64"),
        "nested": lambda header: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "many-entries": lambda header: {f"t{count}": empty for count in range(80_000)},
        "giant-metadata": lambda header: {**header, "__metadata__": {"format": "pt", "x": "y" * 50_000_000}},
        "odd-metadata": lambda header: {**header, "__metadata__": {"format": "tf"}},
        "names-of-control-codes": lambda header: {f"\x1b[2J{key}": one for key, one in tensors(header).items()},
    }
    yield from each("header-", "vit", headers, _header, "giant-metadata", "odd-metadata")


def numbers() -> Iterator[CheckpointCase]:
    """Yield checkpoints with valid weight files of odd numbers, shapes and kinds."""

    def everything(value: float) -> Change:
        return weighed_one_by_one(lambda one: np.full_like(one, value) if one.dtype.kind == "f" else one)

    for base in ("vit", "bert", "resnet"):
        yield CheckpointCase(f"{base}-nan", base, everything(np.nan), "finite|NaN|nan")
        yield CheckpointCase(f"{base}-inf", base, everything(np.inf), "finite|NaN|nan|inf")
        yield from each(f"{base}-", base, {"zeros": 0, "huge": 3e38}, everything, "zeros", "huge")
    yield CheckpointCase("one-nan", "vit", weighed(_one_nan), "finite|NaN|nan")
    kinds = {"half-precision": np.float16, "integers": np.int8}
    yield from each("", "vit", kinds, lambda kind: weighed_one_by_one(lambda one: one.astype(kind)), *kinds)
    yield CheckpointCase("mixed-kinds", "vit", weighed(_mixed), accepted="any")
    yield CheckpointCase("transposed", "vit", weighed_one_by_one(lambda one: np.ascontiguousarray(one.T)))
    names: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
        "renamed": lambda found: {f"x.{key}": one for key, one in found.items()},
        "half-of-the-names": lambda found: dict(list(found.items())[::2]),
        "nothing-in-it": lambda found: {},
    }
    yield from each("", "vit", names, weighed)
    yield CheckpointCase("another-model", "bert", weighed(lambda found: {"weight": np.zeros((4, 4), np.float32)}))


def _mixed(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kinds = (np.float32, np.float16, np.float64)
    return {name: one.astype(kinds[number % 3]) for number, (name, one) in enumerate(found.items())}


def _one_nan(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    name = next(name for name in found if name.endswith("attention.query.weight") or "q_proj.weight" in name)
    changed = found[name].copy()
    changed[0, 0] = np.nan
    return {**found, name: changed}


def _index(folder: Path, traps: Traps, target: str) -> None:
    """Replace the weights by a weight map that names another file."""
    outside = traps.folder / "outside.safetensors"
    place = target.format(secret=outside, name=folder.name)
    names = list(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).replace(outside)
    map_ = {"metadata": {"total_size": 100}, "weight_map": dict.fromkeys(names, place)}
    (folder / INDEX).write_text(json.dumps(map_))


def _map_only(text: bytes) -> Change:
    def change(folder: Path, traps: Traps) -> None:
        (folder / WEIGHTS).unlink()
        (folder / INDEX).write_bytes(text)

    return change


def _pickled(
    folder: Path, traps: Traps, name: str = "pytorch_model.bin", keep: bool = False, by_torch: bool = False
) -> None:
    if not keep:
        (folder / WEIGHTS).unlink(missing_ok=True)
    if by_torch:
        import torch

        torch.save(Payload(traps.marker), folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Payload(traps.marker)))


def _index_to_pickle(folder: Path, traps: Traps) -> None:
    _index(folder, traps, "pytorch_model.bin")
    _pickled(folder, traps)


def _link(file: str, target: str) -> Change:
    def change(folder: Path, traps: Traps) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(target.format(secret=traps.secret, file=file))

    return change


def _fifo(file: str) -> Change:
    def change(folder: Path, traps: Traps) -> None:
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    return change


def _removed(*patterns: str, folder_instead: bool = False) -> Change:
    """Return a change that removes files, or replaces them by folders."""

    def change(folder: Path, traps: Traps) -> None:
        for path in [path for pattern in patterns for path in folder.glob(pattern)]:
            path.unlink()
            if folder_instead:
                path.mkdir()

    return change


def _adapter(base: str) -> Change:
    def change(folder: Path, traps: Traps) -> None:
        (folder / CONFIG).unlink()
        (folder / WEIGHTS).replace(folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "peft_type": "LORA"}))

    return change


def places() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose files lead elsewhere, are not regular files, or are missing."""
    targets = {
        "climbs": "../../../../../../../../..{secret}",
        "absolute": "{secret}",
        "goes-through-itself": "../{name}/../../traps/outside.safetensors",
        "missing": "model-00001-of-00002.safetensors",
        "device": "/dev/zero",
        "index": INDEX,
        "folder": ".",
        "address": "http://127.0.0.1:9/x.safetensors",
        "empty-name": "",
        "nul": "a\0b.safetensors",
    }
    yield from each("map-", "vit", targets, lambda target: partial(_index, target=target))
    yield CheckpointCase("map-to-pickle", "vit", _index_to_pickle)
    maps = {
        "list": b"[1]",
        "number": b'{"weight_map": 3}',
        "of-numbers": b'{"weight_map": {"a": 1, "b": [2]}}',
        "nested": b'{"weight_map": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        "no-json": b"{",
        "huge": b'{"weight_map": {' + b",".join(b'"t%d": "m%d.safetensors"' % (n, n) for n in range(200_000)) + b"}}",
    }
    yield from each("map-", "bert", maps, _map_only)
    for name in ("pytorch_model.bin", "model.ckpt", "adapter_model.bin", "tf_model.h5", "training_args.bin"):
        yield CheckpointCase(f"pickle-as-{name}", "vit", partial(_pickled, name=name))
    yield CheckpointCase("pickle-as-safetensors", "vit", partial(_pickled, name=WEIGHTS, keep=True))
    yield CheckpointCase("pickle-beside", "vit", partial(_pickled, keep=True), accepted="clean")
    yield CheckpointCase("pickle-of-torch", "bert", partial(_pickled, by_torch=True))
    links = {"itself": "{file}", "nothing": "nothing", "zeros": "/dev/zero", "secret": "{secret}", "full": "/dev/full"}
    for file in (CONFIG, WEIGHTS):
        short = file.split(".")[0]
        others = {"missing": _removed(file), "fifo": _fifo(file), "folder": _removed(file, folder_instead=True)}
        yield from each(f"{short}-links-to-", "vit", links, partial(_link, file))
        yield from each(f"{short}-", "vit", others, lambda change: change)
    yield CheckpointCase("processor-fifo", "vit", _fifo("preprocessor_config.json"))
    yield CheckpointCase("processor-missing", "vit", _removed("preprocessor_config.json"))
    yield CheckpointCase("tokenizer-missing", "bert", _removed("tokenizer*", "vocab*", "special*"))
    yield CheckpointCase("tokenizer-fifo", "bert", _fifo("tokenizer.json"))
    adapters = {"adapter": "owner/private-model", "adapter-to-a-path": "../../../etc"}
    yield from each("", "bert", adapters, _adapter)
    yield CheckpointCase(
        "folder-loops", "vit", lambda folder, traps: (folder / "again").symlink_to("."), accepted="clean"
    )


def checkpoint_cases() -> list[CheckpointCase]:
    return [case for maker in (weights, numbers, places, configs, code, readers) for case in maker()]
