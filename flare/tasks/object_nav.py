"""ObjectNav: walk until an instance of the wanted category is seen within 2 m, then say done.

Success rule and sparse reward of CHORES: at ``done`` at least one target is visible in the
navigation camera within 2 m; +10 for a correct ``done``, otherwise 0.
"""

from dataclasses import dataclass

import numpy as np

from flare.errors import UserError
from flare.specs import ACTION_NAMES
from flare.tasks.task import Facts, Judgement

_DONE = ACTION_NAMES.index("done")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectNav:
    """The ObjectNav task."""

    max_steps: int = 500  # steps; CHORES trains with 500 and evaluates with 600
    success_reward: float = 10.0
    step_penalty: float = 0.0  # added to every step's reward, so negative to hurry

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise UserError(
                f"is {self.max_steps}", key="task.max_steps", mend="use a number of steps >= 1"
            )

    @property
    def name(self) -> str:
        """Name in configs, episode files and reports."""
        return "ObjectNav"

    def judge(self, facts: Facts) -> Judgement:
        """Judge the step that led to ``facts`` ([N] structured rows)."""
        terminated = facts["last_action"] == _DONE
        success = terminated & (facts["target_visible"] != 0)
        truncated = ~terminated & (facts["step"] >= self.max_steps)
        reward = np.where(success, self.success_reward, 0.0) + self.step_penalty
        return Judgement(
            reward=reward.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            success=success,
        )
