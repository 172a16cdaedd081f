"""What separates the columns of a CSV file, told from its first lines, and the splits of a folder, by their names."""

import codecs
import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.guarded import QUOTE, explained

MOST_HEADER = 2**16
"""Bytes of a line that are read."""

SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval")


def joined_splits(folder: Path, splits: Sequence[str]) -> tuple[str, ...]:
    """Return a note where a folder has splits in capitals, which `datasets` joins to one; else nothing."""
    names = {one.name if one.is_dir() else one.stem for one in folder.iterdir()}
    capital = sorted(name for name in names if name.lower() in SPLITS and name != name.lower())
    if len(capital) < 2 or len(splits) != 1:
        return ()
    lower = " and ".join(name.lower() for name in capital)
    return (f"{' and '.join(capital)} are read as one split, {splits[0]}: rename them to {lower} to have splits",)


def separation(path: Path) -> dict[str, Any]:
    """Return what separates columns: a comma, a semicolon or a tab, whichever the first line has most of.

    Excel may say it in a first line of its own, such as `sep=;`. Raises DatasetError where two columns have one name,
    since pandas would rename the second, and where the first row has more values than there are columns, since pandas
    would take the first of them for the number of the row.
    """
    with explained(path.name), fsspec.open(str(path), "rb", compression="infer") as file:
        head, *rows = (file.readline(MOST_HEADER) for _ in range(3))
    head = head.removeprefix(codecs.BOM_UTF8)
    if head.lower().startswith(b"sep=") and len(head.rstrip(b"\r\n")) == len("sep=;"):
        found: dict[str, Any] = {"sep": chr(head[4]), "skiprows": 1}
    else:
        best = max(",;\t", key=lambda one: head.count(one.encode()))
        found, rows = {"sep": "\t" if ".tsv" in path.name.lower() else best}, [head, rows[0]]
    lines = b"".join(rows).decode(errors="replace").splitlines()
    with suppress(csv.Error):  # its reader tells what is wrong
        names, values = [*csv.reader(lines, delimiter=found["sep"]), [], []][:2]
        for name, count in Counter(map(str.strip, names)).items():
            if count > 1 and name:
                raise DatasetError(f"{path.name} has {count} columns named {name!r}: rename all but one of them.")
        if len(values) > len(names) > 0:
            raise DatasetError(
                f"The first row of {path.name} has {len(values)} values, and there are {len(names)} columns: "
                f"{QUOTE}, or name every column in the first line."
            )
    return found
