"""Opens datasets as shards, which are read in chunks of rows."""

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import DatasetError, OptionError, did_you_mean
from hf_transfer_score.home import EXAMPLE_CAUTION, example_dataset, near_name
from hf_transfer_score.sampling.guarded import commit_of, explained, guard, listed_once, uncounted
from hf_transfer_score.sampling.memory import ends_as_image, holds_images, known_form, no_image
from hf_transfer_score.sampling.reach import (
    Reach,
    check_builder,
    check_folder_card,
    check_hub_card,
    check_saved,
    reach_of,
)
from hf_transfer_score.sampling.rows import ROWS, ArrowChunk, Chunk, python_chunks
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.sampling.separation import joined_splits, separation
from hf_transfer_score.text import UNNAMED, dataset_name

READERS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".arrow": "arrow",
}
TEXTUAL = ("csv", "json")  # readers of files that cannot hold the content of an image, only its path
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
PEEKED = 16  # rows of another split that are searched for labels

Shard = Callable[[], Iterable[Chunk]]
Peek = Callable[[str, str], list[Any]]


@dataclass(frozen=True)
class OpenSplit:
    """An open split of a dataset.

    Shards are the parts that can be read separately, given the columns to read; `peek` returns some values of a column
    of another split. Rows may only name files in reach. Only datasets on the Hub have a revision, and only those with
    several configurations have one here. A split is cheap if rows that are not drawn cost next to nothing.
    """

    dataset: str
    split: str | None
    features: Mapping[str, Any]
    shards: Callable[[Sequence[str]], list[Shard]]
    reach: Reach
    splits: tuple[str, ...] = ()
    peek: Peek = lambda *_: []
    config: str | None = None
    revision: str | None = None
    cheap: bool = False
    notes: tuple[str, ...] = ()

    @property
    def in_split(self) -> str:
        """The split, for the end of a message."""
        return "" if self.split is None else f" in the split {self.split}"


def name_of(dataset: Any) -> str:
    """Return the name of a dataset."""
    if isinstance(dataset, (str, Path)):
        return str(dataset)
    about = getattr(dataset, "info", None)
    name, reader = (getattr(about, one, None) for one in ("dataset_name", "builder_name"))
    return str(name) if name and name != reader else UNNAMED  # that of a file is its reader's, such as csv


def open_source(dataset: Any, options: SampleOptions) -> OpenSplit:
    """Open a dataset: an id on the Hub, a folder, a file, or an object in memory; no rows are read yet."""
    name = name_of(dataset)
    if isinstance(dataset, (str, Path)):
        path = local_path(name)
        if path is not None:
            _refuse_of_hub(options, name, "revision")
            name = path.resolve().name if Path(name).name in ("", "..") else name  # the folder one is in
            opened = _open_path(path, name, options)
            return replace(opened, notes=(EXAMPLE_CAUTION,)) if path == example_dataset(name) else opened
        refuse_missing(name)
        with explained(name, options.revision):  # at one commit, and only after its card was checked
            commit = commit_of(name, options.revision)
            if commit is not None:
                check_hub_card(name, commit)
            reach = Reach.of_repository(name, commit or "")
        source = _open_builder(name, options, reach=reach, path=name, revision=commit or options.revision)
        return replace(source, reach=Reach.of_repository(name, source.revision or ""))
    dataset = known_form(dataset)
    _refuse_of_hub(options, name, "revision", "config")
    splits = dataset if isinstance(dataset, Mapping) else {str(dataset.split or ""): dataset}
    return _open_splits(splits, name, options)


def _refuse_of_hub(options: SampleOptions, name: str, *fields: str) -> None:
    """Raise OptionError for options that have no effect on data that is not on the Hub."""
    asked = next((field for field in fields if getattr(options, field) is not None), None)
    if asked is not None:
        raise OptionError(
            f"The dataset {dataset_name(name)} is not on the Hub, so `{asked}` cannot be used; leave it out."
        )


