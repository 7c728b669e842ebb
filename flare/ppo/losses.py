"""Losses of PPO as pure functions: tensors in, ``(loss, stats)`` out; stats carry no gradient.

Symbols: A advantage, R return, V value, r = exp(log π(a) - log π_old(a)) the probability ratio.
All means are over every element.
"""

import torch
import torch.nn.functional as F
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


def hl_gauss_targets(targets: Tensor, support: Tensor, sigma: float) -> Tensor:
    """Histograms of Gaussians around scalar targets, cut to the support and renormalised.

    ``p_i = (Φ((s_{i+1} - y)/σ) - Φ((s_i - y)/σ)) / (Φ((s_K - y)/σ) - Φ((s_0 - y)/σ))``

    Args:
        targets: [...] float32, y.
        support: [K + 1] float32, the bins' edges, rising.
        sigma: σ > 0, in units of value.

    Returns:
        [..., K] float32, rows sum to 1.

    Source: Farebrother et al. 2024, section 3.1.
    """
    cdf = torch.special.erf((support - targets[..., None]) / (sigma * 2**0.5))
    probs: Tensor = cdf.diff(dim=-1) / (cdf[..., -1:] - cdf[..., :1])
    return probs


def hl_gauss_values(probs: Tensor, support: Tensor) -> Tensor:
    """Expected value of histograms, ``Σ_i p_i·(s_i + s_{i+1})/2``: [..., K] to [...]."""
    return (probs * (support[:-1] + support[1:]) * 0.5).sum(-1)


def hl_gauss_value_loss(
    bin_logits: Tensor, returns: Tensor, support: Tensor, sigma: float
) -> tuple[Tensor, Stats]:
    """Half the cross entropy between predicted histograms and those of the returns.

    Args:
        bin_logits: [..., K] float32, with gradient.
        returns: [...] float32.
        support: [K + 1] float32, the bins' edges.
        sigma: width of the targets, in units of value.

    Returns:
        [] float32, and no stats.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if bin_logits.shape != (*returns.shape, len(support) - 1):
        raise ValueError(
            f"bin_logits must be [{list(returns.shape)}, {len(support) - 1}], "
            f"got {list(bin_logits.shape)}"
        )
    targets = hl_gauss_targets(returns, support, sigma)
    loss = F.cross_entropy(bin_logits.flatten(0, -2), targets.flatten(0, -2))
    return 0.5 * loss, {}


def normalise_advantages(advantages: Tensor, eps: float = 1e-5) -> Tensor:
    """``(A - mean A) / (std A + eps)`` over the whole rollout, std with n - 1: [...] to [...]."""
    std, mean = torch.std_mean(advantages)
    return (advantages - mean) / (std + eps)


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """``1 - Var(R - V) / Var(R)``: [] float32; 0 where the returns do not vary."""
    variance = returns.var()
    share = 1.0 - (returns - values).var() / variance
    return torch.where(variance > 0, share, torch.zeros_like(share))
