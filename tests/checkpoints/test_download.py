"""Downloading weights, and removing them again."""

CODE = """
import sys, time
from pathlib import Path
from hf_transfer_score.checkpoints.candidate import parse_candidate
from hf_transfer_score.checkpoints.resolve import fetch, missing_bytes, on_disk
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.checkpoints.resolve import resolve
from hf_transfer_score.errors import CheckpointError
known = Answers(Path(sys.argv[1]))
checkpoint = resolve(parse_candidate("own/model"), known)
"""

FREE = """
wanted = ["sub/model.safetensors", "config.json", "vocab.txt"]
before = missing_bytes(checkpoint, wanted)
fetched = fetch(checkpoint, wanted)
there = sorted(path.relative_to(fetched.folder).as_posix() for path in fetched.folder.rglob("*") if path.is_file())
between = missing_bytes(checkpoint, wanted)
again = fetch(checkpoint, wanted).downloaded
freed = fetched.free()
left = [path.name for path in fetched.folder.rglob("*") if path.is_file() or path.is_symlink()]
blobs = [path.stat().st_size for path in (fetched.folder.parents[1] / "blobs").iterdir()]
answer = dict(before=before, there=there, between=between, again=again, freed=freed, left=left, blobs=blobs)
answer |= dict(after=missing_bytes(checkpoint, wanted), twice=fetched.free(), name=fetched.folder.name)
"""


def test_files_come_once_and_go_when_freed(hub, run_client, hub_environment, tmp_path):
    files = {"config.json": "{}", "sub/model.safetensors": b"x" * 300_000, "vocab.txt": "a\nb", "other.bin": b"y" * 99}
    hub.add("own/model", files)
    got = run_client(CODE + FREE, hub_environment, str(tmp_path / "known"))
    assert (got["before"], got["between"], got["again"]) == (300_003, 0, []), "config.json came with the questions"
    assert got["there"] == ["config.json", "sub/model.safetensors", "vocab.txt"]
    assert (got["freed"], got["after"], got["twice"]) == (300_003, 300_003, 0)
    assert got["left"] == ["config.json"] and got["blobs"] == [2], "what was there before stays"
    assert got["name"] == hub.repository("own/model").head.name
    assert hub.sent("model.safetensors") == 300_000 and not hub.asked("other.bin")


REFUSED = """
from dataclasses import replace
answer = []
for name, size in (("model.safetensors", 10), ("gone.safetensors", 5)):
    sizes = {"model.safetensors": size, "gone.safetensors": size}
    asked = replace(checkpoint, repository=replace(checkpoint.repository, sizes=sizes))
    start = time.monotonic()
    try:
        fetch(asked, [name])
    except CheckpointError as error:
        answer.append([error.kind, str(error), time.monotonic() - start])
answer.append(on_disk(checkpoint, "model.safetensors"))
"""


def test_files_that_are_not_what_was_promised(hub, run_client, hub_environment, tmp_path):
    hub.add("own/model", {"config.json": "{}", "model.safetensors": b"x" * 4})
    short, gone, left = run_client(CODE + REFUSED, hub_environment, str(tmp_path / "known"))
    assert short[:2] == ["download", "model.safetensors arrived with 4 bytes of 10; try again"]
    assert left is None, "what is not whole does not stay"
    assert gone[0] == "download" and gone[1].startswith("could not be downloaded: the Hub answered 404")
    assert gone[2] < 2, "nobody waits for a file that is not there"
