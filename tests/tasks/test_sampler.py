"""The sampler over hand-made houses whose distances are known by construction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.errors import UserError
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TAGS, TASKS
from flare.tasks.sampler import GOAL_KINDS, RANDOM_LOOKS, EpisodeSampler, SamplerConfig
from flare.tasks.scene import MAX_ROOMS, MAX_TARGETS
from flare.worlds import embedded
from flare.worlds.embedded import EPISODE_DTYPE


def item(name, **values):
    """An object as a house lists it, far along x."""
    return {
        "type": name, "center": (20.0, 0.5, 0.0), "size": (0.2, 0.2, 0.2), "yaw_deg": 0.0,
        "room": 0, "parent": -1, "pickupable": True, "color": (1.0, 0.0, 0.0), **values,
    }  # fmt: skip


class LineHouse:
    """Places every metre along x, half of them in each room; a goal's distance is its place's x."""

    def __init__(self, types, length=10, wall=None, rooms=("Kitchen", "Bedroom")):
        self.source = "line"
        self._types, self._length, self._wall, self._rooms = types, length, wall, rooms
        self.asked = 0  # how often a distance was computed

    def objects(self):
        return [item(name) for name in self._types]

    def rooms(self):
        return [{"type": name} for name in self._rooms]

    def reachable(self):
        x = np.arange(self._length, dtype=np.float32)
        return np.stack([x, np.zeros_like(x)], axis=1)

    def reachable_rooms(self):
        return (np.arange(self._length, dtype=np.int32) * len(self._rooms)) // self._length

    def geodesic(self, ids, goal="see"):
        self.asked += 1
        return np.arange(self._length, dtype=np.float32) + (goal == "hold")

    def blocked(self, x, z, yaw_deg):
        return self._wall is not None and x >= self._wall


def make(config=None, houses=None, seed=3, tasks=("ObjectNav",), weights=None):
    houses = houses or [LineHouse(["Bed", "Apple", "Bed"]), LineHouse(["Sofa"])]
    mixture = TaskMixture(
        tasks=tuple(TASKS[name]() for name in tasks), weights=weights or (1.0,) * len(tasks)
    )
    config = config or SamplerConfig(min_distance=2.0)
    return EpisodeSampler(houses, mixture, EPISODE_DTYPE, config, seed)


def keys(n):
    return np.zeros(n, np.int64), np.arange(n)


def test_constants_are_those_of_the_simulator():
    assert (MAX_TARGETS, MAX_ROOMS) == (embedded.MAX_TARGETS, embedded.MAX_ROOMS)
    assert GOAL_KINDS == embedded.GOALS
    assert RANDOM_LOOKS == {
        "materials": embedded.RANDOM_MATERIALS, "lights": embedded.RANDOM_LIGHTS,
        "textures": embedded.RANDOM_TEXTURES,
    }  # fmt: skip
    assert {task.goal_kind for task in TASKS.values()} == set(GOAL_KINDS)


@settings(deadline=None)
@given(env=st.integers(0, 1000), episode=st.integers(0, 10**6), seed=st.integers(0, 2**32))
def test_an_episode_is_a_function_of_its_key(env, episode, seed):
    tasks = ("ObjectNav", "RoomNav", "Fetch")
    one = make(seed=seed, tasks=tasks).sample(np.array([env]), np.array([episode]))
    many = make(seed=seed, tasks=tasks).sample(
        np.array([env + 1, env]), np.array([episode, episode])
    )
    assert one.specs[0] == many.specs[1]
    assert one.instructions[0] == many.instructions[1]


def test_starts_keep_the_distance_and_targets_are_all_instances_of_the_type():
    episodes = make().sample(*keys(200))
    for i, spec in enumerate(episodes.specs):
        assert episodes.shortest_paths[i] >= 2.0
        targets = spec["targets"][: spec["num_targets"]].tolist()
        expected = {"Bed": [0, 2], "Apple": [1], "Sofa": [0]}[episodes.target_types[i]]
        assert targets == expected
        assert (spec["targets"][spec["num_targets"] :] == -1).all()
        assert spec["yaw_deg"] % 30 == 0


def test_every_house_goal_and_heading_occurs():
    episodes = make().sample(*keys(300))
    assert set(episodes.target_types) == {"Bed", "Apple", "Sofa"}
    assert set(episodes.specs["house"]) == {0, 1}
    assert len(set(episodes.specs["yaw_deg"])) == 12
    assert len(set(episodes.specs["seed"])) == 300


def test_houses_and_their_goals_are_drawn_alike():
    """Half the episodes in each house; the first house's two goals share its half."""
    types = make().sample(*keys(2000)).target_types
    shares = [types.count(name) / 2000 for name in ("Sofa", "Bed", "Apple")]
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25], atol=0.04)  # four standard deviations


