"""Searches of the Hub."""

import json

import pytest

from hf_transfer_score.checkpoints.candidate import Search
from hf_transfer_score.errors import OptionError

CODE = """
import json, sys
from hf_transfer_score.checkpoints.candidate import Search, search_models
from hf_transfer_score.errors import HubError
def told(modality, options):
    try:
        found = search_models(Search(**options), modality)
    except HubError as error:
        return str(error)
    return [found.names, found.left_out]
answer = [told(*case) for case in json.loads(sys.argv[1])]
"""


@pytest.fixture
def searched(hub, run_client, hub_environment):
    """Return the results of searches, one per (modality, options)."""
    return lambda *cases: run_client(CODE, hub_environment, json.dumps(cases))


@pytest.fixture
def full(hub):
    """A Hub with models for images, texts and audio."""
    made = {
        "a/eye-small": ("image-classification", 10, 5_000_000, "timm", "mit"),
        "a/eye-large": ("image-feature-extraction", 40, 300_000_000, "transformers", "apache-2.0"),
        "b/eye-unknown": ("image-classification", 30, None, "timm", "apache-2.0"),
        "a/text-mask": ("fill-mask", 50, 100_000_000, "transformers", "mit"),
        "a/text-sentences": ("sentence-similarity", 20, 20_000_000, "sentence-transformers", "mit"),
        "b/ear": ("audio-classification", 5, 90_000_000, "transformers", "mit"),
        "b/no-tag": (None, 60, 1_000, "transformers", "mit"),
    }
    for number, (name, (tag, downloads, parameters, library, license_)) in enumerate(made.items()):
        known = {"downloads": downloads, "likes": number, "trending": -number, "parameters": parameters}
        hub.add(name, {"x": "y"}, pipeline_tag=tag, library=library, license=license_, **known)
    hub.add("a/eye-gated", {"x": "y"}, pipeline_tag="image-classification", downloads=90, gated="manual")
    return hub


def test_searches(full, searched):
    def names(*ends):
        return [f"a/{end}" if not end.startswith("b/") else end for end in ends]

    cases = {
        ("image", ()): names("eye-large", "b/eye-unknown", "eye-small"),
        ("text", ()): names("text-mask", "text-sentences"),
        ("audio", ()): ["b/ear"],
        ("image", (("sort", "likes"),)): names("b/eye-unknown", "eye-large", "eye-small"),
        ("image", (("sort", "trending"),)): names("eye-small", "eye-large", "b/eye-unknown"),
        ("image", (("limit", 1),)): names("eye-large"),
        ("image", (("author", "b"),)): ["b/eye-unknown"],
        ("image", (("library", "timm"),)): names("b/eye-unknown", "eye-small"),
        ("text", (("library", "sentence-transformers"),)): names("text-sentences"),
        ("image", (("license", "apache-2.0"), ("text", "eye"))): names("eye-large", "b/eye-unknown"),
        ("text", (("task", "fill-mask"),)): names("text-mask"),
        ("image", (("max_parameters", 5_000_000),)): names("eye-small"),
    }
    got = searched(*[(modality, dict(options)) for modality, options in cases])
    assert {case: found[0] for case, found in zip(cases, got, strict=True)} == cases


def test_what_is_left_out_is_counted_up_to_the_last_one_taken(full, searched):
    everything, first, small = searched(
        ("image", {}), ("image", {"limit": 1}), ("image", {"max_parameters": 5_000_000, "author": "a"})
    )
    assert everything[1] == {"gated (name one to try it)": 1, "listed under no task for image": 4}
    assert first[1] == {"gated (name one to try it)": 1, "listed under no task for image": 2}
    assert small[1] == {"gated (name one to try it)": 1, "listed under no task for image": 2, "too large": 1}


def test_a_search_that_gives_nothing_says_what_was_asked(full, searched):
    no_words, gated = searched(
        ("image", {"text": "nothing", "license": "mit", "max_parameters": 5}), ("image", {"text": "gated"})
    )
    assert no_words == "The search found no model that fits (nothing, license mit, at most 5 parameters)."
    assert gated == "The search found no model that fits (gated). Left out: 1 gated (name one to try it)."


def test_a_hub_that_does_not_answer(full, searched, run_client, hub_environment):
    fault = full.fault("/api/models", 503)
    assert searched(("audio", {})) == [
        [["b/ear"], {"listed under no task for audio": 6, "gated (name one to try it)": 1}]
    ]
    assert fault.hits == 1
    offline = hub_environment | {"HF_HUB_OFFLINE": "1"}
    (message,) = run_client(CODE, offline, '[["image", {"author": "a"}]]')
    assert message == "The Hub cannot be reached, so models cannot be searched (by a). Name models instead."


def test_searches_that_make_no_sense_are_refused():
    with pytest.raises(OptionError, match="sort='age': expected one of downloads, likes, trending"):
        Search(sort="age")
    with pytest.raises(OptionError, match="limit=0: expected at least 1"):
        Search(limit=0)
