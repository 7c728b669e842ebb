"""Gymnasium's own checkers and conventions, for every task."""

import subprocess
import sys

import numpy as np
import pytest

from flare.tasks.registry import TASK_NAMES

gymnasium = pytest.importorskip("gymnasium", reason="pip install 'flare-rl[gym]'")

from gymnasium.utils import env_checker  # noqa: E402 (only with gymnasium)
from gymnasium.wrappers import vector as wrappers  # noqa: E402

from flare.gym import ENV_IDS  # noqa: E402

SMALL = {"num_houses": 3, "width": 28, "height": 16, "num_threads": 1}


@pytest.mark.parametrize("task", TASK_NAMES)
def test_single_env_passes_gymnasiums_checker(task):
    env = gymnasium.make(f"flare/{task}-v0", **SMALL)
    env_checker.check_env(env.unwrapped, skip_render_check=task != "Fetch")
    env.close()


@pytest.mark.parametrize("task", TASK_NAMES)
def test_vector_env_is_native_and_stays_in_its_spaces(task):
    envs = gymnasium.make_vec(f"flare/{task}-v0", num_envs=3, **SMALL)
    assert type(envs.unwrapped).__name__ == "FlareVectorEnv"
    assert envs.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.NEXT_STEP
    observation, info = envs.reset(seed=5)
    assert observation in envs.observation_space
    envs.action_space.seed(0)
    for _ in range(4):
        actions = envs.action_space.sample()
        observation, reward, terminated, truncated, info = envs.step(actions)
        assert observation in envs.observation_space
        assert (reward.dtype, reward.shape) == (np.float64, (3,))
        assert terminated.dtype == truncated.dtype == np.bool_
        assert info["facts"]["position"].shape == (3, 3)
    assert observation["frames"].any()
    envs.close()


def test_every_task_is_registered_and_the_module_need_not_be_imported():
    assert len(ENV_IDS) == 10
    assert set(ENV_IDS) <= set(gymnasium.registry)
    code = (
        "import gymnasium as g; "
        "e = g.make('flare.gym:flare/RoomNav-v0', num_houses=1, width=16, height=16); "
        "print(e.reset(seed=0)[0]['frames'].shape)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "(1, 16, 16, 3)", answer.stderr


def test_gymnasiums_vector_wrappers_understand_the_infos():
    envs = gymnasium.make_vec(
        "flare/ObjectNav-v0", num_envs=3, autoreset_mode="SameStep", seed=1, **SMALL
    )
    done = envs.unwrapped.action_names.index("done")
    envs = wrappers.DictInfoToList(wrappers.RecordEpisodeStatistics(envs))
    envs.reset()
    turn = (done + 1) % 7
    infos = envs.step(np.array([turn, done, turn]))[-1]
    assert [info.get("episode", {}).get("l") for info in infos] == [None, 1, None]
    assert [("final_obs" in info) for info in infos] == [False, True, False]
    assert infos[1]["final_info"]["facts"]["step"] == 1
    assert infos[1]["facts"]["step"] == 0
    assert infos[0]["facts"]["step"] == 1
