"""The fusion transformer: image cells, instruction and one fusion token, which alone is read.

Layers are post-norm, ``x = LayerNorm(x + Attention(x))`` and ``LayerNorm(x + W2 relu(W1 x))``.
"""

import torch
from torch import Tensor, nn

from flare.kernels.add_layernorm import add_layernorm
from flare.kernels.attention import attention_packed
from flare.kernels.linear_activation import linear_relu
from flare.kernels.pool_attention import cls_layer
from flare.policy.spoc.config import SpocConfig


class FusionLayer(nn.Module):
    """One layer; ``first_row`` computes the same for row 0 alone."""

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.fusion_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.w_in = nn.Linear(width, config.fusion_hidden)
        self.w_out = nn.Linear(config.fusion_hidden, width)
        self.feed_forward_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, kv_len: Tensor | None) -> Tensor:
        """X [M, S, d], of which the first kv_len ([M]) places are seen, to [M, S, d]."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        seen = attention_packed(qkv, kv_len=kv_len).flatten(2)
        norm, last = self.attention_norm, self.feed_forward_norm
        x = add_layernorm(self.attention_out(seen), x, norm.weight, norm.bias)
        hidden = self.w_out(linear_relu(x, self.w_in.weight, self.w_in.bias))
        return add_layernorm(hidden, x, last.weight, last.bias)

    def first_row(self, x: Tensor, kv_len: Tensor | None) -> Tensor:
        """Row 0 of ``forward``, [M, d], without the products of the other rows."""
        return cls_layer(
            x, num_heads=self.num_heads, kv_len=kv_len, qkv=_pair(self.qkv),
            attention_out=_pair(self.attention_out), attention_norm=_pair(self.attention_norm),
            w_in=_pair(self.w_in), w_out=_pair(self.w_out),
            feed_forward_norm=_pair(self.feed_forward_norm),
        )  # fmt: skip


def _pair(layer: nn.Linear | nn.LayerNorm) -> tuple[Tensor, Tensor]:
    return layer.weight, layer.bias


class Fusion(nn.Module):
    """Cells of all cameras and text tokens to one vector."""

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.token = nn.Parameter(0.1 * torch.rand(config.width))
        # Deep copies of one initialised layer in the original; here too they start equal.
        first = FusionLayer(config)
        layers = [first, *(FusionLayer(config) for _ in range(config.fusion_layers - 1))]
        for layer in layers[1:]:
            layer.load_state_dict(first.state_dict())
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, kv_len: Tensor | None) -> Tensor:
        """Sequences [M, S, d] that begin with the token, kv_len [M] or None, to [M, d]."""
        *layers, last = self.layers
        for layer in layers:
            x = layer(x, kv_len)
        assert isinstance(last, FusionLayer)  # a ModuleList forgets the type
        return last.first_row(x, kv_len)
