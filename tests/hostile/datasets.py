"""Hostile datasets: how each is written, and what must become of it."""

import os
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.dataset_making import PICTURES, ROWS, DatasetCase, Files, case, csv, each, lines, media
from tests.hostile.dataset_media import images, sounds
from tests.hostile.dataset_tables import archives, tables, texts
from tests.hostile.traps import PRIVATE, Traps
from tests.hub.repositories import write_files

CLASSES_IN_CARD = "dataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names: ["

ELSEWHERE = {
    "file-scheme": "file://{secret}",
    "chain-to-the-hub": "file://{secret}::hf://datasets/cases/own/README.md",
    "climbing-chain": "file://../../../../../../../../..{secret}::hf://datasets/cases/own/README.md",
    "absolute": "{secret}",
    "climbing": "../../../../../../../../../..{secret}",
    "home": "~/secret.png",
    "another-repository": f"hf://datasets/{PRIVATE}/x.png",
    "another-revision": f"hf://datasets/{PRIVATE}@main/x.png",
    "another-commit": f"hf://datasets/{PRIVATE}@{{commit}}/x.png",
    "a-model": "hf://owner/private-model/x.bin",
    "http": "{address}/x.png",
    "ftp": "ftp://127.0.0.1:1/x.png",
    "s3": "s3://bucket/x.png",
    "local-scheme": "local://{secret}",
    "data-scheme": "data:image/png;base64,AAAA",
    "zip-of-http": "zip://x.png::{address}/x.zip",
    "simplecache": "simplecache::{address}/x.png",
    "filecache": "filecache::file://{secret}",
    "reference": "reference://x::file://{secret}",
    "zeros": "/dev/zero",
    "zeros-by-scheme": "file://../../../../../../../../../dev/zero::hf://datasets/cases/own/README.md",
    "environment": "/proc/self/environ",
    "memory": "memory://x.png",
    "github": "github://owner:repo@main/x.png",
    "backslashes": "..\\..\\secret.png",
    "nul": "x\0.png",
    "long": "x" * 100_000,
    "upper-case": "FILE://{secret}",
    "blank-before": " file://{secret}",
    "encoded": "hf://datasets/cases/own/..%2f..%2f..%2fowner%2fprivate-data%2fx.png",
}
"""Paths in rows that lead elsewhere."""

ELSEWHERE_IN_CARDS = {
    "http": "{address}/x.csv",
    "file": "file://{secret.csv}",
    "absolute": "{folder}/secret.csv",
    "absolute-pattern": "{folder}/*.csv",
    "climbing": "../../../../../../../../..{folder}/secret.csv",
    "climbing-a-little": "../../x.csv",
    "another-repository": f"hf://datasets/{PRIVATE}/x.csv",
    "another-revision": f"hf://datasets/{PRIVATE}@main/*.csv",
    "a-model": "hf://owner/private-model/x.csv",
    "zip-of-http": "zip://*.csv::{address}/x.zip",
    "gzip-of-http": "gzip://x.csv::{address}/x.csv.gz",
    "zeros": "/dev/zero",
    "proc": "/proc/self/environ",
    "home": "~/x.csv",
    "scheme": "'http:x.csv'",
    "deep-glob": "/**/*.csv",
    "number": "17",
    "list-in-list": "[[[rows.csv]]]",
    "one-of-a-split": "\n  - split: train\n    path: [rows.csv, {address}/x.csv]",
    "second-configuration": "rows.csv\n- config_name: b\n  data_files: {address}/x.csv",
}
"""Data files that a card names elsewhere."""


def leading_elsewhere() -> Iterator[DatasetCase]:
    """Yield datasets whose rows or card lead elsewhere; `test_paths` tries all of them, and more."""
    rows = {"modality": "image", "on_hub": True}

    def in_metadata(lead: str, traps: Traps) -> Files:
        named = [{"file_name": traps.named(lead) if row else "0.png", "label": row % 2} for row in range(10)]
        return {"train/metadata.jsonl": lines(named), "train/0.png": PICTURES[0]}

    def in_card(lead: str, traps: Traps) -> Files:
        text = f"---\nconfigs:\n- config_name: default\n  data_files: {traps.named(lead)}\n---\n"
        return {"README.md": text.encode(), "rows.csv": csv()}

    def in_rows(lead: str, traps: Traps) -> Files:
        return {"data/train.parquet": media([traps.named(lead)] * ROWS), "README.md": b"# Data\n"}

    yield from each("path", ELSEWHERE, in_rows, **rows)
    local = {"zeros": "/dev/zero", "http": "{address}/x.png", "chain": "file://{secret}::hf://a/b"}
    yield from each(
        "local-path", local, lambda lead, traps: {"train.parquet": media([traps.named(lead)] * ROWS)}, modality="image"
    )
    yield from each(
        "metadata", {name: ELSEWHERE[name] for name in ("climbing", "absolute", "http")}, in_metadata, **rows
    )
    yield from each("data-files", ELSEWHERE_IN_CARDS, in_card, on_hub=True)


