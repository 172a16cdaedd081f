"""A ranking and its plan as text for people."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from hf_transfer_score.cli.printing import words
from hf_transfer_score.cli.score_notes import Note, score_notes
from hf_transfer_score.cli.tables import (
    MISSING,
    Group,
    Page,
    best_of,
    groups_text,
    metric_group,
    notes_table,
    render,
)
from hf_transfer_score.features.cache import Entry
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.ranking import RankedModel, is_baseline
from hf_transfer_score.sampling.sample import describe
from hf_transfer_score.selection.plan import Plan, PlannedModel
from hf_transfer_score.selection.report import RankReport
from hf_transfer_score.selection.words import duration, short_bytes, short_count

TELLING = 0.8
"""From this agreement with a trivial baseline on, the table says that the order adds little to it."""
LEAST_COMPARED = 4


def report_text(report: RankReport, page: Page, *, terms: bool = False) -> str:
    """Return a ranking as text: what was sampled, a row a model, and notes below."""
    shown = [name for name in report.pools if not is_baseline(name)]
    groups = [
        _places(report),
        *(metric_group(report, name, terms=terms) for name in shown),
        _baselines(report),
        _facts(report),
    ]
    without = {name: one.status for name, one in report.models.items() if one.status != "ok"}
    table = groups_text(list(report.models), [group for group in groups if group.headers], page, failed=without)
    about = render([*describe(report.sample), ""], page)
    return about + table + render([*_captions(report), *notes_table(report_notes(report))], page)


def _places(report: RankReport) -> Group:
    """Return rank, its range, the tie group and the mean rank."""
    sure = report.confidence
    headers = ["rank", *(["range", "tie"] if sure else []), *(["mean"] if len(report.headline) > 1 else [])]
    cells, letters = {}, report.tie_letters
    for name, rank in report.ranks.items():
        row = [str(rank)]
        if sure:
            low, high = report.range_of(name)
            row += [f"{low}-{high}" if high > low else str(low), letters[name]]
        if len(report.headline) > 1:
            row.append(f"{report.mean_ranks[name]:.1f}")
        cells[name] = tuple(row)
    return Group("", tuple(headers), cells, best_of(report.ranks))


def _baselines(report: RankReport) -> Group:
    """Return the ranks that trivial baselines would give."""
    names = [name for name in report.pools if is_baseline(name)]
    short = {"parameter_count": "params", "feature_width": "width", "random_order": "random"}
    cells = {
        model: tuple(str(report.pools[name].ranks.get(model, MISSING)) for name in names) for model in report.ranks
    }
    return Group("baseline ranks", tuple(short.get(name, name) for name in names), cells)


def _facts(report: RankReport) -> Group:
    headers = ("params", "width", "per s", "time")
    return Group("model", headers, {name: _fact(one) for name, one in report.models.items() if one.scores})


def _fact(one: RankedModel) -> tuple[str, ...]:
    seconds = one.extraction.get("seconds")
    time = "cached" if one.from_cache else MISSING if seconds is None else duration(seconds)
    return (
        _count(one.parameters),
        MISSING if one.width is None else str(one.width),
        MISSING if one.throughput is None else f"{one.throughput:.3g}",
        time,
    )


def _count(value: int | None) -> str:
    return MISSING if value is None else short_count(value)


def _captions(report: RankReport) -> list[str]:
    if not report.ranks:
        return ["No model could be ranked."]
    rule = f"{'mean ' if len(report.headline) > 1 else ''}rank of {' and '.join(report.headline)}"
    lines = [f"{len(report.ranks)} of {len(report.models)} models ranked, in the order of the {rule}."]
    if report.confidence and len(report.ranks) > 1:
        sure = report.confidence
        lines.append(
            f"Models that cannot be told apart on this sample share a rank, and a letter under tie; ranges hold the "
            f"place in {sure.level:.0%} of {sure.replicates} bootstrap samples."
        )
    return [" ".join(lines)]


def report_notes(report: RankReport) -> list[Note]:
    """Return what to know before trusting a ranking."""
    return [
        *score_notes(replace(report, models={name: _told(one) for name, one in report.models.items()})),
        *(Note("note", note) for note in report.notes),
        *_agreements(report),
    ]


def _told(one: RankedModel) -> RankedModel:
    """Return a model without the baselines that nothing is known for."""
    if one.scores is None:
        return one
    told = {name: result for name, result in one.results.items() if result.terms or not is_baseline(name)}
    return replace(one, scores=replace(one.scores, results=told))


def _agreements(report: RankReport) -> Iterable[Note]:
    """Yield the baselines whose order is much like the ranking."""
    models = list(report.ranks)
    for name in filter(is_baseline, report.pools):
        pool = report.pools[name]
        if len(models) < LEAST_COMPARED or pool.flags or any(model not in pool.scores for model in models):
            continue
        agreement = weighted_kendall(
            [-report.mean_ranks[model] for model in models], [pool.scores[model] for model in models]
        )
        if agreement >= TELLING:
            yield Note("note", f"the order is much like that of {name} (weighted Kendall {agreement:.2f})")


def plan_text(plan: Plan, page: Page) -> str:
    """Return what will be done with each candidate."""
    names = [model.name for model in plan.models]
    cells = {model.name: _planned(model) for model in plan.models}
    headers = ("backbone", "params", "download", "to do")
    table = groups_text(names, [Group("", headers, cells)], page, failed={})
    failures = [Note("failed", f"{one.name}: {one.failure}") for one in plan.models if one.failure]
    notes = notes_table([*failures, *(Note("note", note) for note in plan.notes)])
    return table + render([_plan_caption(plan), *notes], page)


def _planned(model: PlannedModel) -> tuple[str, ...]:
    words = {"cached": "score", "on disk": "run", "download": "download, run", "failed": "nothing"}
    download = short_bytes(model.download_bytes) if model.download_bytes else MISSING
    return (model.kind or MISSING, _count(model.parameters), download, words[model.state])


def _plan_caption(plan: Plan) -> str:
    running = sum(model.state in ("on disk", "download") for model in plan.models)
    cached = sum(model.state == "cached" for model in plan.models)
    free = "" if plan.free_bytes is None else f" ({short_bytes(plan.free_bytes)} are free)"
    models = f"{running} model{'' if running == 1 else 's'}"
    return f"{models} to run, {cached} in the cache, {short_bytes(plan.download_bytes)} to download{free}."


def cache_text(entries: list[Entry], limit: int, page: Page) -> str:
    """Return the features that are kept, the last used first."""
    if not entries:
        return "The cache holds no features.\n"
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    for header in ("model", "dataset", "commit", "rows", "size", "last used"):
        table.add_column(header, justify="right" if header in ("rows", "size") else "left", overflow="fold")
    for entry in entries:
        meta = {key: str(entry.meta.get(key, MISSING)) for key in ("model", "dataset", "commit", "rows")}
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        cells = (meta["model"], meta["dataset"], meta["commit"][:10], meta["rows"], short_bytes(entry.size), used)
        table.add_row(*(words(cell) for cell in cells))
    total = sum(entry.size for entry in entries)
    kept = f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}"
    return render(
        [
            table,
            "",
            f"{kept}, {short_bytes(total)} of {short_bytes(limit)} at most.",
        ],
        page,
    )
