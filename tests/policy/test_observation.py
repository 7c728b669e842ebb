"""Slices of observations."""

import torch

from tests.policy.policy_cases import random_observation, tiny_policy


def test_envs_are_views_and_select_copies():
    policy = tiny_policy()
    obs = random_observation(policy, 4, 6, rng=torch.Generator().manual_seed(0))
    block = obs.envs(2, 5)
    assert block.features.shape == (4, 3, policy.num_features)
    assert block.tokens.data_ptr() == obs.tokens[:, 2].data_ptr()
    assert torch.equal(obs.batch_first().facts[5, 3], obs.facts[3, 5])
    rows = random_observation(policy, 6, rng=torch.Generator().manual_seed(0))
    assert torch.equal(rows.select(torch.tensor([4, 0])).tokens, rows.tokens[[4, 0]])
