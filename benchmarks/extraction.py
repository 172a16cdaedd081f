"""Extraction compared with a bare loop, a peer, two processes and half precision; its memory and its cache.

Run `python benchmarks/extraction.py --help`. Every line is a ratio or a limit measured within one run; contenders take
turns, so a busy machine slows both. `--device cuda` runs the first part on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from extraction_inputs import decoding, padding
from extraction_material import image_folder, image_model, stream_folder, text_file, text_model, wide_models
from extraction_precision import precision_of_images, precision_of_texts

COLUMNS = ("what", "ours", "other", "ratio", "bar", "")
PEER = """
import json, sys, time
import pandas, torch
from datasets import Dataset
from transformer_ranker import TransformerRanker
from transformers import BertModel  # imports are not timed, on either side
torch.set_num_threads(int(sys.argv[3]))
frame = pandas.read_json(sys.argv[2], lines=True)
data = Dataset.from_pandas(frame)
ranker = TransformerRanker(data, text_column="text", label_column="label")
start = time.perf_counter()
result = ranker.run([sys.argv[1]], estimator="logme", layer_aggregator="lastlayer", batch_size=32, device="cpu")
print(json.dumps({"seconds": time.perf_counter() - start, "logme": next(iter(result.scores.values()))}))
"""
OURS = """
import json, sys, time
from pathlib import Path
import torch
from transformers import AutoModel, AutoTokenizer, BertModel  # imports are not timed, on either side
from hf_transfer_score import ExtractOptions, SampleOptions, get_task, load_sample, score_features, BackboneOptions
from hf_transfer_score.backbones import hub_text
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.features.extract import extract
torch.set_num_threads(int(sys.argv[3]))
sample = load_sample(sys.argv[2], SampleOptions(max_samples=10**6))
start = time.perf_counter()
backbone = hub_text.load(Path(sys.argv[1]), sample.task, BackboneOptions(pooling="mean"))
cache = FeatureCache(Path(sys.argv[4]), 10**10)
writer = cache.writer("key", sample.rows)
extract(backbone, sample, writer, options=ExtractOptions(batch_size=32, device="cpu"))
writer.finish({})
scores = score_features(cache.get("key").features["last"], sample.labels, metrics=["logme"])
print(json.dumps({"seconds": time.perf_counter() - start, "logme": scores["logme"].terms["logme"]}))
"""
MEMORY = """
import json, sys
from pathlib import Path
from hf_transfer_score import BackboneOptions, RankOptions, SampleOptions, get_task, rank
from hf_transfer_score.backbones import timm_images
from hf_transfer_score.features.extract import extract
from hf_transfer_score.sampling.sample import memory_sample
from PIL import Image
model, data, home, mode = sys.argv[1:]
if mode == "model":
    images = [Image.new("RGB", (32, 32), (n, n, n)) for n in range(32)]
    sample = memory_sample("image-classification", images, [0, 1] * 16)
    extract(timm_images.load(Path(model), sample.task, BackboneOptions()), sample, None)
