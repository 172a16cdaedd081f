"""The gain of a GPU: extraction against bare passes, metrics, fine-tuning, and two candidates in parallel; one table.

python benchmarks/gpu.py                        # ten minutes at most; reports a missing GPU
python benchmarks/gpu.py --device cpu --quick   # the same on the CPU with little data; a minute

It needs the package and its benchmarks, but no network and no data: weights and images are random.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from extraction_material import image_folder, image_model

SECONDS = 600.0
"""Time limit for everything, in seconds."""

SHARE_FOR_NEXT = 0.75
"""After this share of the time, no further part starts."""

ROOT = Path(__file__).resolve().parents[1]
HEADER = ("what", "ours", "beside", "ratio")


@dataclass(frozen=True)
class Scale:
    """How much is measured: timm architectures, images per pass, rounds, and the size of features for metrics."""

    architectures: tuple[str, ...] = ("resnet50", "vit_base_patch16_224", "convnext_tiny")
    images: int = 4096
    rounds: int = 3
    rows: int = 20_000
    width: int = 1024
    classes: int = 100
    tuned_rows: int = 2000


QUICK = Scale(("resnet18", "vit_tiny_patch16_224"), 64, 1, 2000, 256, 10, 60)
Row = tuple[str, str, str, str]


def pictures(count: int) -> Any:
    """Return a sample of JPEGs of 256 x 256 pixels, 64 different ones."""
    from PIL import Image

    from hf_transfer_score.sampling.sample import memory_sample

    generator = np.random.default_rng(0)
    small = generator.integers(0, 255, size=(64, 16, 16, 3), dtype=np.uint8)
    images = []
    for one in small:
        buffer = io.BytesIO()
        Image.fromarray(one).resize((256, 256)).save(buffer, format="JPEG")
        images.append(Image.open(buffer))
    return memory_sample(
        "image-classification", [images[n % 64] for n in range(count)], [n % 10 for n in range(count)], name="pictures"
    )


def backbone_of(folder: Path, sample: Any) -> Any:
    """Return a timm network with random weights."""
    from hf_transfer_score import BackboneOptions
    from hf_transfer_score.backbones import timm_images

    return timm_images.load(folder, sample.task, BackboneOptions())


def extraction(device: str, scale: Scale, folder: Path) -> Iterator[Row]:
    """Yield the speed of extraction in bfloat16, and that of the same passes over prepared batches."""
    from hf_transfer_score import ExtractOptions
    from hf_transfer_score.features.batches import Loader, cut
    from hf_transfer_score.features.extract import extract

    sample = pictures(scale.images)
    options = ExtractOptions(dtype="bfloat16", device=device)
    for name in scale.architectures:
        backbone = backbone_of(image_model(folder / name, name), sample)
        size = extract(backbone, sample, None, options=options)["batch_size"]  # finds the batch size and warms up
        loader = Loader(backbone, sample)
        order = next(loader.windows())
        batches = [loader.prepare(part).inputs for part in cut(order, size)[:4]]
        bare, whole, alone = [], [], []
        for _ in range(scale.rounds):
            bare.append(_bare(backbone, batches, device))
            about = extract(backbone, sample, None, options=options)
            whole.append(len(sample) / about["seconds"])
            alone.append(about.get("measured_here", {}).get("examples_per_second", float("nan")))
        loop = statistics.median(bare)
        for what, rates in (("with decoding", whole), ("passes alone", alone)):
            ours = statistics.median(rates)
            yield (f"{name}, bf16, batches of {size}: {what}", f"{ours:,.1f}/s", f"{loop:,.1f}/s", f"{ours / loop:.2f}")


def _bare(backbone: Any, batches: list[Any], device: str) -> float:
    """Return images per second of a plain bfloat16 loop in channels_last layout over batches on the device."""
    import torch

    backbone.module.to(device, memory_format=torch.channels_last).eval()
    moved = [{name: _on(value, device) for name, value in batch.items()} for batch in batches]
    with torch.inference_mode(), torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
        _rows(backbone, moved[0])  # warms up
        start, rows = time.perf_counter(), 0
        for one in moved:
            rows += _rows(backbone, one)
        seconds = time.perf_counter() - start
    backbone.module.to(memory_format=torch.contiguous_format)
    return rows / seconds


def _on(value: Any, device: str) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    layout = torch.channels_last if value.ndim == 4 else torch.preserve_format
    return value.to(device, memory_format=layout)


def _rows(backbone: Any, batch: Any) -> int:
    """Run a batch, wait for its features, and return the number of rows."""
    (features,) = backbone.forward(batch).features.values()
    return len(features.float().cpu())


def metrics(device: str, scale: Scale, folder: Path) -> Iterator[Row]:
    """Yield the time of the usual metrics on the CPU, where they run, and of their largest step on the device."""
    import torch

    from hf_transfer_score import score_features

    generator = np.random.default_rng(0)
    labels = np.arange(scale.rows) % scale.classes
    centres = generator.normal(size=(scale.classes, scale.width))
    features = (generator.normal(size=(scale.rows, scale.width)) + centres[labels]).astype(np.float32)
    start = time.perf_counter()
    score_features(features, labels, metrics=["ncti", "face", "logme", "knn", "linear_probe", "parc", "reg_hscore"])
    usual = time.perf_counter() - start
    what = f"{scale.rows:,} x {scale.width}"
    yield (f"metrics of {what}: the usual seven", f"{usual:.2f} s", "-", "-")
    wide = features.astype(np.float64)

    def step(values: Any, eigh: Callable[[Any], Any]) -> float:
        return float(eigh(values.T @ values)[0][0])

    start = time.perf_counter()
    step(wide, np.linalg.eigh)
    here = time.perf_counter() - start
    step(torch.eye(8, dtype=torch.float64, device=device), torch.linalg.eigh)  # warms up
    start = time.perf_counter()
    step(torch.as_tensor(wide, device=device), torch.linalg.eigh)
    there = time.perf_counter() - start
    yield (
        f"metrics of {what}: covariance and its eigenvalues",
        f"{here:.2f} s",
        f"{there:.2f} s on {device}",
        f"{there / here:.2f}",
    )


def verifying(device: str, scale: Scale, folder: Path) -> Iterator[Row]:
    """Yield how long `verify` takes to fine-tune two networks for two passes."""
    from hf_transfer_score import ExtractOptions, RankOptions, SampleOptions, VerifyOptions, verify

    data = image_folder(folder / "images", scale.tuned_rows * 2)
    names = [str(image_model(folder / f"tuned-{name}", name)) for name in scale.architectures[:2]]
    changes = {"learning_rates": (1e-3,), "epochs": 2, "device": device}
    report = verify(
        str(data),
        names,
        options=RankOptions(
            SampleOptions(max_samples=scale.tuned_rows), extract=ExtractOptions(device=device), replicates=0
        ),
        how=VerifyOptions(seeds=(0,), changes=changes, test_samples=min(1000, scale.tuned_rows)),
        folder=folder / "verify",
    )
    for name, one in report.models.items():
        if not one.measured:
            yield (f"verify {Path(name).name}", "failed", str(one.reason), "-")
            continue
        seconds = sum(result.seconds for result in one.measured.values())
        rate = 2 * scale.tuned_rows * 0.8 / seconds
        yield (f"verify {Path(name).name}: full, two passes", f"{seconds:.1f} s", f"{rate:,.1f} images/s", "-")


def side_by_side(device: str, scale: Scale, folder: Path) -> Iterator[Row]:
    """Yield images per second of two processes on one device, and of one."""
    name = scale.architectures[0]
    model = image_model(folder / f"beside-{name}", name)
    (alone,) = _at_once(device, scale, model, 1)
    together = _at_once(device, scale, model, 2)
    yield (
        f"two candidates at a time ({name}), with decoding",
        f"{sum(together):,.1f}/s",
        f"{alone:,.1f}/s one at a time",
        f"{sum(together) / alone:.2f}",
    )


def _at_once(device: str, scale: Scale, model: Path, count: int) -> list[float]:
    """Return images per second of each of several processes that start together."""
    command = [sys.executable, __file__, "--device", device, "--images", str(scale.images), "--read", str(model)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(count)
    ]
    for one in running:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    return [json.loads(out) for out in _answers(running)]


def _answers(running: list[subprocess.Popen[str]]) -> list[str]:
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [one.communicate()[0] for one in running]


def read(device: str, images: int, model: Path) -> None:
    """Extract features once to warm up, report it, wait, extract them again, and print images per second."""
    from hf_transfer_score import ExtractOptions
    from hf_transfer_score.features.extract import extract

    sample = pictures(images)
    backbone, options = backbone_of(model, sample), ExtractOptions(dtype="bfloat16", device=device)
    extract(backbone, sample, None, options=options)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(len(sample) / extract(backbone, sample, None, options=options)["seconds"]), flush=True)


PARTS = {one.__name__: one for one in (extraction, metrics, verifying, side_by_side)}


def measure(device: str, scale: Scale, parts: list[str]) -> list[Row]:
    """Return the rows of all parts within the time limit; a part that fails is a row with the reason."""
    start, rows = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for part in (PARTS[name] for name in parts):
            if time.perf_counter() - start > SHARE_FOR_NEXT * SECONDS:
                rows.append((part.__name__.replace("_", " "), "left out", "the time is over", "-"))
                continue
            try:
                rows += part(device, scale, Path(folder))
            except Exception as error:  # noqa: BLE001  # the other parts are still useful
                rows.append((part.__name__.replace("_", " "), "failed", f"{type(error).__name__}: {error}"[:200], "-"))
    return rows


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="a torch device; default: CUDA if available")
    parser.add_argument("--quick", action="store_true", help="use little data, as a test")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--images", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    import datasets
    import torch

    datasets.disable_progress_bars()
    device = arguments.device or ("cuda" if torch.cuda.is_available() else None)
    if device is None:
        print("There is no GPU here that torch can use; --device cpu --quick shows the same on the processor.")
        return 0
    if arguments.read is not None:
        read(device, arguments.images, arguments.read)
        return 0
    from rich.console import Console
    from rich.table import Table

    from hf_transfer_score.features.runtimes import machine_name

    table = Table(*HEADER, title=machine_name(torch.device(device)))
    for row in measure(device, QUICK if arguments.quick else Scale(), arguments.parts):
        table.add_row(*row)
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
