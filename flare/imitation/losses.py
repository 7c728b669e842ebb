"""Losses of pre-training as pure functions: tensors in, ``(loss, stats)`` out."""

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.policy.dense_labels import DenseLabels

Stats = dict[str, Tensor]


def imitation_loss(
    logits: Tensor, actions: Tensor, valid: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Stats]:
    """Cross entropy of the expert's actions, mean over the valid steps.

    ``-(1 - s)·log π(a*) - s·mean_a log π(a)`` with smoothing s.

    Args:
        logits: [T, N, A] float32, with gradient.
        actions: [T, N] int64, the expert's.
        valid: [T, N] bool, false where an episode is padded.
        label_smoothing: s in [0, 1).

    Returns:
        [] float32 in nats, and stats: ``accuracy``, the share of steps where the expert's action
        is the most probable one. Without any valid step both are 0.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if logits.shape[:-1] != actions.shape or valid.shape != actions.shape:
        raise ValueError(
            f"logits [T, N, A], actions and valid [T, N] do not agree: "
            f"{list(logits.shape)}, {list(actions.shape)}, {list(valid.shape)}"
        )
    each = F.cross_entropy(
        logits.flatten(0, -2),
        actions.flatten(),
        reduction="none",
        label_smoothing=label_smoothing,
    )
    weight = valid.flatten().to(each.dtype)
    count = weight.sum().clamp(min=1.0)
    with torch.no_grad():
        hits = (logits.argmax(-1) == actions).flatten().to(each.dtype)
        accuracy = (hits * weight).sum() / count
    return (each * weight).sum() / count, {"accuracy": accuracy}


def dense_label_loss(
    predicted: DenseLabels, presence: Tensor, inverse_depth: Tensor, depth_coef: float
) -> tuple[Tensor, Stats]:
    """Binary cross entropy of categories plus depth_coef times the squared inverse-depth error.

    Both are means over cells; the cross entropy also over categories.

    Args:
        predicted: of M images, with gradient.
        presence: [M, K, rows, columns] float32, 1 where the cell shows category k.
        inverse_depth: [M, rows, columns] float32, 1/m.
        depth_coef: weight of the depth, >= 0.

    Returns:
        [] float32, and stats: ``presence_loss``, ``depth_loss``, and ``precision`` and ``recall``
        of the categories at probability 0.5, 0 where undefined.

    Raises:
        ValueError: shapes that do not belong together.
    """
    logits = predicted.presence_logits
    if presence.shape != logits.shape or inverse_depth.shape != predicted.inverse_depth.shape:
        raise ValueError(
            f"presence must be {list(logits.shape)} and inverse_depth "
            f"{list(predicted.inverse_depth.shape)}, got {list(presence.shape)} and "
            f"{list(inverse_depth.shape)}"
        )
    presence_loss = F.binary_cross_entropy_with_logits(logits, presence)
    depth_loss = F.mse_loss(predicted.inverse_depth, inverse_depth)
    with torch.no_grad():
        said = (logits > 0).to(presence.dtype)
        both = (said * presence).sum()
        stats = {
            "presence_loss": presence_loss.detach(),
            "depth_loss": depth_loss.detach(),
            "precision": both / said.sum().clamp(min=1.0),
            "recall": both / presence.sum().clamp(min=1.0),
        }
    return presence_loss + depth_coef * depth_loss, stats
