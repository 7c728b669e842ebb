"""Attention of a few given queries over a sequence that is both keys and values.

For row b and head h, over the places ``s < kv_len[b]``:

    z[b, h] = sum_s softmax_s(u[b, h] · x[b, s]) · x[b, s]

It is the last layer of a transformer that is read at one place only: with one query per head the
projections of keys and values move to the query's side (``cls_layer``), and the sequence is read
once. A row without places gives 0.

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x       [B, S, C] dt, last dimension contiguous
    u       [B, H, C] dt, H <= 16, already scaled
    kv_len  [B] integers, 0 to S
    z       [B, H, C] dt

Sums are in float32. Source: Vaswani et al. 2017, section 3.2.1, with the products reordered.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import (
    INTERPRETED,
    Config,
    jit,
    launch,
    next_power_of_2,
    target_of,
    tl,
    uses_triton,
)
from flare.kernels._matrix import dot, rows, store_rows
from flare.kernels.add_layernorm import add_layernorm
from flare.kernels.linear_activation import linear_relu

MAX_HEADS = 16
LOG2E = tl.constexpr(1.4426950408889634)


def _config(n: int, warps: int, stages: int, k: int = 128) -> Config:
    return Config(num_warps=warps, num_stages=stages, blocks={"BLOCK_N": n, "BLOCK_K": k})


# (direction, compute capability's major). float32 takes PyTorch: its products are split in three,
# and no tile of 512 channels does without spilled registers then.
CONFIGS: dict[tuple[str, int], Config] = {
    ("fwd", 8): _config(32, 8, 2),
    ("fwd", 9): _config(32, 4, 2),
    ("bwd", 8): _config(32, 4, 2),
    ("bwd", 9): _config(64, 4, 4),
}


def _scores(u: Tensor, x: Tensor, kv_len: Tensor | None) -> Tensor:
    """[B, H, S], with a finite floor where a place does not count."""
    scores = torch.matmul(u, x.transpose(1, 2))
    if kv_len is None:
        return scores
    empty = torch.arange(x.shape[1], device=x.device) >= kv_len[:, None, None]
    return scores.masked_fill(empty, torch.finfo(scores.dtype).min)


def pool_attention_reference(
    x: Tensor, u: Tensor, *, kv_len: Tensor | None = None, upcast: bool = True
) -> Tensor:
    """The formula in plain PyTorch; arguments as in ``pool_attention``.

    upcast: compute in float64, then round to x's dtype.
    """
    dtype = x.dtype
    if upcast:
        x, u = x.double(), u.double()
    scores = _scores(u, x, kv_len)
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    if kv_len is not None:
        weights = weights * (kv_len > 0)[:, None, None]
    return torch.matmul(weights.to(x.dtype), x).to(dtype)


@jit
def pool_fwd_kernel(
    x, u, z, lse, kv_len, x_b, x_s, size, heads,
    C: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr,
    HAS_LEN: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """One program per row. Scores stand as [places, heads], sums as [channels, heads]."""
    row = tl.program_id(0).to(tl.int64)
    h = tl.arange(0, BLOCK_H)
    asks = tl.trans(rows(u + row * heads * C, h, C, heads, C, BLOCK_C))  # [C, H]
    stop = size
    if HAS_LEN:
        stop = tl.minimum(tl.load(kv_len + row).to(tl.int32), size)
    acc = tl.zeros([BLOCK_C, BLOCK_H], tl.float32)
    top = tl.full([BLOCK_H], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_H], tl.float32)
    for start in range(0, stop, BLOCK_N):
        s = start + tl.arange(0, BLOCK_N)
        tile = rows(x + row * x_b, s, x_s, stop, C, BLOCK_C)  # [BLOCK_N, C]
        scores = dot(tile, asks, tl.zeros([BLOCK_N, BLOCK_H], tl.float32), EMU) * LOG2E
        scores = tl.where((s < stop)[:, None], scores, -float("inf"))
        higher = tl.maximum(top, tl.max(scores, 0))
        weights = tl.exp2(scores - higher[None, :])
        shrink = tl.exp2(top - higher)
        total = total * shrink + tl.sum(weights, 0)
        acc = dot(tl.trans(tile), weights.to(tile.dtype), acc * shrink[None, :], EMU)
        top = higher
    seen = total > 0.0
    acc = acc * tl.where(seen, 1.0 / tl.where(seen, total, 1.0), 0.0)[None, :]
    store_rows(z + row * heads * C, h, C, heads, tl.trans(acc), C, BLOCK_C)
    log_sum = tl.where(seen, top + tl.log2(tl.where(seen, total, 1.0)), float("inf"))
    tl.store(lse + row * heads + h, log_sum, mask=h < heads)


@jit
def _chunk(base, offs, stride, size, first, C: tl.constexpr, BLOCK_K: tl.constexpr):
    """Rows ``offs`` of a [size, C] matrix, columns from ``first``: [BLOCK, BLOCK_K]."""
    c = first + tl.arange(0, BLOCK_K)
    mask = (offs[:, None] < size) & (c[None, :] < C)
    return tl.load(base + offs[:, None] * stride + c[None, :], mask=mask, other=0.0)


@jit
def pool_bwd_kernel(
    x, u, z, lse, grad, grad_x, grad_u, slopes, kv_len, x_b, x_s, size, heads,
    C: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr, HAS_LEN: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """One program per row: ``dx = W dz + dS u`` and ``du = x^T dS`` with dS = W·(x dz - delta).

    First W and dS of all places, chunk of channels by chunk, into slopes [B, 2, S, BLOCK_H]; then
    dx and du of each chunk. The second reading of x comes from L2.
    """
    row = tl.program_id(0).to(tl.int64)
    h = tl.arange(0, BLOCK_H)
    u += row * heads * C
    grad += row * heads * C
    x += row * x_b
    slopes += row * 2 * size * BLOCK_H
    shared = tl.zeros([BLOCK_H], tl.float32)
    for first in range(0, C, BLOCK_K):
        found = _chunk(z + row * heads * C, h, C, heads, first, C, BLOCK_K)
        grads = _chunk(grad, h, C, heads, first, C, BLOCK_K)
        shared += tl.sum(grads.to(tl.float32) * found.to(tl.float32), 1)
    log_sum = tl.load(lse + row * heads + h, mask=h < heads, other=float("inf"))
    stop = size
    if HAS_LEN:
        stop = tl.minimum(tl.load(kv_len + row).to(tl.int32), size)
    for start in range(0, size, BLOCK_N):
        s = start + tl.arange(0, BLOCK_N)
        scores = tl.zeros([BLOCK_N, BLOCK_H], tl.float32)
        slope = tl.zeros([BLOCK_N, BLOCK_H], tl.float32)
        for first in range(0, C, BLOCK_K):
            tile = _chunk(x, s, x_s, stop, first, C, BLOCK_K)
            asks = _chunk(u, h, C, heads, first, C, BLOCK_K)
            grads = _chunk(grad, h, C, heads, first, C, BLOCK_K)
            scores = dot(tile, tl.trans(asks), scores, EMU)
            slope = dot(tile, tl.trans(grads), slope, EMU)
        scores = tl.where((s < stop)[:, None], scores * LOG2E, -float("inf"))
        weights = tl.exp2(scores - log_sum[None, :])
        push = weights * (slope - shared[None, :])
        into = slopes + s[:, None] * BLOCK_H + h[None, :]
        kind = slopes.dtype.element_ty
        tl.store(into, weights.to(kind), mask=(s < size)[:, None])
        tl.store(into + size * BLOCK_H, push.to(kind), mask=(s < size)[:, None])
    # What one thread wrote to slopes others read now.
    tl.debug_barrier()
    for first in range(0, C, BLOCK_K):
        c = first + tl.arange(0, BLOCK_K)
        asks = _chunk(u, h, C, heads, first, C, BLOCK_K)
        grads = _chunk(grad, h, C, heads, first, C, BLOCK_K)
        acc = tl.zeros([BLOCK_K, BLOCK_H], tl.float32)
        for start in range(0, size, BLOCK_N):
            s = start + tl.arange(0, BLOCK_N)
            tile = _chunk(x, s, x_s, stop, first, C, BLOCK_K)
            at = slopes + s[:, None] * BLOCK_H + h[None, :]
            weights = tl.load(at, mask=(s < size)[:, None], other=0.0)
            push = tl.load(at + size * BLOCK_H, mask=(s < size)[:, None], other=0.0)
            into = dot(weights, grads, tl.zeros([BLOCK_N, BLOCK_K], tl.float32), EMU)
            into = dot(push, asks, into, EMU)
            tl.store(
                grad_x + row * size * C + s[:, None] * C + c[None, :],
                into.to(grad_x.dtype.element_ty), mask=(s < size)[:, None] & (c < C)[None, :],
            )  # fmt: skip
            acc = dot(tl.trans(tile), push, acc, EMU)
        tl.store(
            grad_u + row * heads * C + h[None, :] * C + c[:, None],
            acc.to(grad_u.dtype.element_ty), mask=(h < heads)[None, :] & (c < C)[:, None],
        )  # fmt: skip


def config_of(direction: str, x: Tensor) -> Config:
    """The table's row."""
    if INTERPRETED:
        return _config(64, 8, 1)
    return CONFIGS[direction, min(target_of(x)[0], 9)]


