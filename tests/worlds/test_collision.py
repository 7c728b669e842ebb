"""Arbitrary boxes, walls and doors: nothing is ever inside of anything, whatever is done."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flare.assets import library_json
from flare.robots import load_robot
from flare.specs import ACTION_NAMES, CameraSpec
from flare.testing.house_plan import HousePlan, disc_centre
from flare.testing.random_play import Grasping, random_actions, random_episode
from flare.testing.watch import EpisodeWatch
from flare.worlds.embedded import (
    STATE_BOOKKEEPING,
    WORLD_STATE_BYTES,
    AssetLibrary,
    EmbeddedWorlds,
    House,
    make_robot,
)
from flare.worlds.world import all_env_ids
from tests.worlds.two_rooms import two_rooms

N = 4
STRETCH = load_robot("stretch")
CAMERA = CameraSpec(width=16, height=8, num_cameras=2)
# One of each family of solids that an arm meets, and things to take.
TYPES = ("Box", "DiningTable", "Chair", "Bed", "Sofa", "ShelvingUnit", "FloorLamp", "Apple")

lengths = st.floats(0.02, 1.6)
boxes = st.fixed_dictionaries(
    {
        "x": st.floats(-0.5, 8.5),
        "z": st.floats(-0.5, 4.5),
        "bottom": st.sampled_from([0.0, 0.0, 0.02, 0.3, 0.75, 1.1, 1.5]),
        "size": st.tuples(lengths, lengths, lengths),
        "yaw": st.one_of(st.sampled_from([0.0, 90.0, 45.0]), st.floats(-360, 720)),
        "type": st.sampled_from(TYPES),
        "light": st.booleans(),
    }
)


def make_house(things: list[dict[str, Any]], door: tuple[float, float]) -> House:
    """The two rooms with another door and these boxes in place of the furniture."""
    document, table = json.loads(two_rooms()), {}
    hole = document["doors"][0]["holePolygon"]
    hole[0]["x"], hole[1]["x"] = door
    document["objects"] = []
    for k, thing in enumerate(things):
        x, y, z = thing["size"]
        light = thing["light"] and max(thing["size"]) < 0.6
        table[f"thing_{k}"] = {"type": thing["type"], "pickupable": light, "size": [x, y, z]}
        document["objects"].append(
            {
                "id": f"{thing['type']}|{k}",
                "assetId": f"thing_{k}",
                "position": {"x": thing["x"], "y": thing["bottom"] + y / 2, "z": thing["z"]},
                "rotation": {"x": 0, "y": thing["yaw"], "z": 0},
            }
        )
    library = AssetLibrary.from_json(library_json(), json.dumps({"assets": table}))
    house = House.load(json.dumps(document), "boxes", library, make_robot(STRETCH))
    for item, thing in zip(house.objects(), things, strict=True):
        assert item["size"] == pytest.approx(thing["size"])
    return house


doors = st.tuples(st.floats(0.1, 2.0), st.floats(0.3, 1.9)).map(lambda d: (d[0], d[0] + d[1]))
houses = st.builds(make_house, st.lists(boxes, max_size=10), doors)


class Play:
    """N episodes of Stretch from random starts, with arrays and what judges them."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.specs = np.array([random_episode(house, STRETCH, (seed, i)) for i in range(N)])
        self.worlds = EmbeddedWorlds(
            [house], num_envs=N, robots=[STRETCH], camera=CAMERA, action_names=ACTION_NAMES
        )
        self.frames = np.zeros((N, *CAMERA.frame_shape), np.uint8)
        self.facts = np.zeros(N, self.worlds.facts_dtype)
        self.worlds.reset(all_env_ids(N), self.specs, self.frames, self.facts)
        self.watch = EpisodeWatch(self.worlds, self.specs, self.frames, self.facts)

    def step(self, actions: NDArray[np.int64]) -> None:
        self.worlds.step(actions, self.frames, self.facts)
        self.watch.observe(actions, self.frames, self.facts)


def remembered() -> NDArray[np.bool_]:
    """[WORLD_STATE_BYTES] of a state that a failed action must leave alone."""
    mask = np.ones(WORLD_STATE_BYTES, np.bool_)
    for offset, size in STATE_BOOKKEEPING:
        mask[offset : offset + size] = False
    return mask


def actions_for(play: Play, num_steps: int, seed: int) -> Any:
    """Random actions of which many lead a hand to something light."""
    grasping = Grasping([play.house], play.specs, ACTION_NAMES, (seed, 7))
    for row in random_actions(ACTION_NAMES, num_steps, N, (seed,)):
        yield grasping.guide(row, play.facts)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(house=houses, seed=st.integers(0, 2**32))
def test_nothing_is_ever_inside_of_anything(house: House, seed: int) -> None:
    """EpisodeWatch judges each step by an oracle of its own; a failed action leaves the state."""
    assume(len(house.reachable()) > 0)
    play, mask = Play(house, seed), remembered()
    states = play.worlds.save_state()
    for actions in actions_for(play, 70, seed):
        play.step(actions)
        after = play.worlds.save_state()
        failed = (play.facts["last_action_success"] == 0) & (play.facts["picked_up"] == 0)
        np.testing.assert_array_equal(states[failed][:, mask], after[failed][:, mask])
        states = after


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(house=houses, seed=st.integers(0, 2**32))
def test_a_restored_world_is_the_same_world(house: House, seed: int) -> None:
    """Also with something in the hand or put down elsewhere."""
    assume(len(house.reachable()) > 0)
    play, other = Play(house, seed), Play(house, seed + 1)
    for step, actions in enumerate(actions_for(play, 60, seed)):
        play.step(actions)
        if step % 6 == 5:
            states = play.worlds.save_state()
            other.worlds.restore(all_env_ids(N), states, other.frames, other.facts)
            assert other.frames.tobytes() == play.frames.tobytes()
            assert other.facts.tobytes() == play.facts.tobytes()
            np.testing.assert_array_equal(other.worlds.save_state(), states)
            for env in range(N):
                assert other.worlds.moved_objects(env) == play.worlds.moved_objects(env)
                assert other.worlds.arm_contacts(env) == play.worlds.arm_contacts(env)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    house=houses,
    points=st.lists(
        st.tuples(st.floats(-1.0, 9.0), st.floats(-1.0, 5.0), st.floats(0, 360)), min_size=20
    ),
    name=st.sampled_from(["stretch", "locobot"]),
)
def test_blocked_is_what_the_plan_says(
    house: House, points: list[tuple[float, float, float]], name: str
) -> None:
    """Two ways to the same answer, but for a millimetre."""
    plan, robot = HousePlan(house), load_robot(name)
    x0, z0, x1, z1 = house.bounds
    for x, z, yaw in points:
        point = disc_centre(robot.body, x, z, yaw)
        inside = bool((point > (x0, z0)).all() and (point < (x1, z1)).all())
        met = plan.meets_wall(robot.body, point) or bool(plan.met_objects(robot.body, point, ()))
        if house.blocked(x, z, yaw, make_robot(robot)):
            wider = type(robot.body)(
                radius=robot.body.radius + 0.002,
                height=robot.body.height,
                centre_offset=robot.body.centre_offset,
                reference_height=robot.body.reference_height,
            )
            near = plan.meets_wall(wider, point) or bool(plan.met_objects(wider, point, ()))
            assert near or not inside
        else:
            assert inside and not met
