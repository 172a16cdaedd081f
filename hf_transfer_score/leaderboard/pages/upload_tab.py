"""The tab that scores features uploaded by a visitor: one file per model, ranked as one pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hf_transfer_score.evaluate_modules.space import ENDINGS, example_file
from hf_transfer_score.leaderboard.pages.page import LeaderboardPage
from hf_transfer_score.leaderboard.pages.texts import MISSING, chance_text, number, plain, points_text
from hf_transfer_score.metrics.registry import Metric, all_metrics, get_metric
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.models import RankedModel, scored_model
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.ranking.ranking import Ranking, ranked
from hf_transfer_score.text import counted, joined, markdown
from hf_transfer_score.uploads.box import score_in_box
from hf_transfer_score.uploads.file_box import FileBox
from hf_transfer_score.uploads.gate import SCORING
from hf_transfer_score.uploads.limits import FILE_BYTES, KEPT_SECONDS, MEGABYTE, MOST_FILES
from hf_transfer_score.uploads.scoring import ELSEWHERE, too_slow

LONGEST_NAME = 80
MOST_NAMED = 4
TERM_HEADERS = ("Model", "Metric", "Term", "Value", "Better", "What it is")
HEADERS = ("Rank", "Model", "Chance to be best", "Points below the best")
CHOSEN = (*sorted(HEADLINE_METRICS), "logme", "hscore")
AT_ONCE = 1
"""Scorings at a time; the others wait in the queue, so that the boards stay fast."""

INTRODUCTION = """## Score your own features

