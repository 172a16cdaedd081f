"""Rankings that stop at as many rows as it takes."""

import json

import numpy as np
import pytest

from hf_transfer_score import AdaptiveOptions, OptionError, RankOptions, SampleOptions, rank_adaptively
from hf_transfer_score.choosing import adaptive
from hf_transfer_score.choosing.adaptive import chance_to_stay, noise_of
from hf_transfer_score.cli import main
from hf_transfer_score.ranking.feature_pool import rank_features
from tests.checkpoints import texts
from tests.cli.test_verify import write_reviews


def pool(rows, gap, seed=0):
    """Return features of four models, each better than the next by a gap, and labels."""
    generator, labels = np.random.default_rng(seed), np.arange(rows) % 3
    noise = {name: generator.normal(size=(rows, 8)) for name in "abcd"}
    return {
        name: one + (1 + gap * place) * np.eye(8)[labels] for place, (name, one) in enumerate(noise.items())
    }, labels


@pytest.mark.parametrize(("gap", "clear"), [(2.0, True), (0.0, False)])
def test_an_order_is_clear_where_halves_say_nearly_the_same(gap, clear):
    features, labels = pool(120, gap)

    def scores(rows):
        found = rank_features({name: one[rows] for name, one in features.items()}, labels[rows]).forecasts
        return {name: found[name].score for name in sorted(found)}

    now, noise = scores(np.arange(120)), noise_of(scores, labels)
    assert (chance_to_stay(now, noise, 120, 1200, 2) >= 0.9) is clear
    assert chance_to_stay(now, noise, 120, 1200, 4) == 1.0  # all four are the first four


@pytest.mark.parametrize("known", [200, 100])
def test_the_chance_is_that_of_a_mean_of_more_rows(known, monkeypatch):
    """For means of normal rows, which do not drift, the chance is known: all rows are these rows and new ones."""
    monkeypatch.setattr(adaptive, "DRIFT", 0)
    generator, labels, pairs = np.random.default_rng(1), np.zeros(known, int), []
    for _ in range(400):
        rows = generator.normal([[0.0], [0.1], [0.2]], 1.0, (3, 400))

        def scores(some, rows=rows):
            return {name: float(one[some].mean()) for name, one in zip("abc", rows, strict=True)}

        said = chance_to_stay(scores(np.arange(200)), noise_of(scores, labels), 200, 400, 1)
        pairs.append((said, rows[:, :200].mean(1).argmax() == rows.mean(1).argmax()))
    said, same = np.mean(pairs, 0)
    assert abs(said - same) < 0.05 and 0.6 < same < 0.9


def test_few_rows_are_less_sure_than_their_noise_alone_says():
    """Scores by few rows also drift, and the more rows were read, the less."""
    noise = {"a": np.array([1.0, -1.0]), "b": np.zeros(2)}
    few, many = (chance_to_stay({"a": 3 * np.sqrt(2 / read), "b": 0.0}, noise, read, 10**9, 1) for read in (100, 10**5))
    assert 0.5 < few < 0.9 < 0.99 < many  # both gaps are three standard deviations of the noise
    assert chance_to_stay({"a": 0.1, "b": 0.0}, noise, 100, 100, 1) == 1.0  # all rows were read


def test_rows_that_are_too_few_in_halves_are_not_clear():
    noise = noise_of(lambda rows: {"a": 1.0} if len(rows) > 20 else {}, np.arange(40) % 2)
    assert noise == {} and chance_to_stay({"a": 1.0}, noise, 40, 80, 1) == 0.0


