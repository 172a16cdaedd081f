"""Features in a .parquet file (one list column, or one numeric column per feature), and the names of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeatureFileError
from hf_transfer_score.file_heads import Chunk, chunks_of, expanded_bytes
from hf_transfer_score.untrusted import too_large

FEATURE_KEYS = ("features", "X")
LABEL_KEYS = ("labels", "label", "y")
TARGET_KEYS = ("targets", "target")
SOURCE_KEYS = ("source_probs",)

MOST_NAMED = 12
CHARACTER_BYTES = 4
"""In an array of texts, where each text takes as many as the longest."""

NOT_FEATURES = (*LABEL_KEYS, *TARGET_KEYS, *SOURCE_KEYS)


def pick_features_key(path: Path, keys: Sequence[str], key: str | None, hint: str = "") -> str:
    """Return the name of the features among `keys`, or raise FeatureFileError with the names there are."""
    wanted = FEATURE_KEYS if key is None else (key,)
    found = next((name for name in wanted if name in keys), None)
    if found is None:
        advice = "" if key else " Name them with `features_key`."
        raise FeatureFileError(f"{path}: no features. Expected {quoted(wanted)}{hint}, found {quoted(keys)}.{advice}")
    return found


def quoted(names: Sequence[str]) -> str:
    """Return names in quotes, for messages."""
    shown = ", ".join(repr(str(name)) for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown or "nothing"


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is one of lists, of one size or of any."""
    from pyarrow import types

    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(is_kind(kind) for is_kind in kinds)


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is an integer or a float."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def list_matrix(column: Any) -> NDArray[Any]:
    """Return the lists of an Arrow array without nulls as (N, D), as a view where Arrow allows it.

    Raises ValueError where they form no matrix; its message follows the name of the column.
    """
    import pyarrow.compute as pc

    if not is_number(column.type.value_type):
        raise ValueError(f"must hold lists of numbers, one vector per row; holds {column.type}")
    values = column.flatten()
    if values.null_count:
        raise ValueError(f"holds nulls inside its lists ({values.null_count}); fill them or drop their rows")
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    if lengths["min"] != lengths["max"]:
        raise ValueError(
            f"is ragged, its lists have {lengths['min']} to {lengths['max']} values; "
            "pool each example to one vector first"
        )
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), lengths["max"] or 0)