else:
    options = RankOptions(sample=SampleOptions(max_samples=5000, full_pass=True))
    report = rank(data, [model], options=options, folder=Path(home))
    assert len(report.sample) == 5000 and report.sample.source.rows_seen == 200_000, report.sample.source
    assert report.best is not None, report.models
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"megabytes": int(peak.split()[1]) / 1024}))
"""


def main() -> None:
    """Measure the requested parts, and print one line each."""
    options = _options()
    parts: dict[str, Callable[[argparse.Namespace, Path], Iterator[tuple[str, ...]]]] = {
        "bare": bare_loop,
        "precision-images": lambda options, folder: precision_of_images(options, folder, _row),
        "precision-texts": lambda options, folder: precision_of_texts(options, folder, _row),
        "padding": lambda options, folder: padding(options, folder, _row),
        "decoding": lambda options, folder: decoding(options, folder, _row),
        "peer": peer,
        "processes": two_processes,
        "memory": memory,
        "cached": cached,
    }
    print(_line(COLUMNS), flush=True)
    for name in options.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for row in parts[name](options, Path(folder)):
                print(_line(row), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    everything = "bare,precision-images,precision-texts,padding,decoding,peer,processes,memory,cached"
    parser.add_argument("--parts", default=everything, help="comma-separated names")
    parser.add_argument("--images", type=Path, help="a folder with image data; default: generated")
    parser.add_argument("--texts", type=Path, help="a folder with text data; default: generated")
    parser.add_argument("--text-model", type=Path, help="a text checkpoint; default: random weights of MiniLM's shape")
    parser.add_argument("--image-architecture", default="resnet18", help="a timm architecture, with random weights")
    parser.add_argument("--peer-python", help="the Python of an environment with transformer-ranker")
    parser.add_argument("--device", default="cpu", help="device of the part `bare`")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=512, help="images of `bare`, and a quarter of its texts")
    return parser.parse_args()


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, (46, 18, 18, 7, 10, 6), strict=True)).rstrip()


def _row(what: str, ours: str, other: str, ratio: float, bar: str, *, ok: bool) -> tuple[str, ...]:
    return what, ours, other, f"{ratio:.2f}", bar, "ok" if ok else "MISSED"


def bare_loop(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Compare `extract` with forward passes over ready-made batches."""
    import torch

    from hf_transfer_score import BackboneOptions, SampleOptions, load_sample
    from hf_transfer_score.backbones import hub_text, timm_images

    torch.set_num_threads(options.threads)
    images = load_sample(
        str(options.images or image_folder(folder / "images", options.examples)),
        SampleOptions(max_samples=options.examples),
    )
    name = options.image_architecture
    backbone: Any = timm_images.load(image_model(folder / name, name), images.task, BackboneOptions())
    yield _against_bare(f"{name}, {len(images)} images", backbone, images, options, folder)
    texts = load_sample(
        str(options.texts or text_file(folder / "texts.jsonl", 4 * options.examples)),
        SampleOptions(max_samples=4 * options.examples),
    )
    model = options.text_model or text_model(folder / "minilm")
    backbone = hub_text.load(model, texts.task, BackboneOptions(pooling="mean"))
    yield _against_bare(f"MiniLM, {len(texts)} texts", backbone, texts, options, folder)


