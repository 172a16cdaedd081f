"""What is printed fits, loses nothing, and says everything there is to say of a metric."""

import json
import re
import sys

import pytest

import hf_transfer_score
from hf_transfer_score import rank_features
from hf_transfer_score.cli.metrics import all_guides
from hf_transfer_score.cli.output import Page
from hf_transfer_score.cli.score import pool_text
from hf_transfer_score.cli.tables import number
from tests.cli.pool import FILES, LABELS, POOL, check_printed, flat, table_rows


class TestLayout:
    @pytest.mark.parametrize("width", [40, 80, 100, 160])
    def test_tables_fit_and_nothing_is_lost(self, folder, run, monkeypatch, width):
        monkeypatch.setenv("COLUMNS", str(width))
        _, out, _ = run("score", *FILES)
        assert max(map(len, out.splitlines())) <= width
        assert "…" not in out
        for metric, pool in rank_features(POOL, LABELS).pools.items():
            assert metric in out
            for name, score in pool.scores.items():
                assert number(score) in table_rows(out)[name]

    @pytest.mark.parametrize("width", [20, 40, 60])
    def test_narrow_terminals_lose_no_number_either(self, folder, run, monkeypatch, width):
        monkeypatch.setenv("COLUMNS", str(width))
        _, out, _ = run("score", *FILES, "--metrics", "face,ncti", "--terms")
        ranking = rank_features(POOL, LABELS, metrics=["face", "ncti"])
        for name, cells in table_rows(out).items():
            for result in ranking.models[name].results.values() if name in POOL else ():
                assert {number(value) for value in result.terms.values()} <= set(cells)
        _, out, _ = run("score", "far.npz", "--metrics", "face,ncti")
        for result in ranking.models["far"].results.values():
            assert all(f"{term} {number(value)}" in flat(out) for term, value in result.terms.items())

    def test_a_row_takes_one_line_and_long_names_are_listed_in_full(self):
        names = (
            "timm/vit_base_patch16_siglip_512.webli_ft_everything",
            "sentence-transformers/all-MiniLM-L6-v2",
            "x/y",
        )
        pool = dict(zip(names, POOL.values(), strict=True))
        ranking = rank_features(pool, LABELS, metrics=["linear_probe", "ncti", "face", "nc1"])
        lines = pool_text(ranking, Page(100), terms=True).splitlines()
        assert max(map(len, lines)) <= 100 and "score   collapse  fairness" in "\n".join(lines)
        heads = [number for number, line in enumerate(lines) if line.startswith("model ")]
        rows = [line.split("  ")[0] for head in heads for line in lines[head + 1 : head + 4]]
        assert len(heads) == 3 and set(rows) == {"vit_base_pat…t_everything", "…/all-MiniLM-L6-v2", "x/y"}
        assert all(sum(name in line for line in lines) >= 1 for name in names)

    def test_names_that_would_look_the_same_are_folded(self):
        names = [f"owner/{'a' * 60}{letter}{'b' * 60}" for letter in "xyz"]
        ranking = rank_features(dict(zip(names, POOL.values(), strict=True)), LABELS, metrics=["ncti"])
        lines = pool_text(ranking, Page(60)).splitlines()
        assert max(map(len, lines)) <= 60
        room = min(line.index("rank") for line in lines if "rank" in line and "score" in line)
        assert all(name in "".join(line[:room].strip() for line in lines) for name in names)

    def test_what_is_piped_stays_on_one_line(self, folder, run):
        name = "a" * 150
        (folder / "far.npz").rename(folder / f"{name}.npz")
        _, out, _ = run("score", f"{name}.npz", "near.npz")
        assert len([line for line in out.splitlines() if line.startswith(name)]) == 1
        assert all(line == line.rstrip() for line in out.splitlines())

    def test_a_name_of_a_thousand_letters_widens_no_table(self):
        names = ["n" * 1000, "b", "c"]
        ranking = rank_features(dict(zip(names, POOL.values(), strict=True)), LABELS, metrics=["ncti"])
        lines = pool_text(ranking, Page(10_000)).splitlines()
        head = next(number for number, line in enumerate(lines) if line.startswith("model "))
        assert max(map(len, lines[head : head + 4])) < 300 and any(line.endswith(names[0]) for line in lines)

    def test_names_are_no_markup(self, folder, run):
        (folder / "far.npz").rename(folder / "[bold]far[x] :smile:.npz")
        assert "[bold]far[x] :smile:" in run("score", "[bold]far[x] :smile:.npz", "near.npz")[1]
        assert run("score", "[bold]far[x] :smile:.npz")[1].startswith("[bold]far[x] :smile: is the only candidate")

    def test_colour_is_for_terminals(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        ranking = rank_features(POOL, LABELS, metrics=["face", "ncti"])
        plain, coloured = (pool_text(ranking, Page(100, colour=colour)) for colour in (False, True))
        assert "\x1b[" not in plain
        assert "\x1b[1;32m" in coloured
        uncoloured = re.sub(r"\x1b\[[\d;]*m", "", coloured)
        assert [line.rstrip() for line in uncoloured.splitlines()] == plain.splitlines()

    def test_progress_is_for_terminals(self, folder, run, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        quiet = run("score", *FILES, "--metrics", "face")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert run("score", *FILES, "--metrics", "face")[:2] == quiet[:2]
        assert quiet[2] == ""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1.000"),
            (0.99996, "1.000"),
            (12.3456, "12.35"),
            (-1234.5, "-1234"),
            (999999.5, "1.000e+06"),
            (123456.7, "123457"),
            (0.00012345, "0.0001234"),
            (0.000012345, "1.234e-05"),
            (64, "64"),
            (25557032.0, "25557032"),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            (None, "–"),
        ],
    )
    def test_numbers(self, value, text):
        assert number(value) == text


class TestMetrics:
    def test_the_list_says_everything_at_100_columns(self, run):
        status, out, _ = run("metrics")
        assert status == 0
        assert max(map(len, out.splitlines())) <= 100
        for guide in all_guides():
            assert f"{guide.name} {guide.title}" in flat(out)
            assert guide.baseline or guide.citation in flat(out)
            assert all(f"{term.name} {'↑' if term.direction == 1 else '↓'}" in flat(out) for term in guide.terms)
            assert all(f"{option.name}=" in flat(out) for option in guide.options)

    def test_one_metric_with_what_its_options_mean(self, run):
        _, out, _ = run("metrics", "face")
        assert "could not be checked against the paper's equations" in flat(out)
        assert "temperature=0.05 of the softmax over a class's overlaps." in flat(out)
        assert "include_self=false whether a class's overlap with itself, always 1, is included." in flat(out)

    def test_json(self, run):
        listed = json.loads(run("metrics", "--json")[1])
        assert [one["name"] for one in listed] == list(hf_transfer_score.all_metrics())
        assert json.loads(run("metrics", "face", "--json")[1]) == listed[0]
        check_printed("metrics", listed)
        check_printed("metrics", listed[0])
        assert listed[0]["options"][2] == {
            "name": "temperature",
            "kind": "a number",
            "default": 0.05,
            "meaning": "of the softmax over a class's overlaps.",
        }

    def test_every_option_is_explained(self):
        for guide in all_guides():
            assert guide.about
            assert guide.computes.startswith("Returns ")
            assert all(option.meaning for option in guide.options), guide.name
