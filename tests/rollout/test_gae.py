import multiprocessing
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.rollout.gae import compute_gae, compute_gae_segments

T, N = 17, 21  # odd: whole vectors and a rest


def make_rollout(seed, num_steps=T, num_envs=N, end_probability=0.15):
    """Random arrays of compute_gae; final_values is NaN where it must not be read."""
    rng = np.random.default_rng(seed)
    shape = (num_steps, num_envs)
    terminated = rng.random(shape) < end_probability
    truncated = rng.random(shape) < end_probability
    final_values = rng.standard_normal(shape).astype(np.float32)
    final_values[~truncated] = np.nan
    return {
        "rewards": rng.standard_normal(shape).astype(np.float32),
        "values": rng.standard_normal((num_steps + 1, num_envs)).astype(np.float32),
        "terminated": terminated,
        "truncated": truncated,
        "final_values": final_values,
    }


def reference_gae(r, gamma, gae_lambda, truncation_is_terminal=False, valid=None):
    """The formula of flare/rollout/gae.py, step by step in float64."""
    num_steps, num_envs = r["rewards"].shape
    advantages = np.zeros((num_steps, num_envs))
    for n in range(num_envs):
        following = 0.0
        for t in reversed(range(num_steps)):
            if valid is not None and not valid[t, n]:
                following = 0.0
                continue
            next_value = float(r["values"][t + 1, n])
            if r["terminated"][t, n] or r["truncated"][t, n]:
                is_terminal = r["terminated"][t, n] or truncation_is_terminal
                next_value = 0.0 if is_terminal else float(r["final_values"][t, n])
                following = 0.0
            delta = r["rewards"][t, n] + gamma * next_value - r["values"][t, n]
            following = delta + gamma * gae_lambda * following
            advantages[t, n] = following
    return advantages


def test_gae_by_hand():
    # gamma 0.5, lambda 0.5, one env, step 1 is truncated with final value 4:
    # A_2 = 3 + 0.5*8 - 3 = 4;  A_1 = 2 + 0.5*4 - 2 = 2 (cut);  A_0 = 1 + 0.5*2 - 1 + 0.25*2 = 1.5
    column = np.array([[1], [2], [3]], np.float32)
    advantages, returns = compute_gae(
        column,
        np.array([[1], [2], [3], [8]], np.float32),
        np.zeros((3, 1), bool),
        np.array([[0], [1], [0]], bool),
        np.array([[0], [4], [0]], np.float32),
        gamma=0.5,
        gae_lambda=0.5,
    )
    np.testing.assert_array_equal(advantages[:, 0], [1.5, 2, 4])
    np.testing.assert_array_equal(returns[:, 0], [2.5, 4, 7])


