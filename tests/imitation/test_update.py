"""One gradient step of imitation."""

import pytest
import torch

from flare.errors import UserError
from flare.imitation.update import ImitationBatch, imitation_update
from tests.policy.policy_cases import random_observation, tiny_policy


def _batch(policy, *, frames=False, seed=0):
    rng = torch.Generator().manual_seed(seed)
    steps, envs = 6, 3
    lengths = torch.tensor([6, 4, 1])
    return ImitationBatch(
        obs=random_observation(policy, steps, envs, rng=rng),
        actions=torch.randint(0, policy.num_actions, (steps, envs), generator=rng),
        valid=torch.arange(steps)[:, None] < lengths,
        frames=torch.randint(0, 256, (steps, envs, 1, 20, 28, 3), dtype=torch.uint8, generator=rng)
        if frames
        else None,
    )


def test_imitation_learns_a_batch_by_heart():
    policy = tiny_policy()
    optimizer = torch.optim.Adam(policy.actor_parameters(), lr=1e-2)
    batch = _batch(policy)
    history = [imitation_update(policy, optimizer, batch) for _ in range(60)]
    assert history[-1]["imitation_loss"] < 0.1 * history[0]["imitation_loss"]
    assert history[-1]["accuracy"] == 1.0


def test_padding_changes_nothing():
    results = []
    for shift in (0.0, 50.0):
        policy = tiny_policy()
        batch = _batch(policy)
        batch.obs.features[~batch.valid] += shift
        batch.actions[~batch.valid] = 0
        optimizer = torch.optim.SGD(policy.actor_parameters(), lr=0.1)
        imitation_update(policy, optimizer, batch)
        results.append([p.detach().clone() for p in policy.parameters()])
    for left, right in zip(*results, strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("frames", [False, True])
def test_the_encoder_learns_only_from_frames(frames):
    policy = tiny_policy()
    before = [p.detach().clone() for p in policy.image_encoder.parameters()]
    critic = [p.detach().clone() for p in policy.critic_parameters()]
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    imitation_update(policy, optimizer, _batch(policy, frames=frames))
    pairs = zip(before, policy.image_encoder.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs) is frames
    assert all(torch.equal(a, b) for a, b in zip(critic, policy.critic_parameters(), strict=True))


def test_a_loss_that_is_not_finite_is_refused_before_the_step():
    policy = tiny_policy()
    batch = _batch(policy)
    batch.obs.features[0, 0] = float("nan")
    optimizer = torch.optim.SGD(policy.actor_parameters(), lr=0.1)
    with pytest.raises(UserError, match="loss nan"):
        imitation_update(policy, optimizer, batch)
    assert all(torch.isfinite(p).all() for p in policy.parameters())
