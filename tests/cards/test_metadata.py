"""Metadata: what the Hub's client reads back, what a card keeps, and measured accuracies as files of their own."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import HfApi, ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.cards.metadata import (
    END,
    START,
    eval_result_files,
    eval_results,
    merged_body,
    model_index,
    split,
)
from hf_transfer_score.cards.model_card import model_card, model_section, push_card
from hf_transfer_score.errors import HubError, InputError, OptionError
from tests.cards.made import DATA_COMMIT, MODEL, PETS, later, scores, truth

EVIDENCE = gather("owner/model", scores())
TEXT = "\n# My model\n\nIt is good.\n"

PLAIN = """\
# a comment
license: mit   # of the weights
tags: [a, 'b']
unknown_key: {x: 1}

language:
- de
"""
INDEXED = """\
license: mit
model-index:
- name: theirs   # the name
  results:
  - task: {type: image-classification}
    dataset:
      name: Pets
      type: team/pets
    metrics:
    - type: accuracy
      value: 0.93   # by hand
      verified: true
# the end
tags:
- x
"""
INDENTED = """\
model-index:
    -   name: theirs
        results:
            -   task:
                    type: image-classification
                dataset: {name: Pets, type: team/pets}
                metrics:
                    -   type: accuracy
                        value: |
                            0.9
                            and more
