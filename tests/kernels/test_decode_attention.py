"""Attention of one step against the ring cache that it joins."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.kernels._launch import use_backend
from flare.kernels.decode_attention import decode_attention, decode_attention_reference
from tests.kernels.checks import DEVICE, LIMITS, ON_GPU, error, normal, poisoned


def compare(n, size, heads, dim, seed, dtype, has_start, backend):
    rng = torch.Generator().manual_seed(seed)
    q, k, v = (normal(n, heads, dim, seed=seed + i).to(dtype) for i in range(3))
    caches = [normal(n, size + 3, heads, dim, seed=seed + i).to(dtype) for i in (3, 4)]
    lengths = torch.randint(1, size + 1, (n,), generator=rng)
    start = (torch.rand(n, generator=rng) * lengths).long() if has_start else None
    first = torch.zeros_like(lengths) if start is None else start
    place = first + (torch.rand(n, generator=rng) * (lengths - first)).long()
    unseen = torch.arange(size + 3) >= lengths[:, None]
    for cache in caches:
        cache[unseen] = float("nan")
    named = {"place": place, "kv_len": lengths, "kv_start": start}
    known = [cache.nan_to_num() for cache in caches]
    wanted = decode_attention_reference(q.double(), k.double(), v.double(),
                                        *(c.double() for c in known), **named)  # fmt: skip
    if backend == "reference":
        caches = known  # products of PyTorch touch every place, and NaN · 0 is NaN
    ours = [cache.to(DEVICE) for cache in caches]
    moved = {name: None if x is None else x.to(DEVICE) for name, x in named.items()}
    with use_backend(backend), poisoned():
        out = decode_attention(q.to(DEVICE), k.to(DEVICE), v.to(DEVICE), *ours, **moved)
    assert error(out, wanted) <= LIMITS[DEVICE, dtype][0]
    rows = torch.arange(n)
    for cache, before, new in zip(ours, caches, (k, v), strict=True):
        before = before.clone()
        before[rows, place] = new
        assert torch.equal(cache.cpu().nan_to_num(), before.nan_to_num())


@settings(max_examples=100 if ON_GPU else 12, deadline=None)
@given(
    n=st.integers(1, 3), size=st.integers(1, 140), heads=st.integers(1, 3),
    dim=st.sampled_from([8, 24, 64]), seed=st.integers(0, 999), has_start=st.booleans(),
    backend=st.sampled_from(["triton", "reference"]),
)  # fmt: skip
def test_decode_attention_matches_float64(n, size, heads, dim, seed, has_start, backend):
    compare(n, size, heads, dim, seed, torch.float32, has_start, backend)


def test_decode_attention_in_bfloat16():
    compare(2, 70, 2, 16, 0, torch.bfloat16, True, "triton")
    compare(2, 70, 2, 16, 0, torch.bfloat16, True, "reference")


def test_decode_attention_names_the_shapes_it_got():
    q, cache = torch.zeros(2, 3, 4), torch.zeros(2, 5, 3, 4)
    ones = torch.ones(2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"got \[2, 5, 2, 4\]"):
        decode_attention(q, q, q, cache[:, :, :2], cache[:, :, :2], place=ones, kv_len=ones)
    with pytest.raises(ValueError, match=r"must be \[2, 3, 4\], got \[1, 3, 4\]"):
        decode_attention(q, q[:1], q, cache, cache, place=ones, kv_len=ones)
    with pytest.raises(ValueError, match="must be contiguous, got strides"):
        strided = torch.zeros(2, 3, 5, 4).transpose(1, 2)
        decode_attention(q, q, q, strided, strided, place=ones, kv_len=ones)
    with pytest.raises(ValueError, match="share one dtype"):
        decode_attention(q, q.double(), q, cache, cache, place=ones, kv_len=ones)
