"""Checkpoints as strangers publish them: how each is written, and what must become of it."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.hostile.feature_files import SENTENCE, Payload
from tests.hostile.traps import Traps
from tests.hub.repositories import write_files

Modality = Literal["text", "image", "sound"]
WEIGHTS, CONFIG = "model.safetensors", "config.json"
INDEX = "model.safetensors.index.json"
MODULE = """
import os
os.mkdir({marker!r})
from transformers import BertConfig, BertModel
class OwnConfig(BertConfig): pass
class OwnModel(BertModel): pass
"""


@dataclass(frozen=True)
class CheckpointCase:
    """A checkpoint and what must become of it.

    Attributes:
        name: what is wrong with it.
        base: the good checkpoint that it is a copy of: bert, sentences, vit, resnet or wav2vec2.
        change: makes it hostile, in its folder.
        refused: what the reason says.
        accepted: "clean" where the numbers must be those of the good checkpoint, "any" where it may be scored as it is,
            "" for what must never be.
    """

    name: str
    base: str
    change: Callable[[Path, Traps], object]
    refused: str | None = SENTENCE
    accepted: Literal["", "any", "clean"] = ""

    @property
    def modality(self) -> Modality:
        """What it reads."""
        return {"bert": "text", "sentences": "text", "wav2vec2": "sound"}.get(self.base, "image")  # type: ignore[return-value]


Change = Callable[[Path, Traps], object]


def each(
    prefix: str, base: str, values: Mapping[str, Any], change: Callable[[Any], Change], *free: str, **more: Any
) -> Iterator[CheckpointCase]:
    """Yield a case for each value; those that are named may be scored as they are."""
    for name, value in values.items():
        known = {"accepted": "any"} if name in free else {}
        yield CheckpointCase(f"{prefix}{name}", base, change(value), **{**more, **known})


def edited(settings: Mapping[str, Any], file: str = CONFIG) -> Change:
    """Return what sets settings of a JSON file; `a__b` is b within a."""

    def change(folder: Path, traps: Traps) -> None:
        known = json.loads((folder / file).read_text())
        for key, value in settings.items():
            place = known
            *parts, last = key.split("__")
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = value
        (folder / file).write_text(json.dumps(known))

    return change


def written(file: str, content: bytes | Callable[[bytes], bytes]) -> Change:
    """Return what writes a file, or changes its bytes."""

    def change(folder: Path, traps: Traps) -> None:
        write_files(folder, {file: content((folder / file).read_bytes()) if callable(content) else content})

    return change


def weighed(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Change:
    """Return what changes the weights."""

    def apply(folder: Path, traps: Traps) -> None:
        save_file(change(dict(load_file(folder / WEIGHTS))), folder / WEIGHTS, metadata={"format": "pt"})

    return apply


def weighed_one_by_one(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Return what changes each of the weights."""
    return weighed(lambda found: {name: change(one) for name, one in found.items()})


