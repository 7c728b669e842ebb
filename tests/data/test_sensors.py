"""Sensors against plain rereadings."""

import numpy as np

from flare.data.sensors import (
    RoomMemory,
    Seen,
    approximate_boxes,
    motion_sensors,
    target_boxes,
    target_sensors,
)
from flare.tasks.scene import MAX_TARGETS
from flare.worlds.embedded import FACTS_DTYPE


def test_boxes_against_a_loop_over_pixels():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 9, (3, 12, 20)).astype(np.uint16)
    ids[rng.random(ids.shape) < 0.9] = 0
    ids[0, 0, 0] = 65535  # the robot
    slots = np.zeros((3, 7), np.uint8)  # ids 7 and 8 are of other objects than the table's
    slots[0, 3], slots[0, 5], slots[2, 1] = 1, 2, 1
    boxes, pixels = target_boxes(ids, slots)
    for image in range(3):
        for target in range(MAX_TARGETS):
            wanted = [i for i in range(7) if slots[image, i] == target + 1]
            where = np.argwhere(np.isin(ids[image], wanted)) if wanted else np.zeros((0, 2))
            assert pixels[image, target] == len(where)
            expected = [-1.0] * 4
            if len(where):
                (top, left), (bottom, right) = where.min(0), where.max(0)
                expected = [top, bottom, left, right]
            assert boxes[image, target].tolist() == expected


def test_rooms_count_when_they_were_left():
    memory = RoomMemory(2)
    rows = np.zeros(2, FACTS_DTYPE)
    seen, again = [], []
    for step, room in enumerate([3, 3, -1, 0, 3, 0]):
        rows["step"], rows["room"] = step, room
        sensors = memory.update(np.array([1, 0]), rows)
        seen.append(int(sensors["rooms_seen"][0]))
        again.append(bool(sensors["room_current_seen"][0]))
    # Room 3 is left when room 0 is entered; the wall between them is no room.
    assert seen == [0, 0, 0, 1, 2, 2]
    assert again == [False, False, False, False, True, True]
    rows["step"], rows["room"] = 0, 3
    assert memory.update(np.array([1, 0]), rows)["rooms_seen"].tolist() == [0, 0]


def seen(pixels, top=100.0):
    counts = np.zeros((1, MAX_TARGETS), np.int64)
    counts[0, 0] = pixels
    boxes = np.full((1, MAX_TARGETS, 4), top, np.float32)
    return Seen(boxes=boxes, approximate=boxes + 1, pixels=counts)


def sensors_of(nav, manip, bearing, face):
    """Of a target 1.5 m away in 224-pixel images, right of the heading by ``bearing``."""
    facts = np.zeros(1, FACTS_DTYPE)
    facts["visible"][0, 0], facts["distance"], facts["yaw_deg"] = 1, -1, 350.0
    facts["manip_visible"][0, 0], facts["distance"][0, 0] = 1, 1.5
    centers = np.zeros((1, MAX_TARGETS, 3))
    angle = np.radians(350.0 + bearing)
    centers[0, 0] = 1.5 * np.sin(angle), 1.0, 1.5 * np.cos(angle)
    faces = np.full((1, MAX_TARGETS), face)
    return target_sensors(facts, centers, faces, (nav, manip), np.array([True]), 224)


def strict(pixels, bearing, face):
    """hypothetical_task_success where the navigation camera alone sees the target."""
    return sensors_of(seen(pixels), seen(0), bearing, face)


def test_strict_success_asks_for_aim_and_size():
    assert strict(250, 9.0, 0.01)["hypothetical_task_success"] == 1
    assert strict(250, 11.0, 0.01)["hypothetical_task_success"] == 0
    assert strict(199, 0.0, 0.001)["hypothetical_task_success"] == 0
    assert strict(250, 0.0, 0.04)["hypothetical_task_success"] == 0  # 15000 * 0.04 = 600 px
    assert strict(1000, 0.0, 9.0)["hypothetical_task_success"] == 1  # never more than 1000
    sensors = strict(250, -20.0, 0.01)
    np.testing.assert_allclose(sensors["minimum_visible_target_alignment"], 20.0, atol=1e-4)
    assert sensors["visible_target_4m_count"] == 1
    near, whole = sensors["nav_task_relevant_object_bbox"], sensors["nav_accurate_object_bbox"]
    assert near[0, 0].tolist() == [101.0] * 4 and (near[0, 1:] == -1).all()  # others are not near
    assert (whole == 100.0).all()


def test_strict_success_by_the_manipulation_camera():
    """It looks to the right; 200 px do whatever the size, but not in the upper tenth."""

    def by_arm(pixels, bearing, top):
        return sensors_of(seen(0), seen(pixels, top), bearing, 9.0)["hypothetical_task_success"]

    assert by_arm(200, 81.0, 23.0) == 1
    assert by_arm(200, 79.0, 23.0) == 0
    assert by_arm(199, 90.0, 23.0) == 0
    assert by_arm(200, 90.0, 22.0) == 0  # 22.4 rows
    assert by_arm(200, 0.0, 23.0) == 0


def test_approximate_boxes_against_a_loop_over_points():
    rng = np.random.default_rng(1)
    ids = np.zeros((2, 40, 60), np.uint16)
    for image in range(2):  # discs, so that corners of rectangles miss
        for thing in range(1, 6):
            y, x, r = rng.integers(0, 40), rng.integers(0, 60), rng.integers(1, 15)
            rows, columns = np.ogrid[:40, :60]
            ids[image][(rows - y) ** 2 + (columns - x) ** 2 <= r * r] = thing
    slots = np.zeros((2, 5), np.uint8)  # id 5 is of an object beyond the table
    slots[0, 1], slots[0, 4], slots[1, 2], slots[1, 3] = 1, 2, 1, 3
    boxes, _ = target_boxes(ids, slots)
    found = approximate_boxes(ids, slots, boxes)
    smaller = 0
    for image in range(2):
        for target in range(MAX_TARGETS):
            top, bottom, left, right = (int(v) for v in boxes[image, target])
            points = [
                (y, x)
                for y in {top + (2 * k + 1) * (bottom + 1 - top) // 14 for k in range(7)}
                for x in {left + (2 * k + 1) * (right + 1 - left) // 14 for k in range(7)}
                if top >= 0
                and ids[image, y, x] < 5
                and slots[image, ids[image, y, x]] == target + 1
            ]
            expected = [-1.0] * 4
            if points:
                (low, first), (high, last) = np.min(points, 0), np.max(points, 0)
                expected = [low, high, first, last]
            assert found[image, target].tolist() == expected
            smaller += expected != boxes[image, target].tolist()
    assert smaller >= 2


def test_the_first_row_knows_no_action():
    rows = np.zeros(1, FACTS_DTYPE)
    rows["last_action"], rows["held_object"] = -1, -1
    sensors = motion_sensors(rows, np.ones(1, np.bool_))
    assert sensors["last_action_success"].item() == -1
    assert sensors["last_action_is_random"].item() == -1
    assert not sensors["last_action_str"].any()
    assert sensors["an_object_is_in_hand"].item() == 0
