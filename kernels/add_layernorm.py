"""A residual and the LayerNorm behind it, in one pass.

    s = a + r,   y = (s - mean(s)) / sqrt(var(s) + eps) · w + b

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    a, r, y  [..., C] dt; r may be absent, then s = a
    w, b     [C] dt

s is rounded to dt before it is normalised: that is what the backward pass reads again. The backward
pass with g = w · dy and x̂ = (s - mean) / std is
``ds = (g - mean(g) - x̂ · mean(g · x̂)) / std``; dw and db are summed per program, then over
programs, so two runs give the same bits. Source: Ba et al. 2016.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import (
    Config,
    cdiv,
    is_trained,
    jit,
    launch,
    next_power_of_2,
    tl,
    uses_triton,
)

# Programs of a backward pass, 16 for each of an H100's multiprocessors: each holds partial sums of
# the weights' gradients.
PROGRAMS = 2112


def _config(rows: int, warps: int) -> Config:
    return Config(num_warps=warps, num_stages=1, blocks={"ROWS": rows})


# Rows of a program by the padded width, forward and backward, chosen on an H200: backward a row
# belongs to one warp, so that no sum over it waits for others.
CONFIGS: dict[tuple[str, int], Config] = {
    ("fwd", 128): _config(16, 4),
    ("fwd", 512): _config(4, 4),
    ("fwd", 1024): _config(4, 8),
    ("bwd", 128): _config(4, 1),
    ("bwd", 512): _config(1, 1),
    ("bwd", 1024): _config(1, 2),
}
MAX_WIDTH = 1024


def config_of(direction: str, width: int) -> Config:
    """The table's row of the smallest width that holds ``width``."""
    return next(CONFIGS[direction, w] for d, w in CONFIGS if d == direction and w >= width)


def add_layernorm_reference(
    a: Tensor, r: Tensor | None, w: Tensor, b: Tensor, *, eps: float = 1e-5, upcast: bool = True
) -> Tensor:
    """The formula in plain PyTorch; arguments as in ``add_layernorm``.

    upcast: compute in float64, then round to a's dtype.
    """
    if not upcast:
        return F.layer_norm(a if r is None else a + r, a.shape[-1:], w, b, eps)
    s = a.double() if r is None else a.double() + r.double()
    return F.layer_norm(s, a.shape[-1:], w.double(), b.double(), eps).to(a.dtype)


@jit
def layernorm_fwd_kernel(
    a, gain, r, w, b, s, y, mean, rstd, count, eps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr, HAS_R: tl.constexpr,
    HAS_GAIN: tl.constexpr, KEEPS_S: tl.constexpr, IS_TRAINED: tl.constexpr,
):  # fmt: skip
    """One program per ROWS rows; mean and rstd are kept where there will be a backward pass."""
    rows = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    mask = (rows < count)[:, None] & (c < C)[None, :]
    offs = rows[:, None] * C + c[None, :]
    x = tl.load(a + offs, mask=mask, other=0.0).to(tl.float32)  # [ROWS, C]
    if HAS_GAIN:
        x *= tl.load(gain + c, mask=c < C, other=0.0).to(tl.float32)[None, :]
    if HAS_R:
        x += tl.load(r + offs, mask=mask, other=0.0).to(tl.float32)
        rounded = x.to(y.dtype.element_ty)
        if KEEPS_S:
            tl.store(s + offs, rounded, mask=mask)
        x = rounded.to(tl.float32)
    mu = tl.sum(x, 1) / C
    centred = tl.where(mask, x - mu[:, None], 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / C + eps)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    shift = tl.load(b + c, mask=c < C, other=0.0).to(tl.float32)
    out = centred * inverse[:, None] * scale[None, :] + shift[None, :]
    tl.store(y + offs, out.to(y.dtype.element_ty), mask=mask)
    if IS_TRAINED:
        tl.store(mean + rows, mu, mask=rows < count)
        tl.store(rstd + rows, inverse, mask=rows < count)


