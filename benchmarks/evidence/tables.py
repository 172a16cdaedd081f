"""The tables of docs/evidence.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.evidence.figures import BASELINES, CHANCE, LEVEL, MEAN_RANK, REPLICATES, TRIVIAL, Target
from benchmarks.evidence.regimes import REGIMES
from hf_transfer_score.ranking.agreement import Agreement, AgreementDifference
from hf_transfer_score.ranking.pools import HEADLINE_METRICS

ABOVE, BELOW = "▲", "▼"
NOTHING = "–"
METHODS = ("full", "layer", "scl")

Targets = Mapping[str, Target]
"""Targets by the names of `REGIMES`."""

Chosen = Callable[[str], bool]
"""Whether a backbone takes part, by its name."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def heads(targets: Targets) -> list[str]:
    """Return the column titles of the targets."""
    return [REGIMES[name].words for name in targets]


def with_interval(found: Agreement | AgreementDifference | None, *, sign: bool = False) -> str:
    """Return τ_w or a difference with the ends of its interval."""
    value, ends = _value_and_ends(found)
    if value is None:
        return NOTHING
    form = "+.2f" if sign else ".2f"
    return _minus(f"{value:{form}}" + ("" if ends is None else f" [{ends[0]:{form}}, {ends[1]:{form}}]"))


def _value_and_ends(found: Agreement | AgreementDifference | None) -> tuple[float | None, tuple[float, float] | None]:
    if found is None:
        return None, None
    if isinstance(found, AgreementDifference):
        return found.value, found.interval
    return found.weighted_tau, found.weighted_tau_interval


def _minus(text: str) -> str:
    return text.replace("-", "−")


def best_trivial(target: Target) -> str:
    """Return the trivial baseline that agrees best."""
    there = [name for name in TRIVIAL if name in target.scores]
    values = {name: target.agreement(name).weighted_tau for name in there}
    return max(there, key=lambda name: -1.0 if values[name] is None else values[name])


def defaults_of(targets: Targets) -> list[str]:
    """Return the metrics at their defaults, the best on average over the targets first."""
    every = {name for target in targets.values() for name in target.scores}
    names = {name for name in every if not name.endswith((")", "]")) and name not in BASELINES}
    return sorted(names, key=lambda name: -mean_agreement(targets, name))


def mean_agreement(targets: Targets, name: str) -> float:
    """Return the mean τ_w over the targets where a setting has one."""
    found = [target.agreement(name).weighted_tau for target in targets.values() if name in target.scores]
    return float(np.mean([-1.0 if value is None else value for value in found]))


def agreements(targets: Targets) -> str:
    """Return τ_w of every metric with its defaults for every target, marked against the best trivial baseline."""
    rows = []
    for name in [*defaults_of(targets), *BASELINES]:
        cells = [_cell(target, name) for target in targets.values()]
        if any(cell != NOTHING for cell in cells):
            rows.append([f"**{name}**" if name in (*HEADLINE_METRICS, MEAN_RANK) else name, *cells])
    rows.append(["*noise ceiling*", *(with_interval(target.ceiling) for target in targets.values())])
    return table(["metric", *heads(targets)], rows)


def _cell(target: Target, name: str) -> str:
    if name not in target.scores and name != CHANCE:
        return NOTHING
    told = with_interval(target.agreement(name))
    if name in BASELINES:
        return told
    found = target.difference(name, best_trivial(target))
    return f"{told} {mark(found)}".rstrip()


def mark(found: AgreementDifference) -> str:
    """Mark a difference that is more than noise by its direction."""
    if not found.sure or found.value is None:
        return ""
    return ABOVE if found.value > 0 else BELOW


def settings(targets: Targets) -> str:
    """Compare every other setting with the default."""
    every = {name for target in targets.values() for name in target.scores if name.endswith(")")}
    return _against_usual(targets, sorted(every, key=_setting_order), "setting")


def terms(targets: Targets) -> str:
    """Return the agreement of each term of NCTI and FaCe alone, and of the metrics without it."""
    every = {name for target in targets.values() for name in target.scores if name.endswith("]")}
    rows = []
    for metric in HEADLINE_METRICS:
        rows.append([f"**{metric}**", *(with_interval(target.agreement(metric)) for target in targets.values())])
        parts = sorted(one for one in every if one.startswith(f"{metric} "))
        rows += [[name, *(_beside(target, name, metric) for target in targets.values())] for name in parts]
    return table(["terms", *heads(targets)], rows)


def _beside(target: Target, name: str, usual: str) -> str:
    return f"{with_interval(target.agreement(name))} {mark(target.difference(name, usual))}".rstrip()


