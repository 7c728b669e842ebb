"""Four passes of PPO over one batch, as the original's update does them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from flare.ppo.config import flare_preset
from flare.ppo.update import make_optimizer, ppo_update
from tests.policy.policy_cases import SimulatedRollout
from tests.policy.spoc.golden import assert_golden, rl_observation, starts_of

pytestmark = pytest.mark.usefixtures("two_threads")


def _batch(data, roll):
    actions = torch.from_numpy(data["actions"])
    return SimulatedRollout(
        obs=rl_observation(roll, "multi_same"),
        actions=actions,
        log_probs=torch.from_numpy(data["old_action_log_probs"]),
        values=torch.zeros_like(actions, dtype=torch.float32),  # the plain value loss reads none
        advantages=torch.from_numpy(data["advantages"])[..., 0],
        returns=torch.from_numpy(data["returns"])[..., 0],
        episode_start=starts_of(roll["traj_index"]),
        valid=torch.ones_like(actions, dtype=torch.bool),
        prefix=None,
        logits=torch.empty(0),
    )


@pytest.mark.parametrize("stage", ["log", "value"])
def test_four_passes(two_tower, load_npz, stage):
    data = load_npz("rl_update")
    batch = _batch(data, load_npz("rl_multi_same"))
    policy = copy.deepcopy(two_tower)
    warmup = 10**9 if stage == "value" else 0
    config = replace(flare_preset(), num_epochs=1, critic_warmup_steps=warmup)
    optimizer = make_optimizer(policy, config)
    losses, norms = [], []
    for _ in range(4):
        stats = ppo_update(policy, optimizer, batch, config, progress=0.0, step=0)
        share = 1.0 if stage == "value" else config.value_loss_coef
        losses.append(stats["policy_loss"] + share * stats["value_loss"])
        norms.append(stats["grad_norm"])
    assert_golden(np.array(losses[:1]), data[f"{stage}/loss_of_each_pass"][:1])
    # Adam's first steps follow the sign of each gradient: rounding shows from the second pass on.
    assert_golden(np.array(losses), data[f"{stage}/loss_of_each_pass"], factor=1e-3)
    assert_golden(np.array(norms), data[f"{stage}/grad_norm_before_clip"], factor=1e-3)
    with torch.no_grad():
        out = policy.evaluate_actions(batch.obs, batch.actions, batch.episode_start)
    for got, name in (
        (out.logits, "actor_logits_after"),
        (out.value[..., None], "values_after"),
        (policy.actor_head.weight, "actor.linear.weight"),
        (policy.critic_head.weight, "critic_tsfm.critic.fc.weight"),
    ):
        assert_golden(got, data[f"{stage}/{name}"], factor=1e-3)
