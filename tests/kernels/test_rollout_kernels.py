"""Advantages and sampled actions, on the device."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.kernels._launch import use_backend
from flare.kernels.gae import gae, gae_reference
from flare.kernels.sample_action import sample_action, sample_action_reference
from tests.kernels.checks import DEVICE, ON_GPU, error, normal, poisoned


@settings(max_examples=50 if ON_GPU else 8, deadline=None)
@given(steps=st.integers(1, 300), envs=st.integers(1, 20), seed=st.integers(0, 999),
       has_valid=st.booleans())  # fmt: skip
def test_gae_matches_float64(steps, envs, seed, has_valid):
    rng = torch.Generator().manual_seed(seed)
    rewards, final = normal(steps, envs, seed=seed), normal(steps, envs, seed=seed + 1)
    values = normal(steps + 1, envs, seed=seed + 2)
    ends, cuts, lost = (torch.rand(steps, envs, generator=rng) < 0.1 for _ in range(3))
    final[~cuts] = math.nan  # may hold anything where nothing was cut
    valid = ~lost if has_valid else None
    wanted = gae_reference(rewards, values, ends, cuts, final, 0.99, 0.95, valid=valid)
    tensors = [x.to(DEVICE) for x in (rewards, values, ends, cuts, final)]
    moved = None if valid is None else valid.to(DEVICE)
    with use_backend("triton"), poisoned():
        got = gae(*tensors, 0.99, 0.95, valid=moved)
        again = gae(*tensors, 0.99, 0.95, valid=moved)
    for ours, other, want in zip(got, again, wanted, strict=True):
        assert error(ours, want) <= 2e-6
        assert torch.equal(ours, other)


def test_gae_by_hand():
    """γ = λ = 0.5; step 1 is cut (its last value is 4), step 2 ends for good."""
    rewards = torch.tensor([[1.0], [0.0], [2.0]])
    values = torch.tensor([[1.0], [2.0], [3.0], [9.0]])
    ends, cuts = (torch.tensor(x)[:, None] for x in ([0, 0, 1], [0, 1, 0]))
    final = torch.tensor([[math.nan], [4.0], [math.nan]])
    # δ = 1 + 1 - 1, 0 + 2 - 2, 2 - 3; A_0 = 1 + 0.25 · A_1
    wanted = torch.tensor([[1.0], [0.0], [-1.0]])
    tensors = [x.to(DEVICE) for x in (rewards, values, ends.bool(), cuts.bool(), final)]
    for backend in ("triton", "reference"):
        with use_backend(backend):
            advantages, returns = gae(*tensors, 0.5, 0.5)
        torch.testing.assert_close(advantages.cpu(), wanted)
        torch.testing.assert_close(returns.cpu(), wanted + values[:3])


@pytest.mark.parametrize("actions", [1, 7, 20])
def test_sample_action_is_the_references(actions):
    logits = normal(300 if ON_GPU else 33, actions, scale=2.0).to(DEVICE)
    logits[0, 1:] = -math.inf  # an action that is certain
    uniforms = torch.rand(len(logits), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    uniforms[1], uniforms[2] = 0.0, 1.0 - 2**-24
    for drawn in (uniforms, None):
        wanted = sample_action_reference(logits, drawn)
        with use_backend("triton"), poisoned():
            action, log_prob, entropy = sample_action(logits, drawn)
        # Where a uniform lies within rounding of an edge either side is right.
        assert (action == wanted[0]).float().mean() >= (1.0 if not ON_GPU else 0.99)
        assert action.max() < actions
        torch.testing.assert_close(log_prob[1:], wanted[1][1:], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(entropy[1:], wanted[2][1:], rtol=1e-5, atol=1e-5)
        assert action[0] == 0


def test_sample_action_inverts_the_cumulated_probabilities():
    """Of (0.2, 0.5, 0.3): below 0.2 the first, below 0.7 the second, else the third."""
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(6, 3)
    uniforms = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 1.0 - 2.0**-24])
    assert sample_action(logits, uniforms)[0].tolist() == [0, 0, 1, 1, 2, 2]


def test_sample_action_without_uniforms_takes_the_most_probable():
    assert sample_action(torch.tensor([[0.0, 2.0, 1.0]]), None)[0].tolist() == [1]


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=7),
    st.floats(0, 1, exclude_max=True, width=32),
)
def test_sample_action_never_takes_what_cannot_be(numbers, uniform):
    logits = torch.tensor([[*numbers, -torch.inf]])
    action = sample_action(logits, torch.tensor([uniform]))[0]
    assert 0 <= action.item() < len(numbers)


def test_sample_action_has_the_right_frequencies():
    probabilities = torch.tensor([0.1, 0.6, 0.3])
    uniforms = (torch.arange(10_000) + 0.5) / 10_000
    actions = sample_action(probabilities.log().expand(10_000, 3), uniforms)[0]
    torch.testing.assert_close(
        actions.bincount(minlength=3) / 10_000, probabilities, atol=2e-4, rtol=0
    )


def test_sampled_shares_are_the_probabilities():
    logits = torch.tensor([[0.0, 1.0, -1.0]]).repeat(3000, 1).to(DEVICE)
    uniforms = ((torch.arange(3000) + 0.5) / 3000).float().to(DEVICE)
    with use_backend("triton"):
        action, _, _ = sample_action(logits, uniforms)
    shares = torch.bincount(action, minlength=3).cpu() / 3000
    torch.testing.assert_close(shares, logits[0].cpu().softmax(-1), rtol=0.0, atol=1e-3)


def test_rollout_kernels_name_what_they_got():
    x = torch.zeros(3, 2)
    flags = torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"values must be \[4, 2\]"):
        gae(x, x, flags, flags, x, 0.9, 0.9)
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1.5"):
        gae(x, torch.zeros(4, 2), flags, flags, x, 1.5, 0.9)
    with pytest.raises(ValueError, match=r"got \[3, 2\], \[2\]"):
        sample_action(x, torch.zeros(2))
