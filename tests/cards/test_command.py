"""The command that a card gives: it parses, and means the options that were used."""

import shlex
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hf_transfer_score.cards.evidence import POOLINGS, SAMPLE_DEFAULTS, gather, reproduction
from hf_transfer_score.cli.app import build_app
from hf_transfer_score.cli.flags import rank_options
from hf_transfer_score.sampling.sample import SampleOptions
from tests.cards.made import COMMIT, DATA_COMMIT, PETS, failure, model, scores


def bash(command):
    """Return the words that a shell makes of a command."""
    return subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]


def parsed(records):
    """Return the arguments that the card's command comes to, and the notes beside it."""
    found = reproduction(gather(records[0].model.id, records).samples[0])
    program, *words = shlex.split(found.command)
    assert program == "hf-transfer-score" and "\n" not in found.command
    assert bash(found.shown) == bash(found.command) == [program, *words]
    _, bound, _ = build_app(words).parse_args(words, exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return SimpleNamespace(**bound.arguments), found.notes


def options_of(arguments):
    """Return the options of `rank` that the arguments mean."""
    return rank_options(arguments.options, arguments.task, arguments.search)


def sampled(**options):
    """Return scores on a sample that was drawn with some options."""
    return scores(dataset=replace(PETS, options=SampleOptions(**options).plain()))


def test_the_model_the_metrics_and_the_commit_are_those_of_the_records():
    arguments, notes = parsed(scores())
    assert (arguments.dataset, arguments.candidates.models) == ("team/pets", (f"owner/model@{COMMIT}",))
    sample = options_of(arguments).sample
    assert (sample.revision, sample.config, sample.split) == (DATA_COMMIT, "small", "train")
    assert arguments.scoring.metrics == ("face", "ncti") and "so that the rows are the same" in notes[0]
    face, ncti = arguments.scoring.configured()
    assert face.options.temperature == 0.1 and ncti.options.pca == "auto"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_samples": 77, "seed": 3},
        {"per_class": 5, "config": "large", "split": "test", "task": "image-segmentation"},
        {"label_column": "-weird name", "input_columns": ("a b", "--c"), "rows_per_example": 4},
        {"ignore_values": (0, 255), "full_pass": True, "max_rows": 1000},
        {"label_column": "$(rm -rf ~); 'x' \"y\" `z`"},
    ],
)
def test_a_sample_is_asked_for_as_it_was(options):
    asked = SampleOptions(revision=DATA_COMMIT, **options)
    arguments, notes = parsed(sampled(revision=DATA_COMMIT, **options))
    assert options_of(arguments).sample == asked and notes == ()


def test_defaults_left_out_are_the_real_ones():
    plain = SampleOptions().plain()
    assert {name: plain[name] for name in SAMPLE_DEFAULTS} == SAMPLE_DEFAULTS
    from hf_transfer_score.backbones.base import POOLINGS as KNOWN

    assert {"auto", *POOLINGS} == set(KNOWN)


def test_features_are_read_as_they_were():
    text = {"pooling": "mean", "layer": "4", "dtype": "bfloat16", "details": {"max_length": 128}}
    options = options_of(parsed(scores(**text))[0])
    found = options.backbone
    assert (found.pooling, found.layer, found.max_length, found.subword) == ("mean", 4, 128, "first")
    assert options.extract.dtype == "bfloat16"
    assert options_of(parsed(scores(details={"image_size": 384}))[0]).backbone.image_size == 384
    assert options_of(parsed(scores(pooling="mean sub-word"))[0]).backbone.subword == "mean"
    assert options_of(parsed(scores())[0]).backbone.pooling == "auto"


def test_intervals_are_asked_for_where_there_were_some():
    assert parsed(scores())[0].options.replicates == 100
    assert parsed([replace(one, interval={}, interval_level=None) for one in scores()])[0].options.replicates == 0
    assert parsed([replace(one, interval_level=0.8) for one in scores()])[0].options.level == 0.8


def test_folders_of_others_are_said_to_be_such():
    local = replace(PETS, id="pets.parquet", revision=None)
    arguments, notes = parsed([replace(one, model=model("mine", commit="0" * 32)) for one in scores(dataset=local)])
    assert (arguments.dataset, arguments.candidates.models) == ("./pets.parquet", ("./mine",))
    assert options_of(arguments).sample.revision is None
    assert "put its path as the first argument" in notes[0] and "after --models" in notes[1]


def test_what_one_call_cannot_do_is_said():
    face = scores()[0]
    other = replace(face, metric=replace(face.metric, parameters={**face.metric.parameters, "temperature": 0.2}))
    foreign = replace(face, metric=replace(face.metric, name="mine"))
    old = replace(face, metric=replace(face.metric, name="ncti", version=99))
    arguments, notes = parsed([face, other, foreign, old])
    assert arguments.scoring.metrics == ("face",) and "leaves out" in notes[-1] and "face, mine, ncti" in notes[-1]


def test_a_failure_can_be_tried_again():
    arguments, _ = parsed([failure()])
    assert arguments.candidates.models == ("owner/model",) and arguments.scoring.metrics is None


def test_records_of_others_have_no_command():
    foreign = replace(PETS, options={"drawn": "by hand"})
    assert reproduction(gather("owner/model", scores(dataset=foreign)).samples[0]) is None
