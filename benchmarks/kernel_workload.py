"""What a kernel is timed on: its type, and what all of them need."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Call = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One operation at one size."""

    name: str
    inputs: Callable[[torch.device, torch.dtype], tuple[Tensor, ...]]
    """Fresh random tensors of one set."""
    ours: Call
    reference: Call
    """In float64 of a few rows: the truth."""
    others: dict[str, Call]
    """Name to another way to the same result."""
    forward: tuple[float, float]
    """Operations and bytes that cannot be avoided."""
    backward: tuple[float, float] | None = None
    few: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] = lambda x: x
    """The rows of the inputs that the truth is computed of."""
    is_launch_bound: bool = False
    """Timed as replays of a CUDA graph too."""
    dtype: torch.dtype = torch.bfloat16
    moving: tuple[int, ...] = (0,)
    """Inputs that get a gradient, where there is a backward pass."""
    limits: dict[str, float] = field(default_factory=lambda: {"forward": 4e-3, "backward": 5e-3})


def rand(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    """Normal numbers, rounded from float32."""
    return torch.randn(shape, device=device, dtype=torch.float32).to(dtype)


def compiled(call: Call) -> Call:
    """By torch.compile, for one size."""
    return torch.compile(call, dynamic=False)


def is_gpu(device: torch.device) -> bool:
    """Whether there are libraries to compare with."""
    return device.type == "cuda"
