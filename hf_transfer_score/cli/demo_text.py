"""The demonstration as text for people."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_transfer_score.cli.tables import MISSING, Group, Page, best_of, groups_text, number, pairs, render
from hf_transfer_score.demonstration.keeping import CHECKPOINTS, DATASET
from hf_transfer_score.demonstration.options import RANKING, Demonstration
from hf_transfer_score.demonstration.zoo import SCHOOLINGS
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.ranking.agreement import Agreement
from hf_transfer_score.selection.words import duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

PROGRAM = "hf-transfer-score"
CAUTION = (
    "This demonstrates the mechanics. It is no evidence for any metric: the networks are micro, the target is tiny, "
    "and the intervals are wide."
)
CEILING = "noise ceiling"
SHORT = {"parameter_count": "params", "feature_width": "width", "random_order": "random"}


def demo_text(found: Demonstration, page: Page) -> str:
    """Return scores beside accuracies, how far they agree, and how to go on."""
    report = found.report
    groups = [_ranks(found), _accuracies(found), *_scores(found), _baselines(found)]
    failed = {name: one.status for name, one in report.models.items() if one.status != "ok"}
    table = groups_text(list(report.models), groups, page, failed=failed)
    return render(_opening(found), page) + table + render(_below(found), page) + _ways_on(found)


def _opening(found: Demonstration) -> list[RenderableType]:
    pictures, classes = len(found.report.sample), len(found.report.sample.label_names or ())
    about = (
        f"{len(found.report.models)} micro networks, pre-trained just now on the digits 0 to 4, ranked for "
        f"{pictures} warped pictures of {classes} other digits."
    )
    return [about, f"{CAUTION}\n"]


def _ranks(found: Demonstration) -> Group:
    """Return the place of each network in the ranking, and how sure it is."""
    report, sure = found.report, found.report.confidence
    cells = {}
    for name, rank in report.ranks.items():
        low, high = sure.ranges[name] if sure else (rank, rank)
        cells[name] = (str(rank), f"{low}-{high}" if high > low else str(low))
    return Group("ranking", ("rank", "range"), cells, best_of(report.ranks))


def _accuracies(found: Demonstration) -> Group:
    means = {name: found.accuracy(name) for name in found.accuracies}
    order = sorted(means.values(), reverse=True)
    cells = {name: (str(order.index(value) + 1), _percent(value)) for name, value in means.items()}
    return Group("fine-tuned", ("rank", "accuracy"), cells, best_of({name: -value for name, value in means.items()}))


def _scores(found: Demonstration) -> list[Group]:
    pools = {name: pool for name, pool in found.report.pools.items() if not _is_baseline(name)}
    return [
        Group(
            name,
            ("score",),
            {model: (number(score),) for model, score in pool.scores.items()},
            best_of(pool.ranks),
        )
        for name, pool in pools.items()
    ]


def _baselines(found: Demonstration) -> Group:
    pools = {name: pool for name, pool in found.report.pools.items() if _is_baseline(name)}
    cells = {
        model: tuple(str(pool.ranks.get(model, MISSING)) for pool in pools.values()) for model in found.report.ranks
    }
    return Group("baseline ranks", tuple(SHORT.get(name, name) for name in pools), cells)


def _is_baseline(metric: str) -> bool:
    known = all_metrics()
    return metric in known and known[metric].baseline


def _below(found: Demonstration) -> list[RenderableType]:
    report, repeats = found.report, min(map(len, found.accuracies.values()))
    times = "once" if repeats == 1 else f"{'twice' if repeats == 2 else f'{repeats} times'}, and the mean is shown"
    words = {name: SCHOOLINGS[name].words for name in dict.fromkeys(found.schoolings.values())}
    rule = (
        f"The ranking is the {'mean ' if len(report.headline) > 1 else ''}rank of {' and '.join(report.headline)}. "
        f"Each network was fine-tuned {times}; accuracy is that on {found.test_pictures} other pictures.\n"
    )
    return [
        rule,
        "How well does each order agree with the accuracies?\n",
        _agreement_table(found),
        f"\n{_reading(found)}\n",
        "What the networks went through before:\n",
        pairs(list(words.items()), indent=4),
        f"\n{_times(found)}\n",
    ]


def _agreement_table(found: Demonstration) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 0, 0, 3), header_style="bold")
    table.add_column("order")
    for header in ("weighted Kendall τ", "top-1 regret", "top-3 regret", "Spearman"):
        table.add_column(header, justify="right")
    for name, one in _in_order(found):
        told = f"{name} (baseline)" if _is_baseline(name) else name
        table.add_row(Text(told, style="dim" if told != name else ""), *_figures(one))
    if found.ceiling is not None:
        table.add_row(Text(CEILING, style="dim"), *_figures(found.ceiling))
    return table


def _in_order(found: Demonstration) -> Sequence[tuple[str, Agreement]]:
    """Return the ranking first, then metrics and baselines by their agreement."""
    rest = [item for item in found.agreements.items() if item[0] != RANKING]
    rest.sort(key=lambda item: (_is_baseline(item[0]), -(item[1].weighted_tau or 0.0)))
    return [(RANKING, found.agreements[RANKING]), *rest]


def _figures(one: Agreement) -> tuple[str, ...]:
    return (
        _with_interval(_plain(one.weighted_tau), one.weighted_tau_interval, "{:.2f}"),
        _with_interval(_percent(one.top_regret), one.top_regret_interval, "{:.1%}"),
        _percent(one.top3_regret),
        _plain(one.spearman),
    )


def _with_interval(value: str, ends: tuple[float, float] | None, form: str) -> str:
    return value if ends is None else f"{value} [{form.format(ends[0])}, {form.format(ends[1])}]"


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"


def _reading(found: Demonstration) -> str:
    one = found.agreements[RANKING]
    if one.warning:
        return one.warning
    text = (
        "τ is 1 where the orders are the same and 0 by chance; regret is the accuracy that is lost by taking the "
        f"first, or the best of the first three. In brackets {one.level:.0%} intervals over the {one.models} networks."
    )
    if found.ceiling is None:
        return text
    return f"{text} The noise ceiling is how well one fine-tuning of each agrees with the other."


def _times(found: Demonstration) -> str:
    parts = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in found.seconds.items())
    return f"It took {duration(sum(found.seconds.values()))}: {parts}."


def _ways_on(found: Demonstration) -> str:
    """Return commands to go on with; each stays on one line, to be copied."""
    folder = shlex.quote(str(found.results))
    ways = {"Open the leaderboard on it": f"leaderboard --results {folder}"}
    if found.kept is None:
        ways["Keep checkpoints and pictures as well"] = "demo --save ./demo"
    else:
        kept = shlex.quote(str(found.kept))
        ways["Rank it by all metrics"] = f"rank {kept}/{DATASET} --models {kept}/{CHECKPOINTS}/* --metrics all"
    return "".join(f"{what}:\n    {PROGRAM} {command}\n" for what, command in ways.items())