def _header(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return what changes the header of the weights, and leaves their bytes."""

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
    """Yield checkpoints whose weights are whole files of odd numbers, shapes and kinds."""

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
    """Replace the weights by a map that leads somewhere."""
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


def _pickled(folder: Path, traps: Traps, name: str = "pytorch_model.bin", keep: bool = False) -> None:
    (folder / name).write_bytes(pickle.dumps(Payload(traps.marker)))
    if not keep:
        (folder / WEIGHTS).unlink(missing_ok=True)


def _torch_pickle(folder: Path, traps: Traps) -> None:
    import torch

    torch.save(Payload(traps.marker), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


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
    """Return what removes files, and puts folders in their places or nothing."""

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
    """Yield checkpoints whose files lead elsewhere, are no files, or are not there."""
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
    yield CheckpointCase("pickle-of-torch", "bert", _torch_pickle)
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


def configs() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose configuration asks for what no one has, or is none."""
    absurd = {str(value).strip("[]"): value for value in (10**9, -1, 0, 2.5, "many", None, [3], float("nan"), True)}
    absurd["10e400"] = 10**400
    for base, settings in {
        "vit": ("num_hidden_layers", "hidden_size", "image_size"),
        "bert": ("vocab_size", "num_hidden_layers"),
    }.items():
        for setting in settings:  # None and True may be read as the number that the weights need
            made = partial(lambda setting, value: edited({setting: value}), setting)
            yield from each(f"{base}-{setting}-", base, absurd, made, "None", "True")
    sizes: dict[str, dict[str, Any]] = {
        "vit": {"patch_size": 10**6, "num_channels": 10**6, "num_attention_heads": 7, "intermediate_size": 10**10},
        "bert": {"max_position_embeddings": 10**10, "type_vocab_size": 10**9, "hidden_size": 10**7},
        "wav2vec2": {"conv_dim": [10**9] * 3, "conv_stride": [0, 0, 0], "num_hidden_layers": 10**8},
    }
    sizes["vit"]["hidden_act"], sizes["bert"]["intermediate_size"] = "eval", -5
    sizes["wav2vec2"]["num_conv_pos_embeddings"] = 10**9
    for base, asked in sizes.items():
        yield from each(f"{base}-", base, {name: {name: value} for name, value in asked.items()}, edited)
    timm: dict[str, dict[str, Any]] = {
        "input-size-10-6": {"pretrained_cfg__input_size": [3, 10**6, 10**6]},
        "input-size-50000": {"pretrained_cfg__input_size": [3, 50_000, 50_000]},
        "input-size-nan": {"pretrained_cfg__input_size": [3, float("nan"), 7]},
        "input-size-text": {"pretrained_cfg__input_size": "big"},
        "classes-10-9": {"num_classes": 10**9},
        "arguments": {"model_args": {"depth": 10**9, "block": "__import__('os').system"}},
        "layers": {"model_args": {"layers": [10**6] * 4}},
        "channels": {"model_args": {"in_chans": 10**9}},
        "width": {"model_args": {"base_width": 10**7}},
        "own-url": {"pretrained_cfg__url": "http://127.0.0.1:9/x.pth", "pretrained_cfg__file": "/etc/passwd"},
        "crop-of-nothing": {"pretrained_cfg__crop_pct": 0},
        "crop-of-10-9": {"pretrained_cfg__crop_pct": 1e-9},
        "mean-of-text": {"pretrained_cfg__mean": ["a", "b", "c"]},
        "interpolation": {"pretrained_cfg__interpolation": "\x1b[2J"},
        "architecture-number": {"architecture": 17},
        "architecture-codes": {"architecture": "\x1b]0;owned\x07\u202e"},
        "architecture-climbs": {"architecture": "../../x"},
        "architecture-local-dir": {"architecture": "local-dir:/etc"},
    }
    yield from each("timm-", "resnet", timm, edited, "own-url", "classes-10-9", "interpolation", "crop-of-nothing")
    texts: dict[str, bytes | Callable[[bytes], bytes]] = {
        "empty": b"",
        "list": b"[]",
        "null": b"null",
        "number": b"17",
        "no-json": b"{ not json",
        "nested": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "not-utf-8": b'{"model_type": "\xff\xfe"}',
        "utf-16": '{"model_type": "vit"}'.encode("utf-16"),
        "60-megabytes": lambda _: b'{"model_type": "vit", "x": "' + b"y" * 60_000_000 + b'"}',
        "million-keys": lambda _: b"{" + b",".join(b'"k%d": 1' % n for n in range(1_000_000)) + b"}",
        "number-of-a-million-digits": b'{"model_type": "vit", "hidden_size": 1' + b"0" * 1_000_000 + b"}",
    }
    yield from each("config-", "vit", texts, partial(written, CONFIG))
    refused: dict[str, dict[str, Any]] = {
        "type-list": {"model_type": ["vit"]},
        "type-codes": {"model_type": "\x1b[2J\x1b]0;owned\x07", "architectures": ["\x1b[31mRed"]},
        "type-long": {"model_type": "x" * 1_000_000},
        "type-climbs": {"model_type": "../../evil"},
        "quantized": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    }
    harmless: dict[str, dict[str, Any]] = {
        "architectures-number": {"architectures": 3},
        "architectures-wrong": {"architectures": ["OsSystemModel"]},
        "labels-huge": {"id2label": {str(number): "x" for number in range(200_000)}},
        "labels-nested": {"id2label": {"0": {"a": [1]}}},
        "quantized-unknown": {"quantization_config": {"quant_method": "evil"}},
        "torch-dtype": {"torch_dtype": "evil", "dtype": "evil"},
        "attention": {"_attn_implementation": "owner/kernels", "attn_implementation": "flash_attention_9"},
        "name-or-path": {"_name_or_path": "owner/private-model"},
        "commit": {"_commit_hash": "../../x"},
    }
    yield from each("config-", "vit", refused | harmless, edited, *harmless)


def _coded(change: Change) -> Change:
    """Return a change, with code beside it that leaves a mark."""

    def both(folder: Path, traps: Traps) -> None:
        (folder / "own.py").write_text(MODULE.format(marker=str(traps.marker)))
        change(folder, traps)

    return both


def _own_code(reference: str) -> Change:
    maps = {"AutoConfig": reference.replace("Model", "Config"), "AutoModel": reference, "AutoTokenizer": reference}
    return _coded(edited({"auto_map": maps, "model_type": "own_model"}))


def _module(kind: str, path: str = "") -> Change:
    def change(folder: Path, traps: Traps) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        modules[-1] |= {"type": kind, "path": path}
        (folder / "modules.json").write_text(json.dumps(modules))

    return _coded(change)


def code() -> Iterator[CheckpointCase]:
    """Yield checkpoints with code of their own."""
    references = {
        "own": "own.OwnModel",
        "of-another": "owner/private-model--own.OwnModel",
        "that-climbs": "../../own.OwnModel",
        "of-the-library": "os.system",
    }
    yield from each("code-", "bert", references, _own_code, refused="code|trust")
    tokenizer = {"auto_map": {"AutoTokenizer": ["own.OwnModel", None]}, "tokenizer_class": "OwnModel"}
    processor = {"auto_map": {"AutoImageProcessor": "own.OwnModel"}, "image_processor_type": "Own"}
    for name, base, file, settings in (
        ("tokenizer", "bert", "tokenizer_config.json", tokenizer),
        ("processor", "vit", "preprocessor_config.json", processor),
    ):
        yield CheckpointCase(f"code-of-the-{name}", base, _coded(edited(settings, file)), accepted="any")
    modules = {"own": "own.OwnModel", "os": "os.system", "builtins": "builtins.eval"}
    yield from each("module-", "sentences", {**modules, "nothing": "", "path": "../../own.OwnModel"}, _module)
    climbing = _module("sentence_transformers.models.Dense", "../../../../etc")
    yield CheckpointCase("module-that-climbs", "sentences", climbing)
    plain = {"list-of-numbers": b"[1, 2]", "empty": b"[]", "many": b"[" + b",".join([b"{}"] * 100_000) + b"]"}
    lists = {**plain, "nested": b"[" * 50_000 + b"]" * 50_000}  # the others may count as a model without modules
    yield from each("modules-", "sentences", lists, partial(written, "modules.json"), *plain)
    pooling = written("1_Pooling/config.json", b'{"word_embedding_dimension": 1e300}')
    yield CheckpointCase("pooling-of-nonsense", "sentences", pooling, accepted="any")


def readers() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose tokenizer or preprocessor is a bomb, or broken."""

    def tokenizer(change: Callable[[dict[str, Any]], object]) -> Change:
        def apply(folder: Path, traps: Traps) -> None:
            known = json.loads((folder / "tokenizer.json").read_text())
            change(known)
            (folder / "tokenizer.json").write_text(json.dumps(known))

        return apply

    def numbered(number: Callable[[int], int]) -> Callable[[dict[str, Any]], object]:
        def change(known: dict[str, Any]) -> None:
            known["model"]["vocab"] = {word: number(place) for word, place in known["model"]["vocab"].items()}

        return change

    def replaced(pattern: str, content: str = "") -> dict[str, Any]:
        return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}

    growing = {"type": "Sequence", "normalizers": [replaced(".", "xxxxxxxxxxxxxxxx")] * 8}
    padding = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    many = [{"id": 300 + number, "content": f"<t{number}>", **flags} for number in range(200_000)]
    broken: dict[str, Callable[[dict[str, Any]], object]] = {
        "no-model": lambda known: known.pop("model"),
        "unknown-model": lambda known: known["model"].update(type="Evil"),
        "numbers-beyond-the-table": numbered(lambda number: number + 10**6),
        "negative-numbers": numbered(lambda number: -number),
    }
    odd: dict[str, Callable[[dict[str, Any]], object]] = {
        "catastrophic-pattern": lambda known: known.update(normalizer=replaced("(a|a?)+$")),
        "growing-replacement": lambda known: known.update(normalizer=growing),
        "prepended": lambda known: known.update(normalizer={"type": "Prepend", "prepend": "x" * 20_000_000}),
        "padding": lambda known: known.update(padding={**padding, "strategy": {"Fixed": 10**9}}),
        "special-tokens": lambda known: known.update(added_tokens=many),
    }
    yield from each("tokenizer-", "bert", broken | odd, tokenizer, *odd)
    texts: dict[str, bytes | Callable[[bytes], bytes]] = {
        "empty": b"",
        "nested": b"[" * 100_000 + b"]" * 100_000,
        "no-json": b"{",
        "list": b"[]",
        "120-megabytes": lambda _: b'{"x": "' + b"y" * 120_000_000 + b'"}',
    }
    yield from each("tokenizer-", "bert", texts, partial(written, "tokenizer.json"))
    settings: dict[str, dict[str, Any]] = {
        "length-10-30": {"model_max_length": 10**30},
        "length-negative": {"model_max_length": -5},
        "length-text": {"model_max_length": "long"},
        "class-codes": {"tokenizer_class": "\x1b[2J"},
        "class-of-a-number": {"tokenizer_class": 3},
        "pad-token-object": {"pad_token": {"__type": "AddedToken", "content": "x" * 1_000_000}},
        "template": {"chat_template": "{{ ''.__class__.__mro__[1].__subclasses__() }}"},
    }
    yield from each("tokenizer-", "bert", settings, partial(edited, file="tokenizer_config.json"), *settings)
    wrong: dict[str, dict[str, Any]] = {
        "size-10-6": {"size": {"height": 10**6, "width": 10**6}},
        "size-30000": {"size": {"height": 30_000, "width": 30_000}},
        "size-negative": {"size": {"height": -3, "width": 32}},
        "size-zero": {"size": {"height": 0, "width": 0}},
        "size-text": {"size": "huge"},
        "size-nested": {"size": {"height": [3], "width": {}}},
        "shortest-edge": {"size": {"shortest_edge": 10**7}},
        "mean-nan": {"image_mean": [float("nan")] * 3},
        "std-zero": {"image_std": [0, 0, 0]},
        "rescale-huge": {"rescale_factor": 1e300},
    }
    harmless: dict[str, dict[str, Any]] = {
        "mean-short": {"image_mean": [0.5]},
        "resample": {"resample": 99},
        "type": {"image_processor_type": "EvalImageProcessor"},
        "type-codes": {"image_processor_type": "\x1b[2J"},
        "crop": {"do_center_crop": True, "crop_size": {"height": 10**6, "width": 10**6}},
    }
    processed = partial(edited, file="preprocessor_config.json")
    yield from each("processor-", "vit", wrong | harmless, processed, *harmless)
    heard: dict[str, dict[str, Any]] = {
        "rate-10-9": {"sampling_rate": 10**9},
        "rate-zero": {"sampling_rate": 0},
        "rate-text": {"sampling_rate": "fast"},
        "feature-size": {"feature_size": 10**9},
        "padding-nan": {"padding_value": float("nan")},
    }
    yield from each("sound-", "wav2vec2", heard, processed, "padding-nan", "feature-size")
    none = {"empty": b"", "list": b"[1]", "nested": b"[" * 50_000, "not-utf-8": b'{"a": "\xff"}'}
    yield from each("processor-", "vit", none, partial(written, "preprocessor_config.json"))


def checkpoint_cases() -> list[CheckpointCase]:
    """Return all of them."""
    return [case for maker in (weights, numbers, places, configs, code, readers) for case in maker()]
