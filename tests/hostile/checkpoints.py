"""Checkpoints as strangers publish them: how each is written, and what must become of it."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.hostile.feature_files import SENTENCE, Payload
from tests.hostile.traps import Traps

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


def _edit(path: Path, **settings: Any) -> None:
    known = json.loads(path.read_text())
    for key, value in settings.items():
        place = known
        *parts, last = key.split("__")
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    path.write_text(json.dumps(known))


def edited(file: str = CONFIG, **settings: Any) -> Callable[[Path, Traps], None]:
    """Return what sets settings of a JSON file; `a__b` is b within a."""
    return lambda folder, traps: _edit(folder / file, **settings)


def written(file: str, content: bytes | Callable[[bytes], bytes]) -> Callable[[Path, Traps], None]:
    """Return what writes a file, or changes its bytes."""

    def change(folder: Path, traps: Traps) -> None:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)

    return change


def weighed(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path, Traps], None]:
    """Return what changes the weights."""

    def apply(folder: Path, traps: Traps) -> None:
        save_file(change(dict(load_file(folder / WEIGHTS))), folder / WEIGHTS, metadata={"format": "pt"})

    return apply


def _header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path, Traps], None]:
    """Return what changes the header of the weights, and leaves their bytes."""

    def forge(content: bytes) -> bytes:
        length = struct.unpack("<Q", content[:8])[0]
        header = change(json.loads(content[8 : 8 + length]))
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + length :]

    return written(WEIGHTS, forge)


def weights() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose weights are broken or forged."""
    whole: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda content: b"",
        "one-byte": lambda content: content[:1],
        "cut-in-header": lambda content: content[:50],
        "cut-in-half": lambda content: content[: len(content) // 2],
        "cut-at-the-end": lambda content: content[:-1],
        "more-at-the-end": lambda content: content + bytes(1000),
        "giant-length": lambda content: struct.pack("<Q", 2**63) + content[8:],
        "length-of-the-file": lambda content: struct.pack("<Q", len(content)) + content[8:],
        "text": lambda content: (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1000\n"
        ),
        "html": lambda content: b"<!DOCTYPE html><html>Not Found</html>",
        "zeros": lambda content: bytes(len(content)),
        "zip": lambda content: b"PK\x03\x04" + content,
    }
    for base in ("vit", "bert"):
        for name, change in whole.items():
            yield CheckpointCase(f"{base}-weights-{name}", base, written(WEIGHTS, change))
    for name, forge in {
        "list": lambda header: [1, 2],
        "no-tensors": lambda header: {},
        "overlapping": _overlapping,
        "offsets-outside": lambda header: {**header, **_first(header, data_offsets=[0, 2**60])},
        "giant-shape": lambda header: {**header, **_first(header, shape=[2**40, 2**20])},
        "negative-shape": lambda header: {**header, **_first(header, shape=[-1, 5])},
        "unknown-kind": lambda header: {**header, **_first(header, dtype="F7")},
        "wrong-kind": lambda header: {**header, **_first(header, dtype="I64")},
        "nested": lambda header: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "many-entries": lambda header: {
            f"t{count}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for count in range(300_000)
        },
        "giant-metadata": lambda header: {**header, "__metadata__": {"format": "pt", "x": "y" * 50_000_000}},
        "odd-metadata": lambda header: {**header, "__metadata__": {"format": "tf"}},
        "names-of-control-codes": lambda header: {f"\x1b[2J{key}": one for key, one in _tensors(header).items()},
    }.items():
        yield CheckpointCase(f"header-{name}", "vit", _header(forge), accepted="any" if "metadata" in name else "")


def _tensors(header: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in header.items() if name != "__metadata__"}


def _overlapping(header: dict[str, Any]) -> dict[str, Any]:
    return {name: {**one, "data_offsets": [0, _size(one)]} for name, one in _tensors(header).items()}


def _first(header: dict[str, Any], **settings: Any) -> dict[str, Any]:
    name = next(iter(_tensors(header)))
    return {name: {**header[name], **settings}}


def _size(entry: dict[str, Any]) -> int:
    return int(entry["data_offsets"][1] - entry["data_offsets"][0])


def _everything(value: float) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda found: {k: np.full_like(v, value) if v.dtype.kind == "f" else v for k, v in found.items()}


