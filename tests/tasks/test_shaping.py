"""Rewards against numbers computed by the original's own code, step by step."""

import json

import numpy as np
import pytest

from flare.tasks.mixture import Shaping, TaskMixture
from flare.tasks.registry import TAGS, TASKS
from flare.tasks.rewards import RewardConfig
from flare.tasks.shaping import ShapingMemory
from tests.tasks.facts_rows import EXACT_DTYPE, rows

CONFIGS = ("released", "penalty_without_shaping", "shaped")


@pytest.fixture(scope="module")
def golden(shared_dir):
    return json.loads((shared_dir / "golden" / "rewards.json").read_text())


def reward_config(golden, name):
    values = golden["configs"][name]
    return RewardConfig(
        step_penalty=values["step_penalty"],
        goal_success=values["goal_success_reward"],
        failed_stop=values["failed_stop_reward"],
        reached_horizon=values["reached_horizon_reward"],
        shaping_weight=values["shaping_weight"],
        failed_action_penalty=values["failed_action_penalty"],
    )


def play(task, start, steps, reached):
    """Reward of each step; ``reached`` stands in for the success of a step's done."""
    memory, row, rewards = ShapingMemory.create(1), np.array([0]), []
    memory.begin(row, task.distance(start))
    for facts, success in zip(steps, reached, strict=True):
        done = task.judge(facts)
        outcome = task.reward.of_outcome(done.terminated, done.truncated, np.array([success]))
        shaped = task.shape(memory, row, facts) if task.reward.shaping_weight else 0.0
        rewards.append(float((outcome + shaped)[0]))
    return rewards


def episode_rows(case, name, field, **fields):
    """The start's row and one row a step of a golden episode."""
    episode = case["episode"]
    count = episode["length"]
    last = "done" if episode["ends_with_done"] else "move_ahead"
    facts = rows(
        count, name, ["move_ahead"] * (count - 1) + [last], EXACT_DTYPE, step=range(1, count + 1),
        last_action_success=episode["last_action_success"],
        **{field: episode["distances"]}, **fields,
    )  # fmt: skip
    start = rows(1, name, dtype=EXACT_DTYPE, **{field: episode["distance_before_first_step"]})
    return start, [facts[i : i + 1] for i in range(count)]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("number", range(5))
def test_object_nav(golden, config, number):
    case = golden["object_nav"][number]
    episode = case["episode"]
    task = TASKS["ObjectNav"](max_steps=episode["max_steps"], reward=reward_config(golden, config))
    start, steps = episode_rows(case, "ObjectNav", "target_distance_3d")
    success = [False] * (len(steps) - 1) + [episode["success"]]
    wanted = case["results"][config]["rewards"]
    np.testing.assert_allclose(play(task, start, steps, success), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("name", ["Fetch", "PickUp"])
def test_fetch_and_pick_up(golden, config, number, name):
    case = golden["fetch"][number]
    episode = case["episode"]
    task = TASKS[name](max_steps=episode["max_steps"], reward=reward_config(golden, config))
    hand = {"target_in_reach": episode["sphere_hit"], "holds_target": episode["held"]}
    start, steps = episode_rows(case, name, "target_hand_distance", **hand)
    success = [False] * (len(steps) - 1) + [episode["success"]]
    wanted = case["results"][config]["rewards"]
    np.testing.assert_allclose(play(task, start, steps, success), wanted, rtol=0, atol=1e-12)


def test_room_visit(golden):
    case = golden["room_visit_shaping"]
    task = TASKS["RoomVisit"](reward=RewardConfig(shaping_weight=case["shaping_weight"]))
    memory, row = ShapingMemory.create(1, grid_size=0.25), np.array([0])
    memory.begin(row, np.zeros(1))
    rewards = []
    for agent, room, report in zip(
        case["agent"], case["room"], case["sub_done_success"], strict=True
    ):
        action = "move_ahead" if report is None else "sub_done"
        position = [agent["x"], agent["y"], agent["z"]]
        facts = rows(
            1, "RoomVisit", action, EXACT_DTYPE, position=position, room="ab".index(room),
            sub_done_success=bool(report),
        )  # fmt: skip
        rewards.append(task.shape(memory, row, facts)[0])
    np.testing.assert_allclose(rewards, case["rewards"], rtol=0, atol=1e-12)


def test_room_nav_pays_progress_and_no_failed_action():
    reward = RewardConfig(shaping_weight=2.0, failed_action_penalty=-1.0)
    task = TASKS["RoomNav"](reward=reward)
    steps = [rows(1, "RoomNav", dtype=EXACT_DTYPE, room_distance=d) for d in (4.0, 4.5, 3.5)]
    start = rows(1, "RoomNav", dtype=EXACT_DTYPE, room_distance=5.0)
    assert play(task, start, steps, [False] * 3) == [2.0, 0.0, 1.0]


def test_each_world_remembers_its_own_episode_and_a_new_one_forgets():
    names = ("ObjectNav", "RoomNav")
    reward = RewardConfig(shaping_weight=1.0)
    mixture = TaskMixture.of(*(TASKS[name](reward=reward) for name in names))
    shaping = Shaping(mixture, 2)
    tags = [TAGS[name] for name in names]

    def facts(distance, room_distance):
        both = rows(2, target_distance_3d=distance, room_distance=room_distance)
        both["task"], both["last_action_success"] = tags, 1
        return both

    shaping.begin(np.array([0, 1]), facts(5.0, 8.0))
    assert shaping.reward(facts(4.0, 7.5)).tolist() == [1.0, 0.5]
    saved = shaping.state_dict()
    assert shaping.reward(facts(3.0, 7.5)).tolist() == [1.0, 0.0]
    other = Shaping(mixture, 2)
    other.load_state_dict(saved)
    assert other.reward(facts(3.0, 7.5)).tolist() == [1.0, 0.0]
    shaping.begin(np.array([0]), facts(9.0, 9.0))
    assert shaping.reward(facts(8.5, 7.0)).tolist() == [0.5, 0.5]


def test_without_weight_nothing_is_remembered():
    shaping = Shaping(TaskMixture.of(TASKS["ObjectNav"]()), 4)
    assert shaping.state_dict() == {}
    assert not shaping.reward(rows(4)).any()


def test_places_on_both_sides_of_a_large_house_are_told_apart():
    memory, row = ShapingMemory.create(1), np.array([0])
    visits = [memory.first_visit(row, np.array([x]), np.array([0.0]))[0] for x in (0, 37, 0, -0.2)]
    assert visits == [True, True, False, True]