def _against_usual(targets: Targets, names: Sequence[str], head: str) -> str:
    rows = []
    for name in names:
        usual = name.split(" ")[0]
        found = [target.difference(name, usual) if name in target.scores else None for target in targets.values()]
        cells = [NOTHING if one is None else f"{with_interval(one, sign=True)} {mark(one)}".rstrip() for one in found]
        rows.append([name, *cells])
    return table([head, *heads(targets)], rows)


def _setting_order(name: str) -> tuple[bool, str]:
    metric = name.split(" (")[0]
    return metric not in HEADLINE_METRICS, name


def losses(targets: Targets, names: Sequence[str]) -> str:
    """Return the points of accuracy lost by fine-tuning the first, or the best of the first three."""
    rows = []
    for name in names:
        cells = []
        for target in targets.values():
            found = target.agreement(name) if name in target.scores else None
            cells.append(NOTHING if found is None else f"{_points(found.top_regret)} / {_points(found.top3_regret)}")
        rows.append([name, *cells])
    return table(["metric", *heads(targets)], rows)


def _points(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}"


def accuracies(targets: Targets) -> str:
    """Return the spread of the accuracies, and how much of it is noise."""
    rows = []
    for name, target in targets.items():
        means = sorted(100 * truth.mean for truth in target.truths["full"].values())
        told = [f"{value:.1f}" for value in (means[0], float(np.median(means)), means[-1])]
        tested = max(truth.test_rows for truth in target.truths["full"].values())
        rows.append([REGIMES[name].words, f"{len(means)}", f"{tested:,}", *told, _spread(target)])
    return table(["target", "backbones", "test rows", "worst", "median", "best", "spread over seeds"], rows)


def _spread(target: Target) -> str:
    """Return the standard deviation over seeds, pooled over the models."""
    several = [truth.accuracies for truth in target.truths["full"].values() if len(truth.accuracies) > 1]
    if not several:
        return NOTHING
    return f"{100 * float(np.sqrt(np.mean([np.var(one, ddof=1) for one in several]))):.1f}"


def methods(target: Target, groups: Mapping[str, Chosen]) -> str:
    """Compare the methods that train a part with full fine-tuning."""
    rows = []
    for words, chosen in groups.items():
        for method in METHODS:
            models = [model for model in target.truths.get(method, {}) if chosen(model)]
            if models:
                rows.append([words, method, *_method_cells(target, method, models)])
    head = ["backbones", "method", "accuracy", "against full", "at least as good as full", "share trained", "seconds"]
    return table(head, rows)


def _method_cells(target: Target, method: str, models: Sequence[str]) -> list[str]:
    truths = target.truths[method]
    mean = 100 * float(np.mean([truths[model].mean for model in models]))
    seconds = float(np.sum([truths[model].seconds for model in models]))
    found = against_full(target, method, models)
    against = [NOTHING, NOTHING] if method == "full" else [found.words, f"{found.as_good} of {len(models)}"]
    return [f"{mean:.1f}", *against, f"{100 * found.share:.0f}%", f"{seconds:.0f}"]


class AgainstFull(NamedTuple):
    """How a method that trains a part compares with full fine-tuning.

    Attributes:
        gain: mean difference in points of accuracy.
        low: end of its interval over models.
        high: the other end.
        as_good: how many models are at least as good.
        share: of the parameters that are trained, the mean over models.
    """

    gain: float
    low: float
    high: float
    as_good: int
    share: float

    @property
    def words(self) -> str:
        """Return the difference with its interval."""
        return _minus(f"{self.gain:+.1f} [{self.low:+.1f}, {self.high:+.1f}]")


def against_full(target: Target, method: str, models: Sequence[str]) -> AgainstFull:
    """Compare a method with full fine-tuning, with the interval that the figures use."""
    truths, full = target.truths[method], target.truths["full"]
    gains = np.array([100 * (truths[model].mean - full[model].mean) for model in models])
    drawn = np.random.default_rng(0).choice(gains, size=(REPLICATES, len(gains))).mean(axis=1)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    share = float(np.mean([truths[model].trained / truths[model].total for model in models]))
    return AgainstFull(float(gains.mean()), float(low), float(high), int((gains >= 0).sum()), share)


GROUPS: dict[str, Chosen] = {
    "all": lambda _: True,
    "pre-trained": lambda model: not model.endswith("untrained"),
    "pre-trained on all images": lambda model: model.endswith(("-well", "-smoothed")),
}
"""Image backbones by their pre-training."""