def numbers() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose weights are whole files of odd numbers, shapes and kinds."""
    for base in ("vit", "bert", "resnet"):
        yield CheckpointCase(f"{base}-nan", base, weighed(_everything(np.nan)), "finite|NaN|nan")
        yield CheckpointCase(f"{base}-inf", base, weighed(_everything(np.inf)), "finite|NaN|nan|inf")
        yield CheckpointCase(f"{base}-zeros", base, weighed(_everything(0)), accepted="any")
        yield CheckpointCase(f"{base}-huge", base, weighed(_everything(3e38)), accepted="any")
    yield CheckpointCase("one-nan", "vit", weighed(_one_nan), "finite|NaN|nan")
    yield CheckpointCase(
        "half-precision",
        "vit",
        weighed(lambda found: {k: v.astype(np.float16) for k, v in found.items()}),
        accepted="any",
    )
    yield CheckpointCase(
        "integers", "vit", weighed(lambda found: {k: v.astype(np.int8) for k, v in found.items()}), accepted="any"
    )
    yield CheckpointCase("mixed-kinds", "vit", weighed(_mixed), accepted="any")
    yield CheckpointCase(
        "transposed",
        "vit",
        weighed(lambda found: {k: np.ascontiguousarray(v.T) for k, v in found.items()}),
        accepted="",
    )
    yield CheckpointCase("renamed", "vit", weighed(lambda found: {f"x.{k}": v for k, v in found.items()}))
    yield CheckpointCase("half-of-the-names", "vit", weighed(lambda found: dict(list(found.items())[::2])))
    yield CheckpointCase("nothing-in-it", "vit", weighed(lambda found: {}))
    yield CheckpointCase("another-model", "bert", weighed(lambda found: {"weight": np.zeros((4, 4), np.float32)}))


def _mixed(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kinds = (np.float32, np.float16, np.float64)
    return {name: one.astype(kinds[number % 3]) for number, (name, one) in enumerate(found.items())}


def _one_nan(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    name = next(name for name in found if name.endswith("attention.query.weight") or "q_proj.weight" in name)
    found[name] = found[name].copy()
    found[name][0, 0] = np.nan
    return found


def _index(folder: Path, traps: Traps, target: str) -> None:
    """Replace the weights by a map that leads somewhere."""
    place = target.format(secret=traps.folder / "outside.safetensors", name=folder.name)
    names = list(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).replace(traps.folder / "outside.safetensors")
    map_ = {"metadata": {"total_size": 100}, "weight_map": dict.fromkeys(names, place)}
    (folder / INDEX).write_text(json.dumps(map_))


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


def _link(folder: Path, traps: Traps, file: str, target: str) -> None:
    (folder / file).unlink(missing_ok=True)
    (folder / file).symlink_to(target.format(secret=traps.secret, file=file))


def places() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose files lead elsewhere, are no files, or are not there."""
    for name, target in {
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
    }.items():
        yield CheckpointCase(f"map-{name}", "vit", partial(_index, target=target))
    yield CheckpointCase("map-to-pickle", "vit", _index_to_pickle)
    for name, text in {
        "list": b"[1]",
        "number": b'{"weight_map": 3}',
        "of-numbers": b'{"weight_map": {"a": 1, "b": [2]}}',
        "nested": b'{"weight_map": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        "no-json": b"{",
        "huge": b'{"weight_map": {' + b",".join(b'"t%d": "m%d.safetensors"' % (n, n) for n in range(200_000)) + b"}}",
    }.items():
        yield CheckpointCase(f"map-{name}", "bert", partial(_map_only, text=text))
    for name in ("pytorch_model.bin", "model.ckpt", "adapter_model.bin", "tf_model.h5", "training_args.bin"):
        yield CheckpointCase(f"pickle-as-{name}", "vit", partial(_pickled, name=name))
    yield CheckpointCase("pickle-as-safetensors", "vit", partial(_pickled, name=WEIGHTS, keep=True))
    yield CheckpointCase("pickle-beside", "vit", partial(_pickled, keep=True), accepted="clean")
    yield CheckpointCase("pickle-of-torch", "bert", _torch_pickle)
    for file in (CONFIG, WEIGHTS):
        short = file.split(".")[0]
        yield CheckpointCase(f"{short}-missing", "vit", lambda folder, traps, file=file: (folder / file).unlink())
        for name, target in {
            "itself": "{file}",
            "nothing": "nothing",
            "zeros": "/dev/zero",
            "secret": "{secret}",
            "full": "/dev/full",
        }.items():
            yield CheckpointCase(f"{short}-links-to-{name}", "vit", partial(_link, file=file, target=target))
        yield CheckpointCase(f"{short}-fifo", "vit", partial(_fifo, file=file))
        yield CheckpointCase(f"{short}-folder", "vit", partial(_folder, file=file))
    yield CheckpointCase("processor-fifo", "vit", partial(_fifo, file="preprocessor_config.json"))
    yield CheckpointCase(
        "processor-missing", "vit", lambda folder, traps: (folder / "preprocessor_config.json").unlink()
    )
    yield CheckpointCase("tokenizer-missing", "bert", _without_tokenizer)
    yield CheckpointCase("tokenizer-fifo", "bert", partial(_fifo, file="tokenizer.json"))
    yield CheckpointCase("adapter", "bert", _adapter)
    yield CheckpointCase("adapter-to-a-path", "bert", partial(_adapter, base="../../../etc"))
    yield CheckpointCase(
        "folder-loops", "vit", lambda folder, traps: (folder / "again").symlink_to("."), accepted="clean"
    )


