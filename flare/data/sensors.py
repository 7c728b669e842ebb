"""The sensors of the published trajectories, computed from facts and instance ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.data.layout import ACTION_BYTES, encode_text
from flare.specs import ACTION_NAMES
from flare.tasks.room_sets import contains_room, count_rooms, room_bit
from flare.tasks.scene import MAX_TARGETS

Rows = NDArray[Any]

# Joint heights of the wrist over what lift and extension measure (StretchState's constants).
_WRIST_UP, _WRIST_OUT = 0.07367 + 0.0243, -0.25946 + 0.0163  # m
_NEAR = 4.0  # m, how far the boxes and the count of visible targets reach
# The strict success of hypothetical_task_success.
_AIMED_DEG = 10.0
_FEWEST_PIXELS, _MOST_PIXELS, _PIXELS_PER_M2, _AT_AREA = 200.0, 1000.0, 15000.0, 224.0**2
_ARM_DEG, _FREE_TOP = 90.0, 0.1  # of the manipulation camera: its heading, rows without the target
_MASK_DIVISIONS = 7  # points of GetApproxObjectMask along each side of an object's rectangle

_ACTION_ROWS = np.stack([encode_text(name, ACTION_BYTES) for name in (*ACTION_NAMES, "")])
BOX_FIELDS = ("min_rows", "max_rows", "min_cols", "max_cols")
BOX_SENSORS = (
    ("nav_task_relevant_object_bbox", "nav_accurate_object_bbox"),
    ("manip_task_relevant_object_bbox", "manip_accurate_object_bbox"),
)

# name -> shape of a row and dtype
SENSORS: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
    "last_action_success": ((1,), np.int64),  # -1 before any action
    "last_action_is_random": ((1,), np.int64),  # -1 before any action
    "last_agent_location": ((6,), np.float64),  # x, y, z m; rotations about them, degrees
    "last_action_str": ((ACTION_BYTES,), np.uint8),
    "house_index": ((), np.int64),
    "hypothetical_task_success": ((1,), np.int64),
    "minimum_visible_target_alignment": ((1,), np.float64),  # degrees, -1 without
    "visible_target_4m_count": ((1,), np.int64),
    "minimum_l2_target_distance": ((1,), np.float64),  # m, -1 without
    "room_current_seen": ((), np.bool_),
    "rooms_seen": ((), np.int64),  # entered and left
    "an_object_is_in_hand": ((1,), np.int64),
    "relative_arm_location_metadata": ((4,), np.float64),  # wrist x, y, z m; yaw degrees
}


def motion_sensors(facts: Rows, is_random: NDArray[np.bool_]) -> dict[str, Rows]:
    """Sensors that facts [n] and is_random [n], of the last actions, tell; rows as SENSORS says."""
    has_acted = facts["last_action"] >= 0
    success = facts["last_action_success"].astype(np.int64)
    place = np.zeros((len(facts), 6))
    place[:, :3], place[:, 4] = facts["position"], facts["yaw_deg"]
    arm = np.zeros((len(facts), 4))
    arm[:, 1] = facts["arm_lift"] + _WRIST_UP
    arm[:, 2] = facts["arm_extension"] + _WRIST_OUT
    arm[:, 3] = facts["wrist_yaw_deg"]
    return {
        "last_action_success": np.where(has_acted, success, -1)[:, None],
        "last_action_is_random": np.where(has_acted, is_random, -1)[:, None],
        "last_agent_location": place,
        "last_action_str": _ACTION_ROWS[facts["last_action"]],
        "house_index": facts["house"],
        "minimum_l2_target_distance": facts["target_distance_3d"][:, None],
        "an_object_is_in_hand": (facts["held_object"] >= 0)[:, None],
        "relative_arm_location_metadata": arm,
    }


class RoomMemory:
    """Rooms that N agents have entered and left."""

    def __init__(self, num_envs: int) -> None:
        self._left = np.zeros(num_envs, np.uint64)
        self._room = np.full(num_envs, -1, np.int64)  # the last one they were in

    def update(self, envs: NDArray[np.int64], facts: Rows) -> dict[str, Rows]:
        """Sensors of the rows ``facts`` [n], which belong to these of the N envs."""
        before, now = self._room[envs], facts["room"].astype(np.int64)
        before = np.where(facts["step"] == 0, -1, before)
        left = np.where(facts["step"] == 0, np.uint64(0), self._left[envs])
        has_moved = (now >= 0) & (before >= 0) & (now != before)
        left |= np.where(has_moved, room_bit(before), np.uint64(0))
        self._left[envs], self._room[envs] = left, np.where(now >= 0, now, before)
        return {
            "room_current_seen": contains_room(left, now),
            "rooms_seen": count_rooms(left),
        }


def target_boxes(
    ids: NDArray[np.uint16], slots: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes around targets in instance images.

    Args:
        ids: [n, H, W] as EmbeddedWorlds.render draws them.
        slots: [n, S] for each id below S: 1 + which target it is, 0 for none.

    Returns: [n, MAX_TARGETS, 4] float32 first and last row, first and last column, px, -1 where a
        target is not in the image; [n, MAX_TARGETS] its pixels.
    """
    known = np.where(ids < slots.shape[1], ids, 0)
    which = slots[np.arange(len(ids))[:, None, None], known]
    image, row, column = np.nonzero(which)
    key = image * MAX_TARGETS + which[image, row, column] - 1
    size = len(ids) * MAX_TARGETS
    count = np.bincount(key, minlength=size)
    boxes = np.full((size, 4), -1.0, np.float32)
    boxes[count > 0, ::2] = np.inf
    for first, values in ((0, row), (2, column)):
        np.minimum.at(boxes[:, first], key, values.astype(np.float32))
        np.maximum.at(boxes[:, first + 1], key, values.astype(np.float32))
    return boxes.reshape(-1, MAX_TARGETS, 4), count.reshape(-1, MAX_TARGETS)


