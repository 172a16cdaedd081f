"""Scores of feature files: one model, or a pool of models on one sample."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeatureFileError, InputError, LabelsError, OptionError
from hf_transfer_score.features.files import RowTruth, is_labels_file, read_features, read_labels, read_truth
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.metrics.scores import FeatureScores, score_features
from hf_transfer_score.ranking.models import RankedModel, scored_model
from hf_transfer_score.ranking.ranking import Ranking, ranked
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.importing import Imported, read_facts
from hf_transfer_score.text import count_of, joined

CANNOT_SCORE = (InputError, FeatureFileError, MemoryError)


@dataclass(frozen=True)
class FileOptions:
    """How files are read: a file with the labels of all, if any, and other names of features and labels."""

    labels_path: Path | None = None
    features_key: str | None = None
    labels_key: str | None = None


def score_files(
    files: Mapping[str, Path],
    *,
    metrics: Sequence[Metric],
    options: FileOptions | None = None,
    facts: Mapping[str, ModelFacts] | None = None,
    headline: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Ranking:
    """Score the models of feature files, by name, and rank them by every metric; one file is in memory at a time.

    A file that cannot be read or scored has the status "failed" and the reason. `progress` is called with each model's
    name before it is scored.

    Raises:
        LabelsError: two files hold different labels, so they are not from one sample.
    """
    options = options or FileOptions()
    if options.labels_path is not None:
        read_labels(options.labels_path, labels_key=options.labels_key)
    check_same_sample(_truths(files, options))
    models: dict[str, RankedModel] = {}
    for name, path in files.items():
        progress(name)
        about = (facts or {}).get(name) or ModelFacts(name=name)
        models[name] = scored_model(name, _score(path, metrics, options, about), about)
    return ranked(models, metrics, headline)


def _score(path: Path, metrics: Sequence[Metric], options: FileOptions, facts: ModelFacts) -> FeatureScores:
    try:
        file = read_features(
            path, labels_path=options.labels_path, features_key=options.features_key, labels_key=options.labels_key
        )
        return score_features(
            file.features,
            file.labels,
            metrics=metrics,
            targets=file.targets,
            source_probs=file.source_probs,
            facts=facts,
        )
    except CANNOT_SCORE as error:
        return FeatureScores(status="failed", reason=str(error) or "not enough memory")


def _truths(files: Mapping[str, Path], options: FileOptions) -> dict[str, RowTruth]:
    """Return the labels and targets of the files that have some."""
    found: dict[str, RowTruth] = {}
    for name, path in files.items():
        with suppress(FeatureFileError):
            found[name] = read_truth(path, labels_path=options.labels_path, labels_key=options.labels_key)
    return found


def check_same_sample(truths: Mapping[str, RowTruth]) -> None:
    """Raise LabelsError where two models have different labels or targets."""
    names = list(truths)
    for name in names[1:]:
        difference = _difference(truths[names[0]], truths[name])
        if difference:
            raise LabelsError(
                f"{names[0]} and {name} are not on the same sample: {difference}. A pool is ranked on one sample: "
                "extract the features of every model from the same rows in the same order."
            )


def _difference(one: RowTruth, other: RowTruth) -> str | None:
    pairs = (("labels", _named(one), _named(other)), ("targets", one.targets, other.targets))
    return next((found for what, left, right in pairs if (found := _unequal(what, left, right))), None)


def _named(truth: RowTruth) -> NDArray[Any] | None:
    """Return labels as they are in the file, names or numbers."""
    if truth.labels is None or truth.label_names is None:
        return truth.labels
    named: NDArray[Any] = np.asarray(truth.label_names)[truth.labels]
    return named


def _unequal(what: str, left: NDArray[Any] | None, right: NDArray[Any] | None) -> str | None:
    """Return how two arrays differ, in words."""
    if left is None or right is None:
        return None if left is right else f"only one of them has {what}"
    if (left.dtype.kind == "U") != (right.dtype.kind == "U"):
        return f"only one of them has {what} in words"
    if left.shape != right.shape:
        return f"{what} of shapes {left.shape} and {right.shape}"
    different = left != right
    if left.dtype.kind == right.dtype.kind == "f":
        different &= ~(np.isnan(left) & np.isnan(right))
    places = np.argwhere(different)
    if not len(places):
        return None
    first = tuple(places[0])
    rows = len(np.unique(places[:, 0]))
    return f"{what} differ in {rows} of {len(left)} rows, the first in row {first[0]}: {left[first]} and {right[first]}"


def name_models(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by model name: the stem, with as much of the path or suffix as makes it unique.

    Files of labels, judging by their name, are left out unless there are no others.
    """
    paths = list(paths)
    counted = Counter(map(_resolved, paths))
    if twice := [path for path in paths if counted[_resolved(path)] > 1]:
        raise OptionError(f"{twice[0]} is named twice.")
    paths = [path for path in paths if not is_labels_file(path)] or paths
    bare = {path: path.parent / path.stem for path in paths}
    siblings = Counter(bare.values())
    shorts = {path: path if siblings[bare[path]] > 1 else bare[path] for path in paths}
    names = {path: short.name for path, short in shorts.items()}
    for depth in range(2, 1 + max(len(path.parts) for path in paths)):
        counts = Counter(names.values())
        names |= {path: "/".join(shorts[path].parts[-depth:]) for path, name in names.items() if counts[name] > 1}
    return {name: path for path, name in names.items()}


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # circular links: its row will say so
        return path.absolute()


