"""The parts of PPO's loss as pure functions: tensors in, ``(loss, stats)`` out.

Symbols: A advantage, R return, V value, r = exp(log π(a) - log π_old(a)) the probability ratio.
All means are over every element; stats carry no gradient. ``ppo_loss`` fuses them.
"""

import torch
from torch import Tensor

Stats = dict[str, Tensor]


def _same_shape(**tensors: Tensor) -> None:
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"shapes must agree, got {shapes}")


def clipped_surrogate_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip_coef: float
) -> tuple[Tensor, Stats]:
    """PPO's policy loss, ``-mean(min(r·A, clip(r, 1 - c, 1 + c)·A))``.

    Args:
        log_probs: [...] float32, of the actions taken, with gradient.
        old_log_probs: [...] float32, when they were taken.
        advantages: [...] float32.
        clip_coef: c > 0.

    Returns:
        [] float32, and stats: ``approx_kl`` = mean(r - 1 - log r), ``clip_fraction`` of ratios
        beyond c, ``ratio_error`` = max |r - 1|.

    Raises:
        ValueError: shapes differ.

    Source: Schulman et al. 2017, eq. 7; the estimate of the KL: Schulman 2020, k3.
    """
    _same_shape(log_probs=log_probs, old_log_probs=old_log_probs, advantages=advantages)
    log_ratio = log_probs - old_log_probs
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1.0 - clip_coef, 1.0 + clip_coef)
    loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    with torch.no_grad():
        distance = (ratio - 1.0).abs()
        stats = {
            "approx_kl": (ratio - 1.0 - log_ratio).mean(),
            "clip_fraction": (distance > clip_coef).float().mean(),
            "ratio_error": distance.max(),
        }
    return loss, stats


def value_loss(values: Tensor, returns: Tensor) -> tuple[Tensor, Stats]:
    """Plain value loss, ``0.5·mean((R - V)²)``.

    Args:
        values: [...] float32, with gradient.
        returns: [...] float32.

    Returns:
        [] float32, and no stats.

    Raises:
        ValueError: shapes differ.
    """
    _same_shape(values=values, returns=returns)
    return 0.5 * (returns - values).square().mean(), {}


def clipped_value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float
) -> tuple[Tensor, Stats]:
    """Value loss with clipping, ``0.5·mean(max((V - R)², (V_old + clip(V - V_old, ±c) - R)²))``.

    Args:
        values: [...] float32, with gradient.
        old_values: [...] float32, when the actions were taken.
        returns: [...] float32.
        clip_coef: c > 0, in units of value.

    Returns:
        [] float32, and stats: ``value_clip_fraction`` of values that moved further than c.

    Raises:
        ValueError: shapes differ.

    Source: the PPO of OpenAI baselines (ppo2).
    """
    _same_shape(values=values, old_values=old_values, returns=returns)
    move = values - old_values
    clipped = old_values + move.clamp(-clip_coef, clip_coef)
    loss = 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square()).mean()
    return loss, {"value_clip_fraction": (move.detach().abs() > clip_coef).float().mean()}


def entropy_loss(logits: Tensor) -> tuple[Tensor, Stats]:
    """Mean negative entropy, ``mean(Σ_a π(a)·log π(a))``: what to minimise for exploration.

    Args:
        logits: [..., A] float32, with gradient.

    Returns:
        [] float32 in nats, and stats: ``entropy`` = minus the loss.
    """
    log_probs = logits.log_softmax(-1)
    loss = (log_probs.exp() * log_probs).sum(-1).mean()
    return loss, {"entropy": -loss.detach()}


def kl_to_reference(logits: Tensor, reference_logits: Tensor) -> tuple[Tensor, Stats]:
    """Anchor to a reference policy, ``mean(Σ_a π(a)·(log π(a) - log π_ref(a)))``.

    Args:
        logits: [..., A] float32, with gradient.
        reference_logits: [..., A] float32, constants.

    Returns:
        [] float32 in nats, and stats: ``kl_to_anchor`` = the loss.

    Raises:
        ValueError: shapes differ.
    """
    _same_shape(logits=logits, reference_logits=reference_logits)
    log_probs = logits.log_softmax(-1)
    gap = log_probs - reference_logits.detach().log_softmax(-1)
    loss = (log_probs.exp() * gap).sum(-1).mean()
    return loss, {"kl_to_anchor": loss.detach()}
