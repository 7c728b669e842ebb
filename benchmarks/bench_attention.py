"""Attention on a CPU: the route that flare.kernels takes for a dtype against the other ones.

"flare" is ``attention`` as the policy calls it; its route is chosen by dtype, once, by these
measurements. Shapes are the policy's: a fusion layer, the decoder over a rollout, the vision
transformer, and the last fusion layer, of which one row is read.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.run import Case, Contenders
from flare.kernels.attention import attention
from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.fusion import FusionLayer

Way = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def _ours(q: Tensor, k: Tensor, v: Tensor, ids: Tensor | None) -> Tensor:
    return attention(q, k, v, segment_ids=ids, causal=ids is not None)


def _bias(ids: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if ids is None:
        return None
    visible = (ids[:, :, None] == ids[:, None, :]).tril()[:, None]
    return torch.zeros(visible.shape, dtype=dtype).masked_fill_(~visible, float("-inf"))


def _sdpa(q: Tensor, k: Tensor, v: Tensor, ids: Tensor | None) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, _bias(ids, q.dtype)).transpose(1, 2)


def _written_out(
    q: Tensor, k: Tensor, v: Tensor, ids: Tensor | None, *, sums: torch.dtype | None = None
) -> Tensor:
    scores = torch.matmul(q.permute(0, 2, 1, 3) * q.shape[-1] ** -0.5, k.permute(0, 2, 3, 1))
    bias = _bias(ids, q.dtype)
    scores = scores if bias is None else scores + bias
    weights = scores.softmax(-1, dtype=sums).to(v.dtype)
    return torch.matmul(weights, v.transpose(1, 2)).transpose(1, 2)


def _in_float32(q: Tensor, k: Tensor, v: Tensor, ids: Tensor | None) -> Tensor:
    return _sdpa(q.float(), k.float(), v.float(), ids).to(q.dtype)


def _call(way: Way, tensors: list[Tensor], ids: Tensor | None, *, has_gradient: bool) -> object:
    if not has_gradient:
        with torch.no_grad():
            return way(*tensors, ids)
    out = way(*tensors, ids)
    return torch.autograd.grad(out, tensors, torch.ones_like(out))


@contextlib.contextmanager
def setup(
    shape: tuple[int, int, int, int], dtype: torch.dtype, has_gradient: bool, has_episodes: bool
) -> Iterator[Contenders]:
    """The ways on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=rng).to(dtype).requires_grad_() for _ in range(3)]
    ids = (torch.rand(shape[:2], generator=rng) < 0.03).cumsum(1) if has_episodes else None
    ways: dict[str, Way] = {"flare": _ours, "fused": _sdpa, "written out": _written_out}
    if dtype != torch.float32:
        ways["written out, float32 softmax"] = partial(_written_out, sums=torch.float32)
        ways["fused, in float32"] = _in_float32
    calls = {
        name: partial(_call, way, tensors, ids, has_gradient=has_gradient)
        for name, way in ways.items()
    }
    yield Contenders(calls)
    torch.set_num_threads(threads)


@contextlib.contextmanager
def last_layer_setup(has_gradient: bool) -> Iterator[Contenders]:
    """Row 0 of the last fusion layer, and the layer of which it is a row."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer, x = FusionLayer(SpocConfig()), torch.randn(16, 181, 512).requires_grad_()

    def run(forward: Callable[[], Tensor]) -> object:
        if not has_gradient:
            with torch.no_grad():
                return forward()
        return torch.autograd.grad(forward().sum(), [x, *layer.parameters()])

    yield Contenders(
        {
            "flare": lambda: run(lambda: layer.first_row(x, None)),
            "whole layer": lambda: run(lambda: layer(x, None)[:, 0]),
        }
    )
    torch.set_num_threads(threads)


def _cases() -> Iterator[Case]:
    shapes = {
        "fusion/S=181": ((16, 181, 8, 64), False),
        "episodes/T=128": ((16, 128, 8, 64), True),
        "vision/S=433": ((4, 433, 6, 64), False),
    }
    for name, (shape, has_episodes) in shapes.items():
        for dtype, short in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
            for has_gradient in (False, True):
                if has_gradient and name.startswith("vision"):
                    continue
                direction = "forward+backward" if has_gradient else "forward"
                yield Case(
                    id=f"attention.cpu/{name}/{short}/{direction}",
                    unit="rows/s",
                    work=shape[0],
                    setup=partial(setup, shape, dtype, has_gradient, has_episodes),
                    config={"heads": shape[2], "head_dim": shape[3], "threads": 1},
                )
    for has_gradient in (False, True):
        yield Case(
            id=f"attention.cpu/last layer/{'forward+backward' if has_gradient else 'forward'}",
            unit="rows/s",
            work=16,
            setup=partial(last_layer_setup, has_gradient),
            config={"width": 512, "keys": 181, "threads": 1},
        )


CASES = list(_cases())
