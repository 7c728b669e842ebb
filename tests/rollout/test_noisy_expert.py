"""What noise does to the expert's actions."""

import json
from dataclasses import replace

import numpy as np
import pytest

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.errors import UserError
from flare.houses.generator import GeneratorConfig, generate_house
from flare.imitation.demonstrations import collect_demonstrations
from flare.rollout.noisy_expert import NoisyExpert
from flare.rollout.player import play_episodes
from flare.specs import CameraSpec
from flare.worlds.embedded import load_house

TASKS = TaskConfig(names=("ObjectNav", "PickUp", "RoomVisit"), max_steps=200)


@pytest.fixture(scope="module")
def houses():
    goals = ("Bed", "Mug", "Apple")
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=goals, num_goal_types=3)
    documents = [generate_house(0, "train", i, config) for i in range(2)]
    return [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]


def make(houses, tasks=TASKS, num_envs=4):
    world = WorldConfig(
        num_envs=num_envs, num_threads=1, camera=CameraSpec(width=42, height=24, num_cameras=2)
    )
    return make_worlds(houses, world.for_tasks(tasks.build())), make_sampler(houses, tasks, 3)


def played(houses, share, num_envs=4):
    worlds, sampler = make(houses, num_envs=num_envs)
    episodes = sampler.sample(np.zeros(30, np.int64), np.arange(30))
    expert = NoisyExpert(worlds, sampler.mixture, episodes, share)
    rows = []

    def keep(view, actions):
        for world in np.flatnonzero(view.episode >= 0):
            task = str(sampler.mixture.task_of(int(view.facts["task"][world])).name)
            rows.append((int(view.episode[world]), int(view.time_step[world]), task,
                         int(expert.wanted[world]), int(actions[world]),
                         bool(expert.is_random[world])))  # fmt: skip

    records = play_episodes(worlds, sampler.mixture, episodes, expert, num_actions=20, on_step=keep)
    return sorted(rows), records, worlds.action_names


def test_a_share_is_random_and_the_rest_the_experts(houses):
    rows, records, names = played(houses, 0.25)
    assert np.mean([record.success for record in records]) > 0.9
    ends = [row for row in rows if names[row[3]] == "done"]
    assert ends and not any(row[5] for row in ends)
    others = [row for row in rows if names[row[3]] != "done"]
    share = np.mean([row[5] for row in others])
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(others))
    assert all(wanted == done for *_, wanted, done, is_random in rows if not is_random)
    drawn = {
        task: {names[row[4]] for row in rows if row[2] == task and row[5]} for task in TASKS.names
    }
    arm = {"move_arm_in", "move_arm_out", "move_arm_up", "move_arm_down"}
    assert not drawn["ObjectNav"] & (arm | {"sub_done", "pickup"})
    assert arm <= drawn["PickUp"] and "pickup" in drawn["PickUp"]
    assert "sub_done" in drawn["RoomVisit"] and "sub_done" not in drawn["PickUp"]
    assert not set().union(*drawn.values()) & {"done", "dropoff", "wrist_open", "wrist_close"}


def test_noise_belongs_to_the_episode_not_to_the_world(houses):
    assert played(houses, 0.25)[0] == played(houses, 0.25, num_envs=1)[0]


def test_demonstrations_hold_what_was_wanted_beside_what_was_done(houses):
    pick = replace(TASKS, names=("PickUp",))
    worlds, sampler = make(houses, pick)
    whole = collect_demonstrations(worlds, sampler, 8, noise=0.2).demonstrations
    whole.check()
    differs = whole.actions != whole.expert_actions
    assert 0.1 < differs.mean() < 0.3
    ends = whole.offsets[1:] - 1
    assert not differs[ends].any()
    # A list that is played in pieces is the same list.
    parts = [
        collect_demonstrations(worlds, sampler, 4, first=first, noise=0.2).demonstrations
        for first in (0, 4)
    ]
    joined = np.concatenate([part.actions for part in parts])
    np.testing.assert_array_equal(joined, whole.actions)
    plain = collect_demonstrations(worlds, sampler, 8).demonstrations
    np.testing.assert_array_equal(plain.actions, plain.expert_actions)


def test_all_noise_is_refused(houses):
    worlds, sampler = make(houses)
    with pytest.raises(UserError, match="noise"):
        collect_demonstrations(worlds, sampler, 1, noise=1.0)
