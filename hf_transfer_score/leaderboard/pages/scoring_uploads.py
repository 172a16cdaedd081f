"""Scoring features that a visitor uploads: one file a model, read one after the other, ranked as one pool."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.api import FeatureRanking, FeatureScores, rank_scores, score_features
from hf_transfer_score.errors import InputError, TransferScoreError
from hf_transfer_score.evaluate_modules.space import check_size, read_upload
from hf_transfer_score.features.files import FeatureFile, has_labels
from hf_transfer_score.leaderboard.pages.texts import MISSING, number, plain, plural
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import Metric, all_metrics, get_metric
from hf_transfer_score.ranking import PoolRanking, headline_ranks

MOST_FILES = 8
MOST_ROWS = 100_000
MOST_NUMBERS = 100_000_000
SMALLER_SIDE = 4096
"""Rows or features, whichever are fewer: the metrics decompose a matrix of that size."""

MOST_CLASSES = 2000
SLOW_ROWS = 5000
SLOW_CLASSES = 100
"""Above these, metrics whose cost grows faster than the others' are left out."""

LONGEST_NAME = 80
ELSEWHERE = "Score a smaller sample, or use the Python package on your machine."
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
    ranking: FeatureRanking | None = None


@dataclass(frozen=True, eq=False)
class _Reference:
    """The file that says which samples all files are of, without its features."""

    path: Path
    name: str
    labels: NDArray[Any]
    label_names: tuple[str, ...] | None


def offered_metrics() -> dict[str, str]:
    """Return the titles of the metrics that need nothing but class labels, by name."""
    return {name: one.title for name, one in all_metrics().items() if one.needs == ("labels",)}


def score_uploads(paths: Sequence[str | Path], metrics: Sequence[str]) -> UploadScores:
    """Score files of features over the same samples, each one model, and rank them.

    A file that cannot be scored is named with the reason, and the others are ranked. Only one file is in memory at a
    time.

    Args:
        paths: files as `read_upload` takes them; one needs labels, and files without any have those of the first that
            has them.
        metrics: names as in `offered_metrics`.
    """
    if not paths:
        return _nothing("Choose files first, or use the example files.")
    if len(paths) > MOST_FILES:
        return _nothing(f"{len(paths)} files are too many for this page, which takes {MOST_FILES}. {ELSEWHERE}")
    chosen = [get_metric(name) for name in metrics if name in offered_metrics()]
    if not chosen:
        return _nothing("Choose at least one metric.")
    files = [Path(path) for path in paths]
    names, found = _model_names(files), {}
    reference: _Reference | None = None
    for place in _labelled_first(files):
        try:
            content = _read(files[place], reference)
            found[place] = _scored(content, names[place], chosen)
        except MemoryError:
            found[place] = _failed(f"Needs more memory than this page has. {ELSEWHERE}")
        except TransferScoreError as error:
            found[place] = _failed(_for_a_page(str(error), files[place], reference))
        else:
            reference = reference or _reference(names[place], content)
    return _told({name: found[place] for place, name in enumerate(names)}, chosen)


def _labelled_first(files: Sequence[Path]) -> list[int]:
    """Return the places of files, the first one with labels at the front: the others may need them."""
    first = next((place for place, file in enumerate(files) if _may_have_labels(file)), 0)
    return [first, *(place for place in range(len(files)) if place != first)]


def _may_have_labels(file: Path) -> bool:
    try:
        return has_labels(file)
    except TransferScoreError:
        return False


def _reference(name: str, content: FeatureFile) -> _Reference:
    return _Reference(content.path, name, np.asarray(content.labels), content.label_names)


def _nothing(*notes: str) -> UploadScores:
    return UploadScores((), [], [], notes)


def _failed(reason: str) -> FeatureScores:
    return FeatureScores(status="failed", reason=plain(reason, 600))


def _model_names(files: Sequence[Path]) -> list[str]:
    """Return a unique name for each file: its own without the ending."""
    found: list[str] = []
    for file in files:
        name = plain(file.stem, LONGEST_NAME) or "model"
        same = sum(other == name or other.startswith(f"{name} #") for other in found)
        found.append(f"{name} #{same + 1}" if same else name)
    return found


def _read(path: Path, reference: _Reference | None) -> FeatureFile:
    if not path.is_file():
        raise InputError("It is not there any more, since uploads are removed after a time. Upload it again.")
    check_size(path)
    if reference is None:
        content = read_upload(path)
    else:
        content = read_upload(path, labels_path=None if has_labels(path) else reference.path)
        _check_same_rows(content, reference)
    _check_shape(content.features, content.labels)
    return content


def _check_same_rows(content: FeatureFile, reference: _Reference) -> None:
    """Refuse features of other samples than the first file's: their terms cannot be compared."""
    rows, expected = len(content.features), len(reference.labels)
    if rows != expected:
        raise InputError(
            f"It has {plural(rows, 'row')} and {reference.name} has {expected:,}. "
            "All files need the same samples in the same order."
        )
    labels = np.asarray(content.labels)
    if content.label_names != reference.label_names or not np.array_equal(labels, reference.labels):
        raise InputError(
            f"Its labels are not those of {reference.name}. All files need the same samples in the same order."
        )


