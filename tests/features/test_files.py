"""Files of features are read as they were written, and broken files say what is wrong with them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from hf_transfer_score.errors import FeatureFileError
from hf_transfer_score.features.files import is_labels_file, read_features, read_labels, read_truth

ROWS, WIDTH = 30, 5
FEATURES = np.random.default_rng(7).normal(size=(ROWS, WIDTH)).astype(np.float32)
LABELS = np.arange(ROWS) % 3
NAMES = np.array(["cat", "dog", "ant"])[LABELS]
PROBABILITIES = np.full((ROWS, 4), 0.25, dtype=np.float32)
TARGETS = np.linspace(0, 1, ROWS)


def write_npz(path: Path, **arrays):
    np.savez(path, **arrays)


def write_safetensors(path: Path, **arrays):
    save_file({key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in arrays.items()}, path)


def write_parquet(path: Path, **arrays):
    parquet.write_table(pa.table({key: list(array) for key, array in arrays.items()}), path)


def wide(**columns):
    return pa.table({f"f_{column}": FEATURES[:, column] for column in range(WIDTH)} | columns)


def refusal(path: Path, **options) -> str:
    with pytest.raises(FeatureFileError) as caught:
        read_features(path, **options)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


WRITERS = {"npz": write_npz, "safetensors": write_safetensors, "parquet": write_parquet}
named = pytest.mark.parametrize(("ending", "write"), WRITERS.items())


WRITTEN = {
    "everything": ({"features": FEATURES, "labels": LABELS, "source_probs": PROBABILITIES, "targets": TARGETS}, {}),
    "other usual names": ({"X": FEATURES, "y": LABELS}, {}),
    "names of your own": (
        {"pooled": FEATURES, "animal": LABELS, "features": FEATURES * 2, "labels": LABELS * 2},
        {"features_key": "pooled", "labels_key": "animal"},
    ),
    "targets alone": ({"features": FEATURES, "targets": TARGETS}, {}),
}


class TestWhatIsWrittenIsRead:
    @named
    @pytest.mark.parametrize(("written", "keys"), WRITTEN.values(), ids=WRITTEN)
    def test_it_is_read(self, tmp_path, ending, write, written, keys):
        path = tmp_path / f"model.{ending}"
        write(path, **written)
        file, truth = read_features(path, **keys), read_truth(path, labels_key=keys.get("labels_key"))
        assert file.features.dtype == np.float32
        np.testing.assert_array_equal(file.features, FEATURES)
        np.testing.assert_array_equal(file.labels, LABELS if len(written) > 2 or "y" in written else None)
        np.testing.assert_array_equal(file.source_probs, written.get("source_probs"))
        np.testing.assert_array_equal(file.targets, written.get("targets"))
        assert (file.path, file.label_names) == (path, None)
        np.testing.assert_array_equal(truth.labels, file.labels)
        np.testing.assert_array_equal(truth.targets, file.targets)

    @named
    def test_labels_of_a_separate_file_come_first(self, tmp_path, ending, write):
        path, other = tmp_path / f"model.{ending}", tmp_path / f"other.{ending}"
        write(path, features=FEATURES, labels=LABELS)
        write(other, labels=LABELS[::-1])
        np.testing.assert_array_equal(read_features(path, labels_path=other).labels, LABELS[::-1])
        np.testing.assert_array_equal(read_labels(other), LABELS[::-1])

    @pytest.mark.parametrize(("ending", "write"), [("npz", write_npz), ("parquet", write_parquet)])
    def test_names_become_numbers(self, tmp_path, ending, write):
        path = tmp_path / f"model.{ending}"
        write(path, features=FEATURES, labels=NAMES)
        file = read_features(path)
        assert file.label_names == ("ant", "cat", "dog")
        assert [file.label_names[code] for code in file.labels] == list(NAMES)

    def test_the_ending_may_be_in_capitals(self, tmp_path):
        path = tmp_path / "model.npz"
        write_npz(path, features=FEATURES, labels=LABELS)
        np.testing.assert_array_equal(read_features(path.rename(tmp_path / "MODEL.NPZ")).features, FEATURES)


class TestNpy:
    def test_features_are_mapped_and_labels_stand_beside_their_own_before_those_of_the_folder(self, tmp_path):
        np.save(tmp_path / "model.npy", FEATURES)
        assert "in model.labels.npy or labels.npy" in refusal(tmp_path / "model.npy")
        np.save(tmp_path / "labels.npy", LABELS)
        file = read_features(tmp_path / "model.npy")
        assert isinstance(file.features, np.memmap)
        np.testing.assert_array_equal(file.features, FEATURES)
        np.testing.assert_array_equal(file.labels, LABELS)
        np.save(tmp_path / "model.labels.npy", LABELS + 1)
        np.testing.assert_array_equal(read_features(tmp_path / "model.npy").labels, LABELS + 1)

    def test_which_files_are_labels(self):
        assert is_labels_file("somewhere/labels.npy")
        assert is_labels_file(Path("somewhere/model.labels.npy"))
        assert not is_labels_file("labels.npz")
        assert not is_labels_file("my_labels.npy")


class TestPrecision:
    @pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
    def test_safetensors_keep_theirs_and_bfloat16_becomes_float32_without_a_change(self, tmp_path, kind):
        tensor = torch.from_numpy(FEATURES).to(kind)
        save_file({"features": tensor, "labels": torch.from_numpy(LABELS)}, tmp_path / "model.safetensors")
        features = read_features(tmp_path / "model.safetensors").features
        expected = (tensor.float() if kind == torch.bfloat16 else tensor).numpy()
        assert features.dtype == expected.dtype
        np.testing.assert_array_equal(features, expected)

    def test_float16_in_parquet(self, tmp_path):
        write_parquet(tmp_path / "model.parquet", features=FEATURES.astype(np.float16), labels=LABELS)
        features = read_features(tmp_path / "model.parquet").features
        assert features.dtype == np.float16
        np.testing.assert_array_equal(features, FEATURES.astype(np.float16))


class TestParquet:
    def test_lists_of_fixed_size_are_not_copied(self, tmp_path):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(FEATURES.ravel()), WIDTH)
        parquet.write_table(pa.table({"features": lists, "label": LABELS}), tmp_path / "model.parquet")
        features = read_features(tmp_path / "model.parquet").features
        np.testing.assert_array_equal(features, FEATURES)
        assert not features.flags.writeable  # memory of Arrow, which may not be written to

    def test_a_column_a_feature(self, tmp_path):
        parquet.write_table(wide(label=LABELS, targets=TARGETS, note=NAMES), tmp_path / "model.parquet")
        file = read_features(tmp_path / "model.parquet")
        np.testing.assert_array_equal(file.features, FEATURES)
        np.testing.assert_array_equal(file.labels, LABELS)

    def test_the_index_of_a_data_frame_is_no_feature(self, tmp_path):
        parquet.write_table(wide(label=LABELS, __index_level_0__=np.arange(ROWS) / 2), tmp_path / "model.parquet")
        np.testing.assert_array_equal(read_features(tmp_path / "model.parquet").features, FEATURES)

    def test_the_folder_does_not_add_a_column(self, tmp_path):
        folder = tmp_path / "width=5"
        folder.mkdir()
        parquet.write_table(wide(label=LABELS), folder / "model.parquet")
        np.testing.assert_array_equal(read_features(folder / "model.parquet").features, FEATURES)

    def test_dots_in_names_are_not_mixed_up(self, tmp_path):
        columns = {"f_1.x": FEATURES[:, 0], "f_1": FEATURES[:, 1], "f": FEATURES[:, 2], "label": LABELS}
        parquet.write_table(pa.table(columns), tmp_path / "model.parquet")
        np.testing.assert_array_equal(read_features(tmp_path / "model.parquet").features, FEATURES[:, :3])

    def test_an_id_is_not_taken_for_a_feature(self, tmp_path):
        path = tmp_path / "model.parquet"
        parquet.write_table(wide(label=LABELS, image_id=np.arange(ROWS)), path)
        assert "columns 'image_id' hold whole numbers among columns of fractions" in refusal(path)
        np.testing.assert_array_equal(read_features(path, features_key="f_*").features, FEATURES)
        assert read_features(path, features_key="*").features.shape == (ROWS, WIDTH + 1)

    def test_the_labels_you_name_are_no_feature(self, tmp_path):
        path = tmp_path / "model.parquet"
        parquet.write_table(wide(animal=LABELS), path)
        file = read_features(path, labels_key="animal")
        np.testing.assert_array_equal(file.features, FEATURES)
        np.testing.assert_array_equal(file.labels, LABELS)

    def test_columns_that_are_all_whole_numbers_are_features(self, tmp_path):
        pixels = np.arange(ROWS * 2).reshape(ROWS, 2)
        parquet.write_table(pa.table({"a": pixels[:, 0], "b": pixels[:, 1], "label": LABELS}), tmp_path / "m.parquet")
        np.testing.assert_array_equal(read_features(tmp_path / "m.parquet").features, pixels)

    @pytest.mark.parametrize(
        ("columns", "wording"),
        [
            ({"features": [[1.0], None], "label": [0, 1]}, "column 'features' holds nulls in 1 of 2 rows"),
            (
                {"features": [[1.0, None], [1.0, 2.0]], "label": [0, 1]},
                "column 'features' holds nulls inside its lists",
            ),
            ({"features": [[1.0], [2.0]], "label": [0, None]}, "column 'label' holds nulls in 1 of 2 rows"),
            ({"a": [1.0, None], "label": [0, 1]}, "column 'a' holds nulls in 1 of 2 rows"),
            ({"features": [[1.0], [1.0, 2.0]], "label": [0, 1]}, "is ragged, its lists have 1 to 2 values"),
            ({"features": [[[1.0]], [[2.0]]], "label": [0, 1]}, "must hold lists of numbers, one vector per row"),
            ({"features": [["a"], ["b"]], "label": [0, 1]}, "must hold lists of numbers, one vector per row"),
            ({"features": [1.0, 2.0], "label": [0, 1]}, "column 'features' must hold lists of numbers, holds double"),
            ({"features": [[1.0], [2.0]], "label": [{"a": 1}, {"a": 2}]}, "column 'label' must hold numbers"),
            (
                {"name": ["a", "b"], "label": [0, 1]},
                "'features', 'X' as lists, or numeric columns, found 'name', 'label'",
            ),
        ],
    )
    def test_what_is_refused(self, tmp_path, columns, wording):
        parquet.write_table(pa.table(columns), tmp_path / "model.parquet")
        assert wording in refusal(tmp_path / "model.parquet")


class TestRefusals:
    def test_missing_file(self, tmp_path):
        assert refusal(tmp_path / "nothing.npz").endswith("nothing.npz: no such file.")

    def test_a_folder(self, tmp_path):
        assert "is a folder; name the files in it" in refusal(tmp_path)

    def test_unknown_ending(self, tmp_path):
        assert "unknown ending '.csv'. Known: .npz, .npy, .safetensors, .parquet" in refusal(tmp_path / "model.csv")
        assert "unknown ending '(none)'" in refusal(tmp_path / "model")

    @named
    def test_no_features_lists_what_there_is(self, tmp_path, ending, write):
        path = tmp_path / f"model.{ending}"
        write(path, embedding=NAMES.astype("S") if ending == "parquet" else FEATURES, labels=LABELS)
        message = refusal(path)
        assert "no features. Expected 'features', 'X'" in message
        assert "'embedding'" in message and "`features_key`" in message

    @named
    def test_a_name_of_your_own_that_is_not_there(self, tmp_path, ending, write):
        path = tmp_path / f"model.{ending}"
        write(path, features=FEATURES, labels=LABELS)
        assert "no features. Expected 'pooled'" in refusal(path, features_key="pooled")
        assert "no 'animal' to read labels from; found" in refusal(path, labels_key="animal")

    @named
    def test_no_labels_lists_what_there_is(self, tmp_path, ending, write):
        path = tmp_path / f"model.{ending}"
        write(path, features=FEATURES, category=LABELS)
        message = refusal(path)
        assert "no labels. Expected 'labels', 'label', 'y'" in message
        assert "found 'features', 'category'" in message or "found 'category', 'features'" in message
        assert "`labels_key`" in message

    def test_a_file_of_labels_without_any(self, tmp_path):
        write_npz(tmp_path / "model.npz", features=FEATURES, labels=LABELS)
        write_npz(tmp_path / "other.npz", values=LABELS)
        with pytest.raises(
            FeatureFileError, match="other.npz: no labels. Expected 'labels', 'label', 'y', found 'values'"
        ):
            read_features(tmp_path / "model.npz", labels_path=tmp_path / "other.npz")

    def test_many_names_are_not_all_listed(self, tmp_path):
        write_npz(tmp_path / "model.npz", labels=LABELS, **{f"layer_{number}": LABELS for number in range(40)})
        assert refusal(tmp_path / "model.npz").count("layer_") < 15
