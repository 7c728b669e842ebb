"""The arm through the Python interface: what is saved, what fails, what is seen."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flare.specs import ACTION_NAMES, CameraSpec
from flare.worlds.embedded import (
    EPISODE_DTYPE,
    GOALS,
    EmbeddedWorlds,
    FlareError,
    House,
    load_house,
)
from flare.worlds.world import all_env_ids
from tests.worlds.two_rooms import two_rooms

N = 4
CAMERA = CameraSpec(width=48, height=32, num_cameras=2)
APPLE = 2  # the house's first two objects are furniture

# What a failed action may change in the facts.
BOOKKEEPING = {
    "step", "time_left", "last_action", "last_action_success", "sub_done_success", "collided",
    "picked_up", "dropped",
}  # fmt: skip


def ids(*names: str) -> list[int]:
    return [ACTION_NAMES.index(name) for name in names]


def house_with_apples() -> str:
    """The two rooms, with apples where the resting hand of a robot at (1, 1.5) comes by."""
    document = json.loads(two_rooms())
    for k, (x, z) in enumerate([(1.45, 1.476), (0.7, 2.0), (1.5, 1.1), (1.0, 0.9)]):
        document["objects"].append(
            {
                "id": f"Apple|2|{k}",
                "assetId": "Apple_1",
                "position": {"x": x, "y": 0.26, "z": z},
                "rotation": {"x": 0, "y": 0, "z": 0},
                "kinematic": False,
            }
        )
    return json.dumps(document)


@pytest.fixture(scope="module")
def house() -> House:
    house = load_house(house_with_apples(), "apples")
    assert house.objects()[APPLE]["pickupable"]
    return house


class Play:
    def __init__(self, house: House, num_cameras: int = 2) -> None:
        camera = CameraSpec(width=CAMERA.width, height=CAMERA.height, num_cameras=num_cameras)
        self.worlds = EmbeddedWorlds(
            [house], num_envs=N, camera=camera, action_names=ACTION_NAMES, num_threads=2
        )
        self.frames = np.zeros((N, *camera.frame_shape), np.uint8)
        self.facts = np.zeros(N, self.worlds.facts_dtype)

    def reset(self) -> "Play":
        specs = np.zeros(N, EPISODE_DTYPE)
        specs["seed"] = np.arange(N)
        specs["x"], specs["z"], specs["yaw_deg"] = 1.0, 1.5, 90.0 * np.arange(N)
        specs["goal"], specs["num_targets"] = GOALS.index("hold"), 1
        specs["targets"][:, 0] = APPLE
        specs["camera_noise"], specs["max_steps"] = 1, 500
        self.worlds.reset(all_env_ids(N), specs, self.frames, self.facts)
        return self

    def step(self, actions: Any) -> bytes:
        self.worlds.step(np.asarray(actions), self.frames, self.facts)
        return self.frames.tobytes() + self.facts.tobytes()


def take_the_apple(play: Play) -> None:
    """Env 0 looks along +z, its arm along +x towards the apple at 1.45."""
    play.reset()
    for action in ids("move_arm_out", "move_arm_out_small", "pickup"):
        play.step([action] + ids("done") * (N - 1))
    assert play.facts["held_object"][0] == APPLE


def random_actions(seed: int, steps: int) -> NDArray[np.int64]:
    more = ids("pickup", "pickup", "move_arm_out", "move_ahead", "dropoff")
    choices = np.array([*range(len(ACTION_NAMES)), *more])
    return np.random.default_rng(seed).choice(choices, (steps, N))


def test_an_apple_is_taken_carried_and_put_down(house: House) -> None:
    play = Play(house)
    take_the_apple(play)
    assert play.facts["picked_up"][0] == 1
    assert play.facts["last_action_success"][0] == 0, "as in the original"
    assert play.facts["holds_target"][0] == 1
    assert play.facts["target_geodesic"][0] == 0.0
    carried = play.facts["target_hand_distance"][0]
    for action in ids("move_arm_up", "move_arm_up", "rotate_left", "move_back"):
        play.step([action] + ids("done") * (N - 1))
        assert play.facts["collided"][0] == 0
        assert play.facts["target_hand_distance"][0] == pytest.approx(carried, abs=1e-5)
    play.step(ids("dropoff", "done", "done", "done"))
    assert play.facts["held_object"][0] == -1
    assert play.facts["dropped"][0] == 1
    # On the floor: from the hand at 0.46 m the distance is at least that less the apple's height.
    assert play.facts["target_hand_distance"][0] > 0.3


def test_worlds_tell_what_is_moved_and_what_the_arm_is_in(house: House) -> None:
    play = Play(house)
    take_the_apple(play)
    [(apple, center, yaw)] = play.worlds.moved_objects(0)
    assert apple == APPLE and yaw == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(center, house.objects()[APPLE]["center"], atol=1e-5)
    assert [play.worlds.moved_objects(env) for env in (1, 2, 3)] == [[], [], []]
    assert play.worlds.arm_contacts(0) == []
    play.step(ids("dropoff", "done", "done", "done"))
    [(apple, center, _)] = play.worlds.moved_objects(0)
    size = house.objects()[APPLE]["size"]
    assert apple == APPLE and center[1] == pytest.approx(size[1] / 2, abs=1e-5), "on the floor"
    with pytest.raises(FlareError, match="env id 4 is not one of the 4 envs"):
        play.worlds.moved_objects(N)


def test_target_facts_of_the_second_camera_do_not_need_its_frame(house: House) -> None:
    both, one = Play(house).reset(), Play(house, num_cameras=1).reset()
    seen = 0
    for actions in random_actions(5, 60):
        both.step(actions)
        one.step(actions)
        assert both.facts.tobytes() == one.facts.tobytes()
        seen += int(both.facts["manip_target_in_view"].sum())
    assert seen > 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), before=st.integers(0, 60))
def test_restored_worlds_go_on_as_if_they_had_not_stopped(
    house: House, seed: int, before: int
) -> None:
    play, other = Play(house).reset(), Play(house)
    actions = random_actions(seed, before + 20)
    for row in actions[:before]:
        play.step(row)
    states = play.worlds.save_state().copy()
    other.worlds.restore(all_env_ids(N), states, other.frames, other.facts)
    assert other.frames.tobytes() == play.frames.tobytes()
    for row in actions[before:]:
        assert other.step(row) == play.step(row)


def test_one_state_restored_into_all_worlds_gives_equal_roll_outs(house: House) -> None:
    play = Play(house)
    take_the_apple(play)
    play.step(ids("dropoff", "done", "done", "done"))
    group = np.repeat(play.worlds.save_state()[:1], N, axis=0)
    play.worlds.restore(all_env_ids(N), group, play.frames, play.facts)
    for action in random_actions(3, 40)[:, 0]:
        play.step([action] * N)
        assert len({frame.tobytes() for frame in play.frames}) == 1
        assert len({row.tobytes() for row in play.facts}) == 1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_failed_action_changes_nothing_but_the_count(house: House, seed: int) -> None:
    play = Play(house).reset()
    names = [name for name in play.facts.dtype.names or () if name not in BOOKKEEPING]
    for actions in random_actions(seed, 60):
        before, frames = play.facts.copy(), play.frames.copy()
        play.step(actions)
        failed = (play.facts["last_action_success"] == 0) & (play.facts["picked_up"] == 0)
        for name in names:
            assert play.facts[name][failed].tobytes() == before[name][failed].tobytes(), name
        np.testing.assert_array_equal(play.frames[failed], frames[failed])
