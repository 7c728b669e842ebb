"""What a rollout is: its arrays, what the update gets of it, and the episodes that ended in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flare.policy.kv_cache import KVPrefix
from flare.policy.observation import Observation
from flare.rollout.buffers import ArraySpec
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tasks.task import Judgement


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedEpisode:
    """One line of the episode log."""

    env: int
    episode: int
    house: int
    task: str
    target_type: str
    success: bool
    end: str
    length: int
    reward_sum: float
    shortest_path: float
    travelled: float
    rooms_visited: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """Views of the buffer after a rollout, ready for the update; valid until the next collect()."""

    obs: Observation  # [T, N, ...]
    actions: Tensor  # [T, N] int64
    log_probs: Tensor  # [T, N] float32
    values: Tensor  # [T, N] float32
    advantages: Tensor  # [T, N] float32
    returns: Tensor  # [T, N] float32
    episode_start: Tensor  # [T, N] bool
    valid: Tensor  # [T, N] bool; False: the world failed in this step, which does not count
    prefix: KVPrefix | None


def rollout_specs(
    num_steps: int,
    num_envs: int,
    frame_shape: tuple[int, ...],
    max_words: int,
    facts_dtype: np.dtype[Any],
) -> list[ArraySpec]:
    """What a slot holds besides its features, which lie where the policy is."""
    t, n = num_steps, num_envs
    return [
        ArraySpec("frames", np.dtype(np.uint8), (t + 1, n, *frame_shape)),
        ArraySpec("facts", facts_dtype, (t + 1, n)),
        ArraySpec("privileged", np.dtype(np.float32), (t + 1, n, NUM_PRIVILEGED)),
        ArraySpec("tokens", np.dtype(np.int64), (t + 1, n, max_words)),
        ArraySpec("prev_action", np.dtype(np.int64), (t + 1, n)),
        ArraySpec("in_hand", np.dtype(np.int64), (t + 1, n)),
        ArraySpec("time_step", np.dtype(np.int64), (t + 1, n)),
        ArraySpec("traj_index", np.dtype(np.int64), (t + 1, n)),
        ArraySpec("action", np.dtype(np.int64), (t, n)),
        ArraySpec("log_prob", np.dtype(np.float32), (t, n)),
        ArraySpec("value", np.dtype(np.float32), (t + 1, n)),
        ArraySpec("reward", np.dtype(np.float32), (t, n)),
        ArraySpec("terminated", np.dtype(np.uint8), (t, n)),
        ArraySpec("truncated", np.dtype(np.uint8), (t, n)),
        ArraySpec("valid", np.dtype(np.bool_), (t, n)),
        ArraySpec("final_value", np.dtype(np.float32), (t, n)),
        ArraySpec("advantage", np.dtype(np.float32), (t, n)),
        ArraySpec("return", np.dtype(np.float32), (t, n)),
    ]


def discard_faulted(judged: Judgement, faulted: NDArray[np.bool_]) -> Judgement:
    """Where a world failed, whatever was judged, its episode is cut there.

    The episode is not reported. Of its steps only the last is lost: for those before it, worlds and
    task did their work.
    """
    if not faulted.any():
        return judged
    return Judgement(
        reward=np.where(faulted, np.float32(0), judged.reward),
        terminated=judged.terminated & ~faulted,
        truncated=judged.truncated | faulted,
        success=judged.success & ~faulted,
    )
