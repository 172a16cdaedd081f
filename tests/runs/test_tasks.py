"""Every task from a dataset to a ranking, with real small checkpoints that have random weights."""

import io

import numpy as np
import pytest
import soundfile
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value
from PIL import Image as Picture

from hf_transfer_score import RankOptions, SampleOptions, rank
from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import verify
from tests.checkpoints.images import timm_image, vit
from tests.checkpoints.sounds import write_sound
from tests.checkpoints.texts import write_sentence_folder, write_text

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return [str(timm_image(folder / "resnet", architecture="test_resnet")), str(vit(folder / "vit"))]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    return [
        str(write_text(folder / "bert", "bert")),
        str(write_text(folder / "gpt2", "gpt2")),
        str(write_sentence_folder(folder / "sentences", "bert")),
    ]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    return [str(write_sound(folder / family, family)) for family in ("wav2vec2", "whisper")]


def ranked(dataset, models, folder, **settings):
    """Rank, and expect every model to be scored."""
    options = settings.pop("options", None) or RankOptions(replicates=10)
    report = rank(dataset, models, options=options, folder=folder, **settings)
    assert {name: one.reason for name, one in report.models.items() if one.status != "ok"} == {}
    assert set(report.ranks) == set(report.models)
    return report


def noisy(colour, generator, size=(24, 20)):
    pixels = np.asarray(colour) + generator.normal(scale=25, size=(size[1], size[0], 3))
    return Picture.fromarray(pixels.clip(0, 255).astype(np.uint8))


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def test_image_classification(images, tmp_path):
    generator = np.random.default_rng(0)
    names = list(COLOURS)
    rows = [{"image": png(noisy(COLOURS[names[n % 3]], generator)), "label": n % 3} for n in range(36)]
    dataset = Dataset.from_list(rows, features=Features({"image": Image(), "label": ClassLabel(names=names)}))
    report = ranked(dataset, images, tmp_path, metrics="all")
    assert report.sample.task.name == "image-classification" and report.sample.label_names == tuple(names)
    for outcome in report.models.values():
        assert outcome.scores["knn"].terms["knn"] > 0.9, "colours are told apart by any network"
        assert outcome.scores["leep"].status == "ok", "both have a head"


def test_image_regression(images, tmp_path):
    generator = np.random.default_rng(0)
    greys = generator.uniform(20, 230, size=40)
    rows = [{"image": png(noisy((grey,) * 3, generator)), "brightness": float(grey)} for grey in greys]
    dataset = Dataset.from_list(rows, features=Features({"image": Image(), "brightness": Value("float32")}))
    options = RankOptions(sample=SampleOptions(label_column="brightness"), replicates=5)
    report = ranked(dataset, images, tmp_path, options=options)
    assert report.sample.task.name == "image-regression" and report.headline == ("logme_regression",)
    assert report.sample.labels is None and report.sample.targets.shape == (40,)


