"""Thousands of randomly changed inputs affect nothing but their own rows."""

import json
import sys

import pytest

from tests.hostile.fuzzing import CASES
from tests.hostile.limited import ROOT, run_limited


@pytest.fixture(scope="module")
def campaign():
    """All cases, in a separate process with a memory limit, since they reach native code."""
    return run_limited([sys.executable, "-m", "tests.hostile.fuzzing"], seconds=180, megabytes=2048, folder=ROOT)


def told(campaign):
    return {one["kind"]: one for one in map(json.loads, campaign.out.splitlines())}


def test_it_ends_within_its_limits(campaign):
    assert (campaign.over, campaign.code) == ("", 0), campaign.err[-2000:] + campaign.out[-4000:]


@pytest.mark.parametrize("kind", CASES)
def test_each_is_refused_with_a_reason_or_read_and_valid_input_stays(campaign, kind):
    found = told(campaign)[kind]
    assert found["wrong"] == ""
    assert found["cases"] >= CASES[kind]


def test_they_are_thousands(campaign):
    assert sum(one["cases"] for one in told(campaign).values()) >= sum(CASES.values()) >= 2000
