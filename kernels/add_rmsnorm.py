"""A residual and the RMSNorm behind it, in one pass.

    s = x + r,   y = s / sqrt(mean(s²) + eps) · w

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x, r, y, s  [..., C] dt; r may be absent, then s = x
    w           [C] dt

s is rounded to dt before it is normalised: it goes on as the stream. The backward pass with
g = w · dy, ŝ = s / rms is ``ds += (g - ŝ · mean(g · ŝ)) / rms``. Source: Zhang and Sennrich 2019.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
from torch import Tensor

from flare.kernels._launch import (
    cdiv,
    is_trained,
    jit,
    launch,
    next_power_of_2,
    tl,
    uses_triton,
)
from flare.kernels.add_layernorm import (
    MAX_WIDTH,
    check_norm,
    column_sums,
    config_of,
    split_rows,
)


def add_rmsnorm_reference(
    x: Tensor, r: Tensor | None, w: Tensor, *, eps: float = 1e-5, upcast: bool = True
) -> tuple[Tensor, Tensor]:
    """The formula in plain PyTorch; arguments as in ``add_rmsnorm``.

    upcast: compute in float64, then round to x's dtype.
    """
    dtype = x.dtype
    if not upcast:
        s = x if r is None else x + r
        return torch.nn.functional.rms_norm(s, x.shape[-1:], w, eps), s
    s = x.double() if r is None else x.double() + r.double()
    y = torch.nn.functional.rms_norm(s, x.shape[-1:], w.double(), eps)
    return y.to(dtype), s.to(dtype)


@jit
def rmsnorm_fwd_kernel(
    x, r, w, s, y, rms, count, eps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr, HAS_R: tl.constexpr,
    IS_TRAINED: tl.constexpr,
):  # fmt: skip
    """One program per ROWS rows; rms [rows] holds 1 / sqrt(mean(s²) + eps)."""
    rows = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    mask = (rows < count)[:, None] & (c < C)[None, :]
    offs = rows[:, None] * C + c[None, :]
    stream = tl.load(x + offs, mask=mask, other=0.0).to(tl.float32)  # [ROWS, C]
    if HAS_R:
        stream += tl.load(r + offs, mask=mask, other=0.0).to(tl.float32)
        rounded = stream.to(s.dtype.element_ty)
        tl.store(s + offs, rounded, mask=mask)
        stream = rounded.to(tl.float32)
    inverse = 1.0 / tl.sqrt(tl.sum(stream * stream, 1) / C + eps)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    out = stream * inverse[:, None] * scale[None, :]
    tl.store(y + offs, out.to(y.dtype.element_ty), mask=mask)
    if IS_TRAINED:
        tl.store(rms + rows, inverse, mask=rows < count)


@jit
def rmsnorm_bwd_kernel(
    s, w, rms, grad_y, grad_s, into, partial, count, steps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr, HAS_GRAD_S: tl.constexpr,
):  # fmt: skip
    """One program per ``steps`` groups of ROWS rows; partial [programs, C] holds dw."""
    program = tl.program_id(0)
    c = tl.arange(0, BLOCK_C)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    sum_w = tl.zeros([ROWS, BLOCK_C], tl.float32)
    for step in range(0, steps):
        rows = ((program * steps + step) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        mask = (rows < count)[:, None] & (c < C)[None, :]
        offs = rows[:, None] * C + c[None, :]
        stream = tl.load(s + offs, mask=mask, other=0.0).to(tl.float32)
        dy = tl.load(grad_y + offs, mask=mask, other=0.0).to(tl.float32)
        inverse = tl.load(rms + rows, mask=rows < count, other=0.0)
        normal = stream * inverse[:, None]
        sum_w += dy * normal
        g = dy * scale[None, :]
        ds = (g - normal * (tl.sum(g * normal, 1) / C)[:, None]) * inverse[:, None]
        if HAS_GRAD_S:
            ds += tl.load(grad_s + offs, mask=mask, other=0.0).to(tl.float32)
        tl.store(into + offs, ds.to(into.dtype.element_ty), mask=mask)
    tl.store(partial + program.to(tl.int64) * C + c, tl.sum(sum_w, 0), mask=c < C)


def _forward(
    x: Tensor, r: Tensor | None, w: Tensor, eps: float, *, keeps: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y, s and, for a backward pass, the rows' factors."""
    x = x.contiguous()
    count, width = x.numel() // x.shape[-1], x.shape[-1]
    y = torch.empty_like(x)
    s = x if r is None else torch.empty_like(x)
    rms = x.new_empty(count * keeps, dtype=torch.float32)
    config = config_of("fwd", width)
    args = {
        "x": x, "r": None if r is None else r.contiguous(), "w": w, "s": s, "y": y, "rms": rms,
        "count": count, "eps": eps, "C": width, "BLOCK_C": max(16, next_power_of_2(width)),
        "HAS_R": r is not None, "IS_TRAINED": keeps,
    }  # fmt: skip
    launch(rmsnorm_fwd_kernel, (cdiv(count, config.blocks["ROWS"]),), args, config)
    return y, s, rms


class _AddRmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, r: Tensor | None, w: Tensor, eps: float) -> Any:
        y, s, rms = _forward(x, r, w, eps, keeps=True)
        ctx.save_for_backward(s, w, rms)
        ctx.has_r = r is not None
        ctx.set_materialize_grads(False)
        return y, s if r is not None else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor | None, grad_s: Tensor | None) -> Any:
        s, w, rms = ctx.saved_tensors
        count, width = len(rms), s.shape[-1]
        if grad_y is None:
            return grad_s, grad_s if ctx.has_r else None, torch.zeros_like(w), None
        config = config_of("bwd", width)
        programs, steps = split_rows(count, config.blocks["ROWS"])
        into = torch.empty_like(s)
        partial = s.new_empty(programs, width, dtype=torch.float32)
        args = {
            "s": s, "w": w, "rms": rms, "grad_y": grad_y.contiguous(),
            "grad_s": None if grad_s is None else grad_s.contiguous(), "into": into,
            "partial": partial, "count": count, "steps": steps, "C": width,
            "BLOCK_C": max(16, next_power_of_2(width)), "HAS_GRAD_S": grad_s is not None,
        }  # fmt: skip
        launch(rmsnorm_bwd_kernel, (programs,), args, config)
        return into, into if ctx.has_r else None, column_sums(partial, w.dtype), None


def add_rmsnorm(
    x: Tensor, r: Tensor | None, w: Tensor, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """``RMSNorm(x + r)`` and ``x + r``, differentiable in all three.

    Args:
        x: [..., C] floating.
        r: [..., C] of x's shape and dtype; None: nothing is added.
        w: [C] of x's dtype.
        eps: under the root.

    Returns:
        y and s, [..., C] of x's dtype.

    Raises:
        ValueError: arguments that do not belong together, with what was given.
    """
    check_norm(x, r, w, None)
    if uses_triton(x) and x.shape[-1] <= MAX_WIDTH:
        if not is_trained(x, r, w):
            return _forward(x, r, w, eps, keeps=False)[:2]
        y, s = _AddRmsNorm.apply(x, r, w, eps)  # type: ignore[no-untyped-call]
        return y, s
    return add_rmsnorm_reference(x, r, w, eps=eps, upcast=False)
