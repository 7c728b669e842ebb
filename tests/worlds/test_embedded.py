import gzip
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flare.errors import UserError
from flare.robots import load_robot, sample_robots
from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS, CameraSpec
from flare.worlds.embedded import (
    EPISODE_DTYPE,
    RANDOM_MATERIALS,
    EmbeddedWorlds,
    FlareError,
    House,
    HouseFormatError,
    asset_library,
    load_house,
    load_houses,
    make_robot,
)
from flare.worlds.world import Worlds, all_env_ids
from tests.worlds.two_rooms import two_rooms

CAMERA = CameraSpec(width=64, height=40, num_cameras=2)
N = 4


@pytest.fixture(scope="module")
def house() -> House:
    return load_house(two_rooms(), "two rooms")


def make_specs(num_envs: int = N) -> NDArray[np.void]:
    specs = np.zeros(num_envs, EPISODE_DTYPE)
    specs["seed"] = np.arange(num_envs) + 11
    specs["x"] = 1.0 + 0.4 * np.arange(num_envs)
    specs["z"] = 1.5
    specs["yaw_deg"] = 30.0 * np.arange(num_envs)
    specs["num_targets"] = 1
    specs["targets"][:, 0] = 1  # the arm chair of the other room
    specs["camera_noise"] = np.arange(num_envs) % 2
    specs["randomise"] = RANDOM_MATERIALS * (np.arange(num_envs) % 2)
    return specs


class Play:
    """Worlds with the caller's arrays beside them."""

    def __init__(self, house: House, num_threads: int = 1, **changes: Any) -> None:
        self.worlds = EmbeddedWorlds(
            [house], num_envs=N, num_threads=num_threads, camera=CAMERA, **changes
        )
        self.frames = np.zeros((N, *CAMERA.frame_shape), np.uint8)
        self.facts = np.zeros(N, self.worlds.facts_dtype)

    def reset(self) -> None:
        self.worlds.reset(all_env_ids(N), make_specs(), self.frames, self.facts)

    def step(self, actions: Any) -> None:
        self.worlds.step(np.asarray(actions), self.frames, self.facts)


@pytest.fixture
def play(house: House) -> Play:
    play = Play(house)
    play.reset()
    return play


def test_a_house_says_what_is_in_it(house: House) -> None:
    assert house.num_rooms == 2
    assert house.bounds == pytest.approx((0, 0, 8, 4))
    assert house.start == pytest.approx((2, 1.5, 90))
    assert [item["type"] for item in house.objects()] == ["Sofa", "ArmChair"]
    assert [item["passable"] for item in house.openings()] == [True]
    assert house.openings()[0]["ends"] == pytest.approx((4, 2.5, 4, 1.5))
    assert house.walls().shape == (8, 4)
    cells, rooms = house.reachable(), house.reachable_rooms()
    assert cells.shape == (len(rooms), 2)
    assert set(rooms) == {0, 1}
    assert house.blocked(0.1, 2.0, 0.0)
    assert not house.blocked(1.0, 1.5, 0.0)
    assert (house.room_at(1.0, 1.0), house.room_at(7.0, 3.0), house.room_at(9.0, 9.0)) == (0, 1, -1)


def test_geodesic_into_a_room_is_the_walk_to_its_door_and_beyond(house: House) -> None:
    cells, walk = house.reachable(), house.geodesic([1], "enter_room")
    well_inside = (np.abs(cells[:, 0] - 6.0) < 1.0) & (np.abs(cells[:, 1] - 2.0) < 1.0)
    assert well_inside.any() and not walk[well_inside].any()
    outside = cells[:, 0] < 3.5
    straight = 4.0 - cells[outside, 0]
    assert (walk[outside] >= straight).all()
    with pytest.raises(FlareError, match="room 2 is not one of the house's 2 rooms"):
        house.geodesic([2], "enter_room")
    with pytest.raises(FlareError, match="goal 'dance'"):
        house.geodesic([0], "dance")


def test_geodesic_is_zero_near_the_target_and_grows_through_the_door(house: House) -> None:
    cells, distance = house.reachable(), house.geodesic([1])
    assert distance.min() == 0.0
    near = np.flatnonzero(distance == 0.0)
    assert np.hypot(*(cells[near] - (7.0, 0.8)).T).max() < 3.0
    far = np.argmin(np.hypot(*(cells - (0.5, 1.0)).T))
    # A disc within 2 m of the chair is at x >= 4.6 or so; from (0.5, 1) that is at least 4 m.
    assert 4.0 < distance[far] < 6.5
    with pytest.raises(FlareError, match="target 2 is not one of the house's 2 objects"):
        house.geodesic([2])


