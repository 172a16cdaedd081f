"""Tables of a community that is made up: models of families, measured on datasets, with metrics that see part of it."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FAMILIES = ("vit", "swin", "resnet", "mixer", "poolformer")
DATASETS = tuple(f"owner/set-{number}" for number in range(8))
TARGET = DATASETS[0]


@dataclass
class Community:
    """What a seed gives: accuracies of all models on all datasets, and two metrics of each."""

    seed: int = 0
    models: int = 40
    accuracies: dict[tuple[str, str], float] = field(default_factory=dict)
    scores: dict[tuple[str, str, str], float] = field(default_factory=dict)
    facts: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(self.seed)
        good = dict(zip(FAMILIES, generator.normal(0, 0.8, len(FAMILIES)), strict=True))
        for number in range(self.models):
            family = FAMILIES[number % len(FAMILIES)]
            name = f"owner/{family}-{number}"
            size = int(10 ** generator.uniform(6.5, 8.4))
            self.facts[name] = {"family": family, "parameters": size, "pretrained_on": "imagenet-1k"}
            own = good[family] + generator.normal(0, 0.6)
            for place, dataset in enumerate(DATASETS):
                quality = own + generator.normal(0, 0.5)
                self.accuracies[name, dataset] = round(float(0.8 + 0.03 * place / 8 + 0.04 * np.tanh(quality / 2)), 4)
                for metric, noise in (("logme", 1.0), ("theirs", 3.0)):
                    self.scores[name, dataset, metric] = round(float(quality + generator.normal(0, noise)), 4)

    @property
    def truth(self) -> dict[str, float]:
        """Accuracies on the target."""
        return {name: value for (name, dataset), value in self.accuracies.items() if dataset == TARGET}

    def write(self, folder: Path, *, hidden: tuple[str, ...] = (TARGET,)) -> tuple[Path, Path, Path]:
        """Write tables of accuracies, scores and facts, without the accuracies on some datasets."""
        truth = [
            {"model": name, "dataset": dataset, "method": "full", "accuracy": value}
            for (name, dataset), value in self.accuracies.items()
            if dataset not in hidden
        ]
        scores = [
            {"model": name, "dataset": dataset, "metric": metric, "value": value}
            for (name, dataset, metric), value in self.scores.items()
        ]
        facts = [{"model": name, **told} for name, told in self.facts.items()]
        return (
            write_table(folder / "truth.csv", truth),
            write_table(folder / "scores.csv", scores),
            write_table(folder / "facts.csv", facts),
        )


def write_table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