def _map_only(folder: Path, traps: Traps, text: bytes) -> None:
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_bytes(text)


def _fifo(folder: Path, traps: Traps, file: str) -> None:
    (folder / file).unlink(missing_ok=True)
    os.mkfifo(folder / file)


def _folder(folder: Path, traps: Traps, file: str) -> None:
    (folder / file).unlink()
    (folder / file).mkdir()


def _without_tokenizer(folder: Path, traps: Traps) -> None:
    for path in (*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("special*")):
        path.unlink()


def _adapter(folder: Path, traps: Traps, base: str = "owner/private-model") -> None:
    (folder / CONFIG).unlink()
    (folder / WEIGHTS).replace(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "peft_type": "LORA"}))


def configs() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose configuration asks for what no one has, or is none."""
    absurd: tuple[Any, ...] = (10**9, -1, 0, 2.5, "many", None, [3], float("nan"), 10**400, True)
    for base, settings in {
        "vit": ("num_hidden_layers", "hidden_size", "image_size"),
        "bert": ("vocab_size", "num_hidden_layers"),
    }.items():
        for setting in settings:
            for value in absurd:
                shown = "10e400" if value == 10**400 else str(value).strip("[]")
                yield CheckpointCase(
                    f"{base}-{setting}-{shown}", base, edited(**{setting: value}), accepted=_might(value)
                )
    for base, settings in {
        "vit": {
            "patch_size": 10**6,
            "num_channels": 10**6,
            "num_attention_heads": 7,
            "intermediate_size": 10**10,
            "hidden_act": "eval",
        },
        "bert": {
            "max_position_embeddings": 10**10,
            "type_vocab_size": 10**9,
            "hidden_size": 10**7,
            "intermediate_size": -5,
        },
        "wav2vec2": {
            "conv_dim": [10**9] * 3,
            "conv_stride": [0, 0, 0],
            "num_hidden_layers": 10**8,
            "num_conv_pos_embeddings": 10**9,
        },
    }.items():
        for setting, value in settings.items():
            yield CheckpointCase(f"{base}-{setting}", base, edited(**{setting: value}))
    for name, settings in {
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
    }.items():
        yield CheckpointCase(
            f"timm-{name}",
            "resnet",
            edited(**settings),
            accepted="any" if name in ("own-url", "classes-10-9", "interpolation", "crop-of-nothing") else "",
        )
    for name, text in {
        "empty": b"",
        "list": b"[]",
        "null": b"null",
        "number": b"17",
        "no-json": b"{ not json",
        "nested": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "not-utf-8": b'{"model_type": "\xff\xfe"}',
        "utf-16": '{"model_type": "vit"}'.encode("utf-16"),
        "60-megabytes": b'{"model_type": "vit", "x": "' + b"y" * 60_000_000 + b'"}',
        "million-keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(1_000_000)) + b"}",
        "number-of-a-million-digits": b'{"model_type": "vit", "hidden_size": 1' + b"0" * 1_000_000 + b"}",
    }.items():
        yield CheckpointCase(f"config-{name}", "vit", written(CONFIG, text))
    for name, settings in {
        "type-list": {"model_type": ["vit"]},
        "type-codes": {"model_type": "\x1b[2J\x1b]0;owned\x07", "architectures": ["\x1b[31mRed"]},
        "type-long": {"model_type": "x" * 1_000_000},
        "type-climbs": {"model_type": "../../evil"},
        "architectures-number": {"architectures": 3},
        "architectures-wrong": {"architectures": ["OsSystemModel"]},
        "labels-huge": {"id2label": {str(number): "x" for number in range(200_000)}},
        "labels-nested": {"id2label": {"0": {"a": [1]}}},
        "quantized": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        "quantized-unknown": {"quantization_config": {"quant_method": "evil"}},
        "torch-dtype": {"torch_dtype": "evil", "dtype": "evil"},
        "attention": {"_attn_implementation": "owner/kernels", "attn_implementation": "flash_attention_9"},
        "name-or-path": {"_name_or_path": "owner/private-model"},
        "commit": {"_commit_hash": "../../x"},
    }.items():
        harmless = name in (
            "labels-huge",
            "commit",
            "name-or-path",
            "torch-dtype",
            "attention",
            "labels-nested",
            "architectures-number",
            "architectures-wrong",
            "quantized-unknown",
        )
        yield CheckpointCase(f"config-{name}", "vit", edited(**settings), accepted="any" if harmless else "")


def _might(value: Any) -> Literal["", "any"]:
    """Return whether a setting may be read as the number that the weights need."""
    return "any" if value is None or value is True else ""


def _own_code(folder: Path, traps: Traps, reference: str = "own.OwnModel") -> None:
    (folder / "own.py").write_text(MODULE.format(marker=str(traps.marker)))
    maps = {"AutoConfig": reference.replace("Model", "Config"), "AutoModel": reference, "AutoTokenizer": reference}
    _edit(folder / CONFIG, auto_map=maps, model_type="own_model")


def _own_tokenizer(folder: Path, traps: Traps) -> None:
    (folder / "own.py").write_text(MODULE.format(marker=str(traps.marker)))
    _edit(
        folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.OwnModel", None]}, tokenizer_class="OwnModel"
    )


def _own_processor(folder: Path, traps: Traps) -> None:
    (folder / "own.py").write_text(MODULE.format(marker=str(traps.marker)))
    _edit(
        folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "own.OwnModel"}, image_processor_type="Own"
    )


def _modules(folder: Path, traps: Traps, kind: str, path: str = "") -> None:
    (folder / "own.py").write_text(MODULE.format(marker=str(traps.marker)))
    modules = json.loads((folder / "modules.json").read_text())
    modules[-1] |= {"type": kind, "path": path}
    (folder / "modules.json").write_text(json.dumps(modules))


def code() -> Iterator[CheckpointCase]:
    """Yield checkpoints with code of their own."""
    for name, reference in {
        "own": "own.OwnModel",
        "of-another": "owner/private-model--own.OwnModel",
        "that-climbs": "../../own.OwnModel",
        "of-the-library": "os.system",
    }.items():
        yield CheckpointCase(f"code-{name}", "bert", partial(_own_code, reference=reference), "code|trust")
    yield CheckpointCase("code-of-the-tokenizer", "bert", _own_tokenizer, accepted="any")
    yield CheckpointCase("code-of-the-processor", "vit", _own_processor, accepted="any")
    for name, kind in {
        "own": "own.OwnModel",
        "os": "os.system",
        "builtins": "builtins.eval",
        "nothing": "",
        "path": "../../own.OwnModel",
    }.items():
        yield CheckpointCase(f"module-{name}", "sentences", partial(_modules, kind=kind))
    climbing = partial(_modules, kind="sentence_transformers.models.Dense", path="../../../../etc")
    yield CheckpointCase("module-that-climbs", "sentences", climbing)
    for name, text in {
        "list-of-numbers": b"[1, 2]",
        "empty": b"[]",
        "nested": b"[" * 50_000 + b"]" * 50_000,
        "many": b"[" + b",".join([b"{}"] * 100_000) + b"]",
    }.items():
        yield CheckpointCase(f"modules-{name}", "sentences", written("modules.json", text), accepted=_plain(name))
    yield CheckpointCase(
        "pooling-of-nonsense",
        "sentences",
        written("1_Pooling/config.json", b'{"word_embedding_dimension": 1e300}'),
        accepted="any",
    )


def _plain(name: str) -> Literal["", "any"]:
    """Return whether a folder with such a list of modules may count as a plain model without them."""
    return "" if name == "nested" else "any"


def _tokenizer(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, Traps], None]:
    def apply(folder: Path, traps: Traps) -> None:
        known = json.loads((folder / "tokenizer.json").read_text())
        change(known)
        (folder / "tokenizer.json").write_text(json.dumps(known))

    return apply


def readers() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose tokenizer or preprocessor is a bomb, or broken."""
    for name, change in {
        "no-model": lambda known: known.pop("model"),
        "unknown-model": lambda known: known["model"].update(type="Evil"),
        "numbers-beyond-the-table": lambda known: known["model"].update(
            vocab={k: v + 10**6 for k, v in known["model"]["vocab"].items()}
        ),
        "negative-numbers": lambda known: known["model"].update(
            vocab={k: -v for k, v in known["model"]["vocab"].items()}
        ),
        "catastrophic-pattern": lambda known: known.update(normalizer=_replace("(a|a?)+$")),
        "growing-replacement": lambda known: known.update(
            normalizer={"type": "Sequence", "normalizers": [_replace(".", "xxxxxxxxxxxxxxxx")] * 8}
        ),
        "prepended": lambda known: known.update(normalizer={"type": "Prepend", "prepend": "x" * 20_000_000}),
        "padding": lambda known: known.update(padding=_padding(10**9)),
        "special-tokens": lambda known: known.update(added_tokens=[_added(number) for number in range(200_000)]),
    }.items():
        yield CheckpointCase(
            f"tokenizer-{name}",
            "bert",
            _tokenizer(change),
            accepted="any"
            if name in ("special-tokens", "padding", "catastrophic-pattern", "prepended", "growing-replacement")
            else "",
        )
    for name, text in {
        "empty": b"",
        "nested": b"[" * 100_000 + b"]" * 100_000,
        "no-json": b"{",
        "list": b"[]",
        "120-megabytes": b'{"x": "' + b"y" * 120_000_000 + b'"}',
    }.items():
        yield CheckpointCase(f"tokenizer-{name}", "bert", written("tokenizer.json", text))
    for name, settings in {
        "length-10-30": {"model_max_length": 10**30},
        "length-negative": {"model_max_length": -5},
        "length-text": {"model_max_length": "long"},
        "class-codes": {"tokenizer_class": "\x1b[2J"},
        "class-of-a-number": {"tokenizer_class": 3},
        "pad-token-object": {"pad_token": {"__type": "AddedToken", "content": "x" * 1_000_000}},
        "template": {"chat_template": "{{ ''.__class__.__mro__[1].__subclasses__() }}"},
    }.items():
        yield CheckpointCase(f"tokenizer-{name}", "bert", edited("tokenizer_config.json", **settings), accepted="any")
    for name, settings in {
        "size-10-6": {"size": {"height": 10**6, "width": 10**6}},
        "size-30000": {"size": {"height": 30_000, "width": 30_000}},
        "size-negative": {"size": {"height": -3, "width": 32}},
        "size-zero": {"size": {"height": 0, "width": 0}},
        "size-text": {"size": "huge"},
        "size-nested": {"size": {"height": [3], "width": {}}},
        "shortest-edge": {"size": {"shortest_edge": 10**7}},
        "mean-nan": {"image_mean": [float("nan")] * 3},
        "mean-short": {"image_mean": [0.5]},
        "std-zero": {"image_std": [0, 0, 0]},
        "rescale-huge": {"rescale_factor": 1e300},
        "resample": {"resample": 99},
        "type": {"image_processor_type": "EvalImageProcessor"},
        "type-codes": {"image_processor_type": "\x1b[2J"},
        "crop": {"do_center_crop": True, "crop_size": {"height": 10**6, "width": 10**6}},
    }.items():
        yield CheckpointCase(
            f"processor-{name}",
            "vit",
            edited("preprocessor_config.json", **settings),
            accepted="any" if name in ("resample", "crop", "type", "type-codes", "mean-short") else "",
        )
    for name, settings in {
        "rate-10-9": {"sampling_rate": 10**9},
        "rate-zero": {"sampling_rate": 0},
        "rate-text": {"sampling_rate": "fast"},
        "feature-size": {"feature_size": 10**9},
        "padding-nan": {"padding_value": float("nan")},
    }.items():
        yield CheckpointCase(
            f"sound-{name}",
            "wav2vec2",
            edited("preprocessor_config.json", **settings),
            accepted="any" if name in ("padding-nan", "feature-size") else "",
        )
    for name, text in {"empty": b"", "list": b"[1]", "nested": b"[" * 50_000, "not-utf-8": b'{"a": "\xff"}'}.items():
        yield CheckpointCase(f"processor-{name}", "vit", written("preprocessor_config.json", text))


def _replace(pattern: str, content: str = "") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _padding(length: int) -> dict[str, Any]:
    return {
        "strategy": {"Fixed": length},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }


def _added(number: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": 300 + number, "content": f"<t{number}>", **flags}


def checkpoint_cases() -> list[CheckpointCase]:
    """Return all of them."""
    return [case for maker in (weights, numbers, places, configs, code, readers) for case in maker()]
