"""One gradient step of imitation on a padded batch of episodes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from flare.errors import UserError
from flare.imitation.losses import imitation_loss
from flare.policy.observation import Observation
from flare.policy.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class ImitationBatch:
    """N whole episodes side by side, each from its first step, padded to T steps."""

    obs: Observation  # [T, N, ...]; its features are ignored if there are frames
    actions: Tensor  # [T, N] int64, the expert's
    valid: Tensor  # [T, N] bool, false where padded
    # [T, N, C, H, W, 3] uint8 where the image encoder learns too; None: obs has the features.
    frames: Tensor | None = None


def imitation_update(
    policy: Policy,
    optimizer: Optimizer,
    batch: ImitationBatch,
    *,
    max_grad_norm: float = 1.0,
    label_smoothing: float = 0.0,
) -> dict[str, float]:
    """Move the actor one step towards the expert's actions.

    Args:
        policy: padded steps never influence it: they come after the real ones.
        optimizer: over the parameters to train.
        batch: episodes [T, N].
        max_grad_norm: L2 norm that the gradient is clipped to, > 0.
        label_smoothing: in [0, 1).

    Returns:
        ``imitation_loss``, ``accuracy`` and ``grad_norm`` before clipping.

    Raises:
        UserError: a loss or gradient that is not finite; the weights are those before the step.
    """
    obs = batch.obs
    if batch.frames is not None:
        features = policy.encode_frames(batch.frames.flatten(0, 1))
        obs = obs.with_features(features.view(*batch.actions.shape, -1))
    episode_start = torch.zeros_like(batch.valid)
    episode_start[0] = True
    logits = policy.evaluate_logits(obs, episode_start)
    loss, stats = imitation_loss(logits, batch.actions, batch.valid, label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    moving = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
    norm = nn.utils.clip_grad_norm_(moving, max_grad_norm)
    numbers = torch.stack([loss.detach(), stats["accuracy"], norm]).tolist()
    if not all(math.isfinite(number) for number in numbers):
        raise UserError(
            f"an imitation step has loss {numbers[0]} and gradient norm {numbers[2]}",
            mend="lower the learning rate",
            key="learning_rate",
        )
    optimizer.step()
    return dict(zip(("imitation_loss", "accuracy", "grad_norm"), numbers, strict=True))
