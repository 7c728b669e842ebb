"""Estimates and intervals against hand-computed and published numbers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.evaluation.statistics import (
    bootstrap_interval,
    compare_paired,
    interquartile_mean,
    mcnemar_exact,
    mean_interval,
    paired_difference,
    required_episodes,
    success_weighted_by_episode_length,
    success_weighted_by_path_length,
    wilson_interval,
)


# The four examples of Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3.
@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilson_interval_equals_published_values(k, n, low, high):
    interval = wilson_interval(k, n)
    assert interval.estimate == k / n
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_interval_by_hand():
    # At p = 1/2 the half width is z / (2 sqrt(n + z²)) = 1.959964 / (2 · 2.800261) = 0.349961.
    interval = wilson_interval(2, 4)
    assert interval.low == pytest.approx(0.150039, abs=2e-6)
    assert interval.high == pytest.approx(0.849961, abs=2e-6)


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_interval_is_symmetric_and_holds_the_estimate(n, share):
    k = round(share * n)
    one, other = wilson_interval(k, n), wilson_interval(n - k, n)
    assert 0 <= one.low <= one.estimate <= one.high <= 1
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 3), (4, 3)])
def test_wilson_interval_refuses_what_is_no_proportion(k, n):
    with pytest.raises(ValueError, match=f"{k} of {n}"):
        wilson_interval(k, n)


def test_bootstrap_interval_is_deterministic_and_near_the_normal_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    first, second = mean_interval(values, seed=5), mean_interval(values, seed=5)
    assert first == second != mean_interval(values, seed=6)
    assert first.estimate == pytest.approx(values.mean())
    half = 1.959964 * values.std() / math.sqrt(len(values))
    assert first.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert first.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_bootstrap_interval_is_the_same_for_any_chunk(monkeypatch):
    values = np.arange(10.0)
    whole = bootstrap_interval(values, resamples=100)
    monkeypatch.setattr("flare.evaluation.statistics._CHUNK", 7)
    assert bootstrap_interval(values, resamples=100) == whole


def test_bootstrap_interval_takes_other_statistics():
    interval = bootstrap_interval([1.0, 2.0, 3.0, 100.0, 2.5], statistic=np.median)
    assert interval.estimate == 2.5 and 1.0 <= interval.low <= 2.5 <= interval.high <= 100.0


def test_bootstrap_interval_of_equal_samples_has_no_width():
    interval = mean_interval([4.0] * 3)
    assert (interval.low, interval.estimate, interval.high) == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [[1.0]]])
def test_bootstrap_interval_refuses_bad_samples(values):
    with pytest.raises(ValueError, match="finite sample"):
        mean_interval(values)


def test_interquartile_mean_by_hand():
    # Eight samples: the middle four. Three: weights 1/4, 1, 1/4 over 3/2.
    assert interquartile_mean([8, 1, 2, 3, 4, 5, 6, 100]) == pytest.approx((3 + 4 + 5 + 6) / 4)
    assert interquartile_mean([6, 1, 2]) == pytest.approx((0.25 * 1 + 2 + 0.25 * 6) / 1.5)
    assert interquartile_mean([7]) == 7
    np.testing.assert_allclose(interquartile_mean([[1, 2], [3, 4]], axis=0), [2, 3])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_interquartile_mean_lies_within_the_samples(values):
    result = interquartile_mean(values)
    assert min(values) - 1e-6 <= result <= max(values) + 1e-6


# 2 · Σ_{i ≤ 2} C(14, i) / 2^14 = 2 · 106 / 16384
@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(2, 12, 212 / 16384), (12, 2, 212 / 16384), (0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32)],
)
def test_mcnemar_exact_by_hand(lost, gained, p):
    assert mcnemar_exact(lost, gained) == pytest.approx(p, abs=1e-15)


def test_mcnemar_exact_stays_finite_for_many_pairs():
    assert 0 < mcnemar_exact(400, 600) < 1e-9


def test_paired_difference_equals_published_value():
    # Newcombe 1998 (Statistics in Medicine 17, 2635), table II, 36/12/2/0, method 10.
    interval = paired_difference(36, 12, 2, 0)
    assert interval.estimate == pytest.approx(0.2)
    assert round(interval.low, 4) == 0.0569 and round(interval.high, 4) == 0.3404


@given(*[st.integers(0, 60)] * 4)
def test_paired_difference_turns_its_sign_with_the_order(both, gained, lost, neither):
    if both + gained + lost + neither == 0:
        return
    one = paired_difference(both, gained, lost, neither)
    other = paired_difference(both, lost, gained, neither)
    assert -1 - 1e-9 <= one.low <= one.estimate <= one.high <= 1 + 1e-9
    assert one.low == pytest.approx(-other.high, abs=1e-12)


def test_compare_paired_counts_pairs():
    before = [True, True, False, False, False]
    after = [True, False, True, True, False]
    result = compare_paired(before, after)
    assert (result.both, result.only_before, result.only_after, result.neither) == (1, 1, 2, 1)
    assert result.count == 5
    assert result.difference.estimate == pytest.approx(1 / 5)
    assert result.p_value == 1.0


def test_compare_paired_refuses_different_lengths():
    with pytest.raises(ValueError, match="1 and 2"):
        compare_paired([True], [True, False])


def test_weighted_success_equals_the_original(shared_dir):
    rows = json.loads((shared_dir / "golden" / "sel_spl.json").read_text())
    for row in rows:
        arguments = (row["success"], row["optimal"], row["actual"])
        assert success_weighted_by_episode_length(*arguments) == row["sel"]
        assert success_weighted_by_path_length(*arguments) == row["spl"]


def test_weighted_success_by_hand():
    assert success_weighted_by_episode_length(True, 20, 50) == 0.4
    assert success_weighted_by_episode_length(True, 60, 50) == 1.0
    assert success_weighted_by_episode_length(True, -1, 50) is None
    assert success_weighted_by_episode_length(False, -1, 50) == 0.0
    assert success_weighted_by_path_length(True, 0.0, 0.0) == 1.0


def test_required_episodes_is_the_smallest_that_suffices():
    n = required_episodes(0.05)
    # Half width at p = 1/2 is z / (2 sqrt(n + z²)).
    half = [1.959964 / (2 * math.sqrt(m + 1.959964**2)) for m in (n - 1, n)]
    assert half[0] > 0.05 >= half[1]
