"""time_step and traj_index against the values that the original's sensors emit."""

import json

import numpy as np
import pytest

from flare.tasks.episode_sensors import EpisodeSensors


@pytest.fixture(scope="module")
def golden(shared_dir):
    return json.loads((shared_dir / "golden" / "episode_sensors.json").read_text())


def emitted(case, *, compat):
    """[episode, step, time_step, traj_index] of every observation that an action answers."""
    sensors = EpisodeSensors.create(1, compat=compat, traj_max_index=case["traj_max_idx"])
    out = []
    for episode, length in enumerate(case["episode_lengths"]):
        if episode > 0:
            by_limit = case["ended_by"][episode - 1] == "limit"
            sensors.begin(np.array([0]), np.array([by_limit]))
        for step in range(length):
            if step > 0:
                sensors.advance(np.array([step]))
            out.append([episode, step, int(sensors.time_step[0]), int(sensors.traj_index[0])])
    return out


@pytest.mark.parametrize("number", [0, 1])
def test_compat_is_the_originals_off_by_one(golden, number):
    case = golden[number]
    assert emitted(case, compat=True) == [row[:4] for row in case["rows"]]


@pytest.mark.parametrize("number", [0, 1])
def test_by_default_every_episode_counts_from_zero_with_a_new_index(golden, number):
    case = golden[number]
    for episode, step, time_step, traj_index in emitted(case, compat=False):
        assert time_step == step
        assert traj_index == episode % case["traj_max_idx"]


def test_other_worlds_are_left_alone():
    sensors = EpisodeSensors.create(3)
    sensors.advance(np.array([4, 5, 6]))
    sensors.begin(np.array([1]), np.array([False]))
    assert sensors.time_step.tolist() == [4, 0, 6]
    assert sensors.traj_index.tolist() == [0, 1, 0]
