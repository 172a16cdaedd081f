"""Files with one flipped bit are downloaded once more, then refused, and never used."""

import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hf_transfer_score.hub.downloads import sound_file
from hf_transfer_score.integrity import is_named
from tests.sampling.made import picture, texts

WEIGHTS = os.urandom(3000)
CLIENT = """
import sys
from pathlib import Path
from hf_transfer_score.checkpoints.candidate import parse_candidate
from hf_transfer_score.checkpoints.resolve import fetch
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.checkpoints.resolve import resolve
from hf_transfer_score.errors import CheckpointError
known, answer = Answers(Path(sys.argv[1])), {}

def ask(name):
    try:
        checkpoint = resolve(parse_candidate(f"own/{name}"), known)
        folder = fetch(checkpoint, ["model.safetensors", "vocab.txt", "config.json"]).folder
    except CheckpointError as error:
        return [error.kind, str(error)]
    return ["whole", (folder / "model.safetensors").read_bytes().hex()]

for name in ("flipped", "always", "small", "config", "honest"):
    answer[name] = ask(name)
blobs = Path(sys.argv[2]) / "hub" / "models--own--always" / "blobs"
answer["left"] = [path.stat().st_size for path in blobs.iterdir()]
blob = next(path for path in (blobs.parent.parent / "models--own--honest" / "blobs").iterdir()
            if path.stat().st_size == 3000)
content = bytearray(blob.read_bytes())
content[1234] ^= 8
blob.write_bytes(content)
answer["damaged on the disk"] = ask("honest")
"""


def test_flipped_bits(hub, run_client, hub_environment, tmp_path):
    files = {"config.json": '{"model_type": "bert"}', "model.safetensors": WEIGHTS, "vocab.txt": "a\nb\nc"}
    for name in ("flipped", "always", "small", "config", "honest"):
        hub.add(f"own/{name}", files)
    hub.fault("own/flipped/.*safetensors$", "flip", after=1234)
    hub.fault("own/always/.*safetensors$", "flip", after=1234, times=None)
    hub.fault("own/small/.*vocab.txt$", "flip", after=2, times=None)
    hub.fault("own/config/.*config.json$", "flip", after=3, times=None)
    got = run_client(CLIENT, hub_environment, str(tmp_path / "known"), hub_environment["HF_HOME"])
    whole = ["whole", WEIGHTS.hex()]
    assert got["flipped"] == got["honest"] == got["damaged on the disk"] == whole
    for name, file in {"always": "model.safetensors", "small": "vocab.txt", "config": "config.json"}.items():
        assert got[name][0] == "corrupt" and f"{file} arrived twice with content that does not match" in got[name][1]
    assert 3000 not in got["left"], "what is damaged does not stay"
    assert len(hub.asked("own/flipped/.*safetensors$", "GET")) == 2, "once more, and no more"
    assert len(hub.asked("own/always/.*safetensors$", "GET")) == 2


def test_a_hash_is_taken_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path / "home"))
    path = tmp_path / "blobs" / "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(path))
    read = []
    monkeypatch.setattr(
        "hf_transfer_score.hub.downloads.is_named", lambda *given: read.append(given) or is_named(*given)
    )
    assert [sound_file("a/b", "x", "c", {}) for _ in range(3)] == [Path(path)] * 3
    assert len(read) == 1


SAMPLES = """
import datasets, sys
datasets.config.STREAMING_READ_RETRY_INTERVAL = datasets.config.STREAMING_OPEN_RETRY_INTERVAL = 0
from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling import guarded
from hf_transfer_score.sampling.load import load_sample
answer, limits = {}, (guarded.MEMORY_BYTES, guarded.SMALL_BYTES)
for name in sys.argv[1].split():
    guarded.MEMORY_BYTES, guarded.SMALL_BYTES = (0, 0) if name.endswith("large") else limits
    try:
        sample = load_sample(f"own/{name}")
        answer[name] = sample.table.to_pylist().__repr__() + repr(sample.label_names)
    except DatasetError as error:
        answer[name] = str(error)
"""


def rows_as(kind: str) -> dict[str, bytes]:
    """Return the files of a dataset, the first of which holds the plain text "row 17"."""
    table, buffer = texts([0, 1] * 20).data.table, io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, buffer, compression="none", use_dictionary=False)
    elif kind == "arrow":
        pa.ipc.new_stream(buffer, table.schema).write_table(table)
    elif kind == "csv":
        table.to_pandas().to_csv(buffer, index=False)
    elif kind == "jsonl":
        table.to_pandas().to_json(buffer, orient="records", lines=True)
    else:
        lines = [{"file_name": f"{row}.png", "label": f"row {16 + row % 2}"} for row in range(6)]
        buffer.write("\n".join(map(json.dumps, lines)).encode())
        return {"train/metadata.jsonl": buffer.getvalue()} | {f"train/{row}.png": picture(row) for row in range(6)}
    return {f"train.{kind}": buffer.getvalue()}


def test_flipped_bits_of_rows(hub, run_client, hub_environment):
    names = []
    for kind in ("parquet", "arrow", "csv", "jsonl", "pictures"):
        files = rows_as(kind)
        name, content = next(iter(files.items()))
        for state, times in (("honest", 0), ("once", 1), ("large", 1), ("always", None)):
            hub.add(f"own/{kind}-{state}", files, kind="dataset")
            hub.fault(f"own/{kind}-{state}/.*{name}$", "flip", after=content.index(b"row 17") + 4, times=times)
            names.append(f"{kind}-{state}")
    got = run_client(SAMPLES, hub_environment | {"USE_TORCH": "0"}, " ".join(names))
    for name in names:
        if name.endswith("always"):
            assert "arrived 2 times with content that does not match" in got[name]
        else:
            assert got[name] == got[f"{name.partition('-')[0]}-honest"] and "row 17" in got[name]
