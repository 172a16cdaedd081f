"""A picture of a ranking as one page that needs nothing else: no script, no font, no address outside."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from html import escape

from hf_transfer_score.boxes import Box, Place
from hf_transfer_score.selection.drawing.labels import place_labels
from hf_transfer_score.selection.drawing.points import SIDE_START, Picture, Point, printable, tie_style
from hf_transfer_score.selection.drawing.style import STYLE
from hf_transfer_score.selection.report import ModelOutcome, RankReport
from hf_transfer_score.selection.words import short_count

WIDTH, LEFT, RIGHT, TOP, BELOW = 1000, 56, 24, 16, 56
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
MISSING = "-"
LEGEND = "Models of one colour and shape cannot be told apart from the best of them on this sample."
SHAPES = (
    '<circle r="5.5"/>',
    '<rect x="-5" y="-5" width="10" height="10"/>',
    '<path d="M0-6.5 6.5 0 0 6.5-6.5 0z"/>',
    '<path d="M0-6.5 6.2 5H-6.2z"/>',
)


def page_of(picture: Picture, report: RankReport) -> str:
    """Return the page: the picture, what its colours mean, and all models in a table."""
    title = text_of(picture.title)
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{title}</h1>\n<p>{text_of(picture.subtitle)}</p>",
        *([_drawing(picture), _legend(picture), _ranked(picture, report)] if picture.points else []),
        _without(report),
        _notes(report),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def text_of(text: object) -> str:
    """Return any text so that a page shows it and never reads it as markup."""
    return escape("".join(one if one == "\n" else printable(one) for one in str(text)))


class _Frame:
    """Where things are on the drawing."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.inner_height = min(1200, max(360, 19 * picture.worst))
        self.height = self.inner_height + TOP + BELOW
        self.bottom = TOP + self.inner_height

    def x(self, share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, rank: float) -> float:
        return TOP + self.picture.down(rank) * self.inner_height


def _drawing(picture: Picture) -> str:
    frame = _Frame(picture)
    parts = [
        f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {frame.height:.0f}" role="group" aria-label="rank by size">',
        *_axes(picture, frame),
        *_front(picture, frame),
        *_points(picture, frame),
        "</svg></div>",
    ]
    return "\n".join(parts)


def _axes(picture: Picture, frame: _Frame) -> Iterator[str]:
    if picture.side:
        left, width = frame.x(SIDE_START), frame.x(1) - frame.x(SIDE_START)
        yield f'<rect class="side" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{frame.inner_height:.0f}"/>'
    for rank in picture.rank_ticks:
        y = frame.y(rank)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{rank}</text>'
    for share, text in picture.ticks:
        x = frame.x(share)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{frame.bottom:.0f}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{frame.bottom + 18:.0f}" text-anchor="middle">{text_of(text)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    across = f'<text class="axis" x="{middle}" y="{frame.bottom + 42:.0f}" text-anchor="middle">'
    yield f"{across}{text_of(picture.axis)}</text>"
    turned = TOP + frame.inner_height / 2
    yield f'<text class="axis" transform="translate(16 {turned:.0f}) rotate(-90)" text-anchor="middle">rank</text>'


def _front(picture: Picture, frame: _Frame) -> Iterator[str]:
    if len(picture.front) > 1:
        (x, rank), *rest = picture.front
        steps = "".join(f"H{frame.x(x):.1f}V{frame.y(rank):.1f}" for x, rank in rest)
        yield f'<path class="front" d="M{frame.x(x):.1f} {frame.y(rank):.1f}{steps}"/>'


def _points(picture: Picture, frame: _Frame) -> Iterator[str]:
    """Yield bars, then points with their labels; the worst first, so that the best are on top."""
    points = picture.points
    spots = [(frame.x(point.x), frame.y(point.rank)) for point in points]
    sizes = [text_size(point.label) for point in points]
    spans = [(point.x, point.x, point.low, point.high) for point in points] + picture.front_lines
    bars = [Box(frame.x(x) - 2, frame.y(low) - 2, frame.x(end) + 2, frame.y(high) + 2) for x, end, low, high in spans]
    shown = [size if number < picture.labelled else None for number, size in enumerate(sizes)]
    room = Box(LEFT - 10, TOP - 10, WIDTH - 2, frame.bottom)
    places = place_labels(spots, shown, bars, room)
    for point in points:
        if point.high > point.low:
            x, colour = frame.x(point.x), tie_style(point.tie)[0]
            yield f'<path class="bar c{colour}" d="M{x:.1f} {frame.y(point.low):.1f}V{frame.y(point.high):.1f}"/>'
    for point, spot, size, place in reversed(list(zip(points, spots, sizes, places, strict=True))):
        yield _point(point, spot, size, place)


