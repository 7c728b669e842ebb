"""Distributional value losses and what the update makes of a rollout's numbers, as pure functions.

The loss itself is flare.kernels.ppo_loss. Stats carry no gradient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.ranks import ALONE, Ranks

Stats = dict[str, Tensor]


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


def normalise_advantages(advantages: Tensor, ranks: Ranks = ALONE, eps: float = 1e-5) -> Tensor:
    """``(A - mean A) / (std A + eps)`` over the rollout of all ranks, std with n - 1: [...]."""
    count, mean, variance = _moments(advantages, ranks)
    std = (variance * (count / (count - 1))).sqrt()
    normal: Tensor = (advantages - mean.to(advantages.dtype)) / (std.to(advantages.dtype) + eps)
    return normal


def explained_variance(values: Tensor, returns: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """``1 - Var(R - V) / Var(R)`` over all ranks: [] float32; 0 where the returns do not vary."""
    _, _, variance = _moments(returns, ranks)
    _, _, left = _moments(returns - values, ranks)
    share = 1.0 - left / variance
    return torch.where(variance > 0, share, torch.zeros_like(share)).float()


def _moments(x: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and variance (by n) of the numbers of all ranks, [] float64 each.

    In two passes: the sum of squares alone loses the variance of numbers far from zero.
    """
    x = x.double()
    sums = torch.stack([x.new_tensor(float(x.numel())), x.sum()])
    ranks.add(sums)
    mean = sums[1] / sums[0]
    spread = (x - mean).square().sum()
    ranks.add(spread)
    return sums[0], mean, spread / sums[0]
