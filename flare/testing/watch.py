"""Follows N episodes and stops at the first promise of ``Worlds`` that a step breaks."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flare.robots import RobotSpec
from flare.specs import ActionSpec
from flare.testing.house_plan import HousePlan, disc_centre
from flare.worlds.embedded import GOALS, House, make_robot
from flare.worlds.world import Worlds

# What a failed action may change in the facts.
BOOKKEEPING = frozenset(
    {
        "step", "time_left", "last_action", "last_action_success", "sub_done_success", "collided",
        "picked_up", "dropped",
    }
)  # fmt: skip

_FLAGS = (
    "last_action_success", "collided", "target_visible", "target_in_view", "in_target_room",
    "sub_done_success", "manip_target_visible", "manip_target_in_view", "target_in_reach",
    "holds_target", "picked_up", "dropped", "visible", "manip_visible", "in_reach",
)  # fmt: skip
_NOTHING_YET = ("step", "travelled", "collided", "picked_up", "dropped", "rooms_reported")
_NEAREST_CELL = 0.5  # m, from the body to the place whose walk is told (csrc/sim/nav_grid.hpp)
_VISIBILITY = 2.0  # m, World::kVisibilityDistance
_DOORWAY = 0.25  # m, half the thickest wall that a door leads through
_ROUNDING = 1e-3  # of metres and degrees

Moved = list[tuple[int, tuple[float, float, float], float]]


class ConformanceError(AssertionError):
    """A world broke a promise; the message names env, house, step and what was found."""


@runtime_checkable
class Inspectable(Protocol):
    """Worlds that also tell where everything is; without it the geometry is taken on trust."""

    @property
    def houses(self) -> tuple[House, ...]:
        """The houses that episodes name by index."""
        ...

    @property
    def robots(self) -> tuple[RobotSpec, ...]:
        """The robots that episodes name by index."""
        ...

    def moved_objects(self, env: int) -> Moved:
        """What is not at home: object, (x, y, z) of its box's centre in m, yaw in degrees."""
        ...

    def arm_contacts(self, env: int) -> list[int]:
        """Solids that arm or load overlap."""
        ...


