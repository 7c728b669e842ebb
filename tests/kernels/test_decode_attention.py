"""Attention of one step against the cache."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.kernels.decode_attention import decode_attention, decode_attention_reference


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 4), size=st.integers(1, 21), heads=st.integers(1, 5), seed=st.integers(0, 999)
)
def test_decode_attention_matches_float64(n, size, heads, seed):
    rng = torch.Generator().manual_seed(seed)
    q = torch.randn(n, heads, 8, generator=rng)
    cache_k, cache_v = (torch.randn(n, size + 3, heads, 8, generator=rng) for _ in range(2))
    kv_len = torch.randint(1, size + 1, (n,), generator=rng)
    filled = torch.arange(size + 3) < kv_len[:, None]
    cache_k[~filled], cache_v[~filled] = 1e3, 1e3  # must not be seen
    arguments = (q, cache_k[:, :size], cache_v[:, :size])
    out = decode_attention(*arguments, kv_len=kv_len)
    wanted = decode_attention_reference(*arguments, kv_len=kv_len)
    torch.testing.assert_close(out, wanted, rtol=2e-6, atol=2e-6)


def test_decode_attention_names_the_shapes_it_got():
    q, cache = torch.zeros(2, 3, 4), torch.zeros(2, 5, 2, 4)
    with pytest.raises(ValueError, match=r"got \[2, 5, 2, 4\]"):
        decode_attention(q, cache, cache, kv_len=torch.ones(2, dtype=torch.long))
