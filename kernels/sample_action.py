"""Actions drawn from logits, with their log-probabilities and the entropies.

    action[n]   = first a with cdf[n, a] > uniforms[n] · cdf[n, A - 1]
    log_prob[n] = log softmax(logits[n])[action[n]]
    entropy[n]  = -sum_a softmax(logits[n])_a · log softmax(logits[n])_a

with cdf = cumsum(softmax(logits)).

Without uniforms the action is the most probable one, the first of equals. The numbers are drawn by
the caller, keyed by (seed, env, episode, step): the kernel holds no state and can sit in a graph.
The cumulated sum is in float64, so a uniform below 1 never runs past the last action that has any
probability.

Shapes: logits [N, A] floating, uniforms [N] float32 in [0, 1), action [N] int64, log_prob and
entropy [N] float32. Source: inverse transform sampling, Devroye 1986, section III.2.
"""

# mypy: disable-error-code="no-untyped-def"

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, next_power_of_2, tl, uses_triton

CONFIG = Config(num_warps=4, num_stages=1, blocks={"ROWS": 8})


def sample_action_reference(
    logits: Tensor, uniforms: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The formula in plain PyTorch; arguments as in ``sample_action``."""
    log_probs = logits.float().log_softmax(-1)
    if uniforms is None:
        action = logits.argmax(-1)
    else:
        cumulated = F.softmax(logits, -1, dtype=torch.float64).cumsum(-1)
        threshold = uniforms.double()[:, None] * cumulated[:, -1:]
        action = (cumulated <= threshold).sum(-1)
    log_prob = log_probs.gather(-1, action[:, None])[:, 0]
    return action, log_prob, torch.special.entr(log_probs.exp()).sum(-1)


@jit
def sample_kernel(
    logits, uniforms, action, log_prob, entropy, count, stride,
    A: tl.constexpr, BLOCK_A: tl.constexpr, ROWS: tl.constexpr, IS_GREEDY: tl.constexpr,
):  # fmt: skip
    """One program per ROWS environments."""
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    a = tl.arange(0, BLOCK_A)
    alive = n < count
    mask = alive[:, None] & (a < A)[None, :]
    x = tl.load(logits + n[:, None] * stride + a[None, :], mask=mask, other=-float("inf"))
    x = tl.where(alive[:, None], x.to(tl.float32), 0.0)  # [ROWS, A]
    x = tl.where((a < A)[None, :], x, -float("inf"))
    top = tl.max(x, 1)
    shifted = x - top[:, None]
    log_sum = tl.log(tl.sum(tl.exp(shifted), 1))
    log_probs = tl.where((a < A)[None, :], shifted - log_sum[:, None], 0.0)
    probs = tl.where((a < A)[None, :], tl.exp(log_probs), 0.0)
    if IS_GREEDY:
        # The first place of the maximum.
        place = tl.where(shifted == 0.0, a[None, :], BLOCK_A)
        chosen = tl.min(place, 1)
    else:
        weights = tl.exp(shifted.to(tl.float64))
        cumulated = tl.cumsum(tl.where((a < A)[None, :], weights, 0.0), 1)
        uniform = tl.load(uniforms + n, mask=alive, other=0.0).to(tl.float64)
        threshold = uniform * tl.max(cumulated, 1)
        below = (cumulated <= threshold[:, None]) & (a < A)[None, :]
        chosen = tl.sum(below.to(tl.int32), 1)
    own = a[None, :] == chosen[:, None]
    tl.store(action + n, chosen.to(tl.int64), mask=alive)
    tl.store(log_prob + n, tl.sum(tl.where(own, log_probs, 0.0), 1), mask=alive)
    # An action without probability adds nothing, though its logarithm is infinite.
    tl.store(entropy + n, -tl.sum(probs * tl.where(probs > 0.0, log_probs, 0.0), 1), mask=alive)


@torch.no_grad()
def sample_action(logits: Tensor, uniforms: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one action per row; no gradient.

    Args:
        logits: [N, A] floating.
        uniforms: [N] float32 in [0, 1); None takes the most probable action.

    Returns:
        action [N] int64, its log_prob [N] float32, entropy [N] float32 in nats.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    if logits.dim() != 2 or (uniforms is not None and uniforms.shape != logits.shape[:1]):
        raise ValueError(
            f"logits must be [N, A] and uniforms [N], got {list(logits.shape)}, "
            f"{None if uniforms is None else list(uniforms.shape)}"
        )
    if not uses_triton(logits):
        return sample_action_reference(logits, uniforms)
    logits = logits if logits.stride(-1) == 1 else logits.contiguous()
    count, actions = logits.shape
    action = logits.new_empty(count, dtype=torch.int64)
    log_prob, entropy = (logits.new_empty(count, dtype=torch.float32) for _ in range(2))
    args = {
        "logits": logits, "uniforms": uniforms, "action": action, "log_prob": log_prob,
        "entropy": entropy, "count": count, "stride": logits.stride(0), "A": actions,
        "BLOCK_A": next_power_of_2(actions), "IS_GREEDY": uniforms is None,
    }  # fmt: skip
    launch(sample_kernel, (cdiv(count, CONFIG.blocks["ROWS"]),), args, CONFIG)
    return action, log_prob, entropy
