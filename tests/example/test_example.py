"""What ships as `example` goes through the very code of everything else, and is what its maker's rules say."""

import json
import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import metadata_load
from PIL import Image
from pyarrow import parquet
from safetensors.numpy import load_file

from benchmarks.example.make import PER_CLASS, SEED, model_card
from benchmarks.example.networks import MEMBERS, STEPS, write_checkpoint
from benchmarks.example.pictures import TARGET_DIGITS, as_bytes, source_digits, target_digits
from hf_transfer_score import DatasetError, OptionError, load_sample, plan_rank, rank
from hf_transfer_score.checkpoints.candidate import Candidate, parse_candidates
from hf_transfer_score.checkpoints.resolve import folder_commit
from hf_transfer_score.cli import main
from hf_transfer_score.home import EXAMPLE_CAUTION, SHIPPED
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.ranking.showing import forecast_rows
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.layers import layer_profile
from tests.conftest import clean_environment
from tests.ranking.community import write_table

BY_NAME = {member.name: member for member in MEMBERS}
WELL = ("convnext-pretrained", "efficientnet-pretrained", "mambaout-pretrained", "resnet-pretrained", "vit-pretrained")
WORSE = ("convnext-noisy-labels", "efficientnet-few-images", "mambaout-untrained", "resnet-rotations", "vit-few-steps")

IDENTITIES = {
    "convnext-noisy-labels": "eb2b714785a3ac8877db608c0e03beea90051977",
    "convnext-pretrained": "45822d653dae4965edc9f0bdb02b28aafcb6f753",
    "efficientnet-few-images": "9cadcd2204d6ec394c8ba6569740c1c2cda3bf5b",
    "efficientnet-pretrained": "e2748828e39a218476f372cb0d159282e8755393",
    "mambaout-pretrained": "b6c086bdcf3edd7642d4ba544fbbd0c048acdc2f",
    "mambaout-untrained": "6c55b39dbd8b63fa56188ea55f9fb55155d2ac3e",
    "resnet-pretrained": "75f23a92adc66e116375728c93399765ce7d9be2",
    "resnet-rotations": "5fa1659b31c346ba0a6fe0b3fa88ae96e81a3323",
    "vit-few-steps": "befd3efc0e4174007dc4be6a84263669bfe21a63",
    "vit-pretrained": "5f2f847a040576ff95206007101ccf29829dab93",
    "example": "d14e059586c1d76d84bd51c8f667dcfb",
}
"""Commits of the checkpoints and fingerprint of the sample; with others, earlier records are of other things."""


NUMBER = re.compile(r"\d+\.\d+|\d+")


@pytest.fixture(scope="module")
def user(parent, tmp_path_factory):
    """A new user's folder, off line, and what the first command gives them."""
    home = tmp_path_factory.mktemp("user")
    environment = clean_environment(home / "home") | {"HF_HUB_OFFLINE": "1"}
    return home, parent.run("rank", "example", "--save", "results", environment=environment, folder=home)


