"""The Space of a metric: upload the features of one model, read its terms in plain words."""

from __future__ import annotations

import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from hf_transfer_score.errors import FeatureFileError, TransferScoreError
from hf_transfer_score.features.files import LABEL_KEYS, TARGET_KEYS, FeatureFile, read_features
from hf_transfer_score.metrics.registry import Metric, MetricResult, get_metric

if TYPE_CHECKING:
    import pyarrow

SIZE_LIMIT = 200 * 1024**2
"""Bytes that an upload may have."""

UNPACKED_LIMIT = 4 * SIZE_LIMIT
"""Bytes that it may have in memory; packed files of a few kilobytes can hold gigabytes."""

KEPT_SECONDS = 3600
ADVICE = "What a file must hold is told below, under “How to make the file”."
ENDINGS = (".npz", ".safetensors", ".parquet")
COLUMNS = ("Name", "Value", "Better", "What it is")

INTRODUCTION = """# {title}

Scores how well **one pretrained model** suits **your labelled dataset**, from features of a single forward pass,
without fine-tuning. Upload a file for each model you consider, all over the same samples, and compare.

Source: {citation}.
"""

FORMAT = """
One file holds one model's features: `features`, numbers of shape (N, D), one row a sample, and `labels`, one integer a
row. Allowed are `.npz`, `.safetensors` and `.parquet` (a list column `features`, or one numeric column a feature), up
to {megabytes} MB. Pickled files are refused. Uploads are removed after an hour.

```python
import numpy as np

features = ...  # (N, D): the pooled output of the model for each sample
labels = ...    # (N,): the class of each sample
np.savez_compressed("my_model.npz", features=features, labels=labels)
```

For more than a handful of models use the Python package, which ranks a whole pool, with other metrics beside this one:

```python
from hf_transfer_score import rank_features

rank_features({{"model-a": features_a, "model-b": features_b}}, labels, metrics=["{name}"])
```
"""


