"""Text of strangers in a card: shown as it is, and nothing else."""

from dataclasses import replace

import pytest
import yaml
from markdown_it import MarkdownIt

from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.cards.metadata import END, START, split
from hf_transfer_score.cards.model_card import model_card, model_section
from hf_transfer_score.records.record import RecordedFacts, RecordedMetric
from hf_transfer_score.text import code, plain
from tests.cards.made import PETS, RUN, model, scores, truth

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example me@evil.example",
    "<https://evil.example>",
    "a|b\\|c\\\\|d|",
    "`code` ``` \n```\n# Title\n\n---\n***",
    f"{END}\n{START}",
    "line\nbreak\r\n\r\n| a | b |\n|---|---|\n\u2028x\u202e",
    "**bold** _it_ ~~no~~ $x$ &lt;b&gt; &amp;",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "    indented",
    "---",
    "x" * 300,
    "\\",
    "``",
    "雪" * 300,
    "[a]: https://evil.example",
    f"x\n{END}\ny",
    f"x\n{START}\n\n</code>",
    "</details><details>",
]


def everywhere(text: str) -> list:
    """Return records with a text wherever a record can hold one."""
    where = replace(
        PETS, id=text, config=text, split=text, columns={text: text}, options={**PETS.options, "label_column": text}
    )
    block = model(f"owner/{text}", library=text, layer=text, pooling=text, details={"preprocessing": {text: text}})
    run = replace(RUN, version=text, time=text, libraries={text: text}, device=text)
    metric = RecordedMetric(text, parameters={text: text}, directions={text: 1})
    score = replace(
        scores()[0],
        model=block,
        dataset=where,
        metric=metric,
        run=run,
        terms={text: 1.0},
        interval={text: (0.0, 0.5)},
        warnings=(text,),
        source=text,
        facts=RecordedFacts(license=text),
    )
    skipped = replace(
        score, metric=replace(metric, version=2), status="skipped", reason=text, terms={}, interval={}, source=None
    )
    measured = replace(truth(0.5), model=block, dataset=where, source=text, run=run, warnings=(text,))
    measured = replace(measured, metric=replace(metric, kind="truth", parameters={"method": text, "seed": text}))
    return [score, skipped, replace(measured, terms={text: 0.5})]


def rendered(text: str):
    """Return the tokens of a Markdown text as pages show it, those inside lines too."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    for token in parser.parse(text):
        yield token
        yield from token.children or ()


def section(records: list) -> list:
    return list(rendered(model_section(gather(records[0].model.id, records))))


def shape(tokens: list) -> list[str]:
    """Return the kinds of all blocks, in order."""
    inside = ("text", "inline", "softbreak", "code_inline", "link_open", "link_close")
    return [token.type for token in tokens if token.type not in inside]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_changes_the_shape_of_a_card_or_becomes_a_link(text):
    tokens = section(everywhere(text))
    facts = "Details: 500 examples, 1 term, and how to measure them again"
    folded = {f"<details><summary>{what}</summary>" for what in (facts, "The papers behind the metrics, as BibTeX")}
    own = {START, END, *folded, "</details>"}
    html = {token.content.strip() for token in tokens if token.type.startswith("html")}
    assert html <= own
    links = [token.attrs["href"] for token in tokens if token.type == "link_open"]
    assert all(link.startswith("https://huggingface.co/owner/") for link in links), links
    assert shape(tokens) == shape(section(everywhere("word x")))
    # pages that look for addresses do so in plain text, after entities were read; code they leave alone
    plain_text = [token.content for token in tokens if token.type == "text"]
    assert not [one for one in plain_text if "://" in one or "www." in one or "@" in one]


def test_the_test_above_can_fail():
    text = model_section(gather("owner/model", scores())).replace("`face`", "<b>[x](https://evil.example)</b>")
    tokens = list(rendered(text))
    assert any(token.attrs.get("href") == "https://evil.example" for token in tokens)
    assert any(token.type == "html_inline" for token in tokens)


@pytest.mark.parametrize("text", HOSTILE)
def test_metadata_holds_any_text(text):
    records = everywhere(text)
    card = model_card(gather(records[0].model.id, records), "---\nlicense: mit\n---\n\n# x\n")
    head, body = split(card)
    found = yaml.safe_load(head.strip().strip("-"))
    assert found["license"] == "mit" and found["model-index"][0]["results"][0]["dataset"]["config"] == text
    assert body.startswith("\n# x\n\n" + START) and model_card(gather(records[0].model.id, records), card) == card


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_and_code_show_what_they_were_given(text):
    for made in (plain(text, 1000), code(text, 1000)):
        (paragraph,) = [token for token in rendered(f"x {made}") if token.type == "inline"]
        shown = "".join(child.content for child in paragraph.children).removeprefix("x ")
        assert shown.split() == text.replace("\u2028", " ").replace("\u202e", " ").split() or "`" in text or "|" in text
