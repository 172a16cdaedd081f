"""The outputs of a fixed pool are what they were; `python -m tests.frozen.outputs` writes them again on purpose.

Numbers may differ by what another processor rounds otherwise, and hashes of checkpoints by what another version of
their library writes. With FROZEN=exact in the environment not a byte may: for work on the machine on which they were
written.
"""

import os
import re

import pytest

from tests.frozen.outputs import EXPECTED, everything

NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+e-?\d+")
HASH = re.compile(r"\b[0-9a-f]{40}\b")
TOLERANCE = {"verify.json": 1e-3}
"""Features of a network in single precision are rounded otherwise on another processor."""


@pytest.fixture(scope="module")
def outputs():
    return everything()


def numbers(text: str) -> list[float]:
    return [float(one) for one in NUMBER.findall(text)]


def test_nothing_is_frozen_that_is_not_made(outputs):
    assert sorted(path.name for path in EXPECTED.iterdir()) == sorted(outputs)


@pytest.mark.parametrize("name", [path.name for path in sorted(EXPECTED.iterdir())])
def test_an_output_is_what_it_was(outputs, name):
    expected, found = (EXPECTED / name).read_text(encoding="utf-8"), outputs[name]
    if os.environ.get("FROZEN") == "exact":
        assert found == expected
    expected, found = HASH.sub("a hash", expected), HASH.sub("a hash", found)
    assert NUMBER.sub("#", found) == NUMBER.sub("#", expected)
    assert numbers(found) == pytest.approx(numbers(expected), rel=TOLERANCE.get(name, 1e-7), abs=1e-9)
