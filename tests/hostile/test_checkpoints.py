"""No checkpoint of a stranger's runs code, reads elsewhere, or keeps the others of a run from their numbers."""

import shutil

import pytest

from tests.hostile.checkpoints import checkpoint_cases
from tests.hostile.judging import fault_of, judge, same
from tests.hostile.trying import SHORT, allowed, clean_terms, ranked, write_good
from tests.hostile.watching import run_watched

EACH = 2
"""Of so many cases one is tried here, all of them by `benchmarks/faults.py`."""


@pytest.mark.parametrize("modality", ["image", "text", "sound"])
def test_hostile_checkpoints_are_rows_beside_good_ones(warm, traps, tmp_path, modality):
    good = write_good(tmp_path / "good")
    cases = [case for case in checkpoint_cases() if case.modality == modality and not case.accepted][::EACH]
    for case in cases:
        shutil.copytree(good.checkpoints[case.base], tmp_path / case.name)
        case.change(tmp_path / case.name, traps)
    bases = sorted({str(good.checkpoints[case.base]) for case in cases})
    models = [*(str(tmp_path / case.name) for case in cases), *bases]
    done = run_watched(warm, "rank", str(good.datasets[modality]), "--models", *models, *SHORT)
    assert fault_of(done) == ""
    assert traps.sprung(warm.home, said=done.out + done.err) == ""
    wrong = {case.name: _wrong(case, done) for case in cases}
    assert {name: why for name, why in wrong.items() if why} == {}
    for base in bases:
        clean = clean_terms(warm, good.datasets[modality], good.checkpoints[base.rsplit("/", 1)[1]])
        assert same(ranked(done, base.rsplit("/", 1)[1])[0], clean)


def _wrong(case, done):
    found, said = ranked(done, case.name)
    return judge(said, found, case.refused, allowed(case.accepted, found, {}))
