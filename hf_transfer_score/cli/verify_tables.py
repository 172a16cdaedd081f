"""Measured accuracies beside a ranking, and the agreement of each metric, as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from hf_transfer_score.cli.score_notes import Note
from hf_transfer_score.cli.tables import MISSING, Group, Page, groups_text, notes_table, render
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.ranking.agreement import Agreement
from hf_transfer_score.sampling.sample import describe
from hf_transfer_score.selection.verified import Verified, VerifyReport
from hf_transfer_score.selection.words import duration, short_count


def verify_text(report: VerifyReport, page: Page) -> str:
    """Return a verification as text: what was measured, a row a model, a row a metric, and notes below."""
    about = render([*describe(report.ranking.sample), "", *_captions(report), ""], page)
    groups = [_places(report), *_ranks(report), _accuracies(report)]
    failed = {name: one.status for name, one in report.models.items() if not one.measured}
    table = groups_text(list(report.models), groups, page, failed=failed)
    notes = render(notes_table(list(_notes(report))), page)
    return about + table + "\n" + _agreement_text(report, page) + notes


def _captions(report: VerifyReport) -> list[str]:
    recipe, test = report.recipe, report.test
    where = f"of the split {test.source.split} " if test.source.split else ""
    seeds = max((len(one.measured) for one in report.models.values()), default=0)
    return [f"method {recipe.method}, {seeds} seeds, tested on {len(test)} rows {where}that were not trained on"]


def _places(report: VerifyReport) -> Group:
    ranks = report.ranking.ranks
    return Group("rank", ("",), {name: (str(ranks[name]),) for name in report.models if name in ranks})


def _ranks(report: VerifyReport) -> list[Group]:
    """Return the rank by each metric that is no baseline."""
    known = all_metrics()
    shown = [name for name in report.ranking.pools if not (name in known and known[name].baseline)]
    return [
        Group(name, ("rank",), {model: (str(rank),) for model, rank in report.ranking.pools[name].ranks.items()})
        for name in shown
    ]


def _accuracies(report: VerifyReport) -> Group:
    headers = ("mean", "spread", "rank", "trained", "time")
    measured = {name: one for name, one in report.models.items() if one.measured}
    ordered = sorted((one.mean or 0.0 for one in measured.values()), reverse=True)
    cells = {name: _row(one, ordered) for name, one in measured.items()}
    best = {name for name, one in measured.items() if one.mean == ordered[0]} if ordered else set()
    return Group("accuracy", headers, cells, frozenset(best))


def _row(one: Verified, ordered: list[float]) -> tuple[str, ...]:
    measured = list(one.measured.values())
    trained = measured[0].trainable_parameters
    share = trained / max(1, measured[0].total_parameters)
    return (
        f"{one.mean:.4f}",
        MISSING if one.spread is None else f"{one.spread:.4f}",
        str(ordered.index(one.mean or 0.0) + 1),
        f"{short_count(trained)} ({share:.0%})" if share < 1 else short_count(trained),
        duration(sum(of.seconds for of in measured)),
    )


def _agreement_text(report: VerifyReport, page: Page) -> str:
    if not report.agreement:
        return ""
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("agreement of", no_wrap=True)
    for header in ("τ_w", "interval", "τ", "lost by its first"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, one in report.agreement.items():
        table.add_row(name, *_agreement_row(one))
    if report.ceiling is not None:
        table.add_row("one seed with the others", *_agreement_row(report.ceiling))
    return render([table], page)


def _agreement_row(one: Agreement) -> tuple[str, ...]:
    interval = one.weighted_tau_interval
    return (
        _signed(one.weighted_tau),
        MISSING if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
        _signed(one.tau),
        MISSING if one.top_regret is None else f"{one.top_regret:.4f}",
    )


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.2f}"


def _notes(report: VerifyReport) -> Iterator[Note]:
    warning = next((one.warning for one in report.agreement.values()), Agreement(0).warning)
    if warning is not None:
        yield Note("note", warning)
    for name, one in report.models.items():
        if one.reason is not None:
            yield Note("failed" if one.status == "failed" else one.status, f"{name}: {one.kind or ''}: {one.reason}")
    for text, names in _remarks(report).items():
        yield Note("warning", f"{', '.join(names)}: {text}")
    for note in report.notes:
        yield Note("note", note)


def _remarks(report: VerifyReport) -> dict[str, list[str]]:
    """Return what was noted of measurements, with the models it was noted of."""
    found: dict[str, list[str]] = {}
    for name, one in report.models.items():
        for text in dict.fromkeys(note for of in one.measured.values() for note in of.notes):
            found.setdefault(text, []).append(name)
    return found
