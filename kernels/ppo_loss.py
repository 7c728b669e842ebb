"""The loss of PPO and its statistics, with the gradients formed in the same launch.

With r = exp(log π(a) - log π_old(a)), A advantage, R return, V value, c the clipping, over the
steps that count:

    policy = -mean(min(r·A, clip(r, 1 - c, 1 + c)·A))
    value  = 0.5·mean((V - R)²), or with clipping
             0.5·mean(max((V - R)², (V_old + clip(V - V_old, ±c) - R)²))
    loss   = policy + value_coef·value - entropy_coef·mean(H(π)) + anchor_coef·mean(KL(π || π_ref))

Statistics, float32 on the device (``STATS`` names them): policy, value and entropy as above,
``approx_kl`` = mean(r - 1 - log r), ``clip_fraction`` of ratios beyond c, ``ratio_error`` =
max |r - 1|, ``kl_to_anchor``, and the number of steps that count.

Shapes: logits, reference [M, A]; values, old_values, old_log_probs, advantages, returns [M];
actions [M] int64; valid [M] bool; all else float32. Sources: Schulman et al. 2017, eq. 7; the
estimate of the KL: Schulman 2020, k3; clipped values: the PPO of OpenAI baselines (ppo2).
"""

# mypy: disable-error-code="no-untyped-def"

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, next_power_of_2, tl, uses_triton
from flare.kernels.ppo_terms import (
    clipped_surrogate_loss,
    clipped_value_loss,
    entropy_loss,
    kl_to_reference,
    value_loss,
)

STATS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "ratio_error",
         "kl_to_anchor", "count")  # fmt: skip
_NUM_STATS = len(STATS)

CONFIG = Config(num_warps=4, num_stages=1, blocks={"ROWS": 32})
_SUM_CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK_P": 128})


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficients:
    """Weights of the loss's parts."""

    clip: float
    value: float
    entropy: float
    anchor: float


def ppo_loss_reference(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    returns: Tensor,
    *,
    clip_coef: float,
    value_loss_coef: float,
    entropy_coef: float = 0.0,
    old_values: Tensor | None = None,
    reference: Tensor | None = None,
    anchor_coef: float = 0.0,
    valid: Tensor | None = None,
    upcast: bool = True,
) -> tuple[Tensor, Tensor]:
    """The formula in plain PyTorch; arguments as in ``ppo_loss``.

    upcast: compute in float64, then round.
    """
    if upcast:
        logits, values, old_log_probs, advantages, returns = (
            x.double() for x in (logits, values, old_log_probs, advantages, returns)
        )
        old_values = None if old_values is None else old_values.double()
        reference = None if reference is None else reference.double()
    if valid is not None:  # what does not count may be anything, NaN too
        logits, values, actions, old_log_probs, advantages, returns = (
            x[valid] for x in (logits, values, actions, old_log_probs, advantages, returns)
        )
        old_values = None if old_values is None else old_values[valid]
        reference = None if reference is None else reference[valid]
    log_probs = logits.log_softmax(-1).gather(-1, actions[:, None])[:, 0]
    loss, stats = clipped_surrogate_loss(log_probs, old_log_probs, advantages, clip_coef)
    stats["policy_loss"] = loss.detach()
    if old_values is None:
        part, _ = value_loss(values, returns)
    else:
        part, _ = clipped_value_loss(values, old_values, returns, clip_coef)
    loss, stats["value_loss"] = loss + value_loss_coef * part, part.detach()
    part, own = entropy_loss(logits)
    loss, stats["entropy"] = loss + entropy_coef * part, own["entropy"]
    stats["kl_to_anchor"] = torch.zeros_like(loss)
    if reference is not None:
        part, own = kl_to_reference(logits, reference)
        loss, stats["kl_to_anchor"] = loss + anchor_coef * part, own["kl_to_anchor"]
    stats["count"] = torch.full_like(loss, len(values))
    found = torch.stack([stats[name].detach() for name in STATS])
    return loss.float(), found.float()


