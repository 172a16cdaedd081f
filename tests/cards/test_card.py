"""What a card says, and that it says no more than the records."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score.cards import evidence
from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.cards.metadata import model_index
from hf_transfer_score.cards.model_card import model_card, model_section
from hf_transfer_score.cli.card import metric_text
from hf_transfer_score.errors import StoreError
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.records.record import RecordedMetric
from tests.cards.made import (
    COMMIT,
    DATA_COMMIT,
    FACE,
    MODEL,
    PETS,
    failure,
    known,
    later,
    model,
    pool,
    scores,
    truth,
    unmeasured,
)
from tests.leaderboard import made


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_sample_and_the_model_are_named_in_full(tmp_path):
    text = model_section(known(tmp_path, pool()))
    assert f"[`team/pets`](https://huggingface.co/datasets/team/pets) at `{DATA_COMMIT}`" in text
    assert "### On `team/pets` (config `small`, split `train`)" in text
    for word in (
        f"`{COMMIT}`",
        f"`{PETS.fingerprint}`",
        "500 examples, 4 classes",
        "`max_samples=500`, `seed=0`",
        "torch 2.9.0",
    ):
        assert word in text, word


def test_local_data_is_named_in_words(tmp_path):
    local = replace(PETS, id="pets_2024.csv", config=None, split=None, revision=None)
    evidence = known(tmp_path, scores(dataset=local))
    text = model_section(evidence)
    assert "### On pets 2024, a local dataset\n" in text and "- On pets 2024, a local dataset: " in text
    assert {(one["dataset"]["name"], one["dataset"]["type"]) for one in model_index(evidence)} == {
        ("pets 2024, a local dataset", "pets_2024.csv")
    }


def test_terms_stand_with_intervals_directions_and_options(tmp_path):
    found = rows(model_section(known(tmp_path, pool())))
    assert ["`face` version 2 with `temperature=0.1`", "`variance_collapse`", "-0.5", "", "↑ higher", "2 of 3"] in found
    assert ["", "`class_fairness`", "0.25", "0.2 to 0.3", "↑ higher", ""] in found
    assert ["", "`vc`", "3", "2.99 to 3.01", "↓ lower", ""] in found


def test_the_place_is_that_of_the_pool_and_moves_with_it(tmp_path):
    three = model_section(known(tmp_path / "three", pool()))
    assert re.search(
        r"\n\*\*Expected place 2 of 3 after fine-tuning \(\d to 3 in 80% of the cases\): .*\*\* Why: ", three
    )
    assert three.index("**Expected place 2 of 3") < three.index("| Fact | Value |")
    assert "`other/better`, `other/worse`. In another pool the place may differ." in three
    four = model_section(known(tmp_path / "four", [*pool(), *scores("other/best", 0.45)]))
    assert "**Expected place 3 of 4" in four
    alone = model_section(known(tmp_path / "alone", scores()))
    assert "Expected place" not in alone and "of 1" not in alone


def test_other_samples_do_not_mix(tmp_path):
    other = replace(PETS, fingerprint="e" * 32, split="validation")
    text = model_section(known(tmp_path, [*pool(), *scores(dataset=other, height=0.1)]))
    first, second = re.split(r"(?=### On )", text)[1:]
    assert "split `train`" in first and "split `validation`" in second
    assert "2 of 3" in first and "2 of 3" not in second and "-0.4 " in second and "-0.4 " not in first


def test_an_accuracy_is_expected_where_others_were_measured_and_never_said_to_be_measured(tmp_path):
    told = model_card(known(tmp_path / "told", [*pool(), truth(0.9, name="other/better")]))
    assert "accuracy about" in told and "Measured accuracy" not in told and "type: accuracy" not in told
    assert "accuracy about" not in model_card(known(tmp_path / "not", pool()))


def test_a_measured_accuracy_stands_with_its_seeds(tmp_path):
    text = model_section(known(tmp_path, [*pool(), truth(0.8, 0), truth(0.9, 1)]))
    assert "- accuracy **0.85**, mean of 2 seeds 0, 1 (0.8, 0.9): `method=full`, all weights fine-tuned." in text
    elsewhere = replace(PETS, fingerprint="c" * 32)
    text = model_section(known(tmp_path / "b", [*scores(), truth(0.8, dataset=elsewhere)]))
    assert "one seed (0): `method=full`, all weights fine-tuned; measured with another sample of this dataset." in text


def test_a_model_that_was_measured_alone_is_not_said_to_be_scored(tmp_path):
    text = model_section(known(tmp_path, [truth(0.8, 0)]))
    assert "No score of its features is among them." in text and "forward pass" not in text
    assert text.count("Measured accuracy (`method=full`): **0.8**") <= 1


def test_a_truth_of_another_commit_is_left_out():
    other = replace(truth(0.8), model=model(commit="c" * 40))
    found = gather("owner/model", [*scores(), other])
    assert [len(sample.truths) for sample in found.samples if sample.records] == [0]


def test_a_failure_is_said_until_it_is_mended(tmp_path):
    failed = model_section(known(tmp_path / "a", [failure()]))
    assert "**This model could not be scored here** (pickle_only): it has pickled weights only" in failed
    assert "--models owner/model" in failed and "| Metric" not in failed
    assert "could not be scored" not in model_section(known(tmp_path / "b", [failure(), *scores()]))


def test_a_metric_that_was_skipped_and_warnings_are_said(tmp_path):
    nleep = RecordedMetric("leep", directions={"leep": 1})
    skipped = replace(scores()[0], metric=nleep, status="skipped", reason="no head", terms={}, interval={})
    warned = replace(scores()[0], warnings=("small sample",))
    twice = replace(warned, metric=replace(warned.metric, parameters={"temperature": 0.5}))
    text = model_section(known(tmp_path, [skipped, warned, twice]))
    assert text.count("- `face`: small sample") == 1
    assert "- Not computed: `leep` (no head)" in text and "- `face`: small sample" in text


def test_values_beside_their_intervals_are_pointed_out(tmp_path):
    inside, outside = scores()[0], replace(scores()[0], interval={"class_fairness": (0.3, 0.4)})
    assert "outside their intervals" not in model_section(known(tmp_path / "a", [inside]))
    assert "Values of `face` lie outside their intervals" in model_section(known(tmp_path / "b", [outside]))


def test_of_two_runs_the_newer_counts():
    old = scores()[0]
    new = later(old, terms={"variance_collapse": -0.125, "class_fairness": 0.25})
    for order in ([old, new], [new, old]):
        text = model_section(gather("owner/model", order))
        assert "| -0.125 |" in text and "| -0.5 |" not in text


def test_published_numbers_are_not_claimed():
    published = [replace(one, source="a paper of others") for one in scores()]
    text = model_section(gather("owner/model", published))
    assert "published by others" in text and "| Published as | a paper of others |" in text
    assert "Measured | 2026" not in text and "Recorded | 2026" in text


def test_papers_are_cited_once_and_nothing_is_invented(tmp_path):
    text = model_section(known(tmp_path, pool()))
    assert text.count("@misc{") == 2 and "eprint = {2310.05754}" in text
    ncti = text[text.index("@misc{transferability-ncti") :]
    assert "year = {2023}" in ncti and "eprint" not in ncti


def test_layers_of_one_model_stand_apart(tmp_path):
    found = known(tmp_path, [*scores(layer="3"), *scores(layer="7", height=0.2)])
    text = model_section(found)
    assert len(found.samples) == 2 and "layer 3" in text and "layer 7" in text
    assert [sample.standing.rank for sample in found.samples] == [2, 1]


def test_an_unknown_model_names_near_ones(tmp_path):
    with pytest.raises(StoreError, match=r"no record of owner/mode\. There are 3 models, such as owner/model"):
        known(tmp_path, pool(), "owner/mode")


HEADINGS = """\
## Metric Description
## How to Use
### Inputs
### Output Values
#### Values from Popular Papers
### Examples
## Limitations and Bias
## Citation
## Further References
"""
"""Those of the cards of `evaluate`, in their order."""


@pytest.mark.parametrize("name", all_metrics())
def test_metric_cards_have_the_headings_of_evaluates_own_and_name_every_term_and_option(name):
    from huggingface_hub import ModelCard

    text, metric = metric_text(name), all_metrics()[name]
    found = re.findall(r"^#.*\n", text, flags=re.MULTILINE)
    assert found[0].startswith("# Metric Card for ") and "".join(found[1:]) == HEADINGS
    assert ModelCard(text).data.to_dict()["tags"] == ["transferability", "metric"] and "\n\n\n" not in text
    names = {row[0] for row in rows(text)}
    assert {f"`{one}`" for one in (*(term.name for term in metric.terms), *vars(metric.options))} <= names
    assert ("@misc" in text) is not metric.baseline


@pytest.mark.parametrize("name", all_metrics())
def test_examples_of_metric_cards_run(name, capsys):
    """With features and all that a metric may ask for beside them, the call of the card ranks both models."""
    generator, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 20)
    probabilities = generator.dirichlet(np.ones(4), size=60)
    models = ("model-a", "model-b")
    given = {
        "features_a": generator.normal(size=(60, 8)) + np.eye(3, 8)[labels],
        "features_b": generator.normal(size=(60, 8)) + 2 * np.eye(3, 8)[labels],
        "labels": labels,
        "targets": generator.normal(size=(60, 2)),
        "source_probs": dict.fromkeys(models, probabilities),
        "facts": {model: ModelFacts(parameters=size, downloads=size) for size, model in enumerate(models, 1)},
    }
    exec(re.findall(r"```python\n(.*?)```", metric_text(name), flags=re.DOTALL)[0], given)
    assert "'model-a': " in capsys.readouterr().out


def test_options_that_are_as_they_come_are_not_listed():
    as_it_comes = replace(FACE, parameters={**FACE.parameters, "temperature": 0.05})
    text = model_section(gather("owner/model", [replace(scores()[0], metric=as_it_comes)]))
    assert "| `face` version 2 |" in text


def test_an_accuracy_that_could_not_be_measured_is_left_out(tmp_path):
    before = [*scores(), truth(0.8)]
    more = [*before, unmeasured(seed=1), unmeasured(dataset=replace(PETS, id="team/other"))]
    assert gather(MODEL, more) == gather(MODEL, before)
    assert gather(MODEL, [unmeasured()]).samples == ()


def test_thousands_of_records_of_a_model_are_compared_by_dataset(monkeypatch):
    compared, real = [], evidence._of_dataset
    monkeypatch.setattr(evidence, "_of_dataset", lambda *given: compared.append(given) or real(*given))
    others = [replace(made.DATASET, id=f"o/d{number}") for number in range(evidence.MOST_SAMPLES + 50)]
    told = [made.score("a/b", "knn", 0.5, dataset=other) for other in others]
    found = gather("a/b", [*told, *(made.accuracy("a/b", 0.5, dataset=other) for other in others)]).samples
    assert len(compared) < 4 * len(others)
    assert len(found) == len(others) and all(sample.truths for sample in found)
    assert sum(bool(sample.scores) for sample in found) == evidence.MOST_SAMPLES