def _point(point: Point, spot: tuple[float, float], size: tuple[float, float], place: Place | None) -> str:
    (x, y), (colour, shape) = spot, tie_style(point.tie)
    anchor, hidden = "start", ""
    if place is None:
        left, down, hidden = 10.0, 4.0, " hidden"
        if x + 10 + size[0] > WIDTH:
            left, anchor = -10.0, "end"
    else:
        left, down = place.box.left - x, place.box.bottom - 4 - y
        if place.box.right < x:
            left, anchor = place.box.right - x, "end"
        elif place.box.left < x:
            left, anchor = (place.box.left + place.box.right) / 2 - x, "middle"
    line = ""
    if place is not None and place.line is not None:
        line = f'<path class="line" d="M0 0L{place.line[0] - x:.1f} {place.line[1] - y:.1f}"/>'
    told = text_of(point.told)
    return (
        f'<g class="point c{colour}" tabindex="0" role="img" aria-label="{told.replace(chr(10), ", ")}" '
        f'transform="translate({x:.1f} {y:.1f})"><title>{told}</title>'
        f'{line}<g class="mark">{SHAPES[shape]}</g>'
        f'<text class="label{hidden}" x="{left:.1f}" y="{down:.1f}" text-anchor="{anchor}">'
        f"{text_of(point.label)}</text></g>"
    )


def text_size(text: str) -> tuple[float, float]:
    """Return a guess, rather too large, of the space that a label takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return 6.6 * (len(text) - wide) + 13.0 * wide + 4, 15.0


def _legend(picture: Picture) -> str:
    items = [(_key(letter), f"{letter}: {count} models") for letter, count in picture.ties.items()]
    if picture.alone:
        items.append((_key(""), f"not tied: {picture.alone}"))
    if len(picture.front) > 1:
        line = '<svg class="key" viewBox="-14 -8 28 16" aria-hidden="true"><path class="front" d="M-14 0H14"/></svg>'
        items.append((line, "best rank up to this size"))
    entries = "".join(f"<li>{key} {text_of(text)}</li>" for key, text in items)
    said = f"<p>{LEGEND}</p>\n" if picture.ties else ""
    return f'{said}<ul class="legend">{entries}</ul>' if entries else said


def _key(letter: str) -> str:
    colour, shape = tie_style(letter)
    return f'<svg class="key c{colour}" viewBox="-8 -8 16 16" aria-hidden="true">{SHAPES[shape]}</svg>'


def _ranked(picture: Picture, report: RankReport) -> str:
    several = len(report.headline) > 1
    head = ["rank", *(["range", "tie"] if picture.bars else []), *(["mean rank"] if several else [])]
    facts = ["parameters", "width", "examples/s"]
    rows = []
    for point, name in zip(picture.points, report.ranks, strict=True):
        cells = [str(point.rank)]
        if picture.bars:
            cells += [f"{point.low}-{point.high}" if point.high > point.low else str(point.low), point.tie]
        if several:
            cells.append(f"{report.mean_ranks[name]:.1f}")
        scores = [f"{report.pools[metric].scores[name]:.4g}" for metric in report.headline]
        rows.append((point.name, [*cells, *scores, *_facts(report.outcomes[name])]))
    return _table("Ranking", ["model", *head, *report.headline, *facts], rows)


def _facts(outcome: ModelOutcome) -> list[str]:
    speed = MISSING if outcome.throughput is None else f"{outcome.throughput:.3g}"
    width = MISSING if outcome.width is None else str(outcome.width)
    return [short_count(outcome.parameters) if outcome.parameters else MISSING, width, speed]


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], kind: str = "numbers") -> str:
    named = "".join(f'<th scope="col">{text_of(one)}</th>' for one in head)
    lines = "\n".join(
        f'<tr><th scope="row">{text_of(name)}</th>{"".join(f"<td>{text_of(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    return (
        f'<h2>{title}</h2>\n<div class="scroll"><table class="{kind}">\n<thead><tr>{named}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody>\n</table></div>"
    )


def _without(report: RankReport) -> str:
    """Return the models without a rank, with the reason."""
    rows = [
        (name, [outcome.kind or ("not ranked" if outcome.status == "ok" else outcome.status), _reason(outcome, report)])
        for name, outcome in report.outcomes.items()
        if name not in report.ranks
    ]
    return _table("Without a rank", ["model", "status", "reason"], rows, "words") if rows else ""


def _reason(outcome: ModelOutcome, report: RankReport) -> str:
    if outcome.reason or outcome.scores is None:
        return outcome.reason or MISSING
    results = outcome.scores.results
    missing = [results[name].reason for name in report.headline if name in results and results[name].reason]
    return "; ".join(one for one in missing if one) or outcome.scores.reason or MISSING


def _notes(report: RankReport) -> str:
    notes = "".join(f"<li>{text_of(note)}</li>" for note in (*report.sample.notes, *report.notes))
    return f"<h2>Notes</h2>\n<ul>{notes}</ul>" if notes else ""
