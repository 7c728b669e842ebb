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

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flare.kernels._launch import (
    INTERPRETED,
    Config,
    Prepared,
    Target,
    cdiv,
    is_trained,
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


def _config(m: int, n: int, warps: int, stages: int, most: int | None = None) -> Config:
    blocks = {"BLOCK_M": m, "BLOCK_N": n}
    return Config(num_warps=warps, num_stages=stages, blocks=blocks, max_registers=most)


# (kernel, compute capability's major, bytes of a number): on Hopper chosen on an H200, on Ampere by
# the report of the compiler. "masked": causal, with segments or a prefix; "long": more than 256
# keys. Dropout's random numbers take registers: it has its own rows. Without one the plain row.
CONFIGS: dict[tuple[str, int, int], Config] = {
    ("fwd", 8, 2): _config(64, 64, 4, 2),
    ("fwd", 9, 2): _config(64, 32, 4, 3, 80),
    ("fwd", 8, 4): _config(32, 32, 8, 2),
    ("fwd", 9, 4): _config(64, 32, 8, 2),
    ("fwd long", 9, 2): _config(64, 64, 4, 3, 128),
    ("fwd masked", 9, 2): _config(64, 32, 4, 3),
    ("fwd masked", 8, 2): _config(64, 32, 4, 2),
    ("dq", 8, 2): _config(64, 32, 4, 2),
    ("dq", 9, 2): _config(64, 32, 4, 3),
    ("dq", 8, 4): _config(32, 32, 8, 1),
    ("dq", 9, 4): _config(32, 32, 8, 1),
    ("dkv", 8, 2): _config(32, 64, 4, 1),
    ("dkv", 9, 2): _config(64, 64, 4, 1, 168),
    ("dkv", 8, 4): _config(32, 32, 8, 1),
    ("dkv", 9, 4): _config(32, 32, 8, 1),
    ("dkv masked", 9, 2): _config(64, 64, 4, 2),
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
_LONG = 256


class _Sizes(NamedTuple):
    """All of a call but its tensors' contents: calls of the same sizes share their launches."""

    q: tuple[int, ...]  # shapes
    k: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]  # of q, k and v
    prefix: tuple[int, ...] | None  # strides
    size_p: int
    causal: bool
    has_len: bool
    has_segments: bool
    dropout_p: float
    scale: float
    dtype: torch.dtype
    target: Target
    interpreted: bool

    @property
    def is_masked(self) -> bool:
        """Whether some queries see less than others of their row."""
        return self.causal or self.has_segments or self.size_p > 0


def _sizes(q: Tensor, k: Tensor, v: Tensor, options: Options) -> _Sizes:
    prefix = options.prefix_k if options.prefix_size else None
    return _Sizes(
        q.shape, k.shape, (q.stride(), k.stride(), v.stride()),
        None if prefix is None else prefix.stride(), options.prefix_size, options.causal,
        options.kv_len is not None, options.segment_ids is not None, options.dropout_p,
        options.scale, q.dtype, target_of(q), INTERPRETED,
    )  # fmt: skip


def config_of(kernel: str, sizes: _Sizes) -> Config:
    """The table's row; later architectures take the last one's."""
    if INTERPRETED:
        return _INTERPRETED_CONFIG
    major, size = min(sizes.target[0], 9), sizes.dtype.itemsize
    if sizes.dropout_p:
        return CONFIGS[f"{kernel} dropout", major, size]
    kind = "masked" if sizes.is_masked else "long" if sizes.k[1] > _LONG else ""
    plain = CONFIGS[kernel, major, size]
    return CONFIGS.get((f"{kernel} {kind}", major, size), plain)


def _numbers(sizes: _Sizes, **strides: tuple[int, ...]) -> dict[str, object]:
    _, size_q, heads, dim = sizes.q
    q, k, v = sizes.strides
    named = {"q": q, "k": k, "v": v, "p": sizes.prefix or (0, 0, 0), **strides}
    return {
        **{f"{name}_{axis}": s for name, own in named.items()
           for axis, s in zip("bsh", own, strict=False)},
        "heads": heads,
        "size_q": size_q,
        "size_k": sizes.k[1],
        "size_p": sizes.size_p,
        "scale": sizes.scale * LOG2E,
        "slope_scale": sizes.scale,
        "keep_below": keep_below(sizes.dropout_p) if sizes.dropout_p else 0,
        "keep_scale": 1.0 / (1.0 - sizes.dropout_p),
        "D": dim,
        "BLOCK_D": max(16, next_power_of_2(dim)),
        "CAUSAL": sizes.causal,
        "HAS_LEN": sizes.has_len,
        "HAS_SEGMENTS": sizes.has_segments,
        "HAS_PREFIX": sizes.size_p > 0,
        "HAS_DROPOUT": sizes.dropout_p > 0,
    }  # fmt: skip


_MASKS = ("kv_len", "segments", "prefix_k", "prefix_v", "prefix_len", "seed")


def _masks(options: Options) -> tuple[Tensor | None, ...]:
    """What stands behind _MASKS."""
    if not options.prefix_size:
        return (options.kv_len, options.segment_ids, None, None, None, options.seed)
    return (
        options.kv_len, options.segment_ids, options.prefix_k, options.prefix_v,
        options.prefix_len, options.seed,
    )  # fmt: skip


@lru_cache(maxsize=512)
def _forward_launch(sizes: _Sizes, config: Config, out: tuple[int, ...], keeps: bool) -> Prepared:
    numbers = {**_numbers(sizes, o=out), "HAS_LSE": keeps}
    programs = sizes.q[0] * sizes.q[2] * cdiv(sizes.q[1], config.blocks["BLOCK_M"])
    names = ("q", "k", "v", "out", "lse", *_MASKS)
    return Prepared(attention_fwd_kernel, (programs,), names, numbers, config)


@lru_cache(maxsize=512)
def _backward_launches(
    sizes: _Sizes, dq: Config, dkv: Config, strides: tuple[tuple[int, ...], ...]
) -> tuple[Prepared, Prepared]:
    numbers = _numbers(sizes, **dict(zip(("o", "g", "dq", "dk", "dv"), strides, strict=True)))
    pairs = sizes.q[0] * sizes.q[2]
    names = ("q", "k", "v", "out", "grad", "lse", "delta", "grad_q", *_MASKS)
    programs = pairs * cdiv(sizes.q[1], dq.blocks["BLOCK_M"])
    first = Prepared(attention_dq_kernel, (programs,), names, numbers, dq)
    of_keys = ("q", "k", "v", "grad", "lse", "delta", "grad_k", "grad_v", "kv_len", "segments",
               "seed")  # fmt: skip
    programs = pairs * cdiv(sizes.k[1], dkv.blocks["BLOCK_N"])
    return first, Prepared(attention_dkv_kernel, (programs,), of_keys, numbers, dkv)


def _forward(
    q: Tensor, k: Tensor, v: Tensor, options: Options, *, needs_lse: bool
) -> tuple[Tensor, Tensor | None]:
    batch, size_q, heads, _ = q.shape
    out = q.new_empty(q.shape)
    lse = q.new_empty((batch, heads, size_q), dtype=torch.float32) if needs_lse else None
    sizes = _sizes(q, k, v, options)
    launch = _forward_launch(sizes, config_of("fwd", sizes), out.stride(), needs_lse)
    launch(q, k, v, out, lse, *_masks(options))
    return out, lse


def _backward(
    saved: tuple[Tensor, ...], grad: Tensor, options: Options, into: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Write the gradients of q, k and v into the given tensors."""
    q, k, v, out, lse = saved
    grad = grad if grad.stride(-1) == 1 else grad.contiguous()
    dq, dk, dv = into
    delta, sizes = torch.empty_like(lse), _sizes(q, k, v, options)
    strides = (out.stride(), grad.stride(), dq.stride(), dk.stride(), dv.stride())
    queries, keys = _backward_launches(
        sizes, config_of("dq", sizes), config_of("dkv", sizes), strides
    )
    queries(q, k, v, out, grad, lse, delta, dq, *_masks(options))
    keys(q, k, v, grad, lse, delta, dk, dv, options.kv_len, options.segment_ids, options.seed)


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
