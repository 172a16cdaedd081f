"""Checkpoints with hostile descriptions: configurations, code, tokenizers and preprocessors."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.hostile.checkpoint_changes import CONFIG, Change, CheckpointCase, each, edited, written
from tests.hostile.traps import Traps

MODULE = """
import os
os.mkdir({marker!r})
from transformers import BertConfig, BertModel
class OwnConfig(BertConfig): pass
class OwnModel(BertModel): pass
"""


def configs() -> Iterator[CheckpointCase]:
    """Yield checkpoints whose configuration is absurd or invalid."""
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
    """Return a change that also adds code which leaves a mark."""

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