@jit
def ppo_loss_kernel(
    logits, values, actions, old_log_probs, advantages, returns, old_values, reference, valid,
    counted, grad_logits, grad_values, partial, count,
    clip, value_coef, entropy_coef, anchor_coef,
    A: tl.constexpr, BLOCK_A: tl.constexpr, ROWS: tl.constexpr, NUM_STATS: tl.constexpr,
    HAS_OLD_VALUES: tl.constexpr, HAS_REFERENCE: tl.constexpr, HAS_VALID: tl.constexpr,
):  # fmt: skip
    """One program per ROWS steps; partial [programs, NUM_STATS]."""
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    a = tl.arange(0, BLOCK_A)
    is_action = (a < A)[None, :]
    alive = n < count
    share = 1.0 / count
    if HAS_VALID:
        alive &= tl.load(valid + n, mask=n < count, other=0).to(tl.int32) != 0
        share = 1.0 / tl.load(counted).to(tl.float32)
    mask = alive[:, None] & is_action
    offs = n[:, None].to(tl.int64) * A + a[None, :]
    x = tl.load(logits + offs, mask=mask, other=0.0).to(tl.float32)  # [ROWS, A]
    x = tl.where(is_action, x, -float("inf"))
    shifted = x - tl.max(x, 1)[:, None]
    log_sum = tl.log(tl.sum(tl.exp(shifted), 1))
    log_probs = tl.where(is_action, shifted - log_sum[:, None], 0.0)
    probs = tl.where(is_action, tl.exp(log_probs), 0.0)
    own = a[None, :] == tl.load(actions + n, mask=alive, other=0)[:, None]
    advantage = tl.load(advantages + n, mask=alive, other=0.0)
    old = tl.load(old_log_probs + n, mask=alive, other=0.0)
    log_ratio = tl.where(alive, tl.sum(tl.where(own, log_probs, 0.0), 1) - old, 0.0)
    ratio = tl.exp(log_ratio)
    limited = tl.minimum(tl.maximum(ratio, 1.0 - clip), 1.0 + clip)
    gain = tl.minimum(ratio * advantage, limited * advantage)
    # The clipped branch is flat, but where both are equal.
    push = tl.where(ratio * advantage <= limited * advantage, -ratio * advantage, 0.0) * share
    entropy = -tl.sum(probs * log_probs, 1)
    slope = push[:, None] * (own.to(tl.float32) - probs)
    slope += entropy_coef * share * probs * (log_probs + entropy[:, None])
    divergence = tl.zeros([ROWS], tl.float32)
    if HAS_REFERENCE:
        y = tl.load(reference + offs, mask=mask, other=0.0).to(tl.float32)
        y = tl.where(is_action, y, -float("inf"))
        y -= tl.max(y, 1)[:, None]
        gap = log_probs - tl.where(is_action, y - tl.log(tl.sum(tl.exp(y), 1))[:, None], 0.0)
        divergence = tl.sum(probs * gap, 1)
        slope += anchor_coef * share * probs * (gap - divergence[:, None])
    slope = tl.where(alive[:, None], slope, 0.0)
    tl.store(
        grad_logits + offs, slope.to(grad_logits.dtype.element_ty),
        mask=(n < count)[:, None] & is_action,
    )  # fmt: skip
    value = tl.load(values + n, mask=alive, other=0.0).to(tl.float32)
    target = tl.load(returns + n, mask=alive, other=0.0)
    error = value - target
    squared = error * error
    if HAS_OLD_VALUES:
        before = tl.load(old_values + n, mask=alive, other=0.0)
        move = value - before
        near = before + tl.minimum(tl.maximum(move, -clip), clip) - target
        is_free = (tl.abs(move) <= clip) | (squared > near * near)
        squared = tl.maximum(squared, near * near)
        error = tl.where(is_free, error, 0.0)
    slope_v = tl.where(alive, value_coef * share * error, 0.0)
    tl.store(grad_values + n, slope_v.to(grad_values.dtype.element_ty), mask=n < count)
    distance = tl.abs(ratio - 1.0)
    into = partial + tl.program_id(0) * NUM_STATS
    zero = tl.zeros([ROWS], tl.float32)
    tl.store(into, -tl.sum(tl.where(alive, gain, zero), 0) * share)
    tl.store(into + 1, 0.5 * tl.sum(tl.where(alive, squared, zero), 0) * share)
    tl.store(into + 2, tl.sum(tl.where(alive, entropy, zero), 0) * share)
    tl.store(into + 3, tl.sum(tl.where(alive, ratio - 1.0 - log_ratio, zero), 0) * share)
    tl.store(into + 4, tl.sum(tl.where(alive & (distance > clip), 1.0, zero), 0) * share)
    tl.store(into + 5, tl.max(tl.where(alive, distance, zero), 0))
    tl.store(into + 6, tl.sum(tl.where(alive, divergence, zero), 0) * share)
    tl.store(into + 7, tl.sum(alive.to(tl.float32), 0))


