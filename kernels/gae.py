"""Generalised advantage estimation of a rollout on the device, in one launch.

    next_t  = 0                 where terminated[t]
            = final_values[t]   where truncated[t] and not terminated[t]
            = values[t + 1]     elsewhere
    delta_t = rewards[t] + gamma · next_t - values[t]
    A_t     = delta_t + gamma · gae_lambda · A_{t+1}   (without A_{t+1} where the episode ended)
    R_t     = A_t + values[t]

A step that is not valid has A_t = 0 and R_t = values[t]. It is a linear recurrence, so a chunk of
steps is a reverse associative scan over pairs (decay, delta), and chunks are chained from the end.
Source: Schulman et al. 2016, eq. 16; Blelloch 1990 for the scan.

Shapes: rewards, final_values, A, R [T, N] float32; values [T + 1, N] float32; terminated,
truncated, valid [T, N] bool or uint8.
"""

# mypy: disable-error-code="no-untyped-def"

import torch
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, tl, uses_triton

CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK_T": 128, "BLOCK_N": 8})


def gae_reference(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_values: Tensor,
    gamma: float,
    gae_lambda: float,
    *,
    valid: Tensor | None = None,
    upcast: bool = True,
) -> tuple[Tensor, Tensor]:
    """The formula in plain PyTorch; arguments as in ``gae``.

    upcast: compute in float64, then round.
    """
    dtype = rewards.dtype
    if upcast:
        rewards, values, final_values = rewards.double(), values.double(), final_values.double()
    ended = terminated.bool() | truncated.bool()
    following = torch.where(truncated.bool(), final_values, values[1:])
    following = torch.where(terminated.bool(), 0.0, following)
    delta = rewards + gamma * following - values[:-1]
    decay = torch.where(ended, 0.0, torch.full_like(delta, gamma * gae_lambda))
    if valid is not None:
        delta = torch.where(valid.bool(), delta, 0.0)
        decay = torch.where(valid.bool(), decay, 0.0)
    advantages = torch.empty_like(delta)
    last = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        last = delta[t] + decay[t] * last
        advantages[t] = last
    return advantages.to(dtype), (advantages + values[:-1]).to(dtype)


@jit
def _chain(later_decay, later_sum, decay, total):
    """What stands at a step after what stands behind it."""
    return decay * later_decay, total + decay * later_sum


@jit
def gae_kernel(
    rewards, values, terminated, truncated, final_values, valid, advantages, returns,
    steps, envs, gamma, gae_lambda,
    HAS_VALID: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program per BLOCK_N environments, chunks of BLOCK_T steps from the last."""
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    carry = tl.zeros([BLOCK_N], tl.float32)
    chunks = tl.cdiv(steps, BLOCK_T)
    for chunk in range(0, chunks):
        t = (chunks - 1 - chunk) * BLOCK_T + tl.arange(0, BLOCK_T)
        mask = (t < steps)[:, None] & (n < envs)[None, :]
        offs = t[:, None].to(tl.int64) * envs + n[None, :]  # [BLOCK_T, BLOCK_N]
        reward = tl.load(rewards + offs, mask=mask, other=0.0)
        value = tl.load(values + offs, mask=mask, other=0.0)
        following = tl.load(values + offs + envs, mask=mask, other=0.0)
        stops = tl.load(terminated + offs, mask=mask, other=1).to(tl.int32) != 0
        cut = tl.load(truncated + offs, mask=mask, other=0).to(tl.int32) != 0
        last = tl.load(final_values + offs, mask=mask & cut, other=0.0)
        following = tl.where(stops, 0.0, tl.where(cut, last, following))
        delta = reward + gamma * following - value
        decay = tl.where(stops | cut, 0.0, gamma * gae_lambda)
        counts = mask
        if HAS_VALID:
            counts = tl.load(valid + offs, mask=mask, other=0).to(tl.int32) != 0
        delta = tl.where(counts, delta, 0.0)
        decay = tl.where(counts, decay, 0.0)
        reach, total = tl.associative_scan((decay, delta), 0, _chain, reverse=True)
        total += reach * carry[None, :]
        tl.store(advantages + offs, total, mask=mask)
        tl.store(returns + offs, total + value, mask=mask)
        first = (tl.arange(0, BLOCK_T) == 0)[:, None]
        carry = tl.sum(tl.where(first, total, 0.0), 0)


@torch.no_grad()
def gae(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_values: Tensor,
    gamma: float,
    gae_lambda: float,
    *,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Advantages and returns of a rollout; no gradient.

    Args:
        rewards: [T, N] float32.
        values: [T + 1, N] float32; row T is the value of the observation after the last step.
        terminated: [T, N] bool or uint8; the step ended the episode for good.
        truncated: [T, N] bool or uint8; the step ended it by a limit. terminated wins over it.
        final_values: [T, N] float32; value of the last observation before a reset. Used only where
            truncated; may hold anything elsewhere.
        gamma: discount, in [0, 1].
        gae_lambda: weight of longer estimates, in [0, 1].
        valid: [T, N] bool or uint8; the steps that count; None: all.

    Returns:
        advantages and returns, [T, N] float32.

    Raises:
        ValueError: shapes that disagree, a factor outside [0, 1].
    """
    steps, envs = rewards.shape
    flags = [terminated, truncated, *([] if valid is None else [valid])]
    if values.shape != (steps + 1, envs) or any(
        x.shape != rewards.shape for x in (*flags, final_values)
    ):
        raise ValueError(
            f"values must be [{steps + 1}, {envs}] and all else [{steps}, {envs}], "
            f"got {[list(x.shape) for x in (values, *flags, final_values)]}"
        )
    if not (0.0 <= gamma <= 1.0 and 0.0 <= gae_lambda <= 1.0):
        raise ValueError(f"gamma and gae_lambda must be in [0, 1], got {gamma} and {gae_lambda}")
    if not uses_triton(rewards):
        return gae_reference(
            rewards, values, terminated, truncated, final_values, gamma, gae_lambda, valid=valid,
            upcast=False,
        )  # fmt: skip
    advantages = rewards.new_empty(steps, envs)
    returns = torch.empty_like(advantages)
    args = {
        "rewards": rewards.contiguous(), "values": values.contiguous(),
        "terminated": _bytes(terminated), "truncated": _bytes(truncated),
        "final_values": final_values.contiguous(),
        "valid": None if valid is None else _bytes(valid), "advantages": advantages,
        "returns": returns, "steps": steps, "envs": envs, "gamma": gamma,
        "gae_lambda": gae_lambda, "HAS_VALID": valid is not None,
    }  # fmt: skip
    launch(gae_kernel, (cdiv(envs, CONFIG.blocks["BLOCK_N"]),), args, CONFIG)
    return advantages, returns


def _bytes(flags: Tensor) -> Tensor:
    return flags.contiguous().view(torch.uint8)
