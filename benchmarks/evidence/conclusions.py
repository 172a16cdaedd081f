"""Sentences that follow from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.evidence.figures import CHANCE, MEAN_RANK, SOURCE, Target
from benchmarks.evidence.regimes import REGIMES
from benchmarks.evidence.tables import (
    GROUPS,
    Targets,
    against_full,
    best_trivial,
    defaults_of,
    mean_agreement,
    with_interval,
)
from hf_transfer_score.ranking.agreement import Agreement, AgreementDifference
from hf_transfer_score.ranking.pools import HEADLINE_METRICS

BAR = "images-50"
MOST = 0.5
"""A setting is proposed if it is surely better than the default in this share of targets and surely worse in none."""


def in_short(every: Targets) -> str:
    """Return the results in a few sentences."""
    return "\n".join(f"- {one}" for one in (*_bar(every), *_everywhere(every)) if one)


def _bar(every: Targets) -> list[str]:
    if BAR not in every:
        return []
    target = every[BAR]
    best, trivial = max(HEADLINE_METRICS, key=lambda name: _tau(target, name)), best_trivial(target)
    ours, theirs, chance = (target.agreement(name) for name in (best, trivial, CHANCE))
    told = (
        f"With {REGIMES[BAR].words}, the better of FaCe and NCTI is {_capital(best)}, with a τ_w of "
        f"{with_interval(ours)}; the best trivial baseline is {trivial}, with {with_interval(theirs)}."
    )
    if _low(ours) > max(_high(theirs), _high(chance)):
        return [f"{told} The 80% intervals do not overlap, so it is **above every trivial baseline**."]
    paired = target.difference(best, trivial)
    verdict = "excludes" if paired.sure else "**does not exclude**"
    told += (
        f" **The 80% intervals overlap**; the difference on the same backbones is {_signed(paired)}, which {verdict} 0."
    )
    return [told]


def _everywhere(every: Targets) -> list[str]:
    found = []
    for name in (MEAN_RANK, *HEADLINE_METRICS):
        above, below = _against_trivial(every, name)
        found.append(
            f"{_capital(name)} is surely above the best trivial baseline in {_counted(above, every)} and surely "
            f"below it in {_counted(below, every)}."
        )
    return [*found, _on_average(every), _source(every)]


def _on_average(every: Targets) -> str:
    """Return the metrics with the best mean agreement, and FaCe and NCTI for comparison."""
    whole = [name for name in defaults_of(every) if all(name in target.scores for target in every.values())]
    told = {name: f"{name} ({mean_agreement(every, name):.2f})".replace("-", "−") for name in whole}
    ours = [told[name] for name in (*HEADLINE_METRICS, MEAN_RANK)]
    best = ", ".join(told[name] for name in whole[:3])
    return f"The best agreement on average over all targets is that of {best}; for comparison, {', '.join(ours)}."


def _source(every: Targets) -> str:
    """Compare the metrics with the accuracy on the source."""
    known = {name: one for name, one in every.items() if SOURCE in one.scores}
    if not known:
        return ""
    above: dict[str, int] = {}
    below: dict[str, int] = {}
    for name in defaults_of(every):
        paired = {words: one.difference(name, SOURCE) for words, one in known.items() if name in one.scores}
        above[name], below[name] = len(_sure(paired, 1)), len(_sure(paired, -1))
    better = [f"{name} ({count} of {len(known)})" for name, count in above.items() if count]
    fewest = min(below.values())
    nearest = [name for name, count in below.items() if count == fewest]
    return (
        "The accuracy of a backbone on its source data is the baseline that is hard to beat. Surely above it: "
        f"{', '.join(better) or 'no metric'}. Closest to it: {', '.join(nearest)}, surely below it in {fewest} of "
        f"{len(known)} image targets."
    )


def _signed(paired: AgreementDifference) -> str:
    return with_interval(paired, sign=True)


def _against_trivial(every: Targets, name: str) -> tuple[list[str], list[str]]:
    paired = {words: target.difference(name, best_trivial(target)) for words, target in every.items()}
    return _sure(paired, 1), _sure(paired, -1)


def _sure(paired: dict[str, AgreementDifference], sign: int) -> list[str]:
    return [words for words, one in paired.items() if one.sure and (one.value or 0) * sign > 0]


def _counted(which: Sequence[str], every: Targets) -> str:
    """Return how many targets these are, with their names, or with those of the exceptions if they are fewer."""
    others = [name for name in every if name not in which]
    if not which or not others:
        return "no target" if not which else f"all {len(every)} targets"
    named = f"all but {_listed(others)}" if len(others) < len(which) else _listed(which)
    return f"{len(which)} of {len(every)} targets ({named})"


def conclusions(every: Targets, trained: Targets) -> str:
    """Return what a user should conclude."""
    parts = [
        *_better_than_headline(every),
        *_without_untrained(trained),
        *_proposals(every),
        *_parts(every),
    ]
    return "\n".join(f"- {one}" for one in parts)


def _better_than_headline(every: Targets) -> Iterable[str]:
    names = [name for name in defaults_of(every) if name not in (MEAN_RANK, *HEADLINE_METRICS)]
    better, worse = [], []
    for name in names:
        paired = {words: one.difference(name, MEAN_RANK) for words, one in every.items() if name in one.scores}
        above, below = len(_sure(paired, 1)), len(_sure(paired, -1))
        if above > below:
            better.append(f"{name} ({above} of {len(paired)}{f', surely worse in {below}' if below else ''})")
        elif below > above:
            worse.append(f"{name} ({below} of {len(paired)}{f', surely better in {above}' if above else ''})")
    if better:
        yield (
            f"**Surely better than the mean rank of NCTI and FaCe** in more targets than surely worse: "
            f"{', '.join(better)}. "
            f"`rank --metrics all --headline {better[0].split(' ')[0]}` orders by the first of them."
        )
    if worse:
        yield f"**Surely worse than it** in more targets than surely better: {', '.join(worse)}."


def _without_untrained(trained: Targets) -> Iterable[str]:
    above, below = _against_trivial(trained, MEAN_RANK)
    yield (
        f"**Among trained backbones only**, the mean rank is surely above the best trivial baseline in "
        f"{_counted(above, trained)} and surely below it in {_counted(below, trained)}."
    )


def _proposals(every: Targets) -> Iterable[str]:
    scored = {name for target in every.values() for name in target.scores}
    ours = [name for name in scored if name.startswith(HEADLINE_METRICS) and name.endswith((")", "]"))]
    others = [name for name in scored if not name.startswith(HEADLINE_METRICS) and name.endswith(")")]
    clearly = "surely better than the same metric's default in at least half of the targets and surely worse in none"
    better, mixed = _clearly_better(every, ours)
    if better:
        yield f"**Proposed for FaCe and NCTI**, {clearly}: {', '.join(better)}. The defaults stay the published ones."
    else:
        yield f"**No better default for FaCe or NCTI**: no setting and no single term is {clearly}."
    if mixed:
        yield f"**Worth trying, with care**, because surely better in at least half of the targets: {', '.join(mixed)}."
    better, _ = _clearly_better(every, others)
    if better:
        yield f"**Settings of the other metrics** that are {clearly}: {', '.join(better)}."


def _clearly_better(every: Targets, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the settings that are surely better than the default in enough targets: worse in none, and in some."""
    better, mixed = {}, {}
    for name in sorted(names):
        usual = name.split(" ")[0]
        paired = {words: one.difference(name, usual) for words, one in every.items() if name in one.scores}
        above, below = len(_sure(paired, 1)), _sure(paired, -1)
        if above >= MOST * len(every) and not below:
            better[f"`{_typed(name)}` ({above} of {len(every)})"] = above
        elif above >= MOST * len(every):
            mixed[f"`{_typed(name)}` ({above} of {len(every)}; surely worse with {_listed(below)})"] = above
    return sorted(better, key=lambda one: -better[one]), sorted(mixed, key=lambda one: -mixed[one])


