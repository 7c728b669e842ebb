"""How every kernel is checked: against float64, its gradients too, twice, on poisoned memory.

On a machine with a GPU the kernels run there; elsewhere in Triton's interpreter, on the CPU.
"""

import contextlib
import math

import torch

from flare.kernels._launch import use_backend

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ON_GPU = DEVICE == "cuda"

# Largest errors allowed of results and of gradients, by where and in what the kernels run: twice to
# four times what rounding alone gives. The interpreter cuts float32 to bfloat16 without rounding.
LIMITS = {
    ("cpu", torch.float32): (2e-6, 3e-6),
    ("cpu", torch.bfloat16): (8e-3, 1.2e-2),
    ("cuda", torch.float32): (1e-5, 1e-5),
    ("cuda", torch.bfloat16): (4e-3, 5e-3),
    ("cuda", torch.float16): (6e-4, 7e-4),
}
DTYPES = [dtype for device, dtype in LIMITS if device == DEVICE]


def normal(*shape, seed=0, scale=1.0):
    """Random numbers on the CPU in float32."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng) * scale


def error(got, want):
    """Distance in units of the truth's size; what is exactly zero is measured against 0.01."""
    got, want = got.detach().double().cpu(), want.detach().double().cpu()
    assert got.shape == want.shape
    if torch.isnan(got).any():
        return math.inf
    floor = 0.01 * max(want.numel(), 1) ** 0.5
    return float((got - want).norm() / max(float(want.norm()), floor))


@contextlib.contextmanager
def poisoned():
    """Memory that nobody has written yet holds NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


def run(op, tensors, directions, moving):
    """Results and gradients of the Triton path."""
    with use_backend("triton"), poisoned():
        outs = as_tuple(op(*tensors))
        sources = [x for x, moves in zip(tensors, moving, strict=True) if moves]
        grads = torch.autograd.grad(outs, sources, directions) if sources else ()
    return [*(x.detach() for x in outs), *grads]


def check(op, reference, tensors, *, dtype=torch.float32, moving=None, slack=1.0):
    """Compare op with the reference in float64, in results and gradients; run it twice.

    Args:
        op: of the tensors, placed on DEVICE in dtype.
        reference: the same in float64 on the CPU.
        tensors: float32 on the CPU.
        dtype: to run in; the truth starts from the rounded inputs.
        moving: which tensors get a gradient; None: all.
        slack: factor on the limits, where the truth is a long sum.
    """
    moving = [True] * len(tensors) if moving is None else moving
    rounded = [x.to(dtype) for x in tensors]
    ours = [x.to(DEVICE).requires_grad_(m) for x, m in zip(rounded, moving, strict=True)]
    exact = [x.double().requires_grad_(m) for x, m in zip(rounded, moving, strict=True)]
    wanted = as_tuple(reference(*exact))
    directions = [normal(*x.shape, seed=7).to(dtype) for x in wanted]
    sources = [x for x, m in zip(exact, moving, strict=True) if m]
    if sources:
        grads = torch.autograd.grad(wanted, sources, [d.double() for d in directions])
    else:
        grads = ()
    on_device = [d.to(DEVICE) for d in directions]
    first = run(op, ours, on_device, moving)
    again = run(op, ours, on_device, moving)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), "not deterministic"
    limits = LIMITS[DEVICE, dtype]
    errors = [error(got, want) for got, want in zip(first, (*wanted, *grads), strict=True)]
    for place, found in enumerate(errors):
        limit = slack * limits[place >= len(wanted)]
        assert found <= limit, f"errors {errors}, number {place} is above {limit}"
    return errors
