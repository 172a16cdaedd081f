"""Scoring features that a visitor uploads: one file a model, read one after the other, ranked as one pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hf_transfer_score.leaderboard.pages.texts import MISSING, number, plain, plural
from hf_transfer_score.metrics.registry import Metric, all_metrics, get_metric
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.ranking.pools import PoolRanking
from hf_transfer_score.ranking.ranking import Ranking, ranked, scored_model
from hf_transfer_score.uploads.box import score_in_box
from hf_transfer_score.uploads.limits import MOST_FILES
from hf_transfer_score.uploads.scoring import ELSEWHERE, too_slow

LONGEST_NAME = 80
TERM_HEADERS = ("Model", "Metric", "Term", "Value", "Better", "What it is")


@dataclass(frozen=True)
class UploadScores:
    """What a visitor reads of the files.

    Attributes:
        headers: of the ranking.
        rows: of the ranking, the best model first; plain text.
        terms: the raw terms, in columns as in TERM_HEADERS.
        notes: what to know before reading it, or what is wrong.
        ranking: what the tables show; None where nothing could be scored.
    """

    headers: tuple[str, ...]
    rows: list[list[str]]
    terms: list[list[str]]
    notes: tuple[str, ...]
    ranking: Ranking | None = None


def offered_metrics() -> dict[str, str]:
    """Return the titles of the metrics that need nothing but class labels, by name."""
    return {name: one.title for name, one in all_metrics().items() if one.needs == ("labels",)}


def score_uploads(paths: Sequence[str | Path], metrics: Sequence[str]) -> UploadScores:
    """Score files of features over the same samples, each one model, and rank them.

    A file that cannot be scored is named with the reason, and the others are ranked. They are read in a process of
    its own.

    Args:
        paths: files as `score_in_box` takes them; one needs labels, and files without any have those of the first that
            has them.
        metrics: names as in `offered_metrics`.
    """
    if not paths:
        return _nothing("Choose files first, or use the example files.")
    if len(paths) > MOST_FILES:
        return _nothing(f"{len(paths)} files are too many for this page, which takes {MOST_FILES}. {ELSEWHERE}")
    known = offered_metrics()
    chosen = [get_metric(name) for name in metrics if isinstance(name, str) and name in known]
    if not chosen:
        return _nothing("Choose at least one metric.")
    files = [Path(path) for path in paths]
    found = [_shown(one) for one in score_in_box(files, [metric.name for metric in chosen])]
    return _told(dict(zip(_model_names(files), found, strict=True)), chosen)


def _shown(scores: FeatureScores) -> FeatureScores:
    """Return scores with a reason that a page can show."""
    return scores if scores.reason is None else replace(scores, reason=plain(scores.reason, 600))


def _nothing(*notes: str) -> UploadScores:
    return UploadScores((), [], [], notes)


def _model_names(files: Sequence[Path]) -> list[str]:
    """Return a unique name for each file: its own without the ending."""
    found: list[str] = []
    for file in files:
        name = plain(file.stem, LONGEST_NAME) or "model"
        same = sum(other == name or other.startswith(f"{name} #") for other in found)
        found.append(f"{name} #{same + 1}" if same else name)
    return found


def _told(models: Mapping[str, FeatureScores], chosen: Sequence[Metric]) -> UploadScores:
    done = [metric for metric in chosen if any(metric.name in scores.results for scores in models.values())]
    ranking = ranked({name: scored_model(name, scores) for name, scores in models.items()}, done)
    notes = tuple(_notes(ranking, chosen))
    if not ranking.pools:
        return _nothing(*notes)
    headers, rows = _table(ranking)
    return UploadScores(headers, rows, _terms(ranking), notes, ranking)


def _table(ranking: Ranking) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the pool in order: its place, and score and place by each metric."""
    pools = ranking.pools.values()
    headers = ("Rank", "Model", *(f"{pool.metric} score (rank)" for pool in pools))
    rows = [
        [str(ranking.ranks.get(model, MISSING)), model, *(_cell(pool, model) for pool in pools)]
        for model in ranking.models
    ]
    return headers, rows


def _cell(pool: PoolRanking, model: str) -> str:
    return f"{number(pool.scores[model])} ({pool.ranks[model]})" if model in pool.scores else MISSING


def _terms(ranking: Ranking) -> list[list[str]]:
    found = []
    for model, scores in ranking.models.items():
        for name, result in scores.results.items():
            for term in get_metric(name).terms if result.status == "ok" else ():
                better = "higher" if term.direction > 0 else "lower"
                found.append([model, name, term.name, f"{result.terms[term.name]:.6g}", better, term.description])
    return found


def _notes(ranking: Ranking, chosen: Sequence[Metric]) -> Iterator[str]:
    """Yield what to know; what is true of several models or metrics is said once."""
    scored = {name: one.scores for name, one in ranking.models.items() if one.scores and one.why is None}
    yield from (f"{name} cannot be scored. {one.why}" for name, one in ranking.models.items() if one.why)
    if not scored:
        yield "What a file must hold is told below, under “How to make the files”."
        return
    first = next(iter(scored.values()))
    yield f"Scored {plural(len(scored), 'model')} on {plural(first.rows, 'row')} of {first.classes} classes."
    if len(scored) == 1:
        yield "One model alone has nothing to be compared with: its scores are 0. Upload others, or read its raw terms."
    else:
        deciding = ranking.headline
        way = f"by {deciding[0]}" if len(deciding) == 1 else f"by the mean of the ranks by {' and '.join(deciding)}"
        yield f"Ranked {way}; ranks and pool scores hold among these files only."
    missing = [metric.name for metric in chosen if any(metric.name not in one.results for one in scored.values())]
    if missing:
        yield too_slow(missing)
    yield from _remarks(ranking, scored)


def _remarks(ranking: Ranking, scored: Mapping[str, FeatureScores]) -> Iterator[str]:
    found: dict[str, dict[str, None]] = {}
    for model, scores in scored.items():
        for name, result in scores.results.items():
            for text in (*result.warnings, *([result.reason] if result.reason else [])):
                found.setdefault(f"{text}", {})[f"{name} of {model}" if len(scored) > 1 else name] = None
    for pool in ranking.pools.values() if len(scored) > 1 else ():
        for term, reason in pool.flags.items():
            whole = pool.metric if term == pool.metric else f"{pool.metric}.{term}"
            found.setdefault(f"{reason}; it counts as 0 for all", {})[whole] = None
    for text, places in found.items():
        yield f"Careful, {_joined(list(places))}: {text}."


def _joined(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def example_files(folder: Path) -> list[str]:
    """Write features of three made-up models of which one tells three classes apart best, and return the files.

    Args:
        folder: takes them; it has to be there.
    """
    labels = np.repeat([0, 1, 2], 50)
    paths = []
    for place, (name, distance) in enumerate({"strong": 4.0, "middling": 2.5, "weak": 1.2}.items()):
        noise = np.random.default_rng(place).normal(size=(150, 16))
        path = folder / f"example-{name}.npz"
        np.savez_compressed(path, features=(noise + distance * np.eye(16)[labels]).astype(np.float32), labels=labels)
        paths.append(str(path))
    return paths
