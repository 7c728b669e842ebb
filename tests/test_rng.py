import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.rng import keyed_bits, keyed_integers, keyed_uniform

WORD = st.integers(0, 2**64 - 1)
MASK = 2**64 - 1


def mix(x):
    """SplitMix64's step and finaliser on Python's integers (Steele et al. 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_mixing_is_splitmix64():
    # First output of SplitMix64 seeded with 0, as published with the reference code.
    assert mix(0) == 0xE220A8397B1DCDAF


@given(WORD, WORD, WORD, WORD, WORD)
def test_bits_equal_the_scalar_chain(seed, env, episode, step, draw):
    expected = mix(seed)
    for word in (env, episode, step, draw):
        expected = mix(expected ^ word)
    assert int(keyed_bits(seed, env, episode, step, draw)) == expected


def test_python_and_core_agree():
    core = pytest.importorskip("flare._core")
    for key in [(0, 0, 0, 0, 0), (1, 2, 3, 4, 5), (2**63, 2**40, 7, 0, 2**32)]:
        assert int(keyed_bits(*key)) == core.keyed_bits(*key)


def test_a_value_depends_on_its_own_key_only():
    envs, steps = np.arange(5)[:, None], np.arange(7)
    table = keyed_uniform(3, envs, 11, steps)
    assert table.shape == (5, 7)
    assert table.dtype == np.float32
    assert table[2, 4] == keyed_uniform(3, 2, 11, 4)
    assert len(np.unique(table)) == table.size


def test_uniforms_fill_the_unit_interval():
    values = keyed_uniform(0, 0, 0, np.arange(100_000))
    assert values.min() >= 0.0
    assert values.max() < 1.0
    # Mean of n uniforms: 0.5 with standard deviation 1/sqrt(12 n) = 0.0009; four of them.
    assert abs(float(values.mean(dtype=np.float64)) - 0.5) < 0.0037
    assert np.histogram(values, 10, (0, 1))[0].min() > 9_500


@given(st.integers(1, 2**31), WORD, st.integers(0, 1000))
def test_integers_stay_below_their_bound(high, seed, env):
    value = keyed_integers(high, seed, env, 0)
    assert 0 <= value < high


def test_integers_reach_every_value_evenly():
    counts = np.bincount(keyed_integers(7, 5, np.arange(70_000), 0), minlength=7)
    assert counts.min() > 9_500