@pytest.fixture(scope="module")
def report(user):
    """The same from Python, with the features that the command made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TRANSFER_SCORE_HOME", str(user[0] / "home" / "transfer_score"))
        patch.chdir(user[0])
        return rank("example")


class TestRanking:
    def test_what_others_measured_makes_a_forecast(self, user, report, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(user[0] / "home" / "transfer_score"))
        monkeypatch.chdir(tmp_path)
        first = list(report.ranks)[2]
        order = [first, *(name for name in report.ranks if name != first)]
        rows = [
            {"model": name, "dataset": f"others/{number}", "method": "full", "accuracy": 0.9 - 0.04 * place}
            for number in range(3)
            for place, name in enumerate(order)
        ]
        write_table(tmp_path / "others.csv", rows)
        table = ("others.csv", "--to", "./others", "--task", "image-classification", "--source", "others")
        assert main(["results", "import", *table]) == 0
        found = rank("example", results="./others")
        assert next(iter(found.ranks)) == first != next(iter(report.ranks))
        assert found.answer.startswith(f"Fine-tune {first}: about ") and "3 other datasets" in found.notes[-1]
        ncti, before = (one.models["vit-pretrained"]["ncti"].terms for one in (found, report))
        assert ncti == before
        capsys.readouterr()
        assert main(["rank", "example", "--results", "./others", "--quiet"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert " ".join(lines).startswith(found.answer) and any(
            "best   " in one and "points below" in one for one in lines
        )
        assert main(["rank", "example", "--results", "./others", "--quiet", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["answer"] == found.answer and told["models"] == forecast_rows(found)

    def test_the_first_command_answers_and_says_how_to_go_on(self, user):
        _, done = user
        assert done.status == 0, done.err
        assert done.out.startswith("Fine-tune ") and "dataset: example (train)\n" in done.err
        assert EXAMPLE_CAUTION in done.out.replace("This is a toy", "this is a toy")
        assert "10 of 10 models ranked" in done.out
        assert done.out.splitlines()[-3].split()[:3] == ["hf-transfer-score", "verify", "example"]

    def test_python_gives_the_same_order(self, user, report):
        printed = [line.split()[0] for line in user[1].out.splitlines() if line.startswith((*WELL, *WORSE))]
        assert printed == list(report.ranks)
        assert " ".join(user[1].out.split()).startswith(report.answer)
        assert sorted(printed) == sorted([*WELL, *WORSE])
        assert all(one.from_cache for one in report.models.values())

    def test_pre_training_pays(self, report):
        order = list(report.ranks)
        assert set(order[:4]) < set(WELL)
        assert sum(report.ranks[name] for name in WELL) < sum(report.ranks[name] for name in WORSE) / 2
        assert len(set(report.ranks.values())) >= 3, "groups that can be told apart"

    def test_records_are_the_same_on_every_machine(self, user):
        found = [Record.from_json(path.read_bytes()) for path in (user[0] / "results").glob("records/*/*/*.json")]
        assert {(one.model.id, one.model.commit) for one in found} == {
            (name, IDENTITIES[name]) for name in (*WELL, *WORSE)
        }
        assert {(one.dataset.id, one.dataset.fingerprint) for one in found} == {("example", IDENTITIES["example"])}
        assert {one.model.library for one in found} == {"timm_images", "hub_vision"}
        for path in (user[0] / "results").rglob("*.json"):
            assert str(SHIPPED) not in path.read_text(encoding="utf-8")

    def test_what_ships_is_verified_like_anything_else(self, user, monkeypatch, capsys):
        monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(user[0] / "home" / "transfer_score"))
        monkeypatch.chdir(user[0])
        models = ["example/resnet-pretrained", "example/vit-few-steps"]
        quick = "--seeds 0 --learning-rates 1e-3 --epochs 2 --max-samples 300 --test-samples 100 --quiet --json"
        assert main(["verify", "example", "--models", *models, *quick.split(), "--replicates", "0"]) == 0
        found = json.loads(capsys.readouterr().out)["models"]
        assert found["resnet-pretrained"]["accuracy"] > 0.4 > found["vit-few-steps"]["accuracy"]


class TestNames:
    def test_one_or_all_checkpoints_can_be_named(self):
        every = parse_candidates(["example"])
        assert [one.name for one in every] == sorted(f"example/{name}" for name in (*WELL, *WORSE))
        assert parse_candidates(["example/vit-pretrained", "owner/model"]) == [
            Candidate("example/vit-pretrained", folder=SHIPPED / "checkpoints" / "vit-pretrained"),
            Candidate("owner/model"),
        ]
        assert parse_candidates(["example", "example/vit-pretrained"]) == every
        assert parse_candidates(["example/other"]) == [Candidate("example/other")]

    def test_what_is_here_counts_more(self, tmp_path, monkeypatch):
        """And the same rows have the same identity wherever they lie."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path / "home"))
        shutil.copytree(SHIPPED / "dataset", tmp_path / "example")
        sample = load_sample("example")
        assert sample.fingerprint == IDENTITIES["example"]
        assert EXAMPLE_CAUTION not in sample.notes
        assert parse_candidates(["example"]) == [Candidate("example", folder=tmp_path / "example")]
        with pytest.raises(OptionError, match="No model was named"):
            rank("example")

    def test_a_dataset_that_is_nowhere_is_told_before_models_are_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my_images").mkdir()
        with pytest.raises(DatasetError, match=r"no folder or file \./my_image,.* Did you mean '\./my_images'"):
            plan_rank("./my_image")
        with pytest.raises(OptionError, match=r"no folder or file exampl here\. Did you mean 'example'"):
            plan_rank("exampl")

    def test_layers_are_those_of_one(self):
        with pytest.raises(OptionError, match="'example' stands for several checkpoints"):
            layer_profile("example", "example")


