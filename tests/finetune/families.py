"""Tiny networks with random weights, one of each family that fine-tuning has to be right for."""

from collections.abc import Callable
from pathlib import Path

import torch

from tests.checkpoints import images, sounds, texts

Writer = Callable[[Path], Path]


def timm_small(architecture: str, **arguments: object) -> Writer:
    """Return what writes a network of timm for pictures of 64 pixels."""
    overlay = {"input_size": (3, 64, 64), "crop_pct": 1.0}
    return lambda folder: images.timm_image(folder, architecture, pretrained_cfg_overlay=overlay, **arguments)


def regnet(folder: Path) -> Path:
    from transformers import ConvNextImageProcessor, RegNetConfig, RegNetForImageClassification

    config = RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], groups_width=4, num_labels=5)
    model = images.built(RegNetForImageClassification, config, 0)
    return images.transformers_image(folder, model, ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875))


def mobilenet(folder: Path) -> Path:
    """Write a MobileNetV1 as its authors trained it: dropout of 0.999 before the head, momentum of 0.9997.

    Its batch norms have seen a batch; with the statistics they begin with, nothing would reach the last layer.
    """
    from transformers import MobileNetV1Config, MobileNetV1ForImageClassification, MobileNetV1ImageProcessor

    config = MobileNetV1Config(image_size=32, depth_multiplier=0.25, min_depth=8, num_labels=5)
    model = images.built(MobileNetV1ForImageClassification, config, 0).train()
    with torch.no_grad():
        model(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    model.eval()
    processor = MobileNetV1ImageProcessor(size={"shortest_edge": 32}, crop_size=images.SIZE)
    return images.transformers_image(folder, model, processor)


def data2vec(folder: Path) -> Path:
    """Write a data2vec for images without a head; it has a class token and reads the mean over places."""
    from transformers import BeitImageProcessor, Data2VecVisionConfig, Data2VecVisionModel

    config = Data2VecVisionConfig(**{**images.TRANSFORMER, "num_hidden_layers": 4}, **images.SMALL)
    model = images.built(Data2VecVisionModel, config, 1)
    return images.transformers_image(folder, model, BeitImageProcessor(size=images.SIZE, do_center_crop=False))


IMAGES: dict[str, tuple[Writer, str]] = {
    "resnet": (images.resnet, "hub_vision"),
    "regnet": (regnet, "hub_vision"),
    "vit": (images.vit, "hub_vision"),
    "beit": (images.beit, "hub_vision"),
    "data2vec": (data2vec, "hub_vision"),
    "dinov2": (lambda folder: images.dinov2(folder, head=True), "hub_vision"),
    "convnext": (images.convnext, "hub_vision"),
    "swin": (images.swin, "hub_vision"),
    "mobilenet": (mobilenet, "hub_vision"),
    "timm resnet": (timm_small("test_resnet"), "timm_images"),
    "timm byobnet": (timm_small("test_byobnet"), "timm_images"),
    "timm efficientnet": (timm_small("test_efficientnet"), "timm_images"),
    "timm nfnet": (timm_small("test_nfnet"), "timm_images"),
    "timm vit": (timm_small("test_vit", img_size=64), "timm_images"),
}
TEXTS = {
    "bert": texts.write_text,
    "bert with a head": lambda folder: texts.write_text(folder, head="ForSequenceClassification", num_labels=3),
    "gpt2": lambda folder: texts.write_text(folder, "gpt2"),
    "t5": lambda folder: texts.write_text(folder, "t5"),
}
SOUNDS = {
    "wav2vec2": sounds.write_sound,
    "wav2vec2 with a head": lambda folder: sounds.write_sound(folder, head="ForSequenceClassification", num_labels=3),
    "whisper": lambda folder: sounds.write_sound(folder, "whisper"),
}
