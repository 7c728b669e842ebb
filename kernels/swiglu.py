"""The gate of a SwiGLU feed-forward, on the packed result of its first product.

    h = silu(g) · u,   silu(g) = g / (1 + exp(-g)),   [g, u] = x

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x  [..., 2 · W] dt, g first
    h  [..., W] dt

The gradient comes packed as x is. Source: Shazeer 2020, "GLU variants improve transformer".
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, tl, uses_triton

CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK": 1024})


def swiglu_reference(x: Tensor, *, upcast: bool = True) -> Tensor:
    """The formula in plain PyTorch.

    upcast: compute in float64, then round to x's dtype.
    """
    g, u = (x.double() if upcast else x).chunk(2, -1)
    return (F.silu(g) * u).to(x.dtype)


@jit
def swiglu_fwd_kernel(x, h, width, BLOCK: tl.constexpr):
    """One program per row and block of columns."""
    blocks = tl.cdiv(width, BLOCK)
    row = (tl.program_id(0) // blocks).to(tl.int64)
    c = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    mask = c < width
    g = tl.load(x + row * 2 * width + c, mask=mask, other=0.0).to(tl.float32)
    u = tl.load(x + row * 2 * width + width + c, mask=mask, other=0.0).to(tl.float32)
    out = g * tl.sigmoid(g) * u
    tl.store(h + row * width + c, out.to(h.dtype.element_ty), mask=mask)


@jit
def swiglu_bwd_kernel(x, grad, into, width, BLOCK: tl.constexpr):
    """One program per row and block of columns; ``silu' = σ (1 + g (1 - σ))``."""
    blocks = tl.cdiv(width, BLOCK)
    row = (tl.program_id(0) // blocks).to(tl.int64)
    c = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    mask = c < width
    g = tl.load(x + row * 2 * width + c, mask=mask, other=0.0).to(tl.float32)
    u = tl.load(x + row * 2 * width + width + c, mask=mask, other=0.0).to(tl.float32)
    dh = tl.load(grad + row * width + c, mask=mask, other=0.0).to(tl.float32)
    gate = tl.sigmoid(g)
    dg = dh * u * gate * (1.0 + g * (1.0 - gate))
    du = dh * g * gate
    tl.store(into + row * 2 * width + c, dg.to(into.dtype.element_ty), mask=mask)
    tl.store(into + row * 2 * width + width + c, du.to(into.dtype.element_ty), mask=mask)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Any:
        x = x.contiguous()
        width = x.shape[-1] // 2
        h = x.new_empty(*x.shape[:-1], width)
        ctx.save_for_backward(x)
        launch(swiglu_fwd_kernel, _grid(x), {"x": x, "h": h, "width": width}, CONFIG)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        into = torch.empty_like(x)
        args = {"x": x, "grad": grad.contiguous(), "into": into, "width": x.shape[-1] // 2}
        launch(swiglu_bwd_kernel, _grid(x), args, CONFIG)
        return into


def _grid(x: Tensor) -> tuple[int]:
    return (cdiv(x.shape[-1] // 2, CONFIG.blocks["BLOCK"]) * (x.numel() // x.shape[-1]),)


def swiglu(x: Tensor) -> Tensor:
    """``silu(g) · u`` of the halves of x, differentiable.

    Args:
        x: [..., 2 · W] floating.

    Returns:
        [..., W] of x's dtype.

    Raises:
        ValueError: an odd last dimension, or numbers that are not floating.
    """
    if x.shape[-1] % 2 or not x.is_floating_point():
        raise ValueError(f"x must be floating [..., 2 W], got {x.dtype} {list(x.shape)}")
    if uses_triton(x):
        h: Tensor = _SwiGLU.apply(x)  # type: ignore[no-untyped-call]
        return h
    return swiglu_reference(x, upcast=False)
