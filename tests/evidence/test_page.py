"""docs/evidence.md follows from the shipped records, and these are complete."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy.stats import weightedtau

from benchmarks.evidence.forecasts import known_figures
from benchmarks.evidence.report import CALIBRATION, PAGE, PICTURE, page
from benchmarks.evidence.zoo import IMAGES, TEXTS
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.records.shipped import EVIDENCE, read_shipped, shipped_folder

NUMBER = re.compile(r"[−+-]?\d[\d,]*\.?\d*")
DATASETS = {
    **{f"cifar10-five-classes-{name}": IMAGES for name in ("10-a-class", "50-a-class", "200-a-class", "long-tailed")},
    **{f"banking77-{number}-classes": TEXTS for number in (10, 77)},
}
LAST_DIGIT = 0.0101
"""Another linear algebra library may round the end of an interval differently."""


@pytest.fixture(scope="module")
def records():
    return read_shipped(shipped_folder() / EVIDENCE)


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


def numbers(text):
    return [float(one.replace("−", "-").replace(",", "")) for one in NUMBER.findall(text)]


def of_dataset(records, dataset):
    return [one for one in records if one.dataset.id == dataset and one.metric is not None]


def row_of(text, name):
    return next(line for line in text.splitlines() if line.startswith(f"| {name} |"))


def test_the_page_follows_from_the_records(records, text):
    again = page(records, known_figures())
    assert NUMBER.sub("N", again) == NUMBER.sub("N", text)
    assert numbers(again) == pytest.approx(numbers(text), abs=LAST_DIGIT, rel=1e-3)
    assert PICTURE.is_file()
    assert CALIBRATION.is_file()


@pytest.mark.parametrize(("dataset", "members"), DATASETS.items())
def test_every_backbone_is_scored_and_fine_tuned_three_times(records, dataset, members):
    mine = of_dataset(records, dataset)
    names = {member.name for member in members}
    full = {}
    for one in mine:
        if one.metric.kind == "truth" and one.metric.parameters["method"] == "full":
            full.setdefault(one.model.id, set()).add(one.metric.parameters["seed"])
    assert full == {name: {0, 1, 2} for name in names}
    for name, metric in all_metrics().items():
        if "labels" in metric.needs or metric.baseline:
            assert {one.model.id for one in mine if one.metric.name == name} == names, name


def test_a_figure_of_the_page_by_hand(records, text):
    mine = of_dataset(records, "cifar10-five-classes-50-a-class")
    default = {"pca": "auto"}
    terms = {one.model.id: one.terms for one in mine if one.metric.name == "ncti" and one.metric.parameters == default}
    truths = {}
    for one in mine:
        if one.metric.kind == "truth" and one.metric.parameters["method"] == "full":
            truths.setdefault(one.model.id, []).append(one.terms["accuracy"])
    models = sorted(truths)
    scaled = {}
    for name in ("seli", "ncc", "vc"):
        values = np.array([terms[model][name] for model in models])
        scaled[name] = (values - values.min()) / (values.max() - values.min())
    scores = scaled["seli"] + scaled["ncc"] - scaled["vc"]
    tau = weightedtau(scores, [np.mean(truths[model]) for model in models]).statistic
    assert numbers(row_of(text, "**ncti**"))[0] == pytest.approx(tau, abs=LAST_DIGIT)


def test_the_page_has_the_numbers_of_test_rows(records, text):
    tested = {}
    for one in records:
        if one.metric is not None and one.metric.kind == "truth":
            tested.setdefault(one.dataset.id, set()).add(one.metric.parameters["test_rows"])
    rows = [line.split(" | ") for line in text.splitlines() if line.split(" | ")[1:2] in (["56"], ["18"])]
    assert sorted(int(row[2].replace(",", "")) for row in rows) == sorted(count for (count,) in tested.values())


def test_the_records_are_small_and_contain_no_paths():
    file = shipped_folder() / EVIDENCE
    assert file.stat().st_size < 4_000_000
    texts = [column.unique() for column in parquet.read_table(file).columns if pa.types.is_string(column.type)]
    assert sum(map(len, texts)) > 10_000, "otherwise the line below proves nothing"
    assert not re.search(
        r"/(home|root|tmp|work|Users)/", "\n".join(text for one in texts for text in one.to_pylist() if text)
    )


def test_the_picture_has_no_date_and_no_paths():
    picture = Path(PICTURE).read_text(encoding="utf-8")
    assert "dc:date" not in picture
    assert not re.search(r"/(home|root|tmp|work)/", picture)
