"""The pages of a model, of two models and of trust: what records say is there, escaped."""

import json
import re
from dataclasses import asdict, replace

import pytest

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages import model_page as pages
from hf_transfer_score.leaderboard.pages.compare_tab import compare_page, overlaps_figure, row_choices
from hf_transfer_score.leaderboard.pages.model_page import (
    MOST_CHOICES,
    MOST_ROWS,
    card_of,
    model_choices,
    model_command,
    model_page,
    records_json,
    standings,
)
from hf_transfer_score.leaderboard.pages.model_tab import heatmaps_figure
from hf_transfer_score.leaderboard.pages.trust_tab import conclusion, trust, trust_page
from hf_transfer_score.records.record import Record, RecordedFacts, RecordedOverlap
from hf_transfer_score.records.shipped import REFERENCE, shipped_folder
from hf_transfer_score.records.table import RecordTable
from tests.leaderboard import made
from tests.leaderboard.made import DATASET, accuracy, face, failed, model, ncti, run, score
from tests.reading import Page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def catalogue(*records: Record) -> Catalogue:
    return made.catalogue(records)


def pool(*names: str) -> list[Record]:
    found = []
    for place, name in enumerate(names):
        found.append(score(name, "face", face(-0.1 * place, 0.9 - 0.1 * place), spread=0.01))
        found.append(score(name, "ncti", ncti(50.0 - place, 0.9 - 0.1 * place, 3.0 + place), spread=0.01))
    return found


def read(page: str) -> Page:
    found = Page(page)
    assert not found.elements & {"script", "img", "iframe", "object", "embed", "form"}
    assert not [name for name in found.attributes if name.startswith("on")]
    assert all(link.startswith(("https://", "http://127.")) for link in found.links)
    return found


@pytest.fixture(scope="module")
def shipped():
    return Catalogue(RecordTable.read(shipped_folder() / REFERENCE))


def test_a_page_has_place_terms_runs_failures_warnings_and_the_commit():
    times = run("2025-02-03T04:05:06+00:00", device="cuda", forward_seconds=2.5, libraries={"torch": "2.9.9"})
    first = replace(
        pool("owner/a")[0],
        run=times,
        warnings=("few rows a class",),
        facts=RecordedFacts(license="mit", downloads=12345),
    )
    skipped = Record(model("owner/a"), DATASET, None, run(), "failed", "gated", "needs an agreement")
    records = [first, *pool("owner/a", "owner/b")[1:], skipped, accuracy("owner/a", 0.875)]
    found = read(model_page(catalogue(*records), "owner/a"))
    for words in ("Rank 1 of 2", "variance_collapse", "License mit", "Measured accuracy 87.50%", "few rows a class"):
        assert words in found.text
    assert "Measured accuracy 87.50% after full fine-tuning" in found.text
    probed = catalogue(first, accuracy("owner/a", 0.5, method="probe"))
    assert "Measured accuracy 50.00% with a linear probe" in read(model_page(probed, "owner/a")).text
    odd = catalogue(first, accuracy("owner/a", 0.5, method="<b>x"))
    page = model_page(odd, "owner/a")
    assert page.count("50.00% by &lt;b&gt;x") == 2 and "<b>x" not in page
    assert "the whole model gated needs an agreement" in found.text
    assert "2025-02-03 04:05 1 0.1.0 cuda 2.50 s" in found.text
    assert "torch 2.9.9" in found.text
    assert f"/owner/a/tree/{'c' * 40}" in " ".join(found.links)


def test_the_overlap_of_classes_is_drawn():
    overlap = RecordedOverlap(("cat", "dog"), (0.25,))
    first = replace(pool("owner/a")[0], overlap=overlap)
    both = catalogue(first, *pool("owner/a", "owner/b")[1:])
    where = "on owner/pets (plain, train) · 4 classes, 60 examples: Overlap: cat and dog 0.25."
    assert heatmaps_figure(both, "owner/a").caption == f"Class overlap in the features of owner/a {where}"
    other = replace(first, dataset=replace(DATASET, id="owner/birds"), overlap=replace(overlap, values=(0.5,)))
    two = heatmaps_figure(catalogue(first, other), "owner/a")
    assert [layer["encoding"]["opacity"]["scale"]["domain"] for layer in _cells(two.chart)] == [[0, 0.5]] * 2
    assert len({row[0] for row in two.table.rows}) == 2, "each says of which dataset it is"
    assert heatmaps_figure(both, "owner/b") is None
    pair = overlaps_figure([("owner/a", overlap), ("owner/b", RecordedOverlap(("cat", "dog"), (0.5,)))])
    scales = [layer["encoding"]["opacity"]["scale"] for layer in _cells(pair.chart)]
    assert [one["domain"] for one in scales] == [[0, 0.5], [0, 0.5]], "the colours of both mean the same"
    assert [row[0] for row in pair.table.rows] == [f"Class overlap in the features of owner/{name}" for name in "ab"]
    assert overlaps_figure([("owner/a", None), ("owner/b", None)]) is None


def _cells(chart):
    return [part["layer"][0] for part in chart.to_dict()["concat"]]