def _against_bare(what: str, backbone: Any, sample: Any, options: argparse.Namespace, folder: Path) -> tuple[str, ...]:
    from hf_transfer_score import ExtractOptions
    from hf_transfer_score.features.batches import Loader, cut
    from hf_transfer_score.features.cache import FeatureCache
    from hf_transfer_score.features.extract import extract

    cache = FeatureCache(folder / what, 10**10)
    settings = ExtractOptions(dtype="float32", device=options.device)
    size = extract(backbone, sample, None, options=settings)["batch_size"]  # finds the batch size and warms up
    loader = Loader(backbone, sample)
    batches = [loader.prepare(part).inputs for order in loader.windows() for part in cut(order, size)]
    ratios, speeds = [], []
    for number in range(options.rounds):
        bare = _bare_seconds(backbone, batches, options.device)
        writer = cache.writer(str(number), sample.rows)
        ours = extract(backbone, sample, writer, options=settings)["seconds"]
        writer.finish({})
        ratios.append(bare / ours)
        speeds.append((len(sample) / ours, len(sample) / bare))
    ratio = statistics.median(ratios)
    ours, other = speeds[ratios.index(sorted(ratios)[len(ratios) // 2])]
    return _row(f"bare loop: {what}", f"{ours:.0f} rows/s", f"{other:.0f} rows/s", ratio, ">= 0.9", ok=ratio >= 0.9)


def _bare_seconds(backbone: Any, batches: list[Any], device: str) -> float:
    import torch

    start = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            moved = {
                name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()
            }
            output = backbone.forward(moved)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    assert all(bool(torch.isfinite(values).all()) for values in output.features.values())
    return time.perf_counter() - start


def peer(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Compare with transformer-ranker: load the model, embed 2,000 texts, score LogME."""
    import torch

    from hf_transfer_score.features.runtimes import half_precision

    least = 3.5 if half_precision(torch.device("cpu")) else 2
    if options.peer_python is None:
        yield ("peer: transformer-ranker", "-", "-", "-", f">= {least}", "needs --peer-python")
        return
    texts = text_file(folder / "texts.jsonl", 2000, source=options.texts)
    model = options.text_model or text_model(folder / "minilm")
    arguments = [str(Path(model).resolve()), str(texts), str(options.threads)]
    ratios, seen = [], []
    for number in range(options.rounds):
        theirs = _answer([options.peer_python, "-c", PEER, *arguments])
        ours = _answer([sys.executable, "-c", OURS, *arguments, str(folder / str(number))])
        ratios.append(theirs["seconds"] / ours["seconds"])
        seen.append((ours, theirs))
    ratio = statistics.median(ratios)
    ours, theirs = seen[ratios.index(sorted(ratios)[len(ratios) // 2])]
    cells = [f"{one['seconds']:.1f} s ({one['logme']:.3f})" for one in (ours, theirs)]
    yield _row("peer: 2,000 texts and LogME", *cells, ratio, f">= {least}", ok=ratio >= least)


def two_processes(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Compare two processes with one, with one thread each."""
    texts = text_file(folder / "texts.jsonl", 2000, source=options.texts)
    model = options.text_model or text_model(folder / "minilm")
    arguments = ["rank", str(texts), "--models", str(model), "--json", "--quiet", "--replicates", "0"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    ratios, seen = [], []
    for number in range(options.rounds):
        one = _ranked([sys.executable, "-m", "hf_transfer_score", *arguments], folder / f"one{number}")
        two = _ranked([*launch, "-m", "hf_transfer_score", *arguments], folder / f"two{number}")
        ratios.append(one[0] / two[0])
        seen.append((two, one))
    ratio = statistics.median(ratios)
    two, one = seen[ratios.index(sorted(ratios)[len(ratios) // 2])]
    yield _row("two processes", f"{two[0]:.1f} s", f"{one[0]:.1f} s", ratio, ">= 1.6", ok=ratio >= 1.6)
    off = max(abs(two[1][key] - value) / max(abs(value), 1e-300) for key, value in one[1].items())
    yield _row("two processes: terms differ by", f"{off:.1e}", "", off, "<= 1e-6", ok=off <= 1e-6)


def _ranked(command: list[str], home: Path) -> tuple[float, dict[str, float]]:
    """Return the seconds of the forward passes, and all raw terms."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_TRANSFER_SCORE_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    (model,) = json.loads(done.stdout)["pool"].values()
    terms = {
        f"{metric}.{term}": value
        for metric, result in model["scores"]["results"].items()
        for term, value in result["terms"].items()
    }
    return model["extraction"]["seconds"], terms


def memory(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Compare the peak of a run over a stream of 200,000 images with that of the model and one batch."""
    model = image_model(folder / "model", options.image_architecture)
    data = stream_folder(folder / "data", 200_000)
    arguments = [str(model), str(data), str(folder / "home")]
    alone = _answer([sys.executable, "-c", MEMORY, *arguments, "model"])["megabytes"]
    whole = _answer([sys.executable, "-c", MEMORY, *arguments, "run"])["megabytes"]
    over = whole - alone
    yield _row(
        "memory over the model: 5,000 of 200,000 rows",
        f"{over:.0f} MB",
        f"{alone:.0f} MB",
        whole / alone,
        "< 300 MB",
        ok=over < 300,
    )


def cached(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Time runs with other metrics on cached features, including process start: ten models, 5,000 x 768.

    The second run computes the bootstrap of its headline, and the third finds the replicates in the cache.
    """
    models = wide_models(folder / "models", 10, 768)
    for classes in (10, 77):
        texts = text_file(folder / f"{classes}.jsonl", 5000, classes=classes)
        environment = {**os.environ, "HF_TRANSFER_SCORE_HOME": str(folder / "home")}
        command = [sys.executable, "-m", "hf_transfer_score", "rank", str(texts), "--json", "--quiet", "--models"]
        command += [str(model) for model in models]
        first = _wall([*command, "--metrics", "logme", "--replicates", "0"], environment)
        for what in ("second run", "third run"):
            seconds = _wall(command, environment)
            name = f"{what}: 10 models, K={classes}"
            yield _row(name, f"{seconds:.1f} s", f"{first:.1f} s", first / seconds, "< 10 s", ok=seconds < 10)


def _wall(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds = time.perf_counter() - start
    ranks = json.loads(done.stdout)["ranks"]
    assert len(ranks) == 10 and np.isfinite(list(ranks.values())).all()
    return seconds


def _answer(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