def test_gae_matches_the_original(shared_dir):
    """masks[t] = 0 where observation t starts an episode: step t - 1 ended one, by a time limit or
    not, and the original gives both the value 0."""
    golden = np.load(shared_dir / "golden" / "gae.npz")
    ended = golden["masks"][1:, :, 0] == 0
    limits = np.zeros_like(ended)
    limits[::2] = ended[::2]  # half of the ends as limits: the switch makes them equal
    rewards = np.ascontiguousarray(golden["rewards"][..., 0])
    advantages, returns = compute_gae(
        rewards,
        np.ascontiguousarray(golden["values"][..., 0]),
        ended & ~limits,
        limits,
        np.full_like(rewards, np.nan),
        gamma=0.99,
        gae_lambda=0.95,
        truncation_is_terminal=True,
    )
    np.testing.assert_allclose(advantages, golden["advantages"][..., 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns, golden["returns"][..., 0], rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    num_steps=st.integers(1, 40),
    num_envs=st.integers(1, 70),
    gamma=st.floats(0, 1, width=32),
    gae_lambda=st.floats(0, 1, width=32),
    as_original=st.booleans(),
)
def test_gae_equals_the_formula(seed, num_steps, num_envs, gamma, gae_lambda, as_original):
    r = make_rollout(seed, num_steps, num_envs)
    advantages, returns = compute_gae(
        **r, gamma=gamma, gae_lambda=gae_lambda, truncation_is_terminal=as_original
    )
    expected = reference_gae(r, gamma, gae_lambda, as_original)
    np.testing.assert_allclose(advantages, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(returns, advantages + r["values"][:-1])


@settings(max_examples=30, deadline=None)
@given(data=st.data(), num_envs=st.integers(1, 70))
def test_gae_reads_final_values_of_truncated_steps_and_no_others(data, num_envs):
    """One truncated step anywhere, in whole vectors and in the rest of a row."""
    t, n = data.draw(st.integers(0, T - 1)), data.draw(st.integers(0, num_envs - 1))
    r = make_rollout(7, num_envs=num_envs, end_probability=0)
    before, _ = compute_gae(**r, gamma=0.9, gae_lambda=0.8)
    r["truncated"][t, n] = True
    r["final_values"][t, n] = 4.0
    after, _ = compute_gae(**r, gamma=0.9, gae_lambda=0.8)
    expected = reference_gae(r, 0.9, 0.8)
    np.testing.assert_allclose(after[: t + 1, n], expected[: t + 1, n], rtol=1e-4, atol=1e-4)
    after[: t + 1, n] = before[: t + 1, n]
    np.testing.assert_array_equal(after, before, "only what leads to the truncated step changes")


def placed(array, offset):
    """A copy that starts `offset` elements after a cache line."""
    block = np.zeros(array.nbytes + 64 + offset * array.itemsize, np.uint8)
    start = -block.ctypes.data % 64 + offset * array.itemsize
    copy = block[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), num_envs=st.integers(1, 70), offset=st.integers(1, 15))
def test_gae_bits_do_not_depend_on_where_arrays_start(seed, num_envs, offset):
    r = make_rollout(seed, num_envs=num_envs)
    outputs = {name: placed(r["rewards"], offset) for name in ("advantages", "returns")}
    moved = {name: placed(array, offset + i) for i, (name, array) in enumerate(r.items())}
    advantages, returns = compute_gae(**r, gamma=0.99, gae_lambda=0.95)
    got = compute_gae(**moved, **outputs, gamma=0.99, gae_lambda=0.95)
    np.testing.assert_array_equal(got[0], advantages)
    np.testing.assert_array_equal(got[1], returns)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), num_envs=st.integers(1, 40), as_original=st.booleans())
def test_gae_of_steps_that_are_not_valid(seed, num_envs, as_original):
    """They have no advantage, whatever stands there; the step before bootstraps with their value,
    as at the end of a shorter rollout."""
    r = make_rollout(seed, num_envs=num_envs)
    valid = np.random.default_rng(seed + 1).random((T, num_envs)) < 0.9
    options = {"gamma": 0.9, "gae_lambda": 0.8, "truncation_is_terminal": as_original}
    r["rewards"][~valid] = np.nan
    advantages, returns = compute_gae(**r, valid=valid, **options)
    np.testing.assert_array_equal(advantages[~valid], 0)
    np.testing.assert_array_equal(returns[~valid], r["values"][:-1][~valid])
    expected = reference_gae(r, 0.9, 0.8, as_original, valid)
    np.testing.assert_allclose(advantages, expected, rtol=1e-4, atol=1e-4)
    for n in range(num_envs):
        last = int(np.argmin(valid[:, n])) if not valid[:, n].all() else T
        if last == 0:
            continue
        column = {name: a[:last, [n]].copy() for name, a in r.items() if name != "values"}
        cut, _ = compute_gae(**column, values=r["values"][: last + 1, [n]].copy(), **options)
        np.testing.assert_array_equal(cut[:, 0], advantages[:last, n])
    packed = {name: a.T.ravel().copy() for name, a in r.items() if name != "values"}
    segments, _ = compute_gae_segments(
        **packed,
        values=r["values"][:-1].T.ravel().copy(),
        offsets=np.arange(0, T * num_envs + 1, T, dtype=np.int64),
        bootstrap_values=r["values"][-1],
        valid=valid.T.ravel().copy(),
        **options,
    )
    np.testing.assert_array_equal(segments.reshape(num_envs, T).T, advantages)


