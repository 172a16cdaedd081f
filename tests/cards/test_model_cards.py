"""The rendered cards in `model_cards/` are what would be written now."""

import importlib.util
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

FOLDER = Path(__file__).parents[2] / "model_cards"


@pytest.fixture(scope="module")
def render():
    spec = importlib.util.spec_from_file_location("render_cards", FOLDER / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_what_would_be_written_now(render):
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md") if path.name != "README.md"}
    now = render.rendered()
    assert written.keys() == now.keys()
    stale = [name for name, text in now.items() if written[name] != text]
    assert not stale, f"{', '.join(stale)}: run `python model_cards/render.py`"


def test_the_folder_says_what_each_card_is(render):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"[`{name}`]({name}.md)" in text for name in render.MODELS)


def test_the_hubs_client_reads_each(render):
    for name in render.MODELS:
        card = ModelCard.load(FOLDER / f"{name}.md")
        assert card.data.model_name == name and card.data.eval_results
        accuracies = [one for one in card.data.eval_results if one.metric_type == "accuracy"]
        assert len(accuracies) == 1 and accuracies[0].metric_name.startswith("Measured accuracy (method=")


def test_pages_show_two_tables_and_no_stray_html(render):
    for name in render.MODELS:
        text = ModelCard.load(FOLDER / f"{name}.md").text
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        kinds = [token.type for token in tokens]
        folded = 1 + ("@misc" in text)
        marks = 2 + 2 * folded  # the comments around the section, and both ends of what is folded
        assert (kinds.count("table_open"), kinds.count("html_block")) == (2, marks), name


def test_a_card_begins_with_three_lines_of_result_and_claims_little(render):
    for name in render.MODELS:
        card = ModelCard.load(FOLDER / f"{name}.md")
        (lines,) = re.findall(r"^## Transferability\n\n((?:- .*\n)+)", card.text, re.MULTILINE)
        assert lines.count("\n") == 3 and "Expected place" in lines and "is not an accuracy" in lines
        assert len(card.data.eval_results) <= 10 and not any(one.verified for one in card.data.eval_results)