def test_embedded_worlds_keep_the_contract(play: Play) -> None:
    worlds: Worlds = play.worlds
    assert worlds.num_envs == N
    assert worlds.camera == CAMERA
    assert worlds.action_names == NAVIGATION_ACTIONS
    assert worlds.facts_dtype.itemsize == 272
    assert play.frames.any(axis=(2, 3, 4)).all(), "every camera of every env drew something"
    np.testing.assert_array_equal(play.facts["step"], 0)
    np.testing.assert_array_equal(play.facts["last_action"], -1)
    np.testing.assert_allclose(play.facts["position"][:, 0], 1.0 + 0.4 * np.arange(N), rtol=1e-6)
    np.testing.assert_array_equal(play.facts["num_rooms"], 2)


def test_actions_are_the_policys_own_ids(house: House) -> None:
    play = Play(house, action_names=("done", "rotate_left", "move_ahead"))
    play.reset()
    play.step([2, 1, 0, 1])
    np.testing.assert_array_equal(play.facts["last_action"], [0, 2, 4, 2])  # sim::Action
    assert play.facts["position"][0, 2] == pytest.approx(1.7)
    assert play.facts["yaw_deg"][1] == 0.0
    with pytest.raises(IndexError):
        play.step([0, 0, 0, 3])
    with pytest.raises(IndexError, match="negative"):
        play.step([0, 0, 0, -1])


def test_an_expert_that_needs_a_missing_action_says_so(house: House) -> None:
    play = Play(house, action_names=("done", "move_back"))
    play.reset()
    with pytest.raises(UserError, match="the expert needs an action"):
        play.worlds.expert_actions()


def test_reset_writes_only_its_rows(play: Play) -> None:
    play.step([0] * N)
    play.frames[:] = 7
    play.facts["step"] = 99
    ids = np.array([2], np.int32)
    play.worlds.reset(ids, make_specs()[2:3], play.frames, play.facts)
    np.testing.assert_array_equal(play.facts["step"], [99, 99, 0, 99])
    assert (play.frames[[0, 1, 3]] == 7).all()
    assert (play.frames[2] != 7).any()


def run_random(play: Play, steps: int) -> list[bytes]:
    rng = np.random.default_rng(3)
    out = []
    for _ in range(steps):
        play.step(rng.choice([0, 1, 2, 3, 5, 6], size=N))
        out.append(play.frames.tobytes() + play.facts.tobytes())
    return out


@pytest.mark.parametrize("num_threads", [2, 5])
def test_results_do_not_depend_on_threads(house: House, num_threads: int) -> None:
    one, many = Play(house), Play(house, num_threads)
    one.reset()
    many.reset()
    assert run_random(one, 30) == run_random(many, 30)


def test_restored_worlds_go_on_as_if_they_had_not_stopped(play: Play, house: House) -> None:
    run_random(play, 10)
    states = play.worlds.save_state().copy()
    other = Play(house)
    other.worlds.restore(all_env_ids(N), states, other.frames, other.facts)
    assert other.frames.tobytes() == play.frames.tobytes()
    assert other.facts.tobytes() == play.facts.tobytes()
    assert run_random(other, 10) == run_random(play, 10)


def test_the_expert_reaches_the_other_room(play: Play) -> None:
    alive = np.ones(N, bool)
    done = NAVIGATION_ACTIONS.index("done")
    for _ in range(100):
        actions = play.worlds.expert_actions()
        finished = alive & (actions == done)
        assert play.facts["target_visible"][finished].all()
        alive &= ~finished
        if not alive.any():
            return
        play.step(actions)
    pytest.fail("not done after 100 steps")


def test_render_draws_the_present_state_at_any_size(play: Play) -> None:
    rgb, depth, ids = play.worlds.render(depth=True, ids=True)
    np.testing.assert_array_equal(rgb, play.frames[:, 0])
    assert depth is not None
    assert ids is not None
    assert (depth.dtype, ids.dtype) == (np.float32, np.uint16)
    assert set(np.unique(ids)) <= {0, 1, 2}
    large, nothing, _ = play.worlds.render(np.array([3], np.int32), 1, 128, 80)
    assert large.shape == (1, 80, 128, 3)
    assert nothing is None


