"""The causal decoder over the steps of an episode.

Pre-norm blocks, ``h = x + Attention(RMSNorm(x))`` and ``h + SwiGLU(RMSNorm(h))``, then a final
RMSNorm; no biases and no rotary embedding: time is added to the input (Touvron et al. 2023, less
the rotation; the original of this project does the same at a larger size).
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from flare.kernels.add_rmsnorm import add_rmsnorm
from flare.kernels.attention import attention_packed
from flare.kernels.swiglu import swiglu
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
        out: Tensor = self.w_out(swiglu(self.w_in(x)))
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
        self,
        x: Tensor,
        branch: Tensor | None,
        segment_ids: Tensor,
        prefix: tuple[Tensor, Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """All steps at once.

        Args:
            x: [N, T, d], the stream.
            branch: [N, T, d], what the block before adds to it; None: nothing.
            segment_ids: [N, T] integers, 0 before the first episode start.
            prefix: this layer's keys and values [N, P, H, D] and their lengths [N].

        Returns:
            The stream and what this block adds to it, each [N, T, d].
        """
        qkv, x = self._project(x, branch)
        if prefix is None:
            seen = attention_packed(qkv, segment_ids=segment_ids, causal=True)
        else:
            keys, values, lengths = prefix
            seen = attention_packed(
                qkv, segment_ids=segment_ids, causal=True,
                prefix_k=keys, prefix_v=values, prefix_len=lengths,
            )  # fmt: skip
        return self._close(x, seen)

    def step(
        self, x: Tensor, branch: Tensor | None, cache: KVCache, layer: int
    ) -> tuple[Tensor, Tensor]:
        """One step [N, d] of every environment; writes the open step's place of ``layer``."""
        qkv, x = self._project(x, branch)
        return self._close(x, cache.attend(layer, *qkv.unbind(-3)))

    def _project(self, x: Tensor, branch: Tensor | None) -> tuple[Tensor, Tensor]:
        """[..., d] to queries, keys and values [..., 3, H, D], of one product; and the stream."""
        normal, x = add_rmsnorm(x, branch, self.attention_norm.weight, eps=_EPS)
        qkv: Tensor = self.qkv(normal)
        return torch.unflatten(qkv, -1, (3, self.heads, -1)), x

    def _close(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What follows the attention: its output [..., H, D] into the stream x [..., d]."""
        branch = self.attention_out(seen.reshape(x.shape))
        normal, x = add_rmsnorm(x, branch, self.feed_forward_norm.weight, eps=_EPS)
        return x, self.feed_forward(normal)


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
        branch: Tensor | None = None  # added to the stream by the norm that reads it next
        for i, block in enumerate(self.blocks, first_layer):
            remembered = None
            if prefix is not None:
                remembered = (prefix.keys[i], prefix.values[i], prefix.lengths)
            x, branch = block(x, branch, segment_ids, remembered)
        return add_rmsnorm(x, branch, self.norm.weight, eps=_EPS)[0]

    def step(self, x: Tensor, cache: KVCache, first_layer: int) -> Tensor:
        """One step [N, d] to [N, d]; arguments as in Block.step."""
        branch: Tensor | None = None
        for i, block in enumerate(self.blocks, first_layer):
            assert isinstance(block, Block)  # a ModuleList forgets the type
            x, branch = block.step(x, branch, cache, i)
        return add_rmsnorm(x, branch, self.norm.weight, eps=_EPS)[0]
