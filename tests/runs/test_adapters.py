"""Adapters of the Hub as candidates of whole runs: found, merged, kept under both commits, fine-tuned; or refused."""

import json

import pytest

from tests.checkpoints.adapters import edit_settings, write_adapter
from tests.runs.pool import PICTURES, again, change_weights, kept

LORA = "adapt/lora"
REFUSED = {
    "path": ({"base_model_name_or_path": "../.."}, "unsupported", "whose base is no model on the Hub: '../..'"),
    "file": ({"base_model_name_or_path": "file:///etc"}, "unsupported", "whose base is no model on the Hub"),
    "host": ({"base_model_name_or_path": "http://127.0.0.1:9/x"}, "unsupported", "whose base is no model on the Hub"),
    "chain": ({"base_model_name_or_path": LORA}, "unsupported", "whose base adapt/lora holds an adapter itself"),
    "itself": ({"base_model_name_or_path": "adapt/itself"}, "unsupported", "whose base adapt/itself holds an adapter"),
    "absent": (
        {"base_model_name_or_path": "no/such"},
        "missing",
        "whose base no/such cannot be used: there is no no/such on the",
    ),
    "revision": ({"revision": "none"}, "missing", "whose base adapt/vit cannot be used: has no revision 'none'"),
    "dora": ({"use_dora": True}, "unsupported", "use_dora=True, which is not read here"),
    "other-base": ({"base_model_name_or_path": "good/resnet"}, "corrupt", "names no layer of its base good/resnet"),
}


@pytest.fixture(scope="module")
def hub(shared_hub, tmp_path_factory):
    """The Hub with a base and its adapters; `base` is the folder of the base, `merged` what peft makes of them."""
    base = again(shared_hub, "adapt/vit", "good/vit", license="mit", parameters=12_345)
    folder = tmp_path_factory.mktemp("adapter")
    how = {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}
    model = write_adapter(folder, base, "adapt/vit", "AutoModelForImageClassification", **how)
    shared_hub.add(LORA, folder, license="apache-2.0", downloads=7, parameters=99)
    for name, (settings, _, _) in REFUSED.items():
        edit_settings(shared_hub.add(f"adapt/{name}", folder), **settings)
    return shared_hub, base, model.merge_and_unload()


@pytest.fixture(scope="module")
def first(hub, warm):
    names = [LORA, "adapt/vit", *(f"adapt/{name}" for name in REFUSED)]
    return warm.run("rank", PICTURES, "--models", *names, "--replicates", "0", "--json")


def entries(warm, commit):
    return [one for one in kept(warm).entries() if one.meta["commit"] == commit]


def test_it_is_a_candidate_with_the_facts_of_both(first, hub):
    shared_hub, _, _ = hub
    assert first.status == 0 and set(first.report["ranks"]) == {LORA, "adapt/vit"}
    one, base = first.models[LORA], first.models["adapt/vit"]
    assert one["commit"] == shared_hub.repository(LORA).head.name
    assert (one["license"], one["downloads"], one["library"]) == ("mit and apache-2.0", 7, "hub_vision")
    assert one["parameters"] == base["parameters"], "merged, it has as many as its base"
    assert one["scores"] != base["scores"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_merged_is_a_row_with_the_reason(first, name):
    _, kind, words = REFUSED[name]
    assert first.failures[f"adapt/{name}"][0] == kind
    assert words in first.failures[f"adapt/{name}"][1]


def test_records_name_the_adapter_and_its_base(first, hub, warm, tmp_path):
    shared_hub, _, _ = hub
    done = warm.run("rank", PICTURES, "--models", LORA, "--save", str(tmp_path), "--replicates", "0", "--json")
    assert done.models[LORA]["from_cache"]
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    found = [one for one in records if one.get("model", {}).get("id") == LORA]
    commits = shared_hub.repository(LORA).head.name, shared_hub.repository("adapt/vit").head.name
    assert found and {one["model"]["commit"] for one in found} == {commits[0]}
    told = [one["model"]["details"]["adapter"] for one in found]
    assert {(one["base"], one["base_commit"]) for one in told} == {("adapt/vit", commits[1])}


def test_the_merged_network_is_fine_tuned(first, warm):
    done = warm.run(
        *("verify", PICTURES, "--models", LORA, "adapt/vit", "--method", "full", "--steps", "2", "--json"),
        *("--learning-rates", "0.001", "--per-class", "10"),
    )
    assert done.status == 0, done.err
    assert LORA in done.out


def test_a_second_run_asks_nobody_and_a_changed_base_is_another_key(first, hub, warm):
    shared_hub, base, _ = hub
    shared_hub.requests.clear()
    arguments = ("rank", PICTURES, "--models", LORA, "--replicates", "0", "--json")
    assert warm.run(*arguments).models[LORA]["from_cache"]
    assert not [one for one in shared_hub.requests if "adapt" in one.path]
    commit = shared_hub.repository(LORA).head.name
    change_weights(base, lambda weights: {name: value * 1.5 for name, value in weights.items()})
    done = warm.run(*arguments, "--refresh")
    assert done.status == 0 and not done.models[LORA]["from_cache"] and done.models[LORA]["commit"] == commit
    bases = {one.meta["extraction"]["details"]["adapter"]["base_commit"] for one in entries(warm, commit)}
    assert len(bases) == 2 and shared_hub.repository("adapt/vit").head.name in bases
