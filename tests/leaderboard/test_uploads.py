"""Uploads: scored as rank_features scores them, and refused in sentences that name no place on this machine."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from hf_transfer_score import rank_features
from hf_transfer_score.leaderboard.pages import upload_tab
from hf_transfer_score.leaderboard.pages.upload_tab import example_files, offered_metrics, score_uploads
from hf_transfer_score.uploads.limits import FILE_BYTES
from hf_transfer_score.uploads.scoring import SLOW_ROWS
from tests.uploads.made import LABELS, features, scored_here


@pytest.fixture(autouse=True)
def score_here(monkeypatch):
    """Score in this process, as the process of its own does, without starting one for each case."""
    monkeypatch.setattr(upload_tab, "score_in_box", scored_here)


METRICS = ["face", "ncti", "logme", "knn"]
POOL = {"near": features(1, 1.0), "far": features(2, 3.0, width=12), "middle": features(3, 1.8)}


def save_npz(path: Path, **arrays) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def pool_files(folder: Path, labels=LABELS) -> list[Path]:
    """One file of each kind; only the second brings labels."""
    save_npz(folder / "near.npz", features=POOL["near"])
    save_file({"features": POOL["far"], "labels": np.asarray(labels)}, folder / "far.safetensors")
    parquet.write_table(pa.table({"features": POOL["middle"].tolist()}), folder / "middle.parquet")
    return [folder / "near.npz", folder / "far.safetensors", folder / "middle.parquet"]


def test_a_pool_is_scored_as_rank_features_scores_it(tmp_path):
    found = score_uploads(pool_files(tmp_path), METRICS)
    expected = rank_features(POOL, LABELS, metrics=METRICS)
    assert found.ranking.models.keys() == expected.models.keys()
    for name, pool in expected.pools.items():
        assert found.ranking.pools[name].scores == pool.scores
        assert found.ranking.pools[name].ranks == pool.ranks
    assert found.headers == (
        *("Rank", "Model", "Chance to be best", "Points below the best"),
        *(f"{name} score (rank)" for name in METRICS),
    )
    assert [row[1] for row in found.rows] == list(expected.ranks)
    assert expected.answer in found.notes
    assert found.rows[0][:2] == ["1", "far"]
    knn = expected.pools["knn"]
    assert [row[7] for row in found.rows] == [f"{knn.scores[row[1]]:.4f} ({knn.ranks[row[1]]})" for row in found.rows]


def test_raw_terms_are_told_with_their_direction(tmp_path):
    found = score_uploads(pool_files(tmp_path), ["ncti"])
    expected = rank_features(POOL, LABELS, metrics=["ncti"])
    terms = {(row[0], row[2]): float(row[3]) for row in found.terms}
    for model, scores in expected.models.items():
        for term, value in scores["ncti"].terms.items():
            assert terms[model, term] == pytest.approx(value, rel=1e-5)
    assert {row[2]: row[4] for row in found.terms} == {"seli": "higher", "ncc": "higher", "vc": "lower"}


def test_the_example_is_ranked_as_its_names_say():
    found = score_uploads(example_files(), ["face", "ncti", "logme", "hscore"])
    assert [row[1] for row in found.rows] == ["example-strong", "example-middling", "example-weak"]
    assert found.notes[0] == "Scored 3 models on 150 rows of 3 classes."


def test_one_file_is_told_to_have_nothing_to_be_compared_with(tmp_path):
    path = save_npz(tmp_path / "alone.npz", features=POOL["near"], labels=LABELS)
    found = score_uploads([path], ["face", "ncti"])
    assert "A single model has nothing to be compared with" in found.notes[1]
    assert len(found.terms) == 5


def test_text_labels_are_taken_over_and_compared(tmp_path):
    names = np.array(["ant", "bee", "cat"])
    first = save_npz(tmp_path / "first.npz", features=POOL["near"], labels=names[LABELS])
    same = save_npz(tmp_path / "same.npz", features=POOL["far"], labels=names[LABELS])
    bare = save_npz(tmp_path / "bare.npz", features=POOL["middle"])
    other = save_npz(tmp_path / "other.npz", features=POOL["middle"], labels=np.array(["ant", "bee", "dog"])[LABELS])
    found = score_uploads([first, same, bare, other], ["ncti"])
    assert [row[1] for row in found.rows] == ["same", "bare", "first", "other"]
    assert found.notes[0] == (
        "other cannot be scored. Its labels are not those of first. All files need the same samples in the same order."
    )


def pickled(path: Path) -> None:
    np.savez(path, features=np.array([{}, {}], dtype=object), labels=[0, 1])


def packed_zeros(path: Path) -> None:
    """A few hundred kilobytes that would be half a gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(7):
            archive.writestr(f"{number}.npy", bytes(2**26))


def packed_words(path: Path) -> None:
    """Labels that are long words, which would be gigabytes in an array."""
    codes = pa.array(np.arange(100_000) % 2, type=pa.int32())
    words = pa.DictionaryArray.from_arrays(codes, pa.array(["a" * 4000, "b" * 4000]))
    parquet.write_table(pa.table({"f0": np.arange(100_000.0), "labels": words}), path)


def enlarged(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)


def renamed_npz(path: Path) -> None:
    save_npz(path.with_name("other.npz"), features=POOL["near"], labels=LABELS).rename(path)


