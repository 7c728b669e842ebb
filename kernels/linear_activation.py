"""A linear layer and what follows it: ``y = max(x Wᵀ + b, 0)``, ``y = gelu(x Wᵀ + b)``.

Shapes: x [..., I], weight [O, I], bias [O], y [..., O], all of one dtype. On a CUDA device the
activation is part of the library's product. The ReLU's backward pass reads its mask off y, which
the next layer keeps anyway.

The library's GELU is the approximation by tanh, at most 4.8e-4 from the exact one: an eighth of the
last digit of a bfloat16 near 1. So bfloat16 without a gradient takes it, all others the exact one.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import is_trained, uses_triton


def linear_relu_reference(
    x: Tensor, weight: Tensor, bias: Tensor, *, upcast: bool = True
) -> Tensor:
    """The formula in plain PyTorch; arguments as in ``linear_relu``."""
    if not upcast:
        return F.relu(F.linear(x, weight, bias))
    return F.relu(F.linear(x.double(), weight.double(), bias.double())).to(x.dtype)


class _LinearRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        y = torch._addmm_activation(bias, rows, weight.t())
        ctx.save_for_backward(rows, weight, y)
        ctx.shape = x.shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        rows, weight, y = ctx.saved_tensors
        # One pass over the gradient; `threshold_backward` is the ReLU's mask times it.
        masked = torch.ops.aten.threshold_backward(grad.reshape(y.shape), y, 0)
        grad_x = (masked @ weight).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return grad_x, masked.t() @ rows, masked.sum(0)


def linear_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``relu(linear(x))``, differentiable in all three.

    Args:
        x: [..., I] floating.
        weight: [O, I] of x's dtype.
        bias: [O] of x's dtype.

    Returns:
        [..., O].

    Raises:
        ValueError: shapes that do not belong together.
    """
    _check(x, weight, bias)
    if not x.is_cpu and uses_triton(x):
        y: Tensor = _LinearRelu.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return y
    return linear_relu_reference(x, weight, bias, upcast=False)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``gelu(linear(x))``, differentiable in all three.

    Args:
        x: [..., I] floating.
        weight: [O, I] of x's dtype.
        bias: [O] of x's dtype.

    Returns:
        [..., O].

    Raises:
        ValueError: shapes that do not belong together.
    """
    _check(x, weight, bias)
    is_narrow = x.dtype == torch.bfloat16 and not is_trained(x, weight, bias)
    if is_narrow and not x.is_cpu and uses_triton(x):
        y = torch._addmm_activation(bias, x.reshape(-1, x.shape[-1]), weight.t(), use_gelu=True)
        return y.view(*x.shape[:-1], -1)
    return F.gelu(F.linear(x, weight, bias))


def _check(x: Tensor, weight: Tensor, bias: Tensor) -> None:
    if x.shape[-1:] != weight.shape[1:] or bias.shape != weight.shape[:1]:
        raise ValueError(
            "x must be [..., I], weight [O, I] and bias [O], "
            f"got {list(x.shape)}, {list(weight.shape)}, {list(bias.shape)}"
        )
