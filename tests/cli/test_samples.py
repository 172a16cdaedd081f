"""What the files of a pool must share, what they are called, and in which order they come."""

import json
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score import rank_features
from hf_transfer_score.cli.score_files import name_models
from hf_transfer_score.errors import OptionError
from tests.cli.pool import FILES, LABELS, POOL


class TestLabels:
    def test_one_file_of_labels_for_all(self, folder, run):
        for name, matrix in POOL.items():
            np.save(f"{name}.npy", matrix)
        np.save("truth.npy", LABELS)
        _, out, _ = run(
            "score", *[f"{name}.npy" for name in POOL], "--labels", "truth.npy", "--metrics", "nc1", "--json"
        )
        expected = rank_features(POOL, LABELS, metrics=["nc1"])
        assert json.loads(out)["pools"]["nc1"]["scores"] == expected.pools["nc1"].scores

    def test_labels_beside_are_no_model(self, folder, run):
        np.save("far.npy", POOL["far"])
        np.save("near.npy", POOL["near"])
        np.save("labels.npy", LABELS)
        status, out, _ = run("score", "far.npy", "labels.npy", "near.npy", "--metrics", "face,ncti")
        assert status == 0
        assert "2 of 2 models ranked" in out

    def test_different_labels_are_no_pool(self, folder, run):
        np.savez("other.npz", features=POOL["far"], labels=np.where(np.arange(100) == 60, 3, LABELS))
        status, out, err = run("score", "far.npz", "other.npz")
        assert (status, out) == (1, "")
        assert err.startswith(
            "error: far and other are not on the same sample: labels differ in 1 of 100 rows, the first in row 60: "
            "2 and 3. A pool is ranked on one sample"
        )

    @pytest.mark.parametrize(
        ("arrays", "wording"),
        [
            ({"labels": LABELS[:90]}, "labels of shapes (100,) and (90,)"),
            ({"targets": POOL["far"][:, 0]}, "only one of them has labels"),
            ({"labels": LABELS, "targets": POOL["far"][:, 0]}, "only one of them has targets"),
            ({"labels": np.array(["a", "b", "c", "d"])[LABELS]}, "only one of them has labels in words"),
        ],
    )
    def test_other_ways_to_differ(self, folder, run, arrays, wording):
        np.savez("other.npz", features=POOL["far"][: len(next(iter(arrays.values())))], **arrays)
        status, _, err = run("score", "far.npz", "other.npz")
        assert status == 1
        assert wording in err

    def test_the_same_numbers_for_other_names_differ(self, folder, run):
        for name, names in (("one", ["a", "b", "c", "d"]), ("two", ["a", "b", "c", "e"])):
            np.savez(f"{name}.npz", features=POOL["far"], labels=np.array(names)[LABELS])
        assert "labels differ in 25 of 100 rows, the first in row 75: d and e" in run("score", "one.npz", "two.npz")[2]

    def test_keys_of_your_own(self, folder, run):
        np.savez("mine.npz", pooled=POOL["far"], category=LABELS)
        status, _, err = run("score", "mine.npz")
        assert status == 1
        assert "error: mine.npz: no labels." in err
        status, out, _ = run("score", "mine.npz", "--features-key", "pooled", "--labels-key", "category")
        assert status == 0
        assert "mine: 100 rows, 16 features, 4 classes" in out

    def test_a_missing_file_of_labels_is_one_error(self, folder, run):
        status, out, err = run("score", *FILES, "--labels", "nothing.npy")
        assert (status, out, err) == (1, "", "error: nothing.npy: no such file.\n")


class TestNames:
    def test_stems(self):
        assert name_models([Path("x/a.npz"), Path("y/b.tar.npz")]) == {
            "a": Path("x/a.npz"),
            "b.tar": Path("y/b.tar.npz"),
        }

    def test_equal_stems_get_their_folder_and_equal_folders_theirs(self):
        paths = [Path("x/one/m.npz"), Path("y/one/m.npz"), Path("y/two/m.npz"), Path("other.npz")]
        assert list(name_models(paths)) == ["x/one/m", "y/one/m", "two/m", "other"]

    def test_equal_paths_get_their_ending(self):
        assert list(name_models([Path("m.npz"), Path("m.parquet"), Path("x/m.npz")])) == ["m.npz", "m.parquet", "m"]

    def test_the_same_file_twice(self):
        with pytest.raises(OptionError, match="m.npz is named twice"):
            name_models([Path("m.npz"), Path("x/../m.npz")])
