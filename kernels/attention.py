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

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
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
from flare.kernels.attention_kernels import attention_bwd_kernel, attention_fwd_kernel
from flare.kernels.philox import philox_bits

LOG2E = math.log2(math.e)


def _config(m: int, n: int, warps: int, stages: int) -> Config:
    return Config(num_warps=warps, num_stages=stages, blocks={"BLOCK_M": m, "BLOCK_N": n})


# (direction, compute capability's major, bytes of a number): chosen by the report of the compiler.
# Dropout's random numbers take registers, and so does a prefix on sm_80: they have their own rows.
CONFIGS: dict[tuple[str, int, int], Config] = {
    ("fwd", 8, 2): _config(64, 64, 4, 2),
    ("fwd", 9, 2): _config(64, 64, 4, 3),
    ("fwd", 8, 4): _config(32, 32, 8, 2),
    ("fwd", 9, 4): _config(64, 32, 8, 2),
    ("bwd", 8, 2): _config(64, 32, 4, 1),
    ("bwd", 9, 2): _config(64, 64, 4, 1),
    ("bwd", 8, 4): _config(32, 32, 8, 1),
    ("bwd", 9, 4): _config(32, 32, 8, 1),
    ("fwd prefix", 8, 2): _config(64, 32, 4, 2),
    ("fwd dropout", 8, 2): _config(64, 32, 4, 2),
    ("fwd dropout", 9, 2): _config(64, 32, 4, 2),
    ("fwd dropout", 8, 4): _config(32, 32, 8, 1),
    ("fwd dropout", 9, 4): _config(32, 32, 8, 1),
    ("bwd dropout", 8, 2): _config(32, 32, 4, 1),
    ("bwd dropout", 9, 2): _config(32, 32, 8, 1),
    ("bwd dropout", 8, 4): _config(32, 32, 8, 1),
    ("bwd dropout", 9, 4): _config(32, 32, 8, 1),
}


@dataclass(frozen=True, slots=True)
class _Options:
    """What a call asks for beside q, k and v."""

    kv_len: Tensor | None
    segment_ids: Tensor | None
    causal: bool
    prefix_k: Tensor | None
    prefix_v: Tensor | None
    prefix_len: Tensor | None
    scale: float
    dropout_p: float
    seed: Tensor | None

    @property
    def prefix_size(self) -> int:
        """P."""
        return 0 if self.prefix_k is None else self.prefix_k.shape[1]


def config_of(direction: str, target: Target, dtype: torch.dtype, options: _Options) -> Config:
    """The table's row; later architectures take the last one's."""
    if INTERPRETED:  # its time goes by the number of steps
        return _config(64, 64, 4, 1)
    kind = f"{direction} dropout" if options.dropout_p else f"{direction} prefix"
    row = (kind, min(target[0], 9), dtype.itemsize)
    if options.dropout_p or (options.prefix_size and row in CONFIGS):
        return CONFIGS[row]
    return CONFIGS[direction, row[1], row[2]]


def visible_keys(q: Tensor, k: Tensor, options: _Options) -> Tensor | None:
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


def _kept(q: Tensor, k: Tensor, options: _Options) -> Tensor:
    """Which weights dropout keeps, [B, H, Sq, P + Sk] bool; the prefix's columns first."""
    batch, size_q, heads, _ = q.shape
    size_k, size_p = k.shape[1], options.prefix_size
    places = torch.arange(size_k + size_p, device=q.device).roll(size_p)
    pair = torch.arange(size_q, device=q.device)[:, None] * (size_k + size_p) + places
    rows = torch.arange(batch * heads, device=q.device)[:, None, None]
    assert options.seed is not None
    bits = philox_bits(int(options.seed), pair[None], rows)
    return (bits < _keep_below(options.dropout_p)).view(batch, heads, size_q, -1)


def _keep_below(dropout_p: float) -> int:
    return round((1.0 - dropout_p) * 2**32)


