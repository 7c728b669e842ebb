import numpy as np
import pytest

from flare.errors import UserError
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_house

gymnasium = pytest.importorskip("gymnasium", reason="pip install 'flare-rl[gym]'")

from flare.gym.env import FlareEnv  # noqa: E402 (only with gymnasium)
from flare.gym.vector_env import FlareVectorEnv  # noqa: E402

SMALL = {"num_houses": 2, "width": 28, "height": 16}


@pytest.fixture(scope="module")
def documents():
    return [generate_house(0, "train", i, GeneratorConfig()) for i in range(2)]


def play(envs, seed, steps=30):
    """Everything that a few steps return, flattened to bytes; actions from their own generator."""
    rng = np.random.default_rng(7)
    observation, info = envs.reset(seed=seed)
    trace = [observation["frames"].copy(), observation["instruction"], info["facts"]["position"]]
    ends = 0
    for _ in range(steps):
        actions = rng.integers(0, envs.single_action_space.n, envs.num_envs)
        observation, reward, terminated, truncated, info = envs.step(actions)
        ends += int((terminated | truncated).sum())
        trace += [observation["frames"].copy(), observation["instruction"], reward]
        trace += [observation["last_action"], terminated, info["facts"]["target_distance"]]
    return trace, ends


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_same_seed_same_bits_for_any_threads_and_copying(documents):
    runs = []
    for options in ({"num_threads": 1}, {"num_threads": 2}, {"num_threads": 1, "copy": False}):
        envs = FlareVectorEnv(4, houses=documents, mixture={"ObjectNav": 1, "RoomNav": 1},
                              **SMALL, **options)  # fmt: skip
        runs.append(play(envs, seed=3))
        again, _ = play(envs, seed=3)
        assert same(runs[-1][0], again)
        other, _ = play(envs, seed=4)
        assert not same(again, other)
        envs.close()
    assert runs[0][1] > 4  # episodes ended and others began
    assert same(runs[0][0], runs[1][0])
    assert same(runs[0][0], runs[2][0])


def test_env_zero_of_the_vector_is_the_single_env(documents):
    envs = FlareVectorEnv(2, houses=documents, autoreset_mode="SameStep", **SMALL)
    env = FlareEnv(houses=documents, **SMALL)
    for seed in (8, None):
        many, _ = envs.reset(seed=seed)
        one, info = env.reset(seed=seed)
        assert info["episode_index"] == (0 if seed else 1)
        np.testing.assert_array_equal(many["frames"][0], one["frames"])
        assert many["instruction"][0] == one["instruction"]
        for action in (0, 1, 0):
            many, rewards, *_ = envs.step(np.array([action, action]))
            one, reward, *_ = env.step(action)
            np.testing.assert_array_equal(many["frames"][0], one["frames"])
            assert rewards[0] == reward


def test_next_step_mode_ignores_the_action_after_an_end(documents):
    envs = FlareVectorEnv(2, houses=documents, **SMALL)
    done = envs.action_names.index("done")
    first, _ = envs.reset(seed=0)
    _, _, terminated, _, info = envs.step(np.array([done, 0]))
    assert terminated.tolist() == [True, False]
    assert info["episode_index"].tolist() == [0, 0]
    assert info["facts"]["step"].tolist() == [1, 1]
    second, reward, terminated, _, info = envs.step(np.array([done, 0]))
    assert (reward[0], terminated[0]) == (0.0, False)
    assert info["episode_index"].tolist() == [1, 0]
    assert info["facts"]["step"].tolist() == [0, 2]
    assert second["last_action"].tolist() == [len(envs.action_names), 0]
    assert not np.array_equal(first["frames"][0], second["frames"][0])


def test_same_step_mode_hands_over_the_last_observation(documents):
    envs = FlareVectorEnv(2, houses=documents, autoreset_mode="SameStep", **SMALL)
    done = envs.action_names.index("done")
    before, _ = envs.reset(seed=0)
    after, _, terminated, _, info = envs.step(np.array([0, done]))
    assert terminated.tolist() == [False, True]
    assert info["_final_obs"].tolist() == [False, True]
    final = info["final_obs"][1]
    np.testing.assert_array_equal(final["frames"], before["frames"][1])  # done moves nothing
    assert (final["last_action"], final["time_step"]) == (done, 1)
    assert final["instruction"] == before["instruction"][1]
    assert info["final_info"]["facts"]["step"][1] == 1
    assert after["time_step"].tolist() == [1, 0]


