"""Every task's rule, hand-computed on fabricated rows, and what the registry promises."""

import numpy as np
import pytest

from flare.errors import UserError
from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS
from flare.tasks.hold import PICKUP_TYPES
from flare.tasks.registry import TASK_NAMES, TASKS, check_name
from tests.tasks.facts_rows import rows

SEEING = [name for name in TASK_NAMES if name.startswith("Obj")]


def succeeds(task, **fields):
    facts = rows(task=task, action="done", step=7, **fields)
    judged = TASKS[task]().judge(facts)
    assert judged.terminated[0]
    return bool(judged.success[0])


def test_the_ten_tasks_and_their_order_which_files_depend_on():
    assert TASK_NAMES == (
        "ObjectNav", "PickUp", "Fetch", "RoomVisit", "RoomNav", "ObjNavRelAttribute",
        "ObjNavAffordance", "ObjNavRoom", "ObjNavLocalRef", "ObjNavDescription",
    )  # fmt: skip


@pytest.mark.parametrize("task", SEEING)
def test_seeing_a_target_decides_the_object_nav_family(task):
    assert succeeds(task, target_visible=1)
    assert not succeeds(task, target_in_view=1, manip_target_visible=1, holds_target=1)


@pytest.mark.parametrize("task", ["PickUp", "Fetch"])
def test_holding_a_target_decides_pick_up_and_fetch(task):
    assert succeeds(task, holds_target=1)
    assert not succeeds(task, held_object=3, target_visible=1, target_in_reach=1)


def test_the_agents_room_decides_room_nav():
    assert succeeds("RoomNav", in_target_room=1)
    assert not succeeds("RoomNav", rooms_seen=0b11, target_rooms=0b10, room=0)


def test_the_number_of_reported_rooms_decides_room_visit():
    assert succeeds("RoomVisit", num_rooms=3, rooms_reported=0b111)
    assert not succeeds("RoomVisit", num_rooms=3, rooms_reported=0b101, rooms_seen=0b111)
    everything = np.uint64(2**64 - 1)
    assert succeeds("RoomVisit", num_rooms=64, rooms_reported=everything)


@pytest.mark.parametrize("name", TASK_NAMES)
def test_limits_are_the_originals(name):
    task = TASKS[name]()
    assert task.max_steps == 500
    assert task.evaluation_steps == (1000 if name == "RoomVisit" else 600)
    assert not task.judge(rows(task=name, step=499)).truncated[0]
    assert task.judge(rows(task=name, step=500)).truncated[0]


@pytest.mark.parametrize("name", TASK_NAMES)
def test_actions_are_those_the_task_needs(name):
    needs = set(TASKS[name].actions) - set(NAVIGATION_ACTIONS)
    if name in ("PickUp", "Fetch"):
        assert TASKS[name].actions == ACTION_NAMES
    else:
        assert needs == ({"sub_done"} if name == "RoomVisit" else set())


def test_metrics_of_room_visit():
    fact = rows(task="RoomVisit", num_rooms=4, rooms_seen=0b0111, rooms_reported=0b0011)[0]
    actions = ("sub_done", "move_ahead", "sub_done", "sub_done", "done")
    assert TASKS["RoomVisit"]().metrics(fact, actions) == {
        "rooms_visited": 3, "share_of_rooms_visited": 0.75, "rooms_reported": 2, "reports": 3,
        "report_accuracy": 2 / 3,
    }  # fmt: skip


def test_metrics_of_a_failed_fetch_say_whether_pickup_was_tried():
    fact = rows(task="Fetch", num_rooms=2, rooms_seen=1, held_object=5)[0]
    metrics = TASKS["Fetch"]().metrics(fact, ("pickup", "pickup", "done"))
    assert metrics["pickups_tried"] == 2
    assert (metrics["holds_target"], metrics["holds_anything"]) == (0, 1)


def test_eight_of_the_benchmarks_types_can_be_picked_up():
    assert len(PICKUP_TYPES) == 8 and sorted(PICKUP_TYPES) == list(PICKUP_TYPES)


def test_an_unknown_task_is_refused_with_the_choice():
    with pytest.raises(UserError, match=r"task\.names.*Fetch"):
        check_name("Cook", "task.names")