def bad_calls() -> list[Any]:
    def call(name: str, match: str, **changes: Any) -> Any:
        return pytest.param(changes, match, id=name)

    return [
        call("frames dtype", "frames must be uint8, got float32", frames="float"),
        call("frames shape", r"frames must be \[4, 2, 40, 64, 3\], got", frames="short"),
        call("frames strides", "frames must be C-contiguous", frames="strided"),
        call("frames read-only", "frames must be writeable", frames="readonly"),
        call("facts dtype", "facts must be .*, got float32", facts="float"),
        call("specs length", r"specs must be \[1\], got \[2\]", specs="long"),
        call("ids dtype", "env_ids must be int32, got int64", env_ids="int64"),
        call("ids range", "env id 9 is not one of the 4 envs", env_ids="range"),
        call("house", "house 1 is not one of the 1 houses", specs="house"),
        call("start", "is inside an obstacle", specs="start"),
        call("target", "target 5 is not one of the house's 2 objects", specs="target"),
    ]


@pytest.mark.parametrize(("changes", "match"), bad_calls())
def test_bad_arguments_are_named_and_change_nothing(
    play: Play, changes: dict[str, str], match: str
) -> None:
    frames, facts = play.frames.copy(), play.facts.copy()
    env_ids, specs = np.array([0], np.int32), make_specs(1)
    readonly = frames.copy()
    readonly.flags.writeable = False
    for field, value in (("house", 1), ("x", 0.0), ("targets", 5)):
        if changes.get("specs") == {"house": "house", "x": "start", "targets": "target"}[field]:
            specs[field] = value
    arguments: dict[str, Any] = {
        "env_ids": {"int64": env_ids.astype(np.int64), "range": np.array([9], np.int32)}.get(
            changes.get("env_ids", ""), env_ids
        ),
        "specs": make_specs(2) if changes.get("specs") == "long" else specs,
        "frames": {
            "float": frames.astype(np.float32),
            "short": frames[:, :1].copy(),
            "strided": np.zeros((N, 2, 40, 128, 3), np.uint8)[:, :, :, ::2],
            "readonly": readonly,
        }.get(changes.get("frames", ""), frames),
        "facts": np.zeros(N, np.float32) if "facts" in changes else facts,
    }
    before = play.worlds.save_state()
    with pytest.raises(FlareError, match=match):
        play.worlds.reset(**arguments)
    np.testing.assert_array_equal(play.worlds.save_state(), before)
    np.testing.assert_array_equal(frames, play.frames)


def test_an_action_that_a_robot_lacks_is_refused(house: House) -> None:
    with pytest.raises(UserError, match="the robot 'locobot' has no action 'pickup'"):
        EmbeddedWorlds(
            [house],
            num_envs=1,
            robots=[load_robot("stretch"), load_robot("locobot")],
            action_names=("done", "pickup"),
        )


def test_the_arm_moves_by_its_steps_and_is_seen_by_the_second_camera(house: House) -> None:
    play = Play(house, action_names=ACTION_NAMES)
    play.reset()
    before = play.frames.copy()
    play.step([ACTION_NAMES.index("move_arm_up")] * N)
    np.testing.assert_allclose(play.facts["arm_lift"], 0.2)
    np.testing.assert_array_equal(play.facts["last_action_success"], 1)
    for _ in range(5):
        play.step([ACTION_NAMES.index("move_arm_out")] * N)
    assert not play.facts["collided"].any()
    _, _, ids = play.worlds.render(camera=1, ids=True)
    assert ids is not None
    assert (ids == 65535).any(axis=(1, 2)).all()
    assert (play.frames[:, 1] != before[:, 1]).any(axis=(1, 2, 3)).all()


@given(actions=st.lists(st.integers(0, 19), max_size=40), draws=st.integers(0, 2**40 - 1))
@settings(max_examples=30, deadline=None)
def test_facts_are_the_same_whether_or_not_a_frame_is_drawn(
    house: House, actions: list[int], draws: int
) -> None:
    drawn, blind = (Play(house, action_names=ACTION_NAMES) for _ in range(2))
    drawn.reset()
    blind.reset()
    for step, action in enumerate(actions):
        drawn.step([action] * N)
        mask = np.array([draws >> (step + env) & 1 for env in range(N)], np.bool_)
        before = blind.frames.copy()
        blind.worlds.step(np.full(N, action), blind.frames, blind.facts, mask)
        assert drawn.facts.tobytes() == blind.facts.tobytes()
        np.testing.assert_array_equal(blind.frames[mask], drawn.frames[mask])
        np.testing.assert_array_equal(blind.frames[~mask], before[~mask])