def _written_out(q: Tensor, k: Tensor, v: Tensor, options: _Options, sums: torch.dtype) -> Tensor:
    """Products and softmax as in the formula, the softmax in ``sums``: [B, Sq, H, D]."""
    visible = visible_keys(q, k, options)
    kept = _kept(q, k, options) if options.dropout_p else None
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
    chosen = _options(q, k, v, **options)
    if upcast:
        out = _written_out(q.double(), k.double(), v.double(), chosen, torch.float64)
        return out.to(q.dtype)
    return _written_out(q, k, v, chosen, q.dtype)


def attention_lse_reference(q: Tensor, k: Tensor, **options: Any) -> Tensor:
    """``lse`` in plain PyTorch, in float64; arguments as in ``attention``."""
    chosen = _options(q, k, k, **options)
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


def _pytorch(q: Tensor, k: Tensor, v: Tensor, options: _Options) -> Tensor:
    """The faster of PyTorch's ways."""
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


def _common_args(q: Tensor, k: Tensor, options: _Options) -> dict[str, object]:
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
        "keep_below": _keep_below(options.dropout_p) if options.dropout_p else 0,
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


def _forward(q: Tensor, k: Tensor, v: Tensor, options: _Options) -> tuple[Tensor, Tensor]:
    batch, size_q, heads, _ = q.shape
    out = q.new_empty(q.shape)
    lse = q.new_empty(batch, heads, size_q, dtype=torch.float32)
    config = config_of("fwd", target_of(q), q.dtype, options)
    args = {
        "q": q, "k": k, "v": v, "out": out, "lse": lse, "scale": options.scale * LOG2E,
        **_strides(q=q, k=k, v=v, o=out), **_common_args(q, k, options),
    }  # fmt: skip
    grid = (batch * heads * cdiv(size_q, config.blocks["BLOCK_M"]),)
    launch(attention_fwd_kernel, grid, args, config)
    return out, lse


def _backward(
    saved: tuple[Tensor, ...], grad: Tensor, options: _Options, into: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Write the gradients of q, k and v into the given tensors."""
    q, k, v, out, lse = saved
    grad = grad if grad.stride(-1) == 1 else grad.contiguous()
    dq, dk, dv = into
    args = {
        "q": q, "k": k, "v": v, "out": out, "grad": grad, "lse": lse,
        "delta": torch.empty_like(lse), "grad_q": dq, "grad_k": dk, "grad_v": dv,
        "scale": options.scale, **_strides(q=q, k=k, v=v, o=out, g=grad, dq=dq, dk=dk, dv=dv),
        **_common_args(q, k, options),
    }  # fmt: skip
    config = config_of("bwd", target_of(q), q.dtype, options)
    launch(attention_bwd_kernel, (q.shape[0] * q.shape[2],), args, config)


class _Attention(torch.autograd.Function):
    """``attention`` by Triton; returns (out, lse)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, options: _Options) -> Any:
        out, lse = _forward(q, k, v, options)
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
    def forward(ctx: Any, qkv: Tensor, options: _Options) -> Any:
        q, k, v = qkv.unbind(2)
        out, lse = _forward(q, k, v, options)
        ctx.save_for_backward(qkv, out, lse)
        ctx.options = options
        ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        qkv, out, lse = ctx.saved_tensors
        into = qkv.new_empty(qkv.shape)
        _backward((*qkv.unbind(2), out, lse), grad, ctx.options, into.unbind(2))
        return into, None