@jit
def ppo_stats_kernel(
    partial, stats, loss, programs, value_coef, entropy_coef, anchor_coef,
    NUM_STATS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Joins the programs' statistics, in one fixed order."""
    c = tl.arange(0, NUM_STATS)
    total = tl.zeros([NUM_STATS], tl.float32)
    for first in range(0, programs, BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        part = tl.load(
            partial + p[:, None] * NUM_STATS + c[None, :], mask=(p < programs)[:, None], other=0.0
        )
        total = tl.where(c == 5, tl.maximum(total, tl.max(part, 0)), total + tl.sum(part, 0))
    tl.store(stats + c, total)
    weight = tl.where(c == 0, 1.0, 0.0) + tl.where(c == 1, value_coef, 0.0)
    weight += tl.where(c == 2, -entropy_coef, 0.0) + tl.where(c == 6, anchor_coef, 0.0)
    tl.store(loss, tl.sum(total * weight, 0))


class _PpoLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, values: Tensor, actions: Tensor, old_log_probs: Tensor,
        advantages: Tensor, returns: Tensor, old_values: Tensor | None, reference: Tensor | None,
        valid: Tensor | None, weights: Coefficients,
    ) -> Any:  # fmt: skip
        count, actions_ = logits.shape
        programs = cdiv(count, CONFIG.blocks["ROWS"])
        grad_logits, grad_values = torch.empty_like(logits), torch.empty_like(values)
        partial = values.new_empty(programs, _NUM_STATS, dtype=torch.float32)
        loss, stats = partial.new_empty(()), partial.new_empty(_NUM_STATS)
        shared = {"value_coef": weights.value, "entropy_coef": weights.entropy,
                  "anchor_coef": weights.anchor, "partial": partial,
                  "NUM_STATS": _NUM_STATS}  # fmt: skip
        args = {
            "logits": logits, "values": values, "actions": actions,
            "old_log_probs": old_log_probs, "advantages": advantages, "returns": returns,
            "old_values": old_values, "reference": reference,
            "valid": None if valid is None else valid.view(torch.uint8),
            "counted": None if valid is None else valid.sum(), "grad_logits": grad_logits,
            "grad_values": grad_values, "count": count, "clip": weights.clip, "A": actions_,
            "BLOCK_A": next_power_of_2(actions_), "HAS_OLD_VALUES": old_values is not None,
            "HAS_REFERENCE": reference is not None, "HAS_VALID": valid is not None,
        }  # fmt: skip
        launch(ppo_loss_kernel, (programs,), {**args, **shared}, CONFIG)
        args = {"stats": stats, "loss": loss, "programs": programs}
        launch(ppo_stats_kernel, (1,), {**args, **shared}, _SUM_CONFIG)
        ctx.save_for_backward(grad_logits, grad_values)
        ctx.mark_non_differentiable(stats)
        return loss, stats

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        grad_logits, grad_values = ctx.saved_tensors
        return grad_logits * grad, grad_values * grad, *[None] * 8


def ppo_loss(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    returns: Tensor,
    *,
    clip_coef: float,
    value_loss_coef: float,
    entropy_coef: float = 0.0,
    old_values: Tensor | None = None,
    reference: Tensor | None = None,
    anchor_coef: float = 0.0,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss and statistics, differentiable in logits and values; nothing waits for the device.

    Args:
        logits: [M, A] floating.
        values: [M] floating.
        actions: [M] int64, those taken.
        old_log_probs: [M] float32, of the actions when they were taken.
        advantages: [M] float32.
        returns: [M] float32.
        clip_coef: c > 0.
        value_loss_coef: of the value loss.
        entropy_coef: of the entropy.
        old_values: [M] float32 for the clipped value loss; None: the plain one.
        reference: [M, A] float32, logits of a policy to stay near; None: no such part.
        anchor_coef: of the KL to it.
        valid: [M] bool, the steps that count, at least one; None: all.

    Returns:
        loss [] float32 and statistics [8] float32, named by ``STATS``.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    steps = {"values": values, "actions": actions, "old_log_probs": old_log_probs,
             "advantages": advantages, "returns": returns, "old_values": old_values,
             "valid": valid}  # fmt: skip
    shapes = {name: tuple(x.shape) for name, x in steps.items() if x is not None}
    if logits.dim() != 2 or any(shape != logits.shape[:1] for shape in shapes.values()):
        raise ValueError(f"logits must be [M, A] and these [M], got {list(logits.shape)}, {shapes}")
    if reference is not None and reference.shape != logits.shape:
        raise ValueError(
            f"reference must be {list(logits.shape)} as the logits, got {list(reference.shape)}"
        )
    if not uses_triton(logits):
        return ppo_loss_reference(
            logits, values, actions, old_log_probs, advantages, returns, clip_coef=clip_coef,
            value_loss_coef=value_loss_coef, entropy_coef=entropy_coef, old_values=old_values,
            reference=reference, anchor_coef=anchor_coef, valid=valid, upcast=False,
        )  # fmt: skip
    weights = Coefficients(
        clip=clip_coef, value=value_loss_coef, entropy=entropy_coef, anchor=anchor_coef
    )  # fmt: skip
    wholes = (x if x is None else x.contiguous() for x in (
        logits, values, actions, old_log_probs, advantages, returns, old_values, reference, valid
    ))  # fmt: skip
    loss, stats = _PpoLoss.apply(*wholes, weights)  # type: ignore[no-untyped-call]
    return loss, stats