def test_robots_of_several_bodies_share_a_house(house: House) -> None:
    robots = [load_robot("stretch"), *sample_robots(load_robot("locobot"), N - 1, seed=2)]
    camera = CameraSpec(width=64, height=40, num_cameras=1)
    worlds = EmbeddedWorlds([house], num_envs=N, robots=robots, camera=camera)
    frames = np.zeros((N, *camera.frame_shape), np.uint8)
    facts = np.zeros(N, worlds.facts_dtype)
    specs = make_specs()
    specs["x"], specs["yaw_deg"], specs["camera_noise"], specs["randomise"] = 2.03, 90.0, 0, 0
    specs["robot"] = np.arange(N)
    worlds.reset(all_env_ids(N), specs, frames, facts)
    np.testing.assert_array_equal(facts["robot"], np.arange(N))
    assert len({frame.tobytes() for frame in frames}) == N, "each camera is elsewhere"
    for _ in range(30):
        worlds.step(np.zeros(N, np.int64), frames, facts)
    # Into the wall x = 4 in steps of 0.2 m: Stretch, whose disc is behind it, comes to 3.83, and so
    # does a radius below 0.17; with a wider one 3.63 is the last place.
    radii = np.array([robot.body.radius for robot in robots])
    expected = np.where((np.arange(N) == 0) | (radii < 0.17), 3.83, 3.63)
    np.testing.assert_allclose(facts["position"][:, 0], expected, rtol=1e-5)
    assert len(set(expected)) == 2
    specs["robot"][1] = N
    with pytest.raises(FlareError, match="env 1: robot 4 is not one of the 4 robots"):
        worlds.reset(all_env_ids(N), specs, frames, facts)
    narrow, wide = (
        make_robot(replace(robots[0], body=replace(robots[0].body, radius=r))) for r in (0.1, 0.3)
    )
    assert len(house.reachable(narrow)) > len(house.reachable(wide))
    assert not house.blocked(0.2, 2.0, 0.0, narrow)
    assert house.blocked(0.2, 2.0, 0.0, wide)


def test_stepping_before_reset_and_after_close_is_refused(house: House) -> None:
    play = Play(house)
    with pytest.raises(FlareError, match="env 0 has no episode yet"):
        play.step([0] * N)
    play.worlds.close()
    with pytest.raises(RuntimeError, match="closed"):
        play.step([0] * N)


def test_houses_load_in_order_on_threads_and_name_the_bad_one() -> None:
    text = two_rooms()
    houses = load_houses([(f"line {i}", text) for i in range(6)], num_threads=3)
    assert [house.source for house in houses] == [f"line {i}" for i in range(6)]
    assert len({house.hash for house in houses}) == 1
    with pytest.raises(HouseFormatError, match="line 1"):
        load_houses([("line 0", text), ("line 1", "{}")], num_threads=2)


def test_the_library_is_read_once_and_knows_sizes() -> None:
    library = asset_library()
    assert library is asset_library()
    assert "Sofa" in library.types
    size = library.size_of("Sofa_203_1")
    assert size is not None
    assert size[0] > 1.0
    assert library.size_of("no such asset") is None
    assert library.category("Sofa")["pickupable"] is False


@pytest.mark.slow
def test_real_houses_play(shared_dir: Any) -> None:
    with gzip.open(shared_dir / "houses" / "objaverse_val.jsonl.gz", "rt") as lines:
        items = [(f"val line {i + 1}", line) for i, line in zip(range(3), lines, strict=False)]
    houses = load_houses(items, num_threads=2)
    rng = np.random.default_rng(0)
    specs = np.zeros(N, EPISODE_DTYPE)
    for row in specs:
        row["house"] = rng.integers(len(houses))
        house = houses[row["house"]]
        cells = house.reachable()
        while True:
            x, z = cells[rng.integers(len(cells))]
            yaw = 30.0 * rng.integers(12)
            if not house.blocked(float(x), float(z), float(yaw)):
                break
        row["x"], row["z"], row["yaw_deg"] = x, z, yaw
    worlds = EmbeddedWorlds(houses, num_envs=N, num_threads=2, camera=CAMERA)
    frames = np.zeros((N, *CAMERA.frame_shape), np.uint8)
    facts = np.zeros(N, worlds.facts_dtype)
    worlds.reset(all_env_ids(N), specs, frames, facts)
    for _ in range(20):
        worlds.step(rng.integers(0, 4, N), frames, facts)
    assert (facts["room"] >= -1).all()
    assert (facts["travelled"] > 0).any()
