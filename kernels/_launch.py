"""Which path an operation takes, and how its kernels are launched.

One switch for all of them, read from ``FLARE_KERNELS`` at the start, or set by ``set_backend``:

    auto       Triton for tensors on a CUDA device of compute capability 8.0 or more, else PyTorch
    triton     Triton, also for CPU tensors where its interpreter is on (TRITON_INTERPRET=1)
    reference  PyTorch

float64 always takes PyTorch: it is what the others are compared with.
"""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Backend = Literal["auto", "triton", "reference"]
Target = tuple[int, int]  # compute capability


class _Absent:
    """Stands where Triton would, so that kernels can be defined; they cannot run."""

    class constexpr:
        """A constant of a kernel."""

        def __init__(self, value: object) -> None:
            self.value = value


HAS_TRITON = importlib.util.find_spec("triton") is not None
triton: Any = importlib.import_module("triton") if HAS_TRITON else None
tl: Any = importlib.import_module("triton.language") if HAS_TRITON else _Absent

# Under the interpreter the numbers of bfloat16 tensors are bit patterns: kernels then widen the
# operands of every product to float32. All other arithmetic is in float32 anyway.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_OLDEST: Target = (8, 0)


def jit(kernel: Callable[..., Any]) -> Any:
    """``triton.jit``, or the function as it is where Triton is absent."""
    return triton.jit(kernel) if HAS_TRITON else kernel


def _checked(name: str) -> Backend:
    known: Backend
    for known in get_args(Backend):
        if name == known:
            return known
    raise ValueError(f"the kernels' backend is one of {get_args(Backend)}, got {name!r}")


_backend: Backend = _checked(os.environ.get("FLARE_KERNELS", "auto"))


def backend() -> Backend:
    """The switch."""
    return _backend


def set_backend(name: Backend) -> None:
    """Set the switch.

    Raises:
        ValueError: an unknown name.
    """
    global _backend
    _backend = _checked(name)


@contextlib.contextmanager
def use_backend(name: Backend) -> Iterator[None]:
    """The switch set for a while."""
    before = backend()
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)


@lru_cache
def _capability(index: int) -> Target:
    return torch.cuda.get_device_capability(index)


def target_of(x: Tensor) -> Target:
    """Compute capability that configurations are chosen for."""
    if _recording is not None:
        return _recording.target
    return _capability(x.device.index or 0) if x.is_cuda else (9, 0)


def uses_triton(x: Tensor) -> bool:
    """Whether an operation on x is done by Triton.

    Raises:
        RuntimeError: the switch says "triton" where Triton is absent or cannot run.
    """
    if _recording is not None:
        return True
    if _backend == "reference" or x.dtype == torch.float64:
        return False
    if _backend == "auto":
        return x.is_cuda and HAS_TRITON and target_of(x) >= _OLDEST
    if not HAS_TRITON or not (x.is_cuda or INTERPRETED):
        raise RuntimeError(
            "the kernels' backend is 'triton', but "
            + (f"the tensors are on {x.device} and TRITON_INTERPRET is not 1" if HAS_TRITON
               else "Triton is not installed")
        )  # fmt: skip
    return True


