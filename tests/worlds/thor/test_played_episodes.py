"""A list of episodes in AI2-THOR: every one is played, whatever fails meanwhile."""

import os
import signal

import numpy as np
import pytest

from flare.assembly import TaskConfig
from flare.errors import UserError
from flare.replay.log import LogRecorder
from flare.rollout.player import PlayedEpisode, StepView, play_episodes
from flare.specs import ACTION_NAMES
from flare.tasks.sampler import Episodes, EpisodeSampler
from flare.testing.random_play import random_actions
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds
from flare.worlds.thor.worker_process import State
from flare.worlds.world import Worlds
from tests.worlds.thor.made_worlds import CAMERA, HOUSES, thor_worlds

pytest.importorskip("ai2thor")

TASK = TaskConfig(max_steps=12)
MIXTURE = TASK.build()
SCRIPT = random_actions(ACTION_NAMES, TASK.max_steps, 8, (5,))  # [T, E]


class Script:
    """Actions that depend on episode and step alone."""

    def begin(self, worlds, episodes):
        """Nothing to forget."""

    def act(self, view):
        return SCRIPT[view.time_step % TASK.max_steps, view.episode]


def episodes(houses: tuple[int, ...]) -> Episodes:
    sampler = EpisodeSampler(HOUSES[:2], MIXTURE, EPISODE_DTYPE, TASK.sampler, 3)
    drawn = sampler.sample(np.zeros(6, np.int64), np.arange(6))
    drawn.specs["house"] = np.array(houses)[np.arange(6) % len(houses)]
    drawn.specs["camera_noise"] = drawn.specs["randomise"] = 0
    return drawn


def play(worlds: Worlds, chosen: Episodes, on_step=None) -> tuple[list[PlayedEpisode], list]:
    recorder = LogRecorder()
    played = play_episodes(
        worlds, MIXTURE, chosen, Script(), num_actions=len(ACTION_NAMES), on_step=on_step,
        on_observation=recorder.on_observation,
    )  # fmt: skip
    lines = [
        recorder.episode(i, chosen.specs[i], "", HOUSES, None) for i in range(len(chosen.specs))
    ]
    return played, lines


def same(first: PlayedEpisode, second: PlayedEpisode) -> bool:
    names = ("episode", "success", "end", "length", "reward_sum", "collisions", "metrics")
    equal = all(getattr(first, name) == getattr(second, name) for name in names)
    return equal and np.array_equal(first.trajectory, second.trajectory)


def test_a_killed_process_changes_no_result(tmp_path):
    """The episode is played again, and its log begins again with it."""
    chosen = episodes((0, 1))
    embedded = EmbeddedWorlds(HOUSES, num_envs=2, camera=CAMERA, action_names=ACTION_NAMES)
    expected, expected_lines = play(embedded, chosen)
    with thor_worlds(tmp_path, num_spares=1) as worlds:

        def kill_once(view: StepView, _: object) -> None:
            if not worlds.failures and view.time_step[0] == 4:
                playing = [w for w in worlds.pool.workers if w.state is State.PLAYING]
                worker = next(w for w in playing if worlds.env_of(w) == 0)
                os.kill(worker.pid, signal.SIGKILL)
                os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)

        played, lines = play(worlds, chosen, kill_once)
        assert [failure.doing for failure in worlds.failures] == ["playing"]
    assert len(played) == len(expected) == 6
    assert all(same(*pair) for pair in zip(played, expected, strict=True))
    assert lines == expected_lines


def test_an_episode_that_cannot_be_played_is_named(tmp_path):
    with (
        thor_worlds(tmp_path, 1, arguments="--fault exit@CreateHouse:1=BAD") as worlds,
        pytest.raises(UserError, match=r"episode 2: cannot be played.* house 2"),
    ):
        play(worlds, episodes((0, 1, 2)))