def _triton_options(options: _Options) -> _Options:
    """The same with integers as the kernels read them."""

    def whole(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.contiguous()

    keys = None if options.prefix_k is None else options.prefix_k.contiguous()
    values = None if options.prefix_v is None else options.prefix_v.contiguous()
    return _Options(
        whole(options.kv_len), whole(options.segment_ids), options.causal, keys, values,
        whole(options.prefix_len), options.scale, options.dropout_p, options.seed,
    )  # fmt: skip


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
        scale: of the scores; D ** -0.5 by default.
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
    chosen = _options(q, k, v, **options)
    if uses_triton(q):
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        out, lse = _Attention.apply(q, k, v, _triton_options(chosen))  # type: ignore[no-untyped-call]
        return out, lse
    lse = None
    if needs_lse:
        with torch.no_grad():
            lse = attention_lse_reference(q, k, **options)
    return _pytorch(q, k, v, chosen), lse


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
    q, k, v = qkv.unbind(2)
    if not uses_triton(qkv):
        return attention(q, k, v, **options)
    chosen = _triton_options(_options(q, k, v, **options))
    qkv = qkv if qkv.stride(-1) == 1 else qkv.contiguous()
    out: Tensor = _PackedAttention.apply(qkv, chosen)[0]  # type: ignore[no-untyped-call]
    return out


def _options(
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
) -> _Options:
    """Check what a call was given."""
    _check_tensors(q, k, v)
    batch, size_q = q.shape[:2]
    if (causal or segment_ids is not None) and k.shape[1] != size_q:
        raise ValueError(
            f"causal attention and segments need as many keys as queries, got {k.shape[1]} and "
            f"{size_q}"
        )
    _check_integers("kv_len", kv_len, (batch,))
    _check_integers("segment_ids", segment_ids, (batch, size_q))
    _check_integers("prefix_len", prefix_len, (batch,))
    _check_prefix(q, prefix_k, prefix_v, prefix_len)
    if not 0.0 <= dropout_p < 1.0:
        raise ValueError(f"dropout_p must be at least 0 and below 1, got {dropout_p}")
    if dropout_p and (seed is None or seed.dtype != torch.int64 or seed.numel() != 1):
        raise ValueError("dropout needs a seed, a tensor of one int64")
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return _Options(
        kv_len, segment_ids, causal, prefix_k, prefix_v, prefix_len, scale, dropout_p, seed
    )


def _check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    if q.dim() != 4 or k.shape != v.shape or k.dim() != 4 or _but_size(k) != _but_size(q):
        raise ValueError(
            "q must be [B, Sq, H, D] and k and v [B, Sk, H, D], "
            f"got {list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    if not q.is_floating_point() or k.dtype != q.dtype or v.dtype != q.dtype:
        raise ValueError(
            f"q, k and v must share one floating dtype, got {q.dtype}, {k.dtype}, {v.dtype}"
        )
    if k.device != q.device or v.device != q.device:
        raise ValueError(
            f"q, k and v must be on one device, got {q.device}, {k.device}, {v.device}"
        )


def _but_size(x: Tensor) -> tuple[int, ...]:
    return (x.shape[0], *x.shape[2:])


def _check_integers(name: str, x: Tensor | None, shape: tuple[int, ...]) -> None:
    if x is not None and (x.shape != shape or x.is_floating_point()):
        raise ValueError(f"{name} must be integers {list(shape)}, got {x.dtype} {list(x.shape)}")


def _check_prefix(
    q: Tensor, prefix_k: Tensor | None, prefix_v: Tensor | None, prefix_len: Tensor | None
) -> None:
    if prefix_k is None and prefix_v is None and prefix_len is None:
        return
    if prefix_k is None or prefix_v is None or prefix_len is None:
        raise ValueError("prefix_k, prefix_v and prefix_len must be given together")
    if _but_size(prefix_k) != _but_size(q) or prefix_v.shape != prefix_k.shape:
        raise ValueError(
            f"prefix_k and prefix_v must be [{q.shape[0]}, P, {q.shape[2]}, {q.shape[3]}], "
            f"got {list(prefix_k.shape)}, {list(prefix_v.shape)}"
        )
    if prefix_k.dtype != q.dtype or prefix_v.dtype != q.dtype:
        raise ValueError(f"the prefix must be {q.dtype}, got {prefix_k.dtype}, {prefix_v.dtype}")
    if prefix_k.requires_grad or prefix_v.requires_grad:
        raise ValueError("a prefix is a constant, but this one asks for a gradient")
