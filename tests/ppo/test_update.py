"""The update against a loop written out by hand, its phases, and its refusals."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from flare.errors import UserError
from flare.policy.observation import Observation
from flare.ppo.config import PPOConfig, demo_preset, flare_preset
from flare.ppo.update import Anchor, make_optimizer, ppo_update
from tests.policy.policy_cases import simulate_rollout, tiny_policy

AFTER_WARMUP = 10**9


def _update(policy, rollout, config, **options):
    optimizer = options.pop("optimizer", None) or make_optimizer(policy, config)
    options = {"progress": 0.0, "step": AFTER_WARMUP, **options}
    return ppo_update(policy, optimizer, rollout, config, **options)


def _parameters(parameters):
    return [p.detach().clone() for p in parameters]


def _equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("carry", [False, True], ids=["reset", "carry"])
@pytest.mark.parametrize("critic", ["tower", "facts"])
def test_ratios_of_the_first_epoch_are_one(critic, carry):
    policy = tiny_policy(critic)
    rollout = simulate_rollout(policy, steps=24, envs=6, carry=carry, seed=5)
    stats = _update(policy, rollout, replace(flare_preset(), critic_warmup_steps=0))
    assert stats["first_epoch_ratio_max_error"] < 1e-5


@pytest.mark.parametrize("critic", ["tower", "facts"])
def test_the_original_recipe_matches_a_loop_written_out(critic):
    policy = tiny_policy(critic)
    rollout = simulate_rollout(policy, steps=16, envs=4, carry=False, seed=6)
    plain = copy.deepcopy(policy)
    stats = _update(policy, rollout, flare_preset())

    optimizer = torch.optim.Adam(plain.parameters(), lr=2e-5, eps=1e-8)
    value_losses = []
    for _ in range(4):
        out = plain.evaluate_actions(rollout.obs, rollout.actions, rollout.episode_start, None)
        ratio = (out.log_prob - rollout.log_probs).exp()
        gain = torch.min(
            ratio * rollout.advantages, ratio.clamp(0.9, 1.1) * rollout.advantages
        ).mean()
        value_loss = 0.5 * (rollout.returns - out.value).pow(2).mean()
        optimizer.zero_grad()
        (0.5 * value_loss - gain).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        value_losses.append(value_loss.item())

    for got, want in zip(policy.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-7)
    assert stats["value_loss"] == pytest.approx(sum(value_losses) / 4, rel=1e-4)
    assert stats["gradient_steps"] == 4


EVERYTHING = PPOConfig(
    normalize_advantages=True, value_loss="clipped", entropy_coef=0.1, anchor_coef=0.5,
    anchor_coef_end=0.5, num_epochs=3, num_minibatches=2, actor_learning_rate=1e-3,
    critic_learning_rate=1e-3, max_grad_norm=1e9,
)  # fmt: skip


@pytest.mark.parametrize("step", [0, AFTER_WARMUP], ids=["warmup", "after"])
@pytest.mark.parametrize("critic", ["tower", "facts"])
def test_last_steps_that_do_not_count_are_as_if_the_rollout_were_shorter(critic, step):
    config = replace(EVERYTHING, critic_warmup_steps=1)
    results = []
    for remove in (True, False):
        policy = tiny_policy(critic)
        anchor = Anchor(tiny_policy(critic, seed=1))
        rollout = simulate_rollout(policy, steps=8, envs=4, carry=True, seed=17)
        tensors = {
            name: getattr(rollout, name)
            for name in ("actions", "log_probs", "values", "advantages", "returns",
                         "episode_start", "valid")
        }  # fmt: skip
        if remove:
            obs = Observation(**{n: getattr(rollout.obs, n)[:5] for n in Observation.__slots__})
            rollout = replace(rollout, obs=obs, **{n: x[:5] for n, x in tensors.items()})
        else:
            rollout.valid[5:] = False
            for name in ("log_probs", "advantages", "returns"):
                tensors[name][5:] = float("nan")
        stats = _update(policy, rollout, config, step=step, anchor=anchor)
        results.append((stats, _parameters(policy.parameters())))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-4, abs=1e-6)
    for removed, masked in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(masked, removed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("carry", [False, True], ids=["reset", "carry"])
def test_the_gradient_is_that_of_the_steps_that_count(carry):
    """Steps lost anywhere, against the losses written out over a list of the others."""
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=9, envs=5, carry=carry, seed=18)
    rollout.valid[...] = torch.rand(9, 5, generator=torch.Generator().manual_seed(1)) < 0.7
    kept = [(t, n) for t in range(9) for n in range(5) if rollout.valid[t, n]]
    rollout.advantages[~rollout.valid] = float("nan")
    plain = copy.deepcopy(policy)
    config = PPOConfig(
        normalize_advantages=True, entropy_coef=0.1, num_epochs=1, actor_learning_rate=1e-12,
        critic_learning_rate=1e-12, max_grad_norm=1e9,
    )  # fmt: skip
    stats = _update(policy, rollout, config)

    out = plain.evaluate_actions(
        rollout.obs, rollout.actions, rollout.episode_start, rollout.prefix
    )
    advantages = torch.stack([rollout.advantages[i] for i in kept])
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-5)
    ratio = torch.stack([(out.log_prob[i] - rollout.log_probs[i]).exp() for i in kept])
    errors = torch.stack([(rollout.returns[i] - out.value[i]).pow(2) for i in kept])
    entropy = sum(out.entropy[i] for i in kept) / len(kept)
    gain = (ratio * advantages).mean()  # ratios are 1 here: nothing is clipped
    loss = 0.5 * config.value_loss_coef * errors.mean() - gain - 0.1 * entropy
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in plain.parameters() if p.grad is not None]).norm()
    assert stats["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    assert stats["value_loss"] == pytest.approx(0.5 * errors.mean().item(), rel=1e-4)
    assert stats["entropy"] == pytest.approx(entropy.item(), rel=1e-4)
    assert stats["policy_loss"] == pytest.approx(-gain.item(), abs=1e-5)


def test_environments_without_a_step_that_counts_are_left_out():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=4, envs=4, carry=False, seed=19)
    rollout.valid[:, 2:] = False
    stats = _update(policy, rollout, PPOConfig(num_minibatches=2, num_epochs=3))
    assert stats["gradient_steps"] == 3
    rollout.valid[...] = False
    with pytest.raises(UserError, match="no step of this rollout counts"):
        _update(policy, rollout, PPOConfig())


@pytest.mark.parametrize("per_pass", [1, 2, 3])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_a_minibatch_in_parts_is_the_same_minibatch(per_pass, has_gaps):
    """Five environments, parts of different sizes; with gaps one of them does not count at all."""
    policy = tiny_policy("tower")
    rollout = simulate_rollout(policy, steps=12, envs=5, carry=True, seed=8)
    if has_gaps:
        valid = torch.rand(12, 5, generator=torch.Generator().manual_seed(1)) < 0.7
        valid[:, 1] = False
        rollout = replace(rollout, valid=valid)
    config = replace(flare_preset(), critic_warmup_steps=0, entropy_coef=0.1)
    twin = copy.deepcopy(policy)
    whole = _update(policy, rollout, config)
    parts = _update(twin, rollout, replace(config, envs_per_pass=per_pass))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    for ours, theirs in zip(twin.parameters(), policy.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


def test_minibatches_cover_every_environment_once_an_epoch():
    """With steps too small to matter, the mean over blocks is the loss of the whole rollout."""
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=8, envs=6, carry=True, seed=7)
    config = PPOConfig(actor_learning_rate=1e-12, critic_learning_rate=1e-12, num_epochs=1)
    whole = _update(policy, rollout, config)
    blocks = _update(policy, rollout, replace(config, num_minibatches=3))
    assert blocks["gradient_steps"] == 3
    for name in ("policy_loss", "value_loss", "entropy"):
        assert blocks[name] == pytest.approx(whole[name], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("critic", ["tower", "facts"])
def test_warmup_moves_the_critic_only(critic):
    policy = tiny_policy(critic)
    rollout = simulate_rollout(policy, steps=8, envs=4, carry=False, seed=8)
    config = flare_preset()
    optimizer = make_optimizer(policy, config)
    actor, critic_before = (
        _parameters(policy.actor_parameters()), _parameters(policy.critic_parameters()),
    )  # fmt: skip
    stats = _update(policy, rollout, config, optimizer=optimizer, step=0)
    assert stats["critic_warmup"] == 1.0
    assert _equal(actor, _parameters(policy.actor_parameters()))
    assert not _equal(critic_before, _parameters(policy.critic_parameters()))
    assert all(p not in optimizer.state for p in policy.actor_parameters())
    assert all(int(optimizer.state[p]["step"]) == 4 for p in policy.critic_parameters())


def test_update_leaves_the_image_encoder_alone():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=8, envs=4, carry=False, seed=9)
    before = _parameters(policy.image_encoder.parameters())
    _update(policy, rollout, flare_preset())
    assert _equal(before, _parameters(policy.image_encoder.parameters()))


def test_target_kl_ends_the_update_before_the_step_that_is_too_far():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=8, envs=4, carry=False, seed=10)
    config = PPOConfig(actor_learning_rate=0.05, target_kl=1e-3, num_epochs=50)
    stats = _update(policy, rollout, config)
    assert 1 < stats["gradient_steps"] < 50


def test_anchor_pulls_the_policy_back():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=8, envs=4, carry=False, seed=11)
    anchor = Anchor(policy)
    distances = {}
    for coef in (0.0, 10.0):
        moving = copy.deepcopy(policy)
        config = PPOConfig(actor_learning_rate=3e-3, anchor_coef=coef, anchor_coef_end=coef,
                           num_epochs=10)  # fmt: skip
        _update(moving, rollout, config, anchor=anchor)
        logits = moving.evaluate_logits(rollout.obs, rollout.episode_start).log_softmax(-1)
        reference = anchor.logits(rollout.obs, rollout.episode_start).log_softmax(-1)
        distances[coef] = (logits.exp() * (logits - reference)).sum(-1).mean().item()
    assert distances[10.0] < 0.5 * distances[0.0]


@pytest.mark.parametrize("carry", [False, True], ids=["reset", "carry"])
def test_anchor_agrees_with_the_policy_it_copied(carry):
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=8, envs=4, carry=carry, seed=16)
    config = PPOConfig(anchor_coef=1.0, num_epochs=1)
    assert abs(_update(policy, rollout, config, anchor=Anchor(policy))["kl_to_anchor"]) < 1e-6


def test_anchor_is_a_frozen_copy():
    policy = tiny_policy()
    anchor = Anchor(policy)
    assert all(not p.requires_grad for p in anchor.policy.parameters())
    assert all(p.requires_grad for p in policy.parameters())


def test_update_is_reproducible_to_the_bit():
    results = []
    for _ in range(2):
        policy = tiny_policy()
        rollout = simulate_rollout(policy, steps=8, envs=4, carry=True, seed=12)
        stats = _update(policy, rollout, demo_preset(), anchor=Anchor(policy))
        results.append((stats, _parameters(policy.parameters())))
    assert results[0][0] == results[1][0]
    assert _equal(results[0][1], results[1][1])


def test_learning_rates_follow_progress():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=4, envs=4, carry=False, seed=13)
    config = PPOConfig(actor_learning_rate=1e-4, critic_learning_rate=1e-3, learning_rate_end=0.5)
    optimizer = make_optimizer(policy, config)
    _update(policy, rollout, config, optimizer=optimizer, progress=0.5)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.75e-4, 0.75e-3])


def test_a_loss_that_is_not_finite_moves_nothing_and_is_told():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=4, envs=4, carry=False, seed=14)
    rollout.returns[1, 1] = float("inf")
    before = _parameters(policy.parameters())
    stats = _update(policy, rollout, flare_preset())
    assert (stats["skipped"], stats["gradient_steps"]) == (1.0, 0.0)
    assert math.isnan(stats["grad_norm"]) and math.isnan(stats["first_epoch_ratio_max_error"])
    assert _equal(before, _parameters(policy.parameters()))


def test_steps_before_the_one_that_is_not_finite_count():
    """Of two minibatches the second cannot be learnt from."""
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=4, envs=4, carry=False, seed=14)
    config = replace(flare_preset(), critic_warmup_steps=0, num_minibatches=2, num_epochs=1)
    alone, half = copy.deepcopy(policy), replace(rollout, valid=rollout.valid.clone())
    half.valid[:, 2:] = False
    rollout.returns[1, 3] = float("nan")
    stats = _update(policy, rollout, config)
    wanted = _update(alone, half, config)
    assert (stats["skipped"], stats["gradient_steps"], wanted["skipped"]) == (1.0, 1.0, 0.0)
    assert stats["policy_loss"] == pytest.approx(wanted["policy_loss"], abs=1e-6)
    for ours, theirs in zip(policy.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


def test_update_refuses_more_minibatches_than_environments():
    policy = tiny_policy()
    rollout = simulate_rollout(policy, steps=4, envs=2, carry=False, seed=15)
    with pytest.raises(ValueError, match="3 minibatches need as many environments, got 2"):
        _update(policy, rollout, PPOConfig(num_minibatches=3))
    with pytest.raises(ValueError, match="no anchor"):
        _update(policy, rollout, PPOConfig(anchor_coef=0.1))
