"""`.eval_results` files: for measured accuracies on benchmarks, and for nothing else."""

import pytest
import yaml
from huggingface_hub import HfApi, parse_eval_result_entries

from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.cards.metadata import eval_result_files
from hf_transfer_score.cards.model_card import push_card
from hf_transfer_score.errors import HubError, OptionError
from tests.cards.made import DATA_COMMIT, MODEL, scores, truth

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
