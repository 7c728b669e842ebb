"""Attention of one query per environment against its cached keys, which it joins first.

``k_new[n]`` and ``v_new[n]`` are written to place ``place[n]`` of the cache. For head h, over the
places with ``kv_start[n] <= s < kv_len[n]``, that one among them:

    out[n, h] = sum_s softmax_s(scale · q[n, h] · cache_k[n, s, h]) · cache_v[n, s, h]

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    q, k_new, v_new   [N, H, D] dt, last dimension contiguous
    cache_k, cache_v  [N, S, H, D] dt, [S, H, D] contiguous; a ring: places have no order
    place             [N] integers, 0 to S - 1
    kv_len            [N] integers, 1 to S
    kv_start          [N] integers, 0 to kv_len - 1; 0 by default
    out               [N, H, D] dt

Inference only. All integers stay on the device, so the call can sit in a graph. Source: Vaswani et
al. 2017, section 3.2.1.
"""

# mypy: disable-error-code="no-untyped-def"

from functools import lru_cache

import torch
from torch import Tensor

from flare.kernels._launch import Config, jit, launch, next_power_of_2, tl, uses_triton

LOG2E = tl.constexpr(1.4426950408889634)


def _config(n: int, warps: int, stages: int) -> Config:
    return Config(num_warps=warps, num_stages=stages, blocks={"BLOCK_N": n, "STAGES": stages})


# (few or many programs, bytes of a number), chosen on an H200: where they do not fill the card each
# reads all its keys at once, else a tile is read while others are used.
CONFIGS = {
    ("few", 2): _config(256, 8, 2),
    ("many", 2): _config(64, 2, 3),
    ("few", 4): _config(128, 8, 2),
    ("many", 4): _config(32, 2, 3),
}
_FEW = 264  # programs: two for each of an H100's or H200's 132 multiprocessors


