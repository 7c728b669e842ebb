"""Attention over sequences: against the formula in float64, its gradients, its edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.kernels._launch import use_backend
from flare.kernels.attention import (
    attention,
    attention_lse_reference,
    attention_packed,
    attention_with_lse,
)
from flare.kernels.attention_options import checked_options
from flare.kernels.attention_reference import attention_reference, kept_weights
from flare.kernels.philox import philox_bits
from tests.kernels.checks import DEVICE, DTYPES, LIMITS, ON_GPU, check, error, normal, poisoned

SIZES = [1, 40, 64, 65, 128, 177, 181, 192, 240, 433]


def on_device(options):
    return {k: v.to(DEVICE) if isinstance(v, torch.Tensor) else v for k, v in options.items()}


def compare(q, k, v, dtype=torch.float32, slack=1.0, **options):
    """Ours on DEVICE and the reference in float64, of the same rounded numbers."""
    prefix = {n: options[n].to(dtype) for n in ("prefix_k", "prefix_v") if n in options}
    ours = on_device({**options, **prefix})
    exact = {**options, **{n: x.double() for n, x in prefix.items()}}
    return check(
        lambda *x: attention(*x, **ours),
        lambda *x: attention_reference(*x, **exact),
        [q, k, v],
        dtype=dtype,
        slack=slack,
    )


def triple(*shape, scale=1.0):
    return [normal(*shape, seed=i, scale=scale) for i in range(3)]


# One head and a narrow one keep the interpreter quick; a GPU takes all sizes at their full width.
@pytest.mark.parametrize("size", SIZES if ON_GPU else [1, 64, 65, 181])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dense_matches_float64(size, dtype):
    if not ON_GPU and dtype != torch.float32 and size != 65:
        pytest.skip("one size is enough to see bfloat16 go through the interpreter")
    heads, dim = (8, 64) if ON_GPU else (1, 16)
    # The only key's gradient is exactly zero, so all that is left of it is rounding.
    compare(*triple(2 if ON_GPU else 1, size, heads, dim), dtype=dtype,
            slack=20.0 if size == 1 else 1.0)  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="needs a GPU")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_episodes_match_float64_at_full_width(size, dtype):
    segments = (torch.rand(3, size, generator=torch.Generator().manual_seed(1)) < 0.1).cumsum(1)
    slack = 20.0 if size == 1 else 1.5
    compare(*triple(3, size, 8, 64), dtype=dtype, causal=True, segment_ids=segments, slack=slack)
    prefix = {"prefix_k": normal(3, 130, 8, 64, seed=3), "prefix_v": normal(3, 130, 8, 64, seed=4),
              "prefix_len": torch.tensor([0, 70, 130])}  # fmt: skip
    compare(*triple(3, size, 8, 64), dtype=dtype, causal=True, segment_ids=segments, slack=slack,
            **prefix)  # fmt: skip
    lengths = torch.tensor([0, 1, size])
    compare(*triple(3, size, 8, 64), dtype=dtype, kv_len=lengths, slack=20.0)


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="needs a GPU")
def test_errors_are_those_of_the_library_in_the_same_type():
    for dtype in (torch.bfloat16, torch.float16):
        q, k, v = (x.to(DEVICE, dtype) for x in triple(4, 181, 8, 64))
        wanted = attention_reference(*(x.double() for x in (q, k, v)))
        library = torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        ).transpose(1, 2)
        assert error(attention(q, k, v), wanted) <= 1.5 * error(library, wanted)


@settings(max_examples=150 if ON_GPU else 8, deadline=None)
@given(data=st.data())
def test_any_lengths_segments_and_strides_match_float64(data):
    batch, heads = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    size, dim = data.draw(st.integers(1, 80)), data.draw(st.sampled_from([8, 16, 24]))
    seed = data.draw(st.integers(0, 10**6))
    rng = torch.Generator().manual_seed(seed)
    options = {}
    if data.draw(st.booleans()):
        options["kv_len"] = torch.randint(0, size + 1, (batch,), generator=rng)
    if data.draw(st.booleans()):
        options["causal"] = True
    if data.draw(st.booleans()):
        ids = (torch.rand(batch, size, generator=rng) < 0.2).long().cumsum(1)
        options["segment_ids"] = ids if data.draw(st.booleans()) else -ids
    if data.draw(st.booleans()):
        places = data.draw(st.integers(1, 5))
        for i, name in enumerate(("prefix_k", "prefix_v")):
            options[name] = normal(batch, places, heads, dim, seed=seed + i)
        options["prefix_len"] = torch.randint(0, places + 1, (batch,), generator=rng)
    layout = data.draw(st.sampled_from(["plain", "packed", "heads first", "last strided"]))
    tensors = [_laid_out(normal(batch, size, heads, dim, seed=seed + i), layout) for i in range(3)]
    # Rows with a single key have gradients of exactly zero.
    compare(*tensors, slack=30.0, **options)


def _laid_out(x, layout):
    if layout == "packed":
        return torch.stack([x, x, x], 2)[:, :, 1]
    if layout == "heads first":
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    if layout == "last strided":
        return torch.stack([x, x], -1)[..., 0]
    return x


@pytest.mark.parametrize("level", [-120.0, 120.0, -3000.0])
def test_large_scores_and_a_ragged_tile(level):
    """Every score near the level: a padded key's score of 0 must not rule the softmax.

    The keys are one large constant and a little noise, so dQ is what is left when the constant
    cancels: it shows at once a backward pass that rounds its scores otherwise than the forward pass
    did. float32 itself loses what the size of the scores takes from their last digits; allowed is
    ten times what the formula loses in float32 on the same device.
    """
    q, k, v = triple(1, 70, 1, 16)
    q = q.abs() / 10 + 1
    k = torch.full_like(k, level / 16 / q.mean()) + k / 100
    exact = [x.double().requires_grad_() for x in (q, k, v)]
    plain = [x.to(DEVICE).requires_grad_() for x in (q, k, v)]
    direction = normal(*q.shape, seed=7)
    wanted = attention_reference(*exact, scale=1.0)
    got = attention_reference(*plain, scale=1.0, upcast=False)
    truth = torch.autograd.grad(wanted, exact, direction.double())
    slopes = torch.autograd.grad(got, plain, direction.to(DEVICE))
    lost = max(error(a, b) for a, b in zip((got, *slopes), (wanted, *truth), strict=True))
    compare(q, k, v, scale=1.0, slack=1.0 + 10.0 * lost / LIMITS[DEVICE, torch.float32][0])


def test_a_query_without_keys_is_zero_and_passes_no_gradient():
    q, k, v = (x.to(DEVICE).requires_grad_() for x in triple(2, 5, 1, 16))
    lengths = torch.tensor([0, 3], device=DEVICE)
    for backend in ("triton", "reference"):
        with use_backend(backend), poisoned():
            out = attention(q, k, v, kv_len=lengths)
            grads = torch.autograd.grad(out.sum(), (q, k, v))
        assert out[0].abs().max() == 0.0
        assert all(grad[0].abs().max() == 0.0 for grad in grads)
        assert all(torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize("ids", [range(9), [0] * 9, range(9, 0, -1)], ids=str)
def test_segments_of_one_step_of_all_steps_and_falling(ids):
    compare(*triple(1, 9, 1, 16), causal=True, segment_ids=torch.tensor([list(ids)]), slack=30.0)


def test_packed_gradient_equals_that_of_the_parts():
    qkv = normal(1, 20, 3, 2, 16).to(DEVICE).requires_grad_()
    direction = normal(1, 20, 2, 16, seed=3).to(DEVICE)
    with use_backend("triton"), poisoned():
        out = attention_packed(qkv, causal=True)
        (packed,) = torch.autograd.grad(out, qkv, direction)
        parts = torch.autograd.grad(attention(*qkv.unbind(2), causal=True), qkv, direction)[0]
    assert packed.is_contiguous()
    assert torch.equal(packed, parts)


def test_log_sums():
    q, k, v = (x.to(DEVICE) for x in triple(2, 5, 1, 16))
    lengths = torch.tensor([0, 3], device=DEVICE)
    wanted = attention_lse_reference(q.cpu(), k.cpu(), kv_len=lengths.cpu())
    for backend in ("triton", "reference"):
        with use_backend(backend):
            lse = attention_with_lse(q, k, v, kv_len=lengths)[1]
        torch.testing.assert_close(lse.cpu(), wanted, rtol=1e-5, atol=1e-5)
        assert (lse[0] == -math.inf).all()


def test_dropout_is_the_references_and_keeps_its_share():
    seed = torch.tensor(2**40 + 11)
    compare(*triple(1, 30, 2, 16), dropout_p=0.3, seed=seed, slack=2.0)
    q, k, v = triple(2, 64, 2, 16)
    kept = kept_weights(q, k, checked_options(q, k, v, dropout_p=0.3, seed=seed))
    assert abs(kept.float().mean().item() - 0.7) < 0.02
    other = kept_weights(q, k, checked_options(q, k, v, dropout_p=0.3, seed=seed + 1))
    assert not torch.equal(kept, other)


def test_philox_is_random123s():
    """Known answers of Salmon et al.'s library for Philox-4x32-10."""
    zero = torch.zeros(1, dtype=torch.int64)
    assert philox_bits(0, zero, zero).item() == 0x6627E8D5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_pytorch_path_matches_float64(dtype):
    q, k, v = (x.to(dtype).requires_grad_() for x in triple(2, 19, 2, 8))
    options = {"causal": True, "segment_ids": torch.tensor([[0] * 7 + [1] * 12] * 2),
               "prefix_len": torch.tensor([0, 3])}  # fmt: skip
    prefix = {n: normal(2, 4, 2, 8, seed=9).to(dtype) for n in ("prefix_k", "prefix_v")}
    direction = normal(2, 19, 2, 8, seed=5).to(dtype)
    out = attention(q, k, v, **options, **prefix)
    grads = torch.autograd.grad(out, (q, k, v), direction)
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    wanted = attention_reference(*exact, **options, **{n: x.double() for n, x in prefix.items()})
    truth = torch.autograd.grad(wanted, exact, direction.double())
    limit = LIMITS["cpu", dtype]
    assert error(out, wanted) <= limit[0]
    assert max(error(a, b) for a, b in zip(grads, truth, strict=True)) <= 2 * limit[1]


