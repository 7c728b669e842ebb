"""PPO improves a policy: collect with act(), update, and again, on the smallest memory task."""

import torch

from flare.policy.observation import Observation
from flare.ppo.config import PPOConfig
from flare.ppo.update import Anchor, make_optimizer, ppo_update
from tests.policy.policy_cases import TINY, SimulatedRollout, tiny_policy

STEPS, ENVS = 4, 32


def _collect(policy, rng):
    """Episodes of STEPS steps; the word is shown at the first only, its action pays at each."""
    word = torch.randint(1, 1 + TINY.num_actions, (ENVS,), generator=rng)
    cache = policy.new_cache(ENVS, max_len=STEPS)
    outputs, rows = [], []
    previous = torch.full((ENVS,), TINY.num_actions)
    for t in range(STEPS):
        tokens = torch.zeros(ENVS, 1, dtype=torch.long)
        if t == 0:
            tokens[:, 0] = word
        obs = Observation(
            features=torch.zeros(ENVS, policy.num_features),
            tokens=tokens,
            prev_action=previous,
            in_hand=torch.zeros_like(previous),
            time_step=torch.full((ENVS,), t),
            facts=torch.zeros(ENVS, TINY.num_facts),
        )
        out = policy.act(obs, cache, torch.rand(ENVS, generator=rng))
        outputs.append(out)
        rows.append(obs)
        previous = out.action.clone()
    actions = torch.stack([out.action for out in outputs])
    rewards = (actions == word - 1).float()
    values = torch.stack([out.value for out in outputs])
    rollout = SimulatedRollout(
        obs=Observation(
            **{n: torch.stack([getattr(row, n) for row in rows]) for n in Observation.__slots__}
        ),
        actions=actions,
        log_probs=torch.stack([out.log_prob for out in outputs]),
        values=values,
        advantages=rewards - values,
        returns=rewards,
        episode_start=torch.arange(STEPS)[:, None].expand(STEPS, ENVS) == 0,
        valid=torch.ones(STEPS, ENVS, dtype=torch.bool),
        prefix=None,
        logits=torch.stack([out.logits for out in outputs]),
    )
    return rollout, rewards.mean().item()


def test_ppo_learns_to_remember_the_word():
    policy = tiny_policy("facts")
    with torch.no_grad():
        policy.actor_head.weight.mul_(0.01)  # back to nearly uniform
    config = PPOConfig(
        num_minibatches=2, clip_coef=0.2, normalize_advantages=True, actor_learning_rate=3e-3,
        critic_learning_rate=3e-3, critic_warmup_steps=2 * STEPS * ENVS,
        anchor_coef=0.01,
    )  # fmt: skip
    optimizer, anchor = make_optimizer(policy, config), Anchor(policy)
    rng = torch.Generator().manual_seed(0)
    history = []
    for iteration in range(60):
        rollout, reward = _collect(policy, rng)
        ppo_update(
            policy, optimizer, rollout, config,
            progress=iteration / 60, step=iteration * STEPS * ENVS, anchor=anchor,
        )  # fmt: skip
        history.append(reward)
    assert sum(history[:5]) / 5 < 0.35
    assert sum(history[-5:]) / 5 > 0.85
