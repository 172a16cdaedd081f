"""The process that scores uploads: its limits, and files that crash it."""

import sys
import time

from hf_transfer_score.uploads import box
from hf_transfer_score.uploads.box import score_in_box
from tests.uploads.made import forged_parquet, save_bfloat16, save_npz, scored_here


def test_files_are_scored_as_here_and_one_that_becomes_gigabytes_fails_alone(tmp_path):
    bomb = tmp_path / "bomb.parquet"
    bomb.write_bytes(forged_parquet())
    assert bomb.stat().st_size < 100_000
    files = [bomb, save_npz(tmp_path / "first.npz"), save_npz(tmp_path / "second.npz", 1)]
    found = score_in_box(files, ["ncti"])
    assert [one.status for one in found] == ["failed", "ok", "ok"]
    assert found[0].reason.startswith("It has 0 MB, 1831 MB unpacked; this Space takes 200 MB")
    here = scored_here(files[1:], ["ncti"])
    assert [one.results["ncti"].terms for one in found[1:]] == [one.results["ncti"].terms for one in here]


ENDS = """
import os, runpy, sys
from hf_transfer_score.uploads import scoring
read = scoring._read
def ends(path, reference):
    if path.stem == "kills":
        os.kill(os.getpid(), 9)
    if path.stem == "hangs":
        import time
        time.sleep(60)
    return read(path, reference)
scoring._read = ends
from hf_transfer_score.uploads import box
box.main()
"""


def test_a_file_that_ends_the_process_fails_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(box, "COMMAND", (sys.executable, "-c", ENDS))
    found = score_in_box([save_npz(tmp_path / f"{name}.npz") for name in ("first", "kills", "second")], ["ncti"])
    assert [one.status for one in found] == ["ok", "failed", "ok"]
    assert "that crashed its reader" in found[1].reason


def test_slow_scoring_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(box, "COMMAND", (sys.executable, "-c", ENDS))
    start = time.monotonic()
    found = score_in_box([save_npz(tmp_path / f"{name}.npz") for name in ("hangs", "other")], ["ncti"], seconds=1)
    assert time.monotonic() - start < 10
    assert {one.reason.split(". ")[0] for one in found} == {"It was not scored within the time limit of 1 seconds"}


LOADED = """
import sys
from hf_transfer_score.uploads import box
box.main()
print('{"place": 7, "loaded": "%s"}' % ("torch" in sys.modules))
"""


def test_short_floats_are_scored_without_torch(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(box, "COMMAND", (sys.executable, "-c", LOADED))
    take = box._Work.take
    monkeypatch.setattr(box._Work, "take", lambda work, line: told.append(line) or take(work, line))
    (found,) = score_in_box([save_bfloat16(tmp_path / "half.safetensors")], ["ncti"])
    assert found.status == "ok" and found.rows == 90
    assert '"loaded": "False"' in told[-1]
