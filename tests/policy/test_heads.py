"""Heads and sampling."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flare.policy.heads import ActorHead, CriticHead, FactsCritic, sample_actions
from tests.policy.policy_cases import TINY, TINY_FACTS


def test_sample_actions_inverts_the_cumulated_probabilities():
    """Of (0.2, 0.5, 0.3): below 0.2 the first, below 0.7 the second, else the third."""
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(6, 3)
    uniforms = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 1.0 - 2.0**-24])
    assert sample_actions(logits, uniforms).tolist() == [0, 0, 1, 1, 2, 2]


def test_sample_actions_without_uniforms_takes_the_most_probable():
    assert sample_actions(torch.tensor([[0.0, 2.0, 1.0]]), None).tolist() == [1]


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=7),
    st.floats(0, 1, exclude_max=True, width=32),
)
def test_sample_actions_never_takes_what_cannot_be(numbers, uniform):
    logits = torch.tensor([[*numbers, -torch.inf]])
    action = sample_actions(logits, torch.tensor([uniform]))
    assert 0 <= action.item() < len(numbers)


def test_sample_actions_has_the_right_frequencies():
    probabilities = torch.tensor([0.1, 0.6, 0.3])
    uniforms = (torch.arange(10_000) + 0.5) / 10_000
    actions = sample_actions(probabilities.log().expand(10_000, 3), uniforms)
    torch.testing.assert_close(
        actions.bincount(minlength=3) / 10_000, probabilities, atol=2e-4, rtol=0
    )


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
