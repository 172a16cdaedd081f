"""What a run would do, which models it takes, and what it leaves on the disk."""

import pytest

from tests.runs.pool import PICTURES, again, weights_on_disk

QUIET = ("--json", "--replicates", "0", "--quiet")
PLAN = ("--dry-run", "--json")


def test_a_dry_run_downloads_no_weights(shared_hub, warm, tmp_path):
    size = again(shared_hub, "plan/vit", "good/vit") / "model.safetensors"
    warm.run("rank", PICTURES, "--models", "good/vit", *QUIET)
    shared_hub.requests.clear()
    done = warm.run("rank", PICTURES, "--models", "plan/vit", "good/vit", "no/such", *PLAN)
    assert done.status == 0 and shared_hub.sent(r"\.safetensors$") == 0
    models = {one["name"]: one for one in done.report["models"]}
    assert {name: one["state"] for name, one in models.items()} == {
        "plan/vit": "download",
        "good/vit": "cached",
        "no/such": "failed",
    }
    files = shared_hub.repository("plan/vit").head.files
    wanted = ("model.safetensors", "preprocessor_config.json")
    assert models["plan/vit"]["download_bytes"] == done.report["download_bytes"] >= size.stat().st_size
    assert set(wanted) <= set(models["plan/vit"]["files"]) <= set(files)
    assert (models["plan/vit"]["kind"], models["plan/vit"]["commit"]) == (
        "hub_vision",
        shared_hub.repository("plan/vit").head.name,
    )
    assert models["no/such"]["failure"]["kind"] == "missing"
    table = warm.run("rank", PICTURES, "--models", "plan/vit", "--dry-run")
    assert "1 model to run, 0 in the cache, 57" in table.out and table.err == ""


def test_models_with_more_parameters_than_asked_for_are_left_out_though_their_features_are_cached(warm):
    warm.run("rank", PICTURES, "--models", "good/vit", *QUIET)
    done = warm.run("rank", PICTURES, "--models", "good/vit", "--max-params", "1K", *PLAN)
    (model,) = done.report["models"]
    assert (model["state"], model["failure"]["kind"]) == ("failed", "too_large")


@pytest.fixture(scope="module")
def freed(shared_hub, warm):
    """A run that frees what it downloads, with one model whose weights were there before."""
    for name in ("disk/before", "disk/one", "disk/two"):
        again(shared_hub, name, "good/vit")
    warm.run("rank", PICTURES, "--models", "disk/before", *QUIET)
    arguments = ("rank", PICTURES, "--models", "disk/before", "disk/one", "disk/two", "--max-samples", "30", *QUIET)
    return arguments, warm.run(*arguments, "--free-disk")


def test_freed_weights_are_gone_and_those_from_before_stay(freed, warm):
    _, done = freed
    assert done.status == 0 and len(done.report["ranks"]) == 3
    assert not any(one["from_cache"] for one in done.models.values())
    assert weights_on_disk(warm, "disk/before")
    assert weights_on_disk(warm, "disk/one") == weights_on_disk(warm, "disk/two") == []


def test_features_stay_when_weights_are_freed(freed, shared_hub, warm):
    arguments, _ = freed
    shared_hub.requests.clear()
    done = warm.run(*arguments)
    assert done.status == 0 and all(one["from_cache"] for one in done.models.values())
    assert shared_hub.requests == []


@pytest.fixture(scope="module")
def listed(shared_hub):
    """Repositories of one author, to be searched; only what is said about them matters."""
    config = {"config.json": '{"architecture": "resnet18", "pretrained_cfg": {}}', "model.safetensors": "x"}
    image = {"pipeline_tag": "image-classification", "library": "timm", "license": "mit"}
    hub_says = {
        "tiny": {"downloads": 10, "likes": 9, "parameters": 1_000_000},
        "small": {"downloads": 30, "likes": 1, "parameters": 20_000_000},
        "large": {"downloads": 50, "likes": 5, "parameters": 900_000_000},
        "closed": {"downloads": 90, "parameters": 2_000_000, "gated": True},
    }
    for name, known in hub_says.items():
        shared_hub.add(f"listed/net-{name}", config, **image, **known)
    shared_hub.add("listed/net-text", config, pipeline_tag="fill-mask", downloads=99, library="timm")
    shared_hub.add("listed/net-other", config, downloads=20, **{**image, "library": "fastai", "license": "gpl-3.0"})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--search", "net"), ["large", "small", "other", "tiny"]),
        (("--search", "net", "--limit", "2"), ["large", "small"]),
        (("--sort", "likes"), ["tiny", "large", "small", "other"]),
        (("--library", "timm"), ["large", "small", "tiny"]),
        (("--license", "gpl-3.0"), ["other"]),
        (("--search", "net", "--max-params", "20M"), ["small", "tiny"]),
        (("--search", "net", "--models", "listed/net-other", "--limit", "1"), ["other", "large"]),
    ],
)
def test_a_search_of_the_hub_adds_candidates_in_order(listed, warm, words, names):
    done = warm.run("rank", PICTURES, "--author", "listed", *words, *PLAN)
    assert done.status == 0
    assert [one["name"].removeprefix("listed/net-") for one in done.report["models"]] == names


def test_what_a_search_leaves_out_is_said(listed, warm):
    plan = warm.run("rank", PICTURES, "--author", "listed", "--max-params", "20M", *PLAN).report
    assert plan["notes"] == [
        "The search left out 1: listed under no task for image.",
        "The search left out 1: gated (name one to try it).",
        "The search left out 1: too large.",
        "The search left out 1: without a parameter count.",
    ]


def test_a_search_that_finds_nothing_is_one_sentence(listed, warm):
    done = warm.run("rank", PICTURES, "--search", "nothing-like-this", "--license", "mit")
    assert (done.status, done.out) == (1, "")
    assert done.err == "error: The search found no model that fits (nothing-like-this, license mit).\n"
