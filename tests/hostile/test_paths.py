"""A dataset reaches its own files only, whatever its rows, its card or its archives name.

One process with the real clients opens every dataset; the log of the local Hub and a second server, which nobody may
ask, tell what was reached.
"""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.reach import MOST_MEDIA_BYTES, Reach, read_media
from tests.conftest import clean_environment
from tests.hostile.limited import run_python
from tests.hub.server import LocalHub
from tests.sampling.made import picture

CLIENT = """
import json, os, sys
from pathlib import Path
import datasets
datasets.disable_progress_bars()
datasets.config.STREAMING_READ_RETRY_INTERVAL = datasets.config.STREAMING_OPEN_RETRY_INTERVAL = 0
datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 2
from hf_transfer_score.errors import TransferScoreError
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions

def ask(what, **options):
    try:
        sample = load_sample(what() if callable(what) else what, SampleOptions(**options))
    except TransferScoreError as error:
        return ["refused", str(error)]
    return ["read", len(sample), sample.table.column("input").to_pylist()[0][:4].hex()]

answers = {}
for name, what in json.load(open(sys.argv[1])).items():
    answers[name] = ask(eval(what) if what.startswith("lambda") else what)
print(json.dumps(answers))
"""

ROWS = 8
FORMATS = ("csv", "json", "tar", "folder", "sounds")


