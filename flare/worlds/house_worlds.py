"""What all worlds over a set of houses have in common, whoever simulates them."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.robots import RobotSpec
from flare.specs import NAVIGATION_ACTIONS, ActionSpec, CameraSpec

HouseT = TypeVar("HouseT")


class HouseWorlds(Generic[HouseT]):
    """What all N worlds over a shared set of houses have in common, whoever simulates them."""

    def __init__(
        self,
        houses: Sequence[HouseT],
        robots: Sequence[RobotSpec],
        facts_dtype: np.dtype[np.void],
        *,
        num_envs: int,
        camera: CameraSpec | None,
        action_names: tuple[str, ...],
    ) -> None:
        """Keep what the worlds are made of.

        Args:
            houses: those that episodes name by index.
            robots: those that episodes name by index, at least one.
            facts_dtype: of the core.
            num_envs: N.
            camera: size and number of the frames; the original's by default.
            action_names: the policy's actions in the order of its ids.

        Raises:
            UserError: an action that does not exist, or that one of the robots lacks.
        """
        actions = ActionSpec(action_names)
        self._robots, self._houses = tuple(robots), tuple(houses)
        for robot in self._robots:
            lacking = [name for name in action_names if name not in robot.actions]
            if lacking:
                raise UserError(
                    f"the robot {robot.name!r} has no action {lacking[0]!r}",
                    key="action_names",
                    mend=f"use only {', '.join(robot.actions)}",
                )
        self._camera = CameraSpec() if camera is None else camera
        self._num_envs, self._facts_dtype = num_envs, facts_dtype
        self._action_names = actions.names
        self._sim_actions = actions.sim_actions()  # [A] int32
        self._policy_actions = actions.policy_actions()  # [20] int64

    @property
    def num_envs(self) -> int:
        """N."""
        return self._num_envs

    @property
    def camera(self) -> CameraSpec:
        """Size and number of the frames."""
        return self._camera

    @property
    def facts_dtype(self) -> np.dtype[np.void]:
        """One row of facts."""
        return self._facts_dtype

    @property
    def action_names(self) -> tuple[str, ...]:
        """What ``step`` understands; an action's id is the index here."""
        return self._action_names

    @property
    def houses(self) -> tuple[HouseT, ...]:
        """The houses that episodes name by index."""
        return self._houses

    @property
    def robots(self) -> tuple[RobotSpec, ...]:
        """The robots that episodes name by index."""
        return self._robots

    def _to_core(self, actions: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """[N] the core's ids of policy actions; IndexError for one that the policy lacks."""
        if actions.size and int(actions.min()) < 0:
            raise IndexError(f"action {int(actions.min())} is negative")
        ids: NDArray[np.int32] = self._sim_actions[actions]
        return ids

    def _to_policy(self, actions: NDArray[np.int32]) -> NDArray[np.int64]:
        """[N] policy ids of what the core's expert wants; UserError for what the policy lacks."""
        found = self._policy_actions[actions]
        if found.size and int(found.min()) < 0:
            raise UserError(
                "the expert needs an action that the policy does not have",
                mend=f"use the actions {', '.join(NAVIGATION_ACTIONS)}",
                key="action_names",
            )
        return found
