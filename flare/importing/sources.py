"""Weights of the frozen encoders and the tokenizer from where the user says.

Nothing is downloaded unless ``timm`` or ``transformers`` is asked for by name.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flare.errors import UserError
from flare.importing.files import load_tensors
from flare.importing.layout import image_encoder_entries, text_encoder_entries
from flare.importing.weights import import_weights
from flare.policy.spoc.config import SpocConfig

TIMM_MODELS = {
    ("dinov2", 384): "vit_small_patch14_dinov2.lvd142m",
    ("dinov2", 768): "vit_base_patch14_dinov2.lvd142m",
    ("siglip", 768): "vit_base_patch16_siglip_256.webli",
}
T5_MODEL = "t5-small"
_IL_PREFIX = "model.visual_encoder.image_encoder.model."
_POOLING = "attn_pool."  # SigLIP's own pooling, which the policy does not use


def image_encoder_weights(source: str, config: SpocConfig) -> dict[str, Tensor]:
    """Our names of the image encoder's weights.

    Args:
        source: "timm" (downloads), or a file: DINOv2's own, or an imitation checkpoint.
        config: the policy's.

    Raises:
        UserError: timm is not installed, no such file, or keys that don't fit.
    """
    if source == "timm":
        name = TIMM_MODELS[config.image.family, config.image.embed]
        weights = _import("timm").create_model(name, pretrained=True).state_dict()
        return timm_image_weights(weights, config)
    loaded = load_tensors(Path(source))
    inner = loaded.get("state_dict", loaded)
    named = {str(k).removeprefix(_IL_PREFIX): t for k, t in inner.items() if _is_image(str(k))}
    try:
        return import_weights(named, image_encoder_entries(config), width=config.width)
    except UserError as error:
        raise error.at(file=source) from error


def timm_image_weights(weights: Mapping[str, Tensor], config: SpocConfig) -> dict[str, Tensor]:
    """Our names of what timm calls the image encoder; it leaves DINOv2's unused mask token out."""
    named = {k: t for k, t in weights.items() if not k.startswith(_POOLING)}
    if config.image.family == "dinov2":
        named["mask_token"] = torch.zeros(1, config.image.embed)
    return import_weights(named, image_encoder_entries(config), width=config.width)


def text_encoder_weights(source: str, config: SpocConfig) -> dict[str, Tensor]:
    """Our names of the text encoder's weights.

    Args:
        source: "transformers" (downloads T5), or "open_clip" (downloads SigLIP).
        config: the policy's.

    Raises:
        UserError: the library is not installed or does not have this encoder.
    """
    wanted = {"t5": "transformers", "siglip": "open_clip"}[config.text.family]
    if source != wanted:
        raise UserError(
            f"is {source!r}", key="text_encoder", mend=f"use {wanted!r} for {config.text.family}"
        )
    if config.text.family == "t5":
        model = _import("transformers").T5EncoderModel.from_pretrained(T5_MODEL)
    else:
        model = _import("open_clip").create_model("hf-hub:timm/ViT-B-16-SigLIP-256").text
    return import_weights(model.state_dict(), text_encoder_entries(config), width=config.width)


def tokenizer_file(source: str) -> bytes:
    """The bytes of a tokenizer.json.

    Args:
        source: "transformers" (downloads T5's), a tokenizer.json, or a folder that holds one.

    Raises:
        UserError: transformers is not installed, or no such file.
    """
    if source == "transformers":
        tokenizer = _import("transformers").AutoTokenizer.from_pretrained(T5_MODEL, use_fast=True)
        text: str = tokenizer.backend_tokenizer.to_str()
        return text.encode()
    path = Path(source)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise UserError(
            "no such file",
            file=path,
            mend=f"give the tokenizer.json of a download of {T5_MODEL}, or 'transformers'",
        )
    return path.read_bytes()


def _is_image(name: str) -> bool:
    return name.startswith(_IL_PREFIX) or not name.startswith("model.")


def _import(name: str) -> Any:  # noqa: ANN401 (an optional package without types)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} is not installed", mend=f"pip install {name}, or give a file instead"
        ) from error