license: mit"""
INDENTLESS = """\
model-index:
- results:
  - task:
      type: text-classification
    dataset:
      name: n
      type: t
    metrics:
    - type: f1
      value: 1
  name: theirs"""
FLOW = 'license: mit # yes\nmodel-index: [{"name": "theirs", "results": []}]\ntags: [x] # no\n'
EMPTY_RESULTS = "model-index:\n- name: theirs\n  results: []  # none yet\n# more\nlicense: mit\n"
NOTHING = "license: mit\nmodel-index:\ntags:\n- x\n"
OURS_ALONE = "model-index:\n-   results: []\n    name: theirs\n-   results: []\n    name: second\n"


def card(inside: str) -> str:
    return f"---\n{inside.rstrip()}\n---\n{TEXT}"


def metadata(text: str) -> dict:
    return yaml.safe_load(split(text)[0].strip().strip("-"))


def test_the_hubs_client_reads_the_terms_back():
    found = ModelCard(model_card(EVIDENCE)).data.eval_results
    assert found == eval_results(EVIDENCE.samples[0])
    values = {one.metric_type: one.metric_value for one in found}
    assert values["transferability_face_class_fairness"] == 0.25 and values["transferability_ncti_vc"] == 3.0
    one = found[0]
    assert (one.task_type, one.dataset_type, one.dataset_config, one.dataset_split, one.dataset_revision) == (
        "image-classification",
        "team/pets",
        "small",
        "train",
        DATA_COMMIT,
    )
    assert one.verified is None and one.metric_args == {"version": 2, "temperature": 0.1}
    assert all("ransferability" in one.metric_name and "accuracy" not in one.metric_type for one in found)


def test_an_accuracy_is_named_only_where_it_was_measured():
    results = model_index(gather("owner/model", [*scores(), truth(0.8, 0), truth(0.9, 1)]))
    found = [one for one in results[0]["metrics"] if one["type"] == "accuracy"]
    assert [(one["value"], one["args"]) for one in found] == [
        (pytest.approx(0.85), {"method": "full", "seeds": [0, 1]})
    ]
    elsewhere = truth(0.8, dataset=replace(PETS, fingerprint="c" * 32))
    assert "accuracy'" not in str(model_index(gather("owner/model", [*scores(), elsewhere])))


def test_samples_of_one_dataset_stay_apart():
    other = replace(PETS, fingerprint="e" * 32)
    results = model_index(gather("owner/model", [*scores(), *scores(dataset=other)]))
    assert sorted(one["dataset"]["args"]["fingerprint"] for one in results) == ["e" * 32, "f" * 32]


@pytest.mark.parametrize("inside", [PLAIN, INDEXED, INDENTED, INDENTLESS, FLOW, EMPTY_RESULTS, NOTHING, OURS_ALONE])
def test_whatever_a_card_has_stays_and_is_added_to(inside):
    before, text = card(inside), model_card(EVIDENCE, card(inside))
    was, now = metadata(before), metadata(text)
    theirs = (was.get("model-index") or [{"results": []}])[0]["results"]
    assert now["model-index"][0]["results"] == [*theirs, *model_index(EVIDENCE)]
    assert {**now, "model-index": 0} == {**was, "model-index": 0}
    assert model_card(EVIDENCE, text) == text
    assert split(text)[1] == TEXT + "\n" + model_section(EVIDENCE)
    assert len(model_index_to_eval_results(now["model-index"])[1]) == len(theirs) + 5


@pytest.mark.parametrize("inside", [PLAIN, INDEXED, INDENTED, INDENTLESS])
def test_every_line_of_the_metadata_is_kept_as_written(inside):
    text = split(model_card(EVIDENCE, card(inside)))[0]
    old, new = split(card(inside))[0].splitlines(), text.splitlines()
    place = 0
    for line in old:
        place = new.index(line, place) + 1
    assert "# " not in inside or "# " in text


@pytest.mark.parametrize("inside", [PLAIN, INDEXED, INDENTED, INDENTLESS, FLOW, EMPTY_RESULTS, NOTHING, OURS_ALONE])
def test_terms_that_change_and_change_back_leave_no_trace(inside):
    first = model_card(EVIDENCE, card(inside))
    second = model_card(gather("owner/model", scores(height=0.125)), first)
    head = split(second)[0]
    assert second != first and head.count("model-index:") == head.count("made_by") == 1
    assert model_card(EVIDENCE, second) == first


def test_a_comment_behind_an_empty_list_stays():
    text = model_card(EVIDENCE, card(EMPTY_RESULTS))
    assert "  results:  # none yet\n  - task:\n" in text and "\n# more\nlicense: mit\n---\n" in text


def test_our_earlier_terms_are_replaced_and_those_of_others_stay():
    first = model_card(EVIDENCE, card(INDEXED))
    new = [later(one, terms={name: value + 1 for name, value in one.terms.items()}) for one in scores()]
    second = model_card(gather("owner/model", new), first)
    results = metadata(second)["model-index"][0]["results"]
    assert results == [*metadata(card(INDEXED))["model-index"][0]["results"], *model_index(gather("owner/model", new))]
    assert "0.93   # by hand" in second and "# the end" in second
    assert second.count(START) == second.count(END) == 1
    assert model_card(EVIDENCE, second) == first


def test_line_ends_and_the_byte_order_mark_are_kept():
    before = "\ufeff" + card(INDEXED).replace("\n", "\r\n")
    text = model_card(EVIDENCE, before)
    assert text.startswith("\ufeff---\r\n") and text.count("\n") == text.count("\r\n")
    assert model_card(EVIDENCE, text) == text and before.removeprefix("\ufeff").split("model-index")[0] in text
    assert before[-len(TEXT) :] in text


@pytest.mark.parametrize("before", ["", "# Title\n\ntext without end", "---\n---\n# x\n", "text\n\n---\n\nmore\n"])
def test_cards_without_metadata_get_some(before):
    text = model_card(EVIDENCE, before)
    assert metadata(text)["model-index"][0]["name"] == "model"
    body = before.split("---\n---\n")[-1]
    assert body in split(text)[1] and model_card(EVIDENCE, text) == text


def test_no_metadata_means_none():
    before = card(INDEXED)
    text = model_card(EVIDENCE, before, metadata=False)
    assert text.startswith(before) and text[len(before) :] == "\n" + model_section(EVIDENCE)
    broken = "---\n{: broken\n---\n# x\n"
    assert model_card(EVIDENCE, broken, metadata=False).startswith(broken)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("{: broken", "is not YAML"),
        ("- a\n- b", "does not map names"),
        ("model-index: 3", "not a list of models"),
        ("model-index:\n- name: x", "not a list of models"),
        ("{license: mit}", "without rewriting all of it"),
    ],
)
def test_metadata_that_cannot_be_added_to_is_left_alone(inside, message):
    with pytest.raises(InputError, match=message) as caught:
        model_card(EVIDENCE, card(inside))
    assert "metadata=False" in str(caught.value)


def test_text_around_our_section_is_kept_to_the_letter():
    before, after = "a\n\n   b\t\n", "\nbehind  \n\n\n"
    text = before + model_section(EVIDENCE).strip("\n") + after
    new = model_section(gather("owner/model", scores(height=0.125)))
    assert merged_body(text, new) == before + new.strip("\n") + after


@pytest.mark.parametrize("body", [f"{START}\n", f"{END}\n{START}\n", f"{START}\n{END}\n{START}\n{END}\n"])
def test_marks_that_do_not_pair_are_refused(body):
    with pytest.raises(InputError, match="expected one pair"):
        merged_body(body, model_section(EVIDENCE))


def test_marks_inside_a_line_are_text():
    body = f"It uses `{START}` and `{END}`.\n"
    assert merged_body(body, model_section(EVIDENCE)).startswith(body)


MEASURED = gather(MODEL, [*scores(), truth(0.75, 0), truth(0.875, 1)])
PATH = ".eval_results/hf-transfer-score-team-pets-method-full.yaml"
BENCHMARK = "name: Pets\ndescription: d\nevaluation_framework: other\ntasks:\n- id: cats\n  split: test\n"


def files(hub, evidence=MEASURED, **options):
    return eval_result_files(evidence, endpoint=hub.endpoint, token=False, **options)


def test_an_accuracy_on_a_benchmark_is_read_back_by_the_client(hub):
    hub.add("team/pets", {"eval.yaml": BENCHMARK}, kind="dataset")
    found = files(hub)
    assert list(found) == [PATH]
    (entry,) = parse_eval_result_entries(yaml.safe_load(found[PATH]))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("team/pets", "cats", 0.8125)
    assert (entry.dataset_revision, entry.date, entry.verify_token) == (DATA_COMMIT, "2026-01-02", None)
    assert entry.notes == "a share from 0 to 1; method=full; mean of 2 seeds; sample drawn from split train"


def test_a_transferability_score_is_refused(hub):
    hub.add("team/pets", {"eval.yaml": BENCHMARK}, kind="dataset")
    with pytest.raises(OptionError, match=r"No record holds a measured accuracy .*is not an accuracy"):
        files(hub, gather(MODEL, scores()))
    assert not hub.requests


def test_a_dataset_that_is_no_benchmark_is_refused(hub):
    with pytest.raises(OptionError, match=r"team/pets is not registered as a benchmark: it has no eval\.yaml"):
        files(hub)
    hub.add("team/pets", {"data.csv": "a"}, kind="dataset")
    with pytest.raises(OptionError, match="not registered as a benchmark"):
        files(hub)


def test_of_several_tasks_one_is_to_be_chosen(hub):
    hub.add("team/pets", {"eval.yaml": BENCHMARK + "- id: dogs\n"}, kind="dataset")
    with pytest.raises(OptionError, match=r"Choose one with `eval_task`: the benchmark team/pets has cats, dogs\."):
        files(hub)
    with pytest.raises(OptionError, match="There is no task 'cows'"):
        files(hub, eval_task="cows")
    assert yaml.safe_load(files(hub, eval_task="dogs")[PATH])[0]["dataset"]["task_id"] == "dogs"


@pytest.mark.parametrize("text", ["tasks: 3", "- a", "{: x", "tasks:\n- name: x", ""])
def test_a_benchmark_that_names_no_tasks_is_an_error(hub, text):
    hub.add("team/pets", {"eval.yaml": text}, kind="dataset")
    with pytest.raises((HubError, OptionError), match="tasks"):
        files(hub)


def test_files_go_with_the_card_in_one_commit(hub):
    hub.users = {"hf_guest": "guest"}
    theirs = "- dataset: {id: team/pets, task_id: cats}\n  value: 0.5\n"
    hub.add(MODEL, {"README.md": "# x\n", ".eval_results/pets.yaml": theirs})
    hub.add("team/pets", {"eval.yaml": BENCHMARK}, kind="dataset")
    options = {"files": files(hub), "create_pr": True, "token": "hf_guest", "endpoint": hub.endpoint}
    assert push_card(MEASURED, **options).state == "proposed"
    assert push_card(MEASURED, **options).state == "pending"
    api = HfApi(hub.endpoint)
    listed = api.list_repo_files(MODEL, revision="refs/pr/1")
    assert sorted(listed) == sorted([PATH, ".eval_results/pets.yaml", "README.md"])
    assert len(api.list_repo_commits(MODEL, revision="refs/pr/1")) == 2
    commit = hub.repository(MODEL).find("refs/pr/1")
    assert commit.files[".eval_results/pets.yaml"].content.read_text(encoding="utf-8") == theirs
