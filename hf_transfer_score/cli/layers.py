"""`layers`: NC1 of every layer of one checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.cli.ending import leaving_at_once
from hf_transfer_score.cli.flags import DATASET, FEATURES, HIDDEN, MODELS, OUTPUT, RUNNING, Table, plain
from hf_transfer_score.cli.output import Page, TableOutput, render, say, words
from hf_transfer_score.cli.progress import watching
from hf_transfer_score.cli.tables import Note, notes_table, number, table_of
from hf_transfer_score.drawing.files import check_plot_path
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.runs.layers import METRICS, LayerProfile, ProfileRow, layer_profile
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.sample import SampleOptions, sample_line
from hf_transfer_score.text import Cell, csv_text, shown

if TYPE_CHECKING:
    from rich.table import Table as TextTable

BAR = 24
"""Characters of the longest bar."""

LEAST_FACTOR = 2.0
"""The smallest range of the bars, so that nearly equal values look nearly equal."""

REDUNDANT = "variance_collapse"
"""A term that the table leaves out: it is minus NC1."""


@dataclass(frozen=True)
class LayerBackbone(BackboneOptions):
    """How features are read from each layer of one checkpoint."""

    layer: Annotated[int | str, HIDDEN] = "all"
    half: Annotated[bool, HIDDEN] = False


def layers(
    dataset: str,
    /,
    *,
    model: Annotated[str, Parameter(group=MODELS)],
    sample: Annotated[SampleOptions, Parameter(name="*", group=DATASET)] = SampleOptions(),
    backbone: Annotated[LayerBackbone, Parameter(name="*", group=FEATURES)] = LayerBackbone(),
    extract: Annotated[ExtractOptions, Parameter(name="*", group=FEATURES)] = ExtractOptions(),
    refresh: Annotated[bool, Parameter(group=RUNNING)] = False,
    quiet: Annotated[bool, Parameter(group=RUNNING)] = False,
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    output: Table = TableOutput(),
) -> int:
    """Show how collapsed the classes are in each layer of a checkpoint.

    It prints NC1 of the pooled features of each layer, with the terms of ncti and face, from one forward pass over a
    sample. Nothing is fine-tuned. Layer-wise fine-tuning (Layer-FT) would train the block that ends in the layer with
    the smallest NC1, and a new classifier.

    ```bash
    hf-transfer-score layers uoft-cs/cifar10 --model facebook/dinov2-small --per-class 50
    hf-transfer-score layers data.parquet --model ./checkpoint --plot profile.png
    ```

    Args:
        dataset: a dataset on the Hub, a folder or a file; or example, which ships with the package.
        model: a model on the Hub, or a folder.
        refresh: ask the Hub and read the dataset again.
        quiet: print no plan and no progress.
        plot: also draw a chart: .png, .svg or .html.
    """
    check_plot_path(plot)
    options = RankOptions(
        sample=sample,
        backbone=plain(backbone, BackboneOptions, trust_remote_code=False, allow_pickle=False),
        extract=extract,
        trust_remote_code=(model,) if backbone.trust_remote_code else (),
        allow_pickle=(model,) if backbone.allow_pickle else (),
        refresh=refresh,
        replicates=0,
    )
    with leaving_at_once(), watching(quiet=quiet) as listener:
        profile = layer_profile(dataset, model, options=options, listener=listener)
    output.show_table(profile.as_dict, lambda page: profile_text(profile, page), lambda: profile_csv(profile))
    if plot is not None:
        profile.plot(plot)
        say(f"Drew {plot}")
    return 0


def profile_text(profile: LayerProfile, page: Page) -> str:
    """Return a profile as text: the answer, one row per layer with a bar, and what it means."""
    measure = (
        f"NC1 on {sample_line(profile.report.sample)}: the smaller, the more compact are the classes, relative to the "
        "distances between them. Bars are on a logarithmic scale."
    )
    tuning = (
        f"Layer-FT would train the block that ends in layer {profile.best.layer} and a new classifier. SCL-FT takes a "
        "layer before the last, and also adds its pooled output to the last features. `verify --method layer` chooses "
        "a block by the same measure on the same sample."
    )
    table, notes = _table(profile), notes_table(_notes(profile))
    return render([words(shown(profile.answer)), "", table, "", measure, tuning, *notes], page)


def _table(profile: LayerProfile) -> TextTable:
    terms = [(metric, term) for metric, term in _terms(profile.rows) if term != REDUNDANT]
    table = table_of(">layer", ">width", ">nc1", "", *(f">{term}" for _, term in terms))
    for row, bar in zip(profile.rows, bars([one.nc1 for one in profile.rows]), strict=True):
        cells = [row.layer, number(row.width), number(row.nc1), bar]
        cells += [number(row.terms.get(metric, {}).get(term)) for metric, term in terms]
        style = "bold green" if row == profile.best else ""
        table.add_row(*(words(cell, style) for cell in cells))
    return table


def bars(values: Sequence[float | None]) -> list[str]:
    """Return a bar for each value, on a logarithmic scale; the bar of the smallest has one character.

    Example:
        >>> [len(bar) for bar in bars([1.0, 10.0, None, 1000.0])]
        [1, 9, 0, 24]
    """
    logs = [None if value is None else math.log(max(value, 1e-12)) for value in values]
    there = [one for one in logs if one is not None]
    low, high = min(there, default=0.0), max(there, default=0.0)
    span = max(high - low, math.log(LEAST_FACTOR))
    return ["" if one is None else "█" * (1 + round((BAR - 1) * (one - low) / span)) for one in logs]


def _notes(profile: LayerProfile) -> list[Note]:
    notes = [Note("note", text) for text in profile.report.notes]
    rows = profile.report.sample.rows
    wide = [one.layer for one in profile.rows if one.width is not None and one.width >= rows]
    if wide:
        text = f"with only {rows:,} rows, layers this wide look more collapsed than they are: {', '.join(wide)}"
        notes.append(Note("warning", text))
    for row in profile.rows:
        notes += [Note("failed", f"layer {row.layer}: {metric}: {why}") for metric, why in row.reasons.items()]
    if profile.rows[0].layer == "0":
        notes.append(Note("note", "layer 0 is the embeddings, before the first block, and does not count"))
    return notes


def _terms(rows: Sequence[ProfileRow]) -> list[tuple[str, str]]:
    """Return the terms of any layer, in the order of the metrics."""
    found = [(metric, term) for metric in METRICS for row in rows for term in row.terms.get(metric, {})]
    return list(dict.fromkeys(found))


def profile_csv(profile: LayerProfile) -> str:
    """Return one row per layer, with METRIC.TERM columns."""
    terms = _terms(profile.rows)
    header = ["model", "layer", "width", "nc1", *(f"{metric}.{term}" for metric, term in terms), "smallest"]
    rows: list[list[Cell]] = []
    for row in profile.rows:
        found = [row.terms.get(metric, {}).get(term) for metric, term in terms]
        rows.append([profile.model, row.layer, row.width, row.nc1, *found, int(row == profile.best)])
    return csv_text(header, rows)
