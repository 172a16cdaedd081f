"""The command `layers`: NC1 of every layer of one checkpoint."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.printing import say, words
from hf_transfer_score.cli.rank_progress import watching
from hf_transfer_score.cli.score_notes import Note
from hf_transfer_score.cli.tables import UNLIMITED, Page, notes_table, number, render
from hf_transfer_score.drawing.files import check_plot_path, save_profile
from hf_transfer_score.selection.layers import METRICS, LayerProfile, ProfileRow, layer_profile
from hf_transfer_score.text import csv_text

if TYPE_CHECKING:
    from rich.table import Table

    from hf_transfer_score.selection.options import RankOptions

BAR = 24
"""Characters of the longest bar."""

LEAST_FACTOR = 2.0
"""What bars span at least: values that are nearly equal look so."""

TOLD_ALREADY = ("variance_collapse",)
"""Terms that the table leaves out: it is minus NC1."""


def run(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run `layers` and return its exit status."""
    from hf_transfer_score.cli.ending import leaving_at_once
    from hf_transfer_score.cli.rank_command import _show_plan

    if arguments.plot is not None:
        check_plot_path(arguments.plot)
    options = _options(arguments)
    watched = watching(_show_plan, terminal=sys.stderr.isatty(), quiet=arguments.quiet)
    with leaving_at_once(), watched as listener:
        profile = layer_profile(arguments.model, arguments.dataset, options=options, listener=listener)
    if arguments.json:
        write_json(profile.as_dict())
    elif arguments.csv:
        write(profile_csv(profile))
    else:
        write(profile_text(profile, page(UNLIMITED)))
    if arguments.plot is not None:
        save_profile(profile, arguments.plot)
        say(f"Drew {arguments.plot}")
    return 0


def _options(arguments: argparse.Namespace) -> RankOptions:
    from hf_transfer_score.backbones.base import BackboneOptions
    from hf_transfer_score.features.extract import ExtractOptions
    from hf_transfer_score.sampling.options import SampleOptions
    from hf_transfer_score.selection.options import RankOptions

    return RankOptions(
        sample=SampleOptions(
            config=arguments.config,
            split=arguments.split,
            revision=arguments.revision,
            task=arguments.task,
            label_column=arguments.label,
            input_columns=tuple(arguments.input),
            max_samples=arguments.max_samples,
            per_class=arguments.per_class,
            seed=arguments.seed,
        ),
        backbone=BackboneOptions(pooling=arguments.pooling, max_length=arguments.max_length),
        extract=ExtractOptions(dtype=arguments.dtype, batch_size=arguments.batch_size, device=arguments.device),
        trust_remote_code=(arguments.model,) if arguments.trust_remote_code else (),
        allow_pickle=(arguments.model,) if arguments.allow_pickle else (),
        refresh=arguments.refresh,
        replicates=0,
    )


def profile_text(profile: LayerProfile, page: Page) -> str:
    """Return a profile as text: what was sampled, a row a layer with a bar, and what the smallest NC1 means."""
    from hf_transfer_score.sampling.sample import describe

    about = [f"model: {profile.model}", *describe(profile.report.sample), ""]
    return render([*about, _table(profile), "", *_meaning(profile), *notes_table(_notes(profile))], page)


def _table(profile: LayerProfile) -> Table:
    from rich.table import Table

    terms = [(metric, term) for metric, term in _terms(profile.rows) if term not in TOLD_ALREADY]
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    for header in ("layer", "width", "nc1"):
        table.add_column(header, justify="right")
    table.add_column("")
    for _, term in terms:
        table.add_column(term, justify="right")
    for row, bar in zip(profile.rows, bars([one.nc1 for one in profile.rows]), strict=True):
        cells = [row.layer, number(row.width), number(row.nc1), bar]
        cells += [number(row.terms.get(metric, {}).get(term)) for metric, term in terms]
        style = "bold green" if row == profile.best else ""
        table.add_row(*(words(cell, style) for cell in cells))
    return table


def bars(values: Sequence[float | None]) -> list[str]:
    """Return a bar for each value, on a logarithmic scale from the smallest, which has one character.

    Example:
        >>> [len(bar) for bar in bars([1.0, 10.0, None, 1000.0])]
        [1, 9, 0, 24]
    """
    logs = [None if value is None else math.log(max(value, 1e-12)) for value in values]
    there = [one for one in logs if one is not None]
    low, high = min(there, default=0.0), max(there, default=0.0)
    span = max(high - low, math.log(LEAST_FACTOR))
    return ["" if one is None else "█" * (1 + round((BAR - 1) * (one - low) / span)) for one in logs]


def _meaning(profile: LayerProfile) -> list[str]:
    best = profile.best
    first = (
        f"Of the layers 1 to {profile.rows[-1].layer}, layer {best.layer} has the smallest NC1, {number(best.nc1)}: "
        "there the rows of a class lie closest together, measured by how far the classes are apart. Bars are on a "
        "logarithmic scale."
    )
    second = (
        f"Layer-FT would train what ends in layer {best.layer} and a new classifier, and leave the rest as it is; "
        f"SCL-FT takes a layer before the last and also adds its pooled output to the last features. "
        "`verify --method layer` chooses by the same measure on the same sample, among single blocks."
    )
    return [first, second]


def _notes(profile: LayerProfile) -> list[Note]:
    notes = [Note("note", text) for text in profile.report.notes]
    rows = profile.report.sample.rows
    wide = [one.layer for one in profile.rows if one.width is not None and one.width >= rows]
    if wide:
        text = f"with {rows:,} rows, layers with as many features look more collapsed than they are: {', '.join(wide)}"
        notes.append(Note("warning", text))
    for row in profile.rows:
        notes += [Note("failed", f"layer {row.layer}: {metric}: {why}") for metric, why in row.reasons.items()]
    if profile.rows[0].layer == "0":
        notes.append(Note("note", "layer 0 is the embeddings, which no block gives"))
    return notes


def _terms(rows: Sequence[ProfileRow]) -> list[tuple[str, str]]:
    """Return the terms that some layer has, in the order of the metrics."""
    found = [(metric, term) for metric in METRICS for row in rows for term in row.terms.get(metric, {})]
    return list(dict.fromkeys(found))


def profile_csv(profile: LayerProfile) -> str:
    """Return a row a layer, with METRIC.TERM columns."""
    terms = _terms(profile.rows)
    header = ["model", "layer", "width", "nc1", *(f"{metric}.{term}" for metric, term in terms), "smallest"]
    rows = (
        [
            profile.model,
            row.layer,
            row.width,
            row.nc1,
            *(row.terms.get(metric, {}).get(term) for metric, term in terms),
            int(row == profile.best),
        ]
        for row in profile.rows
    )
    return csv_text(header, rows)
