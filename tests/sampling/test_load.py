"""Samples of datasets in all common places and formats."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import Audio, ClassLabel, Features, Value
from fsspec.implementations.local import LocalFileSystem
from PIL import Image

from hf_transfer_score.errors import DatasetError, OptionError
from hf_transfer_score.metrics.checks import check_labels
from hf_transfer_score.sampling.draw import proportional_quotas
from hf_transfer_score.sampling.guarded import listed_once
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions, describe
from tests.sampling.made import picture, pictures, row_numbers, shards, sound, texts

ROWS = 60
LABELS = ["b", "a", "c"] * (ROWS // 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


def as_arrow(rows: datasets.Dataset, path) -> None:
    table = rows.with_format("arrow")[:]
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "rows.csv": lambda rows, path: rows.to_csv(path),
    "semicolons.csv": lambda rows, path: rows.to_csv(path, sep=";", encoding="utf-8-sig"),
    "excel.csv": lambda rows, path: path.write_text(
        "sep=;\n" + rows.to_pandas().to_csv(index=False, sep=";"), encoding="utf-8-sig", newline="\r\n"
    ),
    "several": lambda rows, path: (path.mkdir(), rows.to_csv(path / "semicolons.csv", sep=";")),
    "rows.tsv": lambda rows, path: rows.to_csv(path, sep="\t"),
    "rows.jsonl": lambda rows, path: rows.to_json(path),
    "rows.json": lambda rows, path: path.write_text(json.dumps(rows.to_list())),
    "rows.csv.gz": lambda rows, path: path.write_bytes(gzip.compress(rows.to_pandas().to_csv(index=False).encode())),
    "rows [1].parquet": lambda rows, path: rows.to_parquet(path),
    "rows.arrow": as_arrow,
    "hub": lambda rows, path: shards(path, rows, 1),
    "disk": lambda rows, path: rows.save_to_disk(path),
    "splits": lambda rows, path: datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_sample(folder, name):
    rows = texts(LABELS)
    WRITERS[name](rows, folder / name)
    options = SampleOptions(max_samples=20)
    sample, expected = load_sample(folder / name, options), load_sample(rows, options)
    assert row_numbers(sample) == row_numbers(expected) and sample.fingerprint == expected.fingerprint
    assert sample.label_names == ("a", "b", "c") and sample.task.name == "text-classification"
    assert sample.labels.tolist() == ["abc".index(LABELS[row]) for row in row_numbers(sample)]
    assert (sample.source.rows_seen, sample.source.complete) == (ROWS, True)


@pytest.mark.parametrize("kind", ["dataset", "splits", "mapped", "streamed", "generated", "iterable splits"])
def test_objects_of_datasets(kind):
    rows = texts(LABELS)
    given = {
        "dataset": rows,
        "splits": datasets.DatasetDict({"train": rows, "test": rows.select([0])}),
        "mapped": rows.select(range(ROWS)).with_format("numpy"),
        "streamed": rows.to_iterable_dataset(num_shards=4),
        "generated": datasets.IterableDataset.from_generator(lambda: (dict(row) for row in rows.to_list())),
        "iterable splits": datasets.IterableDatasetDict({"train": rows.to_iterable_dataset()}),
    }[kind]
    sample = load_sample(given, SampleOptions(max_samples=20))
    assert row_numbers(sample) == row_numbers(load_sample(rows, SampleOptions(max_samples=20)))


def test_skip_and_take_of_a_stream_are_respected():
    stream = texts(LABELS).to_iterable_dataset(num_shards=4).skip(7).take(33)
    assert sorted(row_numbers(load_sample(stream))) == list(range(7, 40))


def test_a_stream_without_end_is_stopped():
    def forever():
        row = 0
        while True:
            yield {"text": f"row {row}", "label": row % 2}
            row += 1

    sample = load_sample(datasets.IterableDataset.from_generator(forever), SampleOptions(max_rows=333, max_samples=50))
    assert sample.source.rows_seen == 333 and not sample.source.complete
    assert max(row_numbers(sample)) < 333 and Counter(sample.labels.tolist()) == {0: 25, 1: 25}


def test_shares_are_kept_and_seeds_matter():
    labels = np.random.default_rng(0).choice(4, 3000, p=[0.6, 0.3, 0.099, 0.001]).tolist()
    sample = load_sample(texts(labels), SampleOptions(max_samples=300))
    counts, seen = Counter(sample.labels.tolist()), Counter(labels)
    quotas = proportional_quotas([seen[label] for label in range(4)], 300)
    assert [counts[label] for label in range(4)] == quotas and quotas[3] == 2
    assert sample.labels.tolist() == [labels[row] for row in row_numbers(sample)]
    again, other = (load_sample(texts(labels), SampleOptions(max_samples=300, seed=seed)) for seed in (0, 1))
    assert again.fingerprint == sample.fingerprint != other.fingerprint
    assert len(set(row_numbers(other)) & set(row_numbers(sample))) < 100
    even = load_sample(texts(labels), SampleOptions(per_class=50))
    assert sorted(Counter(even.labels.tolist()).values()) == [min(50, seen[3]), 50, 50, 50]


def test_pictures_keep_their_bytes(tmp_path):
    rows = pictures([0, 1, 2] * 20, ["x", "never", "y", "z"]).filter(lambda row: row["label"] != 1)
    sample = load_sample(shards(tmp_path / "hub", rows, 2), SampleOptions(max_samples=12))
    assert sample.task.name == "image-classification" and sample.label_names == ("x", "y")
    classes, _ = check_labels(sample.labels, len(sample))
    assert classes.tolist() == [0, 1]
    originals = {picture(row): row for row in range(60)}
    rows_drawn = [originals[content] for content in sample.table.column("input").to_pylist()]
    assert sample.labels.tolist() == [[0, None, 1][row % 3] for row in rows_drawn]
    assert any(note == "2 of the dataset's classes did not occur: never, z" for note in sample.notes)


@pytest.mark.parametrize("kind", ["imagefolder", "metadata"])
def test_folders_of_pictures(tmp_path, kind):
    for row in range(12):
        name = tmp_path / ["cat", "dog"][row % 2] / f"{row}.png" if kind == "imagefolder" else tmp_path / f"{row}.png"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(picture(row))
    if kind == "metadata":
        lines = [json.dumps({"file_name": f"{row}.png", "label": ["cat", "dog"][row % 2]}) for row in range(12)]
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    sample = load_sample(tmp_path, SampleOptions(max_samples=6))
    originals = {picture(row): row % 2 for row in range(12)}
    assert sample.labels.tolist() == [originals[content] for content in sample.table.column("input").to_pylist()]
    assert sample.label_names == ("cat", "dog") and sorted(sample.labels) == [0, 0, 0, 1, 1, 1]


def test_sound_is_never_decoded_by_datasets(tmp_path):
    """Folders, Parquet, Datasets and streams of sound work without torchcodec."""
    rows = {"audio": [{"bytes": sound(row), "path": f"{row}.wav"} for row in range(8)], "label": [0, 1] * 4}
    raw = {"audio": {"bytes": Value("binary"), "path": Value("string")}, "label": ClassLabel(names=["hum", "hiss"])}
    dataset = datasets.Dataset.from_dict(rows, features=Features(raw)).cast_column("audio", Audio(sampling_rate=16000))
    shards(tmp_path / "hub", dataset, 1)
    for row in range(8):
        path = tmp_path / "files" / "train" / ["hiss", "hum"][row % 2 == 0] / f"{row}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound(row))
    for given in (dataset, dataset.to_iterable_dataset(), tmp_path / "hub", tmp_path / "files"):
        sample = load_sample(given)
        found = dict(zip(sample.table.column("input").to_pylist(), sample.labels.tolist(), strict=True))
        assert {content: sample.label_names[label] for content, label in found.items()} == {
            sound(row): ["hum", "hiss"][row % 2] for row in range(8)
        }
        assert sample.examples([0])[0].rate == 8000


def test_sound_as_numbers():
    def rows():
        for row in range(8):
            yield {"audio": {"array": np.full((100,), row / 10), "sampling_rate": 8000}, "label": row % 2}

    sample = load_sample(datasets.IterableDataset.from_generator(rows))
    for waveform, label in zip(sample.examples(range(8)), sample.labels, strict=True):
        assert round(float(waveform.samples[0]) * 10) % 2 == label and waveform.rate == 8000


def test_decoded_pictures_of_a_mapped_stream():
    stream = pictures([0, 1] * 6, ["a", "b"]).to_iterable_dataset().map(lambda row: {"image": row["image"].rotate(180)})
    upright = load_sample(pictures([0, 1] * 6, ["a", "b"])).examples(range(12))
    turned = [image.rotate(180) for image in load_sample(stream).examples(range(12))]
    contents = [{np.asarray(image).tobytes() for image in images} for images in (upright, turned)]
    assert contents[0] == contents[1] and len(contents[0]) == 12


def test_pairs():
    rows = texts([0, 1, 0, 1], premise=list("abcd"), hypothesis=list("efgh")).remove_columns("text")
    sample = load_sample(rows)
    assert sorted(sample.examples(range(4))) == [("a", "e"), ("b", "f"), ("c", "g"), ("d", "h")]
    assert sample.source.columns == {"input": "premise", "input_2": "hypothesis", "label": "label"}


def test_some_files_of_many_are_enough(tmp_path):
    labels = np.random.default_rng(0).choice(3, 320, p=[0.6, 0.38, 0.02]).tolist()
    hub = shards(tmp_path / "hub", texts(labels).cast_column("label", ClassLabel(num_classes=3)), 8)
    sample = load_sample(hub, SampleOptions(max_samples=8))
    assert 40 <= sample.source.rows_seen < 320 and sample.source.rows_seen % 40 == 0 and not sample.source.complete
    assert set(sample.labels) == {0, 1, 2}, "all known classes are waited for"
    assert any("of 8 files, which hold enough; full_pass=True" in note for note in sample.notes)
    assert "the dataset in part" in " ".join(describe(sample))
    whole = [
        load_sample(shards(tmp_path / str(n), texts(labels), n), SampleOptions(max_samples=8, full_pass=True))
        for n in (1, 8)
    ]
    assert whole[0].fingerprint == whole[1].fingerprint and whole[1].source.complete
    larger = load_sample(hub, SampleOptions(max_samples=200))
    assert larger.source.complete and larger.source.rows_seen == 320


@pytest.mark.parametrize(
    "labels",
    [["a", "b"] * 60 + ["c"] * 120, sorted("abcd" * 60), ["a"] * 200 + ["b"] * 40],
    ids=["last", "sorted", "rare"],
)
def test_files_sorted_by_class_are_read_to_the_end(tmp_path, labels):
    hub = shards(tmp_path / "hub", texts(labels), 6)
    for seed in range(4):
        sample = load_sample(hub, SampleOptions(max_samples=10, seed=seed))
        assert sample.source.complete and set(sample.label_names) == set(labels)


def test_only_the_needed_columns_are_read(tmp_path, monkeypatch):
    from datasets.packaged_modules.parquet.parquet import Parquet

    read = []
    original = Parquet._cast_table
    monkeypatch.setattr(
        Parquet, "_cast_table", lambda self, table: read.append(table.column_names) or original(self, table)
    )
    load_sample(shards(tmp_path / "hub", texts([0, 1] * 30, large=["x" * 1000] * 60), 2))
    assert read and all(columns == ["text", "label"] for columns in read)


def test_the_split_is_train_or_the_only_one(tmp_path):
    rows = texts([0, 1] * 3)
    assert load_sample(datasets.DatasetDict(train=rows, test=rows)).source.split == "train"
    assert load_sample(datasets.DatasetDict(test=rows)).source.split == "test"
    with pytest.raises(DatasetError, match="no split named train; choose one with `split`: a, b"):
        load_sample(datasets.DatasetDict(a=rows, b=rows))
    with pytest.raises(DatasetError, match="no split 'tets'. Did you mean 'test'. Its splits: train, test"):
        load_sample(datasets.DatasetDict(train=rows, test=rows), SampleOptions(split="tets"))
    joined = load_sample(datasets.DatasetDict(train=rows, test=rows), SampleOptions(split="train+test"))
    assert (joined.source.rows_seen, joined.source.split) == (12, "train+test")
    both = shards(shards(tmp_path, rows, 1), rows, 1, "test")
    assert load_sample(both, SampleOptions(split="train+test")).source.rows_seen == 12


BROKEN = {
    "nothing.csv": (b"", "The file .*nothing.csv is empty"),
    "latin.csv": ("text,label\ngrün,1\n".encode("latin-1"), "is not text in UTF-8: save it as UTF-8"),
    "header.csv": (b"text,label\n", "is empty: it has no rows"),
    "magic.parquet": (b"no parquet at all", "corrupt or not what its name says: Parquet magic bytes"),
    "python.json": (
        b"[{'text': 'a', 'label': 1}]",
        "python.json is corrupt or not what its name says: Expected object",
    ),
    "cut.jsonl": (b'{"text": "a", "label": 1}\n{"text": ', "corrupt or not what its name says: JSON parse error"),
    "columns.json": (
        b'{"tokens": ["a", "b"], "ner_tags": ["x", "y"]}',
        "The dataset .*columns.json has one row; JSON has to hold one object per row",
    ),
    "more.csv": (b"text,label\na, b,0\nc,1\n", r"The first row of more.csv has 3 values, and there are 2 columns: put"),
    "later.csv": (
        b"text,label\na,0\nb, c,1\n",
        "Line 3 of .*later.csv has 3 values, and there are 2 columns: put quotes",
    ),
    "ends.csv": (b"sep=;\ntext;label\na;0;\nb;1;\n", "has 3 values, and there are 2 columns"),
    "twice.csv": (b"text,label, label\na,0,1\nb,1,0\n", "twice.csv has 2 columns named 'label': rename all but one"),
    "rows.xlsx": (b"x", "is of no known kind; expected one of .parquet, .csv.*Save a spreadsheet as CSV"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(tmp_path, name, capsys):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load_sample(tmp_path / name)
    assert capsys.readouterr().err == ""


def test_the_folder_one_is_in_has_its_own_name(tmp_path, monkeypatch):
    folder = shards(tmp_path / "rows", texts([0, 1] * 3), 1)
    for place, name in ((folder, "."), (folder, "./"), (folder / "data", "..")):
        monkeypatch.chdir(place)
        assert (load_sample(name).source.dataset, len(load_sample(name))) == ("rows", 6)


def test_missing_datasets(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="The folder .*empty is empty"):
        load_sample(tmp_path / "empty")
    for missing in (str(tmp_path / "nowhere"), "rows.csv", "./here", "a/b/c"):
        with pytest.raises(DatasetError, match="There is no folder or file .*, and it cannot be an id on the Hub"):
            load_sample(missing)
    with pytest.raises(DatasetError, match="or two lists .*got list"):
        load_sample([1, 2])


def test_progress_and_description():
    counts = []
    sample = load_sample(texts(["a", "b"] * 1500), SampleOptions(max_samples=100), progress=counts.append)
    assert counts == sorted(counts) and counts[-1] == 3000 and len(counts) > 2
    assert describe(sample) == [
        "dataset: in memory",
        "task: text-classification",
        "100 examples of 3,000 rows read, 2 classes",
        "label: column 'label'",
        "input: column 'text' (text)",
    ]


MEMORY = """
import resource, sys
from pathlib import Path
import datasets, pyarrow.compute, pandas
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions
def rows(count):
    for row in range(count):
        yield {"text": str(row) + "x" * 4000, "label": row * 10 // count}
def peak(count, most):
    stream = datasets.IterableDataset.from_generator(rows, gen_kwargs={"count": count})
    sample = load_sample(stream, SampleOptions(max_samples=most), folder=Path(sys.argv[1]))
    assert len(sample) == most and sample.source.rows_seen == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
few = peak(500, 100)
print(peak(60_000, 5_000) - few)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks have other units")
def test_a_long_stream_takes_little_memory(tmp_path):
    command, environment = [sys.executable, "-c", MEMORY, str(tmp_path)], os.environ | {"USE_TORCH": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 60, "MB more for 60,000 rows (240 MB), sorted by class, than for 500"


def test_a_folder_is_listed_once_for_all_patterns(tmp_path, monkeypatch):
    for number in range(6):
        path = tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    seen, scandir, listed = [], os.scandir, LocalFileSystem.ls
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(str(path)) or scandir(path))
    sample = load_sample(str(tmp_path / "pets"))
    assert len(sample.labels) == 6 and LocalFileSystem.ls is listed
    assert 1 <= seen.count(str(tmp_path / "pets" / "cat")) <= 4


def test_listing_is_restored_after_an_error():
    listed = LocalFileSystem.ls, LocalFileSystem.glob
    with pytest.raises(ZeroDivisionError), listed_once():
        assert LocalFileSystem.ls is not listed[0]
        raise ZeroDivisionError
    assert listed == (LocalFileSystem.ls, LocalFileSystem.glob)


def test_the_name_of_a_folder_is_no_pattern(tmp_path):
    for place in ("data [v2]", "a*b", ".hidden/x?", "__mine__"):
        rows = shards(tmp_path / place, texts(["a", "b"] * 3), 2)
        assert len(load_sample(rows)) == 6
        with pytest.raises(DatasetError, match="has no configuration 'fr'"):
            load_sample(rows, SampleOptions(config="fr"))
    with pytest.raises(OptionError, match="is not on the Hub, so `config` cannot be used"):
        load_sample(next(rows.rglob("*.parquet")), SampleOptions(config="fr"))


def test_the_sound_library_is_required_before_any_work(monkeypatch):
    raw = {"audio": {"bytes": Value("binary"), "path": Value("string")}, "label": ClassLabel(names=["low", "high"])}
    rows = [{"audio": {"bytes": sound(row), "path": None}, "label": row % 2} for row in range(4)]
    given = datasets.Dataset.from_list(rows, features=Features(raw)).cast_column("audio", Audio())
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(OptionError, match=r"pip install 'hf-transfer-score\[sound\]'"):
        load_sample(given)


def test_a_csv_may_name_images_beside_it(tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "red.png")
    (tmp_path / "labels.csv").write_text("file,label\n" + "red.png,a\nred.png,b\n" * 4)
    sample = load_sample(tmp_path / "labels.csv")
    assert sample.task.name == "image-classification" and len(sample) == 8
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "labels.csv").write_text("file,label\n" + "../red.png,a\n../red.png,b\n" * 4)
    with pytest.raises(DatasetError, match="leads out of the dataset's folder .* HF_TRANSFER_SCORE_FOLDERS"):
        load_sample(tmp_path / "sub" / "labels.csv")
    (tmp_path / "gone.csv").write_text("image,label\n" + "blue.png,a\nblue.png,b\n" * 4)
    with pytest.raises(DatasetError, match="'image' holds paths of images, and there is no file blue.png; relative"):
        load_sample(tmp_path / "gone.csv")