def is_trained(*tensors: Tensor | None) -> bool:
    """Whether a gradient will be asked for of an operation on these."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)


@dataclass(frozen=True, slots=True, eq=False)
class Config:
    """Sizes of a launch: constants of the kernel, warps of a program, depth of its pipeline.

    Compared by identity: rows of tables.
    """

    num_warps: int = 4
    num_stages: int = 2
    blocks: dict[str, int] = field(default_factory=dict)
    # Whether a product and a sum may become one rounding. Off where results are cut to integers.
    has_fused_sums: bool = True
    # Where a few registers less let one program more run on a multiprocessor.
    max_registers: int | None = None

    def options(self) -> dict[str, int | bool | None]:
        """What a launch passes to the compiler."""
        return {
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
            "enable_fp_fusion": self.has_fused_sums,
            "maxnreg": self.max_registers,
        }


@dataclass(frozen=True, slots=True)
class Launch:
    """A recorded launch: what a compiler must know to build the kernel ahead of time."""

    kernel: Any
    args: dict[str, object]
    config: Config


@dataclass(slots=True)
class Recording:
    """Launches that were asked for."""

    target: Target
    runs: bool = False
    launches: list[Launch] = field(default_factory=list)


_recording: Recording | None = None


@contextlib.contextmanager
def recording(target: Target, *, runs: bool = False) -> Iterator[Recording]:
    """Note launches.

    Args:
        target: compute capability to choose configurations for.
        runs: do them too; False: operations are given tensors on device "meta".
    """
    global _recording
    _recording = Recording(target, runs)
    try:
        yield _recording
    finally:
        _recording = None


# What a launch found compiled, by kernel, sizes, device, and what Triton looks at in the arguments.
_compiled: dict[tuple[object, ...], Any] = {}
_MOST_COMPILED = 4096


def launch(
    kernel: Any,
    grid: Sequence[int],
    args: Mapping[str, object],
    config: Config,
) -> Any:
    """Run a kernel on the device of its tensors.

    Args:
        kernel: of ``jit``; takes by name what it needs of args and config.blocks. None of its
            arguments may be called ``params``: Triton 3.6 has a variable of that name there.
        grid: programs along up to three axes; an empty grid does nothing.
        args: tensors (or None) and numbers; bool and str become constants.
        config: sizes.

    Returns:
        What was run, compiled; None where nothing was, or by the interpreter.
    """
    known = {**args, **config.blocks, "EMU": INTERPRETED}
    values = [known[name] for name in kernel.arg_names]
    if _recording is not None:
        args = dict(zip(kernel.arg_names, values, strict=True))
        _recording.launches.append(Launch(kernel, args, config))
        if not _recording.runs:
            return None
    if 0 in grid:
        return None
    device = next(a.device for a in values if isinstance(a, Tensor))
    if device.type == "cuda" and device.index != torch.cuda.current_device():
        with torch.cuda.device(device):
            return _launch(kernel, grid, values, config, device)
    return _launch(kernel, grid, values, config, device)


def _launch(
    kernel: Any, grid: Sequence[int], values: list[object], config: Config, device: torch.device
) -> Any:
    """Triton's own search for the compiled kernel costs as much as a small kernel takes: once."""
    # By its id: a kernel's own hash is that of its source, and slow.
    key = (
        id(kernel), config, device, *map(type, values),
        *[(v.dtype, v.data_ptr() % 16) if isinstance(v, Tensor) else v for v in values],
    )  # fmt: skip
    compiled = _compiled.get(key)
    if compiled is not None:
        compiled[(*grid, 1, 1)[:3]](*values)
        return compiled
    named = dict(zip(kernel.arg_names, values, strict=True))
    compiled = kernel[tuple(grid)](**named, **config.options())
    if compiled is not None:  # the interpreter has none
        if len(_compiled) >= _MOST_COMPILED:
            _compiled.clear()
        _compiled[key] = compiled
    return compiled


class Prepared:
    """A launch with all but its tensors, for who launches it often from Python."""

    def __init__(
        self, kernel: Any, grid: Sequence[int], names: tuple[str, ...],
        numbers: Mapping[str, object], config: Config,
    ) -> None:  # fmt: skip
        """names: of the kernel's tensors, in the order that calls give them in."""
        self._kernel, self._grid, self._names = kernel, (*grid, 1, 1)[:3], names
        self._numbers, self._config = numbers, config
        known = {**numbers, **config.blocks, "EMU": INTERPRETED}
        self._values = [known.get(name) for name in kernel.arg_names]
        self._places = [kernel.arg_names.index(name) for name in names]
        self._compiled: dict[tuple[object, ...], Any] = {}

    def __call__(self, *tensors: Tensor | None) -> None:
        """Run it. What decides about what is compiled is looked at, no more."""
        values = self._values.copy()
        first = tensors[0]
        assert first is not None
        index = first.get_device()
        kinds: list[object] = [index]
        for place, x in zip(self._places, tensors, strict=True):
            values[place] = x
            kinds.append(None if x is None else (x.dtype, x.data_ptr() % 16))
        compiled = self._compiled.get(tuple(kinds))
        is_here = index < 0 or index == torch.cuda.current_device()
        if compiled is not None and is_here and _recording is None:
            compiled[self._grid](*values)
            return
        args = {**self._numbers, **dict(zip(self._names, tensors, strict=True))}
        compiled = launch(self._kernel, self._grid, args, self._config)
        if compiled is not None:
            self._compiled[tuple(kinds)] = compiled


def cdiv(a: int, b: int) -> int:
    """Smallest integer not below a / b."""
    return -(-a // b)


def next_power_of_2(n: int) -> int:
    """Smallest power of two not below n >= 1."""
    return 1 << (n - 1).bit_length()