def refuse_missing(name: str) -> None:
    """Raise DatasetError for a name that is neither here nor can be an id on the Hub."""
    only_here = name.startswith((".", "/", "~", "\\")) or name.count("/") > 1 or _suffix(Path(name)) in READERS
    if only_here and local_path(name) is None:
        said = f"There is no folder or file {name}, and it cannot be an id on the Hub (owner/name)."
        raise DatasetError(f"{said}{near_name(name)}")


def local_path(dataset: str | Path) -> Path | None:
    """Return the local file or folder of a name, None if there is none, whatever the name is."""
    try:
        path = Path(dataset).expanduser()
        return path if path.exists() else example_dataset(dataset)
    except (OSError, RuntimeError, ValueError):  # a name that is too long, an unknown home, a zero byte
        return None


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; raises DatasetError where they cannot be listed."""
    if folder.resolve() == folder.resolve().parent:
        raise DatasetError(f"{folder} is the whole disk, not a dataset: name the folder of one.")
    try:
        next(folder.iterdir(), None)  # which tells of a missing permission, unlike rglob
        yield from (one for one in folder.rglob("*") if one.is_file())
    except OSError as error:
        raise DatasetError(
            f"The folder {folder} cannot be read ({error.strerror or error}: {error.filename or folder}): ask for the "
            "right to read it, or name a folder that holds the dataset alone."
        ) from error


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()


def _open_path(path: Path, name: str, options: SampleOptions) -> OpenSplit:
    import datasets

    if path.is_file():
        return _open_file(path, name, options)
    if not path.is_dir():
        raise DatasetError(f"{name} is a pipe or a device, not a folder or a regular file; these are not read.")
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        with explained(name):
            check_saved(path, name)
            stored = datasets.load_from_disk(str(path))
        return _open_splits(stored if isinstance(stored, Mapping) else {"": stored}, name, options, path)
    if next(files_in(path), None) is None:
        raise DatasetError(f"The folder {name} is empty: there are no files in it.")
    with explained(name):
        check_folder_card(path, name)
    where: dict[str, Any] = {
        "reach": Reach.of_folder(path),
        "path": str(path.absolute()),
        "builder_options": reader_of(path)[1],
    }
    opened = _open_builder(name, options, **where)
    return replace(opened, notes=joined_splits(path, opened.splits))


def _open_file(path: Path, name: str, options: SampleOptions) -> OpenSplit:
    reader, files = reader_of(path)
    if reader is None:
        raise DatasetError(
            f"The file {name} is of no known kind; expected one of {', '.join(READERS)}, or for images and sounds "
            "a folder with a subfolder for each class. Save a spreadsheet as CSV, and unpack an archive."
        )
    if path.stat().st_size == 0:
        raise DatasetError(f"The file {name} is empty.")
    folders = dict.fromkeys((path.parent, path.resolve().parent))  # the file may be a link
    reach = replace(Reach.of_folder(path.parent), folders=sum((Reach.of_folder(one).folders for one in folders), ()))
    opened = _open_builder(name, options, reach=reach, path=reader, builder_options=files)
    return replace(opened, features={**opened.features, **_named_images(opened)}) if reader in TEXTUAL else opened


def reader_of(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Return what `datasets` reads a file or folder with, None for a file of an unknown kind, and its arguments."""
    if path.is_dir():
        inside = (one for one in path.rglob("[!.]*") if one.is_file())
        first = next(inside, path)
        only_csv = _suffix(first) == ".csv" and all(_suffix(one) == ".csv" for one in inside)
        return str(path.resolve()), separation(first) if only_csv else {}
    reader = READERS.get(_suffix(path))
    return reader, {"data_files": glob.escape(str(path.resolve()))} | (separation(path) if reader == "csv" else {})


def _named_images(opened: OpenSplit) -> dict[str, Any]:
    """Return the columns of text whose first value is the path of an image, which may be relative to the file."""
    import datasets

    found = {}
    for name, feature in opened.features.items():
        is_text = str(getattr(feature, "dtype", "")).endswith("string")
        first = str(next(iter(opened.peek(opened.split or "", name)), "")) if is_text else ""
        if ends_as_image(first) and opened.reach.file(first) is not None:
            found[name] = datasets.Image()
        elif ends_as_image(first) and holds_images(name, opened.features):
            raise DatasetError(no_image(name, first, (opened.reach.base or Path()).resolve()))
    return found


