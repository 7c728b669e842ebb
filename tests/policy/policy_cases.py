"""Small policies and simulated rollouts that the tests of policy, PPO and imitation share."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flare.policy.config import ImageEncoderConfig, PolicyConfig
from flare.policy.kv_cache import KVPrefix
from flare.policy.observation import Observation
from flare.policy.policy import Policy

torch.set_num_threads(1)  # on networks this small threads would only wait for each other

TINY = PolicyConfig(
    image=ImageEncoderConfig(height=20, width=28, channels=(4, 6), grid_channels=3),
    num_actions=5,
    vocab_size=11,
    width=16,
    goal_heads=2,
    fusion_hidden=24,
    num_layers=2,
    num_heads=2,
    hidden=20,
    num_facts=6,
)
TINY_FACTS = replace(TINY, critic="facts")


def tiny_policy(critic: str = "tower", seed: int = 0) -> Policy:
    """A policy whose logits differ clearly from step to step, as after training."""
    torch.manual_seed(seed)
    policy = Policy(replace(TINY, critic=critic))
    with torch.no_grad():
        policy.actor_head.weight.mul_(100.0)
    return policy


def random_observation(policy: Policy, *shape: int, rng: torch.Generator) -> Observation:
    """Observations of independent steps; times and previous actions are arbitrary."""
    config = policy.config
    return Observation(
        features=torch.randn(*shape, policy.num_features, generator=rng),
        tokens=torch.randint(0, config.vocab_size, (*shape, 4), generator=rng),
        prev_action=torch.randint(0, config.num_actions + 1, shape, generator=rng),
        time_step=torch.randint(0, 300, shape, generator=rng),
        in_hand=torch.randint(0, 2, shape, generator=rng),
        facts=torch.randn(*shape, config.num_facts, generator=rng),
    )


@dataclass(frozen=True, kw_only=True)
class SimulatedRollout:
    """What a collector would hand to the update."""

    obs: Observation
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    episode_start: Tensor
    valid: Tensor
    prefix: KVPrefix | None
    logits: Tensor


def simulate_rollout(
    policy: Policy,
    *,
    steps: int,
    envs: int,
    carry: bool,
    seed: int,
    warm_steps: int = 5,
    start_probability: float = 0.15,
) -> SimulatedRollout:
    """Act for ``warm_steps`` and then a rollout, with random observations and episode starts."""
    rng = torch.Generator().manual_seed(seed)
    cache = policy.new_cache(envs, max_len=warm_steps + steps)
    for t in range(warm_steps):
        starts = torch.rand(envs, generator=rng) < (1.0 if t == 0 else start_probability)
        cache.reset(starts)
        policy.act(random_observation(policy, envs, rng=rng), cache, None)
    if not carry:
        cache.reset(torch.ones(envs, dtype=torch.bool))
    prefix = cache.prefix() if carry else None
    obs = random_observation(policy, steps, envs, rng=rng)
    episode_start = torch.rand(steps, envs, generator=rng) < start_probability
    outputs = []
    for t in range(steps):
        cache.reset(episode_start[t])
        row = Observation(**{n: getattr(obs, n)[t] for n in Observation.__slots__})
        outputs.append(policy.act(row, cache, torch.rand(envs, generator=rng)))
    values = torch.stack([out.value for out in outputs])
    advantages = torch.randn(steps, envs, generator=rng)
    return SimulatedRollout(
        obs=obs,
        actions=torch.stack([out.action for out in outputs]),
        log_probs=torch.stack([out.log_prob for out in outputs]),
        values=values,
        advantages=advantages,
        returns=values + advantages,
        episode_start=episode_start,
        valid=torch.ones(steps, envs, dtype=torch.bool),
        prefix=prefix,
        logits=torch.stack([out.logits for out in outputs]),
    )
