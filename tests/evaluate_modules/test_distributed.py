"""Two real processes that share their rows through Arrow files."""

import json

import numpy as np

from hf_transfer_score import get_metric
from tests.conftest import clean_environment
from tests.evaluate_modules.samples import MODULES, NAMES, sample

WORKER = """
import json, sys, time
import numpy as np
import pyarrow as pa
import evaluate
folder, rank, data = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3])
features, labels = data["features"], data["labels"]
module = evaluate.load(folder, num_process=2, process_id=rank, experiment_id="both", cache_dir=sys.argv[4])
results = []
for turn, cut in enumerate((100, 170, len(labels))):
    part = slice(0, cut) if rank == 0 else slice(cut, None)
    if rank == 0 and turn:
        time.sleep(0.5)  # the other process reaches its next round while this one is behind
    for start in range(0, len(labels[part]), 64):
        rows = slice(start, start + 64)
        batch = (np.asarray, np.ndarray.tolist, lambda array: pa.array(array.tolist()))[turn](features[part][rows])
        module.add_batch(predictions=batch, references=labels[part][rows])
    results.append(module.compute())
print(json.dumps(results))
"""


def test_two_processes_compute_on_the_rows_of_both_in_three_rounds(parent, tmp_path):
    """In the last round one process has no rows at all."""
    features, labels = sample()
    np.savez(tmp_path / "data.npz", features=features, labels=labels)
    folder, environment = str(MODULES / NAMES["face"]), clean_environment(tmp_path / "home")
    arguments = [str(tmp_path / "data.npz"), str(tmp_path / "cache")]
    workers = [
        parent.start([folder, str(rank), *arguments], environment, code=WORKER, imports=("datasets", "evaluate"))
        for rank in (0, 1)
    ]
    done = [worker.wait() for worker in workers]
    assert [one.status for one in done] == [0, 0], done
    first, second = (json.loads(one.out.splitlines()[-1]) for one in done)
    result = get_metric("face")(features, labels)
    assert first == [{"face": result.headline, **result.terms}] * 3
    assert second == [None, None, None]
    assert not list((tmp_path / "cache").rglob("*.arrow"))