def _open_splits(splits: Mapping[str, Any], name: str, options: SampleOptions, folder: Path | None = None) -> OpenSplit:
    """Open one of several splits in memory or on disk."""
    import datasets

    split = "" if set(splits) == {""} else choose_split(list(splits), options.split, dataset_name(name))
    if split == "" and options.split is not None:
        raise DatasetError(
            f"The dataset {dataset_name(name)} has no splits, so split={options.split!r} cannot be used; leave it out."
        )

    def peek(other: str, column: str) -> list[Any]:
        return [row[column] for row in islice(splits[other].select_columns([column]), PEEKED)]

    parts = [splits[part] for part in split.split("+")]
    chosen = parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
    reach = reach_of(chosen) if folder is None else Reach.of_folder(folder)
    opened = _of_object(chosen, name, split or None, reach)
    return replace(opened, splits=tuple(filter(None, splits)), peek=peek)


def choose_split(splits: Sequence[str], asked: str | None, dataset: str) -> str:
    """Return the split to read: the given one, else train, else the only one."""
    listed = ", ".join(splits)
    if asked is not None:
        if all(part in splits for part in asked.split("+")):
            return asked
        hint = did_you_mean(asked, splits)
        raise DatasetError(f"The dataset {dataset} has no split {asked!r}.{hint} Its splits: {listed}.")
    if "train" in splits or len(splits) == 1:
        return "train" if "train" in splits else splits[0]
    raise DatasetError(f"The dataset {dataset} has no split named train; choose one with `split`: {listed}.")


def _of_object(dataset: Any, name: str, split: str | None, reach: Reach) -> OpenSplit:
    """Return an object of `datasets` as one shard.

    A Dataset is memory-mapped, so that only labels are read of rows that are not drawn. An IterableDataset is not
    split: that could change the meaning of its skip and take.
    """
    import datasets

    mapped = isinstance(dataset, datasets.Dataset)
    with explained(dataset_name(name)):
        features = dataset.features or ({} if mapped else features_of(dataset))

    def read(columns: Sequence[str]) -> Iterator[Chunk]:
        if mapped:
            chosen = dataset.select_columns(list(columns)).with_format("arrow")
            return (ArrowChunk(table) for table in chosen.iter(batch_size=ROWS))
        # rows as they are stored, without decoding
        return python_chunks((dataset.decode(False) if dataset.features else dataset).cast(None))

    return OpenSplit(name, split, features, lambda columns: [partial(read, columns)], reach, cheap=mapped)


def features_of(stream: Any) -> Mapping[str, Any]:
    """Infer the types of the columns of a stream from its first rows."""
    import datasets

    features: Mapping[str, Any] = datasets.Dataset.from_list(list(stream.cast(None).take(PEEKED))).features
    return features


def _open_builder(
    name: str,
    options: SampleOptions,
    *,
    path: str,
    reach: Reach,
    revision: str | None = None,
    builder_options: Mapping[str, Any] | None = None,
) -> OpenSplit:
    import datasets

    on_hub = reach.repository is not None
    with explained(name, options.revision):
        try:
            with uncounted(), listed_once(None if on_hub else Path(path)):
                builder = datasets.load_dataset_builder(
                    path, options.config, revision=revision, **(builder_options or {})
                )
        except ValueError as error:
            said, missing = str(error), "Config name is missing" in str(error)  # only the message tells
            if not missing and "not found. Available" not in said:
                raise
            known = said[said.find("[") + 1 : said.find("]")].replace("'", "")
            wrong = "has several configurations" if missing else f"has no configuration {said.split(chr(39))[1]!r}"
            raise DatasetError(f"The dataset {name} {wrong}; choose one with `config`: {known}.") from error
        if not on_hub and not builder.builder_configs:
            _refuse_of_hub(options, name, "config")
        check_builder(builder, reach, name, offline=on_hub and revision is None)
        if hasattr(builder.config, "decode_num_threads"):
            builder.config.decode_num_threads = 0  # otherwise images are fetched and decoded ahead, drawn or not
        guard(builder)
        streams = builder.as_streaming_dataset()
    split = choose_split(list(streams), options.split, name)
    with explained(name):
        opened = _BuilderStreams(builder, split, local=not on_hub)
        features = opened.features()
    return OpenSplit(
        name,
        split,
        features,
        opened.shards,
        reach,
        tuple(streams),
        opened.peek,
        config=builder.config.name if len(builder.builder_configs) > 1 else None,
        revision=builder.hash if on_hub else None,
        cheap=opened.lists_files,
    )


