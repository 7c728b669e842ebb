"""The causal decoder over the steps of an episode.

Pre-norm blocks, ``h = x + Attention(RMSNorm(x))`` and ``h + SwiGLU(RMSNorm(h))``, then a final
RMSNorm; no biases and no rotary embedding: time is added to the input (Touvron et al. 2023, less
the rotation; the original of this project does the same at a larger size).
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.kernels.attention import attention
from flare.policy.kv_cache import KVCache, KVPrefix

_EPS = 1e-5


class DecoderSizes(Protocol):
    """What a decoder reads of a policy's config."""

    @property
    def width(self) -> int:
        """d: of the stream."""

    @property
    def num_layers(self) -> int:
        """Blocks."""

    @property
    def num_heads(self) -> int:
        """Attention heads; divides width."""

    @property
    def hidden(self) -> int:
        """Of each SwiGLU feed-forward."""


class SwiGLU(nn.Module):
    """``w_out(silu(a) · b)`` with ``a, b`` the halves of one product."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w_in = nn.Linear(width, 2 * hidden, bias=False)
        self.w_out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] to [..., d]."""
        gate, value = self.w_in(x).chunk(2, -1)
        out: Tensor = self.w_out(F.silu(gate) * value)
        return out


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and a residual."""

    def __init__(self, config: DecoderSizes) -> None:
        super().__init__()
        width = config.width
        self.heads = config.num_heads
        self.attention_norm = nn.RMSNorm(width, eps=_EPS)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.RMSNorm(width, eps=_EPS)
        self.feed_forward = SwiGLU(width, config.hidden)

    def forward(
        self, x: Tensor, segment_ids: Tensor, prefix: tuple[Tensor, Tensor, Tensor] | None
    ) -> Tensor:
        """All steps at once.

        Args:
            x: [N, T, d].
            segment_ids: [N, T] integers, 0 before the first episode start.
            prefix: this layer's keys and values [N, P, H, D] and their lengths [N].

        Returns:
            [N, T, d].
        """
        q, k, v = self._project(x)
        if prefix is None:
            seen = attention(q, k, v, segment_ids=segment_ids, causal=True)
        else:
            keys, values, lengths = prefix
            seen = attention(
                q, k, v, segment_ids=segment_ids, causal=True,
                prefix_k=keys, prefix_v=values, prefix_len=lengths,
            )  # fmt: skip
        return self._close(x, seen)

    def step(self, x: Tensor, cache: KVCache, layer: int) -> Tensor:
        """One step [N, d] of every environment; writes the open step's place of ``layer``."""
        q, k, v = self._project(x)
        return self._close(x, cache.attend(layer, q, k, v))

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., d] to queries, keys and values [..., H, D], views of one product."""
        qkv: Tensor = self.qkv(self.attention_norm(x))
        q, k, v = torch.unflatten(qkv, -1, (3, self.heads, -1)).unbind(-3)
        return q, k, v

    def _close(self, x: Tensor, seen: Tensor) -> Tensor:
        """What follows the attention: its output [..., H, D] into the stream x [..., d]."""
        x = x + self.attention_out(seen.reshape(x.shape))
        out: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return out


class Decoder(nn.Module):
    """The blocks and the final norm."""

    def __init__(self, config: DecoderSizes) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.width, eps=_EPS)

    def forward(
        self, x: Tensor, segment_ids: Tensor, prefix: KVPrefix | None, first_layer: int
    ) -> Tensor:
        """All steps at once: [N, T, d] to [N, T, d].

        Args:
            x: [N, T, d].
            segment_ids: [N, T] integers, 0 before the first episode start.
            prefix: what the environments remembered before step 0.
            first_layer: where this decoder's layers begin in the prefix.
        """
        for i, block in enumerate(self.blocks, first_layer):
            remembered = None
            if prefix is not None:
                remembered = (prefix.keys[i], prefix.values[i], prefix.lengths)
            x = block(x, segment_ids, remembered)
        out: Tensor = self.norm(x)
        return out

    def step(self, x: Tensor, cache: KVCache, first_layer: int) -> Tensor:
        """One step [N, d] to [N, d]; arguments as in Block.step."""
        for i, block in enumerate(self.blocks, first_layer):
            assert isinstance(block, Block)  # a ModuleList forgets the type
            x = block.step(x, cache, i)
        out: Tensor = self.norm(x)
        return out
