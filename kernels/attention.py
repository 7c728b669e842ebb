"""Attention over whole sequences: dense, by key lengths, within segments, causal, with a prefix.

For head h of row b, query i sees key j of its own row if ``j < kv_len[b]``, if both have the same
segment id, and, where ``causal``, if ``j <= i``. If its segment is 0 it also sees the first
``prefix_len[b]`` keys of a prefix that stands before the row:

    out[b, i, h] = sum_j softmax_j(scale · q[b, i, h] · k[b, j, h]) · v[b, j, h]

A query that sees no key gets 0 and passes no gradient on. With dropout each weight of the softmax
is kept with probability 1 - p and divided by it, or else 0.

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    q                   [B, Sq, H, D] dt, last dimension contiguous, any other strides
    k, v                [B, Sk, H, D] dt; Sk = Sq with causal or segments
    kv_len              [B] integers, 0 to Sk
    segment_ids         [B, Sq] integers; need only be equal within a segment
    prefix_k, prefix_v  [B, P, H, D] dt, constants
    prefix_len          [B] integers, 0 to P
    out                 [B, Sq, H, D] dt
    lse                 [B, H, Sq] float32, log2 of the sum of exponentials; -inf without keys

Sums are in float32. Sources: Vaswani et al. 2017, section 3.2.1; Dao et al. 2022, "FlashAttention",
for tiles with a running maximum; Milakov and Gimelshein 2018 for that maximum.
"""

from typing import Any

import torch
from torch import Tensor

from flare.kernels._launch import (
    INTERPRETED,
    Config,
    Target,
    cdiv,
    is_trained,
    launch,
    next_power_of_2,
    target_of,
    uses_triton,
)
from flare.kernels.attention_kernels import (
    attention_dkv_kernel,
    attention_dq_kernel,
    attention_fwd_kernel,
)
from flare.kernels.attention_options import Options, checked_options
from flare.kernels.attention_reference import (
    LOG2E,
    attention_lse_reference,
    attention_pytorch,
    keep_below,
)

AHEAD = False


def _config(m: int, n: int, warps: int, stages: int) -> Config:
    return Config(num_warps=warps, num_stages=stages, blocks={"BLOCK_M": m, "BLOCK_N": n})


# (kernel, compute capability's major, bytes of a number): chosen by the report of the compiler.
# Dropout's random numbers take registers, and so does a prefix on sm_80: they have their own rows.
CONFIGS: dict[tuple[str, int, int], Config] = {
    ("fwd", 8, 2): _config(64, 64, 4, 2),
    ("fwd", 9, 2): _config(64, 64, 4, 3),
    ("fwd", 8, 4): _config(32, 32, 8, 2),
    ("fwd", 9, 4): _config(64, 32, 8, 2),
    ("dq", 8, 2): _config(64, 32, 4, 2),
    ("dq", 9, 2): _config(64, 64, 4, 2),
    ("dq", 8, 4): _config(32, 32, 8, 1),
    ("dq", 9, 4): _config(32, 32, 8, 1),
    ("dkv", 8, 2): _config(32, 64, 4, 1),
    ("dkv", 9, 2): _config(64, 64, 4, 2),
    ("dkv", 8, 4): _config(32, 32, 8, 1),
    ("dkv", 9, 4): _config(32, 32, 8, 1),
    ("fwd prefix", 8, 2): _config(64, 32, 4, 2),
    ("fwd dropout", 8, 2): _config(64, 32, 4, 2),
    ("fwd dropout", 9, 2): _config(64, 32, 4, 2),
    ("fwd dropout", 8, 4): _config(32, 32, 8, 1),
    ("fwd dropout", 9, 4): _config(32, 32, 8, 1),
    ("dq dropout", 8, 2): _config(32, 32, 4, 1),
    ("dq dropout", 9, 2): _config(32, 32, 8, 1),
    ("dq dropout", 8, 4): _config(32, 32, 8, 1),
    ("dq dropout", 9, 4): _config(32, 32, 8, 1),
    ("dkv dropout", 8, 2): _config(32, 32, 4, 1),
    ("dkv dropout", 9, 2): _config(32, 32, 8, 1),
    ("dkv dropout", 8, 4): _config(32, 32, 8, 1),
    ("dkv dropout", 9, 4): _config(32, 32, 8, 1),
}
_INTERPRETED_CONFIG = _config(64, 64, 4, 1)  # its time goes by the number of steps