@pytest.mark.parametrize("name", [HOSTILE, "**bold** [x](javascript:alert(1))", "\u202eevil", "x" * 300])
def test_hostile_records_stay_text(name):
    first, second = pool(name, "owner/b")[:2]
    first = replace(
        first,
        warnings=(HOSTILE,),
        facts=RecordedFacts(license=HOSTILE),
        source=HOSTILE,
        run=run(device=HOSTILE, libraries={HOSTILE: HOSTILE}),
        overlap=RecordedOverlap((HOSTILE, "dog"), (0.25,)),
    )
    found = catalogue(first, second, *pool(name, "owner/b")[2:], replace(failed(name), reason=HOSTILE, kind=HOSTILE))
    board = found.board(found.boards()[0].key)
    page = read(model_page(found, name))
    assert "<script>alert(1)</script>" in page.text
    assert "\u202e" not in page.text
    read(compare_page(board, name, "owner/b"))
    read(compare_page(board, HOSTILE + "?", "owner/b"))
    read("".join(trust_page(board)[::2]))
    read(heatmaps_figure(found, name).words_html())


def test_an_unknown_id_is_told_with_ids_that_look_like_it():
    found = read(model_page(catalogue(*pool("owner/resnet18", "owner/vit")), "owner/resnet1"))
    assert "There are no records of owner/resnet1" in found.text
    assert "owner/resnet18" in found.text
    assert "owner/vit" not in found.text


def test_choices_are_filtered_and_limited():
    many = catalogue(*(score(f"owner/m{number:04}", "logme", float(number)) for number in range(MOST_CHOICES + 10)))
    assert len(model_choices(many)) == MOST_CHOICES
    assert model_choices(many, "M1003") == ["owner/m1003"]
    board = many.board(many.boards()[0].key)
    assert len(row_choices(board)) == MOST_CHOICES
    assert row_choices(board, " m0002 ") == ["owner/m0002"]


def test_records_come_as_json_that_reads_back(shipped):
    found = json.loads(records_json(shipped, "pixels"))
    assert len(found) == len(shipped.model_records("pixels"))
    assert found == json.loads(json.dumps([asdict(one) for one in shipped.model_records("pixels")]))


def test_the_card_has_the_place_on_the_board():
    found = catalogue(*pool("owner/a", "owner/b", "owner/c"))
    (standing,) = standings(found, "owner/b", found.model_records("owner/b")).values()
    assert (standing.models, standing.rank, standing.others) == (3, 2, ("owner/a", "owner/c"))
    assert sorted(standing.places.values()) == [(2, 3), (2, 3)]
    assert "owner/b" in card_of(found, "owner/b")


def test_a_model_that_was_read_in_very_many_ways_is_looked_through_once(monkeypatch):
    ways = [score(model("owner/a", layer=f"layer{number}"), "knn", number / 500) for number in range(MOST_ROWS + 10)]
    found, compared = catalogue(*ways), []
    real = pages._is_of
    monkeypatch.setattr(pages, "_is_of", lambda *given: compared.append(given) or real(*given))
    assert len(standings(found, "owner/a", found.model_records("owner/a"))) == len(compared) == MOST_ROWS
    assert "And 10 rows more." in read(model_page(found, "owner/a")).text


def test_the_command_names_model_commit_and_dataset():
    options = {"max_samples": 50, "rows_per_example": 16, "seed": 0}
    dataset = replace(DATASET, options=options)
    found = catalogue(*(replace(one, dataset=dataset) for one in pool("owner/a")))
    command = model_command(found, "owner/a")
    assert command.startswith("hf-transfer-score rank owner/pets ")
    assert f"owner/a@{'c' * 40}" in command
    assert "--max-samples 50" in command
    assert model_command(catalogue(*pool("owner/a")), "owner/a") == ""


def board_of(found: Catalogue, start: str):
    return found.board(next(one.key for one in found.boards() if one.title.startswith(start)))


def test_two_models_are_compared_term_by_term(shipped):
    board = board_of(shipped, "scikit-learn digits")
    found = read(compare_page(board, "pixels", "network_untrained"))
    assert "face: variance_collapse" in found.text
    assert re.search(r"Measured accuracy (after|with|by|as) [^%]* 96.92% \(mean of 3\) better", found.text)
    first = board.rows[0]
    assert board.row(f" {first.label} ") is first
    assert "Choose two models." in compare_page(board, None, "")
    assert "nobody has no scores on this board." in read(compare_page(board, "pixels", "nobody")).text


def test_a_model_that_failed_is_named_with_the_reason_where_it_is_compared():
    records = [*pool("owner/a", "owner/b"), failed("owner/broken", reason="its weights are cut short")]
    page = read(compare_page(made.board(records), "owner/a", "owner/broken"))
    assert "owner/broken has no scores on this board. It could not be scored: its weights are cut short" in page.text


def test_a_metric_above_all_baselines_is_named():
    names = [f"owner/m{number:02}" for number in range(40)]
    records = []
    for place, name in enumerate(names):
        of = model(name, parameters=1000 + (place * 7919) % 41)
        records += [score(of, "logme", float(place)), score(of, "vci", float((place * 13) % 40))]
        records.append(accuracy(name, 0.5 + place / 100))
    board = made.board(records)
    said = conclusion(board, trust(board))
    assert said.startswith("logme is above every trivial baseline with intervals that do not overlap")
    assert "vci" not in said


def test_without_measured_accuracies_nothing_is_concluded():
    above, figure, below = trust_page(made.board(pool("owner/a", "owner/b")))
    page = read(above + below)
    assert figure is None
    assert "No accuracy after fine-tuning is known" in page.text
    assert "table" not in page.elements
