"""Tiny image checkpoints with random weights, written by the libraries as they are saved and pushed to the Hub."""

from pathlib import Path
from typing import Any

import torch

CLASSES = 5


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
    """Give norms, biases and tokens random values too: as they start out, many mistakes with them do not show."""
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


TRANSFORMER = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SMALL = {"image_size": 32, "patch_size": 8}
TOKENS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SIZE = {"height": 32, "width": 32}


def vit(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0, pooler: bool = False) -> Path:
    """Write a ViT with a head for classification, or without one, then with or without its pooler."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTModel

    config = ViTConfig(**TRANSFORMER, **SMALL, num_labels=classes)
    model = built(ViTForImageClassification if head else ViTModel, config, seed)
    if not head and not pooler:
        model.pooler = None
    return transformers_image(folder, model, ViTImageProcessor(size=SIZE))


def deit(folder: Path, *, classes: int = CLASSES, seed: int = 0) -> Path:
    """Write a DeiT with a distillation token and two heads."""
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher, DeiTImageProcessor

    config = DeiTConfig(**TRANSFORMER, **SMALL, num_labels=classes)
    processor = DeiTImageProcessor(size={"height": 36, "width": 36}, crop_size=SIZE)
    return transformers_image(folder, built(DeiTForImageClassificationWithTeacher, config, seed), processor)


def beit(folder: Path, *, classes: int = CLASSES, seed: int = 0) -> Path:
    """Write a BEiT with a head."""
    from transformers import BeitConfig, BeitForImageClassification, BeitImageProcessor

    config = BeitConfig(**TRANSFORMER, **SMALL, num_labels=classes)
    processor = BeitImageProcessor(size=SIZE, do_center_crop=False)
    return transformers_image(folder, built(BeitForImageClassification, config, seed), processor)


def dinov2(folder: Path, *, classes: int = CLASSES, head: bool = False, seed: int = 0) -> Path:
    """Write a DINOv2, which is published without a head mostly."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2ForImageClassification, Dinov2Model

    plain = {name: value for name, value in TRANSFORMER.items() if name != "intermediate_size"}
    config = Dinov2Config(**plain, **SMALL, num_labels=classes)
    model = built(Dinov2ForImageClassification if head else Dinov2Model, config, seed)
    return transformers_image(folder, model, BitImageProcessor(size={"shortest_edge": 36}, crop_size=SIZE))


def dinov3(folder: Path, *, seed: int = 0) -> Path:
    """Write a DINOv3 with register tokens."""
    from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

    config = DINOv3ViTConfig(**TRANSFORMER, **SMALL, num_register_tokens=2)
    return transformers_image(folder, built(DINOv3ViTModel, config, seed), DINOv3ViTImageProcessor(size=SIZE))


def vit_mae(folder: Path, *, seed: int = 0) -> Path:
    """Write a masked autoencoder as it was pretrained, with its decoder."""
    from transformers import ViTImageProcessor, ViTMAEConfig, ViTMAEForPreTraining

    decoder = {f"decoder_{name}": value for name, value in TRANSFORMER.items()}
    config = ViTMAEConfig(**TRANSFORMER, **SMALL, **decoder)
    return transformers_image(folder, built(ViTMAEForPreTraining, config, seed), ViTImageProcessor(size=SIZE))


def convnext(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0) -> Path:
    """Write a ConvNeXt with or without its head."""
    from transformers import ConvNextConfig, ConvNextForImageClassification, ConvNextImageProcessor, ConvNextModel

    config = ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_labels=classes)
    model = built(ConvNextForImageClassification if head else ConvNextModel, config, seed)
    return transformers_image(folder, model, ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875))


def swin(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0) -> Path:
    """Write a Swin with or without its head."""
    from transformers import SwinConfig, SwinForImageClassification, SwinModel, ViTImageProcessor

    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 2], num_heads=[2, 2], window_size=4, num_labels=classes
    )
    model = built(SwinForImageClassification if head else SwinModel, config, seed)
    return transformers_image(folder, model, ViTImageProcessor(size=SIZE))


def resnet(folder: Path, *, classes: int = CLASSES, head: bool = True, seed: int = 0) -> Path:
    """Write a ResNet with or without its head."""
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic", num_labels=classes)
    model = built(ResNetForImageClassification if head else ResNetModel, config, seed)
    return transformers_image(folder, model, ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875))


def clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a CLIP with both towers, without a tokenizer."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    text = TRANSFORMER | {"vocab_size": 50, "max_position_embeddings": 16, "projection_dim": 12, **TOKENS}
    config = CLIPConfig(text_config=text, vision_config={**TRANSFORMER, **SMALL, "projection_dim": 12})
    config.projection_dim = 12
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE)
    return transformers_image(folder, built(CLIPModel, config, seed), processor)


def siglip(folder: Path, *, seed: int = 0) -> Path:
    """Write a SigLIP with both towers, without a tokenizer."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    text = TRANSFORMER | {"vocab_size": 50, "max_position_embeddings": 16, "projection_size": 24, **TOKENS}
    config = SiglipConfig(text_config=text, vision_config={**TRANSFORMER, **SMALL})
    return transformers_image(folder, built(SiglipModel, config, seed), SiglipImageProcessor(size=SIZE))