def whole_numbers(table: Any) -> Any:
    """Return a table with whole numbers as integers, even if some are missing, which the CSV reader makes fractions.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"label": [0.0, None, 1.0], "price": [0.5, None, 1.0], "size": [1.0, 2.0, 3.0]})
        >>> [str(field.type) for field in whole_numbers(table).schema]
        ['int64', 'double', 'double']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for number, column in enumerate(table.columns):
        some = pa.types.is_floating(column.type) and 0 < column.null_count < len(column)
        if some and pc.all(pc.equal(column, pc.floor(column))).as_py():
            table = table.set_column(number, table.schema.names[number], column.cast(pa.int64()))
    return table


class _BuilderStreams:
    """A builder of `datasets`, read as streams of Arrow tables if it makes them, else of Python values."""

    def __init__(self, builder: Any, split: str, *, local: bool) -> None:
        import datasets
        from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder

        self.builder, self.split = builder, split
        if hasattr(builder.config, "fragment_scan_options"):
            import pyarrow.dataset as ds

            # a local file is read while it is decoded; over a network, reading ahead is faster
            ahead = {"use_buffered_stream": True, "pre_buffer": False} if local else {}
            builder.config.fragment_scan_options = ds.ParquetFragmentScanOptions(
                page_checksum_verification=True, **ahead
            )
        self.by_tables = isinstance(builder, datasets.ArrowBasedBuilder)
        self.lists_files = isinstance(builder, FolderBasedBuilder)

    def features(self) -> Mapping[str, Any]:
        """Return the types of the columns, from the metadata of the files or from the first rows."""
        import datasets

        stream = self.builder.as_streaming_dataset(self.split)
        found: Mapping[str, Any] | None = stream.features
        if found is None and not self.by_tables:
            return features_of(stream)
        if found is None:  # batches of the whole stream would join files, of which one may lack values
            shards = (stream.shard(stream.num_shards, index) for index in range(stream.num_shards))
            first = next((table for one in shards for table in one.with_format("arrow").iter(batch_size=ROWS)), None)
            found = {} if first is None else datasets.Features.from_arrow_schema(whole_numbers(first).schema)
        return found

    def _stream(self, split: str, columns: Sequence[str]) -> Any:
        if hasattr(self.builder.config, "columns") and hasattr(self.builder.config, "batch_size"):
            self.builder.config.columns, self.builder.config.batch_size = list(columns), ROWS
        return self.builder.as_streaming_dataset(split).select_columns(list(columns))

    def shards(self, columns: Sequence[str]) -> list[Shard]:
        """Return the files of the split, or other parts that can be read separately."""
        stream = self._stream(self.split, columns)
        return [partial(self._read, stream, index) for index in range(stream.num_shards)]

    def _read(self, stream: Any, index: int) -> Iterator[Chunk]:
        shard = stream.shard(stream.num_shards, index)
        if not self.by_tables:
            return python_chunks(shard.cast(None))
        return (ArrowChunk(table) for table in shard.with_format("arrow").iter(batch_size=ROWS))

    def peek(self, split: str, column: str) -> list[Any]:
        """Return some values of a column of another split."""
        return [row[column] for row in self._stream(split, [column]).cast(None).take(PEEKED)]
