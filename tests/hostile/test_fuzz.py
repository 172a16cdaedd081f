"""Nothing that strangers send, however it is changed, ends anything but its own row; thousands are tried."""

import json
import sys
from pathlib import Path

import pytest

from tests.hostile.limited import run_limited

KINDS = {
    "records": 330,
    "requests": 400,
    "tables": 130,
    "dataset cards": 250,
    "checkpoint configurations": 350,
    "model cards": 150,
    "feature files": 450,
    "uploads": 150,
}
"""How many are tried of each kind."""


@pytest.fixture(scope="module")
def campaign():
    """All of them, in a process of its own with a limit of memory, since what they are handed to is no Python."""
    root = Path(__file__).parents[2]
    return run_limited([sys.executable, "-m", "tests.hostile.fuzzing"], seconds=180, megabytes=2048, folder=root)


def told(campaign):
    return {one["kind"]: one for one in map(json.loads, campaign.out.splitlines())}


def test_it_ends_within_its_limits(campaign):
    assert (campaign.over, campaign.code) == ("", 0), campaign.err[-2000:] + campaign.out[-4000:]


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_refused_with_a_reason_or_read_and_what_is_sound_stays(campaign, kind):
    found = told(campaign)[kind]
    assert found["wrong"] == ""
    assert found["cases"] >= KINDS[kind]


def test_they_are_thousands(campaign):
    assert sum(one["cases"] for one in told(campaign).values()) >= sum(KINDS.values()) >= 2000
