"""Names, dtypes and shapes that several parts share: actions and cameras."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSpec:
    """What a policy's frames look like: uint8 [num_cameras, height, width, 3]."""

    width: int = 384  # px; the original's 396 less its crop
    height: int = 224  # px
    num_cameras: int = 1  # 1: navigation; 2: navigation and manipulation

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not 8 <= getattr(self, name) <= 4096:
                raise UserError(
                    f"is {getattr(self, name)}", key=f"camera.{name}", mend="use 8 to 4096 pixels"
                )
        if self.num_cameras not in (1, 2):
            raise UserError(
                f"is {self.num_cameras}", key="camera.num_cameras", mend="use 1 or 2 cameras"
            )

    @property
    def frame_shape(self) -> tuple[int, int, int, int]:
        """(num_cameras, height, width, 3)."""
        return (self.num_cameras, self.height, self.width, 3)
