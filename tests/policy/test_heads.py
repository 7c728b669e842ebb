"""Heads."""

import pytest
import torch

from flare.policy.heads import ActorHead, CriticHead, FactsCritic
from tests.policy.policy_cases import TINY, TINY_FACTS


def test_heads_start_small_and_orthogonal():
    actor, critic = ActorHead(TINY), CriticHead(TINY)
    gram = actor.weight @ actor.weight.t()
    torch.testing.assert_close(gram, 1e-4 * torch.eye(TINY.num_actions), atol=1e-8, rtol=1e-4)
    assert critic.weight.norm().item() == pytest.approx(1.0, abs=1e-5)
    assert not actor.bias.any() and not critic.bias.any()


def test_facts_critic_wants_its_facts():
    critic = FactsCritic(TINY_FACTS)
    assert critic(torch.zeros(3, 2, 6)).shape == (3, 2)
    with pytest.raises(ValueError, match=r"\[..., 6\] or more, got \[3, 5\]"):
        critic(torch.zeros(3, 5))


def test_facts_critic_reads_the_facts_that_there_were_when_it_was_made():
    critic, facts = FactsCritic(TINY_FACTS), torch.randn(4, 9)
    assert torch.equal(critic(facts), critic(facts[:, :6]))
