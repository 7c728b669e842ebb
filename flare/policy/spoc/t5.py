"""The encoder of T5 (Raffel et al. 2020), as t5-small has it: no biases, no scaling of scores.

Blocks are pre-norm, ``x + Attention(RMSNorm(x))`` and ``x + W_o relu(W_i RMSNorm(x))``. Positions
enter as a bias of the scores that depends on the distance of two tokens, through 32 buckets, and is
shared by all blocks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.policy.spoc.config import TextConfig

_EPS = 1e-6
_BUCKETS = 32
_MAX_DISTANCE = 128  # tokens; further ones share the last bucket


def relative_buckets(size: int, device: torch.device | None = None) -> Tensor:
    """[S, S] int64: bucket of (query i, key j).

    Keys behind the query use the upper half of the buckets. In each half distances below 8 have a
    bucket each, larger ones share buckets that grow with the logarithm, up to 128.
    """
    place = torch.arange(size, device=device)
    offset = place[None, :] - place[:, None]
    half = _BUCKETS // 2
    exact = half // 2
    distance = offset.abs()
    scaled = torch.log(distance.clamp(min=1).float() / exact) / math.log(_MAX_DISTANCE / exact)
    far = (exact + (scaled * (half - exact)).long()).clamp(max=half - 1)
    return (offset > 0) * half + torch.where(distance < exact, distance, far)


class T5Attention(nn.Module):
    """Self-attention of all heads, without biases."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q, self.k, self.v, self.out = (
            nn.Linear(config.embed, config.embed, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """X [M, L, dt], bias [M, H, L, L] added to the scores, to [M, L, dt]."""
        q, k, v = (
            linear(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for linear in (self.q, self.k, self.v)
        )
        seen = F.scaled_dot_product_attention(q, k, v, bias, scale=1.0)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out


class T5Block(nn.Module):
    """Attention and feed-forward, each behind a norm and a residual."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.embed, eps=_EPS)
        self.attention = T5Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.embed, eps=_EPS)
        self.w_in = nn.Linear(config.embed, config.hidden, bias=False)
        self.w_out = nn.Linear(config.hidden, config.embed, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """X [M, L, dt], bias [M, H, L, L] to [M, L, dt]."""
        x = x + self.attention(self.attention_norm(x), bias)
        out: Tensor = x + self.w_out(F.relu(self.w_in(self.feed_forward_norm(x))))
        return out


class T5Encoder(nn.Module):
    """Token ids to features."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embed)
        self.position_bias = nn.Embedding(_BUCKETS, config.num_heads)
        self.blocks = nn.ModuleList(T5Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.embed, eps=_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids [M, L] int64, 0 pads, to [M, L, dt].

        Real tokens see real tokens only. Outputs at pads are those of a pad that sees the text.
        """
        buckets = relative_buckets(tokens.shape[1], tokens.device)
        bias = self.position_bias(buckets).permute(2, 0, 1)  # [H, L, L]
        pads = torch.zeros_like(tokens, dtype=bias.dtype)
        pads.masked_fill_(tokens == 0, torch.finfo(bias.dtype).min)
        bias = bias + pads[:, None, None, :]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, bias)
        out: Tensor = self.norm(x)
        return out
