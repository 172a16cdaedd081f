"""A dataset reads only its own files, whatever its rows, its card or its archives name.

One process with the real clients opens every dataset; traps show what was read.
"""

import json
import os
import zipfile
from pathlib import Path

import datasets
import pytest

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.reach import MOST_MEDIA_BYTES, Reach, read_media
from tests.conftest import clean_environment
from tests.hostile.dataset_making import Files, lines, sounding, tar
from tests.hostile.datasets import ELSEWHERE, leading_elsewhere
from tests.hostile.limited import run_python
from tests.hostile.traps import PRIVATE, Traps
from tests.hub.repositories import write_files
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
TABLE = b"text,label\na,0\nb,1\nc,0\nd,1\n"
IMAGE_ROWS = "dataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype: int64\n"
BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def card(text: str) -> bytes:
    return f"---\n{text}\n---\n".encode()


def csv_of(path: object) -> Files:
    """Return a dataset whose images are one path, in a .csv file."""
    rows = f'"{path}",0\n"{path}",1\n' * 4
    return {"rows.csv": f"image,label\n{rows}".encode(), "README.md": card(IMAGE_ROWS)}


def in_formats(path: str) -> dict[str, Files]:
    """Return datasets whose rows are one path, in each format that can hold paths except Parquet files of images."""
    named = [{"image": path, "label": row % 2} for row in range(ROWS)]
    members = {f"{row}.image.txt": path.encode() for row in range(ROWS)}
    members |= {f"{row}.label.txt": str(row % 2).encode() for row in range(ROWS)}
    features = "".join(
        f"  - name: {one}.txt\n    dtype: {kind}\n" for one, kind in (("image", "image"), ("label", "string"))
    )
    pictures = {f"{row}.png": picture(row) for row in range(ROWS)}
    in_folder = [{"file_name": path, "label": row % 2} for row in range(ROWS)]
    return {
        "sounds": {"train.parquet": sounding([path] * ROWS)},
        "csv": csv_of(path),
        "json": {"train.jsonl": lines(named), "README.md": card(IMAGE_ROWS)},
        "tar": {"train.tar": tar(members), "README.md": card(f"dataset_info:\n  features:\n{features}")},
        "folder": {**pictures, "metadata.jsonl": lines(in_folder)},
    }


def described(traps: Traps) -> dict[str, Files]:
    """Return datasets whose descriptions name other files, in other ways than the data files of a card."""
    settings = f"configs:\n- config_name: a\n  data_files: {traps.address}/x.csv\n"
    return {
        "folder": {"README.md": card("configs:\n- config_name: a\n  data_dir: /etc"), "x.csv": TABLE},
        "yaml": {".huggingface.yaml": settings.encode(), "x.csv": TABLE},
        "bomb": {".huggingface.yaml": BOMB.encode(), "x.csv": TABLE},
        "hdf5": {"x.h5": b"\x89HDF\r\n\x1a\n" + bytes(100)},
        "iceberg": {"task.toml": b'a = "b"', "instruction.md": b"c"},
    }


def fill(hub: LocalHub, traps: Traps, folder: Path) -> dict[str, str]:
    """Put hostile datasets on the Hub and on the disk, and return how to open each by name."""
    calls = {}

    def both(name: str, files: Files) -> None:
        hub.add(f"owner/{name}", files, kind="dataset")
        write_files(folder / name, files)
        calls.update({f"hub {name}": f"owner/{name}", f"local {name}": str(folder / name)})

    for case in leading_elsewhere():
        place = folder / case.name
        place.mkdir()
        case.write(place, traps)
        hub.add(f"owner/{case.name}", place, kind="dataset")
        calls |= {f"hub {case.name}": f"owner/{case.name}", f"local {case.name}": str(place)}
    for (what, lead), kind in zip(ELSEWHERE.items(), ("csv", "json", "tar", "folder", "sounds"), strict=False):
        both(f"{kind}-{what}", in_formats(traps.named(lead))[kind])  # one function decides for all formats
    for what in ("absolute", "http", "zeros", "environment"):
        both(f"csv-of-{what}", csv_of(traps.named(ELSEWHERE[what])))
    for what, files in described(traps).items():
        both(f"card-{what}", files)
    for what in ("absolute", "file-scheme", "another-commit"):
        loaded = f"datasets.load_dataset('owner/path-{what}', split='train'"
        calls[f"stream {what}"] = f"lambda: {loaded}, streaming=True)"
        calls[f"prepared {what}"] = f"lambda: {loaded})"
    return calls | on_disk(folder, traps)


