"""Counter-based random numbers: each value is a pure function of (seed, env, episode, step, draw).

The same numbers as ``csrc/core/rng.hpp`` (SplitMix64's finaliser, chained over the key's words), so
Python and C++ agree and no order of calls, number of threads or restart changes a result.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flare.errors import require

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def check_seed(seed: int) -> None:
    """Refuse a seed that the keyed random numbers cannot hold; a recipe adds a few to it."""
    require(0 <= seed < 2**63, "seed", seed, "use 0 to 2^63 - 1")


def _mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        x = x + _GAMMA
        x = (x ^ (x >> np.uint64(30))) * _M1
        x = (x ^ (x >> np.uint64(27))) * _M2
        mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
        return mixed


def keyed_bits(
    seed: ArrayLike, env: ArrayLike, episode: ArrayLike, step: ArrayLike = 0, draw: ArrayLike = 0
) -> NDArray[np.uint64]:
    """Random 64 bits for each broadcast key.

    Args: seed, env, episode, step, draw: non-negative integers or arrays of them, broadcast.
    Returns: [...] uint64 of the broadcast shape.
    """
    h = _mix64(np.asarray(seed, np.uint64))
    for word in (env, episode, step, draw):
        h = _mix64(h ^ np.asarray(word, np.uint64))
    return h


def keyed_uniform(
    seed: ArrayLike, env: ArrayLike, episode: ArrayLike, step: ArrayLike = 0, draw: ArrayLike = 0
) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1) with 24 bits for each broadcast key; float32."""
    bits = keyed_bits(seed, env, episode, step, draw) >> np.uint64(40)
    uniform: NDArray[np.float32] = bits.astype(np.float32) * np.float32(2.0**-24)
    return uniform


def keyed_integers(
    high: ArrayLike,
    seed: ArrayLike,
    env: ArrayLike,
    episode: ArrayLike,
    step: ArrayLike = 0,
    draw: ArrayLike = 0,
) -> NDArray[np.int64]:
    """Integers in [0, high) for each broadcast key; bias below high / 2**32."""
    bits = (keyed_bits(seed, env, episode, step, draw) >> np.uint64(32)).astype(np.uint64)
    scaled: NDArray[np.uint64] = (bits * np.asarray(high, np.uint64)) >> np.uint64(32)
    return scaled.astype(np.int64)