def config_of(kernel: str, target: Target, dtype: torch.dtype, options: Options) -> Config:
    """The table's row; later architectures take the last one's."""
    if INTERPRETED:
        return _INTERPRETED_CONFIG
    kind = f"{kernel} dropout" if options.dropout_p else f"{kernel} prefix"
    row = (kind, min(target[0], 9), dtype.itemsize)
    if options.dropout_p or (options.prefix_size and row in CONFIGS):
        return CONFIGS[row]
    return CONFIGS[kernel, row[1], row[2]]


def _common_args(q: Tensor, k: Tensor, options: Options) -> dict[str, object]:
    _, size_q, heads, dim = q.shape
    prefix = options.prefix_k if options.prefix_size else None
    strides = (0, 0, 0) if prefix is None else prefix.stride()[:3]
    return {
        "kv_len": options.kv_len,
        "segments": options.segment_ids,
        "prefix_k": prefix,
        "prefix_v": options.prefix_v if options.prefix_size else None,
        "prefix_len": options.prefix_len if options.prefix_size else None,
        "seed": options.seed,
        **dict(zip(("p_b", "p_s", "p_h"), strides, strict=True)),
        "heads": heads,
        "size_q": size_q,
        "size_k": k.shape[1],
        "size_p": options.prefix_size,
        "scale": options.scale * LOG2E,
        "keep_below": keep_below(options.dropout_p) if options.dropout_p else 0,
        "keep_scale": 1.0 / (1.0 - options.dropout_p),
        "D": dim,
        "BLOCK_D": max(16, next_power_of_2(dim)),
        "CAUSAL": options.causal,
        "HAS_LEN": options.kv_len is not None,
        "HAS_SEGMENTS": options.segment_ids is not None,
        "HAS_PREFIX": options.prefix_size > 0,
        "HAS_DROPOUT": options.dropout_p > 0,
    }


def _strides(**tensors: Tensor) -> dict[str, object]:
    return {
        f"{name}_{axis}": stride
        for name, x in tensors.items()
        for axis, stride in zip("bsh", x.stride()[:3], strict=True)
    }


def _forward(
    q: Tensor, k: Tensor, v: Tensor, options: Options, *, needs_lse: bool
) -> tuple[Tensor, Tensor | None]:
    batch, size_q, heads, _ = q.shape
    out = q.new_empty(q.shape)
    lse = q.new_empty(batch, heads, size_q, dtype=torch.float32) if needs_lse else None
    args = {
        "q": q, "k": k, "v": v, "out": out, "lse": lse, "HAS_LSE": needs_lse, "AHEAD": AHEAD,
        **_strides(q=q, k=k, v=v, o=out), **_common_args(q, k, options),
    }  # fmt: skip
    config = config_of("fwd", target_of(q), q.dtype, options)
    blocks = cdiv(size_q, config.blocks["BLOCK_M"])
    launch(attention_fwd_kernel, (batch * heads * blocks,), args, config)
    return out, lse


def _backward(
    saved: tuple[Tensor, ...], grad: Tensor, options: Options, into: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Write the gradients of q, k and v into the given tensors."""
    q, k, v, out, lse = saved
    grad = grad if grad.stride(-1) == 1 else grad.contiguous()
    dq, dk, dv = into
    args = {
        "q": q, "k": k, "v": v, "out": out, "grad": grad, "lse": lse,
        "delta": torch.empty_like(lse), "grad_q": dq, "grad_k": dk, "grad_v": dv,
        "slope_scale": options.scale,
        **_strides(q=q, k=k, v=v, o=out, g=grad, dq=dq, dk=dk, dv=dv),
        **_common_args(q, k, options),
    }  # fmt: skip
    target, pairs = target_of(q), q.shape[0] * q.shape[2]
    config = config_of("dq", target, q.dtype, options)
    blocks = cdiv(q.shape[1], config.blocks["BLOCK_M"])
    launch(attention_dq_kernel, (pairs * blocks,), args, config)
    config = config_of("dkv", target, q.dtype, options)
    blocks = cdiv(k.shape[1], config.blocks["BLOCK_N"])
    launch(attention_dkv_kernel, (pairs * blocks,), args, config)


class _Attention(torch.autograd.Function):
    """``attention`` by Triton; returns (out, lse)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, options: Options) -> Any:
        out, lse = _forward(q, k, v, options, needs_lse=True)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.options = options
        ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        q, k, v = ctx.saved_tensors[:3]
        into = (q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape))
        _backward(ctx.saved_tensors, grad, ctx.options, into)
        return *into, None


