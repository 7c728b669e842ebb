"""Sensors against plain rereadings."""

import numpy as np

from flare.data.sensors import RoomMemory, motion_sensors, target_boxes, target_sensors
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


def strict(pixels, bearing, face):
    """hypothetical_task_success of a target 1.5 m away in a 224-pixel image."""
    facts = np.zeros(1, FACTS_DTYPE)
    facts["visible"][0, 0], facts["distance"], facts["yaw_deg"] = 1, -1, 350.0
    facts["distance"][0, 0] = 1.5
    centers = np.zeros((1, MAX_TARGETS, 3))
    angle = np.radians(350.0 + bearing)
    centers[0, 0] = 1.5 * np.sin(angle), 1.0, 1.5 * np.cos(angle)
    counts = np.zeros((1, MAX_TARGETS), np.int64)
    counts[0, 0] = pixels
    boxes = [np.full((1, MAX_TARGETS, 4), 5.0, np.float32)] * 2
    faces = np.full((1, MAX_TARGETS), face)
    return target_sensors(facts, centers, faces, boxes, counts, np.array([True]), 224)


def test_strict_success_asks_for_aim_and_size():
    assert strict(250, 9.0, 0.01)["hypothetical_task_success"] == 1
    assert strict(250, 11.0, 0.01)["hypothetical_task_success"] == 0
    assert strict(199, 0.0, 0.001)["hypothetical_task_success"] == 0
    assert strict(250, 0.0, 0.04)["hypothetical_task_success"] == 0  # 15000 * 0.04 = 600 px
    assert strict(1000, 0.0, 9.0)["hypothetical_task_success"] == 1  # never more than 1000
    sensors = strict(250, -20.0, 0.01)
    np.testing.assert_allclose(sensors["minimum_visible_target_alignment"], 20.0, atol=1e-4)
    assert sensors["visible_target_4m_count"] == 1
    nav = sensors["nav_accurate_object_bbox"]
    assert nav[0, 0].tolist() == [5.0] * 4 and (nav[0, 1:] == -1).all()  # others are not near


def test_the_first_row_knows_no_action():
    rows = np.zeros(1, FACTS_DTYPE)
    rows["last_action"], rows["held_object"] = -1, -1
    sensors = motion_sensors(rows, np.ones(1, np.bool_))
    assert sensors["last_action_success"].item() == -1
    assert sensors["last_action_is_random"].item() == -1
    assert not sensors["last_action_str"].any()
    assert sensors["an_object_is_in_hand"].item() == 0
