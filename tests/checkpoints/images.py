"""Tiny image checkpoints with random weights, saved by the libraries themselves."""

from pathlib import Path
from typing import Any

import torch
import transformers

CLASSES = 5

TRANSFORMER = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SMALL = {"image_size": 32, "patch_size": 8}
TOKENS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SIZE = {"height": 32, "width": 32}

MODELS = {
    "vit": "ViTForImageClassification",
    "deit": "DeiTForImageClassificationWithTeacher",
    "beit": "BeitForImageClassification",
    "convnext": "ConvNextForImageClassification",
    "swin": "SwinForImageClassification",
    "resnet": "ResNetForImageClassification",
    "dinov2": "Dinov2Model",
    "dinov3": "DINOv3ViTModel",
    "clip": "CLIPModel",
    "siglip": "SiglipModel",
    "vit_mae": "ViTMAEModel",
}
"""The library's own class for each checkpoint, without Auto classes."""


def model_of(name: str, folder: Path) -> Any:
    return getattr(transformers, MODELS[name]).from_pretrained(folder).eval()


def timm_image(folder: Path, architecture: str = "test_resnet", *, classes: int = CLASSES, seed: int = 0, **arguments):
    """Write a checkpoint of timm as `timm.models.push_to_hf_hub` does."""
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = timm.create_model(architecture, num_classes=classes, **arguments)
        livened(model)
    timm.models.save_for_hf(model, str(folder), safe_serialization=True)
    return folder


def livened(model: torch.nn.Module) -> None:
    """Randomise norms, biases and tokens too: their initial values hide many mistakes."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim < 2 or "token" in name or "pos_embed" in name or "embeddings" in name:
                value.add_(torch.randn_like(value) * 0.1)
            elif value.ndim == 2 and value.std() < 0.05:
                value.mul_(3)


def transformers_image(folder: Path, model: Any, processor: Any) -> Path:
    """Write a model of transformers with its image processor."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def built(model_class: Any, config: Any, seed: int) -> Any:
    """Return a model with random weights from a seed, without touching the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        livened(model)
    return model.eval()


def vit(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0, pooler: bool = False) -> Path:
    """Write a ViT with a classification head, or without one, then with or without its pooler."""
    config = transformers.ViTConfig(**TRANSFORMER, **SMALL, num_labels=classes)
    model = built(transformers.ViTForImageClassification if head else transformers.ViTModel, config, seed)
    if not head and not pooler:
        model.pooler = None
    return transformers_image(folder, model, transformers.ViTImageProcessor(size=SIZE))


def deit(folder: Path, *, classes: int = CLASSES, seed: int = 0) -> Path:
    """Write a DeiT with a distillation token and two heads."""
    config = transformers.DeiTConfig(**TRANSFORMER, **SMALL, num_labels=classes)
    model = built(transformers.DeiTForImageClassificationWithTeacher, config, seed)
    processor = transformers.DeiTImageProcessor(size={"height": 36, "width": 36}, crop_size=SIZE)
    return transformers_image(folder, model, processor)


def beit(folder: Path, *, classes: int = CLASSES, seed: int = 0) -> Path:
    config = transformers.BeitConfig(**TRANSFORMER, **SMALL, num_labels=classes)
    processor = transformers.BeitImageProcessor(size=SIZE, do_center_crop=False)
    return transformers_image(folder, built(transformers.BeitForImageClassification, config, seed), processor)


def dinov2(folder: Path, *, classes: int = CLASSES, head: bool = False, seed: int = 0) -> Path:
    """Write a DINOv2, which is mostly published without a head."""
    plain = {name: value for name, value in TRANSFORMER.items() if name != "intermediate_size"}
    config = transformers.Dinov2Config(**plain, **SMALL, num_labels=classes)
    model = built(transformers.Dinov2ForImageClassification if head else transformers.Dinov2Model, config, seed)
    processor = transformers.BitImageProcessor(size={"shortest_edge": 36}, crop_size=SIZE)
    return transformers_image(folder, model, processor)


def dinov3(folder: Path, *, seed: int = 0) -> Path:
    config = transformers.DINOv3ViTConfig(**TRANSFORMER, **SMALL, num_register_tokens=2)
    model = built(transformers.DINOv3ViTModel, config, seed)
    return transformers_image(folder, model, transformers.DINOv3ViTImageProcessor(size=SIZE))


def vit_mae(folder: Path, *, seed: int = 0) -> Path:
    """Write a masked autoencoder as it was pretrained, with its decoder."""
    decoder = {f"decoder_{name}": value for name, value in TRANSFORMER.items()}
    config = transformers.ViTMAEConfig(**TRANSFORMER, **SMALL, **decoder)
    model = built(transformers.ViTMAEForPreTraining, config, seed)
    return transformers_image(folder, model, transformers.ViTImageProcessor(size=SIZE))


def convnext(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0) -> Path:
    """Write a ConvNeXt with or without its head."""
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_labels=classes)
    model = built(transformers.ConvNextForImageClassification if head else transformers.ConvNextModel, config, seed)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875)
    return transformers_image(folder, model, processor)


def swin(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0) -> Path:
    """Write a Swin with or without its head."""
    shape = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [2, 2], "window_size": 4}
    config = transformers.SwinConfig(**shape, num_labels=classes)
    model = built(transformers.SwinForImageClassification if head else transformers.SwinModel, config, seed)
    return transformers_image(folder, model, transformers.ViTImageProcessor(size=SIZE))


def resnet(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0) -> Path:
    """Write a ResNet with or without its head."""
    shape = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    config = transformers.ResNetConfig(**shape, num_labels=classes)
    model = built(transformers.ResNetForImageClassification if head else transformers.ResNetModel, config, seed)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875)
    return transformers_image(folder, model, processor)


def clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a CLIP with both towers, without a tokenizer."""
    text = TRANSFORMER | {"vocab_size": 50, "max_position_embeddings": 16, "projection_dim": 12, **TOKENS}
    vision = {**TRANSFORMER, **SMALL, "projection_dim": 12}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE)
    return transformers_image(folder, built(transformers.CLIPModel, config, seed), processor)


def siglip(folder: Path, *, seed: int = 0) -> Path:
    """Write a SigLIP with both towers, without a tokenizer."""
    text = TRANSFORMER | {"vocab_size": 50, "max_position_embeddings": 16, "projection_size": 24, **TOKENS}
    config = transformers.SiglipConfig(text_config=text, vision_config={**TRANSFORMER, **SMALL})
    model = built(transformers.SiglipModel, config, seed)
    return transformers_image(folder, model, transformers.SiglipImageProcessor(size=SIZE))
