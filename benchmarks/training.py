"""How long a step of fine-tuning texts takes on a CPU: with whole batches, and with parts of like length.

    python -m benchmarks.training --dataset FOLDER --checkpoint FOLDER

Both ways take turns, in one process. The dataset is a folder with a split `train`, the checkpoint one of texts.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.choosing_curves import loaded
from hf_transfer_score.finetune import loop
from hf_transfer_score.finetune.built import Builder, MeasuredRows
from hf_transfer_score.finetune.recipe import Recipe, default_recipe
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions

PASSES, TURNS = 3, 3


def seconds_a_step(checkpoint: Path, rows: MeasuredRows, recipe: Recipe, parts: int) -> float:
    """Return the time of a step, after a first pass that does not count."""
    with patch.object(loop, "PARTS", parts):
        machine = loop.Machine(recipe)
        built = Builder(partial(loaded, checkpoint, rows.everything.encoded.sample.task), rows, recipe, machine).built()
        rate = recipe.learning_rates[0]
        training = loop.Training(built.trained, rows.everything, rows.held, recipe, rate, seed=0, machine=machine)
        training.advance(1)
        begin, before = time.perf_counter(), training.step
        training.advance(1 + PASSES)
    return (time.perf_counter() - begin) / (training.step - before)


def main() -> None:
    """Print the time of a step both ways, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    asked = parser.parse_args()
    sample = load_sample(str(asked.dataset), SampleOptions(split="train"))
    changed = {
        "epochs": 1 + PASSES,
        "patience": None,
        "validation_share": 0.05,
        "precision": "float32",
        "device": "cpu",
    }
    recipe = Recipe(**{**vars(default_recipe(sample.task.modality)), **changed})
    rows = MeasuredRows.of(sample, sample, recipe, 0)
    turns = [[seconds_a_step(asked.checkpoint, rows, recipe, parts) for parts in (1, loop.PARTS)] for _ in range(TURNS)]
    whole, in_parts = np.median(turns, axis=0)
    print(f"whole batches {whole:.3f} s a step, in parts {in_parts:.3f} s: {whole / in_parts:.2f} times as fast")


if __name__ == "__main__":
    main()