def test_gae_of_valid_steps_only_is_gae():
    r = make_rollout(2)
    plain = compute_gae(**r, gamma=0.99, gae_lambda=0.95)
    flagged = compute_gae(**r, gamma=0.99, gae_lambda=0.95, valid=np.ones((T, N), bool))
    np.testing.assert_array_equal(flagged, plain)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_gae_lambda_0_is_the_td_error(seed):
    r = make_rollout(seed)
    advantages, _ = compute_gae(**r, gamma=0.9, gae_lambda=0.0)
    next_values = np.where(r["truncated"], r["final_values"], r["values"][1:])
    next_values = np.where(r["terminated"], np.float32(0), next_values)
    td_error = r["rewards"] + np.float32(0.9) * next_values - r["values"][:-1]
    np.testing.assert_allclose(advantages, td_error, rtol=1e-6, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_gae_lambda_1_is_the_discounted_return_minus_the_value(seed):
    r = make_rollout(seed)
    _, returns = compute_gae(**r, gamma=0.9, gae_lambda=1.0)
    expected = np.empty((T, N))
    following = r["values"][T].astype(np.float64)
    for t in reversed(range(T)):
        following = np.where(r["truncated"][t], r["final_values"][t], following)
        following = np.where(r["terminated"][t], 0.0, following)
        following = r["rewards"][t] + 0.9 * following
        expected[t] = following
    np.testing.assert_allclose(returns, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), order=st.permutations(range(N)))
def test_gae_permuting_envs_permutes_the_bits(seed, order):
    r = make_rollout(seed)
    permuted = {name: np.ascontiguousarray(array[:, order]) for name, array in r.items()}
    advantages, returns = compute_gae(**r, gamma=0.99, gae_lambda=0.95)
    got = compute_gae(**permuted, gamma=0.99, gae_lambda=0.95)
    np.testing.assert_array_equal(got[0], advantages[:, order])
    np.testing.assert_array_equal(got[1], returns[:, order])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.integers(1, T - 1), by_limit=st.booleans())
def test_gae_cutting_at_an_episode_end_changes_nothing(seed, cut, by_limit):
    r = make_rollout(seed)
    r["truncated" if by_limit else "terminated"][cut - 1] = True
    r["final_values"] = np.nan_to_num(r["final_values"], nan=0.5)
    whole, _ = compute_gae(**r, gamma=0.99, gae_lambda=0.95)
    for part in (slice(0, cut), slice(cut, T)):
        rows = {name: array[part] for name, array in r.items() if name != "values"}
        values = r["values"][part.start : part.stop + 1]
        advantages, _ = compute_gae(**rows, values=values, gamma=0.99, gae_lambda=0.95)
        np.testing.assert_array_equal(advantages, whole[part])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), num_threads=st.sampled_from([0, 1, 2, 3]))
def test_gae_segments_equal_the_dense_entry(seed, num_threads):
    r = make_rollout(seed)
    columns = {k: a.T.ravel().copy() for k, a in r.items() if k != "values"}
    advantages, returns = compute_gae(**r, gamma=0.99, gae_lambda=0.95)
    got = compute_gae_segments(
        **columns,
        values=r["values"][:-1].T.ravel().copy(),
        offsets=np.arange(0, T * N + 1, T, dtype=np.int64),
        bootstrap_values=r["values"][-1],
        gamma=0.99,
        gae_lambda=0.95,
        num_threads=num_threads,
    )
    np.testing.assert_array_equal(got[0].reshape(N, T).T, advantages)
    np.testing.assert_array_equal(got[1].reshape(N, T).T, returns)