@jit
def layernorm_bwd_kernel(
    s, w, mean, rstd, grad, grad_s, partial, count, steps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """One program per ``steps`` groups of ROWS rows; partial [programs, 2, C] holds dw and db."""
    program = tl.program_id(0)
    c = tl.arange(0, BLOCK_C)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    sum_w = tl.zeros([ROWS, BLOCK_C], tl.float32)
    sum_b = tl.zeros([ROWS, BLOCK_C], tl.float32)
    for step in range(0, steps):
        rows = ((program * steps + step) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        mask = (rows < count)[:, None] & (c < C)[None, :]
        offs = rows[:, None] * C + c[None, :]
        x = tl.load(s + offs, mask=mask, other=0.0).to(tl.float32)
        dy = tl.load(grad + offs, mask=mask, other=0.0).to(tl.float32)
        mu = tl.load(mean + rows, mask=rows < count, other=0.0)
        inverse = tl.load(rstd + rows, mask=rows < count, other=0.0)
        normal = tl.where(mask, (x - mu[:, None]) * inverse[:, None], 0.0)
        sum_w += dy * normal
        sum_b += dy
        g = dy * scale[None, :]
        push = g - (tl.sum(g, 1) / C)[:, None] - normal * (tl.sum(g * normal, 1) / C)[:, None]
        ds = push * inverse[:, None]
        tl.store(grad_s + offs, ds.to(grad_s.dtype.element_ty), mask=mask)
    into = partial + program.to(tl.int64) * 2 * C + c
    tl.store(into, tl.sum(sum_w, 0), mask=c < C)
    tl.store(into + C, tl.sum(sum_b, 0), mask=c < C)


@jit
def column_sum_kernel(partial, out, programs, width, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sum [programs, width] over the programs, in one fixed order."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    total = tl.zeros([BLOCK_P, BLOCK_C], tl.float32)
    for first in range(0, programs, BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        mask = (p < programs)[:, None] & (c < width)[None, :]
        total += tl.load(partial + p[:, None] * width + c[None, :], mask=mask, other=0.0)
    tl.store(out + c, tl.sum(total, 0).to(out.dtype.element_ty), mask=c < width)


SUM_CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK_P": 32, "BLOCK_C": 32})


def column_sums(partial: Tensor, dtype: torch.dtype) -> Tensor:
    """[P, W] float32 to [W] of dtype, deterministic."""
    programs, width = partial.shape
    out = partial.new_empty(width, dtype=dtype)
    args = {"partial": partial, "out": out, "programs": programs, "width": width}
    launch(column_sum_kernel, (cdiv(width, SUM_CONFIG.blocks["BLOCK_C"]),), args, SUM_CONFIG)
    return out


def split_rows(count: int, rows: int, programs: int = PROGRAMS) -> tuple[int, int]:
    """Programs, and groups of ``rows`` rows that each takes."""
    groups = cdiv(count, rows)
    steps = max(1, cdiv(groups, programs))
    return cdiv(groups, steps), steps


def _forward(
    a: Tensor, r: Tensor | None, w: Tensor, b: Tensor, eps: float, *, keeps_s: bool,
    is_trained: bool, gain: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Y and s, and mean and rstd for a backward pass; what is not kept is y again, or empty."""
    a = a.contiguous()
    count, width = a.numel() // a.shape[-1], a.shape[-1]
    y = torch.empty_like(a)
    s = a if r is None else torch.empty_like(a) if keeps_s else y
    mean, rstd = (a.new_empty(count * is_trained, dtype=torch.float32) for _ in range(2))
    config = config_of("fwd", width)
    args = {
        "a": a, "gain": gain, "r": None if r is None else r.contiguous(), "w": w, "b": b, "s": s,
        "y": y, "mean": mean, "rstd": rstd, "count": count, "eps": eps, "C": width,
        "BLOCK_C": max(16, next_power_of_2(width)), "HAS_R": r is not None,
        "HAS_GAIN": gain is not None, "KEEPS_S": keeps_s, "IS_TRAINED": is_trained,
    }  # fmt: skip
    launch(layernorm_fwd_kernel, (cdiv(count, config.blocks["ROWS"]),), args, config)
    return y, s, mean, rstd


class _AddLayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, r: Tensor | None, w: Tensor, b: Tensor, eps: float) -> Any:
        y, s, mean, rstd = _forward(a, r, w, b, eps, keeps_s=True, is_trained=True)
        ctx.save_for_backward(s, w, mean, rstd)
        ctx.has_r = r is not None
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        s, w, mean, rstd = ctx.saved_tensors
        count, width = len(mean), s.shape[-1]
        config = config_of("bwd", width)
        programs, steps = split_rows(count, config.blocks["ROWS"])
        grad_s = torch.empty_like(s)
        partial = s.new_empty(programs, 2 * width, dtype=torch.float32)
        args = {
            "s": s, "w": w, "mean": mean, "rstd": rstd, "grad": grad.contiguous(),
            "grad_s": grad_s, "partial": partial, "count": count, "steps": steps, "C": width,
            "BLOCK_C": max(16, next_power_of_2(width)),
        }  # fmt: skip
        launch(layernorm_bwd_kernel, (programs,), args, config)
        dw, db = column_sums(partial, w.dtype).view(2, width)
        return grad_s, grad_s if ctx.has_r else None, dw, db, None


def add_layernorm(
    a: Tensor, r: Tensor | None, w: Tensor, b: Tensor, *, eps: float = 1e-5
) -> Tensor:
    """``LayerNorm(a + r)``, differentiable in all four.

    Args:
        a: [..., C] floating.
        r: [..., C] of a's shape and dtype; None: nothing is added.
        w: [C] of a's dtype.
        b: [C] of a's dtype.
        eps: under the root.

    Returns:
        [..., C] of a's dtype.

    Raises:
        ValueError: arguments that do not belong together, with what was given.
    """
    check_norm(a, r, w, b)
    if uses_triton(a) and a.shape[-1] <= MAX_WIDTH:
        if not is_trained(a, r, w, b):
            return _forward(a, r, w, b, eps, keeps_s=False, is_trained=False)[0]
        y: Tensor = _AddLayerNorm.apply(a, r, w, b, eps)  # type: ignore[no-untyped-call]
        return y
    return add_layernorm_reference(a, r, w, b, eps=eps, upcast=False)


def stream_layernorm_reference(
    x: Tensor, branch: Tensor | None, gain: Tensor | None, w: Tensor, b: Tensor, *,
    eps: float = 1e-5, upcast: bool = True,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The formula in plain PyTorch; arguments as in ``stream_layernorm``."""
    if upcast:
        given = [None if t is None else t.double() for t in (x, branch, gain, w, b)]
        y, s = stream_layernorm_reference(*given, eps=eps, upcast=False)  # type: ignore[arg-type]
        return y.to(x.dtype), s.to(x.dtype)
    s = join_stream(x, branch, gain)
    return F.layer_norm(s, s.shape[-1:], w, b, eps), s


def join_stream(x: Tensor, branch: Tensor | None, gain: Tensor | None) -> Tensor:
    """``x + gain · branch`` in one pass of PyTorch's; without a branch x."""
    if branch is None:
        return x
    return x + branch if gain is None else torch.addcmul(x, branch, gain)


def stream_layernorm(
    x: Tensor, branch: Tensor | None, gain: Tensor | None, w: Tensor, b: Tensor, *,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """``LayerNorm(s)`` and ``s = x + gain · branch``; one pass where no gradient is asked for.

    Args:
        x: [..., C] floating, the stream.
        branch: [..., C] of x's shape and dtype, what is added to it; None: nothing.
        gain: [C] of x's dtype, factors of the branch's channels; None: ones.
        w: [C] of x's dtype.
        b: [C] of x's dtype.
        eps: under the root.

    Returns:
        y and s, [..., C] of x's dtype.

    Raises:
        ValueError: arguments that do not belong together, with what was given.
    """
    check_norm(x, branch, w, b)
    if gain is not None and (gain.shape != w.shape or gain.dtype != x.dtype):
        raise ValueError(
            f"gain must be {x.dtype} {list(w.shape)}, got {gain.dtype} {list(gain.shape)}"
        )
    if uses_triton(x) and x.shape[-1] <= MAX_WIDTH:
        if is_trained(x, branch, gain, w, b) or branch is None:
            s = join_stream(x, branch, gain)
            return add_layernorm(s, None, w, b, eps=eps), s
        # The kernel's first argument is what is scaled.
        y, s, *_ = _forward(branch, x, w, b, eps, keeps_s=True, is_trained=False, gain=gain)
        return y, s
    return stream_layernorm_reference(x, branch, gain, w, b, eps=eps, upcast=False)


def check_norm(a: Tensor, r: Tensor | None, w: Tensor, b: Tensor | None) -> None:
    """Refuse shapes and dtypes of a norm's arguments that do not belong together."""
    given = [list(x.shape) for x in (a, r, w, b) if x is not None]
    width = a.shape[-1:]
    if w.shape != width or (b is not None and b.shape != width):
        raise ValueError(f"weights of a norm must be {list(width)}, got shapes {given}")
    if r is not None and r.shape != a.shape:
        raise ValueError(f"a and r must share one shape, got {list(a.shape)}, {list(r.shape)}")
    dtypes = {x.dtype for x in (a, r, w, b) if x is not None}
    if len(dtypes) > 1 or not a.is_floating_point():
        raise ValueError(f"a norm's arguments must share one floating dtype, got {dtypes}")