def test_offsets_beyond_32_bits():
    """Of a batch whose last row starts past 2^31 numbers; no memory is touched but that row's."""
    rows = 8192
    stride = 181 * 3 * 8 * 64
    assert rows * stride > 2**31
    if not ON_GPU:
        # The interpreter's pointers are NumPy's: a row far behind must be addressed in 64 bits.
        from flare.kernels.attention_kernels import attention_fwd_kernel as kernel

        source = kernel.src if hasattr(kernel, "src") else ""
        text = source or __import__("inspect").getsource(kernel.fn)
        assert "row = (batch_head // heads).to(tl.int64)" in text
        return
    qkv = torch.empty(rows, 181, 3, 8, 64, dtype=torch.bfloat16, device=DEVICE)
    qkv[-1] = normal(181, 3, 8, 64).to(DEVICE)
    out = attention_packed(qkv)
    wanted = attention_reference(*qkv[-1:].unbind(2))
    assert error(out[-1:], wanted) <= LIMITS[DEVICE, torch.bfloat16][0]


def test_attention_names_what_it_got():
    q, k, v = triple(2, 5, 2, 8)
    segments = torch.zeros(2, 5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"got \[2, 5, 2, 8\], \[2, 4, 2, 8\]"):
        attention(q, k[:, :4], v)
    with pytest.raises(ValueError, match=r"integers \[2, 5\], got torch.int64 \[2, 4\]"):
        attention(q, k, v, segment_ids=segments[:, :4])
    with pytest.raises(ValueError, match="given together"):
        attention(q, k, v, segment_ids=segments, prefix_k=k)
    with pytest.raises(ValueError, match=r"one floating dtype, got .*float32, .*float64"):
        attention(q, k.double(), v)
    with pytest.raises(ValueError, match="as many keys as queries, got 4 and 5"):
        attention(q, k[:, :4], v[:, :4], causal=True)
    with pytest.raises(ValueError, match="a prefix is a constant"):
        lengths = torch.tensor([1, 1])
        attention(q, k, v, prefix_k=k.requires_grad_(), prefix_v=v, prefix_len=lengths)
    with pytest.raises(ValueError, match=r"scale must be above 0, got -1\.0"):
        attention(q, v, v, scale=-1.0)
    with pytest.raises(ValueError, match="needs a seed"):
        attention(q, v, v, dropout_p=0.5)
    with pytest.raises(ValueError, match=r"\[B, S, 3, H, D\], got \[2, 5, 2, 8\]"):
        attention_packed(q)
