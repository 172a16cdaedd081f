"""Full disks at each point of a run: one sentence, exit status 2, and the same numbers once there is space."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.limited import run_python
from tests.runs.pool import PICTURES
from tests.runs.warm import FILE_BYTES, Done, Warm

RANK = ("rank", PICTURES, "--models", "good/resnet", "good/vit", "--replicates", "20", "--json", "--quiet")
PLENTY = 50_000


@contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of a given size at a folder; skips the test for users who may not."""
    folder.mkdir(exist_ok=True, parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)], check=False)
    if done.returncode:
        pytest.skip("only root may mount a small disk; the tests with a limit on files do the same")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def resize(folder: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True)


def on(warm: Warm, home: Path, *arguments: str, **environment: str) -> Done:
    return warm.run(*RANK, *arguments, HF_TRANSFER_SCORE_HOME=str(home), **environment)


def numbers(done: Done) -> dict[str, object]:
    assert done.status == 0, done.err
    models = {name: one["scores"] for name, one in done.models.items()}
    terms = {
        name: {metric: result["terms"] for metric, result in scores["results"].items()}
        for name, scores in models.items()
    }
    return {"terms": terms, "ranks": done.report["mean_ranks"], "intervals": done.report["intervals"]}


def assert_told(done: Done, folder: Path) -> None:
    assert done.status == 2, (done.status, done.err)
    assert "Traceback" not in done.err and done.err.count("error: ") == 1
    line = done.err.strip().splitlines()[-1]
    assert line.startswith("error: There is no room for ") and str(folder) in line
    assert "Make room there, or " in line


@pytest.fixture(scope="module")
def reference(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The results of a run with enough space."""
    return numbers(on(warm, tmp_path_factory.mktemp("roomy")))


@pytest.mark.parametrize("kilobytes", [0, 28, 76, 84, 92])
def test_a_full_disk_at_each_step_of_a_run(warm, tmp_path, reference, kilobytes):
    with disk(tmp_path / "disk", max(4, kilobytes)) as folder:
        if not kilobytes:
            (folder / "full").write_bytes(b"x" * 4096)
        saved = ("--save", str(folder / "records"))
        done = on(warm, folder / "home", *saved)
        assert_told(done, folder)
        if done.out:  # the ranking that was printed is whole
            assert done.report["ranks"]
        resize(folder, PLENTY)
        assert numbers(on(warm, folder / "home", *saved)) == reference
        assert len(list((folder / "records").rglob("*.json"))) == 21


@pytest.mark.parametrize("most", [10_000, 20_000])
def test_files_that_may_not_grow_at_each_step_of_a_run(warm, tmp_path, reference, most):
    without = [one for one in RANK if one != "--json"]  # what is printed goes to a file here, with the same limit
    home = str(tmp_path / "home")
    done = warm.run(*without, **{FILE_BYTES: str(most), "HF_TRANSFER_SCORE_HOME": home})
    assert_told(done, tmp_path / "home")
    assert "files there may not become that large" in done.err
    assert numbers(on(warm, tmp_path / "home")) == reference


def test_weights_without_room_are_a_row_and_the_end_of_the_run_says_so(warm, tmp_path):
    with disk(warm.hub_cache, 400) as folder:
        done = on(warm, tmp_path / "home")
        assert_told(done, folder)
        assert "--free-disk" in done.err and "1 models" not in done.err
        assert done.models["good/resnet"]["kind"] == "no_space"
        assert done.report["ranks"] == {"good/vit": 1}


WRITE = """
import resource, sys
import numpy as np
from pathlib import Path
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.errors import NoSpaceError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
writer = FeatureCache(Path(sys.argv[1]), 10**9).writer("key", 1000)
try:
    writer.write(np.arange(1000), {"last": np.ones((1000, 64))}, None)
except NoSpaceError as error:
    writer.discard()
    print(error)
"""


def test_features_have_their_room_before_they_are_mapped(tmp_path):
    done = run_python(WRITE, tmp_path, seconds=20, megabytes=400)
    assert done.clean and done.code == 0
    assert f"features in {tmp_path}" in done.out and "at least 256,000 bytes are needed" in done.out
    assert list(tmp_path.iterdir()) == []


def test_an_output_on_a_full_disk_keeps_the_old_file(tmp_path):
    code = (
        "import resource, sys, pathlib\n"
        "from hf_transfer_score.home import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "write_text(pathlib.Path(sys.argv[1]), 'x' * 10000)\n"
    )
    path = tmp_path / "out.json"
    path.write_text("old")
    done = run_python(code, path)
    assert "NoSpaceError: There is no room for out.json" in done.err and "at least 10,000 bytes" in done.err
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