@contextmanager
def open_parquet(path: Path) -> Iterator[ParquetArrays]:
    """Open one file; columns are read on demand, memory-mapped where their encoding allows it.

    Checksums of pages are verified where the file has them (`write_page_checksum=True` writes them).
    """
    import pyarrow as pa
    from pyarrow import parquet

    chunks = chunks_of(path)
    try:
        with parquet.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            yield ParquetArrays(path, file, chunks)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class ParquetArrays:
    """The columns of an open file."""

    path: Path
    file: Any
    chunks: Sequence[Chunk]

    @property
    def schema(self) -> Any:
        """Names and Arrow types of the columns."""
        return self.file.schema_arrow

    @property
    def keys(self) -> Sequence[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def read(self, key: str) -> NDArray[Any]:
        """Return one column: lists as (N, D), numbers and text as (N,)."""
        self._check_size([key])
        import pyarrow as pa

        kind = self.schema.field(key).type
        if is_list(kind):
            column = self._column(self.file, key) if is_number(kind.value_type) else pa.array([], kind)
            try:
                return list_matrix(column)
            except ValueError as error:
                raise FeatureFileError(f"{self.path}: column {key!r} {error}.") from error
        inside = kind.value_type if _is_dictionary(kind) else kind
        text = pa.types.is_string(inside) or pa.types.is_large_string(inside)
        return self._texts(key) if text else self._scalars(key, kind)

    def read_features(self, key: str | None, labels_key: str | None) -> NDArray[Any]:
        """Return the list column `key` (or `features`, `X`), or every numeric column that matches the pattern `key`."""
        lists = [name for name in (FEATURE_KEYS if key is None else (key,)) if name in self.keys]
        if lists:
            kind = self.schema.field(lists[0]).type
            if not is_list(kind):
                raise FeatureFileError(f"{self.path}: column {lists[0]!r} must hold lists of numbers, holds {kind}.")
            return self.read(lists[0])
        names = self._numeric_names(key, labels_key)
        if not names:
            pick_features_key(self.path, self.keys, key, " as lists, or numeric columns")
        self._check_size(names)
        kinds = [self.schema.field(name).type for name in names]
        shape = (self.file.metadata.num_rows, len(names))
        features = np.empty(shape, dtype=np.result_type(*(kind.to_pandas_dtype() for kind in kinds)))
        for position, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            features[:, position] = self._scalars(name, kind)
        return features

    def _numeric_names(self, pattern: str | None, labels_key: str | None) -> list[str]:
        """Return the feature columns of a wide table; integers among fractions may be ids, and are refused."""
        import pyarrow as pa

        names = [
            name
            for name in self.keys
            if name not in (*NOT_FEATURES, labels_key)
            and not name.startswith("__index_level_")
            and is_number(self.schema.field(name).type)
            and (pattern is None or fnmatchcase(name, pattern))
        ]
        whole = [name for name in names if not pa.types.is_floating(self.schema.field(name).type)]
        if pattern is None and whole and len(whole) < len(names):
            raise FeatureFileError(
                f"{self.path}: columns {', '.join(map(repr, whole[:5]))} hold whole numbers among columns of "
                "fractions, so they may be ids or labels. Name the label column with `labels_key`, and "
                "the feature columns by a pattern with `features_key`, such as 'f_*', or '*' for all."
            )
        return names

    def _column(self, file: Any, key: str) -> Any:
        """Return a column without nulls as one array, without a copy where it has one chunk."""
        column = file.read(columns=[key], use_pandas_metadata=False).column(key)
        if len(column) != self.file.metadata.num_rows:
            raise FeatureFileError(
                f"{self.path}: column {key!r} has {len(column)} rows where the file says "
                f"{self.file.metadata.num_rows}; the file is damaged, copy or write it again."
            )
        if _is_dictionary(column.type):
            column = column.unify_dictionaries()
        if column.null_count:
            raise FeatureFileError(
                f"{self.path}: column {key!r} holds nulls in {column.null_count} of {len(column)} rows; "
                "drop or fill them."
            )
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

    def _check_size(self, names: Sequence[str]) -> None:
        """Refuse columns that would become much larger than the file, which stores repeated values once."""
        wanted = set(names)
        expanded = expanded_bytes(self.path, [chunk for chunk in self.chunks if chunk.is_in(wanted)])
        self._refuse_large(names[0], expanded)

    def _refuse_large(self, name: str, expanded: int) -> None:
        if reason := too_large(expanded, self.path.stat().st_size):
            raise FeatureFileError(f"{self.path}: column {name!r} is too large: {reason}.")

    def _scalars(self, key: str, kind: Any) -> NDArray[Any]:
        import pyarrow as pa

        inside = kind.value_type if _is_dictionary(kind) else kind
        if not is_number(inside) and not pa.types.is_boolean(inside):  # Python objects could take any memory
            raise FeatureFileError(f"{self.path}: column {key!r} must hold numbers, holds {kind}.")
        column = self._column(self.file, key)
        column = column.dictionary_decode() if _is_dictionary(kind) else column
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def _texts(self, key: str) -> NDArray[Any]:
        """Return a column of texts; repeated ones are only copied once their total size is known."""
        import pyarrow.compute as pc
        from pyarrow import parquet

        with parquet.ParquetFile(self.path, read_dictionary=[key], page_checksum_verification=True) as file:
            column = self._column(file, key)
        longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        self._refuse_large(key, CHARACTER_BYTES * longest * max(len(column), len(column.dictionary)))
        texts = column.dictionary.to_numpy(zero_copy_only=False).astype(str)
        return np.asarray(texts[column.indices.to_numpy(zero_copy_only=False)])


def _is_dictionary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind))
