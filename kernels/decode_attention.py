"""Attention of one query per environment against its cached keys.

For environment n and head h, over the places s of the cache with kv_start[n] <= s < kv_len[n]:

    out[n, h] = sum_s softmax_s(scale · q[n, h] · cache_k[n, s, h]) · cache_v[n, s, h]

Shapes, dt = float32, bfloat16, float16 or float64:
    q                 [N, H, D] dt
    cache_k, cache_v  [N, S, H, D] dt, [S, H, D] contiguous
    kv_len            [N] integers, 1 to S
    kv_start          [N] integers, 0 to kv_len - 1; 0 by default
    out               [N, H, D] dt

Inference only: the launcher keeps no graph. Source: Vaswani et al. 2017, section 3.2.1.
"""

from functools import lru_cache

import torch
from torch import Tensor


def decode_attention_reference(
    q: Tensor,
    cache_k: Tensor,
    cache_v: Tensor,
    *,
    kv_len: Tensor,
    kv_start: Tensor | None = None,
    scale: float | None = None,
    upcast: bool = True,
) -> Tensor:
    """The formula in plain PyTorch; arguments as in ``decode_attention``.

    upcast: compute in float64, then round to q's dtype.
    """
    dtype = q.dtype
    if upcast:
        q, cache_k, cache_v = q.double(), cache_k.double(), cache_v.double()
    scores = torch.einsum("nhd,nshd->nhs", q, cache_k) * (scale or q.shape[-1] ** -0.5)
    places = torch.arange(cache_k.shape[1], device=q.device)
    filled = places < kv_len[:, None]
    if kv_start is not None:
        filled &= places >= kv_start[:, None]
    weights = scores.masked_fill(~filled[:, None], float("-inf")).softmax(-1)
    return torch.einsum("nhs,nshd->nhd", weights, cache_v).to(dtype)


@lru_cache(maxsize=16)
def _own_head(heads: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[H, H, 1]: 1 where head equals head."""
    with torch.inference_mode(False):
        return torch.eye(heads, dtype=dtype, device=device)[:, :, None]


def decode_attention(
    q: Tensor,
    cache_k: Tensor,
    cache_v: Tensor,
    *,
    kv_len: Tensor,
    kv_start: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """One query per environment against its cache, no gradient.

    All heads of an environment go through one matrix product: its query becomes [H, H·D] with
    zeros outside each head's own block, so the cache's rows [S, H·D] are read in place, without
    the copy that a product per (environment, head) needs.

    Args:
        q: [N, H, D] floating.
        cache_k: [N, S, H, D] of q's dtype, [S, H, D] contiguous.
        cache_v: the same for values.
        kv_len: [N] integers from 1 to S, filled places of each environment's cache.
        kv_start: [N] integers below kv_len, places that come before are not seen; None: all are.
        scale: of the scores; D ** -0.5 by default.

    Returns:
        [N, H, D] of q's dtype.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    if q.dim() != 3 or cache_k.dim() != 4 or cache_v.shape != cache_k.shape:
        raise ValueError(
            "expected q [N, H, D] and caches [N, S, H, D], "
            f"got {list(q.shape)}, {list(cache_k.shape)}, {list(cache_v.shape)}"
        )
    n, heads, dim = q.shape
    size = cache_k.shape[1]
    if cache_k.shape != (n, size, heads, dim) or kv_len.shape != (n,):
        raise ValueError(
            f"expected caches [{n}, S, {heads}, {dim}] and kv_len [{n}], "
            f"got {list(cache_k.shape)}, {list(kv_len.shape)}"
        )
    places = torch.arange(size, device=q.device)
    empty = places >= kv_len[:, None]
    if kv_start is not None:
        empty |= places < kv_start[:, None]
    bias = q.new_zeros(n, size).masked_fill_(empty, float("-inf"))[:, None]
    own = _own_head(heads, q.dtype, q.device)
    blocks = (q[:, None] * own).view(n, heads, heads * dim)
    scores = torch.baddbmm(
        bias, blocks, cache_k.flatten(2).transpose(1, 2), alpha=scale or dim**-0.5
    )
    out = torch.bmm(scores.softmax(-1), cache_v.flatten(2)).view(n, heads, heads, dim)
    return out.diagonal(dim1=1, dim2=2).transpose(1, 2)