class _PackedAttention(torch.autograd.Function):
    """The same of a packed projection, whose gradient is written packed."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, options: Options) -> Any:
        q, k, v = qkv.unbind(2)
        out, lse = _forward(q, k, v, options, needs_lse=True)
        ctx.save_for_backward(qkv, out, lse)
        ctx.options = options
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        qkv, out, lse = ctx.saved_tensors
        into = qkv.new_empty(qkv.shape)
        _backward((*qkv.unbind(2), out, lse), grad, ctx.options, into.unbind(2))
        return into, None


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    kv_len: Tensor | None = None,
    segment_ids: Tensor | None = None,
    causal: bool = False,
    prefix_k: Tensor | None = None,
    prefix_v: Tensor | None = None,
    prefix_len: Tensor | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    seed: Tensor | None = None,
) -> Tensor:
    """Attention, differentiable in q, k and v; the formula stands at the top of this module.

    Args:
        q: [B, Sq, H, D] floating, queries.
        k: [B, Sk, H, D] of q's dtype, keys.
        v: [B, Sk, H, D] of q's dtype, values.
        kv_len: [B] integers, the keys of each row that count; None: all.
        segment_ids: [B, Sq] integers, equal within a segment; 0 also sees the prefix.
        causal: whether query i sees no key after i.
        prefix_k: [B, P, H, D], constant keys before the row.
        prefix_v: [B, P, H, D], their values.
        prefix_len: [B] integers, how many of the P are filled.
        scale: of the scores, above 0; D ** -0.5 by default.
        dropout_p: share of the weights to drop, in [0, 1).
        seed: [] int64, chooses which; needed with dropout.

    Returns:
        [B, Sq, H, D] of q's dtype.

    Raises:
        ValueError: arguments that do not belong together, with what was given.
    """
    return attention_with_lse(
        q, k, v, kv_len=kv_len, segment_ids=segment_ids, causal=causal, prefix_k=prefix_k,
        prefix_v=prefix_v, prefix_len=prefix_len, scale=scale, dropout_p=dropout_p, seed=seed,
        needs_lse=False,
    )[0]  # fmt: skip


def attention_with_lse(
    q: Tensor, k: Tensor, v: Tensor, *, needs_lse: bool = True, **options: Any
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """``attention`` and its log-sums [B, H, Sq] float32, base 2, not differentiable."""
    chosen = checked_options(q, k, v, **options)
    if uses_triton(q):
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        if not is_trained(q, k, v):
            return _forward(q, k, v, chosen.contiguous(), needs_lse=needs_lse)
        out, lse = _Attention.apply(q, k, v, chosen.contiguous())  # type: ignore[no-untyped-call]
        return out, lse
    lse = None
    if needs_lse:
        with torch.no_grad():
            lse = attention_lse_reference(q, k, **options)
    return attention_pytorch(q, k, v, chosen), lse


def attention_packed(qkv: Tensor, **options: Any) -> Tensor:
    """``attention`` of a packed projection.

    Args:
        qkv: [B, S, 3, H, D], queries, keys and values; its gradient comes in the same layout.
        options: as in ``attention``.

    Returns:
        [B, S, H, D].

    Raises:
        ValueError: as ``attention``, or another number of axes.
    """
    if qkv.dim() != 5 or qkv.shape[2] != 3:
        raise ValueError(f"qkv must be [B, S, 3, H, D], got {list(qkv.shape)}")
    if uses_triton(qkv) and qkv.stride(-1) != 1:
        qkv = qkv.contiguous()
    q, k, v = qkv.unbind(2)
    if not (uses_triton(qkv) and is_trained(qkv)):
        return attention(q, k, v, **options)
    chosen = checked_options(q, k, v, **options).contiguous()
    out: Tensor = _PackedAttention.apply(qkv, chosen)  # type: ignore[no-untyped-call]
    return out
