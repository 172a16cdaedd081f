"""Options as keywords: every field of the dataclasses is one, and invalid ones are refused."""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest

import hf_transfer_score
from hf_transfer_score import BackboneOptions, ExtractOptions, OptionError, RankOptions, SampleOptions, VerifyOptions
from hf_transfer_score.calls import COVERED, Keywords
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.finetune.recipe import Recipe

RUNS = {name: getattr(hf_transfer_score, name) for name in ("rank", "plan_rank", "verify", "choose", "layers")}
KINDS = {
    "rank": (RankOptions, SampleOptions, BackboneOptions, ExtractOptions),
    "verify": (RankOptions, SampleOptions, BackboneOptions, ExtractOptions, VerifyOptions, Recipe),
    "choose": (RankOptions, SampleOptions, BackboneOptions, ExtractOptions, ChooseOptions, Recipe),
}


def plain(dataset, models=(), *, options=None):
    """Take options."""


def made(**named):
    """Return the options that keywords make."""
    return Keywords(plain, "rank", {"options": RankOptions}).arguments(named)["options"]


def test_each_field_is_a_keyword_or_has_a_reason():
    for name, kinds in KINDS.items():
        taken = {(one.owner, one.path[-1]) for several in RUNS[name].keywords.options.values() for one in several}
        missing = {(kind.__name__, field) for kind in kinds for field in inspect.signature(kind).parameters}
        missing -= {(owner.__name__, field) for owner, field in taken}
        nested = {("RankOptions", field) for field in ("sample", "backbone", "extract")}
        useless = {("RankOptions", "replicates"), ("RankOptions", "level")} if name == "choose" else set()
        useless |= {("BackboneOptions", one) for one in ("quantize", "device_map") if name != "rank"}
        assert missing == nested | useless | {one for one in COVERED if one[0] in {kind.__name__ for kind in kinds}}


def test_keywords_reach_their_dataclass():
    options = made(max_samples=50, input_columns="text", pooling="mean", device="cpu", replicates=0, seed=3)
    assert options == RankOptions(
        SampleOptions(max_samples=50, input_columns=("text",), seed=3),
        BackboneOptions(pooling="mean"),
        ExtractOptions(device="cpu"),
        replicates=0,
        seed=3,
    )
    kept = RankOptions(SampleOptions(max_samples=50), replicates=0)
    assert made(options=kept, per_class=5) == RankOptions(SampleOptions(max_samples=50, per_class=5), replicates=0)


def test_settings_of_the_recipe_are_changes_of_the_default():
    keywords = RUNS["verify"].keywords
    how = keywords.arguments({"epochs": 3, "learning_rates": 1e-3, "train_batch_size": 8, "device": "cpu", "top": 2})
    assert how["how"] == VerifyOptions(
        changes={"epochs": 3, "learning_rates": (1e-3,), "batch_size": 8, "device": "cpu"}, top=2
    )
    assert how["options"].extract == ExtractOptions(device="cpu")
    assert "patience" not in how["how"].changes
    swept = keywords.arguments({"epochs": np.int64(3), "seeds": range(2), "learning_rates": np.array([0.5])})["how"]
    assert (swept.seeds, repr(swept.changes)) == ((0, 1), "{'epochs': 3, 'learning_rates': (0.5,)}")


@pytest.mark.parametrize(("name", "function"), RUNS.items())
def test_an_unknown_option_is_refused_with_the_nearest(name, function):
    with pytest.raises(OptionError, match=r"There is no option `max_sample`: did you mean max_samples\?"):
        function("example", "example/vit-few-steps", max_sample=3)
    for other, meant in (("label", "label_column"), ("text_column", "input_columns"), ("subset", "config")):
        with pytest.raises(OptionError, match=rf"There is no option `{other}`: did you mean {meant}\?"):
            function("example", "example/vit-few-steps", **{other: "mood"})
    with pytest.raises(OptionError, match=rf"There is no option `xyz`\. {name} takes .*dataset, .*max_samples, "):
        function("example", "example/vit-few-steps", xyz=3)
    with pytest.raises(OptionError, match="options takes RankOptions, and got dict: its fields are keywords of"):
        function("example", "example/vit-few-steps", options={"max_samples": 3})


