"""Norms with what stands before and behind them, the gate, and the first layer with its ReLU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.kernels._launch import use_backend
from flare.kernels.add_layernorm import (
    add_layernorm,
    add_layernorm_reference,
    stream_layernorm,
    stream_layernorm_reference,
)
from flare.kernels.add_rmsnorm import add_rmsnorm, add_rmsnorm_reference
from flare.kernels.layernorm_relu_token import (
    layernorm_relu_token,
    layernorm_relu_token_reference,
)
from flare.kernels.linear_activation import (
    linear_gelu,
    linear_relu,
    linear_relu_reference,
)
from flare.kernels.ln_pool import ln_pool, ln_pool_reference
from flare.kernels.swiglu import swiglu, swiglu_reference
from tests.kernels.checks import DEVICE, DTYPES, ON_GPU, check, normal

WIDTHS = [16, 96, 128, 512, 768, 1024] if ON_GPU else [24, 512]
ROWS = 5000 if ON_GPU else 7
SUMS = 4.0 if ON_GPU else 2.0  # slack of gradients that are sums over all rows


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("width", WIDTHS)
def test_add_layernorm_matches_float64(dtype, width):
    weights = [normal(width, seed=2), normal(width, seed=3)]
    tensors = [normal(ROWS, width), normal(ROWS, width, seed=1), *weights]
    check(add_layernorm, add_layernorm_reference, tensors, dtype=dtype, slack=SUMS)
    check(
        lambda a, w, b: add_layernorm(a, None, w, b),
        lambda a, w, b: add_layernorm_reference(a, None, w, b),
        [tensors[0], *weights],
        dtype=dtype,
        slack=SUMS,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("width", WIDTHS)
def test_add_rmsnorm_matches_float64(dtype, width):
    tensors = [normal(ROWS, width), normal(ROWS, width, seed=1), normal(width, seed=2)]
    check(add_rmsnorm, add_rmsnorm_reference, tensors, dtype=dtype, slack=SUMS)
    check(
        lambda x, w: add_rmsnorm(x, None, w)[0],
        lambda x, w: add_rmsnorm_reference(x, None, w)[0],
        [tensors[0], tensors[2]],
        dtype=dtype,
        slack=SUMS,
    )


@pytest.mark.parametrize("is_trained", [False, True])
@pytest.mark.parametrize("parts", [(), ("branch",), ("branch", "gain")], ids=" ".join)
def test_stream_layernorm_matches_float64(parts, is_trained):
    """In one kernel without a gradient, by parts with one."""
    width = WIDTHS[-1]
    weights = [normal(width, seed=2), normal(width, seed=3)]
    given = {"branch": normal(ROWS, width, seed=1), "gain": normal(width, seed=4)}
    tensors = [normal(ROWS, width), *weights, *(given[name] for name in parts)]

    def by(op):
        def call(x, w, b, branch=None, gain=None):
            return op(x, branch, gain, w, b)

        return call

    check(by(stream_layernorm), by(stream_layernorm_reference), tensors,
          moving=[is_trained] * len(tensors), slack=SUMS)  # fmt: skip


def test_a_stream_that_only_goes_on_passes_its_gradient():
    x, r = (normal(3, 24, seed=i).to(DEVICE).requires_grad_() for i in range(2))
    with use_backend("triton"):
        _, s = add_rmsnorm(x, r, torch.ones(24, device=DEVICE, requires_grad=True))
        grads = torch.autograd.grad(s.sum(), (x, r))
    assert all(torch.equal(grad, torch.ones_like(grad)) for grad in grads)


@settings(max_examples=100 if ON_GPU else 10, deadline=None)
@given(rows=st.integers(1, 70), width=st.integers(1, 130), seed=st.integers(0, 999))
def test_any_shape_of_a_norm(rows, width, seed):
    x, r = (normal(rows, width, seed=seed + i) for i in range(2))
    w, b = normal(width, seed=seed + 2), normal(width, seed=seed + 3)
    # A row of one or two numbers may be nearly constant, which its norm blows up.
    slack = 10.0 if width > 8 else 3e3
    check(add_layernorm, add_layernorm_reference, [x, r, w, b], slack=slack)
    check(add_rmsnorm, add_rmsnorm_reference, [x, r, w], slack=slack)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_swiglu_matches_float64(dtype):
    shape = (700, 3072) if ON_GPU else (2, 3, 2060)
    check(swiglu, swiglu_reference, [normal(*shape)], dtype=dtype)
    check(swiglu, swiglu_reference, [normal(2, 8, scale=80.0)], dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layernorm_relu_token_matches_float64(dtype):
    frames, region, width = (300, 84, 512) if ON_GPU else (3, 5, 24)
    index = torch.arange(frames) * 7 % 2
    moved = index.to(DEVICE)
    tensors = [normal(frames, 2, region, width), normal(width, seed=1), normal(width, seed=2),
               normal(2, width, seed=3), normal(width, seed=4),
               normal(2, 4, width, seed=5)]  # fmt: skip
    check(
        lambda x, w, b, t, f, y: layernorm_relu_token(x, w, b, t, first=f, tail=y, index=moved),
        lambda x, w, b, t, f, y: layernorm_relu_token_reference(
            x, w, b, t, first=f, tail=y, index=index
        ),
        tensors,
        dtype=dtype,
        slack=SUMS,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("skip", [0, 1])
def test_ln_pool_matches_float64(dtype, skip):
    patches, grid = ((16, 27), (7, 12)) if ON_GPU else ((7, 5), (3, 2))
    width = 384 if ON_GPU else 24
    tensors = [normal(3, skip + patches[0] * patches[1], width), normal(width, seed=1),
               normal(width, seed=2)]  # fmt: skip
    check(
        lambda *x: ln_pool(*x, patches=patches, grid=grid),
        lambda *x: ln_pool_reference(*x, patches=patches, grid=grid),
        tensors,
        dtype=dtype,
        moving=[False] * 3,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_linear_relu_matches_float64(dtype):
    shape = (300, 512, 2048) if ON_GPU else (5, 16, 24)
    tensors = [normal(shape[0], shape[1]), normal(shape[2], shape[1], seed=1),
               normal(shape[2], seed=2)]  # fmt: skip
    check(linear_relu, linear_relu_reference, tensors, dtype=dtype, slack=SUMS * 2)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_linear_gelu_matches_float64(dtype):
    """Without a gradient, where bfloat16 takes the library's approximation, and with one."""
    rows, inputs, outputs = (300, 384, 1536) if ON_GPU else (5, 16, 24)
    given = [normal(rows, inputs), normal(outputs, inputs, seed=1) * inputs**-0.5,
             normal(outputs, seed=2)]  # fmt: skip

    def exact(x, w, b):
        return torch.nn.functional.gelu(torch.nn.functional.linear(x, w, b))

    for is_trained in (False, True):
        check(linear_gelu, exact, given, dtype=dtype, moving=[is_trained] * 3, slack=SUMS * 2)