def test_wanted_types_only():
    sampler = make(SamplerConfig(target_types=("Sofa",), min_distance=1.0))
    assert set(sampler.sample(*keys(20)).specs["house"]) == {1}


def test_blocked_starts_are_drawn_again():
    houses = [LineHouse(["Bed"], wall=5.0)]
    episodes = make(houses=houses).sample(*keys(100))
    assert episodes.specs["x"].max() < 5.0


def test_a_house_without_any_free_start_is_one_clear_error():
    with pytest.raises(UserError, match="no start for ObjectNav"):
        make(houses=[LineHouse(["Bed"], wall=0.0)]).sample(*keys(1))


def test_no_goal_in_any_house_is_one_clear_error():
    with pytest.raises(UserError, match="none of the 2 houses has a goal for ObjectNav") as caught:
        make(SamplerConfig(target_types=("Dragon",)))
    assert "target_types" in str(caught.value)


def test_an_impossible_distance_range_is_refused():
    with pytest.raises(UserError, match="min_distance"):
        SamplerConfig(min_distance=3.0, max_distance=2.0)


def test_starts_look_towards_the_goal_as_far_as_wanted():
    config = SamplerConfig(min_distance=2.0, max_start_turn_deg=60.0)
    yaws = set(make(config).sample(*keys(200)).specs["yaw_deg"])
    assert yaws == {30.0, 60.0, 90.0, 120.0, 150.0}  # the goals lie towards +x, at 90 degrees


def test_an_impossible_turn_is_refused():
    with pytest.raises(UserError, match="max_start_turn_deg"):
        SamplerConfig(max_start_turn_deg=200.0)


def test_tasks_are_drawn_by_their_weights():
    sampler = make(tasks=("ObjectNav", "RoomNav"), weights=(3.0, 1.0))
    tags = sampler.sample(*keys(2000)).specs["task"].tolist()
    assert set(tags) == {TAGS["ObjectNav"], TAGS["RoomNav"]}
    assert tags.count(TAGS["ObjectNav"]) / 2000 == pytest.approx(0.75, abs=0.04)


def test_the_spec_says_task_goal_limit_and_rooms():
    sampler = make(tasks=("RoomNav", "RoomVisit", "PickUp"), houses=[LineHouse(["Apple"])])
    for spec in sampler.sample(*keys(60)).specs:
        name = {TAGS[name]: name for name in TASKS}[int(spec["task"])]
        assert GOAL_KINDS[spec["goal"]] == TASKS[name].goal_kind
        assert spec["max_steps"] == 500
        if name == "RoomVisit":
            assert spec["target_rooms"] == 0b11
        elif name == "RoomNav":
            start_room = 0 if spec["x"] < 5 else 1
            assert spec["target_rooms"] == 1 << (1 - start_room)
        else:
            assert spec["num_targets"] == 1 and spec["target_rooms"] == 0


def test_pick_up_starts_where_a_target_is_seen_and_faces_it():
    episodes = make(tasks=("PickUp",), houses=[LineHouse(["Apple"])]).sample(*keys(50))
    assert set(episodes.specs["x"]) == {0.0}  # the one place with nothing left to walk to see it
    assert set(episodes.specs["yaw_deg"]) == {60.0, 90.0, 120.0}
    assert (episodes.shortest_paths == 1.0).all()  # and a metre more until it is in reach


def test_descriptions_keep_the_textures_that_they_speak_of():
    config = SamplerConfig(randomise=("materials", "lights", "textures"))
    for name, drawn in (("ObjectNav", 7), ("ObjNavDescription", 3)):
        sampler = make(config, tasks=(name,), houses=[LineHouse(["Apple"])])
        assert set(sampler.sample(*keys(5)).specs["randomise"]) == {drawn}
    still = make(SamplerConfig(randomise=(), camera_noise=False)).sample(*keys(5)).specs
    assert not still["randomise"].any() and not still["camera_noise"].any()


def test_an_unknown_kind_of_randomness_is_refused():
    with pytest.raises(UserError, match=r"sampler\.randomise"):
        SamplerConfig(randomise=("weather",))


def test_thousands_of_houses_cost_nothing_before_they_are_drawn():
    houses = [LineHouse(["Bed", "Apple", "Sofa"]) for _ in range(5000)]
    sampler = make(houses=houses, tasks=("ObjectNav", "Fetch", "RoomNav"))
    assert sum(house.asked for house in houses) <= 3
    sampler.sample(*keys(10))
    assert sum(house.asked > 0 for house in houses) <= 14
