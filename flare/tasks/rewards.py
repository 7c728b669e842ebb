"""What a step pays: the sparse reward of CHORES and the original's optional terms."""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from flare.errors import require


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig:
    """Terms of the reward; the defaults are the sparse reward, +10 for a correct ``done``."""

    goal_success: float = 10.0  # ``done`` while the goal is reached
    failed_stop: float = 0.0  # ``done`` while it is not
    reached_horizon: float = 0.0  # the step limit
    step_penalty: float = 0.0  # added to every step's reward, so negative to hurry
    collision_penalty: float = 0.0  # added where a motion was blocked, so negative to be careful
    shaping_weight: float = 0.0  # of the shaper of each task; 0: no shaping at all
    # As in the original part of the shaper of the ObjectNav family, so without effect unless
    # shaping_weight is set: added where an action other than ``done`` failed.
    failed_action_penalty: float = 0.0

    def __post_init__(self) -> None:
        for term in fields(self):
            value = getattr(self, term.name)
            require(math.isfinite(value), f"task.reward.{term.name}", value, "use a finite number")
        weight = self.shaping_weight
        require(weight >= 0.0, "task.reward.shaping_weight", weight, "use 0 or more")

    def of_outcome(
        self,
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        success: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Every term that needs no memory and no further fact; arrays of one shape."""
        stop = np.where(success, self.goal_success, self.failed_stop)
        end = np.where(terminated, stop, np.where(truncated, self.reached_horizon, 0.0))
        return end + self.step_penalty