class TestFiles:
    def test_all_is_small_and_safe(self):
        files = [path for path in SHIPPED.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 5_000_000
        assert {path.suffix for path in files} == {".md", ".json", ".safetensors", ".parquet"}

    def test_identities_are_as_they_were(self, tmp_path):
        commits = {one.name: folder_commit(one, Answers(tmp_path)) for one in (SHIPPED / "checkpoints").iterdir()}
        assert commits | {"example": load_sample("example").fingerprint} == IDENTITIES

    def test_cards_name_licence_and_source(self):
        cards = {path.parent.name: path for path in SHIPPED.rglob("README.md")}
        assert set(cards) == {"dataset", *WELL, *WORSE}
        for name, path in cards.items():
            assert metadata_load(path)["license"] == ("cc-by-4.0" if name == "dataset" else "apache-2.0")
            assert "Optical Recognition of Handwritten Digits" in path.read_text(encoding="utf-8")
            assert name == "dataset" or path.read_text(encoding="utf-8") == model_card(BY_NAME[name])

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_the_pictures_are_those_that_the_maker_draws(self, split):
        made = target_digits(PER_CLASS, SEED)[split]
        (path,) = (SHIPPED / "dataset" / "data").glob(f"{split}-*.parquet")
        rows = parquet.read_table(path).to_pylist()
        shown = np.stack([np.asarray(Image.open(BytesIO(row["image"]["bytes"]))) for row in rows])
        np.testing.assert_array_equal([row["label"] for row in rows], made.labels)
        assert np.abs(shown.astype(int) - as_bytes(made.pictures)).max() <= 1, "rounding is the library's"
        assert split == "test" or np.bincount(made.labels).tolist() == [PER_CLASS] * 5
        assert load_sample("example").label_names == tuple(f"{digit}" for digit in TARGET_DIGITS)

    def test_an_untrained_checkpoint_comes_out_again(self, tmp_path):
        name = "mambaout-untrained"
        made = write_checkpoint(BY_NAME[name], (source_digits(), source_digits()), tmp_path, SEED, STEPS)
        weights, shipped = (load_file(one / "model.safetensors") for one in (made, SHIPPED / "checkpoints" / name))
        assert weights.keys() == shipped.keys()
        for tensor, values in weights.items():
            np.testing.assert_allclose(values, shipped[tensor], rtol=1e-5, atol=1e-7)  # processors round differently
        configs = [json.loads((one / "config.json").read_text()) for one in (made, SHIPPED / "checkpoints" / name)]
        assert configs[0] == configs[1]


def test_the_table_of_the_readme_is_what_is_printed(user):
    """Up to the last digits of scores, which may differ between machines."""
    printed = {line.split()[0]: line.split() for line in user[1].out.splitlines() if line.split()}
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    table = re.search(r"answer: start -->\n```\n(.*?)```", readme, re.DOTALL).group(1).splitlines()
    table = table[next(place for place, line in enumerate(table) if line.startswith("model")) + 1 :]
    assert [line.split()[0] for line in table] == [name for name in printed if name in BY_NAME]
    for line in table:
        told = [NUMBER.findall(" ".join(one[1:])) for one in (line.split(), printed[line.split()[0]])]
        assert [float(one) for one in told[0]] == pytest.approx(
            [float(one) for one in told[1][: len(told[0])]], abs=1.1
        )