def test_invalid_values_are_refused_before_anything_runs():
    with pytest.raises(OptionError, match=r"max_samples=1: expected at least 4\."):
        hf_transfer_score.rank("example", max_samples=1)
    with pytest.raises(OptionError, match=r"epochs=0: expected at least 1\."):
        hf_transfer_score.verify("example", epochs=0)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"max_samples": 1e3}, r"max_samples=1000\.0: expected a whole number\."),
        ({"max_samples": None}, r"max_samples=None: expected a whole number\."),
        ({"level": "0.9"}, r"level='0\.9': expected a number\."),
        ({"full_pass": 1}, r"full_pass=1: expected True or False\."),
        ({"trust_remote_code": True}, r"trust_remote_code=True: expected a name, or several in a list\."),
        ({"search": "resnet"}, r"search='resnet': expected Search\(text='resnet'\)\."),
        ({"metrics": 5}, r"metrics=5: expected names, or None for the default set\."),
    ],
)
def test_a_value_of_another_type_is_named(named, message):
    with pytest.raises(OptionError, match=message):
        hf_transfer_score.rank("example", **named)
    assert made(max_samples=np.int64(9), level=np.float32(0.75), min_throughput=2).sample.max_samples == 9


def test_a_file_is_no_folder_for_records(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    for function in (hf_transfer_score.verify, hf_transfer_score.choose):
        with pytest.raises(OptionError, match=r"rows\.csv is a file; name a folder"):
            function("example", save=tmp_path / "rows.csv")
    ranking = hf_transfer_score.rank_features({"a": np.eye(8)}, np.repeat([0, 1], 4), metrics=["knn"])
    with pytest.raises(OptionError, match=r"rows\.csv is a file; name a folder"):
        ranking.save(tmp_path / "rows.csv")


def test_wrong_calls_of_a_training_are_told_before_anything_runs():
    for named, message in (
        ({"seeds": 1.5}, r"seeds=1\.5: expected a whole number, or several in a list"),
        ({"learning_rates": "1e-3"}, r"learning_rates='1e-3': expected a number, or several in a list"),
        ({"lora_rank": 3}, "`lora_rank` is for the method lora; full has no adapters"),
        ({"method": "probe", "epochs": 3}, "`epochs` is for methods that train in epochs; a probe is fitted at once"),
        ({"penalties": [1.0]}, "`penalties` is for the method probe; full has no penalty to choose"),
        ({"train_layer": 3}, "`layer` is for the methods layer and scl; full trains no single block"),
        ({"quantize": "8bit"}, r"verify has no option `quantize`: leave it out\."),
    ):
        with pytest.raises(OptionError, match=message):
            hf_transfer_score.verify("example", **named)
    with pytest.raises(OptionError, match="unit='minutes': expected one of seconds, fine-tunings"):
        hf_transfer_score.Budget(1, "minutes")
    with pytest.raises(OptionError, match=r"max_samples=9\.5: expected a whole number"):
        SampleOptions(max_samples=9.5)
    sample = hf_transfer_score.memory_sample("text-classification", ["a", "b"], [0, 1])
    with pytest.raises(OptionError, match="`max_samples` decides how a sample is drawn, and this one is drawn already"):
        hf_transfer_score.rank(sample, "example", max_samples=3000, seed=1)
    with pytest.raises(TypeError, match="layers: missing a required argument: 'model'"):
        hf_transfer_score.layers("example")


def test_no_two_fields_share_a_keyword_unseen():
    @dataclass(frozen=True)
    class Other:
        """Options.

        Attributes:
            max_samples: another thing of the same name.
        """

        max_samples: int = 0

    with pytest.raises(TypeError, match="claim one keyword"):
        Keywords(plain, "rank", {"options": RankOptions, "dataset": Other})
    with pytest.raises(TypeError, match="claim one keyword"):
        Keywords(lambda options, split: None, "rank", {"options": RankOptions})


def test_help_and_signature_name_every_option():
    for function in RUNS.values():
        names = set(inspect.signature(function).parameters)
        assert {"progress", "max_samples", "device", "dataset"} <= names
        assert all(f"\n    {name}: " in function.__doc__ for name in names), function.__name__