def on_disk(here: Path, traps: Traps) -> dict[str, str]:
    """Return hostile datasets that exist only on disk: links, FIFOs, saved ones."""
    for name in ("links", "fifo"):
        write_files(here / name, csv_of("x.png"))
    (here / "links" / "x.png").symlink_to(traps.secret)
    os.mkfifo(here / "fifo" / "x.png")
    (here / "linked").mkdir()
    (here / "linked" / "x.csv").symlink_to(traps.secret.with_suffix(".csv"))
    saved = here / "saved"
    datasets.Dataset.from_dict({"text": list("abcd"), "label": [0, 1, 0, 1]}).save_to_disk(saved)
    (saved / "data-00000-of-00001.arrow").rename(traps.folder / "x.arrow")
    state = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps(state | {"_data_files": [{"filename": "../../traps/x.arrow"}]}))
    return {f"local {name}": str(here / name) for name in ("links", "fifo", "linked", "saved")}


def honest(hub: LocalHub, folder: Path) -> dict[str, str]:
    """Return valid datasets with paths to their own files."""
    files = {f"train/{'ab'[row % 2]}/{row}.png": picture(row) for row in range(ROWS)}
    metadata = "file_name,label\n" + "".join(f"{name},{name[6]}\n" for name in files)
    hub.add("honest/folder", files, kind="dataset")
    hub.add("honest/csv", {**files, "metadata.csv": metadata}, kind="dataset")
    place, outside = folder / "honest", folder / "outside"
    write_files(place, files)
    rows = "image,label\n" + "".join(f"{place / name},{int(name[6] == 'b')}\n" for name in files)
    write_files(outside, {"README.md": card(IMAGE_ROWS), "rows.csv": rows})
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


def test_datasets_reach_their_own_files_only(tmp_path):
    with LocalHub(tmp_path / "hub") as hub, Traps(tmp_path / "traps", hub) as traps:
        private = hub.repository(PRIVATE, "dataset")
        private.private, private.readers, hub.users["hf_runner"] = True, {"runner"}, "runner"
        (tmp_path / "there").mkdir()
        calls = fill(hub, traps, tmp_path / "there") | honest(hub, tmp_path)
        (tmp_path / "calls.json").write_text(json.dumps(calls))
        environment = clean_environment(tmp_path / "home", hub.endpoint) | {"USE_TORCH": "0", "HF_TOKEN": "hf_runner"}
        limits = {"seconds": 120, "megabytes": 1500, "environment": environment, "folder": tmp_path}
        done = run_python(CLIENT, tmp_path / "calls.json", **limits)
        assert done.clean and done.code == 0, done.err[-3000:]
        assert traps.sprung(tmp_path / "home", said=done.out + done.err) == "", "nobody else is asked"
    answers = json.loads(done.out.splitlines()[-1])
    own = {name: answer for name, answer in answers.items() if name.startswith("honest")}
    assert {name: answer for name, answer in own.items() if answer != ["read", ROWS, "89504e47"]} == {}
    hostile = {name: answer for name, answer in answers.items() if name not in own}
    assert len(hostile) > 120
    assert {name: answer for name, answer in hostile.items() if answer[0] != "refused"} == {}
    said = {name: answer[1] for name, answer in hostile.items()}
    assert "no such file of its own" in said["hub path-chain-to-the-hub"]
    assert "HF_TRANSFER_SCORE_FOLDERS" in said["local path-absolute"]
    assert "outside the dataset" in said["hub data-files-http"]
    assert "outside the dataset" in said["local data-files-second-configuration"]
    assert "'hdf5' reader" in said["hub card-hdf5"] and "regular file" in said["local fifo"]
    assert "leads out of the dataset's folder" in said["local links"]


def test_a_zip_file_is_read_only_within_the_folder(tmp_path):
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
