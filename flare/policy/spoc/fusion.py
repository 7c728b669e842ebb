"""The fusion transformer: image cells, instruction and one fusion token, which alone is read.

Layers are post-norm, ``x = LayerNorm(x + Attention(x))`` and ``LayerNorm(x + W2 relu(W1 x))``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """X [M, S, d], bias [M, S] of the scores per key, to [M, S, d]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if bias is None else bias[:, None, None, :]
        seen = F.scaled_dot_product_attention(q, k, v, mask)
        return self._close(x, seen.transpose(1, 2).flatten(2))

    def first_row(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Row 0 of ``forward``, [M, d], without the products of the other rows.

        With one query per head h, ``q·(W_k x_s + b_k) = (W_k^T q)·x_s + q·b_k``: the second term is
        the same for every key and falls out of the softmax. Behind it
        ``sum_s p_s (W_v x_s + b_v) = W_v (sum_s p_s x_s) + b_v``, as the p add up to one. So keys
        and values are never formed: exact, and 1 % of the layer's operations.
        """
        width, heads = x.shape[-1], self.num_heads
        w_q, w_k, w_v = self.qkv.weight.view(3, width, width)
        b_q, _, b_v = self.qkv.bias.view(3, width)
        row = x[:, 0]
        q = F.linear(row, w_q, b_q).view(-1, heads, width // heads) * (width // heads) ** -0.5
        asks = torch.einsum("mhe,hed->mhd", q, w_k.view(heads, -1, width))
        scores = torch.matmul(asks, x.transpose(1, 2))  # [M, H, S]
        if bias is not None:
            scores = scores + bias[:, None]
        found = torch.matmul(scores.softmax(-1), x)  # [M, H, d]
        seen = torch.einsum("mhd,hed->mhe", found, w_v.view(heads, -1, width)).flatten(1) + b_v
        return self._close(row, seen)

    def _close(self, x: Tensor, seen: Tensor) -> Tensor:
        x = self.attention_norm(x + self.attention_out(seen))
        out: Tensor = self.feed_forward_norm(x + self.w_out(F.relu(self.w_in(x))))
        return out


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

    def forward(self, tokens: Tensor, bias: Tensor | None) -> Tensor:
        """Tokens [M, S, d], bias [M, 1 + S] of the scores or None, to [M, d]."""
        x = torch.cat([self.token.expand(len(tokens), 1, -1), tokens], 1)
        *layers, last = self.layers
        for layer in layers:
            x = layer(x, bias)
        assert isinstance(last, FusionLayer)  # a ModuleList forgets the type
        return last.first_row(x, bias)
