"""Names of the actions, and which of them a policy may choose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError

# The original's twenty actions in the order of its logits; the index is the C++ sim::Action.
ACTION_NAMES: tuple[str, ...] = (
    "move_ahead",
    "rotate_right",
    "rotate_left",
    "move_back",
    "done",
    "sub_done",
    "rotate_left_small",
    "rotate_right_small",
    "pickup",
    "move_arm_in",
    "move_arm_out",
    "move_arm_up",
    "move_arm_down",
    "wrist_open",
    "wrist_close",
    "move_arm_down_small",
    "move_arm_in_small",
    "move_arm_out_small",
    "move_arm_up_small",
    "dropoff",
)

# The original's subset for navigation tasks, in the order of its logits.
NAVIGATION_ACTIONS: tuple[str, ...] = (
    "move_ahead",
    "rotate_right",
    "rotate_left",
    "move_back",
    "done",
    "rotate_left_small",
    "rotate_right_small",
)


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """The actions of one policy; a policy's action id is the index in ``names``.

    As a previous action the id ``size`` means that there is none yet.
    """

    names: tuple[str, ...] = NAVIGATION_ACTIONS

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in ACTION_NAMES]
        if unknown:
            raise UserError(
                f"unknown action {unknown[0]!r}",
                mend=f"choose among {', '.join(ACTION_NAMES)}",
                key="names",
            )
        if len(set(self.names)) != len(self.names):
            raise UserError("an action is listed twice", mend="list each once", key="names")
        if "done" not in self.names:
            raise UserError(
                "no 'done' among the actions", mend="add it: episodes end with it", key="names"
            )

    @property
    def size(self) -> int:
        """Number of actions, A."""
        return len(self.names)

    @property
    def none_yet(self) -> int:
        """The previous action's id at the first step of an episode."""
        return len(self.names)

    def id_of(self, name: str) -> int:
        """The policy's id of the action ``name``; ValueError if the policy does not have it."""
        return self.names.index(name)

    def sim_actions(self) -> NDArray[np.int32]:
        """[A] int32: the world's action (sim::Action) of each of the policy's ids."""
        return np.array([ACTION_NAMES.index(name) for name in self.names], np.int32)

    def policy_actions(self) -> NDArray[np.int64]:
        """[20] int64: the policy's id of each of the world's actions, -1 where it has none."""
        table = np.full(len(ACTION_NAMES), -1, np.int64)
        table[self.sim_actions()] = np.arange(self.size)
        return table
