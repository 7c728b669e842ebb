"""Attention of the update: against the formula in float64, its gradients, its mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.kernels.attention import attention, attention_reference, visible_keys


def _inputs(batch, size, prefix, seed, dtype=torch.float32):
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=rng, dtype=dtype)

    q, k, v = (normal(batch, size, 2, 8).requires_grad_() for _ in range(3))
    starts = torch.rand(batch, size, generator=rng) < 0.2
    arguments = {"segment_ids": starts.long().cumsum(1)}
    if prefix:
        arguments["prefix_k"], arguments["prefix_v"] = (
            normal(batch, prefix, 2, 8).requires_grad_() for _ in range(2)
        )
        arguments["prefix_len"] = torch.randint(0, prefix + 1, (batch,), generator=rng)
    return (q, k, v), arguments


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    size=st.integers(1, 19),
    prefix=st.sampled_from([0, 1, 7]),
    seed=st.integers(0, 10**6),
)
def test_attention_and_its_gradients_match_float64(batch, size, prefix, seed):
    tensors, arguments = _inputs(batch, size, prefix, seed)
    moving = [*tensors, *(arguments[n] for n in ("prefix_k", "prefix_v") if n in arguments)]
    out = attention(*tensors, **arguments)
    wanted = attention_reference(*tensors, **arguments)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(out, wanted, rtol=2e-6, atol=2e-6)
    for got, want in zip(
        torch.autograd.grad(out, moving, direction),
        torch.autograd.grad(wanted, moving, direction),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=3e-6)


def test_attention_of_one_step_returns_its_value():
    (q, k, v), arguments = _inputs(3, 1, 0, seed=1)
    torch.testing.assert_close(attention(q, k, v, **arguments), v)


def test_attention_ignores_what_stands_behind_the_prefix_length():
    (q, k, v), arguments = _inputs(2, 5, 4, seed=2)
    arguments["prefix_len"] = torch.tensor([0, 2])
    arguments["segment_ids"] = torch.zeros(2, 5, dtype=torch.long)
    out = attention(q, k, v, **arguments)
    with torch.no_grad():
        arguments["prefix_k"][0] = 1e4
        arguments["prefix_v"][1, 2:] = 1e4
    torch.testing.assert_close(attention(q, k, v, **arguments), out)


def test_visible_keys_by_hand():
    visible = visible_keys(torch.tensor([[0, 0, 1]]), torch.tensor([1]), 2)
    wanted = [[1, 0, 1, 0, 0], [1, 0, 1, 1, 0], [0, 0, 0, 0, 1]]
    assert visible.int().tolist() == [wanted]


def test_attention_names_the_shapes_it_got():
    (q, k, v), arguments = _inputs(2, 5, 0, seed=3)
    with pytest.raises(ValueError, match=r"got \[2, 5, 2, 8\], \[2, 4, 2, 8\]"):
        attention(q, k[:, :4], v, **arguments)
    with pytest.raises(ValueError, match=r"integers \[2, 5\], got torch.int64 \[2, 4\]"):
        attention(q, k, v, segment_ids=arguments["segment_ids"][:, :4])
    with pytest.raises(ValueError, match="given together"):
        attention(q, k, v, **arguments, prefix_k=k)
    with pytest.raises(ValueError, match=r"one floating dtype, got .*float32, .*float64"):
        attention(q, k.double(), v, **arguments)