Upload the features of the models you consider: **one file per model, all with the same samples**. They are scored here
and shown only to you; nothing is kept or published.
"""


@dataclass(frozen=True)
class UploadScores:
    """The result for a visitor's files.

    Attributes:
        notes: what to know before reading it, or what is wrong.
        headers: of the ranking.
        rows: of the ranking, the best model first; plain text.
        terms: the raw terms, in the columns of TERM_HEADERS.
        ranking: None if nothing could be scored.
    """

    notes: tuple[str, ...]
    headers: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    terms: list[list[str]] = field(default_factory=list)
    ranking: Ranking | None = None


def offered_metrics() -> dict[str, str]:
    """Return the titles of the metrics that need only class labels, by name."""
    return {name: one.title for name, one in all_metrics().items() if one.needs == ("labels",)}


def score_uploads(paths: Sequence[str | Path], metrics: Sequence[str]) -> UploadScores:
    """Score files of features with the same samples, one per model, and rank them; a separate process reads them.

    A file that cannot be scored is named with the reason, and the others are ranked. Files without labels get those of
    the first file that has them.
    """
    if not paths:
        return UploadScores(("Choose files first, or use the example files.",))
    if len(paths) > MOST_FILES:
        return UploadScores((f"{len(paths)} files are too many for this page, which takes {MOST_FILES}. {ELSEWHERE}",))
    known = offered_metrics()
    chosen = [get_metric(name) for name in metrics if isinstance(name, str) and name in known]
    if not chosen:
        return UploadScores(("Choose at least one metric.",))
    files = [Path(path) for path in paths]
    models: dict[str, RankedModel] = {}
    for file, scores in zip(files, score_in_box(files, [metric.name for metric in chosen]), strict=True):
        base = plain(file.stem, LONGEST_NAME) or "model"
        same = sum(other == base or other.startswith(f"{base} #") for other in models)
        name = f"{base} #{same + 1}" if same else base
        told = scores.reason if scores.reason is None else plain(scores.reason, 600)
        models[name] = scored_model(name, replace(scores, reason=told))
    ranking = ranked(models, chosen)
    if len(ranking.ranks) > 1:
        ranking = ranking.with_forecast(Forecaster(History()))
    notes = tuple(_notes(ranking, chosen))
    return UploadScores(notes, *_tables(ranking), ranking) if ranking.pools else UploadScores(notes)


def _tables(ranking: Ranking) -> tuple[tuple[str, ...], list[list[str]], list[list[str]]]:
    """Return headers and rows of the ranking, with score and rank by each metric, and the raw terms."""
    pools = ranking.pools.values()
    rows, terms = [], []
    for model, scores in ranking.models.items():
        cells = [
            f"{number(pool.scores[model])} ({pool.ranks[model]})" if model in pool.scores else MISSING for pool in pools
        ]
        expected = [MISSING, MISSING]
        if (one := ranking.forecasts.get(model)) is not None:
            expected = [chance_text(one.best_probability), points_text(one.points_below_best)]
        rows.append([str(ranking.ranks.get(model, MISSING)), model, *expected, *cells])
        for name, result in scores.results.items():
            for term in get_metric(name).terms if result.status == "ok" else ():
                better = "higher" if term.direction > 0 else "lower"
                terms.append([model, name, term.name, f"{result.terms[term.name]:.6g}", better, term.description])
    return (*HEADERS, *(f"{pool.metric} score (rank)" for pool in pools)), rows, terms


def _notes(ranking: Ranking, chosen: Sequence[Metric]) -> Iterator[str]:
    """Yield what to know; remarks on several models or metrics are merged."""
    scored = {name: one.scores for name, one in ranking.models.items() if one.scores and one.why is None}
    yield from (f"{name} cannot be scored. {one.why}" for name, one in ranking.models.items() if one.why)
    if not scored:
        yield "See “How to make the files” below for what a file must contain."
        return
    first = next(iter(scored.values()))
    yield f"Scored {counted(len(scored), 'model')} on {counted(first.rows, 'row')} of {first.classes} classes."
    if len(scored) == 1:
        yield "A single model has nothing to be compared with, so its scores are 0. Upload others or read its terms."
    else:
        yield ranking.answer
        yield "Ranks and pool scores apply only among these files."
    missing = [metric.name for metric in chosen if any(metric.name not in one.results for one in scored.values())]
    if missing:
        yield too_slow(missing)
    for text, places in _remarks(ranking, scored).items():
        yield f"Warning for {joined(list(places), MOST_NAMED)}: {text}."


def _remarks(ranking: Ranking, scored: Mapping[str, FeatureScores]) -> dict[str, dict[str, None]]:
    """Return warnings with the metrics and models that they are about."""
    found: dict[str, dict[str, None]] = {}
    for model, scores in scored.items():
        for name, result in scores.results.items():
            for text in (*result.warnings, *([result.reason] if result.reason else [])):
                found.setdefault(text, {})[f"{name} of {model}" if len(scored) > 1 else name] = None
    for pool in ranking.pools.values() if len(scored) > 1 else ():
        for term, reason in pool.flags.items():
            whole = pool.metric if term == pool.metric else f"{pool.metric}.{term}"
            found.setdefault(f"{reason}; it counts as 0 for all", {})[whole] = None
    return found


def example_files() -> list[str]:
    """Return files with the features of three made-up models, which separate the classes more or less well."""
    distances = {"strong": 4.0, "middling": 2.5, "weak": 1.2}
    return [example_file(f"example-{name}", far, seed) for seed, (name, far) in enumerate(distances.items())]


def build_upload_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab; whatever comes from a file is shown as plain text only."""
    gr.Markdown(INTRODUCTION)
    files = gr.File(
        label=f"Feature files, one per model (at most {MOST_FILES})",
        file_count="multiple",
        file_types=list(ENDINGS),
        type="filepath",
        height=230,
        elem_id="upload-files",
    )
    known = offered_metrics()
    metrics = gr.Dropdown(
        [(f"{name}: {title}", name) for name, title in known.items()],
        value=[name for name in CHOSEN if name in known],
        multiselect=True,
        label="Metrics",
        info="All metrics that need only class labels. The order is a forecast of fine-tuning that combines them.",
        elem_id="upload-metrics",
    )
    with gr.Row():
        example = gr.Button("Use example files", elem_id="upload-example")
        button = gr.Button("Score", variant="primary", elem_id="upload-score")
    notes = gr.Textbox(label="Notes", interactive=False, lines=2, max_lines=12, elem_id="upload-notes")
    look: dict[str, Any] = {"datatype": "str", "interactive": False, "elem_classes": "lb-grid"}
    with gr.Column(visible=False) as results:
        ranking = gr.Dataframe(label="Ranking", elem_id="upload-ranking", **look)
        widths = ["150px", "90px", "150px", "110px", "80px", "560px"]
        terms = gr.Dataframe(
            headers=list(TERM_HEADERS),
            label="Raw terms",
            wrap=True,
            column_widths=widths,
            elem_id="upload-terms",
            **look,
        )
    with gr.Accordion("How to make the files", open=False):
        limits = {"megabytes": FILE_BYTES // MEGABYTE, "files": MOST_FILES, "minutes": KEPT_SECONDS // 60}
        gr.Markdown(markdown("feature_file.md.jinja", **limits, name=None))
    uploads = FileBox(page.ledger, files)

    scored = button.click(
        partial(_score, uploads),
        inputs=[files, metrics],
        outputs=[ranking, terms, notes, results],
        api_name="score_features",
        concurrency_limit=AT_ONCE,
        concurrency_id=SCORING,
        preprocess=False,
        show_progress_on=notes,
        scroll_to_output=True,
    )
    uploads.empty_after(scored)
    example.click(example_files, outputs=files, api_visibility="private")


def _score(uploads: FileBox, files: Any, metrics: Any) -> tuple[Any, Any, str, Any]:
    with uploads.used(files) as paths:
        found = score_uploads(paths, metrics if isinstance(metrics, list) else [])
    told, shown = "\n".join(found.notes), gr.update(visible=bool(found.rows))
    if not found.rows:
        return gr.skip(), gr.skip(), told, shown
    return gr.update(value={"headers": list(found.headers), "data": found.rows}), found.terms, told, shown
