"""The Space of a metric: upload the features of one model, and read its terms in plain words."""

import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from hf_transfer_score.metrics.registry import Metric, get_metric
from hf_transfer_score.text import markdown
from hf_transfer_score.uploads.box import score_in_box
from hf_transfer_score.uploads.file_box import FileBox, remove_with_page
from hf_transfer_score.uploads.gate import SCORING, guarded, ledger_of
from hf_transfer_score.uploads.limits import FILE_BYTES, KEPT_SECONDS, MEGABYTE, QUEUE

ADVICE = "See “How to make the file” below for what a file must hold."
ENDINGS = (".npz", ".safetensors", ".parquet")
COLUMNS = ("Name", "Value", "Better", "What it is")


def build_space(metric_name: str) -> gr.Blocks:
    """Return the app of one metric, ready to launch.

    Everything from the uploaded file, including names in error messages, is shown as plain text, never as HTML.
    """
    metric = get_metric(metric_name)
    with gr.Blocks(title=metric.title, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as app:
        gr.Markdown(markdown("metric_space.md.jinja", title=metric.title, citation=metric.citation))
        file = gr.File(label="Features and labels of one model", file_types=list(ENDINGS), type="filepath")
        with gr.Row():
            example = gr.Button("Use an example file")
            button = gr.Button("Score", variant="primary")
        table = gr.Dataframe(headers=list(COLUMNS), datatype="str", interactive=False, wrap=True, label="Result")
        notes = gr.Textbox(label="Notes", interactive=False, lines=3)
        with gr.Accordion("How to make the file", open=False):
            gr.Markdown(markdown("feature_file.md.jinja", megabytes=FILE_BYTES // MEGABYTE, name=metric.name))
        uploads = FileBox(ledger_of(app), file)
        scored = button.click(
            partial(_score, metric, uploads),
            inputs=file,
            outputs=[table, notes],
            api_name="score",
            concurrency_id=SCORING,
            concurrency_limit=1,
            preprocess=False,
        )
        uploads.empty_after(scored)
        example.click(example_file, outputs=file, api_name="example")
        remove_with_page(app, ledger_of(app))
    app.queue(default_concurrency_limit=4, max_size=QUEUE, api_open=False)
    return app


def run_space(metric_name: str) -> None:
    """Serve the app of one metric until it is stopped."""
    app = build_space(metric_name)
    app.launch(**guarded(app))


def _score(metric: Metric, uploads: FileBox, file: Any) -> tuple[list[list[str]], str]:
    with uploads.used(file) as paths:
        return score_file(metric, str(paths[0]) if paths else None)


def score_file(metric: Metric, path: str | None) -> tuple[list[list[str]], str]:
    """Return the table of one file's result with notes, or an empty table and what is wrong with the file."""
    if path is None:
        return [], "Choose a file first, or use the example."
    scores = score_in_box([Path(path)], [metric.name])[0]
    result = scores.results.get(metric.name)
    if result is None or result.status != "ok":
        reason = scores.reason if result is None else result.reason
        return [], f"This file cannot be scored.\n{reason}\n{ADVICE}"
    table = [
        [term.name, f"{result.terms[term.name]:.6g}", "higher" if term.direction > 0 else "lower", term.description]
        for term in metric.terms
    ]
    if result.headline is not None:
        table.insert(0, [metric.name, f"{result.headline:.6g}", "higher", "the terms in one number, to compare models"])
    scored = f"Scored {scores.rows} samples of {scores.classes} classes, {scores.width} features each."
    warnings = [f"Careful: {warning}." for warning in result.warnings] or ["No warnings."]
    return table, "\n".join([scored, *warnings, "Compare models only on the same samples."])


def example_file(name: str = "example", distance: float = 3.0, seed: int = 0) -> str:
    """Return a small file in the expected format: three classes, the farther apart the less they overlap."""
    path = Path(_example_folder().name) / f"{name}.npz"
    if not path.exists():
        labels = np.repeat([0, 1, 2], 50)
        features = np.random.default_rng(seed).normal(size=(150, 16)) + distance * np.eye(16)[labels]
        np.savez_compressed(path, features=features.astype(np.float32), labels=labels)
    return str(path)


@cache
def _example_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the program ends."""
    return tempfile.TemporaryDirectory(prefix="example-features-")
