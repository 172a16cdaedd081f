"""Uploads: scored as rank_features scores them, and refused in sentences that name no place on this machine."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from hf_transfer_score import rank_features
from hf_transfer_score.evaluate_modules.space import SIZE_LIMIT
from hf_transfer_score.leaderboard import scoring_uploads
from hf_transfer_score.leaderboard.scoring_uploads import example_files, offered_metrics, score_uploads

METRICS = ["face", "ncti", "logme", "knn"]
LABELS = np.repeat([0, 1, 2], 30)


def features(seed: int = 0, distance: float = 2.0, width: int = 8) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(LABELS), width))
    return (noise + distance * np.eye(width)[LABELS]).astype(np.float32)


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
    assert found.headers == ("Rank", "Model", *(f"{name} score (rank)" for name in METRICS))
    assert [row[:2] for row in found.rows] == [["1", "far"], ["2", "middle"], ["3", "near"]]
    assert [row[5] for row in found.rows] == [f"{expected['knn'] if False else _knn(expected, row[1])}" for row in found.rows]


def _knn(ranking, model: str) -> str:
    return f"{ranking.pools['knn'].scores[model]:.4f} ({ranking.pools['knn'].ranks[model]})"


def test_raw_terms_are_told_with_their_direction(tmp_path):
    found = score_uploads(pool_files(tmp_path), ["ncti"])
    expected = rank_features(POOL, LABELS, metrics=["ncti"])
    terms = {(row[0], row[2]): float(row[3]) for row in found.terms}
    for model, scores in expected.models.items():
        for term, value in scores["ncti"].terms.items():
            assert terms[model, term] == pytest.approx(value, rel=1e-5)
    assert {row[2]: row[4] for row in found.terms} == {"seli": "higher", "ncc": "higher", "vc": "lower"}


def test_the_example_is_ranked_as_its_names_say(tmp_path):
    found = score_uploads(example_files(tmp_path), ["face", "ncti", "logme", "hscore"])
    assert [row[1] for row in found.rows] == ["example-strong", "example-middling", "example-weak"]
    assert found.notes[0] == "Scored 3 models on 150 rows of 3 classes."


def test_one_file_is_told_to_have_nothing_to_be_compared_with(tmp_path):
    path = save_npz(tmp_path / "alone.npz", features=POOL["near"], labels=LABELS)
    found = score_uploads([path], ["face", "ncti"])
    assert "One model alone has nothing to be compared with" in found.notes[1]
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
        "other cannot be scored. Its labels are not those of first. "
        "All files need the same samples in the same order."
    )


def pickled(path: Path) -> None:
    np.savez(path, features=np.array([{}, {}], dtype=object), labels=[0, 1])


def packed_zeros(path: Path) -> None:
    """A few hundred kilobytes that would be one gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(16):
            archive.writestr(f"{number}.npy", bytes(2**26))


def packed_words(path: Path) -> None:
    """Labels that are long words, which would be gigabytes in an array."""
    codes = pa.array(np.arange(100_000) % 2, type=pa.int32())
    words = pa.DictionaryArray.from_arrays(codes, pa.array(["a" * 4000, "b" * 4000]))
    parquet.write_table(pa.table({"f0": np.arange(100_000.0), "labels": words}), path)


def half_precision(path: Path) -> None:
    header = b'{"features":{"dtype":"BF16","shape":[4,2],"data_offsets":[0,16]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))


def enlarged(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)


BAD = [
    ("bad.npz", lambda path: path.write_bytes(b""), "is not an .npz file"),
    ("bad.npz", lambda path: path.write_bytes(b"no archive"), "is not an .npz file"),
    ("bad.npz", lambda path: path.write_bytes(b"\x80\x04K\x01."), "pickled Python objects"),
    ("bad.npz", pickled, "pickled Python objects"),
    ("bad.npz", packed_zeros, "1024 MB unpacked"),
    ("bad.npz", enlarged, "It has 2048 MB"),
    ("bad.npz", lambda path: save_npz(path, labels=LABELS), "no features"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"][:5]), "95 labels|90 labels for 5 rows|5 rows"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"][:5], labels=LABELS[:5]), "has 5 rows and good has 90"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"] * np.nan), "NaN or Inf"),
    ("bad.npz", lambda path: save_npz(path, features=np.ones((90, 4))), "identical"),
    ("bad.npz", lambda path: save_npz(path, features=np.ones((90, 4, 2))), "one row a sample"),
    ("bad.npz", lambda path: save_npz(path, features=POOL["near"].astype(str)), "real numbers"),
    ("bad.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot be read as .parquet"),
    ("bad.parquet", packed_words, "unpacked"),
    ("bad.safetensors", lambda path: path.write_bytes(b"12345678"), "cannot be read as .safetensors"),
    ("bad.safetensors", lambda path: pickled(path.with_suffix(".npz")) or path.with_suffix(".npz").rename(path), "cannot be"),
    ("bad.pkl", lambda path: path.write_bytes(b"\x80\x04K\x01."), ".pkl files are pickled"),
    ("bad.txt", lambda path: path.write_bytes(b"1 2 3"), "unknown ending '.txt'"),
    ("bad.npz", lambda path: None, "no such file|No such file"),
]