def _check_shape(features: NDArray[np.generic], labels: NDArray[np.generic] | None) -> None:
    """Refuse what would keep this machine busy for long; the metrics themselves check everything else."""
    rows, width = features.shape if features.ndim == 2 else (len(features), 1)
    classes = len(np.unique(np.asarray(labels)))
    if rows > MOST_ROWS or rows * width > MOST_NUMBERS or min(rows, width) > SMALLER_SIDE:
        raise InputError(
            f"It has {rows:,} rows of {plural(width, 'feature')}. This page takes {MOST_ROWS:,} rows, "
            f"{MOST_NUMBERS:,} numbers, and {SMALLER_SIDE:,} rows or {SMALLER_SIDE:,} features, whichever are fewer. "
            f"{ELSEWHERE}"
        )
    if classes > MOST_CLASSES:
        raise InputError(f"It has {classes:,} classes; this page takes {MOST_CLASSES:,}. {ELSEWHERE}")


def _scored(content: FeatureFile, name: str, chosen: Sequence[Metric]) -> FeatureScores:
    fitting = [metric for metric in chosen if not metric.slow or _is_small(content)]
    if not fitting:
        raise InputError(_too_slow([metric.name for metric in chosen]))
    return score_features(content.features, content.labels, metrics=fitting, facts=ModelFacts(name=name))


def _is_small(content: FeatureFile) -> bool:
    return len(content.features) <= SLOW_ROWS and len(np.unique(np.asarray(content.labels))) <= SLOW_CLASSES


def _too_slow(names: Sequence[str]) -> str:
    return (
        f"{', '.join(names)}: takes long on large samples, so this page leaves it out above {SLOW_ROWS:,} rows or "
        f"{SLOW_CLASSES} classes."
    )


def _for_a_page(message: str, path: Path, reference: _Reference | None) -> str:
    """Return a message without the places of files on this machine, and without advice for the command line."""
    for known in [path] if reference is None else [path, reference.path]:
        message = message.replace(str(known), known.name)
    sentences = re.split(r"(?<=\.) ", message)
    return " ".join(one for one in sentences if "(--" not in one) or message


def _told(models: Mapping[str, FeatureScores], chosen: Sequence[Metric]) -> UploadScores:
    done = [metric for metric in chosen if any(metric.name in scores.results for scores in models.values())]
    ranking = rank_scores(models, done)
    notes = tuple(_notes(ranking, chosen))
    if not ranking.pools:
        return _nothing(*notes)
    headers, rows = _table(ranking)
    return UploadScores(headers, rows, _terms(ranking), notes, ranking)


def _table(ranking: FeatureRanking) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the pool in order: its place, and score and place by each metric."""
    headline = headline_ranks(ranking.pools)
    pools = ranking.pools.values()
    others = [model for model in ranking.models if model not in headline.ranks]
    headers = ("Rank", "Model", *(f"{pool.metric} score (rank)" for pool in pools))
    rows = [
        [str(headline.ranks.get(model, MISSING)), model, *(_cell(pool, model) for pool in pools)]
        for model in (*headline.ranks, *others)
    ]
    return headers, rows


def _cell(pool: PoolRanking, model: str) -> str:
    return f"{number(pool.scores[model])} ({pool.ranks[model]})" if model in pool.scores else MISSING


def _terms(ranking: FeatureRanking) -> list[list[str]]:
    found = []
    for model, scores in ranking.models.items():
        for name, result in scores.results.items():
            for term in get_metric(name).terms if result.status == "ok" else ():
                better = "higher" if term.direction > 0 else "lower"
                found.append([model, name, term.name, f"{result.terms[term.name]:.6g}", better, term.description])
    return found


def _notes(ranking: FeatureRanking, chosen: Sequence[Metric]) -> Iterator[str]:
    """Yield what to know; what is true of several models or metrics is said once."""
    scored = {name: scores for name, scores in ranking.models.items() if scores.status == "ok"}
    yield from (f"{name} cannot be scored. {one.reason}" for name, one in ranking.models.items() if one.reason)
    if not scored:
        yield "What a file must hold is told below, under “How to make the files”."
        return
    first = next(iter(scored.values()))
    yield f"Scored {plural(len(scored), 'model')} on {plural(first.rows, 'row')} of {first.classes} classes."
    if len(scored) == 1:
        yield "One model alone has nothing to be compared with: its scores are 0. Upload others, or read its raw terms."
    else:
        deciding = headline_ranks(ranking.pools).metrics
        way = f"by {deciding[0]}" if len(deciding) == 1 else f"by the mean of the ranks by {' and '.join(deciding)}"
        yield f"Ranked {way}; ranks and pool scores hold among these files only."
    missing = [metric.name for metric in chosen if any(metric.name not in one.results for one in scored.values())]
    if missing:
        yield _too_slow(missing)
    yield from _remarks(ranking, scored)


def _remarks(ranking: FeatureRanking, scored: Mapping[str, FeatureScores]) -> Iterator[str]:
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
