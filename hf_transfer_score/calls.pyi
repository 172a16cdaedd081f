"""The signatures of calls.py; written by docs/generate.py from the dataclasses of options."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.choosing.adaptive import AdaptiveOptions
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.options import Budget, ChooseOptions, RacedMethod
from hf_transfer_score.choosing.result import Choice
from hf_transfer_score.engines.base import Engine
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.metrics.scores import MetricChoice
from hf_transfer_score.runs.layers import LayerProfile
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import Plan
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.verified import VerifyOptions, VerifyReport
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.tasks import Method

def rank(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    folder: str | Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
    engine: str | Engine = "here",
    progress: bool | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    task: str | None = None,
    label_column: str | None = None,
    input_columns: str | list[str] | tuple[str, ...] = (),
    max_samples: int = 5000,
    per_class: int | None = None,
    rows_per_example: int = 16,
    ignore_values: int | list[int] | tuple[int, ...] = (255,),
    seed: int = 0,
    full_pass: bool = False,
    max_rows: int | None = None,
    dataset_name: str | None = None,
    pooling: str = "auto",
    layer: int | str = "last",
    max_length: int | None = None,
    subword: str = "first",
    image_size: int | None = None,
    quantize: str | None = None,
    device_map: str | None = None,
    dtype: str = "auto",
    runtime: str = "auto",
    batch_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_parameters: int | None = None,
    min_throughput: float | None = None,
    trust_remote_code: str | list[str] | tuple[str, ...] = (),
    allow_pickle: str | list[str] | tuple[str, ...] = (),
    free_disk: bool = False,
    refresh: bool = False,
    replicates: int = 100,
    level: float = 0.9,
) -> RankReport:
    """Rank checkpoints for a labelled dataset, by one forward pass of each over a sample.

    A checkpoint that cannot be scored is a model with status "failed" and the reason. Features are kept, so a second
    call with other metrics runs no model and needs no network. Under `accelerate launch` all processes make the same
    call, and each returns the same report.

    Args:
        dataset: an id on the Hub, a folder or file; a `Dataset` or `IterableDataset` of `datasets`, or a dictionary of
            splits or columns; a pandas DataFrame, a map-style dataset of torch or a list with items (image or text,
            label), or (inputs, labels); a sample that was drawn before; or "example", which ships with the package.
        models: ids on the Hub ("owner/name", "owner/name@revision"), folders, and models in memory: objects of timm,
            transformers and sentence-transformers, (model, processor), or (name, module, transform) for any module.
            "example" stands for the checkpoints that ship with the package, which are also the default for the dataset
            "example".
        options: what is sampled, how features are read, and how rank ranges are computed.
        metrics: names or configured metrics; None for the default ones. Trivial baselines are always added.
        headline: metrics whose mean rank is the order; None for the forecast that all metrics make together.
        search: a search of the Hub for more candidates.
        listener: a listener for progress events.
        folder: where samples and features are kept; None for the default place.
        results: stored results for the forecast to use: folders, or OWNER/NAME of dataset repositories.
        engine: where candidates run: a name, or an engine from `open_engine`, which stays open. It changes no score.
        progress: whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is
            1.
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn; of the bootstrap.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        layer: last, mean (of all layers), all (each layer by itself), or the number of a layer; 0 is the
            embeddings.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another
            size; without it the checkpoint's own size.
        quantize: read with weights of 8bit or 4bit, by bitsandbytes (`pip install hf-transfer-score[quantized]`).
        device_map: auto spreads a model that fits no single device over GPUs, memory and disk; or the most memory
            of each, such as 0=20GB,cpu=30GB.
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto,
            OpenVINO is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the
            conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is
            one.
        threads: threads that decode and preprocess; without it one per core.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.
        replicates: bootstrap replicates for the rank ranges; 0 for none.
        level: the share of replicates that a rank range covers.

    Example:
        >>> from hf_transfer_score import rank
        >>> models = ["example/resnet-pretrained", "example/mambaout-untrained"]
        >>> ranking = rank("example", models, max_samples=100, device="cpu", progress=False)
        >>> ranking.best.name, list(ranking.ranks.values())
        ('resnet-pretrained', [1, 2])

    Raises:
        DatasetError: the dataset cannot be sampled.
        HubError: the search found nothing.
        OptionError: an option makes no sense.
        Interrupted: the run was interrupted; a KeyboardInterrupt with a report of the finished candidates.
    """

def plan_rank(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    task: str | None = None,
    label_column: str | None = None,
    input_columns: str | list[str] | tuple[str, ...] = (),
    max_samples: int = 5000,
    per_class: int | None = None,
    rows_per_example: int = 16,
    ignore_values: int | list[int] | tuple[int, ...] = (255,),
    seed: int = 0,
    full_pass: bool = False,
    max_rows: int | None = None,
    dataset_name: str | None = None,
    pooling: str = "auto",
    layer: int | str = "last",
    max_length: int | None = None,
    subword: str = "first",
    image_size: int | None = None,
    quantize: str | None = None,
    device_map: str | None = None,
    dtype: str = "auto",
    runtime: str = "auto",
    batch_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_parameters: int | None = None,
    min_throughput: float | None = None,
    trust_remote_code: str | list[str] | tuple[str, ...] = (),
    allow_pickle: str | list[str] | tuple[str, ...] = (),
    free_disk: bool = False,
    refresh: bool = False,
    replicates: int = 100,
    level: float = 0.9,
) -> Plan:
    """Return what `rank` with the same arguments would do; the sample is drawn and kept, no weights are downloaded.

    Args:
        dataset: as for `rank`, like all other arguments.
        models: the candidates.
        options: how they are ranked.
        metrics: what they are ranked by.
        headline: the metrics that decide the order.
        search: a search of the Hub for more candidates.
        listener: a listener for progress events.
        folder: where samples and features are kept.
        progress: whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is
            1.
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn; of the bootstrap.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        layer: last, mean (of all layers), all (each layer by itself), or the number of a layer; 0 is the
            embeddings.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another
            size; without it the checkpoint's own size.
        quantize: read with weights of 8bit or 4bit, by bitsandbytes (`pip install hf-transfer-score[quantized]`).
        device_map: auto spreads a model that fits no single device over GPUs, memory and disk; or the most memory
            of each, such as 0=20GB,cpu=30GB.
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto,
            OpenVINO is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the
            conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is
            one.
        threads: threads that decode and preprocess; without it one per core.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.
        replicates: bootstrap replicates for the rank ranges; 0 for none.
        level: the share of replicates that a rank range covers.

    Example:
        >>> from hf_transfer_score import plan_rank
        >>> plan = plan_rank("example", ["example/vit-few-steps"], max_samples=100, refresh=True, progress=False)
        >>> [model.name for model in plan.models], plan.download_bytes
        (['vit-few-steps'], 0)
    """

def rank_adaptively(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    until: AdaptiveOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
    progress: bool | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    task: str | None = None,
    label_column: str | None = None,
    input_columns: str | list[str] | tuple[str, ...] = (),
    max_samples: int = 5000,
    per_class: int | None = None,
    rows_per_example: int = 16,
    ignore_values: int | list[int] | tuple[int, ...] = (255,),
    seed: int = 0,
    full_pass: bool = False,
    max_rows: int | None = None,
    dataset_name: str | None = None,
    pooling: str = "auto",
    max_length: int | None = None,
    subword: str = "first",
    image_size: int | None = None,
    quantize: str | None = None,
    device_map: str | None = None,
    dtype: str = "auto",
    runtime: str = "auto",
    batch_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_parameters: int | None = None,
    min_throughput: float | None = None,
    trust_remote_code: str | list[str] | tuple[str, ...] = (),
    allow_pickle: str | list[str] | tuple[str, ...] = (),
    free_disk: bool = False,
    refresh: bool = False,
    first: int | None = None,
    confidence: float = 0.8,
    first_rows: int = 256,
) -> RankReport:
    """Rank checkpoints with as many rows of a sample as it takes; a note says how many, and why.

    Args:
        dataset: as for `rank`, but no sample; so are models, options, search, folder and results.
        models: the candidates.
        options: what is sampled at most, and how features are read.
        until: when there are enough rows.
        search: a search of the Hub for more candidates.
        heard: a listener for progress events.
        folder: where samples and features are kept.
        results: stored results for the forecast to use.
        progress: whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is
            1.
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn; of the bootstrap.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another
            size; without it the checkpoint's own size.
        quantize: read with weights of 8bit or 4bit, by bitsandbytes (`pip install hf-transfer-score[quantized]`).
        device_map: auto spreads a model that fits no single device over GPUs, memory and disk; or the most memory
            of each, such as 0=20GB,cpu=30GB.
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto,
            OpenVINO is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the
            conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is
            one.
        threads: threads that decode and preprocess; without it one per core.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.
        first: how many of the first models have to be clear, in any order; None for the order of all.
        confidence: the least probability that all rows would give the same; most rankings stop well above it.
        first_rows: rows that are read first; each further step has 1.4 times as many.

    Raises:
        OptionError: the task has no class per example, or an option makes no sense.
        DatasetError: the dataset cannot be sampled.
        Interrupted: it was interrupted; its report is the last one so far.

    Example:
        >>> from hf_transfer_score import rank_adaptively
        >>> pair = ["example/vit-few-steps", "example/vit-pretrained"]
        >>> ranking = rank_adaptively("example", pair, first=1, first_rows=100, progress=False)
        >>> ranking.best.name, len(ranking.sample)
        ('vit-pretrained', 100)
    """

def verify(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    how: VerifyOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    heard: VerifyListener | None = None,
    folder: str | Path | None = None,
    save: str | Path | None = None,
    engine: str | Engine = "here",
    progress: bool | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    task: str | None = None,
    label_column: str | None = None,
    input_columns: str | list[str] | tuple[str, ...] = (),
    max_samples: int = 5000,
    per_class: int | None = None,
    rows_per_example: int = 16,
    ignore_values: int | list[int] | tuple[int, ...] = (255,),
    seed: int = 0,
    full_pass: bool = False,
    max_rows: int | None = None,
    dataset_name: str | None = None,
    pooling: str = "auto",
    layer: int | str = "last",
    max_length: int | None = None,
    subword: str = "first",
    image_size: int | None = None,
    dtype: str = "auto",
    runtime: str = "auto",
    batch_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_parameters: int | None = None,
    min_throughput: float | None = None,
    trust_remote_code: str | list[str] | tuple[str, ...] = (),
    allow_pickle: str | list[str] | tuple[str, ...] = (),
    free_disk: bool = False,
    refresh: bool = False,
    replicates: int = 100,
    level: float = 0.9,
    method: Method = "full",
    recipe: Recipe | None = None,
    changes: Mapping[str, Any] = ...,
    top: int = 12,
    seeds: int | list[int] | tuple[int, ...] = (0, 1, 2),
    test_split: str | None = None,
    test_samples: int = 1000,
    learning_rates: float | list[float] | tuple[float, ...] = ...,
    epochs: int = ...,
    steps: int | None = ...,
    train_batch_size: int = ...,
    weight_decay: float = ...,
    warmup_share: float = ...,
    head_factor: float = ...,
    patience: int | None = ...,
    validation_share: float = ...,
    penalties: float | list[float] | tuple[float, ...] = ...,
    train_layer: str | int = ...,
    skip: Literal["pad", "interpolate"] = ...,
    lora_rank: int = ...,
    lora_alpha: float = ...,
    precision: str = ...,
) -> VerifyReport:
    """Rank checkpoints for a dataset, fine-tune the best on the same sample, and tell how well the ranking predicted.

    A candidate that cannot be fine-tuned is a row with the reason. Ctrl-C ends the fine-tuning; the report holds the
    accuracies so far. With `save`, each accuracy is stored at once, and none is measured twice.

    Args:
        dataset: as for `rank`, but no sample: test rows are drawn too. So are models, options, metrics, headline,
            search, listener and folder.
        models: the candidates.
        options: how they are ranked.
        how: how they are fine-tuned and tested.
        metrics: what they are ranked by.
        headline: the metrics that decide the order.
        search: a search of the Hub for more candidates.
        listener: a listener for progress events of the ranking.
        heard: a listener for progress events of the fine-tuning.
        folder: where samples and features are kept.
        save: a folder for the records of scores and accuracies.
        engine: where candidates are scored and fine-tuned, as for `rank`.
        progress: whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is
            1.
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn; of the bootstrap.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        layer: last, mean (of all layers), all (each layer by itself), or the number of a layer; 0 is the
            embeddings.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another
            size; without it the checkpoint's own size.
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto,
            OpenVINO is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the
            conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is
            one; where to compute, as torch names it; None for an accelerator if there is one.
        threads: threads that decode and preprocess; without it one per core.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.
        replicates: bootstrap replicates for the rank ranges; 0 for none.
        level: the share of replicates that a rank range covers.
        method: "probe", "full", "layer", "scl" or "lora".
        recipe: the training recipe; None for the default of the modality and method.
        changes: fields of the recipe by name, with their new values.
        top: how many of the best-ranked candidates are fine-tuned.
        seeds: one measurement for each.
        test_split: the split to test on; None for one called test or validation, else the rows outside the sample.
        test_samples: test rows at most.
        learning_rates: of AdamW; each is tried, and the best on the validation part counts. Not used by a probe.
        epochs: maximum number of passes over the training part.
        steps: maximum number of optimiser steps, None for as many as the epochs take.
        train_batch_size: examples per step.
        weight_decay: of AdamW, on matrices only; biases and norms have none.
        warmup_share: share of the steps over which the learning rate rises; then it falls as a cosine.
        head_factor: the new classifier's learning rate is so many times that of the weights below it.
        patience: epochs without a gain on the validation part after which it stops; None never stops.
        validation_share: share of each class that is held back from training for these two choices.
        penalties: of a probe's logistic regression; each is tried. Not used by other methods.
        train_layer: the block of "layer" and "scl": "auto" for the one with the smallest NC1 on the training part,
            a name, or a number from 0.
        skip: how "scl" matches the width of the block's pooled output to the features: "pad" with zeros, or
            "interpolate".
        lora_rank: of the adapters of "lora": the size to which they reduce a layer's input.
        lora_alpha: the weight of an adapter's output, divided by its rank.
        precision: "float32", "bfloat16", or "auto": bfloat16 on CUDA, else float32.

    Example:
        >>> from hf_transfer_score import verify
        >>> models = ["example/resnet-pretrained", "example/mambaout-untrained"]
        >>> quick = {"max_samples": 100, "test_samples": 50, "method": "probe", "seeds": 0, "device": "cpu"}
        >>> report = verify("example", models, **quick, progress=False)
        >>> [(name, one.status) for name, one in report.models.items()]
        [('resnet-pretrained', 'ok'), ('mambaout-untrained', 'ok')]

    Raises:
        OptionError: the task cannot be fine-tuned, or an option makes no sense.
        DatasetError: the dataset cannot be sampled, or no row is left to test on.
        Interrupted: the run was interrupted during the ranking.
    """

def choose(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    how: ChooseOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: str | Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
    save: str | Path | None = None,
    progress: bool | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    task: str | None = None,
    label_column: str | None = None,
    input_columns: str | list[str] | tuple[str, ...] = (),
    max_samples: int = 5000,
    per_class: int | None = None,
    rows_per_example: int = 16,
    ignore_values: int | list[int] | tuple[int, ...] = (255,),
    seed: int = 0,
    full_pass: bool = False,
    max_rows: int | None = None,
    dataset_name: str | None = None,
    pooling: str = "auto",
    layer: int | str = "last",
    max_length: int | None = None,
    subword: str = "first",
    image_size: int | None = None,
    dtype: str = "auto",
    runtime: str = "auto",
    batch_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_parameters: int | None = None,
    min_throughput: float | None = None,
    trust_remote_code: str | list[str] | tuple[str, ...] = (),
    allow_pickle: str | list[str] | tuple[str, ...] = (),
    free_disk: bool = False,
    refresh: bool = False,
    budget: str | Budget = "3 fine-tunings",
    within: float = 0.5,
    confidence: float = 0.9,
    method: RacedMethod = "full",
    recipe: Recipe | None = None,
    changes: Mapping[str, Any] = ...,
    first_rows: int = 256,
    looks: int = 100,
    licenses: str | list[str] | tuple[str, ...] = (),
    test_split: str | None = None,
    test_samples: int = 1000,
    learning_rates: float | list[float] | tuple[float, ...] = ...,
    epochs: int = ...,
    steps: int | None = ...,
    train_batch_size: int = ...,
    weight_decay: float = ...,
    warmup_share: float = ...,
    head_factor: float = ...,
    patience: int | None = ...,
    validation_share: float = ...,
    penalties: float | list[float] | tuple[float, ...] = ...,
    train_layer: str | int = ...,
    skip: Literal["pad", "interpolate"] = ...,
    lora_rank: int = ...,
    lora_alpha: float = ...,
    precision: str = ...,
) -> Choice:
    """Choose one of many checkpoints for a labelled dataset, and fine-tune it, within a budget.

    All candidates read a few rows, then more, and those that are clearly worse are dropped. Finalists are fine-tuned
    in rounds, and the winner to the end. Ctrl-C gives the best answer so far. The same call resumes,
    and repeats no finished round.

    Args:
        dataset: as for `rank`, but no sample: test rows are drawn too. So are models, options, search and folder.
        models: the candidates.
        options: what is sampled, and how features are read.
        how: the budget, how sure it has to be, and how candidates are fine-tuned.
        search: a search of the Hub for more candidates.
        heard: a listener for progress events.
        folder: where samples, features and trainings are kept.
        results: stored results for the forecast to use: folders, or OWNER/NAME on the Hub.
        save: a folder for the records of scores and accuracies; None for one that later choices read.
        progress: whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is
            1.
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn; of the bootstrap; of the order of rows, and of dropout.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        layer: last, mean (of all layers), all (each layer by itself), or the number of a layer; 0 is the
            embeddings.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another
            size; without it the checkpoint's own size.
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto,
            OpenVINO is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the
            conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is
            one; where to compute, as torch names it; None for an accelerator if there is one.
        threads: threads that decode and preprocess; without it one per core.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.
        budget: what it may cost: a time such as 20m or 2h, or "3 fine-tunings" of one candidate by the whole
            recipe.
        within: points of accuracy that do not matter to you.
        confidence: how sure it has to be that no candidate is better by more than `within` points.
        method: how the winner is trained: "full", "layer", "scl" or "lora" fine-tuning, or a "probe".
        recipe: the training recipe; None for the default of the modality and method.
        changes: fields of that default by name, with their new values.
        first_rows: rows that each candidate reads first; the next step reads four times as many.
        looks: candidates whose weights are read at most; if there are more, those most likely to be the best.
        licenses: only candidates with one of these licences take part; empty for any licence.
        test_split: the split to test on; None for one called test or validation, else the rows outside the sample.
        test_samples: test rows at most.
        learning_rates: of AdamW; each is tried, and the best on the validation part counts. Not used by a probe.
        epochs: maximum number of passes over the training part.
        steps: maximum number of optimiser steps, None for as many as the epochs take.
        train_batch_size: examples per step.
        weight_decay: of AdamW, on matrices only; biases and norms have none.
        warmup_share: share of the steps over which the learning rate rises; then it falls as a cosine.
        head_factor: the new classifier's learning rate is so many times that of the weights below it.
        patience: epochs without a gain on the validation part after which it stops; None never stops.
        validation_share: share of each class that is held back from training for these two choices.
        penalties: of a probe's logistic regression; each is tried. Not used by other methods.
        train_layer: the block of "layer" and "scl": "auto" for the one with the smallest NC1 on the training part,
            a name, or a number from 0.
        skip: how "scl" matches the width of the block's pooled output to the features: "pad" with zeros, or
            "interpolate".
        lora_rank: of the adapters of "lora": the size to which they reduce a layer's input.
        lora_alpha: the weight of an adapter's output, divided by its rank.
        precision: "float32", "bfloat16", or "auto": bfloat16 on CUDA, else float32.

    Example:
        >>> from hf_transfer_score import choose
        >>> models = ["example/resnet-pretrained", "example/mambaout-untrained"]
        >>> quick = {"epochs": 2, "learning_rates": 1e-3, "max_samples": 100, "test_samples": 50, "device": "cpu"}
        >>> choice = choose("example", models, budget="10m", **quick, progress=False)
        >>> choice.winner, choice.rate
        ('resnet-pretrained', 0.001)

    Raises:
        OptionError: the task cannot be fine-tuned, or an option makes no sense.
        DatasetError: the dataset cannot be sampled, or no row is left to test on.
        Interrupted: it was interrupted before anything could be compared.
    """

def layers(
    dataset: Any,
    model: Any,
    *,
    options: RankOptions | None = None,
    listener: Listener | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    task: str | None = None,
    label_column: str | None = None,
    input_columns: str | list[str] | tuple[str, ...] = (),
    max_samples: int = 5000,
    per_class: int | None = None,
    rows_per_example: int = 16,
    ignore_values: int | list[int] | tuple[int, ...] = (255,),
    seed: int = 0,
    full_pass: bool = False,
    max_rows: int | None = None,
    dataset_name: str | None = None,
    pooling: str = "auto",
    max_length: int | None = None,
    subword: str = "first",
    image_size: int | None = None,
    quantize: str | None = None,
    device_map: str | None = None,
    dtype: str = "auto",
    runtime: str = "auto",
    batch_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_parameters: int | None = None,
    min_throughput: float | None = None,
    trust_remote_code: str | list[str] | tuple[str, ...] = (),
    allow_pickle: str | list[str] | tuple[str, ...] = (),
    free_disk: bool = False,
    refresh: bool = False,
) -> LayerProfile:
    """Return NC1 of each layer of a checkpoint on a labelled dataset, from one forward pass over a sample.

    Args:
        dataset: as for `rank`.
        model: an id on the Hub, a folder, or a model in memory, as for `rank`.
        options: as for `rank`; every layer is read, whatever `layer` says.
        listener: a listener for progress events.
        folder: where samples and features are kept; None for the default place.
        progress: whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is
            1.
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn; of the bootstrap.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
        pooling: auto is the documented default of each kind; cls, mean, last (token) or max.
        max_length: maximum number of tokens read from a text; without it the checkpoint's own, at most 512.
        subword: how a word's sub-words are combined in token classification: first or mean.
        image_size: width and height in pixels at which images are prepared, where the network can take another
            size; without it the checkpoint's own size.
        quantize: read with weights of 8bit or 4bit, by bitsandbytes (`pip install hf-transfer-score[quantized]`).
        device_map: auto spreads a model that fits no single device over GPUs, memory and disk; or the most memory
            of each, such as 0=20GB,cpu=30GB.
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto,
            OpenVINO is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the
            conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is
            one.
        threads: threads that decode and preprocess; without it one per core.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.

    Example:
        >>> from hf_transfer_score import layers
        >>> profile = layers("example", "example/vit-pretrained", max_samples=100, device="cpu", progress=False)
        >>> len(profile.rows), profile.best.layer in [row.layer for row in profile.rows]
        (3, True)

    Raises:
        CheckpointError: the checkpoint cannot be scored, or its layers cannot be read.
        DatasetError: the dataset cannot be sampled, or NC1 is not defined for any layer, such as without classes.
    """
