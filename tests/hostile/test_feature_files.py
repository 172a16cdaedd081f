"""No feature file of a stranger's hurts, and none gives a number that means something else."""

from tests.hostile.batch import run_batch
from tests.hostile.feature_files import feature_cases
from tests.hostile.trying import judged_file, written_file


def test_every_feature_file_is_refused_with_a_reason_or_scored_as_what_it_holds(tmp_path):
    cases = feature_cases()
    ended = run_batch([written_file(case, tmp_path) for case in cases])
    trials = [judged_file(case, tmp_path, done) for case, done in zip(cases, ended, strict=True)]
    assert {trial.name: trial.wrong for trial in trials if trial.wrong} == {}
    assert len(trials) > 200
