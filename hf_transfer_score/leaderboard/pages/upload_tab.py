"""The tab that scores features which a visitor uploads."""

from __future__ import annotations

import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import gradio as gr

from hf_transfer_score.evaluate_modules.space import ENDINGS
from hf_transfer_score.leaderboard.pages.page import LeaderboardPage
from hf_transfer_score.leaderboard.pages.scoring_uploads import (
    TERM_HEADERS,
    UploadScores,
    example_files,
    offered_metrics,
    score_uploads,
)
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.uploads.file_box import FileBox
from hf_transfer_score.uploads.limits import FILE_BYTES, KEPT_SECONDS, MEGABYTE, MOST_FILES
from hf_transfer_score.uploads.turns import SCORING

CHOSEN = (*sorted(HEADLINE_METRICS), "logme", "hscore")
AT_ONCE = 1
"""Scorings at a time; the others wait in the queue, and the boards stay quick."""

INTRODUCTION = """## Score your own features

Upload the features of the models you consider: **one file a model, all over the same samples**. They are scored here
and shown to you alone; nothing is kept or published.
"""

FORMAT = """
One file holds one model's features: `features`, numbers of shape (N, D), one row a sample, and `labels`, one integer or
name a row. A file without labels gets those of the first file that has them. Allowed are `.npz`, `.safetensors` and
`.parquet` (a list column `features`, or one numeric column a feature), up to {megabytes} MB each and {files} files at a
time. Pickled files are refused. Uploads are removed as soon as they are scored, when the page is closed, and after
{minutes} minutes.

```python
import numpy as np

features = ...  # (N, D): the pooled output of the model for each sample
labels = ...    # (N,): the class of each sample
np.savez_compressed("my-model.npz", features=features, labels=labels)
```

For larger samples use the Python package, which knows further metrics too:

```python
from hf_transfer_score import rank_features

rank_features({{"model-a": features_a, "model-b": features_b}}, labels)
```
"""


def build_upload_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab; what comes from a file is shown as plain text only."""
    gr.Markdown(INTRODUCTION)
    files = gr.File(
        label=f"Feature files, one a model (at most {MOST_FILES})",
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
        info=f"All that need class labels only. {' and '.join(sorted(HEADLINE_METRICS))} together decide the order; "
        "without both, the first does.",
        elem_id="upload-metrics",
    )
    with gr.Row():
        example = gr.Button("Use example files", elem_id="upload-example")
        button = gr.Button("Score", variant="primary", elem_id="upload-score")
    notes = gr.Textbox(label="Notes", interactive=False, lines=2, max_lines=12, elem_id="upload-notes")
    with gr.Column(visible=False) as results:
        ranking = gr.Dataframe(
            datatype="str", interactive=False, label="Ranking", elem_id="upload-ranking", elem_classes="lb-grid"
        )
        terms = gr.Dataframe(
            headers=list(TERM_HEADERS),
            datatype="str",
            interactive=False,
            label="Raw terms",
            wrap=True,
            column_widths=["150px", "90px", "150px", "110px", "80px", "560px"],
            elem_id="upload-terms",
            elem_classes="lb-grid",
        )
    with gr.Accordion("How to make the files", open=False):
        gr.Markdown(FORMAT.format(megabytes=FILE_BYTES // MEGABYTE, files=MOST_FILES, minutes=KEPT_SECONDS // 60))
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
    example.click(_example, outputs=files, api_visibility="private")


def _score(uploads: FileBox, files: Any, metrics: Any) -> tuple[Any, Any, str, Any]:
    with uploads.used(files) as paths:
        found: UploadScores = score_uploads(paths, metrics if isinstance(metrics, list) else [])
    ranking = gr.update(value={"headers": list(found.headers), "data": found.rows}) if found.rows else gr.skip()
    terms = found.terms if found.rows else gr.skip()
    return ranking, terms, "\n".join(found.notes), gr.update(visible=bool(found.rows))


def _example() -> list[str]:
    return example_files(Path(_example_folder().name))


@cache
def _example_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the program ends."""
    return tempfile.TemporaryDirectory(prefix="example-features-")