def _listed(which: Sequence[str]) -> str:
    return " and ".join(REGIMES[name].words for name in which)


def _typed(setting: str) -> str:
    """Return a setting as it is typed.

    Example:
        >>> _typed("gbc (convention=official, pca=64)")
        '--option gbc.convention=official --option gbc.pca=64'
    """
    metric, _, options = setting.partition(" (")
    if not options:
        return setting
    return " ".join(f"--option {metric}.{one}" for one in options.rstrip(")").split(", "))


def _parts(every: Targets) -> Iterable[str]:
    """Say whether training a part is as good as training everything; the table has the intervals."""
    told = []
    for method, name in (("layer", "Layer-FT"), ("scl", "SCL-FT")):
        truths = every[BAR].truths.get(method, {}) if BAR in every else {}
        verdicts = []
        for words, chosen in GROUPS.items():
            models = [model for model in truths if chosen(model)]
            if models:
                found = against_full(every[BAR], method, models)
                verdict = (
                    "surely better" if found.low > 0 else "surely worse" if found.high < 0 else "not surely different"
                )
                whom = "all backbones" if words == "all" else f"those {words}"
                verdicts.append(f"{verdict} on {whom} ({found.gain:+.1f} points)".replace("(-", "(−"))
        if verdicts:
            told.append(f"{name} is {', '.join(verdicts)}")
    if told:
        yield f"**Training only a part**, with {REGIMES[BAR].words}, against full fine-tuning: {'; '.join(told)}."


def _tau(target: Target, name: str) -> float:
    value = target.agreement(name).weighted_tau
    return -1.0 if value is None else value


def _low(found: Agreement) -> float:
    return -1.0 if found.weighted_tau_interval is None else found.weighted_tau_interval[0]


def _high(found: Agreement) -> float:
    return 1.0 if found.weighted_tau_interval is None else found.weighted_tau_interval[1]


def _capital(text: str) -> str:
    return {"face": "FaCe", "ncti": "NCTI", MEAN_RANK: "The mean rank of the two"}.get(text, text)