class _PoolAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, u: Tensor, kv_len: Tensor | None) -> Any:
        u = u.contiguous()
        z = torch.empty_like(u)
        lse = u.new_empty(u.shape[:2], dtype=torch.float32)
        args = {"x": x, "u": u, "z": z, "lse": lse, "kv_len": kv_len, **_sizes(x, u, kv_len)}
        launch(pool_fwd_kernel, (len(x),), args, config_of("fwd", x))
        ctx.save_for_backward(x, u, z, lse, kv_len)
        return z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, u, z, lse, kv_len = ctx.saved_tensors
        grad_x, grad_u = x.new_empty(x.shape), torch.empty_like(u)
        slopes = x.new_empty(len(x), 2, x.shape[1], MAX_HEADS)
        args = {
            "x": x, "u": u, "z": z, "lse": lse, "grad": grad.contiguous(), "grad_x": grad_x,
            "grad_u": grad_u, "slopes": slopes, "kv_len": kv_len, **_sizes(x, u, kv_len),
        }  # fmt: skip
        launch(pool_bwd_kernel, (len(x),), args, config_of("bwd", x))
        return grad_x, grad_u, None


def _sizes(x: Tensor, u: Tensor, kv_len: Tensor | None) -> dict[str, object]:
    return {
        "x_b": x.stride(0), "x_s": x.stride(1), "size": x.shape[1], "heads": u.shape[1],
        "C": x.shape[2], "BLOCK_C": max(16, next_power_of_2(x.shape[2])), "BLOCK_H": MAX_HEADS,
        "HAS_LEN": kv_len is not None,
    }  # fmt: skip


