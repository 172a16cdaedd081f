"""Reads and scores uploaded feature files, within the limited process."""

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeatureFileError, InputError, TransferScoreError, UnreadableError
from hf_transfer_score.features.files import FeatureFile, has_labels, read_features, read_truth
from hf_transfer_score.file_heads import chunks_of, expanded_bytes
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.metrics.scores import FeatureScores, score_features
from hf_transfer_score.text import counted
from hf_transfer_score.uploads.limits import FILE_BYTES, MEGABYTE, MEMORY_BYTES, UNPACKED_BYTES

MOST_ROWS = 100_000
MOST_NUMBERS = 50_000_000
SMALLER_SIDE = 4096  # rows or features, whichever are fewer: the metrics decompose a matrix of this size

MOST_CLASSES = 2000
SLOW_ROWS = 5000
SLOW_CLASSES = 100  # above these, slow metrics are left out

ELSEWHERE = "Score a smaller sample, or use the Python package on your machine."
TOO_MUCH = f"Needs more memory than the {MEMORY_BYTES // MEGABYTE:,} MB that this page allows per file. {ELSEWHERE}"

ARGUMENT = re.compile(r"`(\w+_(key|path)`|targets=)")
"""An argument of the package, which this page does not have."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The file that all others must match: its labels (N,), and the names of classes if they were text."""

    path: Path
    labels: NDArray[Any]
    label_names: tuple[str, ...] | None


def scored_files(
    files: Mapping[int, Path],
    metrics: Sequence[Metric],
    *,
    labels_of: Path | None = None,
    looked_at: Callable[[int], object],
) -> Iterator[tuple[int, FeatureScores, Path | None]]:
    """Yield index and scores of each file, and the reference file; only one file is in memory at a time.

    The reference is the first file with labels that could be scored, or that of an earlier file (`labels_of`): all
    others must be of the same samples. `looked_at` is called with the index of each file before it is opened.
    """
    if labels_of is None:
        reference, files = None, {**_first_labelled(files, looked_at), **files}
    else:
        truth = read_truth(labels_of)
        reference = Reference(labels_of, np.asarray(truth.labels), truth.label_names)
    for place, file in files.items():
        looked_at(place)
        try:
            content = _read(file, reference)
            found = _scored(content, file.stem, metrics)
        except MemoryError:
            found = failed(TOO_MUCH)
        except TransferScoreError as error:
            found = failed(_for_a_page(str(error), file, reference))
        except Exception as error:  # noqa: BLE001 - a file must not affect the others
            found = failed(f"It cannot be scored ({type(error).__name__}). It may be damaged; write it again.")
        else:
            reference = reference or Reference(file, np.asarray(content.labels), content.label_names)
        yield place, found, None if reference is None else reference.path


def _first_labelled(files: Mapping[int, Path], looked_at: Callable[[int], object]) -> dict[int, Path]:
    """Return the first file with labels, by its index, if there is one."""
    for place, file in files.items():
        looked_at(place)
        with suppress(Exception):  # reported when it is scored
            if has_labels(file):
                return {place: file}
    return {}


def failed(reason: str) -> FeatureScores:
    """Return the scores of a file that cannot be scored."""
    return FeatureScores(status="failed", reason=reason)


def _check_size(path: Path) -> None:
    """Raise FeatureFileError if a file is too large, or would be in memory according to its (untrusted) headers."""
    packed = unpacked = path.stat().st_size
    with suppress(OSError, ValueError, UnreadableError, zipfile.BadZipFile):  # then reading it will fail
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
        if path.suffix.lower() == ".parquet":
            unpacked = expanded_bytes(path, chunks_of(path))
    if packed > FILE_BYTES or unpacked > UNPACKED_BYTES:
        raise FeatureFileError(
            f"It has {packed / MEGABYTE:.0f} MB, {unpacked / MEGABYTE:.0f} MB unpacked; this Space takes "
            f"{FILE_BYTES // MEGABYTE} MB, {UNPACKED_BYTES // MEGABYTE} MB unpacked. A few hundred samples per class "
            "are enough; or use the Python package on your machine."
        )


def _read(path: Path, reference: Reference | None) -> FeatureFile:
    if not path.is_file():
        raise InputError(
            "It is no longer there: uploads are removed once they are scored, and after some time. Upload it again."
        )
    _check_size(path)
    labels_path = None if reference is None or has_labels(path) else reference.path
    content = read_features(path, labels_path=labels_path)
    if content.labels is None:
        raise FeatureFileError("It holds no class labels. Add `labels`, one integer per row of features.")
    if reference is not None:  # terms of different samples cannot be compared
        rows, expected = len(content.features), len(reference.labels)
        same = "All files need the same samples in the same order."
        if rows != expected:
            raise InputError(f"It has {counted(rows, 'row')} and {reference.path.stem} has {expected:,}. {same}")
        labels = np.asarray(content.labels)
        if content.label_names != reference.label_names or not np.array_equal(labels, reference.labels):
            raise InputError(f"Its labels are not those of {reference.path.stem}. {same}")
    _check_shape(content.features, content.labels)
    return content


def _check_shape(features: NDArray[Any], labels: NDArray[Any]) -> None:
    """Refuse features that would take too long; the metrics themselves check everything else."""
    rows, width = features.shape if features.ndim == 2 else (len(features), 1)
    classes = len(np.unique(labels))
    if rows > MOST_ROWS or rows * width > MOST_NUMBERS or min(rows, width) > SMALLER_SIDE:
        raise InputError(
            f"It has {rows:,} rows of {counted(width, 'feature')}. This page takes {MOST_ROWS:,} rows, "
            f"{MOST_NUMBERS:,} numbers, and {SMALLER_SIDE:,} rows or {SMALLER_SIDE:,} features, whichever are fewer. "
            f"{ELSEWHERE}"
        )
    if classes > MOST_CLASSES:
        raise InputError(f"It has {classes:,} classes; this page takes {MOST_CLASSES:,}. {ELSEWHERE}")


def _scored(content: FeatureFile, name: str, metrics: Sequence[Metric]) -> FeatureScores:
    classes = len(np.unique(np.asarray(content.labels)))
    is_small = len(content.features) <= SLOW_ROWS and classes <= SLOW_CLASSES
    fitting = [metric for metric in metrics if not metric.slow or is_small]
    if not fitting:
        raise InputError(too_slow([metric.name for metric in metrics]))
    return score_features(content.features, content.labels, metrics=fitting, facts=ModelFacts(name=name))


def too_slow(names: Sequence[str]) -> str:
    """Return why metrics were left out."""
    return (
        f"{', '.join(names)}: slow on large samples, so this page leaves it out above {SLOW_ROWS:,} rows or "
        f"{SLOW_CLASSES} classes."
    )


def _for_a_page(message: str, path: Path, reference: Reference | None) -> str:
    """Return a message without paths on this machine, and without the sentences that advise an argument."""
    for known in [path] if reference is None else [path, reference.path]:
        message = message.replace(str(known), known.name)
    sentences = re.split(r"(?<=\.) ", message)
    return " ".join(one for one in sentences if not ARGUMENT.search(one)) or message
