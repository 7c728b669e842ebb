"""Vision transformers: DINOv2 (Oquab et al. 2023) and the image half of SigLIP (Zhai et al. 2023).

Both are pre-norm, ``x + s1·Attention(LayerNorm(x))`` and ``x + s2·W2 gelu(W1 LayerNorm(x))``;
DINOv2 has the scales s and a class token, SigLIP neither.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.kernels.add_layernorm import join_stream, stream_layernorm
from flare.kernels.attention import attention_packed
from flare.kernels.linear_activation import linear_gelu
from flare.kernels.ln_pool import ln_pool
from flare.policy.spoc.config import VisionConfig

_EPS = 1e-6
# DINOv2 resizes its position table by (patches + 0.1) / table instead of to a size. The tenth was
# there against a rounding error, and moves every sample of the table.
_OFFSET = 0.1


class TransformerBlock(nn.Module):
    """One layer of a vision or text transformer."""

    def __init__(
        self, embed: int, num_heads: int, hidden: int, *, eps: float, has_layer_scale: bool
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(embed, eps=eps)
        self.qkv = nn.Linear(embed, 3 * embed)
        self.attention_out = nn.Linear(embed, embed)
        self.feed_forward_norm = nn.LayerNorm(embed, eps=eps)
        self.w_in = nn.Linear(embed, hidden)
        self.w_out = nn.Linear(hidden, embed)
        self.attention_scale: nn.Parameter | None = None
        self.feed_forward_scale: nn.Parameter | None = None
        if has_layer_scale:
            self.attention_scale = nn.Parameter(torch.ones(embed))
            self.feed_forward_scale = nn.Parameter(torch.ones(embed))

    def forward(
        self, x: Tensor, branch: Tensor | None, gain: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """One layer.

        Args:
            x: [M, S, embed], the stream.
            branch: [M, S, embed], what the layer before adds to it; None: nothing.
            gain: [embed], that layer's feed_forward_scale.

        Returns:
            The stream and what this layer adds to it, each [M, S, embed].
        """
        first, second = self.attention_norm, self.feed_forward_norm
        normal, x = stream_layernorm(x, branch, gain, first.weight, first.bias, eps=first.eps)
        qkv = self.qkv(normal).unflatten(-1, (3, self.num_heads, -1))
        branch = self.attention_out(attention_packed(qkv).flatten(2))
        normal, x = stream_layernorm(
            x, branch, self.attention_scale, second.weight, second.bias, eps=second.eps
        )
        hidden = linear_gelu(normal, self.w_in.weight, self.w_in.bias)
        return x, self.w_out(hidden)


def run_blocks(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """The layers one after the other, [M, S, embed] to [M, S, embed].

    What a layer adds to the stream is added by the norm that reads it next.
    """
    branch: Tensor | None = None
    gain: Tensor | None = None
    for block in blocks:
        assert isinstance(block, TransformerBlock)  # a ModuleList forgets the type
        x, branch = block(x, branch, gain)
        gain = block.feed_forward_scale
    return join_stream(x, branch, gain)


@dataclass(frozen=True, slots=True)
class Constants:
    """What a vision transformer's first tokens are made of, beside the images."""

    weight: Tensor  # [embed, 3 · patch · patch], of a patch's numbers
    bias: Tensor  # [embed]
    positions: Tensor  # [rows · columns, embed]
    first: Tensor | None  # [1, 1, embed], the class token at its place


class VisionTransformer(nn.Module):
    """Patches of images to features of cells."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        embed, places = config.embed, config.table**2
        dino = config.family == "dinov2"
        self.class_token = nn.Parameter(torch.zeros(1, 1, embed)) if dino else None
        self.positions = nn.Parameter(0.02 * torch.randn(1, places + dino, embed))
        # Only pre-training of DINOv2 used it; its files have it.
        self.mask_token = nn.Parameter(torch.zeros(1, embed)) if dino else None
        self.patches = nn.Conv2d(3, embed, config.patch, config.patch)
        self.blocks = nn.ModuleList(
            TransformerBlock(embed, config.num_heads, 4 * embed, eps=_EPS, has_layer_scale=dino)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(embed, eps=_EPS)

    def forward(self, patches: Tensor, constants: "Constants") -> Tensor:
        """Tokens of all patches, row by row, before the final norm; DINOv2's class token first.

        Args:
            patches: [M, rows · columns, 3 · patch · patch] of the weights' dtype.
            constants: what does not depend on the images.

        Returns:
            [M, rows · columns, embed], or one token more.
        """
        x = F.linear(patches, constants.weight, constants.bias) + constants.positions
        if constants.first is not None:
            x = torch.cat([constants.first.expand(len(x), -1, -1), x], 1)
        return run_blocks(self.blocks, x)

    def constants(self, weight: Tensor, bias: Tensor) -> "Constants":
        """What every image's tokens begin with.

        Args:
            weight: [embed, 3, patch, patch] of the patch convolution to use.
            bias: [embed] of it.
        """
        first = None if self.class_token is None else self.class_token + self.positions[:, :1]
        positions = self.grid_positions(*self.config.patches)
        return Constants(weight.flatten(1), bias, positions, first)

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens of forward, normalised and averaged to cells: [M, grid rows · columns, embed]."""
        c = self.config
        return ln_pool(
            tokens, self.norm.weight, self.norm.bias, patches=c.patches, grid=c.grid, eps=_EPS
        )

    def grid_positions(self, rows: int, columns: int) -> Tensor:
        """[rows·columns, embed]: the position table at another size, bicubic."""
        table = self.config.table
        own = self.positions[0, -table * table :]
        if (rows, columns) == (table, table):
            return own
        scale = ((rows + _OFFSET) / table, (columns + _OFFSET) / table)
        square = own.float().t().reshape(1, -1, table, table)
        # The scale itself, not the size it leads to, decides where the table is sampled.
        grid = F.interpolate(square, scale_factor=scale, mode="bicubic")
        return grid[0].flatten(1).t().to(own.dtype)