def build_space(metric_name: str) -> gr.Blocks:
    """Return the app of one metric, ready to launch.

    Whatever comes from the uploaded file, names in error messages too, is shown as plain text, never as HTML.

    Args:
        metric_name: name of the metric in the registry, such as "face".
    """
    metric = get_metric(metric_name)
    formats = FORMAT.format(megabytes=SIZE_LIMIT // 1024**2, name=metric.name)
    with gr.Blocks(title=metric.title, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as app:
        gr.Markdown(INTRODUCTION.format(title=metric.title, citation=metric.citation))
        file = gr.File(label="Features and labels of one model", file_types=list(ENDINGS), type="filepath")
        with gr.Row():
            example = gr.Button("Use an example file")
            button = gr.Button("Score", variant="primary")
        table = gr.Dataframe(headers=list(COLUMNS), datatype="str", interactive=False, wrap=True, label="Result")
        notes = gr.Textbox(label="Notes", interactive=False, lines=3)
        with gr.Accordion("How to make the file", open=False):
            gr.Markdown(formats)
        button.click(partial(score_file, metric), inputs=file, outputs=[table, notes], api_name="score")
        example.click(example_file, outputs=file, api_name="example")
    return app


def run_space(metric_name: str) -> None:
    """Serve the app of one metric until it is stopped."""
    build_space(metric_name).launch(max_file_size=SIZE_LIMIT)


def score_file(metric: Metric, path: str | None) -> tuple[list[list[str]], str]:
    """Return the table of one file's result and notes on it, or no table and what is wrong with the file."""
    if path is None:
        return [], "Choose a file first, or use the example."
    try:
        content = read_upload(Path(path))
        result = metric(content.features, content.labels)
    except TransferScoreError as error:
        reason = str(error).replace(path, Path(path).name)
        return [], f"This file cannot be scored.\n{reason}\n{ADVICE}"
    except MemoryError:
        return [], "This file needs more memory than this Space has. Score a smaller sample, or use the Python package."
    return _table(metric, result), _notes(content, result)


def read_upload(path: Path, *, labels_path: Path | None = None) -> FeatureFile:
    """Return the content of an uploaded file; raise FeatureFileError where it is too large or has no labels.

    Args:
        path: the file.
        labels_path: another upload to take the labels from, which was read before.
    """
    check_size(path)
    content = read_features(path, labels_path=labels_path)
    if content.labels is None:
        raise FeatureFileError("It holds no class labels. Add `labels`, one integer for each row of features.")
    return content


def check_size(path: Path) -> None:
    """Raise FeatureFileError where a file is too large, packed or in memory."""
    packed, unpacked = path.stat().st_size, _unpacked_bytes(path)
    if packed > SIZE_LIMIT or unpacked > UNPACKED_LIMIT:
        raise FeatureFileError(
            f"It has {packed / 1024**2:.0f} MB, {unpacked / 1024**2:.0f} MB unpacked; this Space takes "
            f"{SIZE_LIMIT // 1024**2} MB, {UNPACKED_LIMIT // 1024**2} MB unpacked. A few hundred samples a class are "
            "enough; or use the Python package on your machine."
        )


def _unpacked_bytes(path: Path) -> int:
    """Return how large a file says it is in memory; what cannot be told counts as packed, and reading it will fail."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                return sum(entry.file_size for entry in archive.infolist())
        if path.suffix.lower() == ".parquet":
            return _parquet_bytes(path)
    except (OSError, ValueError, zipfile.BadZipFile):
        pass
    return path.stat().st_size


def _parquet_bytes(path: Path) -> int:
    """Return the bytes of all numbers in a parquet file, at eight a number, and of its text."""
    from pyarrow import parquet

    from hf_transfer_score.features.parquet import column_parts

    with parquet.ParquetFile(path) as file:
        columns = list(column_parts(file))
    stored = sum(int(column.total_uncompressed_size) for column in columns)
    numbers = 8 * sum(int(column.num_values) for column in columns)
    return max(stored, numbers if stored > UNPACKED_LIMIT else numbers + _text_bytes(path))


def _text_bytes(path: Path) -> int:
    """Return the bytes of the labels of a parquet file where they are text: in an array, each takes as the longest."""
    from pyarrow import compute, parquet

    with parquet.ParquetFile(path) as plain:
        fields = {one.name: one.type for one in plain.schema_arrow if one.name in (*LABEL_KEYS, *TARGET_KEYS)}
    names = [name for name, kind in fields.items() if _is_text(kind)]
    if not names:
        return 0
    with parquet.ParquetFile(path, read_dictionary=names) as file:
        chunks = [chunk for column in file.read(names, use_pandas_metadata=False).columns for chunk in column.chunks]
        lengths = [compute.max(compute.binary_length(chunk.dictionary)).as_py() or 0 for chunk in chunks]
        return 4 * max(lengths, default=0) * int(file.metadata.num_rows) * len(names)


def _is_text(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return any(is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_binary))


def example_file() -> str:
    """Return a small file in the expected format: three classes that overlap a little."""
    labels = np.repeat([0, 1, 2], 50)
    features = np.random.default_rng(0).normal(size=(150, 16)) + 3 * np.eye(16)[labels]
    path = Path(tempfile.mkdtemp()) / "example.npz"
    np.savez_compressed(path, features=features.astype(np.float32), labels=labels)
    return str(path)


def _table(metric: Metric, result: MetricResult) -> list[list[str]]:
    terms = [
        [term.name, f"{result.terms[term.name]:.6g}", "higher" if term.direction > 0 else "lower", term.description]
        for term in metric.terms
    ]
    if result.headline is None:
        return terms
    return [[metric.name, f"{result.headline:.6g}", "higher", "the terms in one number, to compare models by"], *terms]


def _notes(content: FeatureFile, result: MetricResult) -> str:
    rows, width = content.features.shape
    classes = len(np.unique(np.asarray(content.labels)))
    scored = f"Scored {rows} samples of {classes} classes, {width} features each."
    warnings = [f"Careful: {warning}." for warning in result.warnings]
    return "\n".join([scored, *(warnings or ["Nothing to warn of."]), "Compare only over the same samples."])
