"""Pictures as text: nothing hostile gets through, texts are read, and odd numbers break nothing."""

import itertools
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from hf_transfer_score.leaderboard.drawing import (
    SizePoint,
    size_figure,
)
from hf_transfer_score.leaderboard.drawing.axes import fitting_axis, linear_axis, log_axis
from hf_transfer_score.leaderboard.drawing.heatmap import BANDS
from hf_transfer_score.leaderboard.drawing.style import PLOT_STYLE
from hf_transfer_score.leaderboard.drawing.text import number, short_count, shortened, text_width
from tests.leaderboard.pictures import HOSTILE, SVG, box, figures, marks, parsed, size_points, texts

PLAIN = figures([f"owner/model-{place}" for place in range(10)])
EVIL = figures(HOSTILE)
ALL = [*PLAIN.values(), *EVIL.values(), size_figure(size_points(2000)), size_figure([]), size_figure(size_points(1))]


class Tags(HTMLParser):
    """Collects the elements and attributes that a browser would see."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]


@pytest.mark.parametrize("figure", ALL)
def test_pictures_are_well_formed_and_bring_nothing_along(figure):
    for svg in (figure.svg, figure.compact):
        assert parsed(svg).tag == f"{SVG}svg"
    page = figure.html()
    ElementTree.fromstring(page.encode("utf-8"))
    tags = Tags()
    tags.feed(page)
    allowed = "figure style div svg title desc rect g path circle line polyline text figcaption details summary table"
    assert set(tags.names) <= {*allowed.split(), "caption", "thead", "tbody", "tr", "th", "td", "bdi"}
    assert not [
        name for _, name, _ in tags.attributes if name.startswith("on") or name in ("href", "src", "xlink:href")
    ]
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.parametrize("kind", EVIL)
def test_names_stay_text(kind):
    page = EVIL[kind].html()
    assert "<script" not in page
    assert "<img" not in page
    assert "<!--" not in page
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066\u2067\u200b-\u200f\ud800-\udfff\ufffe]", page)
    assert page.count("\u2068") == page.count("\u2069")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\u0301" * 3 not in page


def test_the_whole_name_is_in_the_tooltip_and_a_short_one_beside_the_point():
    figure = EVIL["size"]
    assert "x" * 300 in marks(figure.svg)
    shown = [node.text for node in texts(figure.svg, "hts-label")]
    assert not any("x" * 60 in text for text in shown)
    assert all(text_width(text, 12.5) <= 190 for text in shown)


def test_names_that_turn_the_direction_are_set_apart():
    assert "\u2068نموذج/عربي\u2069" in marks(EVIL["size"].svg)


@pytest.mark.parametrize("figure", ALL)
def test_texts_stay_in_the_picture_and_are_large_enough_on_a_phone(figure):
    for svg, pixels in ((figure.svg, 520), (figure.compact, 270)):
        _, _, width, height = map(float, parsed(svg).get("viewBox").split())
        for node in texts(svg):
            left, top, right, bottom = box(node)
            assert -0.5 <= left <= right <= width + 0.5
            assert 0 <= top <= bottom <= height
            assert float(node.get("font-size")) * pixels / width >= 9


@pytest.mark.parametrize("figure", ALL)
def test_texts_do_not_cover_each_other(figure):
    for svg in (figure.svg, figure.compact):
        boxes = [(box(node), node.text) for node in texts(svg)]
        for (one, first), (other, second) in itertools.combinations(boxes, 2):
            assert not one.meets(other), (first, second)


@pytest.mark.parametrize("figure", ALL)
def test_pictures_have_names_for_those_who_do_not_see_them(figure):
    for svg in (figure.svg, figure.compact):
        root = parsed(svg)
        children = {node.get("id"): node for node in root if node.get("id")}
        assert root.get("role") == "img"
        assert root.get("width") == "100%"
        assert children[root.get("aria-labelledby")].tag == f"{SVG}title"
        assert children[root.get("aria-labelledby")].text.strip()
        assert len(children[root.get("aria-describedby")].text.strip()) > 20


@pytest.mark.parametrize("kind", PLAIN)
def test_colours_follow_the_theme(kind):
    svg = PLAIN[kind].svg
    for name in ("--body-text-color", "--block-background-fill", "--border-color-primary"):
        assert f"var({name},#" in svg
    assert ".dark .hts-plot{" in svg


def test_pictures_are_made_the_same_again():
    again = figures([f"owner/model-{place}" for place in range(10)])
    assert {kind: figure.html() for kind, figure in again.items()} == {k: f.html() for k, f in PLAIN.items()}
    assert size_figure(size_points(3000)).svg == size_figure(size_points(3000)).svg


def luminance(colour):
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


@pytest.mark.parametrize(("style", "ground"), [(".hts-plot{", "#ffffff"), (".dark .hts-plot{", "#27272a")])
def test_numbers_in_cells_are_read_by_day_and_by_night(style, ground):
    main = re.search(re.escape(style) + r"[^}]*--hts-main:(#\w+)", PLOT_STYLE).group(1)
    below, above = ([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)] for colour in (ground, main))
    dark = style.startswith(".dark")
    for share in (place / 200 for place in range(10, 201)):
        look = next(name for most, name in BANDS if share <= most)
        white = look == ("hts-low" if dark else "hts-top")
        level = luminance([low + (high - low) * share for low, high in zip(below, above, strict=True)])
        contrast = 1.05 / (level + 0.05) if white else (level + 0.05) / 0.05
        assert contrast >= 4.5, (share, contrast)


@pytest.mark.parametrize(
    "values",
    [
        (0.5, 0.5),
        (0.0, 0.0),
        (-3.0, -3.0),
        (-1e300, 1e300),
        (1e-9, 1.0000001e-9),
        (1e15, 1e15 + 1),
        (-5.0, 7.0),
        (0.9231, 0.9232),
        (0, 1e-200),
        (99, 100001),
    ],
)
def test_axes_hold_their_values_and_few_ticks_that_differ(values):
    axis = linear_axis(values)
    places = [axis.place(value) for value in sorted(values)]
    assert all(0 < place < 1 for place in places)
    assert places == sorted(places)
    assert 2 <= len(axis.ticks) <= 13
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    assert all(0 <= axis.place(value) <= 1 and len(text) <= 18 for value, text in axis.ticks)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1e6, 1e8), ["1M", "10M", "100M"]),
        ((2.5e6, 6.32e8), ["2M", "5M", "10M", "20M", "50M", "100M", "200M", "500M"]),
        ((8e7, 9e7), ["60M", "80M", "100M", "120M"]),
        ((1e3, 1e12), ["1K", "100K", "10M", "1B", "100B"]),
    ],
)
def test_counts_have_round_ticks(values, expected):
    assert [text for _, text in log_axis(values, short_count).ticks] == expected


def test_negative_values_far_apart_are_spread_by_their_size():
    axis = fitting_axis([-1000.0, -1.0, -0.1])
    assert axis.place(-1000) < axis.place(-10) < axis.place(-0.1)
    assert axis.place(-10) - axis.place(-100) == pytest.approx(axis.place(-1) - axis.place(-10))
    assert [text for _, text in axis.ticks][:2] == ["−1,000", "−100"]
    assert fitting_axis([-3.0, -1.0]).kind == "linear"


@pytest.mark.parametrize("count", [2, 9])
def test_strange_numbers_make_no_broken_picture(count):
    source = [1e308, -1e308, 5e-324, 0, -7, 10**400, True, math.inf, "7"]
    points = [SizePoint(f"m{place}", source[place], source[-place]) for place in range(count)]
    for svg in (size_figure(points).svg, size_figure([SizePoint("a", 0.5, 10**400), SizePoint("b", 0.5, 1)]).svg):
        assert not re.search(r'="[^"]*\b(nan|inf)\b', svg)
        parsed(svg)


def test_names_and_numbers_are_shortened():
    assert shortened("facebook/" + "x" * 100, 80, 12).count("…") == 1
    assert text_width(shortened("W" * 100, 80, 12), 12) <= 80
    assert [short_count(value) for value in (950, 999_950, 1.24e9, 3e12)] == ["950", "1M", "1.24B", "3T"]
    assert number(-1234567.0) == "−1.235e6"