def rows(path: str, **more: object) -> bytes:
    """Return a Parquet file whose images are one path."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": None, "path": path}] * ROWS, pa.struct({"bytes": pa.binary(), "path": pa.string()})
            ),
            "label": pa.array([0, 1] * (ROWS // 2)),
        }
    ).cast(features.arrow_schema)
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), buffer)
    return buffer.getvalue()


def sounds(path: str) -> bytes:
    features = datasets.Features({"audio": datasets.Audio(), "label": datasets.ClassLabel(names=["a", "b"])})
    kind = features.arrow_schema.field("audio").type
    table = pa.table({"audio": pa.array([{"bytes": None, "path": path}] * ROWS, kind), "label": [0, 1] * (ROWS // 2)})
    buffer = io.BytesIO()
    parquet.write_table(table.cast(features.arrow_schema), buffer)
    return buffer.getvalue()


def card(text: str) -> bytes:
    return f"---\n{text}\n---\n".encode()


IMAGE_ROWS = "dataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype: int64\n"
BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
TABLE = b"text,label\na,0\nb,1\nc,0\nd,1\n"


def tables(path: str) -> dict[str, dict[str, bytes]]:
    """Return datasets whose rows are one path, in each format that can hold paths."""
    lines = "".join(json.dumps({"image": path, "label": row % 2}) + "\n" for row in range(ROWS))
    members = io.BytesIO()
    with tarfile.open(fileobj=members, mode="w") as tar:
        for row in range(ROWS):
            for ending, content in (("image", path.encode()), ("label", str(row % 2).encode())):
                about = tarfile.TarInfo(f"{row}.{ending}.txt")
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
    names = "image.txt", "label.txt"
    tar_card = "dataset_info:\n  features:\n" + "".join(
        f"  - name: {name}\n    dtype: {kind}\n" for name, kind in zip(names, ("image", "string"), strict=True)
    )
    return {
        "parquet": {"train.parquet": rows(path)},
        "sounds": {"train.parquet": sounds(path)},
        "csv": {
            "train.csv": ("image,label\n" + f'"{path}",0\n"{path}",1\n' * 4).encode(),
            "README.md": card(IMAGE_ROWS),
        },
        "json": {"train.jsonl": lines.encode(), "README.md": card(IMAGE_ROWS)},
        "tar": {"train.tar": members.getvalue(), "README.md": card(tar_card)},
        "folder": {
            **{f"{row}.png": picture(row) for row in range(ROWS)},
            "metadata.jsonl": "".join(
                json.dumps({"file_name": path, "label": row % 2}) + "\n" for row in range(ROWS)
            ).encode(),
        },
    }


class Reached:
    """A local server that nobody may ask, and how often somebody did."""

    def __enter__(self) -> Reached:
        self.asked: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096))

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def fill(hub: LocalHub, folder: Path, elsewhere: str) -> dict[str, str]:
    """Put hostile datasets on the Hub and on the disk; return what to ask for by name."""
    secret = folder / "secret.png"
    secret.write_bytes(picture(1))
    hub.add("victim/private", {"x.png": picture(2), "x.csv": TABLE}, kind="dataset", private=True, readers=["runner"])
    hub.users["hf_runner"] = "runner"
    here = folder / "there"
    victim = f"hf://datasets/victim/private@{hub.repository('victim/private', 'dataset').head.name}/x.png"
    paths = {
        "chain": f"file://{secret}::hf://datasets/owner/d/README.md",
        "file": f"file://{secret}",
        "absolute": str(secret),
        "up": f"../../../../../../../../{secret}",
        "zero": "/dev/zero",
        "zero chain": "file:///dev/zero::hf://datasets/owner/d/README.md",
        "http": f"{elsewhere}/x.png",
        "zip of http": f"zip://x.png::{elsewhere}/x.zip",
        "other repository": victim,
        "other without commit": "hf://datasets/victim/private/x.png",
        "model": "hf://victim/model/x.png",
        "memory": "memory://x.png",
        "simplecache": f"simplecache::{elsewhere}/x.png",
        "proc": "/proc/self/environ",
    }
    calls = {}
    for number, (what, path) in enumerate(paths.items()):
        for kind, files in tables(path).items():
            if kind != "parquet" and number != FORMATS.index(kind):
                continue  # one function decides for all formats, so each of the others meets one path
            name = f"owner/{kind}-{what.replace(' ', '-')}"
            hub.add(name, files, kind="dataset")
            calls[f"hub {kind} {what}"] = name
            if kind in ("parquet", "csv"):
                place = here / kind / what.replace(" ", "-")
                place.mkdir(parents=True)
                for file, content in files.items():
                    (place / file).write_bytes(content)
                calls[f"local {kind} {what}"] = str(place)
    for what, files in cards(elsewhere, secret).items():
        hub.add(f"owner/card-{what}", files, kind="dataset")
        calls[f"hub card {what}"] = f"owner/card-{what}"
        place = here / "cards" / what
        for file, content in files.items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(content)
        calls[f"local card {what}"] = str(place)
    loaded = "datasets.load_dataset('owner/parquet-{}', split='train'{})"
    for what in ("absolute", "file", "other-repository"):
        calls[f"stream {what}"] = f"lambda: {loaded.format(what, ', streaming=True')}"
        calls[f"prepared {what}"] = f"lambda: {loaded.format(what, '')}"
    return calls | on_disk(here, secret)


def cards(elsewhere: str, secret: Path) -> dict[str, dict[str, bytes]]:
    """Return datasets whose descriptions ask for more than their own files."""
    patterns = {
        "http": f"{elsewhere}/x.csv",
        "other": "hf://datasets/victim/private/x.csv",
        "model": "hf://victim/private/x.csv",
        "chain": f"gzip://x.csv::{elsewhere}/x.csv.gz",
        "up": "../../x.csv",
        "absolute": str(secret.with_name("*.csv")),
        "file": f"file://{secret}",
        "home": "~/x.csv",
        "scheme": "http:x.csv",
    }
    found = {
        name: {"README.md": card(f"configs:\n- config_name: a\n  data_files: {json.dumps(one)}"), "x.csv": TABLE}
        for name, one in patterns.items()
    }
    by_split = f"configs:\n- config_name: a\n  data_files:\n  - split: train\n    path: [x.csv, {elsewhere}/x.csv]"
    second = f"configs:\n- config_name: a\n  data_files: x.csv\n- config_name: b\n  data_files: {elsewhere}/x.csv"
    return found | {
        "split": {"README.md": card(by_split), "x.csv": TABLE},
        "second": {"README.md": card(second), "x.csv": TABLE},
        "folder": {"README.md": card("configs:\n- config_name: a\n  data_dir: /etc"), "x.csv": TABLE},
        "yaml": {
            ".huggingface.yaml": f"configs:\n- config_name: a\n  data_files: {elsewhere}/x.csv\n".encode(),
            "x.csv": TABLE,
        },
        "bomb": {".huggingface.yaml": BOMB.encode(), "x.csv": TABLE},
        "hdf5": {"x.h5": b"\x89HDF\r\n\x1a\n" + bytes(100)},
        "iceberg": {"task.toml": b'a = "b"', "instruction.md": b"c"},
    }


def on_disk(here: Path, secret: Path) -> dict[str, str]:
    """Return hostile datasets that only a disk can hold: links, FIFOs, saved ones."""
    links = here / "links"
    links.mkdir()
    (links / "rows.csv").write_text("image,label\n" + "x.png,0\nx.png,1\n" * 4)
    (links / "README.md").write_bytes(card(IMAGE_ROWS))
    (links / "x.png").symlink_to(secret)
    fifo = here / "fifo"
    fifo.mkdir()
    (fifo / "rows.csv").write_text("image,label\n" + "x.png,0\nx.png,1\n" * 4)
    (fifo / "README.md").write_bytes(card(IMAGE_ROWS))
    os.mkfifo(fifo / "x.png")
    linked = here / "linked"
    linked.mkdir()
    (secret.parent / "other.csv").write_bytes(TABLE)
    (linked / "x.csv").symlink_to(secret.parent / "other.csv")
    saved = here / "saved"
    datasets.Dataset.from_dict({"text": list("abcd"), "label": [0, 1, 0, 1]}).save_to_disk(saved)
    (saved / "data-00000-of-00001.arrow").rename(secret.parent / "x.arrow")
    state = json.loads((saved / "state.json").read_text())
    state["_data_files"] = [{"filename": "../../x.arrow"}]
    (saved / "state.json").write_text(json.dumps(state))
    return {f"local {place.name}": str(place) for place in (links, fifo, linked, saved)}


def honest(hub: LocalHub, folder: Path) -> dict[str, str]:
    """Return datasets whose paths are their own, which are read."""
    files = {f"train/{'ab'[row % 2]}/{row}.png": picture(row) for row in range(ROWS)}
    metadata = "file_name,label\n" + "".join(f"{name},{name[6]}\n" for name in files)
    hub.add("honest/folder", files, kind="dataset")
    hub.add("honest/csv", {**files, "metadata.csv": metadata.encode()}, kind="dataset")
    place = folder / "honest"
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    outside = folder / "outside"
    outside.mkdir()
    (outside / "README.md").write_bytes(card(IMAGE_ROWS))
    (outside / "rows.csv").write_text(
        "image,label\n" + "".join(f"{place / name},{int(name[6] == 'b')}\n" for name in files)
    )
    named = repr(str(outside))
    hub_cache = "Path(os.environ['HF_HOME']) / 'hub/datasets--honest--folder/snapshots'"
    return {
        "honest folder": "honest/folder",
        "honest csv": "honest/csv",
        "honest stream": "lambda: datasets.load_dataset('honest/folder', split='train', streaming=True)",
        "honest prepared": "lambda: datasets.load_dataset('honest/folder', split='train')",
        "honest local": str(place),
        "honest named folder": f"lambda: os.environ.update(HF_TRANSFER_SCORE_FOLDERS={str(place)!r}) or {named}",
        "honest snapshot": f"lambda: str(next(({hub_cache}).iterdir()))",
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths")
    with LocalHub(folder / "hub") as hub, Reached() as other:
        calls = fill(hub, folder, other.address) | honest(hub, folder)
        (folder / "calls.json").write_text(json.dumps(calls))
        environment = clean_environment(folder / "home", hub.endpoint) | {"USE_TORCH": "0", "HF_TOKEN": "hf_runner"}
        done = run_python(
            CLIENT, folder / "calls.json", seconds=120, megabytes=1500, environment=environment, folder=folder
        )
        assert done.clean and done.code == 0, done.err[-3000:]
        yield json.loads(done.out.splitlines()[-1]), hub, other, done


def test_nothing_but_own_files_is_read(asked):
    answers, *_ = asked
    hostile = {name: answer for name, answer in answers.items() if not name.startswith("honest")}
    assert len(hostile) > 60
    assert {name: answer for name, answer in hostile.items() if answer[0] != "refused"} == {}


def test_what_is_said(asked):
    answers, *_ = asked
    said = {name: answer[1] for name, answer in answers.items() if answer[0] == "refused"}
    assert "no such file of its own" in said["hub parquet chain"]
    assert "HF_TRANSFER_SCORE_FOLDERS" in said["local parquet absolute"]
    assert "outside the dataset" in said["hub card http"] and "outside the dataset" in said["local card second"]
    assert "'hdf5' reader" in said["hub card hdf5"] and "regular file" in said["local fifo"]
    assert "leads out of the dataset's folder" in said["local links"]


def test_nobody_else_is_asked(asked):
    _, hub, other, _ = asked
    assert other.asked == []
    assert [request.path for request in hub.asked("victim")] == []


def test_own_files_are_read(asked):
    answers, *_ = asked
    found = {name: answer for name, answer in answers.items() if name.startswith("honest")}
    assert {name: answer for name, answer in found.items() if answer != ["read", ROWS, "89504e47"]} == {}


def test_a_zip_is_read_where_it_lies_in_the_folder(tmp_path):
    inside, outside = tmp_path / "a" / "x.zip", tmp_path / "b" / "x.zip"
    for place in (inside, outside):
        place.parent.mkdir()
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.png", picture(1))
            archive.writestr("zeros", bytes(MOST_MEDIA_BYTES + 1))
    reach = Reach.of_folder(inside.parent)
    assert read_media(["path", f"zip://x.png::{inside}"], "d", reach) == picture(1)
    for path, said in {
        f"zip://x.png::{outside}": "leads out",
        f"zip://none.png::{inside}": "cannot be read",
        f"zip://zeros::{inside}": "larger than 64 MiB",
        f"zip://x.png::zip://y.zip::{inside}": "no such file",
        f"zip://file:///x::{inside}": "no such file",
    }.items():
        with pytest.raises(DatasetError, match=said):
            read_media(["path", path], "d", reach)


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/mem", "/dev/tty"])
def test_files_without_end_are_refused_wherever_they_are_allowed(path):
    with pytest.raises(DatasetError, match="regular file|cannot be used|no such file"):
        read_media(["path", path], "d", Reach(anywhere=True))
