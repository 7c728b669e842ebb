"""Philox-4x32-10 in PyTorch: the random bits that kernels draw, for their references.

A pure function of a 64-bit seed and a 128-bit counter. Source: Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3", section 3.3.
"""

import torch
from torch import Tensor

_ROUND_A, _ROUND_B = 0xD2511F53, 0xCD9E8D57
_KEY_A, _KEY_B = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF
_ROUNDS = 10


def _product(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of a product of two 32-bit numbers, each in an int64."""
    low, high = a & 0xFFFF, a >> 16  # so that no partial product passes 63 bits
    first, second = low * b, high * b + ((low * b) >> 16)
    return second >> 16, ((second & 0xFFFF) << 16) | (first & 0xFFFF)


def philox_bits(seed: int, low: Tensor, high: Tensor) -> Tensor:
    """The first 32 bits of the block with counter (low, high, 0, 0).

    Args:
        seed: 0 to 2^64 - 1.
        low: [...] int64, of which 32 bits count.
        high: [...] int64 likewise, broadcast with low.

    Returns:
        [...] int64, 0 to 2^32 - 1.
    """
    zeros = torch.zeros_like(low) * torch.zeros_like(high)
    c0, c1, c2, c3 = zeros + (low & _LOW), zeros + (high & _LOW), zeros, zeros
    key_a, key_b = seed & _LOW, (seed >> 32) & _LOW
    for _ in range(_ROUNDS):
        high_a, low_a = _product(c0, _ROUND_A)
        high_b, low_b = _product(c2, _ROUND_B)
        c0, c1, c2, c3 = high_b ^ c1 ^ key_a, low_b, high_a ^ c3 ^ key_b, low_a
        key_a, key_b = (key_a + _KEY_A) & _LOW, (key_b + _KEY_B) & _LOW
    return c0
