"""The policy's sizes, read from the shapes of a checkpoint."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from flare.errors import UserError
from flare.importing.layout import CRITIC_TOWER, FIRST_RELEASE_ACTOR, Layout
from flare.importing.weights import has_critic_tower
from flare.policy.spoc.config import CriticHeadKind, SpocConfig, TextConfig, VisionConfig

_VISUAL = "visual_encoder."
_COMPRESS = f"{_VISUAL}visual_compressor.0.weight"
_TEXT = f"{_VISUAL}text_encoder."
_WORDS = f"{_TEXT}shared.weight"
_BUCKETS = f"{_TEXT}encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
_TEXT_HIDDEN = f"{_TEXT}encoder.block.0.layer.1.DenseReluDense.wi.weight"
_FUSION_HIDDEN = f"{_VISUAL}fusion_xformer.layers.0.linear1.weight"
_ACTION_ROWS = "last_actions_embed.weight"
_PATCHES = f"{_VISUAL}image_encoder.model.patch_embed.proj.weight"
_POSITIONS = f"{_VISUAL}image_encoder.model.pos_embed"
_HEAD = 64  # channels of an attention head in every DINOv2


def infer_config(weights: Mapping[str, Tensor], layout: Layout, *, file: Path) -> SpocConfig:
    """The config whose layout the checkpoint has, as far as its shapes tell.

    What they don't tell is as in every version of the original: 8 heads, 7 x 12 cells, two cameras.

    Raises:
        UserError: a key that decides a size is missing.
    """
    for key in (_WORDS, _COMPRESS, _ACTION_ROWS, _BUCKETS, _TEXT_HIDDEN, _FUSION_HIDDEN):
        if key not in weights:
            raise UserError(
                "is missing, and the sizes are read from it",
                file=file,
                key=key,
                mend="give a whole checkpoint of small_3, small_6, base_3 or base_6",
            )
    two_towers = layout == "rl" and has_critic_tower(weights)
    return SpocConfig(
        image=_image(weights),
        text=_text(weights),
        width=weights[_COMPRESS].shape[0],
        num_actions=len(weights[_ACTION_ROWS]) - 2,
        fusion_layers=_layers(weights, f"{_VISUAL}fusion_xformer.layers"),
        fusion_hidden=len(weights[_FUSION_HIDDEN]),
        num_layers=_layers(weights, "decoder.layers"),
        decoder="cross" if f"{FIRST_RELEASE_ACTOR}.weight" in weights else "causal",
        critic="tower" if two_towers else "shared",
        critic_head=_critic_head(weights, CRITIC_TOWER if two_towers else ""),
        critic_text="own" if two_towers and not _same_text(weights) else "shared",
    )


def _image(weights: Mapping[str, Tensor]) -> VisionConfig:
    embed = weights[_COMPRESS].shape[1]
    config = VisionConfig(embed=embed, num_heads=max(1, embed // _HEAD))
    if _PATCHES not in weights or _POSITIONS not in weights:
        return config
    return replace(
        config,
        depth=_layers(weights, f"{_VISUAL}image_encoder.model.blocks"),
        patch=weights[_PATCHES].shape[-1],
        table=math.isqrt(weights[_POSITIONS].shape[1] - 1),
    )


def _text(weights: Mapping[str, Tensor]) -> TextConfig:
    vocab_size, embed = weights[_WORDS].shape
    return TextConfig(
        vocab_size=vocab_size,
        embed=embed,
        depth=_layers(weights, f"{_TEXT}encoder.block"),
        num_heads=weights[_BUCKETS].shape[1],
        hidden=len(weights[_TEXT_HIDDEN]),
    )


def _layers(names: Iterable[str], prefix: str) -> int:
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    found = [int(match[1]) for match in map(pattern.match, names) if match]
    return max(found, default=0) + 1


def _critic_head(weights: Mapping[str, Tensor], prefix: str) -> CriticHeadKind:
    if f"{prefix}critic.fc.4.weight" in weights:
        return "mlp"
    return "discrete" if f"{prefix}critic.fc.2.weight" in weights else "linear"


def _same_text(weights: Mapping[str, Tensor]) -> bool:
    """Whether both towers hold the same text encoder, as they do in files that training wrote."""
    return all(
        f"{CRITIC_TOWER}{name}" in weights and weights[f"{CRITIC_TOWER}{name}"].equal(tensor)
        for name, tensor in weights.items()
        if name.startswith(_TEXT)
    )
