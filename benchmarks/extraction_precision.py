"""The gain of `--dtype auto` and `--runtime auto` over float32, and their effect on orders: part of `extraction.py`.

A few hundred rows are timed, and the time of 5,000 is extrapolated: one trial of the first batch, including conversion
to OpenVINO, plus preparing and running as many batches as 5,000 rows have. The bare loop runs prepared batches of 32
rows in float32, texts sorted by length. The two take turns, and each batch counts with its fastest of several passes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from extraction_material import image_folder, image_model, text_file, text_model

ROWS, BATCH = 5_000, 32
ARCHITECTURES = ("resnet18", "resnet50", "vit_small_patch16_224", "convnext_tiny", "mobilenetv3_small_100")
BARS = {"images": {"torch": 1.8, "auto": 2.4}, "texts": {"torch": 1.6, "auto": 2.0}}
BAR_WITHOUT_HALF = 1.1  # where half precision is not faster, or the processor has none
NAMES = {"torch": "torch alone", "auto": "with OpenVINO"}
LEAST_TAU = 0.99


@dataclass
class Compared:
    """One model at 5,000 rows, by runtime.

    Attributes:
        ratio: speed relative to the bare loop.
        speeds: rows per second, ours and those of the bare loop.
        way: the choice, and how long it took.
        features: by layer; those of the bare loop under "float32".
    """

    ratio: dict[str, float] = field(default_factory=dict)
    speeds: dict[str, tuple[float, float]] = field(default_factory=dict)
    way: dict[str, str] = field(default_factory=dict)
    features: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


Row = Callable[..., tuple[str, ...]]


def _bars(what: str) -> dict[str, float]:
    """Return the bars of this machine, by runtime."""
    import torch

    from hf_transfer_score.features.runtimes import half_precision

    bars = BARS[what]
    return bars if half_precision(torch.device("cpu")) else dict.fromkeys(bars, BAR_WITHOUT_HALF)


def precision_of_images(options: Any, folder: Path, row: Row) -> Iterator[tuple[str, ...]]:
    """Yield one row per network and runtime, their means, and the agreement of the orders."""
    import torch

    from hf_transfer_score import BackboneOptions, SampleOptions, load_sample
    from hf_transfer_score.backbones import timm_images

    torch.set_num_threads(options.threads)
    count = options.examples
    images = load_sample(
        str(options.images or image_folder(folder / "images", count)), SampleOptions(max_samples=count)
    )
    pool = {}
    for name in ARCHITECTURES:
        place = image_model(folder / name, name)
        pool[name] = compared(
            [timm_images.KIND.load(place, images.task, BackboneOptions()) for _ in "ab"], images, options.rounds
        )
        yield from _speeds(name, pool[name], row)
    for runtime in pool["resnet18"].ratio:
        mean = math.prod(one.ratio[runtime] for one in pool.values()) ** (1 / len(pool))
        bar = _bars("images")[runtime]
        yield row(f"precision: mean of images, {NAMES[runtime]}", "", "", mean, f">= {bar}", ok=mean >= bar)
    yield from _orders("the example's networks", example_terms(folder), row)


def precision_of_texts(options: Any, folder: Path, row: Row) -> Iterator[tuple[str, ...]]:
    """Yield one row per runtime of MiniLM, and the agreement of the orders of its layers."""
    import torch

    from hf_transfer_score import BackboneOptions, SampleOptions, load_sample, score_features

    torch.set_num_threads(options.threads)
    count = 4 * options.examples
    texts = load_sample(
        str(options.texts or text_file(folder / "texts.jsonl", count)), SampleOptions(max_samples=count)
    )
    model = options.text_model or text_model(folder / "minilm")
    kind = _kind(model)
    one = compared([kind.load(Path(model), texts.task, BackboneOptions()) for _ in "ab"], texts, options.rounds)
    yield from _speeds("MiniLM", one, row, _bars("texts"))
    layers = compared(
        [kind.load(Path(model), texts.task, BackboneOptions(layer="all")) for _ in "ab"], texts, options.rounds
    )
    terms = {
        way: _joined([score_features(rows, texts.labels).results for rows in found.values()])
        for way, found in layers.features.items()
    }
    yield from _orders("layers of MiniLM", terms, row)


def _kind(model: Any) -> Any:
    from hf_transfer_score.backbones import hub_text, sentence_folders

    return sentence_folders.KIND if (Path(model) / "modules.json").exists() else hub_text.KIND


def compared(backbones: list[Any], sample: Any, rounds: int) -> Compared:
    """Run a model as it is, and copies of it as chosen for 5,000 rows: with torch alone, and with OpenVINO."""
    from hf_transfer_score import memory
    from hf_transfer_score.features.batches import SHARE_TRIED, Loader, cut, typical_first
    from hf_transfer_score.features.runtimes import is_installed

    bare, own = backbones
    loader, result = Loader(own, sample), Compared()
    order = np.concatenate(list(loader.windows()))
    usual = [loader.prepare(part) for part in cut(order, BATCH)]
    size = None if sample.task.modality == "text" else BATCH
    batches = [loader.prepare(part) for part in typical_first(loader.batches(order, size), SHARE_TRIED)]
    share = loader.share(batches[0].examples, order) * len(sample) / ROWS
    for runtime in ("torch", *(("auto",) if is_installed() else ())):
        start = time.perf_counter()
        with memory.kept():
            tried = _chosen(own, loader, batches[0], order[-2:], runtime, left=1 / share - 1)
        trying = time.perf_counter() - start
        seconds = {way: np.full(len(some), np.inf) for way, some in (("float32", usual), (runtime, batches))}
        for _ in range(rounds):
            found = {"float32": _timed(usual, lambda batch: _run(bare.forward, batch.inputs), seconds["float32"])}
            with memory.kept():
                found[runtime] = _timed(batches, partial(_prepared, loader, tried.forward), seconds[runtime])
        theirs, ours = (float(one.sum()) * ROWS / len(sample) for one in seconds.values())
        ours += trying
        if hasattr(tried.forward, "undo"):
            tried.forward.undo()
        result.ratio[runtime], result.speeds[runtime] = theirs / ours, (ROWS / ours, ROWS / theirs)
        result.way[runtime] = f"{tried.precision.runtime} {tried.precision.dtype}, chosen in {trying:.1f} s"
        for (way, parts), some in zip(found.items(), (usual, batches), strict=True):
            rows = {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
            places = np.argsort(np.concatenate([batch.examples for batch in some]))
            result.features[way] = {layer: values[places] for layer, values in rows.items()}
    return result


def _timed(batches: list[Any], run: Callable[[Any], Any], seconds: np.ndarray) -> list[Any]:
    """Run batches, and return the outputs; the shortest times are kept."""
    found = []
    for number, batch in enumerate(batches):
        start = time.perf_counter()
        found.append(run(batch))
        seconds[number] = min(seconds[number], time.perf_counter() - start)
    return found


def _prepared(loader: Any, forward: Any, batch: Any) -> dict[str, np.ndarray]:
    return _run(forward, loader.prepare(batch.examples).inputs)


def _chosen(backbone: Any, loader: Any, first: Any, others: np.ndarray, runtime: str, *, left: float) -> Any:
    """Return the choice for so much remaining work, in sizes of the first batch."""
    import torch

    from hf_transfer_score.features.precision import EXACT, TorchForward, Trial, Tried

    device = torch.device("cpu")
    forward = TorchForward(backbone, device)
    _run(forward, first.inputs)
    start = time.perf_counter()
    output = _run(forward, first.inputs), None
    seconds = time.perf_counter() - start
    trial = Trial(
        backbone,
        device,
        first.inputs,
        lambda: loader.prepare(others).inputs,
        lambda inputs, forward: (_run(forward, inputs), None),
        Tried(EXACT, forward, seconds, output, passes=2),
        left,
    )
    return trial.best("auto", runtime)[0]


def _run(forward: Any, inputs: Any) -> dict[str, np.ndarray]:
    import torch

    with torch.inference_mode():
        return {name: rows.float().numpy() for name, rows in forward(inputs).features.items()}


def _speeds(name: str, one: Compared, row: Row, bars: dict[str, float] | None = None) -> Iterator[tuple[str, ...]]:
    for runtime, ratio in one.ratio.items():
        ours, theirs = (f"{speed:.1f} rows/s" for speed in one.speeds[runtime])
        bar = f">= {bars[runtime]}" if bars else ""
        what = f"precision: {name} ({one.way[runtime]})"
        yield row(what, ours, theirs, ratio, bar, ok=bars is None or ratio >= bars[runtime])


Terms = dict[str, list[float]]
"""The values of each term of a metric for the models of a pool."""


def example_terms(folder: Path) -> dict[str, Terms]:
    """Return the terms of ten trained networks on the images of the example, in float32 and in half precision."""
    from hf_transfer_score import ExtractOptions, RankOptions, rank

    found = {}
    for way, dtype in (("float32", "float32"), ("torch", "bfloat16")):
        options = RankOptions(replicates=0, extract=ExtractOptions(dtype=dtype, device="cpu"))
        report = rank("example", options=options, folder=folder / dtype)
        found[way] = _joined([report.models[name].results for name in sorted(report.models)])
    return found


def _joined(results: list[Any]) -> Terms:
    found: Terms = {}
    for one in results:
        for metric, result in one.items():
            for term, value in result.terms.items():
                found.setdefault(f"{metric}.{term}", []).append(value)
    return found


def _orders(pool: str, terms: dict[str, Terms], row: Row) -> Iterator[tuple[str, ...]]:
    """Yield the lowest Kendall's tau of any term between the orders in float32 and in each other way."""
    from scipy.stats import kendalltau

    exact = terms["float32"]
    for way in [one for one in NAMES if one in terms]:
        taus = {}
        for term, values in terms[way].items():
            tau = kendalltau(exact[term], values).statistic
            taus[term] = 1.0 if np.isnan(tau) and values == exact[term] else float(tau)
        lowest = min(taus, key=taus.__getitem__)
        below = [term for term, tau in taus.items() if tau < LEAST_TAU]
        what = f"precision: order of {pool}, {NAMES[way]}: {', '.join(below) or lowest}"
        yield row(what, f"{len(taus)} terms", "", taus[lowest], f">= {LEAST_TAU}", ok=not below)
