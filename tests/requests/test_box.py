"""The box of a job: its limits, its environment, and its removal."""

import os
import platform
import re
import sys
import time

import psutil
import pytest

from hf_transfer_score.errors import OptionError
from hf_transfer_score.requests.box import BoxLimits, folder_of_job, run_in_box, size_of

LIMITS = BoxLimits(memory=5 * 10**8, seconds=20, disk=20_000_000)


def run(tmp_path, code, limits=LIMITS):
    return run_in_box([sys.executable, "-c", code], tmp_path / "box", limits)


CHILD = "a = bytearray(300 << 20); import time; time.sleep(60)"


@pytest.mark.parametrize(
    ("code", "limits", "over"),
    [
        ("a = bytearray(700 << 20); import time; time.sleep(60)", LIMITS, "memory"),
        (
            f"import subprocess as s, sys; [s.Popen([sys.executable, '-c', {CHILD!r}]) for _ in 'ab'][0].wait()",
            LIMITS,
            "memory",
        ),
        ("import time; time.sleep(60)", BoxLimits(memory=5 * 10**8, seconds=1), "time"),
        ("import time; open('x', 'wb').write(bytes(30 << 20)); time.sleep(60)", LIMITS, "disk"),
    ],
    ids=["memory", "memory of children", "time", "disk"],
)
def test_a_process_that_exceeds_a_limit_is_killed(tmp_path, code, limits, over):
    ended = run(tmp_path, code, limits)
    assert ended.over == over and ended.code < 0


def test_no_process_gets_away(tmp_path):
    code = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(61.5)'], start_new_session=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(62)\n"
        "print('done', flush=True)\nos._exit(0)"
    )
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    ended = run(tmp_path, code)
    assert (ended.code, ended.over) == (0, None)
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before


def test_no_secret_is_in_its_environment(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(name, "hidden-value")
    code = "import os; print('\\n'.join(f'{n}={v}' for n, v in os.environ.items())); print(os.getcwd(), os.listdir())"
    assert run(tmp_path, code).code == 0
    said = (tmp_path / "box" / "log").read_text()
    assert "hidden-value" not in said and "HF_HUB_DISABLE_IMPLICIT_TOKEN=1" in said
    assert f"HOME={tmp_path / 'box' / 'home'}\n" in said
    assert said.splitlines()[-1].endswith("nowhere []")


def test_folders_of_ended_jobs_and_dead_workers_are_removed(tmp_path):
    gone = 2**22 + 1  # beyond the largest process id
    here = re.sub("[^A-Za-z0-9]", "", platform.node())
    (tmp_path / f"{here}-{gone}-0" / "kept").mkdir(parents=True)
    left = {f"{here}-{os.getpid()}-0", f"another-{gone}-0"}  # of a process that lives, and of another machine
    for name in left:
        (tmp_path / name).mkdir()
    with folder_of_job(tmp_path) as folder:
        (folder / "file").write_bytes(bytes(5000))
        assert 5000 <= size_of(folder) <= 50_000
        assert {one.name for one in tmp_path.iterdir()} == {*left, folder.name}
    assert not folder.exists()


def test_invalid_limits_are_refused():
    with pytest.raises(OptionError, match="memory=10: expected at least"):
        BoxLimits(memory=10)
    assert str(BoxLimits()) == "12 GB of memory, 3600 s and 20 GB of disk"


def test_a_box_is_waited_for_no_longer_than_it_runs(tmp_path):
    start = time.monotonic()
    assert run(tmp_path, "").code == 0
    assert time.monotonic() - start < 10