def pool_attention(x: Tensor, u: Tensor, *, kv_len: Tensor | None = None) -> Tensor:
    """Attention of H queries per row over the row itself, differentiable in x and u.

    Args:
        x: [B, S, C] floating.
        u: [B, H, C] of x's dtype, at most 16 queries, scaled.
        kv_len: [B] integers, the places of each row that count; None: all.

    Returns:
        [B, H, C] of x's dtype.

    Raises:
        ValueError: arguments that do not belong together, with what was given.
    """
    if x.dim() != 3 or u.dim() != 3 or len(x) != len(u) or x.shape[2] != u.shape[2]:
        raise ValueError(
            f"x must be [B, S, C] and u [B, H, C], got {list(x.shape)}, {list(u.shape)}"
        )
    if x.dtype != u.dtype or not x.is_floating_point():
        raise ValueError(f"x and u must share one floating dtype, got {x.dtype}, {u.dtype}")
    if kv_len is not None and (kv_len.shape != (len(x),) or kv_len.is_floating_point()):
        raise ValueError(
            f"kv_len must be integers [{len(x)}], got {kv_len.dtype} {list(kv_len.shape)}"
        )
    is_narrow = x.dtype.itemsize == 2 or INTERPRETED
    if uses_triton(x) and is_narrow and u.shape[1] <= MAX_HEADS:
        x = x if x.stride(-1) == 1 else x.contiguous()
        z: Tensor = _PoolAttention.apply(x, u, kv_len)  # type: ignore[no-untyped-call]
        return z
    return pool_attention_reference(x, u, kv_len=kv_len, upcast=False)


def cls_layer(
    x: Tensor,
    *,
    num_heads: int,
    qkv: tuple[Tensor, Tensor],
    attention_out: tuple[Tensor, Tensor],
    attention_norm: tuple[Tensor, Tensor],
    w_in: tuple[Tensor, Tensor],
    w_out: tuple[Tensor, Tensor],
    feed_forward_norm: tuple[Tensor, Tensor],
    eps: float = 1e-5,
    kv_len: Tensor | None = None,
) -> Tensor:
    """Row 0 of a post-norm transformer layer: exact, and 1 % of the layer's operations.

    With one query per head h, ``q·(W_k x_s + b_k) = (W_k^T q)·x_s + q·b_k``: the second term is the
    same for every key and falls out of the softmax, so b_k gets gradient 0. Behind it
    ``sum_s p_s (W_v x_s + b_v) = W_v (sum_s p_s x_s) + b_v``, as the p add up to one. Keys and
    values are never formed.

    Args:
        x: [M, S, d].
        num_heads: H; divides d.
        qkv: weight [3 d, d] and bias [3 d].
        attention_out: weight [d, d] and bias [d].
        attention_norm: weight and bias [d] of the LayerNorm behind the attention.
        w_in: weight [hidden, d] and bias [hidden], behind it a ReLU.
        w_out: weight [d, hidden] and bias [d].
        feed_forward_norm: weight and bias [d] of the last LayerNorm.
        eps: of both.
        kv_len: [M] integers, the keys that count, at least 1; None: all.

    Returns:
        [M, d].
    """
    width, dim = x.shape[-1], x.shape[-1] // num_heads
    w_q, w_k, w_v = qkv[0].view(3, width, width)
    b_q, _, b_v = qkv[1].view(3, width)
    row = x[:, 0]
    q = F.linear(row, w_q, b_q).view(-1, num_heads, dim) * dim**-0.5
    asks = torch.einsum("mhe,hed->mhd", q, w_k.view(num_heads, dim, width))
    found = pool_attention(x, asks, kv_len=kv_len)
    seen = torch.einsum("mhd,hed->mhe", found, w_v.view(num_heads, dim, width)).flatten(1) + b_v
    y = add_layernorm(F.linear(seen, *attention_out), row, *attention_norm, eps=eps)
    hidden = F.linear(linear_relu(y, *w_in), *w_out)
    return add_layernorm(hidden, y, *feed_forward_norm, eps=eps)