def test_image_segmentation(images, tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for number in range(12):
        mask = np.zeros((20, 24), dtype=np.uint8)
        mask[:, 12:] = 1 + number % 2
        mask[0, 0] = 255
        pixels = np.asarray(list(COLOURS.values()))[mask % 255] + generator.normal(scale=10, size=(20, 24, 3))
        image = Picture.fromarray(pixels.clip(0, 255).astype(np.uint8))
        rows.append({"image": png(image), "mask": png(Picture.fromarray(mask))})
    dataset = Dataset.from_list(rows, features=Features({"image": Image(), "mask": Image()}))
    report = ranked(dataset, images, tmp_path)
    assert report.sample.task.name == "image-segmentation"
    assert report.sample.rows == 12 * 16 and set(report.sample.labels.tolist()) == {0, 1, 2}
    cached = FeatureCache(tmp_path / "features", 10**9)
    for entry in cached.entries():
        assert len(cached.get(entry.key).features["last"]) == 12 * 16


def test_text_classification_and_pairs(texts, tmp_path):
    words = {"money": "bank card", "travel": "where is my"}
    rows = [{"text": f"{words[name]} {'the ' * n}", "label": name} for n in range(20) for name in words]
    report = ranked(Dataset.from_list(rows), texts, tmp_path)
    assert report.sample.label_names == ("money", "travel")
    pairs = [{"premise": row["text"], "hypothesis": row["text"][::-1], "label": row["label"]} for row in rows]
    report = ranked(Dataset.from_list(pairs), texts, tmp_path)
    assert report.sample.source.columns == {"input": "premise", "input_2": "hypothesis", "label": "label"}


def test_token_classification(texts, tmp_path):
    names = ["O", "B-PER", "B-LOC"]
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
    sentences = [(["Ann", "went", "to", "Rome", "yesterday"], [1, 0, 0, 2, 0])] * 15 + [
        (["to", "Oslo", "with", "Bob"], [0, 2, 0, 1])
    ] * 15
    rows = [{"tokens": words, "ner_tags": tags} for words, tags in sentences]
    report = ranked(Dataset.from_list(rows, features=features), texts[:2], tmp_path)
    assert report.sample.task.name == "token-classification"
    assert report.sample.rows == 15 * 5 + 15 * 4 and report.sample.label_names == tuple(names)


@pytest.mark.parametrize("per_class", [None, 6])
def test_audio_classification(sounds, tmp_path, per_class):
    generator = np.random.default_rng(0)
    for number in range(20):
        pitch = ("low", "high")[number % 2]
        (tmp_path / "data" / pitch).mkdir(parents=True, exist_ok=True)
        length = 3000 + 400 * (number % 5)
        wave = np.sin(np.arange(length) * (0.05 if pitch == "low" else 0.9)) + generator.normal(scale=0.1, size=length)
        soundfile.write(tmp_path / "data" / pitch / f"{number}.wav", wave * 0.4, 16000)
    options = RankOptions(sample=SampleOptions(per_class=per_class), replicates=5)
    report = ranked(str(tmp_path / "data"), sounds, tmp_path / "home", options=options)
    assert report.sample.task.name == "audio-classification"
    assert len(report.sample) == (20 if per_class is None else 12)


def test_all_layers_make_a_row_each(texts, tmp_path):
    rows = [{"text": f"{word} {'the ' * n}", "label": word} for n in range(12) for word in ("bank", "card")]
    options = RankOptions(backbone=BackboneOptions(layer="all"), replicates=5)
    report = ranked(Dataset.from_list(rows), texts[:1], tmp_path, options=options)
    assert sorted(report.models) == [f"bert [layer {n}]" for n in range(3)]
    assert {outcome.layer for outcome in report.models.values()} == {"0", "1", "2"}


def test_a_stream_is_read_once_for_all_models(texts, tmp_path):
    read = []

    def rows():
        for number in range(50):
            read.append(number)
            yield {"text": f"{'bank' if number % 2 else 'card'} {'the ' * (number % 9)}", "label": number % 2}

    from datasets import IterableDataset

    features = Features({"text": Value("string"), "label": ClassLabel(names=["train", "cash"])})
    report = ranked(IterableDataset.from_generator(rows, features=features), texts, tmp_path)
    assert len(report.models) == 3
    assert read == list(range(50))


NAMES = ("vit-pretrained", "resnet-pretrained")
MODELS = tuple(f"example/{name}" for name in NAMES)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def options(size):
    return RankOptions(sample=SampleOptions(max_samples=40), backbone=BackboneOptions(image_size=size), replicates=0)


def stored(folder, kind):
    found = [Record.from_json(path.read_bytes()) for path in (folder / "records").rglob("*.json")]
    return [one for one in found if one.metric and one.metric.kind == kind]


def test_features_of_another_size_are_others_with_a_record_of_their_own(home, tmp_path):
    usual, larger = (rank("example", MODELS, options=options(size), folder=home) for size in (None, 64))
    for name in NAMES:
        assert usual.models[name].status == larger.models[name].status == "ok"
        assert not larger.models[name].from_cache
        assert usual.models[name].scores != larger.models[name].scores
    again = rank("example", MODELS, options=options(64), folder=home)
    assert all(one.from_cache for one in again.models.values())
    for report, size in ((usual, None), (larger, 64)):
        report.save(tmp_path / str(size))
        assert {one.model.details.get("image_size") for one in stored(tmp_path / str(size), "score")} == {size}


def test_a_checkpoint_that_does_not_take_it_is_a_row(home):
    report = rank("example", MODELS, options=options(50), folder=home)
    assert report.models[NAMES[1]].status == "ok"
    failed = report.models[NAMES[0]]
    assert (failed.status, failed.kind) == ("failed", "unsupported")
    assert failed.reason.startswith("does not take images of 50 x 50 pixels: the size is not a multiple of its patches")


def test_fine_tuning_reads_them_at_that_size_too(home, tmp_path):
    how = VerifyOptions("full", changes={"epochs": 1, "learning_rates": (1e-3,), "device": "cpu"}, seeds=(0,))
    report = verify("example", MODELS[:1], options=options(64), how=how, folder=home, save=tmp_path)
    assert {one.status for one in report.models.values()} == {"ok"}
    assert [one.model.details["image_size"] for one in stored(tmp_path, "truth")] == [64]