BAD = [
    ("bad.npz", lambda path: path.write_bytes(b""), "is not an .npz file"),
    ("bad.npz", lambda path: path.write_bytes(b"\x80\x04K\x01."), "pickled Python objects"),
    ("bad.npz", pickled, "pickled Python objects"),
    ("bad.npz", packed_zeros, "448 MB unpacked"),
    ("bad.npz", enlarged, "It has 2048 MB"),
    ("bad.npz", lambda path: save_npz(path, labels=LABELS), "no features"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"][:5]), "It has 5 rows and good has 90"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"][:5], labels=LABELS[:5]), "It has 5 rows and good"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"], labels=LABELS * 0), "labels are not those of good"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"] * np.nan), "NaN or Inf"),
    ("bad.npz", lambda path: save_npz(path, features=np.ones((90, 4))), "identical"),
    ("bad.npz", lambda path: save_npz(path, features=np.ones((90, 4, 2))), "one row per sample"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"].astype(str)), "real numbers"),
    ("bad.npz", lambda path: None, "no longer there"),
    ("bad.parquet", packed_words, "'labels' is too large"),
    ("bad.safetensors", renamed_npz, "cannot be read as .safetensors"),
    ("bad.pkl", lambda path: path.write_bytes(b"\x80\x04K\x01."), ".pkl files are pickled"),
    ("bad.txt", lambda path: path.write_bytes(b"1 2 3"), "unknown ending '.txt'"),
]


@pytest.mark.parametrize(("name", "save", "message"), BAD)
def test_a_bad_file_is_named_and_the_others_are_scored(tmp_path, name, save, message):
    good = save_npz(tmp_path / "good.npz", features=POOL["far"], labels=LABELS)
    save(tmp_path / name)
    found = score_uploads([good, tmp_path / name], ["ncti"])
    assert found.notes[0].startswith("bad cannot be scored. ")
    assert message in found.notes[0]
    assert [row[:2] for row in found.rows] == [["1", "good"], ["–", "bad"]]
    assert not any(str(tmp_path) in note or "--" in note for note in found.notes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": POOL["far"]}, "no labels"),
        ({"features": POOL["far"], "targets": np.arange(90.0)}, "no class labels"),
        ({"features": POOL["far"], "labels": LABELS * 0}, "At least 2 classes are needed"),
        ({"features": POOL["far"], "labels": LABELS * 0 - 1}, "no labels"),
        ({"features": POOL["far"], "labels": LABELS / 2}, "Labels must be integers"),
        ({"features": POOL["far"], "labels": np.eye(90)}, "one integer per row"),
        ({"features": np.eye(4097, dtype=np.float16), "labels": np.arange(4097) % 2}, "This page takes 100,000 rows"),
        ({"features": np.eye(4001, 2), "labels": np.arange(4001)}, "4,001 classes; this page takes 2,000"),
    ],
)
def test_where_nothing_can_be_scored_there_is_no_table(tmp_path, arrays, message):
    found = score_uploads([save_npz(tmp_path / "bad.npz", **arrays)], ["ncti"])
    assert found.ranking is None
    assert found.rows == found.terms == []
    assert message in found.notes[0]
    assert not any(f"`{name}" in found.notes[0] for name in ("labels_key", "labels_path", "targets="))
    assert "How to make the files" in found.notes[-1]


def test_a_file_above_the_limit_is_refused_unread(tmp_path):
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.truncate(FILE_BYTES + 1)
    assert "this Space takes 200 MB" in score_uploads([tmp_path / "large.safetensors"], ["ncti"]).notes[0]


def test_metrics_that_take_long_are_left_out_of_large_samples(tmp_path):
    labels = np.arange(SLOW_ROWS + 1) % 2
    rows = np.random.default_rng(0).normal(size=(len(labels), 3)) + labels[:, None]
    path = save_npz(tmp_path / "many.npz", features=rows, labels=labels)
    found = score_uploads([path], ["ncti", "sfda"])
    assert [row[1] for row in found.terms] == ["ncti"] * 3
    assert any(note.startswith("sfda: slow on large samples") for note in found.notes)
    assert score_uploads([path], ["sfda"]).notes[0].startswith("many cannot be scored. sfda: slow on large samples")


def test_what_was_not_chosen_is_asked_for(tmp_path):
    files = [str(tmp_path / f"{number}.npz") for number in range(9)]
    assert score_uploads([], ["ncti"]).notes == ("Choose files first, or use the example files.",)
    assert score_uploads(files[:1], []).notes == ("Choose at least one metric.",)
    assert score_uploads(files[:1], ["leep", "<b>"]).notes == ("Choose at least one metric.",)
    assert score_uploads(files, ["ncti"]).notes[0].startswith("9 files are too many for this page, which takes 8.")


def test_files_of_one_name_and_hostile_names_stay_apart(tmp_path):
    paths = []
    for folder, name in (("a", "<img src=x>"), ("b", "<img src=x>"), ("c", "x" * 200), ("d", "\u202ereversed")):
        (tmp_path / folder).mkdir()
        paths.append(save_npz(tmp_path / folder / f"{name}.npz", features=POOL["far"], labels=LABELS))
    names = [row[1] for row in score_uploads(paths, ["ncti"]).rows]
    assert names == ["<img src=x>", "<img src=x> #2", "x" * 79 + "…", "reversed"]


def test_offered_metrics_need_labels_only():
    assert {"face", "ncti", "logme", "hscore", "knn"} < offered_metrics().keys()
    assert not {"leep", "logme_regression", "downloads", "random_order"} & offered_metrics().keys()