def read_model_facts(
    entries: Sequence[str], models: Iterable[str]
) -> tuple[dict[str, ModelFacts], dict[str, Relations]]:
    """Return facts and relations by model, from entries and from tables of facts."""
    names, tables = list(models), [entry for entry in entries if entry.endswith(".csv")]
    found, relations = parse_facts([entry for entry in entries if entry not in tables], names), {}
    for table in tables:
        read = Imported()
        about = read_facts(Path(table), read)
        if read.problems:
            raise OptionError(f"{read.problems[0].path}: {read.problems[0].reason}")
        if not set(names) & about.keys():
            told = f"{joined(list(about), 3) or 'none'}, and the files are called {joined(names, 3)}"
            raise OptionError(f"{table} says nothing about these models: it names {told}.")
        for name in set(names) & about.keys():
            facts, size = about[name].facts, about[name].parameters
            own = found.setdefault(name, ModelFacts(name=name))
            found[name] = replace(own, parameters=own.parameters or size)
            relations[name] = Relations.of(facts, size)
    return found, relations


def parse_facts(entries: Sequence[str], models: Iterable[str]) -> dict[str, ModelFacts]:
    """Return facts by model from entries such as "resnet50:parameters=25557032,downloads=1000".

    Example:
        >>> parse_facts(["small:parameters=5M"], ["small", "large"])["small"].parameters
        5000000
    """
    known = list(models)
    found: dict[str, ModelFacts] = {}
    for entry in entries:
        model, colon, values = entry.rpartition(":")
        if not colon:
            raise OptionError(f"{entry}: expected MODEL:FACT=NUMBER, such as resnet50:parameters=25557032.")
        if model not in known:
            raise OptionError(f"{entry}: there is no model {model!r} here. Models: {', '.join(known)}.")
        for value in values.split(","):
            found[model] = _with_fact(found.get(model, ModelFacts(name=model)), entry, value)
    return found


def _with_fact(facts: ModelFacts, entry: str, text: str) -> ModelFacts:
    """Return facts with one added, from text such as "downloads=1000"."""
    name, _, number = text.partition("=")
    try:
        value = count_of(number)
    except ValueError:
        value = -1
    if value < 0:
        raise OptionError(f"{entry}: {name} must be a whole number, such as 86500000 or 86.5M, got {number!r}.")
    if name == "parameters":
        return replace(facts, parameters=value)
    if name == "downloads":
        return replace(facts, downloads=value)
    raise OptionError(f"{entry}: unknown fact {name!r}. Known: parameters, downloads.")
