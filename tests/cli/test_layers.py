"""The command `layers` as a user meets it, with a real small checkpoint."""

import csv
import io
import json

import pytest
from datasets import Dataset
from PIL import Image

from hf_transfer_score.cli.layers import bars
from tests.checkpoints.texts import write_text
from tests.cli.pool import check_printed

WORDS = ("bank", "card", "town")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a checkpoint and texts of three topics."""
    folder = tmp_path_factory.mktemp("layers-command")
    write_text(folder / "bert")
    rows = [{"text": f"{word} film {'the ' * (number % 5)}", "label": word} for number in range(20) for word in WORDS]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    targets = [{"text": row["text"], "label": 0.37 * number} for number, row in enumerate(rows)]
    Dataset.from_list(targets).to_parquet(folder / "targets.parquet")
    return folder


@pytest.fixture
def layers(made, run, monkeypatch):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(made / "home"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(made)

    def command(*arguments: str) -> tuple[int, str, str]:
        return run("layers", "texts.jsonl", "--model", "./bert", *arguments)

    return command


def test_the_table_names_the_layer_to_train(layers):
    status, out, err = layers()
    assert status == 0 and "0 B to download." in err
    _, plain, _ = layers("--json", "--quiet")
    found = json.loads(plain)
    best = found["smallest_nc1"]
    values = {one["layer"]: one["nc1"] for one in found["layers"]}
    assert best in ("1", "2") and values[best] == min(values["1"], values["2"])
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()[:1] in ("0", "1", "2")}
    for layer, value in values.items():
        assert rows[layer][1] == "16" and float(rows[layer][2]) == pytest.approx(value, rel=1e-3)
    lengths = [len(rows[layer][3]) for layer in sorted(values)]
    assert [set(rows[layer][3]) for layer in values] == [{"█"}] * 3
    assert sorted(values, key=values.get) == sorted(values, key=lambda one: lengths[int(one)])
    assert out.startswith(f"The classes are most collapsed in layer {best} of ./bert: NC1 "), "the answer first"
    assert f"Layer-FT would train the block that ends in layer {best} and a new classifier" in out
    assert "layer 0 is the embeddings, before the first block" in out
    assert "NC1 on 60 examples of texts.jsonl (train), 3 classes: the smaller, the more compact" in out
    assert "dataset: texts.jsonl" in err and "dataset:" not in out, "said once"


def test_csv_and_json_hold_the_same_numbers(layers):
    status, out, err = layers("--csv", "--quiet")
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = json.loads(layers("--json", "--quiet")[1])
    assert [one["layer"] for one in rows] == ["0", "1", "2"]
    for row, layer in zip(rows, found["layers"], strict=True):
        assert float(row["nc1"]) == layer["nc1"]
        assert float(row["ncti.seli"]) == layer["terms"]["ncti"]["seli"]
        assert float(row["face.class_fairness"]) == layer["terms"]["face"]["class_fairness"]
    assert [row["layer"] for row in rows if row["smallest"] == "1"] == [found["smallest_nc1"]]
    check_printed("layers", found)


def test_the_numbers_are_those_of_rank(layers, run):
    """The same layers through `rank`, which shares their features."""
    arguments = ("--models", "./bert", "--layer", "all", "--metrics", "nc1", "--replicates", "0", "--json", "--quiet")
    own = json.loads(layers("--json", "--quiet")[1])
    status, out, _ = run("rank", "texts.jsonl", *arguments)
    models = json.loads(out)["pool"]
    assert status == 0 and all(one["from_cache"] for one in models.values())
    values = {one["layer"]: one["scores"]["results"]["nc1"]["terms"]["nc1"] for one in models.values()}
    assert values == {one["layer"]: one["nc1"] for one in own["layers"]}


def test_a_plot_is_written_beside_the_table(layers, tmp_path):
    status, out, err = layers("--quiet", "--plot", str(tmp_path / "profile.png"))
    assert status == 0 and "layer   width" in out and err == f"Drew {tmp_path / 'profile.png'}\n"
    with Image.open(tmp_path / "profile.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "status", "wording"),
    [
        ("--model ./bert", 2, "error: DATASET is missing: a dataset on the Hub, "),
        ("texts.jsonl --model ./bert --plot a.pdf", 2, "has to end in .png, .svg or .html."),
        ("texts.jsonl --model ./bert --pooling middle", 2, "--pooling 'middle': expected one of auto"),
        ("texts.jsonl --model ./bert --json --csv", 2, "--json and --csv exclude each other"),
        ("texts.jsonl --model ./absent --quiet", 1, "error: absent: ./absent is not a folder"),
        ("absent.jsonl --model ./bert --quiet", 1, "absent.jsonl"),
        ("targets.parquet --model ./bert --quiet", 1, "NC1 is not defined for any layer of ./bert"),
    ],
)
def test_what_goes_wrong_is_one_line(layers, run, arguments, status, wording):
    found, out, err = run("layers", *arguments.split())
    assert (found, out) == (status, "") and wording in err and "Traceback" not in err


def test_bars_are_logarithmic_and_nearly_equal_values_look_so():
    assert [len(bar) for bar in bars([1.0, 10.0, 1000.0])] == [1, 9, 24]
    assert [len(bar) for bar in bars([0.0209, 0.0214, None])] == [1, 2, 0]
    assert [len(bar) for bar in bars([0.0, 5.0])] == [1, 24]
    assert bars([None]) == [""]