class EpisodeWatch:
    """Judges rows of frames and facts, step by step. Not thread-safe."""

    def __init__(
        self,
        worlds: Worlds,
        specs: NDArray[np.void],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
        plans: Sequence[HousePlan] | None = None,
    ) -> None:
        """Judge the rows that ``reset`` wrote for all N envs.

        Args:
            worlds: their ``Inspectable`` side is used where they have it.
            specs: [N] that they were reset with.
            frames: [N, C, H, W, 3].
            facts: [N].
            plans: of the worlds' houses, to share them between watches.

        Raises: ConformanceError.
        """
        self._specs = specs.copy()
        self._sim_actions = ActionSpec(worlds.action_names).sim_actions()
        self._worlds = worlds if isinstance(worlds, Inspectable) else None
        self._plans = plans
        if self._worlds and plans is None:
            self._plans = [HousePlan(house) for house in self._worlds.houses]
        self._moved: list[Moved] = [[] for _ in specs]
        self._contacts: list[set[int]] = [set() for _ in specs]
        self._apart: list[dict[int, float]] = [
            {} for _ in specs
        ]  # m, body's centre to moved object
        self._frames, self._facts = frames.copy(), facts.copy()
        for name in _NOTHING_YET:
            self._require(facts[name] == 0, f"{name} is not 0 at the start", facts)
        self._require(facts["last_action"] == -1, "there is a last action at the start", facts)
        self._require(facts["held_object"] == -1, "something is held at the start", facts)
        self._judge(facts)

    def observe(
        self,
        actions: NDArray[np.integer[Any]],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Judge the rows that ``step(actions)`` wrote. Raises: ConformanceError."""
        self._judge_step(actions, facts)
        self._judge_failures(frames, facts)
        self._judge(facts)
        np.copyto(self._frames, frames)
        self._facts = facts.copy()

    def _require(self, holds: NDArray[np.bool_], what: str, facts: NDArray[np.void]) -> None:
        if not np.all(holds):
            env = int(np.argmin(holds.reshape(len(facts), -1).all(axis=1)))
            self._fail(env, what, facts)

    def _fail(self, env: int, what: str, facts: NDArray[np.void]) -> None:
        row = facts[env]
        house = int(self._specs["house"][env])
        source = self._plans[house].source if self._plans else f"house {house}"
        raise ConformanceError(
            f"env {env}, {source}, step {row['step']}, action {row['last_action']}: {what} "
            f"(x {row['position'][0]:.4f}, z {row['position'][2]:.4f}, yaw {row['yaw_deg']:.2f}, "
            f"spec {self._specs[env]})"
        )

    def _judge_step(self, actions: NDArray[np.integer[Any]], facts: NDArray[np.void]) -> None:
        before = self._facts
        self._require(facts["step"] == before["step"] + 1, "step did not grow by one", facts)
        acted = self._sim_actions[actions]
        self._require(facts["last_action"] == acted, "another action is reported", facts)
        for name in ("rooms_seen", "rooms_reported"):
            lost = before[name] & ~facts[name]
            self._require(lost == 0, f"{name} lost a room", facts)
        way = np.hypot(*(facts["position"] - before["position"])[:, [0, 2]].T)
        grown = facts["travelled"] - before["travelled"]
        is_same = np.abs(grown - way) < _ROUNDING + 1e-5 * facts["travelled"]
        self._require(is_same, "travelled is not the way walked", facts)

    def _judge_failures(self, frames: NDArray[np.uint8], facts: NDArray[np.void]) -> None:
        failed = (facts["last_action_success"] == 0) & (facts["picked_up"] == 0)
        if not failed.any():
            return
        for name in facts.dtype.names or ():
            if name in BOOKKEEPING:
                continue
            now, then = facts[name][failed], self._facts[name][failed]
            if now.tobytes() != then.tobytes():
                same = np.ones(len(facts), np.bool_)
                same[failed] = (now == then).reshape(len(now), -1).all(axis=1)
                self._require(same, f"a failed action changed {name}", facts)
        same = np.ones(len(facts), np.bool_)
        same[failed] = (frames[failed] == self._frames[failed]).all(axis=(1, 2, 3, 4))
        self._require(same, "a failed action changed the frame", facts)

    def _judge(self, facts: NDArray[np.void]) -> None:
        self._judge_ranges(facts)
        self._judge_rooms(facts)
        self._judge_distances(facts)
        if self._worlds is not None:
            for env in range(len(facts)):
                self._judge_place(self._worlds, env, facts)

    def _judge_ranges(self, facts: NDArray[np.void]) -> None:
        for name in facts.dtype.names or ():
            if facts.dtype[name].base.kind == "f":
                self._require(np.isfinite(facts[name]), f"{name} is not finite", facts)
        for name in _FLAGS:
            self._require(facts[name] <= 1, f"{name} is neither 0 nor 1", facts)
        yaw = facts["yaw_deg"]
        self._require((yaw >= 0.0) & (yaw < 360.0), "yaw_deg is outside [0, 360)", facts)
        for name in ("house", "robot", "task", "goal", "max_steps", "num_targets", "target_rooms"):
            self._require(facts[name] == self._specs[name], f"{name} is not the spec's", facts)
        left = np.where(facts["max_steps"] > 0, facts["max_steps"] - facts["step"], -1)
        self._require(facts["time_left"] == left, "time_left is not what is left", facts)
        for name in ("target_bearing_deg", "path_bearing_deg"):
            turn = facts[name]
            self._require((turn > -180.0) & (turn <= 180.0), f"{name} is no bearing", facts)

    def _judge_rooms(self, facts: NDArray[np.void]) -> None:
        seen, room, count = facts["rooms_seen"], facts["room"], facts["num_rooms"]
        self._require((room >= -1) & (room < count), "room is none of the house's", facts)
        bit = np.where(room >= 0, room, 64).astype(np.uint64)
        known = np.where(room >= 0, (seen >> np.minimum(bit, np.uint64(63))) & np.uint64(1), 1)
        self._require((known == 1) | (room >= 64), "the present room is not seen", facts)
        beyond = np.where(count < 64, seen >> np.minimum(count, 63).astype(np.uint64), 0)
        self._require(beyond == 0, "rooms_seen has a room that does not exist", facts)
        self._require(facts["rooms_reported"] & ~seen == 0, "an unseen room is reported", facts)
        number = np.array([int(bits).bit_count() for bits in seen])
        self._require(facts["rooms_left"] == count - number, "rooms_left is not the rest", facts)

    def _judge_distances(self, facts: NDArray[np.void]) -> None:
        slot = np.arange(facts["distance"].shape[1]) < facts["num_targets"][:, None]
        distance = np.where(slot, facts["distance"], np.inf)
        self._require((distance >= 0.0), "a target's distance is negative", facts)
        self._require(np.where(slot, -1.0, facts["distance"]) == -1.0, "no target, no -1", facts)
        nearest = np.where(slot.any(axis=1), distance.min(axis=1), -1.0)
        same = np.abs(facts["target_distance"] - nearest) < _ROUNDING
        self._require(same | (nearest == facts["target_distance"]), "not the nearest", facts)
        visible = (facts["visible"] == 1) & slot
        self._require(~visible | (distance <= _VISIBILITY), "a target is visible from afar", facts)
        self._require(
            facts["visible"].max(axis=1) == facts["target_visible"], "visible is not any", facts
        )

    def _judge_place(self, worlds: Inspectable, env: int, facts: NDArray[np.void]) -> None:
        row = facts[env]
        assert self._plans is not None
        plan = self._plans[int(row["house"])]
        robot = worlds.robots[int(row["robot"])]
        moved = worlds.moved_objects(env)
        self._judge_body(worlds, env, facts, plan, robot, moved)
        self._judge_arm(worlds, env, facts, plan, robot)
        if not moved:
            self._judge_walk(env, facts, robot)
        self._moved[env] = moved

    def _judge_body(
        self,
        worlds: Inspectable,
        env: int,
        facts: NDArray[np.void],
        plan: HousePlan,
        robot: RobotSpec,
        moved: Moved,
    ) -> None:
        row = facts[env]
        x, z, yaw = float(row["position"][0]), float(row["position"][2]), float(row["yaw_deg"])
        point = disc_centre(robot.body, x, z, yaw)
        house = worlds.houses[int(row["house"])]
        # The house's own answer knows only things at home.
        if not moved and house.blocked(x, z, yaw, make_robot(robot)):
            self._fail(env, "the robot is where House.blocked says it cannot be", facts)
        has_stayed = np.array_equal(row["position"], self._facts["position"][env])
        has_stayed &= bool(yaw == self._facts["yaw_deg"][env]) and row["step"] > 0
        has_stayed &= bool(row["held_object"] == self._facts["held_object"][env])
        if has_stayed and moved == self._moved[env]:
            return
        if plan.meets_wall(robot.body, point):
            self._fail(env, "the robot is inside a wall", facts)
        away = {index for index, _, _ in moved}
        for index in plan.met_objects(robot.body, point, away):
            self._fail(env, f"the robot is inside {plan.object_ids[index]}", facts)
        if plan.is_outside(point, _DOORWAY, max(0, int(row["room"]))):
            self._fail(env, "the robot is outside the house", facts)
        self._judge_moved(env, facts, plan, robot, moved)

    def _judge_moved(
        self,
        env: int,
        facts: NDArray[np.void],
        plan: HousePlan,
        robot: RobotSpec,
        moved: Moved,
    ) -> None:
        """What was let go may land in the robot's own place; the robot goes no deeper into it."""
        row = facts[env]
        held = int(row["held_object"])
        place = (float(row["position"][0]), float(row["position"][2]), float(row["yaw_deg"]))
        point = disc_centre(robot.body, *place)
        stood = {entry[0]: entry[1:] for entry in self._moved[env]}
        was_held = int(self._facts["held_object"][env])
        apart = {}
        for index, center, yaw in moved:
            if index == held:
                continue
            apart[index] = plan.distance_to_moved(robot.body, point, index, center, yaw)
            has_landed = index == was_held or stood.get(index) != (center, yaw)
            before = self._apart[env].get(index, np.inf)
            if not has_landed and apart[index] < min(robot.body.radius, before) - _ROUNDING:
                self._fail(env, f"the robot walked into {plan.object_ids[index]}", facts)
        self._apart[env] = apart

    def _judge_arm(
        self,
        worlds: Inspectable,
        env: int,
        facts: NDArray[np.void],
        plan: HousePlan,
        robot: RobotSpec,
    ) -> None:
        row = facts[env]
        if robot.arm is None:
            return
        for name, (low, high) in (
            ("arm_lift", robot.arm.lift),
            ("arm_extension", robot.arm.extension),
            ("wrist_yaw_deg", robot.arm.wrist_yaw),
        ):
            if not low - _ROUNDING <= row[name] <= high + _ROUNDING:
                self._fail(env, f"{name} is {row[name]}, outside {low} to {high}", facts)
        held = int(row["held_object"])
        if not -1 <= held < len(plan.object_ids) or (held >= 0 and not plan.is_pickupable(held)):
            self._fail(env, f"object {held} is held", facts)
        contacts = set(worlds.arm_contacts(env))
        # At the start an arm may be anywhere; a load is taken out of whatever it was in.
        may_be_new = row["step"] == 0 or row["picked_up"] == 1
        if not may_be_new and not contacts <= self._contacts[env]:
            new = sorted(contacts - self._contacts[env])
            self._fail(env, f"arm or load went into the solids {new}", facts)
        self._contacts[env] = contacts

    def _judge_walk(self, env: int, facts: NDArray[np.void], robot: RobotSpec) -> None:
        """A walk to the targets at home is no shorter than the straight line less the reach."""
        row = facts[env]
        walk, goal = float(row["target_geodesic"]), GOALS[int(row["goal"])]
        if walk < 0.0 and walk != -1.0:
            self._fail(env, f"target_geodesic is {walk}", facts)
        if walk < 0.0 or goal not in ("see", "hold") or row["num_targets"] == 0:
            return
        reach = _VISIBILITY
        if goal == "hold" and robot.arm is not None:
            arm = robot.arm
            reach = np.hypot(arm.base[0], arm.base[2]) + arm.extension[1]
            reach += arm.hand_length + arm.grasp_radius
        slack = reach + abs(robot.body.centre_offset) + _NEAREST_CELL + _ROUNDING
        if walk < float(row["target_distance"]) - slack:
            self._fail(env, f"a walk of {walk} m to {row['target_distance']} m away", facts)
