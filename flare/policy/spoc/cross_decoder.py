"""The decoder of SPOC's first release: it looks at the steps before and at the instruction.

Post-norm blocks as in Vaswani et al. 2017, section 3.1: ``x = LayerNorm(x + SelfAttention(x))``,
``x = LayerNorm(x + CrossAttention(x, text))``, ``x = LayerNorm(x + W2 relu(W1 x))``; no final norm.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.kernels.add_layernorm import add_layernorm
from flare.kernels.attention import attention
from flare.kernels.linear_activation import linear_relu
from flare.policy.kv_cache import KVCache, KVPrefix
from flare.policy.spoc.config import SpocConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class StepText:
    """The adapted instructions of M steps, stored once per distinct instruction."""

    tokens: Tensor  # [U, L, d]
    index: Tensor  # [M] int64, the row of each step
    lengths: Tensor | None  # [U] integers, the tokens that are seen; None: all of the L


class CrossBlock(nn.Module):
    """One layer."""

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.text_qkv = nn.Linear(width, 3 * width)  # queries of steps, keys and values of text
        self.text_out = nn.Linear(width, width)
        self.text_norm = nn.LayerNorm(width)
        self.w_in = nn.Linear(width, config.fusion_hidden)
        self.w_out = nn.Linear(config.fusion_hidden, width)
        self.feed_forward_norm = nn.LayerNorm(width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., d] to queries, keys and values [..., H, D], views of one product."""
        q, k, v = torch.unflatten(self.qkv(x), -1, (3, self.heads, -1)).unbind(-3)
        return q, k, v

    def close(self, x: Tensor, seen: Tensor, text: StepText) -> Tensor:
        """What follows the self-attention: its output [M, H, D] into the stream x [M, d]."""
        norms = (self.attention_norm, self.text_norm, self.feed_forward_norm)
        (w1, b1), (w2, b2), (w3, b3) = ((norm.weight, norm.bias) for norm in norms)
        x = add_layernorm(self.attention_out(seen.flatten(1)), x, w1, b1)
        x = add_layernorm(self.text_out(self._read(x, text)), x, w2, b2)
        hidden = self.w_out(linear_relu(x, self.w_in.weight, self.w_in.bias))
        return add_layernorm(hidden, x, w3, b3)

    def _read(self, x: Tensor, text: StepText) -> Tensor:
        """[M, d]: what each step finds in its instruction."""
        width = x.shape[-1]
        w_q, w_kv = self.text_qkv.weight[:width], self.text_qkv.weight[width:]
        b_q, b_kv = self.text_qkv.bias[:width], self.text_qkv.bias[width:]
        q = torch.unflatten(F.linear(x, w_q, b_q), -1, (self.heads, -1))[:, None]
        # Once per instruction, then a row for each step.
        kv = torch.unflatten(F.linear(text.tokens, w_kv, b_kv), -1, (2, self.heads, -1))
        k, v = kv[text.index].unbind(2)
        kv_len = None if text.lengths is None else text.lengths[text.index]
        return attention(q, k, v, kv_len=kv_len).flatten(1)


class CrossDecoder(nn.Module):
    """The blocks; methods and arguments as those of Decoder, and the text."""

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CrossBlock(config) for _ in range(config.num_layers))

    def forward(
        self,
        x: Tensor,
        text: StepText,
        segment_ids: Tensor,
        prefix: KVPrefix | None,
        first_layer: int,
    ) -> Tensor:
        """All steps at once: [N, T, d] to [N, T, d]; text of the N·T steps, N slowest."""
        shape = x.shape
        for i, block in enumerate(self.blocks, first_layer):
            assert isinstance(block, CrossBlock)  # a ModuleList forgets the type
            q, k, v = block.project(x)
            if prefix is None:
                seen = attention(q, k, v, segment_ids=segment_ids, causal=True)
            else:
                seen = attention(
                    q, k, v, segment_ids=segment_ids, causal=True, prefix_k=prefix.keys[i],
                    prefix_v=prefix.values[i], prefix_len=prefix.lengths,
                )  # fmt: skip
            x = block.close(x.flatten(0, 1), seen.flatten(0, 1), text).view(shape)
        return x

    def step(self, x: Tensor, text: StepText, cache: KVCache, first_layer: int) -> Tensor:
        """One step [N, d] to [N, d]."""
        for i, block in enumerate(self.blocks, first_layer):
            assert isinstance(block, CrossBlock)
            q, k, v = block.project(x)
            x = block.close(x, cache.attend(i, q, k, v), text)
        return x
