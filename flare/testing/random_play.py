"""Random episodes and actions, each a pure function of its key."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.robots import RobotSpec
from flare.robots.spec import ArmSpec
from flare.worlds.embedded import (
    EPISODE_DTYPE,
    GOALS,
    MAX_ROOMS,
    MAX_TARGETS,
    RANDOM_LIGHTS,
    RANDOM_MATERIALS,
    RANDOM_TEXTURES,
    House,
    make_robot,
)

_ALL_LOOKS = RANDOM_MATERIALS | RANDOM_LIGHTS | RANDOM_TEXTURES
# Drawn more often: uniform actions seldom grasp anything.
_SEEKING_STEPS = 40  # after these the hand goes where it may
_SEEKING = ("pickup", "pickup", "move_arm_out", "move_arm_out", "move_ahead", "dropoff")


def random_episode(
    house: House, robot: RobotSpec, key: Sequence[int], *, max_steps: int = 0
) -> NDArray[np.void]:
    """One start with everything drawn: place, heading, goal, targets, looks.

    Half of the starts of a robot with an arm are near something it could take.

    Args:
        house: where; its index and the robot's are left 0 for the caller.
        robot: who.
        key: non-negative integers; the same key gives the same episode.
        max_steps: for Facts::time_left.

    Returns: [] of EPISODE_DTYPE.
    """
    rng = np.random.default_rng(list(key))
    objects = house.objects()
    spec = np.zeros((), EPISODE_DTYPE)
    spec["seed"], spec["max_steps"] = rng.integers(2**63), max_steps
    goals = [name for name in GOALS if robot.arm is not None or name != "hold"]
    spec["goal"] = GOALS.index(goals[rng.integers(len(goals))])
    spec["camera_noise"], spec["randomise"] = rng.integers(2), rng.integers(_ALL_LOOKS + 1)
    spec["target_rooms"] = rng.integers(1, 1 << min(house.num_rooms, MAX_ROOMS - 1))
    light = [i for i, item in enumerate(objects) if item["pickupable"]]
    count = int(rng.integers(0, min(len(objects), MAX_TARGETS) + 1))
    targets = list(rng.choice(len(objects), count, replace=False)) if count else []
    cells = house.reachable(make_robot(robot))
    cell, yaw = cells[rng.integers(len(cells))], 6.0 * float(rng.integers(60))
    if robot.arm is not None and light and rng.random() < 0.5:
        wanted = light[rng.integers(len(light))]
        targets = [wanted, *(t for t in targets if t != wanted)][:MAX_TARGETS]
        cell, yaw = _beside(objects[wanted]["center"], robot.arm, cells, rng)
    spec["num_targets"], spec["targets"] = len(targets), -1
    spec["targets"][: len(targets)] = targets
    # A cell is a place of the body's disc; the start names the reference point.
    turn = np.deg2rad(yaw)
    start = cell - robot.body.centre_offset * np.array([np.sin(turn), np.cos(turn)])
    spec["x"], spec["z"], spec["yaw_deg"] = start[0], start[1], yaw
    return spec


def _beside(
    center: tuple[float, float, float],
    arm: ArmSpec,
    cells: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], float]:
    """A place and a heading from which the arm points at an object, within its reach if any is."""
    offsets = np.array([center[0], center[2]]) - cells
    reach = arm.hand_length + sum(arm.extension) / 2
    nearest = np.argsort(np.abs(np.hypot(*offsets.T) - reach))[:12]
    cell = nearest[rng.integers(len(nearest))]
    bearing = float(np.rad2deg(np.arctan2(*offsets[cell])))
    return cells[cell], float(np.round((bearing - arm.yaw) / 6.0)) * 6.0 % 360.0


def random_actions(
    action_names: Sequence[str], num_steps: int, num_envs: int, key: Sequence[int]
) -> NDArray[np.int64]:
    """[num_steps, num_envs] ids into ``action_names``, those that grasp drawn more often."""
    ids: list[Any] = list(range(len(action_names)))
    ids += [action_names.index(name) for name in _SEEKING if name in action_names]
    return np.random.default_rng(list(key)).choice(np.array(ids), (num_steps, num_envs))


class Grasping:
    """Actions that lead the hand to each episode's first target, where that can be picked up."""

    def __init__(
        self,
        houses: Sequence[House],
        specs: NDArray[np.void],
        action_names: Sequence[str],
        key: Sequence[int],
    ) -> None:
        """Look up the targets.

        Args:
            houses: those that specs name.
            specs: [N] of EPISODE_DTYPE.
            action_names: what ids mean; those of the arm among them.
            key: of the draws.
        """
        self._id = {name: i for i, name in enumerate(action_names)}
        self._rng = np.random.default_rng(list(key))
        self._centers = np.full((len(specs), 3), np.nan)
        objects = [house.objects() for house in houses]
        for env, spec in enumerate(specs):
            item = objects[spec["house"]][spec["targets"][0]] if spec["num_targets"] else None
            if item is not None and item["pickupable"]:
                self._centers[env] = item["center"]

    def guide(self, actions: NDArray[np.int64], facts: NDArray[np.void]) -> NDArray[np.int64]:
        """[N] the random ``actions``, most of them replaced while the hand seeks its object."""
        away = self._centers - facts["hand"]
        apart = np.hypot(away[:, 0], away[:, 2])
        up, down = self._id["move_arm_up"], self._id["move_arm_down"]
        small = np.abs(away[:, 1]) < 0.1
        lift = np.where(away[:, 1] > 0, up, down)
        lift[small] = np.where(
            away[:, 1] > 0, self._id["move_arm_up_small"], self._id["move_arm_down_small"]
        )[small]
        guided = np.where(np.abs(away[:, 1]) > 0.03, lift, self._id["move_arm_out_small"])
        guided = np.where(apart < 0.05, self._id["pickup"], guided)
        is_seeking = (
            ~np.isnan(apart) & (facts["held_object"] < 0) & (facts["step"] < _SEEKING_STEPS)
        )
        is_seeking &= self._rng.random(len(facts)) < 0.8
        return np.where(is_seeking, guided, actions)
