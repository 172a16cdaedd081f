"""Read features with their labels from a file: .npz, .npy, .safetensors or .parquet. Nothing is ever unpickled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeatureFileError
from hf_transfer_score.features.parquet import (
    FEATURE_KEYS,
    LABEL_KEYS,
    SOURCE_KEYS,
    TARGET_KEYS,
    ParquetArrays,
    open_parquet,
    pick_features_key,
    quoted,
)
from hf_transfer_score.file_heads import Tensor, read_header
from hf_transfer_score.untrusted import too_large

PICKLED_ENDINGS = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib")
"""Files that are opened by unpickling, which can run any code; they are refused and never opened."""

LONGEST_REASON = 300  # characters of a library's message about a broken file


@dataclass(frozen=True, eq=False)
class RowTruth:
    """The labels or targets in a file.

    Attributes:
        labels: one value per row (N,); names are encoded as integers in the order of `label_names`. None where the file
            only holds regression targets.
        targets: regression targets (N,) or (N, T), or None.
        label_names: the sorted names, where the labels were text.
    """

    labels: NDArray[Any] | None = None
    targets: NDArray[Any] | None = None
    label_names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureFile(RowTruth):
    """The contents of one file: the features of one model on one sample.

    Attributes:
        features: (N, D) in the file's own precision, memory-mapped for .npy; bfloat16 and 8-bit floats come as float32.
        source_probs: probabilities of the checkpoint's own classes (N, S), or None.
    """

    path: Path
    features: NDArray[Any]
    source_probs: NDArray[Any] | None = None


@dataclass(frozen=True)
class NamedArrays:
    """An open file of named arrays."""

    path: Path
    keys: Sequence[str]
    read: Callable[[str], NDArray[Any]]

    def read_features(self, key: str | None, _: str | None) -> NDArray[Any]:
        """Return the features (N, D), under the usual names where `key` is None."""
        return self.read(pick_features_key(self.path, self.keys, key))


Arrays: TypeAlias = NamedArrays | ParquetArrays


def read_features(
    path: str | Path,
    *,
    labels_path: str | Path | None = None,
    features_key: str | None = None,
    labels_key: str | None = None,
) -> FeatureFile:
    """Read the features of one model, with labels or regression targets; raises FeatureFileError.

    Args:
        path: an .npz or .safetensors file with `features` (or `X`) and `labels` (or `label`, `y`); an .npy file with
            its labels beside it in NAME.labels.npy or labels.npy; a .parquet file with a list column `features`, or
            one numeric column per feature, and a label column. `targets` and `source_probs` are read where present.
        labels_path: a file to take the labels from instead, in any of these formats.
        features_key: name of the features in the file; for .parquet also a pattern such as "f_*" of column names.
        labels_key: name of the labels, in the file or in `labels_path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.npz")
        ...     np.savez(path, features=np.eye(4), labels=[0, 0, 1, 1])
        ...     read_features(path).features.shape
        (4, 4)
    """
    path = Path(path)
    truth = read_truth(path, labels_path=labels_path, labels_key=labels_key)
    with _open(path) as arrays:
        features = arrays.read_features(None if _is_single(path) else features_key, labels_key)
        source_probs = _read_first(arrays, SOURCE_KEYS)
    return FeatureFile(path=path, features=features, source_probs=source_probs, **vars(truth))


def read_truth(path: str | Path, *, labels_path: str | Path | None = None, labels_key: str | None = None) -> RowTruth:
    """Return the labels or targets that `read_features` would return, without reading the features."""
    path = Path(path)
    labels = None if labels_path is None else read_labels(labels_path, labels_key=labels_key)
    with _open(path) as arrays:
        if labels is None and not _is_single(path):
            labels = _read_first(arrays, _labels_keys(path, arrays, labels_key))
        targets = _read_first(arrays, TARGET_KEYS)
    if labels is None and _is_single(path):
        places = [path.with_name(f"{path.stem}.labels.npy"), path.with_name("labels.npy")]
        beside = next((place for place in places if place.is_file()), None)
        if beside is None:
            raise FeatureFileError(
                f"{path}: no labels. An .npy file only holds features; put the labels beside it in {places[0].name} "
                "or labels.npy, or name their file with `labels_path`."
            )
        labels = read_labels(beside)
    if labels is None and targets is None:
        raise FeatureFileError(
            f"{path}: no labels. Expected {quoted(LABEL_KEYS)} (or {quoted(TARGET_KEYS)} for regression), "
            f"found {quoted(arrays.keys)}. Name them with `labels_key`, or name a file of labels with `labels_path`."
        )
    if labels is None:
        return RowTruth(targets=targets)
    if labels.dtype.kind != "U":
        return RowTruth(labels, targets)
    names, codes = np.unique(labels, return_inverse=True)
    return RowTruth(codes.reshape(labels.shape), targets, tuple(str(name) for name in names))


def read_labels(path: str | Path, *, labels_key: str | None = None) -> NDArray[Any]:
    """Return the labels (N,) in a file of any format; an .npy file is the labels themselves."""
    path = Path(path)
    with _open(path) as arrays:
        if _is_single(path):
            return np.array(arrays.read_features(None, None))
        found = _read_first(arrays, _labels_keys(path, arrays, labels_key))
        if found is None:
            raise FeatureFileError(
                f"{path}: no labels. Expected {quoted(LABEL_KEYS)}, found {quoted(arrays.keys)}. "
                "Name them with `labels_key`."
            )
        return found


def has_labels(path: str | Path) -> bool:
    """Whether a file holds class labels of its own, under a usual name."""
    with _open(Path(path)) as arrays:
        return not _is_single(Path(path)) and any(key in arrays.keys for key in LABEL_KEYS)


def _is_single(path: Path) -> bool:
    """Whether a file is one array without a name."""
    return path.suffix.lower() == ".npy"


def is_labels_file(path: str | Path) -> bool:
    """Whether a file holds the labels of .npy features, by its name."""
    name = Path(path).name
    return name == "labels.npy" or name.endswith(".labels.npy")


def _labels_keys(path: Path, arrays: Arrays, key: str | None) -> tuple[str, ...]:
    """Return the names that labels may have; a name the caller chose must be there."""
    if key is None:
        return LABEL_KEYS
    if key not in arrays.keys:
        raise FeatureFileError(f"{path}: no {key!r} to read labels from; found {quoted(arrays.keys)}.")
    return (key,)


def _read_first(arrays: Arrays, keys: Sequence[str]) -> NDArray[Any] | None:
    found = next((key for key in keys if key in arrays.keys), None)
    return None if found is None else arrays.read(found)


@contextmanager
def _open(path: Path) -> Iterator[Arrays]:
    """Open a file by its ending; whatever is wrong with it becomes a FeatureFileError."""
    try:
        opener = _opener(path)
    except OSError as error:  # such as a name that is too long, or a folder without permission
        raise FeatureFileError(f"{path}: cannot be found ({error.strerror or error}).") from None
    try:
        with opener(path) as arrays:
            yield arrays
    except FeatureFileError:
        raise
    except Exception as error:  # libraries raise anything for a broken file
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise _pickled(path) from error
        line = str(error).strip().split("\n")[0][:LONGEST_REASON]
        reason = "".join(one if one.isprintable() else " " for one in line).rstrip(". ") or type(error).__name__
        raise FeatureFileError(
            f"{path}: cannot be read as {path.suffix.lower()} ({reason}). It may be cut short or of another kind."
        ) from error


def _opener(path: Path) -> Callable[[Path], AbstractContextManager[Arrays]]:
    if path.is_dir():
        raise FeatureFileError(f"{path}: is a folder; name the files in it.")
    ending = path.suffix.lower()
    if ending in PICKLED_ENDINGS:
        raise FeatureFileError(
            f"{path}: {ending} files are pickled, and opening one can run code, so they are refused. "
            f"Save the features as one of {', '.join(OPENERS)}."
        )
    if ending not in OPENERS:
        raise FeatureFileError(f"{path}: unknown ending {ending or '(none)'!r}. Known: {', '.join(OPENERS)}.")
    if not path.exists():
        raise FeatureFileError(f"{path}: no such file.")
    if not path.is_file():
        raise FeatureFileError(f"{path}: is not a regular file but a pipe or a device, which are not read.")
    return OPENERS[ending]


def _pickled(path: Path) -> FeatureFileError:
    return FeatureFileError(
        f"{path}: holds pickled Python objects, and reading these can run code, so they are refused. "
        "Save plain numbers: one array of shape (N, D), and integer labels."
    )


def _check_start(path: Path, magic: bytes) -> None:
    """Refuse a file whose first bytes do not fit its ending: NumPy guesses the format, and would unpickle."""
    with path.open("rb") as file:
        start = file.read(len(magic))
    if start[:1] == b"\x80":
        raise _pickled(path)
    if start != magic:
        raise FeatureFileError(f"{path}: is not an {path.suffix.lower()} file; its first bytes are {start!r}.")


@contextmanager
def _open_npy(path: Path) -> Iterator[Arrays]:
    _check_start(path, b"\x93NUMPY")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    yield NamedArrays(path, FEATURE_KEYS[:1], lambda _: array)


@contextmanager
def _open_npz(path: Path) -> Iterator[Arrays]:
    _check_start(path, b"PK\x03\x04")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        yield NamedArrays(path, list(archive.files), partial(_member, path, archive))


def _member(path: Path, archive: Any, key: str) -> NDArray[Any]:
    """Return one array of an .npz file, after checking its size."""
    name = key if key in archive.zip.namelist() else f"{key}.npy"
    if reason := too_large(archive.zip.getinfo(name).file_size, path.stat().st_size):
        raise FeatureFileError(f"{path}: {key!r} is too large: {reason}.")
    array = archive[key]
    if not isinstance(array, np.ndarray):
        raise FeatureFileError(f"{path}: {key!r} is not an array but a file of another kind within the .npz file.")
    return array


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Arrays]:
    from safetensors import SafetensorError, safe_open

    tensors = read_header(path)  # before the library is handed the file
    try:
        with safe_open(path, framework="np") as file:
            yield NamedArrays(path, list(file.keys()), lambda key: _tensor(path, file, tensors[key], key))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _tensor(path: Path, file: Any, about: Tensor, key: str) -> NDArray[Any]:
    """Return one tensor; short floats that NumPy lacks become float32."""
    if about.kind in NUMPY_KINDS:
        return np.asarray(file.get_tensor(key))
    if about.kind not in SHORT_KINDS:
        raise FeatureFileError(f"{path}: {key!r} is stored as {about.kind}, which is not read. Save it as float32.")
    with path.open("rb") as opened:
        header = int.from_bytes(opened.read(8), "little")
        opened.seek(8 + header + about.start)
        return SHORT_KINDS[about.kind](opened.read(about.end - about.start)).reshape(about.shape)


def _from_e4m3(data: bytes) -> NDArray[np.float32]:
    """Return numbers with one sign, four exponent and three fraction bits, without infinities."""
    codes = np.arange(256)
    exponent, fraction = codes >> 3 & 15, codes & 7
    sizes = np.where(exponent == 0, fraction * 2.0**-9, (8 + fraction) * 2.0 ** (exponent - 10))
    sizes[codes & 127 == 127] = np.nan
    table: NDArray[np.float32] = np.where(codes < 128, sizes, -sizes).astype(np.float32)
    found: NDArray[np.float32] = table[np.frombuffer(data, "u1")]
    return found


NUMPY_KINDS = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
SHORT_KINDS: Mapping[str, Callable[[bytes], NDArray[np.float32]]] = {
    "BF16": lambda data: (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4"),  # the upper half of float32
    "F8_E5M2": lambda data: (np.frombuffer(data, "u1").astype("<u2") << 8).view("<f2").astype(np.float32),  # of float16
    "F8_E4M3": _from_e4m3,
}
"""Types that become float32, without torch, which takes seconds and 500 MB to load."""

OPENERS: Mapping[str, Callable[[Path], AbstractContextManager[Arrays]]] = {
    ".npz": _open_npz,
    ".npy": _open_npy,
    ".safetensors": _open_safetensors,
    ".parquet": open_parquet,
}
