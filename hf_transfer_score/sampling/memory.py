"""Converts datasets in memory to those of `datasets`: lists, data frames, and datasets of torch."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.columns import IMAGES, NO_CONTENT
from hf_transfer_score.sampling.media import encode_input

INPUT, LABEL = "input", "label"
LONGEST_PATH = 256
ACCEPTED = (
    "an id on the Hub, a folder, a file, a Dataset or IterableDataset of `datasets`, a dictionary of splits or of "
    "columns, a pandas DataFrame, a map-style Dataset of torch or a list with items (image or text, label), a list of "
    "dictionaries, or two lists (inputs, labels)"
)


def known_form(dataset: Any) -> Any:
    """Return a dataset as an object of `datasets`, or a dictionary of such objects.

    Example:
        >>> known_form((["good", "bad"], ["yes", "no"])).column_names
        ['input', 'label']
    """
    import datasets

    if isinstance(dataset, (datasets.Dataset, datasets.IterableDataset)):
        return dataset
    if isinstance(dataset, Mapping) and all(_is_column(one) and not _is_pair(one) for one in dataset.values()):
        return _made({str(name): list(map(plain, column)) for name, column in dataset.items()})
    if isinstance(dataset, Mapping):
        return {str(split): known_form(one) for split, one in dataset.items()}
    if _is_of(dataset, "pandas", "DataFrame"):
        return _of_frame(dataset)
    if _is_of(dataset, "torch.utils.data", "Dataset"):
        return _of_torch(dataset)
    if isinstance(dataset, list) and dataset and all(isinstance(one, Mapping) for one in dataset):
        return _made({str(name): [plain(one.get(name)) for one in dataset] for name in dataset[0]})
    if isinstance(dataset, list) and len(dataset) > 2 and all(isinstance(one, tuple) for one in dataset):
        pairs = [_pair(one, dataset) for one in dataset]
        return _made({INPUT: [one for one, _ in pairs], LABEL: [label for _, label in pairs]})
    if _is_pair(dataset):
        inputs, labels = map(list, dataset)
        if len(inputs) != len(labels):
            raise DatasetError(
                f"There are {len(inputs)} inputs and {len(labels)} labels; expected one label per input."
            )
        return _made({INPUT: inputs, LABEL: [plain(one) for one in labels]})
    raise DatasetError(f"Expected a dataset as {ACCEPTED}; got {type(dataset).__name__}.")


def _of_frame(frame: Any) -> Any:
    if not frame.columns.is_unique:
        raise DatasetError(f"Several columns of the data frame share a name: {', '.join(map(str, frame.columns))}.")
    return _made({str(name): _whole(list(map(plain, frame[name].tolist()))) for name in frame.columns})


def _is_of(thing: Any, room: str, name: str) -> bool:
    """Whether something is an instance of a class, without importing its library."""
    kind = getattr(sys.modules.get(room), name, None)
    return kind is not None and isinstance(thing, kind)


def _is_column(values: Any) -> bool:
    return isinstance(values, (list, tuple, np.ndarray)) or hasattr(values, "tolist")


def _is_pair(values: Any) -> bool:
    return isinstance(values, (tuple, list)) and len(values) == 2 and all(map(_is_column, values))


def _whole(values: list[Any]) -> list[Any]:
    """Return whole numbers as such again if values are missing, for which pandas made them fractions."""
    there = [one for one in values if one is not None]
    made = 0 < len(there) < len(values) and all(isinstance(one, float) and one.is_integer() for one in there)
    return [None if one is None else int(one) for one in values] if made else values


def _made(columns: Mapping[str, list[Any]]) -> Any:
    """Return columns as a Dataset; images in any form, also as paths, become encoded files."""
    import datasets
    import pyarrow as pa

    found, images = dict[str, list[Any]](), list[str]()
    for given, values in columns.items():
        first = next((one for one in values if one is not None), None)
        reader = reader_of(first)
        if reader is None and isinstance(first, str) and ends_as_image(first) and holds_images(given, columns):
            raise DatasetError(no_image(given, first, Path.cwd()))
        # a column of paths to images is called "path" or the like, which is never chosen as input
        name = "image" if reader is not None and given in NO_CONTENT and "image" not in columns else given
        found[name] = values if reader is None else [None if one is None else reader(one) for one in values]
        images += [] if reader is None else [name]
    if not found or not next(iter(found.values())):
        raise DatasetError("The dataset is empty: it has no rows.")
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise DatasetError(f"The columns have different lengths: {lengths}; expected a value per row in each.")
    for name, values in found.items():
        types = sorted({type(one).__name__ for one in values if one is not None})
        if len(types) > 1 and "str" in types:
            raise DatasetError(
                f"The column {name!r} has values of several types ({', '.join(types)}); expected one type."
            )
    try:
        made = datasets.Dataset.from_dict(found)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise DatasetError(f"A column has values that cannot be stored: {error}.") from error
    for name in images:
        made = made.cast_column(name, datasets.Image())
    return made


def _of_torch(dataset: Any) -> Any:
    """Return a dataset of torch as a stream that makes each item once."""
    import datasets

    if not hasattr(dataset, "__len__") or not hasattr(type(dataset), "__getitem__"):
        raise DatasetError(
            f"{type(dataset).__name__} is a dataset of torch without a length or without items by index; pass "
            "one that has both, or `datasets.IterableDataset.from_generator`."
        )
    if len(dataset) == 0:
        raise DatasetError("The dataset is empty: it has no rows.")
    first = _pair(dataset[0], dataset)
    reader = reader_of(first[0])
    if reader is None and not isinstance(first[0], str):
        raise DatasetError(
            f"The items of {type(dataset).__name__} begin with a {type(first[0]).__name__}; expected an image (of PIL, "
            "or a tensor (C, H, W) of bytes, or of numbers from 0 to 1) or a text, then its label."
        )
    names = getattr(dataset, "classes", None)
    named = isinstance(names, Sequence) and all(isinstance(one, str) for one in names) and isinstance(first[1], int)
    kinds = {str: datasets.Value("string"), float: datasets.Value("float64")}
    label = (
        datasets.ClassLabel(names=list(names or ())) if named else kinds.get(type(first[1]), datasets.Value("int64"))
    )
    features = {INPUT: datasets.Value("string") if reader is None else datasets.Image(), LABEL: label}

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(len(dataset)):
            value, truth = _pair(dataset[number], dataset)
            yield {INPUT: value if reader is None else reader(value), LABEL: truth}

    return datasets.IterableDataset.from_generator(rows, features=datasets.Features(features))


def _pair(item: Any, dataset: Any) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DatasetError(
            f"The items of {type(dataset).__name__} are of type {type(item).__name__}; expected (image or text, label)."
        )
    return item[0], plain(item[1])


def plain(value: Any) -> Any:
    """Return a number of NumPy or torch as one of Python, and missing values as None."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if getattr(value, "ndim", 0):
        return value
    return None if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value else value