def cards() -> Iterator[DatasetCase]:
    """Yield datasets whose card is false or a bomb, and datasets of code."""
    data, free = {"rows.csv": csv()}, {"accepted": "any", "on_hub": True}
    laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    one = "configs:\n- config_name: default\n  data_files: rows.csv\n"
    texts = {
        "alias-bomb": laughs + "configs: *i",
        "python-tag": "configs: !!python/object/apply:os.mkdir ['{marker}']",
        "nested": "configs: " + "[" * 20_000 + "]" * 20_000,
        "configs-of-numbers": "configs: [1, 2, 3]",
        "configs-without-names": "configs:\n- data_files: rows.csv\n- data_files: rows.csv",
        "control-codes": 'configs:\n- config_name: "\\e[2J\\e]0;owned\\a"\n  data_files: nothing.csv',
        "data-dir-absolute": "configs:\n- config_name: default\n  data_dir: {folder}",
        "data-dir-climbs": "configs:\n- config_name: default\n  data_dir: ../../..",
        "unknown-builder-option": f"{one}  converters: {{a: b}}",
        "catastrophic-separator": f"{one}  sep: '(a+ ?)+$'",
        "iterator-file": f"{one}  compression: zip",
        "giant-class-list": CLASSES_IN_CARD + ",".join(f"c{number}" for number in range(200_000)) + "]",
        "giant-number": "dataset_info:\n  splits:\n  - name: train\n    num_examples: 1" + "0" * 400,
        "not-utf-8": "license: \udcff\udcfe",
        "no-end": "configs:\n" + "- config_name: x\n  data_files: rows.csv\n" * 20_000,
        "of-60-megabytes": lambda: "x: " + "y" * 60_000_000,
    }

    def carded(text: str, traps: Traps) -> Files:
        return {"README.md": f"---\n{traps.named(text)}\n---\n".encode(errors="surrogateescape"), **data}

    yield from each("card", texts, carded, **free)
    infos = b'{"default": {"features": {"label": {"_type": "Payload"}}, "splits": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    yield case("infos-of-nonsense", {"dataset_infos.json": infos, **data}, **free)
    code = "import os\nos.mkdir('{marker}')\n"
    yield case("script", lambda traps: {"script.py": traps.named(code).encode()}, on_hub=True)
    yield case("setup", lambda traps: {"setup.py": traps.named(code).encode()}, on_hub=True)


def no_files() -> Iterator[DatasetCase]:
    """Yield folders with paths that are not regular files."""

    def fifo_beside(folder: Path, _: Traps) -> None:
        write_files(folder, {"train/rows.csv": csv()})
        os.mkfifo(folder / "train" / "pipe")

    def loop(folder: Path, _: Traps) -> None:
        (folder / "rows.csv").write_bytes(csv())
        (folder / "again").symlink_to(".")

    def bad_name(folder: Path, _: Traps) -> None:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe-rows.csv")).write_bytes(csv())

    yield DatasetCase("nothing-there", lambda folder, _: None, "empty")
    yield DatasetCase("fifo", lambda folder, _: os.mkfifo(folder / "rows.csv"))
    yield DatasetCase("fifo-beside", fifo_beside, accepted="clean")
    yield DatasetCase("link-loop", loop, accepted="clean")
    for name, target in {"itself": "rows.csv", "zeros": "/dev/zero"}.items():
        yield DatasetCase(f"link-to-{name}", lambda folder, _, to=target: (folder / "rows.csv").symlink_to(to))
    yield DatasetCase("folder-named-as-file", lambda folder, _: (folder / "rows.csv").mkdir())
    yield DatasetCase("not-readable-name", bad_name, accepted="any")
    state = b'{"_data_files": [{"filename": "../../../../etc/passwd"}], "_fingerprint": 7}'
    yield case("stored-with-nonsense", {"state.json": state, "dataset_info.json": b"[" * 3000})
    yield case("deep-folders", {"/".join([*["x"] * 400, "rows.csv"]): csv()}, accepted="any")
    yield case("20000-files", lambda _: {f"{number}.txt": b"" for number in range(20_000)}, accepted="any")


def dataset_cases() -> list[DatasetCase]:
    makers = (leading_elsewhere, cards, images, sounds, tables, texts, archives, no_files)
    return [one for maker in makers for one in maker()]
