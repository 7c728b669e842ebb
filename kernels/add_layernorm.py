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

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import is_trained, uses_triton
from flare.kernels.norm_kernels import MAX_WIDTH, check_norm, run_backward, run_forward


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


class _AddLayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, r: Tensor | None, w: Tensor, b: Tensor, eps: float) -> Any:
        y, s, mean, rstd = run_forward(a, r, w, b, eps, keeps_s=True, is_trained=True)
        ctx.save_for_backward(s, w, mean, rstd)
        ctx.has_r = r is not None
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        s, w, mean, rstd = ctx.saved_tensors
        grad_s, (dw, db) = run_backward(s, w, mean, rstd, grad, None)
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
            return run_forward(a, r, w, b, eps, keeps_s=False, is_trained=False)[0]
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
        y, s, *_ = run_forward(branch, x, w, b, eps, keeps_s=True, is_trained=False, gain=gain)
        return y, s
    return stream_layernorm_reference(x, branch, gain, w, b, eps=eps, upcast=False)