def test_disabled_mode_waits_for_a_masked_reset(documents):
    envs = FlareVectorEnv(2, houses=documents, autoreset_mode="Disabled", **SMALL)
    done = envs.action_names.index("done")
    envs.reset(seed=0)
    stepped, *_ = envs.step(np.array([0, done]))
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.array([0, 0]))
    mask = np.array([False, True])
    with pytest.raises(ValueError, match="seed is for all"):
        envs.reset(seed=1, options={"reset_mask": mask})
    with pytest.raises(ValueError, match="with a True"):
        envs.reset(options={"reset_mask": ~mask & mask})
    reset, info = envs.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(reset["frames"][0], stepped["frames"][0])
    assert info["facts"]["step"].tolist() == [1, 0]
    assert info["episode_index"].tolist() == [0, 1]


def test_the_step_limit_truncates_and_rewards_are_the_tasks(documents):
    envs = FlareVectorEnv(1, houses=documents, max_steps=3, **SMALL)
    envs.reset(seed=0)
    flags = [envs.step(np.array([1]))[2:4] for _ in range(3)]
    assert [(bool(a[0]), bool(b[0])) for a, b in flags] == [(False, False)] * 2 + [(False, True)]


def test_tokens_in_place_of_text(documents):
    envs = FlareVectorEnv(2, houses=documents, instruction="tokens", **SMALL)
    observation, _ = envs.reset(seed=0)
    assert observation in envs.observation_space
    text, _ = FlareVectorEnv(2, houses=documents, **SMALL).reset(seed=0)
    vocabulary = envs._simulation.vocabulary
    np.testing.assert_array_equal(
        observation["instruction"], vocabulary.encode(list(text["instruction"]))
    )


def test_houses_from_a_file_and_two_cameras_of_the_robot(documents, tmp_path):
    path = tmp_path / "houses.jsonl.gz"
    write_houses(path, documents)
    a, _ = FlareVectorEnv(2, houses=path, task="PickUp", **SMALL).reset(seed=1)
    b, _ = FlareVectorEnv(2, houses=documents, task="PickUp", **SMALL).reset(seed=1)
    assert a["frames"].shape == (2, 2, 16, 28, 3)
    np.testing.assert_array_equal(a["frames"], b["frames"])


def test_unseeded_envs_differ_and_a_constructor_seed_repeats(documents):
    def start(**options):
        env = FlareEnv(houses=documents, **SMALL, **options)
        return env.reset()[1]["facts"]["position"]

    assert not np.array_equal(start(), start())
    np.testing.assert_array_equal(start(seed=4), start(seed=4))


def test_rendering_shows_camera_and_plan(documents):
    envs = FlareVectorEnv(2, houses=documents, render_mode="rgb_array", **SMALL)
    with pytest.raises(RuntimeError, match="first reset"):
        envs.render()
    envs.reset(seed=0)
    before = envs.render()
    envs.step(np.array([0, 1]))
    after = envs.render()
    assert [picture.dtype for picture in after] == [np.uint8] * 2
    camera = 630  # px: 360 high, as wide as 28 to 16
    assert before[0].shape[0] == 360 and before[0].shape[1] > camera
    # The robot that turned is drawn another way; its camera sees another picture.
    assert not np.array_equal(before[1][:, :camera], after[1][:, :camera])
    assert not np.array_equal(before[1][:, camera:], after[1][:, camera:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "Nap"}, "'Nap' is no task"),
        ({"houses": "nowhere.jsonl"}, "there is no such file"),
        ({"robot": "roomba"}, "no robot is called"),
        ({"task": "PickUp", "robot": "locobot"}, "has no action"),
        ({"instruction": "song"}, "choose among text, tokens"),
        ({"num_houses": 0}, "num_houses"),
        ({"width": 2}, "camera.width"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_options_say_what_and_how_to_mend(options, message):
    with pytest.raises(UserError, match=message):
        FlareEnv(**{**SMALL, **options})


def test_a_step_after_the_end_needs_a_reset(documents):
    env = FlareEnv(houses=documents, **SMALL)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    env.step(env.action_names.index("done"))
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
