"""A kind of backbone without gradients for its weights: a probe is fitted, other methods fail with a row."""

import json

import numpy as np
import pytest

from hf_transfer_score import RankOptions, SampleOptions
from hf_transfer_score.backbones.base import BackboneKind, MemoryBackbone, register_backbone, unregister_backbone
from hf_transfer_score.finetune.recipe import METHODS
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import verify

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letters(text: str) -> list[int]:
    return [text.count(letter) for letter in LETTERS]


@pytest.fixture
def kind():
    """A kind that counts letters, for checkpoints with a model_type of its own."""
    made = BackboneKind(
        "letters",
        "text",
        lambda repository: repository.config.get("model_type") == "letters",
        lambda repository, options: ["config.json"],
        lambda folder, task, options: MemoryBackbone(letters),
        priority=9,
    )
    register_backbone(made)
    yield made
    unregister_backbone("letters")


@pytest.fixture
def place(tmp_path):
    """A checkpoint of that kind, and a dataset whose classes it can distinguish."""
    (tmp_path / "counter").mkdir()
    (tmp_path / "counter" / "config.json").write_text('{"model_type": "letters"}')
    generator = np.random.default_rng(0)
    words = (("bad", "slow", "cold"), ("good", "warm", "wit"))
    rows = [(f"a {generator.choice(words[row % 2])} film number {row}", row % 2) for row in range(80)]
    lines = [json.dumps({"text": text, "label": ("neg", "pos")[label]}) for text, label in rows]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines))
    return tmp_path


def verified(place, method, **changes):
    return verify(
        str(place / "reviews.jsonl"),
        [str(place / "counter")],
        options=RankOptions(sample=SampleOptions(max_samples=40), replicates=0),
        how=VerifyOptions(method, changes={"device": "cpu", **changes}, seeds=(0,)),
        folder=place / "home",
        save=place / "results",
    )


def test_it_can_be_probed(place, kind):
    report = verified(place, "probe")
    one = report.models["counter"]
    assert (one.status, one.reason) == ("ok", None)
    assert one.mean > 0.8
    assert one.measured[0].trainable_parameters == one.measured[0].total_parameters == 2 * (len(LETTERS) + 1)


@pytest.mark.parametrize("method", [one for one in METHODS if one != "probe"])
def test_every_other_method_is_a_row_with_the_reason(place, kind, method):
    report = verified(place, method, epochs=1, learning_rates=(1e-3,))
    one = report.models["counter"]
    assert (one.status, one.kind) == ("failed", "unsupported")
    assert one.reason == (
        f"is of a kind that gives features without gradients, so the method {method} cannot train it; use the method "
        "probe"
    )
    (path,) = [path for path in (place / "results" / "records").rglob("*.json") if '"truth"' in path.read_text("utf-8")]
    assert Record.from_json(path.read_bytes()).is_failed_measurement
