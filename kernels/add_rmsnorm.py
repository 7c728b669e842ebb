"""A residual and the RMSNorm behind it, in one pass.

    s = x + r,   y = s / sqrt(mean(s²) + eps) · w

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x, r, y, s  [..., C] dt; r may be absent, then s = x
    w           [C] dt

s is rounded to dt before it is normalised: it goes on as the stream. The backward pass with
g = w · dy, ŝ = s / rms is ``ds += (g - ŝ · mean(g · ŝ)) / rms``. Source: Zhang and Sennrich 2019.
"""

from typing import Any

import torch
from torch import Tensor

from flare.kernels._launch import is_trained, uses_triton
from flare.kernels.norm_kernels import MAX_WIDTH, check_norm, run_backward, run_forward


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


class _AddRmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, r: Tensor | None, w: Tensor, eps: float) -> Any:
        y, s, _, rms = run_forward(x, r, w, None, eps, keeps_s=True, is_trained=True)
        ctx.save_for_backward(s, w, rms)
        ctx.has_r = r is not None
        ctx.set_materialize_grads(False)
        return y, s if r is not None else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor | None, grad_s: Tensor | None) -> Any:
        s, w, rms = ctx.saved_tensors
        if grad_y is None:
            return grad_s, grad_s if ctx.has_r else None, torch.zeros_like(w), None
        into, (dw,) = run_backward(s, w, None, rms, grad_y, grad_s)
        return into, into if ctx.has_r else None, dw, None


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
            return run_forward(x, r, w, None, eps, keeps_s=True, is_trained=False)[:2]
        y, s = _AddRmsNorm.apply(x, r, w, eps)  # type: ignore[no-untyped-call]
        return y, s
    return add_rmsnorm_reference(x, r, w, eps=eps, upcast=False)
