"""Make the dataset and the checkpoints that ship with the package as `example`.

    python -m benchmarks.example.make             # writes them again: five minutes on one core
    python -m benchmarks.example.make FOLDER      # writes them elsewhere, to compare

The same machine and versions give the same bytes; elsewhere torch may round differently, and the weights differ a
little.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from pathlib import Path

from benchmarks.example.networks import ARCHITECTURES, MEMBERS, SCHOOLINGS, STEPS, Member, material, write_checkpoint
from benchmarks.example.pictures import TARGET_DIGITS, Labelled, Pictures, as_bytes, target_digits
from hf_transfer_score.home import SHIPPED

PER_CLASS, SEED = 60, 0
"""Pictures per class to rank and fine-tune on, and the seed of everything."""

DATASET_CARD = """\
---
license: cc-by-4.0
task_categories:
  - image-classification
size_categories:
  - n<1K
pretty_name: Warped digits 5 to 9
configs:
  - config_name: default
    data_files:
      - split: train
        path: data/train-*
      - split: test
        path: data/test-*
---

# Warped digits 5 to 9

{train} pictures to train on and {test} to test on, 32 by 32 pixels, of five handwritten digits: turned,
stretched, bent, on clutter and with noise. It is the dataset `example` of hf-transfer-score: small enough to try the
package on, and no evidence for any metric.

Source: [Optical Recognition of Handwritten Digits](https://doi.org/10.24432/C50P49), E. Alpaydin and C. Kaynak, UCI
Machine Learning Repository, 1998, licensed CC BY 4.0; of it the 8 by 8 pictures that ship with scikit-learn. Changed:
enlarged and warped by `benchmarks/example/make.py`.
"""

MODEL_CARD = """\
---
license: apache-2.0
library_name: {library}
pipeline_tag: image-classification
---

# {name}

A micro {title} that was pre-trained on the digits 0 to 4 that ship with scikit-learn. What it went through:
{words}.

It is one of the checkpoints `example` of hf-transfer-score, made by `benchmarks/example/make.py`: something to try the
package on, of no use otherwise. The digits are of
[Optical Recognition of Handwritten Digits](https://doi.org/10.24432/C50P49), UCI Machine Learning Repository, licensed
CC BY 4.0.
"""


def make(folder: Path, members: tuple[Member, ...] = MEMBERS, steps: int = STEPS) -> Path:
    """Write the dataset and the checkpoints, each as a folder like its repository on the Hub.

    Args:
        folder: gets `dataset` and `checkpoints`; earlier content is removed.
        members: the networks.
        steps: the largest number of batches for each network.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_dataset(target_digits(PER_CLASS, SEED), folder / "dataset")
    pictures = material(SEED)
    for member in members:
        place = write_checkpoint(member, pictures, folder / "checkpoints", SEED, steps)
        (place / "README.md").write_text(model_card(member), encoding="utf-8", newline="\n")
    return folder


def write_dataset(parts: dict[str, Labelled], folder: Path) -> Path:
    """Write pictures by split in the layout of `datasets`: a card, and one Parquet file per split."""
    import pyarrow as pa
    from pyarrow import parquet

    names = [f"{digit}" for digit in TARGET_DIGITS]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    cell = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    (folder / "data").mkdir(parents=True)
    for split, labelled in parts.items():
        pictures = [{"bytes": _png(one), "path": None} for one in labelled.pictures]
        columns = {"image": pa.array(pictures, cell), "label": pa.array(labelled.labels)}
        table = pa.table(columns).replace_schema_metadata(metadata)
        parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet", compression="zstd")
    card = DATASET_CARD.format(**{split: len(labelled) for split, labelled in parts.items()})
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    return folder


def _png(picture: Pictures) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(as_bytes(picture)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def model_card(member: Member) -> str:
    """Return the card of a checkpoint."""
    architecture = ARCHITECTURES[member.architecture]
    words = SCHOOLINGS[member.schooling].words
    return MODEL_CARD.format(name=member.name, title=architecture.title, library=architecture.library, words=words)


def main() -> None:
    """Write everything, and print its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHIPPED, help="default: their place in the package")
    made = make(parser.parse_args().folder)
    sizes = [path.stat().st_size for path in made.rglob("*") if path.is_file()]
    print(f"{len(sizes)} files, {sum(sizes):,} bytes in {made}")


if __name__ == "__main__":
    main()
