"""Generalised advantage estimation over whole rollouts, computed by the C++ core.

Source: Schulman et al. 2016, "High-dimensional continuous control using generalized advantage
estimation", eq. 16. The two ends of an episode are kept apart (Pardo et al. 2018, "Time limits in
reinforcement learning")::

    next_t  = 0                 where terminated[t]
            = final_values[t]   where truncated[t] and not terminated[t]
            = values[t + 1]     elsewhere
    delta_t = rewards[t] + gamma * next_t - values[t]
    A_t     = delta_t + gamma * gae_lambda * A_{t+1}   (without A_{t+1} where the episode ended)
    R_t     = A_t + values[t]

A step that is not valid (its world failed, so nobody knows what its action did) has A_t = 0 and
R_t = values[t]: the step before it still bootstraps with values[t] and looks no further.
"""

import numpy as np
from numpy.typing import NDArray

from flare import _core

FloatArray = NDArray[np.float32]
FlagArray = NDArray[np.bool_] | NDArray[np.uint8]


def compute_gae(
    rewards: FloatArray,
    values: FloatArray,
    terminated: FlagArray,
    truncated: FlagArray,
    final_values: FloatArray,
    gamma: float,
    gae_lambda: float,
    *,
    advantages: FloatArray | None = None,
    returns: FloatArray | None = None,
    valid: FlagArray | None = None,
    truncation_is_terminal: bool = False,
    num_threads: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Compute advantages and returns of a rollout; the formula stands at the top of this module.

    Every array is C-contiguous; nothing is converted. The same bits for any number of threads.

    Args:
        rewards: [T, N] float32.
        values: [T + 1, N] float32; row T is the value of the observation after the last step.
        terminated: [T, N] bool or uint8; the step ended the episode for good.
        truncated: [T, N] bool or uint8; the step ended it by a limit. terminated wins over it.
        final_values: [T, N] float32; value of the last observation before a reset. Used only where
            truncated; may hold anything, NaN too, elsewhere.
        gamma: Discount, in [0, 1].
        gae_lambda: Weight of longer estimates, in [0, 1]; 0 is the TD error, 1 the discounted
            return minus the value.
        advantages: [T, N] float32 to write into instead of a new array; overlaps no input.
        returns: [T, N] float32 likewise.
        valid: [T, N] bool or uint8; False where the step does not count: its reward and flags may
            be anything then. None: all count.
        truncation_is_terminal: Treat a limit like a termination, as the original FLaRe does.
        num_threads: 0 chooses by size.

    Returns:
        (advantages, returns), [T, N] float32.

    Raises:
        TypeError: An array of another dtype (flare DtypeError).
        ValueError: Shapes that disagree (flare ShapeError), a factor outside [0, 1].
    """
    return _core.compute_gae(
        rewards,
        values,
        terminated,
        truncated,
        final_values,
        gamma,
        gae_lambda,
        advantages,
        returns,
        valid,
        truncation_is_terminal,
        num_threads,
    )


def compute_gae_segments(
    rewards: FloatArray,
    values: FloatArray,
    terminated: FlagArray,
    truncated: FlagArray,
    final_values: FloatArray,
    offsets: NDArray[np.int64],
    bootstrap_values: FloatArray,
    gamma: float,
    gae_lambda: float,
    *,
    advantages: FloatArray | None = None,
    returns: FloatArray | None = None,
    valid: FlagArray | None = None,
    truncation_is_terminal: bool = False,
    num_threads: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Compute the same for packed segments: worlds that gave different numbers of steps.

    Segment s is steps [offsets[s], offsets[s + 1]) of one world; it may hold several episodes.

    Args:
        rewards: [M] float32, M steps of all segments.
        values: [M] float32.
        terminated: [M] bool or uint8.
        truncated: [M] bool or uint8.
        final_values: [M] float32; used only where truncated.
        offsets: [S + 1] int64, ascending from 0 to M.
        bootstrap_values: [S] float32; value of the observation after a segment's last step, used
            where that step ended no episode.
        gamma: Discount, in [0, 1].
        gae_lambda: In [0, 1].
        advantages: [M] float32 to write into instead of a new array; overlaps no input.
        returns: [M] float32 likewise.
        valid: [M] bool or uint8, as in compute_gae.
        truncation_is_terminal: Treat a limit like a termination.
        num_threads: 0 chooses by size.

    Returns:
        (advantages, returns), [M] float32; bit-equal to compute_gae for the same steps.

    Raises:
        TypeError: An array of another dtype.
        ValueError: Shapes that disagree, offsets that do not ascend, a factor outside [0, 1].
    """
    return _core.compute_gae_segments(
        rewards,
        values,
        terminated,
        truncated,
        final_values,
        offsets,
        bootstrap_values,
        gamma,
        gae_lambda,
        advantages,
        returns,
        valid,
        truncation_is_terminal,
        num_threads,
    )
