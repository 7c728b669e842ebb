"""Attention of given queries over a sequence, and the layer made of it."""

import pytest
import torch
import torch.nn.functional as F

from flare.kernels._launch import use_backend
from flare.kernels.pool_attention import cls_layer, pool_attention, pool_attention_reference
from tests.kernels.checks import DEVICE, DTYPES, ON_GPU, check, normal


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [1, 64, 181, 433] if ON_GPU else [1, 70])
@pytest.mark.parametrize("has_lengths", [False, True])
def test_pool_attention_matches_float64(dtype, size, has_lengths):
    width, heads = (512, 8) if ON_GPU else (48, 3)
    lengths = torch.tensor([0, 1, size]) if has_lengths else None
    moved = None if lengths is None else lengths.to(DEVICE)
    check(
        lambda x, u: pool_attention(x, u, kv_len=moved),
        lambda x, u: pool_attention_reference(x, u, kv_len=lengths),
        [normal(3, size, width), normal(3, heads, width, seed=1, scale=width**-0.5)],
        dtype=dtype,
        slack=2.0 if size > 1 and not has_lengths else 30.0,
    )


def test_the_layer_of_one_row_is_row_0_of_the_whole_layer():
    """In float64, so that the two orders of products agree to its last digits."""
    torch.manual_seed(0)
    width, heads, hidden = 32, 4, 48

    def linear(outputs, inputs):
        return (torch.randn(outputs, inputs, dtype=torch.float64).requires_grad_(),
                torch.randn(outputs, dtype=torch.float64).requires_grad_())  # fmt: skip

    def norm():
        return tuple(torch.randn(width, dtype=torch.float64).requires_grad_() for _ in range(2))

    weights = {
        "qkv": linear(3 * width, width), "attention_out": linear(width, width),
        "attention_norm": norm(), "w_in": linear(hidden, width), "w_out": linear(width, hidden),
        "feed_forward_norm": norm(),
    }  # fmt: skip
    x = torch.randn(3, 7, width, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([7, 1, 4])
    q, k, v = F.linear(x, *weights["qkv"]).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    mask = (torch.arange(7) < lengths[:, None])[:, None, None]
    seen = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
    y = x + F.linear(seen, *weights["attention_out"])
    y = F.layer_norm(y, (width,), *weights["attention_norm"])
    z = y + F.linear(F.relu(F.linear(y, *weights["w_in"])), *weights["w_out"])
    wanted = F.layer_norm(z, (width,), *weights["feed_forward_norm"])[:, 0]
    got = cls_layer(x, num_heads=heads, kv_len=lengths, **weights)
    torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)
    moving = [x, *(p for pair in weights.values() for p in pair)]
    direction = torch.randn_like(wanted)
    ours = torch.autograd.grad(got, moving, direction)
    theirs = torch.autograd.grad(wanted, moving, direction)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert ours[2][width : 2 * width].abs().max() == 0.0  # the keys' bias falls out


def test_pool_attention_names_what_it_got():
    x, u = torch.zeros(2, 5, 8), torch.zeros(2, 3, 8)
    with pytest.raises(ValueError, match=r"got \[2, 5, 8\], \[1, 3, 8\]"):
        pool_attention(x, u[:1])
    with pytest.raises(ValueError, match="one floating dtype"):
        pool_attention(x, u.double())
    with pytest.raises(ValueError, match=r"integers \[2\], got torch.float32 \[2\]"):
        pool_attention(x, u, kv_len=torch.zeros(2))


def test_more_queries_than_a_tile_holds_go_through_pytorch():
    with use_backend("triton"):
        out = pool_attention(normal(1, 3, 8).to(DEVICE), normal(1, 17, 8).to(DEVICE))
    assert out.shape == (1, 17, 8)
