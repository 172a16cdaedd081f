"""The command `reproduce`: the published table off line, and a run against a Hub over HTTP."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, weightedtau

from hf_transfer_score.errors import OptionError
from hf_transfer_score.ranking.agreement import agreement
from hf_transfer_score.reproduction import NCTI_CHECKPOINTS, SOURCES, published_table
from tests.checkpoints.images import timm_image
from tests.cli.pool import check_printed
from tests.conftest import clean_environment
from tests.hub.server import LocalHub
from tests.sampling.made import image_bytes

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "published_ncti_cifar10.json").read_text())
MISSING = "timm/densenet201.tv_in1k"
RUN = ("reproduce", "ncti-cifar10", "--run")
ARCHITECTURES = ("test_resnet", "test_byobnet", "test_efficientnet")


def test_the_numbers_are_the_published_ones():
    table = published_table("ncti-cifar10")
    assert {one.name: one.score for one in table.models} == GOLDEN["ncti_score"]
    accuracies = {one.name: 100 * one.accuracy for one in table.models}
    assert accuracies == pytest.approx(GOLDEN["finetuned_accuracy"])
    assert table.agreement.weighted_tau == pytest.approx(GOLDEN["exact_weighted_kendall_tau"], abs=1e-12)
    assert table.agreement.tau == pytest.approx(GOLDEN["exact_kendall_tau"], abs=1e-12)
    ordered = sorted(GOLDEN["ncti_score"], key=GOLDEN["ncti_score"].get, reverse=True)
    assert [(one.name, one.score_rank) for one in table.models] == list(zip(ordered, range(1, 12), strict=True))
    by_accuracy = sorted(table.models, key=lambda one: one.accuracy_rank)
    assert [one.accuracy for one in by_accuracy] == sorted((one.accuracy for one in table.models), reverse=True)


def test_the_table_off_line(run):
    status, out, err = run("reproduce", "ncti-cifar10")
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["resnet152"] == ["1", "2.000", "1", "97.53%"]
    assert rows["inception_v3"] == ["11", "-0.7320", "7", "96.18%"]
    assert "11 models, τ_w 0.843 (90% interval over models 0.62 to 0.97), Kendall τ 0.6727." in out
    for source in GOLDEN["source"].split("; "):
        assert source in out, "where each number is from"
    assert "add --run to score the nearest checkpoints on the Hub" in out


def test_the_table_as_json(run):
    status, out, _ = run("reproduce", "ncti-cifar10", "--json")
    found = json.loads(out)
    assert status == 0 and found["run"] is None and found["dataset"] == "uoft-cs/cifar10"
    check_printed("reproduce", found)
    assert {one["name"]: one["score"] for one in found["models"]} == GOLDEN["ncti_score"]
    assert found["agreement"]["weighted_tau"] == pytest.approx(GOLDEN["exact_weighted_kendall_tau"])
    assert found["models"][0]["checkpoint"] == {"id": "timm/resnet152.tv_in1k", "same_weights": True, "note": ""}


OFFLINE = """
import sys
from hf_transfer_score.cli import main
status = main(["reproduce", "ncti-cifar10"])
heavy = ("torch", "transformers", "timm", "datasets", "huggingface_hub", "gradio")
answer = [status, [name for name in heavy if name in sys.modules]]
"""


def test_off_line_nothing_heavy_is_loaded_and_nobody_is_asked(hub, hub_environment, run_client):
    assert run_client(OFFLINE, hub_environment, fresh=True) == [0, []]
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "wording"),
    [
        (
            ("ncti-cifar100",),
            "error: There is no published table 'ncti-cifar100'. Did you mean 'ncti-cifar10'? Known: ncti-cifar10.",
        ),
        (("zzz",), "error: There is no published table 'zzz'. Known: ncti-cifar10."),
        (("ncti-cifar10", "--per-class", "5"), "error: --per-class says how models are scored again: add --run"),
        (("ncti-cifar10", "--free-disk"), "error: --free-disk says how models are scored again: add --run"),
        ((), "error: TABLE is missing: ncti-cifar10, "),
    ],
)
def test_wrong_usage(run, arguments, wording):
    status, out, err = run("reproduce", *arguments)
    assert (status, out) == (2, "") and wording in err


def test_unknown_tables_are_an_option_error():
    with pytest.raises(OptionError, match="Did you mean 'ncti-cifar10'"):
        published_table("ncti-cifar1O")


def test_checkpoints_are_those_that_timm_has_on_the_hub():
    import timm

    assert set(NCTI_CHECKPOINTS) == set(GOLDEN["ncti_score"])
    for name, one in NCTI_CHECKPOINTS.items():
        if one.id is None:
            assert not timm.list_models(f"*{name}*", pretrained=True), "else it should be named"
            continue
        config = timm.get_pretrained_cfg(one.id.removeprefix("timm/"))
        assert config.hf_hub_id == one.id and config.num_classes == 1000
        assert one.same_weights == (config.tag == "tv_in1k") != bool(one.note)


def test_scores_of_some_models_are_compared_with_their_accuracies_only():
    table = published_table("ncti-cifar10")
    scores = {"googlenet": 3.0, "resnet34": 1.0, "resnet152": 2.0}
    assert table.agreement_of(scores) == agreement([2.0, 1.0, 3.0], [0.9753, 0.9612, 0.9554])
    beside = table.published_agreement_of(scores)
    assert (beside.models, beside.weighted_tau, beside.enough) == (3, pytest.approx(1), False)


def cifar() -> bytes:
    """Return a training split as it lies on the Hub: ten classes of small pictures, each of another colour."""
    import datasets

    names = [f"class {number}" for number in range(10)]
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 120, (10, 3))
    labels = [row % 10 for row in range(120)]
    made = [image_bytes((generator.integers(0, 120, (8, 8, 3)) + colours[one]).astype(np.uint8)) for one in labels]
    rows = {"img": [{"bytes": one, "path": None} for one in made], "label": labels}
    buffer = io.BytesIO()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def online(parent, tmp_path_factory):
    """A Hub with CIFAR-10 and all checkpoints but one, in small; and what runs the command there."""
    folder = tmp_path_factory.mktemp("reproduce")
    with LocalHub(folder / "hub") as hub:
        hub.add(SOURCES["ncti-cifar10"].dataset, {"data/train-00000-of-00001.parquet": cifar()}, kind="dataset")
        for number, one in enumerate(one.id for one in NCTI_CHECKPOINTS.values() if one.id not in (None, MISSING)):
            made = timm_image(folder / f"{number}", ARCHITECTURES[number % 3], seed=number)
            hub.add(one, made, pipeline_tag="image-classification")

        environment = clean_environment(folder / "home", hub.endpoint)
        yield lambda *more: parent.run(*RUN, *more, environment=environment, folder=folder)


@pytest.fixture(scope="module")
def found(online):
    done = online("--per-class", "8", "--json", "--device", "cpu")
    assert done.status == 0, done.err
    assert "9 models to run" in done.err
    failed = {name: one["reason"] for name, one in done.report["run"]["report"]["pool"].items() if one["reason"]}
    assert set(failed) == {"timm/densenet201.tv_in1k"}, failed
    return done.report


def test_a_run_scores_the_checkpoints_on_the_dataset_of_the_hub(found):
    report = found["run"]["report"]
    sample = report["sample"]
    assert (sample["dataset"], sample["split"], sample["examples"], sample["classes"]) == (
        "uoft-cs/cifar10",
        "train",
        80,
        10,
    )
    assert set(report["pool"]) == {one.id for one in NCTI_CHECKPOINTS.values() if one.id}
    assert set(found["run"]["scores"]) >= {"ncti", "face", "logme"}
    scores = found["run"]["scores"]["ncti"]
    assert set(scores) == set(GOLDEN["ncti_score"]) - {"googlenet", "densenet201"}
    for name, score in scores.items():
        assert score == report["pools"]["ncti"]["scores"][NCTI_CHECKPOINTS[name].id]


def test_agreement_is_with_the_published_accuracies(found):
    for metric, scores in found["run"]["scores"].items():
        truth = [GOLDEN["finetuned_accuracy"][name] for name in scores]
        told = found["run"]["agreement"][metric]
        assert told["weighted_tau"] == pytest.approx(weightedtau(list(scores.values()), truth).statistic)
        assert told["tau"] == pytest.approx(kendalltau(list(scores.values()), truth).statistic)
        assert told["models"] == 9


def test_both_stand_side_by_side_and_what_is_missing_is_a_row(online, found):
    done = online("--per-class", "8", "--quiet")
    assert (done.status, done.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line.strip()}
    scores, ranks = found["run"]["scores"], found["run"]["ranks"]
    told = rows["resnet152"]
    assert told[:4] == ["1", "2.000", "1", "97.53%"] and told[-1] == "timm/resnet152.tv_in1k"
    assert told[4] == str(ranks["ncti"]["resnet152"])
    assert float(told[5]) == pytest.approx(scores["ncti"]["resnet152"], rel=1e-3)
    assert rows["densenet201"][:4] == ["3", "1.434", "3", "97.02%"]
    assert rows["densenet201"][-2:] == ["failed:", MISSING] and set(rows["densenet201"][4:-2]) == {"–"}
    assert set(rows["googlenet"][4:]) == {"–"}
    assert rows["mobilenet_v2"][-2:] == ["*", "timm/mobilenetv2_100.ra_in1k"]
    assert f"{MISSING} (densenet201): missing: " in done.out
    assert "googlenet: timm has no GoogLeNet, so there is no checkpoint to score" in done.out
    assert "same architecture with weights of another training recipe (RMSProp)" in done.out
    weighted = found["run"]["agreement"]["ncti"]["weighted_tau"]
    assert f"ncti now and the accuracies: 9 models, τ_w {weighted:.3f}" in done.out
    kept = [name for name in GOLDEN["ncti_score"] if name in scores["ncti"]]
    published = weightedtau([GOLDEN["ncti_score"][n] for n in kept], [GOLDEN["finetuned_accuracy"][n] for n in kept])
    assert f"Published scores of those scored now: 9 models, τ_w {published.statistic:.3f}" in done.out


def test_a_hub_without_the_dataset_ends_with_one_line(parent, hub_environment):
    done = parent.run(*RUN, environment=hub_environment)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: ") and "uoft-cs/cifar10" in done.err and "Traceback" not in done.err
