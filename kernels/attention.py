"""Causal attention within episodes, with a constant prefix of remembered keys.

For head h of row b, query i sees the keys j of its own row with j <= i and the same segment, and,
if its segment is 0, the first ``prefix_len[b]`` keys of the prefix:

    out[b, i, h] = sum_j softmax_j(scale · q[b, i, h] · k[b, j, h]) · v[b, j, h]

Shapes, dt = float32, bfloat16, float16 or float64:
    q, k, v           [B, S, H, D] dt, last dimension contiguous, any other strides
    segment_ids       [B, S] integers; 0 goes on with what the prefix remembers
    prefix_k, prefix_v  [B, P, H, D] dt
    prefix_len        [B] integers, 0 to P
    out               [B, S, H, D] dt

Every query sees itself, so no softmax is empty. Source: Vaswani et al. 2017, section 3.2.1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def visible_keys(segment_ids: Tensor, prefix_len: Tensor | None, prefix_size: int) -> Tensor:
    """Who sees whom: [B, S, P + S] bool, the prefix's P keys first.

    Args:
        segment_ids: [B, S] integers.
        prefix_len: [B] integers; read only if prefix_size > 0.
        prefix_size: P.
    """
    size = segment_ids.shape[1]
    own = (segment_ids[:, :, None] == segment_ids[:, None, :]).tril()
    if prefix_size == 0 or prefix_len is None:
        return own
    filled = torch.arange(prefix_size, device=segment_ids.device) < prefix_len[:, None]  # [B, P]
    remembered = (segment_ids == 0)[:, :, None] & filled[:, None, :]
    return torch.cat([remembered, own], -1).view(-1, size, prefix_size + size)


def attention_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    segment_ids: Tensor,
    prefix_k: Tensor | None = None,
    prefix_v: Tensor | None = None,
    prefix_len: Tensor | None = None,
    scale: float | None = None,
    upcast: bool = True,
) -> Tensor:
    """The formula in plain PyTorch; arguments as in ``attention``.

    upcast: compute in float64, then round to q's dtype.
    """
    dtype = q.dtype
    if prefix_k is not None and prefix_v is not None:
        k, v = torch.cat([prefix_k, k], 1), torch.cat([prefix_v, v], 1)
    if upcast:
        q, k, v = q.double(), k.double(), v.double()
    visible = visible_keys(segment_ids, prefix_len, k.shape[1] - q.shape[1])
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * (scale or q.shape[-1] ** -0.5)
    weights = scores.masked_fill(~visible[:, None], float("-inf")).softmax(-1)
    return torch.einsum("bhij,bjhd->bihd", weights, v).to(dtype)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    segment_ids: Tensor,
    prefix_k: Tensor | None = None,
    prefix_v: Tensor | None = None,
    prefix_len: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Causal attention within segments, differentiable in q, k, v and the prefix.

    Args:
        q: [B, S, H, D] floating, queries.
        k: [B, S, H, D] of q's dtype, keys.
        v: [B, S, H, D] of q's dtype, values.
        segment_ids: [B, S] integers, equal within an episode; 0 continues the prefix.
        prefix_k: [B, P, H, D], keys before the first step.
        prefix_v: [B, P, H, D], their values.
        prefix_len: [B] integers, how many of the P are filled.
        scale: of the scores; D ** -0.5 by default.

    Returns:
        [B, S, H, D] of q's dtype.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    _check(q, k, v, segment_ids, prefix_k, prefix_v, prefix_len)
    if prefix_k is not None and prefix_v is not None and prefix_k.shape[1] > 0:
        k, v = torch.cat([prefix_k, k], 1), torch.cat([prefix_v, v], 1)
    visible = visible_keys(segment_ids, prefix_len, k.shape[1] - q.shape[1])
    # An additive mask: PyTorch's CPU kernel would turn a bool mask into one on every call.
    bias = torch.zeros(visible.shape, dtype=q.dtype, device=q.device)
    bias.masked_fill_(~visible, float("-inf"))
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias[:, None], scale=scale
    )
    return out.transpose(1, 2)


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segment_ids: Tensor,
    prefix_k: Tensor | None,
    prefix_v: Tensor | None,
    prefix_len: Tensor | None,
) -> None:
    if q.dim() != 4 or k.shape != q.shape or v.shape != q.shape:
        raise ValueError(
            "q, k and v must share one shape [B, S, H, D], "
            f"got {list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    if not q.is_floating_point() or k.dtype != q.dtype or v.dtype != q.dtype:
        raise ValueError(
            f"q, k and v must share one floating dtype, got {q.dtype}, {k.dtype}, {v.dtype}"
        )
    batch, size, heads, dim = q.shape
    if segment_ids.shape != (batch, size) or segment_ids.is_floating_point():
        raise ValueError(
            f"segment_ids must be integers [{batch}, {size}], "
            f"got {segment_ids.dtype} {list(segment_ids.shape)}"
        )
    if prefix_k is None and prefix_v is None and prefix_len is None:
        return
    if prefix_k is None or prefix_v is None or prefix_len is None:
        raise ValueError("prefix_k, prefix_v and prefix_len must be given together")
    wanted = (batch, prefix_k.shape[1], heads, dim)
    if prefix_k.shape != wanted or prefix_v.shape != wanted:
        raise ValueError(
            f"prefix_k and prefix_v must be [{batch}, P, {heads}, {dim}], "
            f"got {list(prefix_k.shape)}, {list(prefix_v.shape)}"
        )
    if prefix_len.shape != (batch,):
        raise ValueError(f"prefix_len must be [{batch}], got {list(prefix_len.shape)}")
