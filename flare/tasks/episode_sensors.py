"""The two sensors that tell a transformer which steps belong together: time_step, traj_index."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRAJ_MAX_INDEX = 2048  # the original's episode counter wraps here


@dataclass(slots=True)
class EpisodeSensors:
    """Step in the episode and number of the episode, of N worlds.

    ``compat`` reproduces an off-by-one of the original: after an episode that the step limit ended,
    the next one counts 1, 1, 2, 3, … instead of 0, 1, 2, 3, … and keeps the number of the previous,
    so that in an update the new episode attends to the old one.
    """

    time_step: NDArray[np.int64]  # [N] of the present observation
    traj_index: NDArray[np.int64]  # [N]
    compat: bool = False
    traj_max_index: int = TRAJ_MAX_INDEX

    @classmethod
    def create(
        cls, num_envs: int, *, compat: bool = False, traj_max_index: int = TRAJ_MAX_INDEX
    ) -> "EpisodeSensors":
        """N worlds at the first observation of their first episode."""
        zeros = np.zeros(num_envs, np.int64)
        return cls(zeros, zeros.copy(), compat, traj_max_index)

    def advance(self, step: NDArray[np.int64]) -> None:
        """Observations after a step; ``step`` [N] counts the actions executed in each episode."""
        self.time_step[:] = step

    def begin(self, envs: NDArray[np.int64], after_limit: NDArray[np.bool_]) -> None:
        """A new episode's first observation in ``envs`` [n]; whether a limit ended the last."""
        unnoticed = after_limit & self.compat
        self.time_step[envs] = unnoticed
        index = (self.traj_index[envs] + 1) % self.traj_max_index
        self.traj_index[envs] = np.where(unnoticed, self.traj_index[envs], index)