def approximate_boxes(
    ids: NDArray[np.uint16], slots: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Boxes around the points of a coarse grid, 7 x 7 over each target's rectangle, that hit it.

    What AI2-THOR's GetApproxObjectMask tells of an object; -1 where no point hits.

    Args:
        ids: [n, H, W] as EmbeddedWorlds.render draws them.
        slots: [n, S] as target_boxes has them.
        boxes: [n, MAX_TARGETS, 4] of target_boxes.

    Returns: [n, MAX_TARGETS, 4] float32, as target_boxes.
    """
    image, target = np.nonzero(boxes[..., 0] >= 0)
    top, bottom, left, right = boxes[image, target].astype(np.int64).T[:, :, None]
    middles = 2 * np.arange(_MASK_DIVISIONS) + 1
    rows = top + middles * (bottom + 1 - top) // (2 * _MASK_DIVISIONS)  # [m, 7]
    columns = left + middles * (right + 1 - left) // (2 * _MASK_DIVISIONS)
    found = ids[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    known = np.where(found < slots.shape[1], found, 0)
    hits = slots[image[:, None, None], known] == target[:, None, None] + 1  # [m, 7, 7]
    out = np.full_like(boxes, -1.0)
    for axis, places, first in ((2, rows, 0), (1, columns, 2)):
        is_hit = hits.any(axis)
        low = np.where(is_hit, places, np.iinfo(np.int64).max).min(1)
        high = np.where(is_hit, places, -1).max(1)
        out[image, target, first] = np.where(is_hit.any(1), low, -1)
        out[image, target, first + 1] = high
    return out


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The targets in one camera's images."""

    boxes: NDArray[np.float32]  # [n, MAX_TARGETS, 4] as target_boxes
    approximate: NDArray[np.float32]  # [n, MAX_TARGETS, 4] as approximate_boxes
    pixels: NDArray[np.int64]  # [n, MAX_TARGETS]


def target_sensors(
    facts: Rows,
    centers: NDArray[np.float64],
    faces: NDArray[np.float64],
    seen: Sequence[Seen],
    reached: NDArray[np.bool_],
    image_height: int,
) -> dict[str, Rows]:
    """Sensors about the targets.

    Args:
        facts: [n].
        centers: [n, MAX_TARGETS, 3] m, of the targets now.
        faces: [n, MAX_TARGETS] m², the largest side of each target's box.
        seen: by the navigation camera and by the manipulation camera.
        reached: [n] whether ``done`` would be right.
        image_height: px.

    Returns: rows as SENSORS says, and under the names of BOX_SENSORS [n, MAX_TARGETS, 4].
    """
    visible = facts["visible"] != 0
    error = _heading_error(facts, centers, 0.0)
    smallest = np.where(visible, error, np.inf).min(axis=1)
    is_near = (facts["distance"] >= 0) & (facts["distance"] <= _NEAR)
    threshold = _PIXELS_PER_M2 * faces * image_height**2 / _AT_AREA
    navigation, manipulation = seen
    big = navigation.pixels >= np.clip(threshold, _FEWEST_PIXELS, _MOST_PIXELS)
    aimed = visible & big & (error <= _AIMED_DEG)
    by_arm = (
        (facts["manip_visible"] != 0)
        & (manipulation.pixels >= _FEWEST_PIXELS)
        & (_heading_error(facts, centers, _ARM_DEG) <= _AIMED_DEG)
        & (manipulation.boxes[..., 0] >= _FREE_TOP * image_height)
    )
    strict = np.where(facts["goal"] == 0, reached & (aimed | by_arm).any(axis=1), reached)
    sensors: dict[str, Rows] = {
        "hypothetical_task_success": strict[:, None],
        "minimum_visible_target_alignment": np.where(visible.any(1), smallest, -1.0)[:, None],
        "visible_target_4m_count": ((navigation.pixels > 0) & is_near).sum(axis=1)[:, None],
    }
    for (relevant, accurate), camera in zip(BOX_SENSORS, seen, strict=True):
        near = np.where(is_near[..., None], camera.approximate, np.float32(-1))
        sensors |= {relevant: near, accurate: camera.boxes}
    return sensors


def _heading_error(
    facts: Rows, centers: NDArray[np.float64], turned_deg: float
) -> NDArray[np.float64]:
    """[n, MAX_TARGETS] degrees, from a heading to the right of the agent's own to the targets."""
    offset = centers[..., [0, 2]] - facts["position"][:, None, [0, 2]]
    ahead = facts["yaw_deg"][:, None] + turned_deg
    bearing = np.degrees(np.arctan2(offset[..., 0], offset[..., 1])) - ahead
    error: NDArray[np.float64] = np.abs((bearing + 180.0) % 360.0 - 180.0)
    return error
