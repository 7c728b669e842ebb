"""Facts as numbers for a privileged critic: what the world knows and the camera may not show."""

import numpy as np
from numpy.typing import NDArray

from flare.tasks.room_sets import contains_room, count_rooms
from flare.tasks.task import Facts

_LENGTH_SCALE = 5.0  # m, brings distances in houses to about one
_REACH_SCALE = 1.0  # m, brings distances of the hand to about one
_ROOMS_SCALE = 5.0  # rooms
_GOAL_KINDS = 4  # csrc/sim/facts.hpp kNumGoals
_FLAGS = (
    "in_target_room", "sub_done_success", "manip_target_visible", "manip_target_in_view",
    "target_in_reach", "holds_target", "picked_up", "dropped",
)  # fmt: skip
NUM_PRIVILEGED = 11 + _GOAL_KINDS + len(_FLAGS) + 4 + 8


def privileged_features(facts: Facts) -> NDArray[np.float32]:
    """Features of the state for the critic.

    No clock among them: a step limit bootstraps with the value of the last observation, so values
    are those of an episode without a limit. A critic that knows the time is asked for V at a time
    that no target ever reaches, trains on its own extrapolation and diverges.

    New features are appended: a critic of an earlier version reads the first ones, those it knows.

    Args:
        facts: [...] structured rows of csrc/sim/facts.hpp.

    Returns:
        [..., NUM_PRIVILEGED] float32, all of order one.
    """
    out = np.empty((*facts.shape, NUM_PRIVILEGED), np.float32)
    geodesic = facts["target_geodesic"]
    unreachable = geodesic < 0
    out[..., 0] = np.where(unreachable, 4.0, geodesic / _LENGTH_SCALE)
    out[..., 1] = unreachable
    out[..., 2] = facts["target_distance"] / _LENGTH_SCALE
    for i, name in enumerate(("target_bearing_deg", "path_bearing_deg")):
        angle = np.deg2rad(facts[name])
        out[..., 3 + 2 * i] = np.sin(angle)
        out[..., 4 + 2 * i] = np.cos(angle)
    out[..., 7] = facts["target_visible"]
    out[..., 8] = facts["target_in_view"]
    out[..., 9] = facts["last_action_success"]
    out[..., 10] = facts["step"] == 0
    end = 11 + _GOAL_KINDS
    out[..., 11:end] = facts["goal"][..., None] == np.arange(_GOAL_KINDS)
    for i, name in enumerate(_FLAGS):
        out[..., end + i] = facts[name]
    _describe_rooms(facts, out[..., end + len(_FLAGS) :])
    _describe_hand(facts, out[..., end + len(_FLAGS) + 4 :])
    return out


def _describe_rooms(facts: Facts, out: NDArray[np.float32]) -> None:
    """Four numbers: rooms not seen, rooms not reported, whether this one is, the goal room."""
    reported = facts["rooms_reported"]
    out[..., 0] = facts["rooms_left"] / _ROOMS_SCALE
    out[..., 1] = (facts["num_rooms"] - count_rooms(reported)) / _ROOMS_SCALE
    out[..., 2] = contains_room(reported, facts["room"])
    out[..., 3] = facts["room_distance"] / _LENGTH_SCALE


def _describe_hand(facts: Facts, out: NDArray[np.float32]) -> None:
    """Eight numbers: the target's distance from hand and robot, the arm, whether it holds."""
    distance = facts["target_hand_distance"]
    # Far away the arm's reach decides nothing; the walk is told above.
    out[..., 0] = np.where(distance < 0, 2.0, np.minimum(distance / _REACH_SCALE, 2.0))
    out[..., 1] = facts["target_distance_3d"] / _LENGTH_SCALE
    out[..., 2] = facts["hand"][..., 1]
    out[..., 3] = facts["arm_lift"]
    out[..., 4] = facts["arm_extension"]
    wrist = np.deg2rad(facts["wrist_yaw_deg"])
    out[..., 5] = np.sin(wrist)
    out[..., 6] = np.cos(wrist)
    out[..., 7] = facts["held_object"] >= 0