def test_halves_hold_each_class_in_its_share():
    labels, seen = np.repeat([0, 1], [90, 30]), []
    noise_of(lambda rows: seen.append(np.bincount(labels[rows])) or {"a": 1.0}, labels)
    assert all(abs(int(zeros) - 3 * int(ones)) <= 3 and 59 <= zeros + ones <= 60 for zeros, ones in seen[1:])
    assert len({tuple(one) for one in seen}) >= 2


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two checkpoints and a dataset."""
    folder = tmp_path_factory.mktemp("adaptive")
    for seed, name in enumerate(("first", "second")):
        texts.write_text(folder / name, seed=seed)
    write_reviews(folder / "reviews.jsonl", 160)
    return folder


def test_it_stops_where_the_first_are_clear_and_the_result_says_how_many_rows(place, monkeypatch):
    monkeypatch.chdir(place)
    asked = {"options": RankOptions(sample=SampleOptions(max_samples=128)), "folder": place / "home"}
    models = ["./first", "./second"]
    until = AdaptiveOptions(first=2, first_rows=32)  # both are the first two of two
    report = rank_adaptively("reviews.jsonl", models, until=until, **asked)
    assert len(report.sample) == 32 and len(report.ranks) == 2
    note = "32 of 128 rows were read: all rows would give the same first 2 with probability 100%."
    assert report.notes[-1] == note and json.loads(json.dumps(report.as_dict()))["notes"][-1] == note
    monkeypatch.setattr(adaptive, "chance_to_stay", lambda *_: 0.0)
    whole = rank_adaptively("reviews.jsonl", models, until=AdaptiveOptions(first_rows=64), **asked)
    assert len(whole.sample) == 128
    assert "the order did not become clear with fewer rows" in whole.notes[-1]
    made = [one.extraction for one in whole.models.values()]
    assert [one["examples"] for one in made] == [128, 128]  # of all looks, and so is the time


def test_files_of_results_without_a_record_are_said(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    (tmp_path / "records" / "o" / "m").mkdir(parents=True)
    (tmp_path / "records" / "o" / "m" / "0.json").write_text("{")
    options, until = RankOptions(sample=SampleOptions(max_samples=64)), AdaptiveOptions(first_rows=32)
    found = rank_adaptively(
        "reviews.jsonl", ["./first"], options=options, until=until, folder=place / "home", results=tmp_path
    )
    assert found.notes[0].startswith(f"1 file in {tmp_path} without a valid record left out; ")


def test_halves_are_ranked_by_the_scores_of_the_report(place, monkeypatch):
    monkeypatch.chdir(place)
    kept = []

    def measured(scores, labels):
        kept.append(scores(np.arange(len(labels))))
        return noise_of(scores, labels)

    monkeypatch.setattr(adaptive, "noise_of", measured)
    options, until = RankOptions(sample=SampleOptions(max_samples=128)), AdaptiveOptions(first=2, first_rows=32)
    report = rank_adaptively(
        "reviews.jsonl", ["./first", "./second"], options=options, until=until, folder=place / "home"
    )
    assert kept == [{name: pytest.approx(one.score, abs=1e-9) for name, one in report.forecasts.items()}]


def test_the_command_says_it_too_and_refuses_what_does_not_go_together(place, monkeypatch, capsys):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(place / "home"))
    monkeypatch.chdir(place)
    command = ["rank", "reviews.jsonl", "--models", "./first", "./second", "--max-samples", "128"]
    assert main([*command, "--adaptive", "--first", "2"]) == 0
    out, err = capsys.readouterr()
    note = "128 of 128 rows were read: there are too few to stop earlier."  # the first look is at 256
    assert note in " ".join(out.split()) and "reading 128 rows" in err
    for wrong, said in (
        (["--first", "2"], "--first is for --adaptive"),
        (["--adaptive", "--metrics", "ncti"], "uses the forecast of the default metrics"),
        (["--adaptive", "--first", "0"], "Must be >= 1"),
    ):
        assert main([*command, *wrong]) == 2
        assert said in capsys.readouterr().err


def test_targets_are_refused(tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(f'{{"text": "t{n}", "label": {n / 7}}}\n' for n in range(40)))
    options = RankOptions(sample=SampleOptions(task="text-regression"))
    with pytest.raises(OptionError, match="a task with a class per example, and this is text-regression"):
        rank_adaptively(str(tmp_path / "data.jsonl"), ["./none"], options=options, folder=tmp_path)
