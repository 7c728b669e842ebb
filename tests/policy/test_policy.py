"""The policy's two ways to compute the same: step by step with a cache, and all steps at once."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.policy.observation import Observation
from flare.policy.policy import Policy
from tests.policy.policy_cases import (
    TINY,
    TINY_FACTS,
    random_observation,
    simulate_rollout,
    tiny_policy,
)


def _row(obs: Observation, t: int) -> Observation:
    return Observation(**{name: getattr(obs, name)[t] for name in Observation.__slots__})


@pytest.mark.parametrize("critic", ["tower", "facts"])
@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 17),
    envs=st.integers(1, 5),
    warm=st.integers(1, 9),
    carry=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_evaluate_actions_equals_act(critic, steps, envs, warm, carry, seed):
    policy = tiny_policy(critic)
    rollout = simulate_rollout(
        policy, steps=steps, envs=envs, carry=carry, seed=seed, warm_steps=warm
    )
    out = policy.evaluate_actions(
        rollout.obs, rollout.actions, rollout.episode_start, rollout.prefix
    )
    for name, want in (
        ("log_prob", rollout.log_probs), ("value", rollout.values), ("logits", rollout.logits),
    ):  # fmt: skip
        got = getattr(out, name)
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_the_hand_is_seen_only_where_the_config_says_so():
    for sees_hand in (False, True):
        torch.manual_seed(0)
        policy = Policy(replace(TINY, sees_hand=sees_hand))
        obs = random_observation(policy, 3, rng=torch.Generator().manual_seed(1))
        logits = []
        for bit in (0, 1):
            held = Observation(
                **{n: getattr(obs, n) for n in Observation.__slots__ if n != "in_hand"},
                in_hand=torch.full_like(obs.in_hand, bit),
            )
            logits.append(policy.act(held, policy.new_cache(3, 1), None).logits)
        assert torch.equal(*logits) != sees_hand


def test_evaluate_actions_sees_the_prefix_only_before_the_first_start():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=6, envs=3, carry=True, seed=4, start_probability=0.0)
    starts = rollout.episode_start.clone()
    starts[2, 1] = True
    first = policy.evaluate_logits(rollout.obs, starts, rollout.prefix)
    changed = replace(rollout.prefix, values=rollout.prefix.values + 1.0)
    moved = (policy.evaluate_logits(rollout.obs, starts, changed) - first).abs().amax(-1) > 1e-6
    wanted = torch.ones(6, 3, dtype=torch.bool)
    wanted[2:, 1] = False
    assert torch.equal(moved, wanted)


def test_steps_depend_on_earlier_steps_of_their_own_episode_only():
    policy = tiny_policy()
    obs = random_observation(policy, 6, 2, rng=torch.Generator().manual_seed(0))
    starts = torch.zeros(6, 2, dtype=torch.bool)
    starts[0], starts[3, 0] = True, True
    features = obs.features.clone()
    features[1] += 1.0
    first = policy.evaluate_logits(obs, starts)
    second = policy.evaluate_logits(obs.with_features(features), starts)
    moved = (first - second).abs().amax(-1) > 1e-6
    assert moved.int().tolist() == [[0, 0], [1, 1], [1, 1], [0, 1], [0, 1], [0, 1]]


def test_value_of_one_more_observation_leaves_the_cache_alone():
    policy = tiny_policy()
    rng = torch.Generator().manual_seed(1)
    cache = policy.new_cache(4, max_len=6)
    for _ in range(4):
        cache.reset(torch.rand(4, generator=rng) < 0.3)
        policy.act(random_observation(policy, 4, rng=rng), cache, None)
    before = {name: t.clone() for name, t in cache.state_dict().items()}
    obs, ids = random_observation(policy, 4, rng=rng), torch.tensor([3, 0, 1])
    got = policy.value(obs.select(ids), cache, ids)
    assert all(torch.equal(t, before[name]) for name, t in cache.state_dict().items())
    torch.testing.assert_close(got, policy.act(obs, cache, None).value[ids], rtol=1e-5, atol=1e-5)


def test_value_fits_behind_the_longest_episode():
    policy = tiny_policy()
    rng = torch.Generator().manual_seed(1)
    cache = policy.new_cache(2, max_len=3)
    for _ in range(3):
        policy.act(random_observation(policy, 2, rng=rng), cache, None)
    value = policy.value(random_observation(policy, 2, rng=rng), cache, torch.arange(2))
    assert value.shape == (2,)


def test_an_episode_longer_than_the_cache_sees_its_last_places():
    """With three places, step t is what a fresh memory makes of steps t - 2 to t."""
    policy = tiny_policy()
    obs = random_observation(policy, 8, 2, rng=torch.Generator().manual_seed(3))
    ring = policy.new_cache(2, max_len=3)
    for t in range(8):
        got = policy.act(_row(obs, t), ring, None)
    # Deeper layers remember through keys what is forgotten itself, so one layer is compared.
    fresh = policy.new_cache(2, max_len=3)
    for t in range(5, 8):
        policy.act(_row(obs, t), fresh, None)
    layer = ring.keys[0].sort(1).values, fresh.keys[0].sort(1).values
    torch.testing.assert_close(*layer)
    assert ring.lengths.tolist() == [8, 8] and torch.isfinite(got.logits).all()


def test_act_permutes_with_the_environments():
    policy = tiny_policy()
    rng = torch.Generator().manual_seed(2)
    order = torch.tensor([2, 0, 1])
    caches = policy.new_cache(3, max_len=4), policy.new_cache(3, max_len=4)
    for _ in range(4):
        obs, uniforms = random_observation(policy, 3, rng=rng), torch.rand(3, generator=rng)
        plain = policy.act(obs, caches[0], uniforms)
        permuted = policy.act(obs.select(order), caches[1], uniforms[order])
        torch.testing.assert_close(permuted.logits, plain.logits[order])
        assert torch.equal(permuted.action, plain.action[order])


@pytest.mark.parametrize("config", [TINY, TINY_FACTS], ids=["tower", "facts"])
def test_actor_and_critic_share_no_weight_and_cover_all(config):
    policy = Policy(config)
    actor = {id(p) for p in policy.actor_parameters()}
    critic = {id(p) for p in policy.critic_parameters()}
    assert not actor & critic
    assert actor | critic == {id(p) for p in policy.parameters()}
    assert policy.num_parameters() == sum(p.numel() for p in policy.parameters())


@pytest.mark.parametrize("critic", ["tower", "facts"])
def test_no_gradient_crosses_between_actor_and_critic(critic):
    policy = tiny_policy(critic)
    rollout = simulate_rollout(policy, steps=4, envs=2, carry=False, seed=0)
    frames = torch.randint(0, 256, (8, 1, 20, 28, 3), dtype=torch.uint8)
    obs = rollout.obs.with_features(policy.encode_frames(frames).view(4, 2, -1))
    policy.evaluate_values(obs, rollout.episode_start).sum().backward()
    assert all(p.grad is None for p in policy.actor_parameters())
    assert all(p.grad is not None for p in policy.critic_parameters())
    policy.zero_grad()
    policy.evaluate_logits(obs, rollout.episode_start).sum().backward()
    assert all(p.grad is not None for p in policy.actor_parameters())
    assert all(p.grad is None for p in policy.critic_parameters())


def test_frozen_encoder_gives_features_without_gradient():
    policy = tiny_policy()
    frames = torch.zeros(2, 1, 20, 28, 3, dtype=torch.uint8)
    assert policy.encode_frames(frames).requires_grad
    frozen = policy.num_parameters(trainable_only=True)
    policy.image_encoder.requires_grad_(False)
    assert not policy.encode_frames(frames).requires_grad
    assert policy.num_parameters(trainable_only=True) < frozen


def test_acting_leaves_parameters_trainable():
    """Inference mode in act() must not poison what the update computes with afterwards."""
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=3, envs=2, carry=True, seed=3)
    out = policy.evaluate_actions(
        rollout.obs, rollout.actions, rollout.episode_start, rollout.prefix
    )
    (out.log_prob.sum() + out.value.sum() + out.entropy.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.parameters() if p.grad is not None)
    assert policy.actor_head.weight.grad is not None


def test_state_dict_rebuilds_the_policy():
    policy, other = tiny_policy(seed=0), tiny_policy(seed=1)
    other.load_state_dict(policy.state_dict())
    obs = random_observation(policy, 3, 2, rng=torch.Generator().manual_seed(0))
    starts = torch.zeros(3, 2, dtype=torch.bool)
    assert torch.equal(policy.evaluate_logits(obs, starts), other.evaluate_logits(obs, starts))
