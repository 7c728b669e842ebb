"""What changes over a run."""

import pytest

from flare.ppo.config import PPOConfig
from flare.ppo.schedule import anchor_coef, is_critic_warmup, learning_rate_share, linear


def test_linear_stays_between_its_ends():
    assert [linear(2.0, 1.0, p) for p in (-1.0, 0.0, 0.25, 1.0, 2.0)] == [2.0, 2.0, 1.75, 1.0, 1.0]


def test_shares_and_anchor_follow_progress():
    config = PPOConfig(learning_rate_end=0.2, anchor_coef=0.4, anchor_coef_end=0.1)
    assert learning_rate_share(config, 0.5) == pytest.approx(0.6)
    assert anchor_coef(config, 0.5) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("step", "explained", "warm"),
    [
        (0, 0.9, True),  # the first steps in any case
        (99, 0.9, True),
        (100, 0.9, False),
        (100, 0.2, True),  # on, until it explains enough
        (199, 0.2, True),
        (200, 0.2, False),  # but not for ever
    ],
)
def test_critic_warmup_ends_by_steps_and_by_what_the_critic_explains(step, explained, warm):
    config = PPOConfig(
        critic_warmup_steps=100,
        critic_warmup_max_steps=200,
        critic_warmup_explained_variance=0.3,
    )
    assert is_critic_warmup(config, step, explained) is warm


def test_critic_warmup_of_the_original_counts_steps_only():
    assert is_critic_warmup(PPOConfig(), 199_999, 0.9)
    assert not is_critic_warmup(PPOConfig(), 200_000, -5.0)