def reader_of(first: Any) -> Callable[[Any], dict[str, Any]] | None:
    """Return a function that encodes the images of a column, judged by one value; None if they are not images."""
    if hasattr(first, "save") and hasattr(first, "convert"):
        return lambda image: {"bytes": encode_input(image), "path": None}
    if isinstance(first, (bytes, bytearray)):
        return lambda content: {"bytes": bytes(content), "path": None}
    if isinstance(first, Path) or (isinstance(first, str) and ends_as_image(first) and Path(first).is_file()):
        return lambda path: {"bytes": _content(Path(path)), "path": None}
    if hasattr(first, "ndim") and hasattr(first, "shape") and first.ndim in (2, 3):
        return lambda values: {"bytes": encode_input(_image_of(values)), "path": None}
    return None


def ends_as_image(text: str) -> bool:
    """Return whether a text may be the path of an image, by its suffix."""
    from PIL import Image

    return len(text) < LONGEST_PATH and Path(text).suffix.lower() in Image.registered_extensions()


def holds_images(column: str, columns: Collection[str]) -> bool:
    """Return whether a column of paths must be the images of a dataset, by its name and the other columns."""
    return column.lower() in IMAGES or (column.lower() in NO_CONTENT and len(columns) == 2)


def no_image(column: str, path: str, folder: Path) -> str:
    """Return the message for a column of paths of images that lead nowhere."""
    return (
        f"The column {column!r} holds paths of images, and there is no file {path}; relative paths start at {folder}."
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"The image {path} cannot be read: {error.strerror}.") from None


def _image_of(values: Any) -> Any:
    """Return a tensor (C, H, W) or (H, W), or an array (H, W, C), as an image."""
    from PIL import Image

    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and hasattr(values, "detach"):
        array = np.moveaxis(array, 0, -1)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise DatasetError(
                f"An image is a tensor of numbers from {array.min():.3g} to {array.max():.3g}; expected bytes, or "
                "numbers from 0 to 1. Remove the normalisation: each checkpoint does that in its own way."
            )
        array = np.round(array * 255).astype(np.uint8)
    if array.dtype != np.uint8 or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        form = "a tensor (C, H, W)" if hasattr(values, "detach") else "an array (H, W, C)"
        raise DatasetError(f"An image is {array.dtype} of shape {array.shape}; expected {form} of bytes.")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
