"""What changes over a run, as functions of progress in [0, 1] and of environment steps."""

from flare.ppo.config import PPOConfig


def linear(start: float, end: float, progress: float) -> float:
    """From start at progress 0 to end at progress 1, constant outside."""
    return start + (end - start) * min(max(progress, 0.0), 1.0)


def learning_rate_share(config: PPOConfig, progress: float) -> float:
    """What to multiply both learning rates by."""
    return linear(1.0, config.learning_rate_end, progress)


def anchor_coef(config: PPOConfig, progress: float) -> float:
    """Weight of the KL to the reference policy."""
    return linear(config.anchor_coef, config.anchor_coef_end, progress)


def is_critic_warmup(config: PPOConfig, step: int, explained_variance: float) -> bool:
    """Whether only the critic learns from the rollout that began at environment step ``step``.

    Args:
        config: its ``critic_warmup_*`` fields say the rule.
        step: environment steps of all worlds before this rollout.
        explained_variance: of this rollout's returns by the values that collected it.
    """
    if step < config.critic_warmup_steps:
        return True
    below = explained_variance < config.critic_warmup_explained_variance
    return step < config.critic_warmup_max_steps and below
