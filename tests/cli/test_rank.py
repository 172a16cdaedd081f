"""The commands `rank` and `cache` as a user meets them."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from hf_transfer_score.cli.app import build_app
from hf_transfer_score.cli.flags import count
from hf_transfer_score.features.cache import FeatureCache
from tests.cli.pool import check_printed, write_checkpoint


@pytest.fixture
def pool(bank):
    """A folder to be in, with a dataset, three checkpoints that work and one that does not."""
    write_checkpoint(bank / "models" / "clear")
    write_checkpoint(bank / "models" / "noisy", noise=4.0)
    write_checkpoint(bank / "models" / "vowels", letters="aeiou", noise=1.0)
    write_checkpoint(bank / "models" / "broken", wrong="model.safetensors ends too early; download it again")
    return bank


MODELS = ["./models/noisy", "./models/clear", "./models/vowels"]


def ranking(run, *arguments):
    status, out, err = run("rank", "bank.jsonl", "--models", *MODELS, "--json", *arguments)
    assert status == 0, err
    return json.loads(out)


class TestRank:
    def test_the_table_says_what_was_sampled_and_who_is_first(self, pool, run):
        status, out, err = run("rank", "bank.jsonl", "--models", *MODELS)
        assert status == 0
        assert "80 examples of 80 rows read, 4 classes" in err and "task: text-classification" in err
        assert "column 'intent'" in err and "on 80 examples of bank.jsonl (train), 4 classes." in out
        rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(("clear", "noisy"))}
        assert rows["clear"][0] == "1" and rows["noisy"][0] in "23"
        assert out.startswith("Fine-tune clear: about ")
        step = out[out.index("\nTo be surer, fine-tune") :].splitlines()
        assert step[2].startswith("  hf-transfer-score verify bank.jsonl --models ./models/clear ") and len(step) == 3
        assert "4 classes. best chance to be the best after fine-tuning" in " ".join(out.split())
        assert "the most frequent class: 25.0%" in " ".join(out.split()) and "seli" not in out
        _, with_terms, _ = run("rank", "bank.jsonl", "--models", *MODELS, "--terms", "--quiet")
        assert "seli" in with_terms and "baseline ranks" in with_terms
        assert (
            "3 models to run, 0 in the cache, 0 B to download. The forward passes take about 1 s, a guess until the"
            in err
        )
        assert "Traceback" not in err and "\r" not in err

    def test_the_next_command_reads_the_same_sample_in_the_same_way(self, pool, run):
        same = ["--label", "intent", "--per-class", "10", "--pooling", "cls"]
        _, out, _ = run("rank", "bank.jsonl", "--models", *MODELS, *same, "--quiet")
        command = out.splitlines()[-1].split()
        assert command[:3] == ["hf-transfer-score", "verify", "bank.jsonl"] and command[-6:] == same
        assert build_app(["verify"]).parse_args(command[1:], exit_on_error=False, print_error=False)

    def test_a_failure_is_a_row_with_its_reason(self, pool, run):
        asked = ("rank", "bank.jsonl", "--models", *MODELS, "./models/broken", "./models/absent")
        status, out, err = run(*asked)
        assert status == 0
        assert "3 of 5 models ranked" in out
        assert "broken: model.safetensors ends too early; download it again" in out
        assert "absent: ./models/absent is not a folder; a model on the Hub is written owner/name" in out
        assert (out + err).count("ends too early") == (out + err).count("is not a folder") == 1
        assert run(*asked, "--strict")[0] == 1
        assert "is not a folder" in run(*asked, "--dry-run")[1]

    def test_a_single_candidate_is_no_choice(self, pool, run):
        _, out, _ = run("rank", "bank.jsonl", "--models", "./models/clear")
        assert out.startswith(
            "clear is the only candidate, so there is nothing to compare it with. A linear classifier"
        )
        assert "best" not in out and "verify" not in out
        _, out, _ = run("rank", "bank.jsonl", "--models", "./models/clear", "./models/broken")
        assert out.startswith("Only clear could be ranked, so there is nothing to compare it with.")

    def test_the_table_is_whole_at_100_columns(self, pool, run, monkeypatch):
        monkeypatch.setenv("COLUMNS", "100")
        long = pool / "models" / "vit_base_patch16_siglip_512_webli_finetuned_on_everything"
        write_checkpoint(long)
        _, out, _ = run("rank", "bank.jsonl", "--models", *MODELS, str(long))
        table = out[out.index("model  ") : out.index("4 of 4 models")].splitlines()
        assert max(map(len, table)) <= 100 and sum(line.startswith("model ") for line in table) == 1
        assert all(word in table[0] for word in ("rank", "range", "best", "points below", "probe", "params", "time"))

    def test_where_nothing_can_be_ranked_the_status_says_so(self, pool, run):
        status, out, _ = run("rank", "bank.jsonl", "--models", "./models/broken")
        assert status == 1 and out.startswith("No model could be ranked.\n\nfailed  broken: model.safetensors ends")

    def test_json_holds_everything_and_reads_back(self, pool, run):
        found = ranking(run)
        assert found["order"][0] == "clear" and set(found["order"]) == {"clear", "vowels", "noisy"}
        assert found["headline"] == ["ncti", "face"]
        assert set(found["pool"]["clear"]["scores"]["results"]) >= {"ncti", "face", "logme", "feature_width"}
        assert found["pool"]["clear"]["extraction"]["examples"] == 80
        assert found["sample"]["label_names"] == ["cards", "money", "support", "transfer"]
        assert found["answer"].startswith("Fine-tune clear: about ")
        assert [one["name"] for one in found["models"]] == found["order"]
        for one in found["models"]:
            assert 1 <= one["rank_range"][0] <= one["rank"] <= one["rank_range"][1] <= 3
            assert one["probe_accuracy"]["low"] < one["probe_accuracy"]["value"] <= one["probe_accuracy"]["high"]
        assert sum(one["best_probability"] for one in found["models"]) == pytest.approx(1)
        plain = ranking(run, "--headline", "ncti,face")
        assert plain["headline"] == ["ncti", "face"] and plain["models"][0]["best_probability"] is None
        assert plain["confidence"]["replicates"] == 100
        for name, (low, high) in plain["confidence"]["ranges"].items():
            assert 1 <= low <= plain["ranks"][name] <= high <= 3
        low, high = found["intervals"]["clear"]["face"]["variance_collapse"]
        assert low < high < 0
        check_printed("rank", found)
        check_printed("rank", plain)

    def test_csv_has_a_line_a_model_in_full_precision(self, pool, run):
        status, out, err = run("rank", "bank.jsonl", "--models", *MODELS, "./models/broken", "--csv", "--terms")
        rows = list(csv.DictReader(io.StringIO(out)))
        found = ranking(run)
        assert status == 0 and [row["model"] for row in rows] == [*found["order"], "broken"]
        term = found["pool"]["clear"]["scores"]["results"]["ncti"]["terms"]["seli"]
        assert float(rows[0]["ncti.term.seli"]) == term
        assert rows[3]["kind"] == "corrupt" and rows[3]["rank"] == ""
        assert "failed: broken: model.safetensors ends too early" in err

    def test_speed_is_shown_kept_and_filtered_by(self, pool, run):
        found = ranking(run, "--batch-size", "16")
        speeds = {name: one["extraction"]["measured_here"] for name, one in found["pool"].items()}
        assert all(one["examples_per_second"] > 0 and one["machine"] for one in speeds.values())
        again = ranking(run)
        assert {name: one["extraction"]["measured_here"] for name, one in again["pool"].items()} == speeds
        _, out, _ = run("rank", "bank.jsonl", "--models", *MODELS, "--csv")
        rows = {row["model"]: row for row in csv.DictReader(io.StringIO(out))}
        assert float(rows["clear"]["examples_per_second"]) == speeds["clear"]["examples_per_second"]
        assert rows["clear"]["machine"] == speeds["clear"]["machine"] and rows["clear"]["example_milliseconds"]
        _, out, _ = run("rank", "bank.jsonl", "--models", *MODELS, "--terms")
        assert "per s: examples per second in batches" in out and speeds["clear"]["machine"] in " ".join(out.split())
        ordered = sorted(speeds, key=lambda name: speeds[name]["examples_per_second"])
        least = speeds[ordered[0]]["examples_per_second"] * (1 + 1e-9)
        left = ranking(run, "--min-throughput", str(least))
        assert set(left["ranks"]) == set(ordered[1:])
        slow = left["pool"][ordered[0]]
        assert (slow["status"], slow["kind"]) == ("failed", "too_slow")
        assert "examples per second on this machine" in slow["reason"] and "are required" in slow["reason"]
        status, _, err = run("rank", "bank.jsonl", "--models", *MODELS, "--min-throughput", "0")
        assert status == 2 and "--min-throughput" in err

    def test_what_was_too_slow_leaves_no_record(self, pool, run):
        assert run("rank", "bank.jsonl", "--models", *MODELS, "--batch-size", "16", "--min-throughput", "1e12")[0] == 1
        run("rank", "bank.jsonl", "--models", *MODELS, "--min-throughput", "1e12", "--save", "results")
        assert not list((pool / "results").glob("records/**/*.json"))

    def test_a_speed_that_is_not_known_leaves_nobody_out(self, pool, run):
        _, out, _ = run("rank", "bank.jsonl", "--models", *MODELS, "--min-throughput", "1e12", "--batch-size", "80")
        assert "3 of 3 models ranked" in out
        assert "Kept although their examples per second are not known: noisy, clear, vowels" in " ".join(out.split())

    def test_the_order_of_the_models_does_not_matter(self, pool, run):
        one = ranking(run)
        other = json.loads(run("rank", "bank.jsonl", "--models", *reversed(MODELS), "--json")[1])
        assert other["ranks"] == one["ranks"] and other["models"] == one["models"]
        one, other = (
            json.loads(run("rank", "bank.jsonl", "--models", *names, "--json", "--headline", "ncti,face")[1])
            for names in (MODELS, list(reversed(MODELS)))
        )
        assert other["ranks"] == one["ranks"] and other["confidence"]["ranges"] == one["confidence"]["ranges"]
        for metric, pool in one["pools"].items():
            assert other["pools"][metric]["scores"] == pytest.approx(pool["scores"], rel=1e-12)

    def test_no_ranges_without_replicates(self, pool, run):
        assert ranking(run, "--replicates", "0")["confidence"] is None
        _, out, _ = run("rank", "bank.jsonl", "--models", *MODELS, "--replicates", "0", "--headline", "ncti,face")
        assert "ranges hold" not in out and "cannot be known without bootstrap samples" in out

    def test_models_may_come_from_a_file(self, pool, run):
        (pool / "list.txt").write_text("# mine\n./models/clear\n./models/noisy  # why not\n")
        command = ("rank", "bank.jsonl", "--models", "./models/vowels", "--models-from", "list.txt")
        status, out, _ = run(*command, "--dry-run", "--json")
        assert status == 0 and [one["name"] for one in json.loads(out)["models"]] == ["vowels", "clear", "noisy"]

    def test_the_headline_decides(self, pool, run):
        found = ranking(run, "--headline", "logme")
        assert found["headline"] == ["logme"] and found["mean_ranks"] == {
            name: float(found["pools"]["logme"]["ranks"][name]) for name in found["mean_ranks"]
        }

    def test_a_headline_that_no_model_has_is_pointed_out(self, pool, run):
        found = ranking(run, "--headline", "leep")
        assert found["headline"] == ["ncti"]
        assert "No model has a score of leep, so the order is that of ncti." in found["notes"]

    def test_a_baseline_with_the_same_order_is_pointed_out(self, pool, run):
        for width in (3, 6, 12, 26):
            letters = "abcdefghijklmnopqrstuvwxyz"[:width]
            write_checkpoint(pool / "wide" / f"w{width}", letters=letters, noise=0.3)
        models = [f"./wide/w{width}" for width in (3, 6, 12, 26)]
        _, out, _ = run("rank", "bank.jsonl", "--models", *models, "--headline", "feature_width", "--replicates", "0")
        assert "the order is similar to that of feature_width (weighted Kendall 1.00)" in out


class TestFiles:
    def test_saved_records_and_plots(self, pool, run):
        status, _, err = run(
            "rank", "bank.jsonl", "--models", *MODELS, "./models/broken", "--save", "out", "--plot", "plot.png"
        )
        assert status == 0 and "Drew plot.png" in err
        assert json.loads((pool / "out" / "ranking.json").read_text())["order"][0] == "clear"
        records = [json.loads(path.read_text()) for path in (pool / "out" / "records").rglob("*.json")]
        assert {record["model"]["id"] for record in records} == {"noisy", "clear", "vowels", "broken"}
        assert np.asarray(Image.open(pool / "plot.png").convert("L")).std() > 5

    def test_a_plot_of_no_known_kind_is_refused_before_the_run(self, pool, run):
        status, _, err = run("rank", "bank.jsonl", "--models", *MODELS, "--plot", "plot.bmp")
        assert status == 2 and "plot.bmp" in err and ".html" in err
        assert not (pool / "home").exists()


class TestPlan:
    def test_a_dry_run_runs_nothing(self, pool, run):
        status, out, err = run("rank", "bank.jsonl", "--models", *MODELS, "--dry-run")
        assert status == 0 and err == ""
        assert "3 models to run, 0 in the cache, 0 B to download" in out
        assert not (pool / "home" / "features").exists()
        found = json.loads(run("rank", "bank.jsonl", "--models", *MODELS, "--dry-run", "--json")[1])
        assert [model["state"] for model in found["models"]] == ["on disk"] * 3
        check_printed("rank-plan", found)


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ("", "No model was named: name ids or folders with --models, or search the Hub."),
            ("--models ./models/clear --pooling avg", "expected one of auto, cls"),
            ("--models ./models/clear --layer first", "expected last, all, mean"),
            ("--models ./models/clear --dtype int4", "expected one of auto, float32"),
            ("--models ./models/clear --metrics fase", "did you mean 'face'"),
            ("--models ./models/clear --headline fase", "did you mean 'face'"),
            ("--models ./models/clear --task image", "There is no task 'image'"),
            ("--models ./models/clear --level 1.5", "--level 1.5"),
            ("--models ./models/clear --replicates -1", "--replicates -1"),
            ("--models-from nothing.txt", "cannot be read as a list of models"),
        ],
    )
    def test_wrong_usage_is_one_sentence(self, pool, run, arguments, words):
        status, out, err = run("rank", "bank.jsonl", *arguments.split())
        assert (status, out) == (2, "") and words in err and err.count("\n") == 1

    def test_without_a_network_a_misspelt_name_is_answered_with_the_nearest_here(
        self, pool, run, tmp_path, monkeypatch
    ):
        for kind in ("datasets--own--flowers", "models--own--flowers-base"):
            (tmp_path / kind).mkdir()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        for wrong, near in {"bank.jsnl": "bank.jsonl", "flower": "own/flowers"}.items():
            status, _, err = run("rank", wrong, "--models", "./models/clear")
            assert status == 1 and f" Did you mean '{near}'?\n" in err
        _, out, _ = run("rank", "bank.jsonl", "--models", "Own/Flowers-Bas", "--quiet")
        assert "the Hub cannot be reached. Did you mean 'own/flowers-base'?" in out

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ("--device cuda:9", ": there is no such device on this computer; it has "),
            ("--image-size 64", " is for images, and this is text-classification: leave it out."),
            ("--subword mean", " is for token-classification"),
            ("--ignore-value 3", " is for image-segmentation"),
            ("--rows-per-example 3", " is for labels of words and pixels"),
        ],
    )
    def test_what_does_nothing_is_refused_also_where_all_is_kept(self, pool, run, arguments, words):
        ranking(run)
        status, out, err = run("rank", "bank.jsonl", "--models", *MODELS, "--quiet", *arguments.split())
        assert (status, out) == (2, "") and f"{arguments}{words}" in err and err.count("\n") == 1

    @pytest.mark.parametrize("dataset", ["nothing.jsonl", "./nothing"])
    def test_a_dataset_that_is_not_there(self, pool, run, dataset):
        status, _, err = run("rank", dataset, "--models", "./models/clear")
        assert status == 1 and err.startswith("error: ") and err.count("\n") == 1

    @pytest.mark.parametrize("text", ["many", "5X", "-"])
    def test_counts_are_checked(self, text):
        with pytest.raises(Exception, match="expected a number such as 100M"):
            count(text)


class TestCache:
    def test_list_and_clear(self, pool, run):
        assert run("cache", "list")[1] == "The cache holds no features.\n"
        ranking(run)
        status, out, _ = run("cache", "list")
        assert status == 0 and "3 entries" in out
        assert all(name in out for name in ("clear", "noisy", "vowels"))
        entries = json.loads(run("cache", "list", "--json")[1])
        assert {entry["meta"]["model"] for entry in entries} == {"clear", "noisy", "vowels"}
        check_printed("cache", entries)
        assert run("cache", "clear")[1].startswith("Deleted 3 entries, ")
        assert json.loads(run("cache", "clear", "--json")[1]) == {"deleted": 0, "bytes": 0}
        assert not any(one["from_cache"] for one in ranking(run)["pool"].values())

    def test_what_cannot_be_deleted_is_not_called_deleted(self, pool, run, monkeypatch):
        ranking(run)
        monkeypatch.setattr(FeatureCache, "remove", lambda *_: None)
        status, out, err = run("cache", "clear")
        assert (status, out) == (2, "Deleted 0 entries, 0 B.\n")
        assert err.startswith("error: 3 entries in ") and err.endswith("you may not change that folder.\n")

    def test_the_size_may_be_limited(self, pool, run, monkeypatch):
        ranking(run)
        monkeypatch.setenv("HF_TRANSFER_SCORE_CACHE_SIZE", "1K")
        run("rank", "bank.jsonl", "--models", "./models/clear", "--max-samples", "40")
        assert "1 entry, " in run("cache", "list")[1]
        monkeypatch.setenv("HF_TRANSFER_SCORE_CACHE_SIZE", "much")
        status, _, err = run("cache", "list")
        assert status == 2 and "'much' is not a number of bytes" in err