def decode_attention_reference(
    q: Tensor,
    k_new: Tensor,
    v_new: Tensor,
    cache_k: Tensor,
    cache_v: Tensor,
    *,
    place: Tensor,
    kv_len: Tensor,
    kv_start: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The formula in plain PyTorch, in float64; the caches stay as they are."""
    dtype, rows = q.dtype, torch.arange(len(q), device=q.device)
    q, cache_k, cache_v = q.double(), cache_k.double(), cache_v.double()
    cache_k[rows, place], cache_v[rows, place] = k_new.double(), v_new.double()
    scores = torch.einsum("nhd,nshd->nhs", q, cache_k) * (scale or q.shape[-1] ** -0.5)
    empty = _empty(cache_k.shape[1], kv_len, kv_start)
    weights = scores.masked_fill(empty[:, None], float("-inf")).softmax(-1)
    return torch.einsum("nhs,nshd->nhd", weights, cache_v).to(dtype)


def _empty(size: int, kv_len: Tensor, kv_start: Tensor | None) -> Tensor:
    """[N, size] bool: the places that are not seen."""
    places = torch.arange(size, device=kv_len.device)
    empty = places >= kv_len[:, None]
    return empty if kv_start is None else empty | (places < kv_start[:, None])


@jit
def decode_kernel(
    q, k_new, v_new, cache_k, cache_v, out, place, kv_len, kv_start,
    q_n, q_h, k_n, k_h, v_n, v_h, c_n, heads, scale,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
    HAS_START: tl.constexpr,
):  # fmt: skip
    """One program per (head, environment)."""
    head = (tl.program_id(0) % heads).to(tl.int64)
    env = (tl.program_id(0) // heads).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    wide = d < D
    query = tl.load(q + env * q_n + head * q_h + d, mask=wide, other=0.0).to(tl.float32) * scale
    key = tl.load(k_new + env * k_n + head * k_h + d, mask=wide, other=0.0)
    value = tl.load(v_new + env * v_n + head * v_h + d, mask=wide, other=0.0)
    own = tl.load(place + env).to(tl.int32)
    step = heads * D
    cache_k += env * c_n + head * D
    cache_v += env * c_n + head * D
    tl.store(cache_k + own.to(tl.int64) * step + d, key, mask=wide)
    tl.store(cache_v + own.to(tl.int64) * step + d, value, mask=wide)
    start = 0
    if HAS_START:
        start = tl.load(kv_start + env).to(tl.int32)
    stop = tl.load(kv_len + env).to(tl.int32)
    # The new row comes from registers: others of this program may not see it in memory yet.
    acc = value.to(tl.float32)
    top = tl.sum(key.to(tl.float32) * query, 0)
    total = 1.0
    # Stages named at the loop: else only loads that feed products are made ahead of their use.
    for first in tl.range(start, stop, BLOCK_N, num_stages=STAGES):
        s = first + tl.arange(0, BLOCK_N)
        old = (s < stop) & (s != own)
        offs = s[:, None] * step + d[None, :]
        mask = old[:, None] & wide[None, :]
        keys = tl.load(cache_k + offs, mask=mask, other=0.0).to(tl.float32)
        values = tl.load(cache_v + offs, mask=mask, other=0.0).to(tl.float32)
        scores = tl.where(old, tl.sum(keys * query[None, :], 1), -float("inf"))
        higher = tl.maximum(top, tl.max(scores, 0))
        weights = tl.exp2(scores - higher)
        shrink = tl.exp2(top - higher)
        acc = acc * shrink + tl.sum(values * weights[:, None], 0)
        total = total * shrink + tl.sum(weights, 0)
        top = higher
    acc = acc / total
    tl.store(out + (env * heads + head) * D + d, acc.to(out.dtype.element_ty), mask=wide)


@lru_cache(maxsize=16)
def _own_head(heads: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[H, H, 1]: 1 where head equals head."""
    with torch.inference_mode(False):
        return torch.eye(heads, dtype=dtype, device=device)[:, :, None]


def _pytorch(q: Tensor, cache_k: Tensor, cache_v: Tensor, empty: Tensor, scale: float) -> Tensor:
    """All heads of an environment in one product, see kernels/README.md."""
    n, heads, dim = q.shape
    bias = q.new_zeros(n, empty.shape[1]).masked_fill_(empty, float("-inf"))[:, None]
    blocks = (q[:, None] * _own_head(heads, q.dtype, q.device)).view(n, heads, heads * dim)
    scores = torch.baddbmm(bias, blocks, cache_k.flatten(2).transpose(1, 2), alpha=scale)
    out = torch.bmm(scores.softmax(-1), cache_v.flatten(2)).view(n, heads, heads, dim)
    return out.diagonal(dim1=1, dim2=2).transpose(1, 2)


@torch.no_grad()
def decode_attention(
    q: Tensor,
    k_new: Tensor,
    v_new: Tensor,
    cache_k: Tensor,
    cache_v: Tensor,
    *,
    place: Tensor,
    kv_len: Tensor,
    kv_start: Tensor | None = None,
    span: int | None = None,
    scale: float | None = None,
) -> Tensor:
    """One query per environment against its cache, which is written in place; no gradient.

    Args:
        q: [N, H, D] floating.
        k_new: [N, H, D] of q's dtype.
        v_new: [N, H, D] of q's dtype.
        cache_k: [N, S, H, D] of q's dtype, [S, H, D] contiguous.
        cache_v: the same for values.
        place: [N] integers from 0 to S - 1, where the new keys and values go.
        kv_len: [N] integers from 1 to S, filled places of each environment's cache.
        kv_start: [N] integers below kv_len, places that come before are not seen; None: all are.
        span: at least max(kv_len), for PyTorch, which cannot read it off the device; None: S.
        scale: of the scores; D ** -0.5 by default.

    Returns:
        [N, H, D] of q's dtype.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    _check(q, k_new, v_new, cache_k, cache_v, place, kv_len, kv_start)
    n, heads, dim = q.shape
    scale = dim**-0.5 if scale is None else scale
    if not uses_triton(q):
        rows = torch.arange(n, device=q.device)
        cache_k[rows, place], cache_v[rows, place] = k_new, v_new
        size = cache_k.shape[1] if span is None else span
        empty = _empty(size, kv_len, kv_start)
        return _pytorch(q, cache_k[:, :size], cache_v[:, :size], empty, scale)
    out = q.new_empty(q.shape)
    args = {
        "q": q, "k_new": k_new, "v_new": v_new, "cache_k": cache_k, "cache_v": cache_v, "out": out,
        "place": place, "kv_len": kv_len, "kv_start": kv_start, "q_n": q.stride(0),
        "q_h": q.stride(1), "k_n": k_new.stride(0), "k_h": k_new.stride(1),
        "v_n": v_new.stride(0), "v_h": v_new.stride(1), "c_n": cache_k.stride(0), "heads": heads,
        "scale": scale * LOG2E.value, "D": dim, "BLOCK_D": next_power_of_2(dim),
        "HAS_START": kv_start is not None,
    }  # fmt: skip
    config = CONFIGS["few" if n * heads <= _FEW else "many", q.dtype.itemsize]
    launch(decode_kernel, (n * heads,), args, config)
    return out


def _check(
    q: Tensor, k_new: Tensor, v_new: Tensor, cache_k: Tensor, cache_v: Tensor, place: Tensor,
    kv_len: Tensor, kv_start: Tensor | None,
) -> None:  # fmt: skip
    if q.dim() != 3 or cache_k.dim() != 4 or cache_v.shape != cache_k.shape:
        raise ValueError(
            "expected q [N, H, D] and caches [N, S, H, D], "
            f"got {list(q.shape)}, {list(cache_k.shape)}, {list(cache_v.shape)}"
        )
    n, heads, dim = q.shape
    if k_new.shape != q.shape or v_new.shape != q.shape:
        raise ValueError(
            f"k_new and v_new must be {list(q.shape)}, got {list(k_new.shape)}, {list(v_new.shape)}"
        )
    if cache_k.shape != (n, cache_k.shape[1], heads, dim) or any(
        x.shape != (n,) for x in (place, kv_len, *([] if kv_start is None else [kv_start]))
    ):
        raise ValueError(
            f"expected caches [{n}, S, {heads}, {dim}] and place, kv_len and kv_start [{n}], "
            f"got {list(cache_k.shape)}, {list(place.shape)}, {list(kv_len.shape)}"
        )
    if len({x.dtype for x in (q, k_new, v_new, cache_k, cache_v)}) > 1:
        raise ValueError(
            f"queries and caches must share one dtype, got {q.dtype}, {k_new.dtype}, "
            f"{v_new.dtype}, {cache_k.dtype}, {cache_v.dtype}"
        )
    for name, cache in (("cache_k", cache_k), ("cache_v", cache_v)):
        if cache.stride()[1:] != (heads * dim, dim, 1) or cache.stride() != cache_k.stride():
            raise ValueError(
                f"each row [S, H, D] of {name} must be contiguous, got strides {cache.stride()}"
            )
