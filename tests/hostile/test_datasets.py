"""No dataset of a stranger's reads, asks or runs what is not its own, or takes a run down; benchmarks try more."""

from tests.hostile.datasets import dataset_cases
from tests.hostile.trying import try_dataset, write_good

TRIED = (
    "path-",
    "local-path-",
    "metadata-",
    "data-files-",
    "card-python-tag",
    "card-control",
    "script",
    "tar-of",
    "pickle",
)
TRIED += ("features-", "parquet-cut", "csv-nul", "csv-clean", "json-clean", "json-nan", "link-", "fifo", "pictures-all")
TRIED += ("texts-of-10-megabytes",)
EACH = 2
"""Of the first of these, one of so many is tried here."""


def test_hostile_datasets_are_refused_with_a_reason_or_read_as_they_are(warm, traps, tmp_path):
    good = write_good(tmp_path / "good")
    cases = [case for case in dataset_cases() if case.name.startswith(TRIED)][::EACH]
    trials = [try_dataset(warm, case, tmp_path, good, traps) for case in cases]
    assert {trial.name: trial.wrong for trial in trials if trial.wrong} == {}
    assert len(trials) > 30
