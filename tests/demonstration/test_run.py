"""A small demonstration from end to end, against the same things done by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hf_transfer_score.selection.sharing import read_records
from safetensors.torch import load_file

from hf_transfer_score import BackboneOptions, RankOptions, SampleOptions, load_sample, rank, weighted_kendall
from hf_transfer_score.backbones import timm_images
from hf_transfer_score.demonstration.keeping import CHECKPOINTS, DATASET, SUMMARY, Places
from hf_transfer_score.demonstration.options import RANKING, DemoOptions
from hf_transfer_score.demonstration.run import PHASES, agreements_of, demonstrate
from hf_transfer_score.demonstration.work import Trial, measure
from hf_transfer_score.errors import OptionError
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.results.place import open_place
from hf_transfer_score.results.store import load
from hf_transfer_score.truth.recipe import Recipe
from tests.demonstration.conftest import MEMBERS, SMALL

NAMES = [member.name for member in MEMBERS]


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def samples(small):
    return tuple(load_sample(str(small.folder / DATASET), SampleOptions(split=part)) for part in ("train", "test"))


class TestAgainstByHand:
    def test_the_ranking_is_that_of_rank(self, small, one_thread, tmp_path):
        folders = [str(small.folder / CHECKPOINTS / name) for name in NAMES]
        options = RankOptions(sample=SampleOptions(split="train"))
        again = rank(str(small.folder / DATASET), folders, options=options, folder=tmp_path)
        assert small.found.report.ranks == again.ranks
        for metric, pool in again.pools.items():
            assert small.found.report.pools[metric].scores == pytest.approx(pool.scores, rel=1e-6), metric

    def test_the_accuracy_is_that_of_fine_tuning(self, small, samples, one_thread):
        train, test = samples
        recipe = Recipe(learning_rates=(1e-3,), epochs=SMALL.epochs, patience=None, validation_share=0.1)
        trial = Trial(small.folder / CHECKPOINTS / NAMES[0], train, test, recipe, seed=1)
        assert measure(trial).accuracy == pytest.approx(small.found.accuracies[NAMES[0]][1], abs=1e-9)

    def test_no_picture_is_both_trained_and_tested_on(self, small, samples):
        train, test = ({one.tobytes() for one in part.examples(range(len(part)))} for part in samples)
        assert len(samples[0]) == 5 * SMALL.per_class
        assert len(test) == small.found.test_pictures == len(samples[1])
        assert not train & test

    def test_agreement_is_with_the_mean_accuracies(self, small):
        found = small.found
        means = [np.mean(found.accuracies[name]) for name in found.report.ranks]
        order = [-found.report.mean_ranks[name] for name in found.report.ranks]
        assert found.agreements[RANKING].weighted_tau == pytest.approx(weighted_kendall(order, means))
        scores = [found.report.pools["logme"].scores[name] for name in found.report.ranks]
        assert found.agreements["logme"].weighted_tau == pytest.approx(weighted_kendall(scores, means))
        assert {"parameter_count", "feature_width"} < found.agreements.keys()

    def test_a_perfect_order_is_told_from_its_reverse(self, small):
        report = small.found.report
        best_last = {name: (float(rank),) for name, rank in zip(report.mean_ranks, range(3), strict=True)}
        reverse = {name: (-value,) for name, (value,) in best_last.items()}
        apart = replace(report, mean_ranks={name: number for number, name in enumerate(report.mean_ranks, 1)})
        assert agreements_of(apart, best_last)[RANKING].weighted_tau == pytest.approx(-1)
        assert agreements_of(apart, reverse)[RANKING].weighted_tau == pytest.approx(1)


class TestWhatIsKept:
    def test_checkpoints_are_as_timm_pushes_them(self, small):
        for name in NAMES:
            folder = small.folder / CHECKPOINTS / name
            assert files_below(folder) == {"config.json", "model.safetensors"}
            backbone = timm_images.load(folder, small.found.report.sample.task, BackboneOptions())
            saved = load_file(folder / "model.safetensors")
            assert all(torch.equal(value, backbone.module.state_dict()[key]) for key, value in saved.items())

    def test_records_are_sound_and_truth_is_of_the_scored_sample(self, small):
        place = open_place(str(small.folder))
        assert not load(place).problems
        records = read_records(str(small.folder))
        truths = [one for one in records if one.metric and one.metric.kind == "truth"]
        assert len(truths) == len(MEMBERS) * SMALL.repeats
        scored = {(one.model.id, one.model.commit, one.dataset.fingerprint) for one in records if one not in truths}
        assert {(one.model.id, one.model.commit, one.dataset.fingerprint) for one in truths} == scored
        for one in truths:
            accuracy = small.found.accuracies[one.model.id][one.metric.parameters["seed"]]
            assert (one.terms, one.metric.parameters["method"]) == ({"accuracy": accuracy}, "full")

    def test_the_leaderboard_shows_scores_beside_accuracies(self, small):
        catalogue = Catalogue(load(open_place(str(small.folder))).table)
        (summary,) = catalogue.boards()
        board = catalogue.board(summary.key)
        assert board.truth_exact
        assert {row.model: row.accuracy for row in board.rows} == pytest.approx(
            {name: small.found.accuracy(name) for name in NAMES}
        )
        assert {row.model: row.rank for row in board.rows} == small.found.report.ranks

    def test_the_summary_is_what_json_prints(self, small):
        told = json.loads((small.folder / SUMMARY).read_text(encoding="utf-8"))
        assert told["accuracies"] == {name: list(values) for name, values in small.found.accuracies.items()}
        assert "no evidence" in told["caution"]


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The same once more, by one process and into the home of the package."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TRANSFER_SCORE_HOME", str(home))
        return demonstrate(replace(SMALL, processes=1)), home


class TestAgain:
    def test_the_numbers_are_the_same(self, small, again):
        found, _ = again
        assert found.accuracies == small.found.accuracies
        assert found.agreements == small.found.agreements
        assert {name: pool.scores for name, pool in found.report.pools.items()} == {
            name: pool.scores for name, pool in small.found.report.pools.items()
        }

    def test_the_records_are_the_same(self, small, again):
        def records(folder):
            return {name for name in files_below(folder) if name.startswith("records")}

        assert records(again[0].results) == records(small.folder)

    def test_the_home_holds_records_only(self, again):
        found, home = again
        assert found.kept is None
        assert found.results == home / "demo" / "seed-0"
        assert {Path(name).parts[2] for name in files_below(home)} == {"records", "ranking.json", "demo.json"}


def test_every_phase_is_told_from_its_start_to_its_end(small):
    assert [phase for phase, done, _ in small.said if done == 0] == list(PHASES)
    for phase in PHASES:
        told = [(done, total) for one, done, total in small.said if one == phase]
        assert told == [(done, told[0][1]) for done in range(told[0][1] + 1)]
    assert list(small.found.seconds) == list(PHASES)


class TestPlaces:
    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "notes").write_text("mine")
        with pytest.raises(OptionError, match=r"notes is a file; name a new folder for the demonstration"):
            Places.of(tmp_path / "notes", SMALL)

    def test_a_folder_with_something_else_is_refused_and_left_alone(self, tmp_path):
        (tmp_path / "notes").write_text("mine")
        with pytest.raises(OptionError, match="holds something else than a demonstration; name a new folder"):
            Places.of(tmp_path, SMALL)
        assert files_below(tmp_path) == {"notes"}

    def test_an_earlier_one_makes_room_and_what_others_put_there_stays(self, tmp_path):
        Places.of(tmp_path / "demo", SMALL)
        kept = ["records/owner/name/1.json", "records/_local/mine/1.json", "checkpoints/mine/config.json", "notes"]
        gone = [f"records/_local/{NAMES[0]}/1.json", f"checkpoints/{NAMES[0]}/config.json", f"{DATASET}/train/5/1.png"]
        for name in (*kept, *gone):
            path = tmp_path / "demo" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        assert Places.of(tmp_path / "demo", SMALL).materials == tmp_path / "demo"
        assert files_below(tmp_path / "demo") == {*kept, SUMMARY}


@pytest.mark.parametrize(
    ("option", "value", "least"), [("steps", 0, 1), ("per_class", 3, 4), ("repeats", 0, 1), ("processes", 0, 1)]
)
def test_sizes_that_make_no_sense_are_refused(option, value, least):
    with pytest.raises(OptionError, match=f"{option}={value}: expected at least {least}"):
        DemoOptions(**{option: value})


def test_a_failure_in_a_process_is_raised_here(tmp_path):
    nothing = replace(MEMBERS[0], architecture="test_no_such_network")
    with pytest.raises(RuntimeError, match="test_no_such_network"):
        demonstrate(replace(SMALL, members=(nothing,), processes=1), save=tmp_path / "demo")
