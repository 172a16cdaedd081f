"""Scores of files: the numbers of the API, rows for what cannot be scored, and what the files of a pool must share."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score import ModelFacts, rank_features, score_features
from hf_transfer_score.cli.score_files import name_models
from hf_transfer_score.cli.tables import number
from hf_transfer_score.errors import OptionError
from tests.cli.pool import FILES, LABELS, POOL, check_printed, flat, table_rows


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if "seconds" not in key}
    return value


class TestOneFile:
    def test_the_table_has_the_numbers_of_the_api(self, folder, run):
        status, out, err = run("score", "far.npz")
        assert (status, err) == (0, "")
        assert out.startswith("far is the only candidate, so there is nothing to compare it with. A linear classifier")
        assert "\n\nfar: 100 rows, 16 features, 4 classes; " in out
        scores = score_features(POOL["far"], LABELS, facts=ModelFacts(name="far"))
        rows = [line.split() for line in out.splitlines()]
        for metric, result in scores.results.items():
            if result.status == "skipped":
                assert "skipped " + result.reason.replace("`facts`", "--facts") in flat(out)
                continue
            (term, value), *others = result.terms.items()
            assert [metric, number(result.headline), term, number(value)] in [row[:4] for row in rows]
            assert all([name, number(other)] in rows for name, other in others)

    def test_json_is_what_the_api_returns(self, folder, run):
        status, out, _ = run("score", "far.npz", "--json", "--metrics", "all")
        expected = score_features(POOL["far"], LABELS, metrics="all", facts=ModelFacts(name="far"))
        assert status == 0
        assert without_times(json.loads(out)) == without_times({"model": "far", **expected.as_dict()})
        check_printed("score", json.loads(out))

    def test_csv_has_a_row_a_term_in_full_precision(self, folder, run):
        _, out, _ = run("score", "far.npz", "--csv", "--metrics", "face,leep")
        terms = score_features(POOL["far"], LABELS, metrics=["face"])["face"].terms
        rows = list(csv.DictReader(io.StringIO(out)))
        assert {row["term"]: float(row["value"]) for row in rows if row["status"] == "ok"} == terms
        assert rows[-1]["metric"] == "leep"
        assert rows[-1]["reason"].startswith("leep needs source-class probabilities")

    def test_source_probabilities_and_targets_in_the_file_are_used(self, folder, run):
        probabilities = np.random.default_rng(0).dirichlet(np.ones(6), size=len(LABELS))
        targets = POOL["far"][:, 0]
        np.savez("all.npz", features=POOL["far"], labels=LABELS, source_probs=probabilities, targets=targets)
        _, out, _ = run("score", "all.npz", "--metrics", "leep,logme_regression", "--json")
        expected = score_features(
            POOL["far"], LABELS, metrics=["leep", "logme_regression"], targets=targets, source_probs=probabilities
        )
        found = json.loads(out)["results"]
        assert {name: one["terms"] for name, one in found.items()} == {
            name: one.terms for name, one in expected.results.items()
        }

    def test_a_file_of_targets_alone(self, folder, run):
        np.savez("targets.npz", features=POOL["far"], targets=POOL["far"][:, 0])
        status, out, _ = run("score", "targets.npz")
        assert status == 0
        assert "logme_regression" in out
        assert "skipped face needs class labels" in flat(out)

    def test_bad_features_are_an_error(self, folder, run):
        np.savez("bad.npz", features=np.where(np.eye(100, 12), np.nan, 1.0), labels=LABELS)
        status, out, err = run("score", "bad.npz")
        assert (status, out) == (1, "")
        assert err.startswith("error: Features hold 12 non-finite values (NaN or Inf); first rows: 0, 1, 2, 3, 4.")
        assert err.count("\n") == 1

    def test_nothing_that_could_be_computed(self, folder, run):
        status, out, _ = run("score", "far.npz", "--metrics", "leep")
        assert status == 1
        assert "headline" not in out
        assert "skipped leep needs source-class probabilities" in flat(out)


class TestPool:
    def test_the_table_has_the_numbers_of_the_api(self, folder, run):
        status, out, err = run("score", *FILES, "--metrics", "face,ncti,nc1", "--headline", "face,ncti")
        assert (status, err) == (0, "")
        pools = rank_features(POOL, LABELS, metrics=["face", "ncti", "nc1"]).pools
        rows = table_rows(out)
        for name in POOL:
            mean = (pools["face"].ranks[name] + pools["ncti"].ranks[name]) / 2
            scores = [cell for pool in pools.values() for cell in (str(pool.ranks[name]), number(pool.scores[name]))]
            assert rows[name] == [f"{mean:.1f}", *scores]
        assert next(name for name in rows if name in POOL) == "far"
        assert "3 of 3 models ranked by the mean rank of face and ncti." in out

    def test_raw_terms_on_request(self, folder, run):
        _, out, _ = run("score", *FILES, "--metrics", "ncti,nc1", "--terms", "--headline", "ncti")
        results = rank_features(POOL, LABELS, metrics=["ncti", "nc1"]).models
        assert [line.split()[1:] for line in out.splitlines() if line.startswith("model")] == [
            ["rank", "score", "seli", "ncc", "vc", "rank", "score", "raw"]
        ]
        for name, cells in table_rows(out).items():
            if name in POOL:
                terms = results[name]["ncti"].terms
                assert cells[2:5] == [number(terms[term]) for term in ("seli", "ncc", "vc")]
                assert cells[7] == number(results[name]["nc1"].terms["nc1"])

    def test_json_is_what_the_api_returns(self, folder, run):
        status, out, _ = run("score", *FILES, "--json")
        found = json.loads(out)
        assert status == 0
        assert found["order"] == [one["name"] for one in found["models"]] and found["order"][0] == "far"
        check_printed("score", found)
        assert found["answer"].startswith("Fine-tune far: about ")
        assert found["headline"] == ["face", "ncti"]
        assert without_times(found) == without_times(rank_features(POOL, LABELS).as_dict())

    def test_csv_is_in_full_precision_and_says_the_rest_elsewhere(self, folder, run):
        _, out, err = run("score", *FILES, "--csv", "--terms", "--metrics", "face,leep")
        ranking = rank_features(POOL, LABELS, metrics=["face"])
        rows = {row["model"]: row for row in csv.DictReader(io.StringIO(out))}
        assert list(rows) == list(ranking.ranks)
        for name, row in rows.items():
            assert row["status"] == "ok"
            assert int(row["face.rank"]) == ranking.pools["face"].ranks[name]
            assert float(row["face.score"]) == ranking.pools["face"].scores[name]
            for term, value in ranking.models[name]["face"].terms.items():
                assert float(row[f"face.term.{term}"]) == value
        assert err.startswith("skipped: leep needs source-class probabilities")
        _, out, _ = run("score", *FILES, "--csv", "--metrics", "face")
        assert out.splitlines()[0] == (
            "model,status,rank,best_probability,points_below_best,points_low,points_high,expected_accuracy,accuracy_low,"
            "accuracy_high,probe_accuracy,probe_low,probe_high,mean_rank,face.rank,face.score,reason"
        )

    def test_a_model_that_cannot_be_scored_is_a_row_with_the_reason(self, folder, run):
        bad = POOL["near"].copy()
        bad[7, 3] = np.nan
        np.savez("bad.npz", features=bad, labels=LABELS)
        Path("broken.npz").write_bytes(b"PK\x03\x04")
        files = [*FILES, "bad.npz", "broken.npz", "missing.npz"]
        status, out, _ = run("score", *files, "--metrics", "face,ncti")
        assert status == 0
        rows = table_rows(out)
        assert list(rows)[-3:] == ["bad", "broken", "missing"]
        assert rows["bad"] == ["failed", *["–"] * 7]
        assert "3 of 6 models ranked" in out
        assert "failed bad: Features hold 1 non-finite value (NaN or Inf); first rows: 7." in flat(out)
        assert "failed broken: broken.npz: cannot be read as .npz" in flat(out)
        assert "failed missing: missing.npz: no such file." in flat(out)
        _, out, _ = run("score", *files, "--metrics", "face,ncti", "--csv")
        reasons = {row["model"]: (row["status"], row["reason"]) for row in csv.DictReader(io.StringIO(out))}
        assert reasons["missing"] == ("failed", "missing.npz: no such file.")
        _, out, _ = run("score", *files, "--metrics", "face,ncti", "--json")
        assert json.loads(out)["pool"]["bad"]["status"] == "failed"

    def test_when_none_can_be_scored_the_status_says_so(self, folder, run):
        status, out, _ = run("score", "one.npz", "two.npz")
        assert status == 1
        assert table_rows(out.split("No model could be ranked.")[0])["one"] == ["failed"]
        assert "failed two: two.npz: no such file." in flat(out)

    def test_when_every_metric_is_skipped_the_status_says_so(self, folder, run):
        status, out, _ = run("score", *FILES, "--metrics", "leep")
        assert status == 1
        assert "No model could be ranked." in out

    def test_terms_that_tell_nothing_are_flagged(self, folder, run):
        np.savez("twin.npz", features=POOL["far"], labels=LABELS)
        _, out, _ = run("score", "far.npz", "twin.npz", "--metrics", "face,nc1", "--headline", "face")
        assert "flag face.variance_collapse, face.class_fairness, nc1: a range of 0 over the pool is too small" in flat(
            out
        )
        assert table_rows(out)["far"] == ["1", "0", "1", "0"]

    def test_warnings_are_said_once(self, folder, run):
        few = np.arange(0, 100, 6)
        for name, matrix in POOL.items():
            np.savez(f"{name}.npz", features=matrix[few], labels=LABELS[few])
        _, out, _ = run("score", *FILES, "--metrics", "face,ncti,nc1,cdnv,gbc")
        assert out.count("small sample: 17 rows for 4 classes") == 1
        assert "warning 5 metrics: small sample" in flat(out)
        assert "3 of 3 models:" not in out

    def test_warnings_of_some_models_name_them(self, folder, run):
        _, out, _ = run("score", *FILES, "--metrics", "face,ncti")
        assert "fewer PCA components may tell more (1 of 3 models: far)" in flat(out)

    def test_without_face_and_ncti_the_first_metric_decides(self, folder, run):
        _, out, _ = run("score", *FILES, "--metrics", "feature_width,face", "--headline", "feature_width")
        assert list(table_rows(out))[-3:] == ["near", "far", "middle"]
        assert "ranked by the rank of feature_width." in out
        status, _, err = run("score", *FILES, "--metrics", "face,nc1", "--headline", "ncti")
        assert (status, "--headline 'ncti': expected one of face, nc1." in err) == (2, True)

    def test_no_accuracy_is_forecast_for_regression(self, folder, run):
        for name, matrix in POOL.items():
            np.savez(f"{name}.npz", features=matrix, targets=POOL["far"][:, 0])
        _, out, _ = run("score", *FILES)
        assert "3 of 3 models ranked by the rank of logme_regression." in out and "points" not in out
        assert not rank_features(POOL, targets=POOL["far"][:, 0], metrics=["logme_regression"]).forecasts

    def test_a_table_of_facts_about_other_models_is_refused(self, folder, run):
        Path("facts.csv").write_text("model,family\nowner/far,vit\n", encoding="utf-8")
        status, _, err = run("score", *FILES, "--facts", "facts.csv")
        said = "facts.csv says nothing about these models: it names owner/far, and the files are called "
        assert status == 2 and said in err


class TestLabels:
    def test_one_file_of_labels_for_all(self, folder, run):
        for name, matrix in POOL.items():
            np.save(f"{name}.npy", matrix)
        np.save("truth.npy", LABELS)
        files = [f"{name}.npy" for name in POOL]
        _, out, _ = run("score", *files, "--labels", "truth.npy", "--metrics", "nc1", "--json")
        expected = rank_features(POOL, LABELS, metrics=["nc1"])
        assert json.loads(out)["pools"]["nc1"]["scores"] == expected.pools["nc1"].scores

    def test_labels_beside_are_no_model(self, folder, run):
        np.save("far.npy", POOL["far"])
        np.save("near.npy", POOL["near"])
        np.save("labels.npy", LABELS)
        status, out, _ = run("score", "far.npy", "labels.npy", "near.npy", "--metrics", "face,ncti")
        assert status == 0
        assert "2 of 2 models ranked" in out

    def test_different_labels_are_no_pool(self, folder, run):
        np.savez("other.npz", features=POOL["far"], labels=np.where(np.arange(100) == 60, 3, LABELS))
        status, out, err = run("score", "far.npz", "other.npz")
        assert (status, out) == (1, "")
        assert err.startswith(
            "error: far and other are not on the same sample: labels differ in 1 of 100 rows, the first in row 60: "
            "2 and 3. A pool is ranked on one sample"
        )

    @pytest.mark.parametrize(
        ("arrays", "wording"),
        [
            ({"labels": LABELS[:90]}, "labels of shapes (100,) and (90,)"),
            ({"targets": POOL["far"][:, 0]}, "only one of them has labels"),
            ({"labels": LABELS, "targets": POOL["far"][:, 0]}, "only one of them has targets"),
            ({"labels": np.array(["a", "b", "c", "d"])[LABELS]}, "only one of them has labels in words"),
        ],
    )
    def test_other_ways_to_differ(self, folder, run, arrays, wording):
        np.savez("other.npz", features=POOL["far"][: len(next(iter(arrays.values())))], **arrays)
        status, _, err = run("score", "far.npz", "other.npz")
        assert status == 1
        assert wording in err

    def test_the_same_numbers_for_other_names_differ(self, folder, run):
        for name, names in (("one", ["a", "b", "c", "d"]), ("two", ["a", "b", "c", "e"])):
            np.savez(f"{name}.npz", features=POOL["far"], labels=np.array(names)[LABELS])
        assert "labels differ in 25 of 100 rows, the first in row 75: d and e" in run("score", "one.npz", "two.npz")[2]

    def test_a_folder_is_no_feature_file(self, folder, run):
        for name in (".", ".."):
            assert run("score", name) == (1, "", f"error: {name}: is a folder; name the files in it.\n")

    def test_a_missing_file_of_labels_is_one_error(self, folder, run):
        status, out, err = run("score", *FILES, "--labels", "nothing.npy")
        assert (status, out, err) == (1, "", "error: nothing.npy: no such file.\n")


class TestNames:
    def test_stems(self):
        paths = {"a": Path("x/a.npz"), "b.tar": Path("y/b.tar.npz")}
        assert name_models(paths.values()) == paths

    def test_equal_stems_get_their_folder_and_equal_folders_theirs(self):
        paths = [Path("x/one/m.npz"), Path("y/one/m.npz"), Path("y/two/m.npz"), Path("other.npz")]
        assert list(name_models(paths)) == ["x/one/m", "y/one/m", "two/m", "other"]

    def test_equal_paths_get_their_ending(self):
        assert list(name_models([Path("m.npz"), Path("m.parquet"), Path("x/m.npz")])) == ["m.npz", "m.parquet", "m"]

    def test_the_same_file_twice(self):
        with pytest.raises(OptionError, match="m.npz is named twice"):
            name_models([Path("m.npz"), Path("x/../m.npz")])