def test_the_gelu_by_tanh_is_nearer_than_a_bfloat16_tells_apart():
    x = torch.linspace(-8, 8, 100_001, dtype=torch.float64)
    exact = torch.nn.functional.gelu(x)
    apart = (torch.nn.functional.gelu(x, approximate="tanh") - exact).abs()
    assert apart.max() < torch.finfo(torch.bfloat16).eps / 16
    weight, bias = normal(24, 16, seed=1).bfloat16(), normal(24, seed=2).bfloat16()
    rows = normal(50, 16).bfloat16()
    library = torch._addmm_activation(bias, rows, weight.t(), use_gelu=True).double()
    wanted = torch.nn.functional.gelu(
        torch.nn.functional.linear(rows.double(), weight.double(), bias.double())
    )
    assert ((library - wanted).norm() / wanted.norm()).item() < 4e-3


def test_norms_name_what_they_got():
    x, w = torch.zeros(2, 8), torch.zeros(8)
    with pytest.raises(ValueError, match=r"weights of a norm must be \[8\]"):
        add_layernorm(x, None, w[:4], w)
    with pytest.raises(ValueError, match=r"share one shape, got \[2, 8\], \[1, 8\]"):
        add_rmsnorm(x, x[:1], w)
    with pytest.raises(ValueError, match="one floating dtype"):
        add_layernorm(x, None, w.double(), w)
    with pytest.raises(ValueError, match=r"gain must be torch.float32 \[8\], got .* \[4\]"):
        stream_layernorm(x, x, w[:4], w, w)
    with pytest.raises(ValueError, match=r"\[..., 2 W\], got torch.float32 \[2, 7\]"):
        swiglu(x[:, :7])
    with pytest.raises(ValueError, match="finer than the patches"):
        ln_pool(torch.zeros(1, 6, 8), w, w, patches=(2, 3), grid=(3, 3))
    with pytest.raises(ValueError, match=r"got \[2, 8\], \[4, 7\], \[4\]"):
        linear_relu(x, torch.zeros(4, 7), torch.zeros(4))
    with pytest.raises(ValueError, match=r"index \[M\], got .*'index': \[3\]"):
        layernorm_relu_token(torch.zeros(2, 1, 3, 8), w, w, torch.zeros(1, 8), first=w,
                             tail=torch.zeros(1, 2, 8), index=torch.zeros(3))  # fmt: skip
