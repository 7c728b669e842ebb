"""Norms, the gate and the fusion's input: rows of numbers, bound by bytes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernel_workload import Call, Workload, compiled, is_gpu, rand
from flare.kernels.add_layernorm import add_layernorm, add_layernorm_reference
from flare.kernels.add_rmsnorm import add_rmsnorm, add_rmsnorm_reference
from flare.kernels.layernorm_relu_token import (
    layernorm_relu_token,
    layernorm_relu_token_reference,
)
from flare.kernels.swiglu import swiglu, swiglu_reference


def norm_workload(
    device: torch.device, name: str, rows: int, width: int, ours: Call, reference: Call,
    plain: Call, weights: int,
) -> Workload:  # fmt: skip
    """A norm and the residual before it."""
    tensor = 2.0 * rows * width
    return Workload(
        name=f"{name}/{rows}x{width}",
        inputs=lambda d, t: (
            rand(d, t, rows, width),
            rand(d, t, rows, width),
            *(rand(d, t, width) for _ in range(weights)),
        ),
        ours=ours,
        reference=reference,
        others={"pytorch": plain, "compiled": compiled(plain)}
        if is_gpu(device)
        else {"pytorch": plain},
        forward=(0.0, 4 * tensor),  # reads a and r, writes their sum and y
        backward=(0.0, 3 * tensor),
        few=lambda x: (x[0][:64], x[1][:64], *x[2:]),
        is_launch_bound=rows < 100_000,
        moving=tuple(range(2 + weights)),
    )


def _plain_layernorm(a: Tensor, r: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.layer_norm(a + r, a.shape[-1:], w, b)


def _plain_rmsnorm(x: Tensor, r: Tensor, w: Tensor) -> Tensor:
    return F.rms_norm(x + r, x.shape[-1:], w, 1e-5)


def layernorm_workload(device: torch.device, rows: int, width: int) -> Workload:
    """A residual and the LayerNorm behind it."""
    return norm_workload(
        device, "add_layernorm", rows, width, add_layernorm, add_layernorm_reference,
        _plain_layernorm, 2,
    )  # fmt: skip


def rmsnorm_workload(device: torch.device, rows: int, width: int) -> Workload:
    """A residual and the RMSNorm behind it."""
    return norm_workload(
        device, "add_rmsnorm", rows, width, lambda *x: add_rmsnorm(*x)[0],
        lambda *x: add_rmsnorm_reference(*x)[0], _plain_rmsnorm, 1,
    )  # fmt: skip


def _plain_swiglu(x: Tensor) -> Tensor:
    gate, value = x.chunk(2, -1)
    return F.silu(gate) * value


def swiglu_workload(device: torch.device, rows: int, width: int) -> Workload:
    """The gate of the decoder's feed-forward."""
    tensor = 2.0 * rows * width
    others: dict[str, Call] = {"pytorch": _plain_swiglu}
    if is_gpu(device):
        others["compiled"] = compiled(_plain_swiglu)
    return Workload(
        name=f"swiglu/{rows}x{width}",
        inputs=lambda d, t: (rand(d, t, rows, 2 * width),),
        ours=swiglu,
        reference=swiglu_reference,
        others=others,
        forward=(0.0, 3 * tensor),
        backward=(0.0, 5 * tensor),
        few=lambda x: (x[0][:64],),
        is_launch_bound=True,
    )


def sequence_workload(device: torch.device, frames: int, region: int, width: int) -> Workload:
    """The fusion transformer's input from cells and text."""
    index = torch.arange(frames, device=device) % 16

    def ours(x: Tensor, w: Tensor, b: Tensor, t: Tensor, f: Tensor, tail: Tensor) -> Tensor:
        return layernorm_relu_token(x, w, b, t, first=f, tail=tail, index=index[: len(x)])

    def plain(x: Tensor, w: Tensor, b: Tensor, t: Tensor, f: Tensor, tail: Tensor) -> Tensor:
        return layernorm_relu_token_reference(
            x, w, b, t, first=f, tail=tail, index=index[: len(x)].to(x.device), upcast=False
        )

    others: dict[str, Call] = {"pytorch": plain}
    if is_gpu(device):
        others["compiled"] = compiled(plain)
    rows = 2.0 * frames * width
    cells, size = 2 * region, 1 + 2 * region + 12
    return Workload(
        name=f"layernorm_relu_token/{frames}",
        inputs=lambda d, t: (
            rand(d, t, frames, 2, region, width),
            rand(d, t, width),
            rand(d, t, width),
            rand(d, t, 2, width),
            rand(d, t, width),
            rand(d, t, 16, 12, width),
        ),
        ours=ours,
        reference=plain,
        others=others,
        forward=(0.0, rows * (cells + size)),
        backward=(0.0, rows * (2 * cells + size)),
        few=lambda x: (x[0][:3], *x[1:]),
        moving=tuple(range(6)),
    )
