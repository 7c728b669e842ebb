"""Episodes played in real embedded worlds: every one once, whoever shares the work."""

import json

import numpy as np
import pytest

from flare.houses.generator import GeneratorConfig, generate_house
from flare.rollout.player import ExpertActor, play_episodes
from flare.specs import CameraSpec
from flare.tasks.mixture import TaskMixture
from flare.tasks.object_nav import ObjectNav
from flare.tasks.sampler import EpisodeSampler, SamplerConfig
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, load_house

CAMERA = CameraSpec(width=42, height=24)
TYPES = ("Bed", "Sofa")


@pytest.fixture(scope="module")
def houses():
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=TYPES, num_goal_types=2)
    documents = [generate_house(0, "train", i, config) for i in range(3)]
    return [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]


def play(houses, num_envs, count=10, actor=None, max_steps=100):
    worlds = EmbeddedWorlds(houses, num_envs=num_envs, num_threads=1, camera=CAMERA)
    mixture = TaskMixture.of(ObjectNav(max_steps=max_steps))
    config = SamplerConfig(target_types=TYPES)
    sampler = EpisodeSampler(houses, mixture, EPISODE_DTYPE, config, 5)
    episodes = sampler.sample(np.zeros(count, np.int64), np.arange(count))
    return play_episodes(
        worlds,
        mixture,
        episodes,
        actor(worlds) if actor else ExpertActor(worlds),
        num_actions=len(worlds.action_names),
    )


def test_every_episode_is_played_once_in_list_order(houses):
    played = play(houses, num_envs=4)
    assert [record.episode for record in played] == list(range(10))
    assert sum(record.success for record in played) >= 9  # the expert's own rate is tested apart


@pytest.mark.parametrize("num_envs", [1, 3, 16])
def test_the_results_do_not_depend_on_the_number_of_worlds(houses, num_envs):
    for ours, theirs in zip(play(houses, 4), play(houses, num_envs), strict=True):
        assert (ours.success, ours.length, ours.end) == (theirs.success, theirs.length, theirs.end)
        np.testing.assert_array_equal(ours.trajectory, theirs.trajectory)
        np.testing.assert_array_equal(ours.actions, theirs.actions)


class Spinner:
    """Turns right and never says done."""

    def __init__(self, worlds):
        self._right = worlds.action_names.index("rotate_right")

    def begin(self, worlds, episodes):
        pass

    def act(self, view):
        return np.full(len(view.episode), self._right)


def test_an_episode_without_done_ends_at_the_limit_and_fails(houses):
    for record in play(houses, 4, actor=Spinner, max_steps=7):
        assert (record.end, record.length, record.success) == ("limit", 7, False)
        assert record.trajectory.shape == (8, 3)
        assert record.travelled == 0.0
        assert record.reward_sum == 0.0
