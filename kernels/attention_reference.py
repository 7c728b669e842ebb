"""``attention`` in plain PyTorch: the formula, and the faster of PyTorch's ways.

The formula stands at the top of kernels/attention.py.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import is_trained
from flare.kernels.attention_options import Options, checked_options
from flare.kernels.philox import philox_bits

LOG2E = math.log2(math.e)


def visible_keys(q: Tensor, k: Tensor, options: Options) -> Tensor | None:
    """Who sees whom: bool, broadcast to [B, Sq, P + Sk], the prefix's keys first; None: all."""
    batch, size_q, size_k = len(q), q.shape[1], k.shape[1]
    own = None
    if options.segment_ids is not None:
        own = options.segment_ids[:, :, None] == options.segment_ids[:, None, :]
    if options.causal:
        causal = torch.ones(size_q, size_k, dtype=torch.bool, device=q.device).tril()
        own = causal[None] if own is None else own & causal
    if options.kv_len is not None:
        filled = torch.arange(size_k, device=q.device) < options.kv_len[:, None, None]
        own = filled if own is None else own & filled
    if options.prefix_len is None:
        return own
    places = torch.arange(options.prefix_size, device=q.device)
    remembered = places < options.prefix_len[:, None, None]  # [B, 1, P]
    if options.segment_ids is not None:
        remembered = remembered & (options.segment_ids == 0)[:, :, None]
    if own is None:
        own = torch.ones(1, 1, 1, dtype=torch.bool, device=q.device)
    return torch.cat([remembered.expand(batch, size_q, -1), own.expand(batch, size_q, size_k)], -1)


def kept_weights(q: Tensor, k: Tensor, options: Options) -> Tensor:
    """Which weights dropout keeps, [B, H, Sq, P + Sk] bool; the prefix's columns first."""
    batch, size_q, heads, _ = q.shape
    size_k, size_p = k.shape[1], options.prefix_size
    places = torch.arange(size_k + size_p, device=q.device).roll(size_p)
    pair = torch.arange(size_q, device=q.device)[:, None] * (size_k + size_p) + places
    rows = torch.arange(batch * heads, device=q.device)[:, None, None]
    assert options.seed is not None
    bits = philox_bits(int(options.seed), pair[None], rows)
    return (bits < keep_below(options.dropout_p)).view(batch, heads, size_q, -1)


def keep_below(dropout_p: float) -> int:
    """A weight is kept when its 32 random bits are below this."""
    return round((1.0 - dropout_p) * 2**32)


def _written_out(q: Tensor, k: Tensor, v: Tensor, options: Options, sums: torch.dtype) -> Tensor:
    """Products and softmax as in the formula, the softmax in ``sums``: [B, Sq, H, D]."""
    visible = visible_keys(q, k, options)
    kept = kept_weights(q, k, options) if options.dropout_p else None
    if options.prefix_k is not None and options.prefix_v is not None:
        k, v = torch.cat([options.prefix_k.to(k), k], 1), torch.cat([options.prefix_v.to(v), v], 1)
    scores = torch.matmul(q.permute(0, 2, 1, 3) * options.scale, k.permute(0, 2, 3, 1)).to(sums)
    if visible is not None:
        visible = visible[:, None]
        # A finite floor, so that a query without keys has no NaN; its weights are zeroed below.
        scores = scores.masked_fill(~visible, torch.finfo(sums).min)
    weights = scores.softmax(-1)
    if visible is not None:
        weights = weights.masked_fill(~visible, 0.0)
    if kept is not None:
        weights = torch.where(kept, weights / (1.0 - options.dropout_p), 0.0)
    return torch.matmul(weights.to(v.dtype), v.transpose(1, 2)).transpose(1, 2)


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, *, upcast: bool = True, **options: Any
) -> Tensor:  # fmt: skip
    """The formula in plain PyTorch; arguments as in ``attention``, less return_lse.

    upcast: compute in float64, then round to q's dtype.
    """
    chosen = checked_options(q, k, v, **options)
    if upcast:
        out = _written_out(q.double(), k.double(), v.double(), chosen, torch.float64)
        return out.to(q.dtype)
    return _written_out(q, k, v, chosen, q.dtype)


def attention_lse_reference(q: Tensor, k: Tensor, **options: Any) -> Tensor:
    """``lse`` in plain PyTorch, in float64; arguments as in ``attention``."""
    chosen = checked_options(q, k, k, **options)
    visible = visible_keys(q, k, chosen)
    if chosen.prefix_k is not None:
        k = torch.cat([chosen.prefix_k, k], 1)
    scores = torch.einsum("bihd,bjhd->bhij", q.double(), k.double()) * chosen.scale
    if visible is not None:
        scores = scores.masked_fill(~visible[:, None], -math.inf)
    return (scores.logsumexp(-1) * LOG2E).float()


# Whether the processor multiplies bfloat16 matrices itself (AMX): asked once.
_HAS_AMX = bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def _is_written_out(dtype: torch.dtype, *, trained: bool) -> bool:
    """PyTorch's faster way for a dtype; kernels/README.md has the measurements.

    The fused one in float32, whose backward pass is slow in bfloat16; and its forward pass there
    is fast only where the processor has the instructions.
    """
    return dtype.itemsize == 2 and (trained or not _HAS_AMX)


def attention_pytorch(q: Tensor, k: Tensor, v: Tensor, options: Options) -> Tensor:
    """``attention`` by the faster of PyTorch's ways."""
    if options.dropout_p:
        return _written_out(q, k, v, options, torch.promote_types(q.dtype, torch.float32))
    visible = visible_keys(q, k, options)
    if options.prefix_k is not None and options.prefix_v is not None:
        k, v = torch.cat([options.prefix_k, k], 1), torch.cat([options.prefix_v, v], 1)
    bias = None
    if visible is not None:
        # An additive mask: PyTorch's CPU kernel would turn a bool mask into one on every call.
        bias = torch.zeros(visible.shape, dtype=q.dtype, device=q.device)
        bias = bias.masked_fill_(~visible, -math.inf)[:, None]
        if options.kv_len is not None:
            # A query without keys sees all of them evenly, and is set to 0 below: no NaN.
            bias = bias.masked_fill(~visible.any(-1)[:, None, :, None], 0.0)
    if q.is_cpu and _is_written_out(q.dtype, trained=is_trained(q, k, v)):
        scores = torch.matmul(q.permute(0, 2, 1, 3) * options.scale, k.permute(0, 2, 3, 1))
        scores = scores if bias is None else scores + bias
        weights = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
        out = torch.matmul(weights, v.transpose(1, 2)).transpose(1, 2)
    else:
        bias = None if bias is None else bias.expand(-1, -1, q.shape[1], -1)
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias, scale=options.scale
        ).transpose(1, 2)
    if options.kv_len is not None and visible is not None:
        out = torch.where(visible.any(-1)[:, :, None, None], out, 0.0)
    return out