@pytest.mark.parametrize("num_envs", [8, 1000, 4096, 6000], ids=lambda n: f"N{n}")
def test_gae_same_bits_for_any_number_of_threads_and_with_streaming_stores(num_envs):
    r = make_rollout(3, num_steps=1_200_000 // num_envs, num_envs=num_envs)
    one = compute_gae(**r, gamma=0.99, gae_lambda=0.95, num_threads=1)
    for num_threads in (0, 2, 3, 5):
        many = compute_gae(**r, gamma=0.99, gae_lambda=0.95, num_threads=num_threads)
        np.testing.assert_array_equal(many[0], one[0])
        np.testing.assert_array_equal(many[1], one[1])
    np.testing.assert_array_equal(one[1], one[0] + r["values"][:-1])
    few = {name: array[:, :5].copy() for name, array in r.items()}  # no vector, no streaming
    np.testing.assert_array_equal(compute_gae(**few, gamma=0.99, gae_lambda=0.95)[0], one[0][:, :5])


def test_gae_writes_into_given_arrays():
    r = make_rollout(5)
    advantages, returns = np.full((2, T, N), np.nan, np.float32)
    got = compute_gae(
        **r, gamma=0.99, gae_lambda=0.95, advantages=advantages, returns=returns, num_threads=1
    )
    assert got[0] is advantages and got[1] is returns
    assert np.isfinite(advantages).all() and np.isfinite(returns).all()


@pytest.mark.parametrize(
    ("name", "bad", "error", "message"),
    [
        ("rewards", np.zeros((T, N)), TypeError, "rewards must be float32, got float64"),
        ("rewards", np.zeros(T, np.float32), ValueError, r"rewards must have 2 axes, got \[17\]"),
        ("values", np.zeros((T, N), np.float32), ValueError, r"values must be \[18, 21\]"),
        ("terminated", np.zeros((T, N), np.int64), TypeError, "terminated must be uint8"),
        ("truncated", np.zeros((N, T), bool).T, ValueError, "truncated must be C-contiguous"),
        ("final_values", np.zeros((T, N), ">f4"), TypeError, "final_values must be float32"),
        ("gamma", 1.5, ValueError, r"must lie in \[0, 1\]"),
        ("gae_lambda", float("nan"), ValueError, r"must lie in \[0, 1\]"),
        ("valid", np.ones((T, 1), bool), ValueError, r"valid must be \[17, 21\]"),
        ("num_threads", -1, ValueError, "num_threads"),
        ("returns", np.zeros((T, 1), np.float32), ValueError, r"returns must be \[17, 21\]"),
    ],
)
def test_gae_names_the_bad_argument(name, bad, error, message):
    arguments = {**make_rollout(0), "gamma": 0.99, "gae_lambda": 0.95, name: bad}
    with pytest.raises(error, match=message):
        compute_gae(**arguments)


def test_gae_refuses_a_read_only_output():
    frozen = np.zeros((T, N), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="advantages must be writeable"):
        compute_gae(**make_rollout(0), gamma=0.99, gae_lambda=0.95, advantages=frozen)


@pytest.mark.parametrize("offsets", [[0, 3], [1, 4], [0, 3, 2, 4], [0, 5]])
def test_gae_segments_refuse_offsets_that_do_not_cover_the_steps(offsets):
    flat = np.zeros(4, np.float32)
    flags = np.zeros(4, bool)
    with pytest.raises(ValueError, match="offsets must ascend from 0 to the number of steps, 4"):
        compute_gae_segments(
            flat,
            flat,
            flags,
            flags,
            flat,
            np.array(offsets, np.int64),
            np.zeros(len(offsets) - 1, np.float32),
            gamma=0.9,
            gae_lambda=0.9,
        )


def test_gae_works_in_a_forked_child_after_threads_ran_in_the_parent():
    """A forked child has none of the parent's threads; waiting for these would never end."""
    r = make_rollout(1)
    compute_gae(**r, gamma=0.99, gae_lambda=0.95, num_threads=2)
    pool = multiprocessing.get_context("fork")
    child = pool.Process(
        target=compute_gae, kwargs={**r, "gamma": 0.99, "gae_lambda": 0.95, "num_threads": 2}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads is the case here
        child.start()
    child.join(30)
    assert child.exitcode == 0
