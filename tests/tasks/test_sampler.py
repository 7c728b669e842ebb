"""The sampler over two hand-made houses whose distances are known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.errors import UserError
from flare.tasks.sampler import MAX_TARGETS, EpisodeSampler, SamplerConfig

DTYPE = np.dtype(
    [
        ("seed", "<u8"),
        ("house", "<i4"),
        ("x", "<f4"),
        ("z", "<f4"),
        ("yaw_deg", "<f4"),
        ("num_targets", "<i4"),
        ("camera_noise", "<i4"),
        ("randomise", "<i4"),
        ("targets", "<i4", (MAX_TARGETS,)),
    ]
)


class LineHouse:
    """Cells every metre along x; the target's distance is its cell's x."""

    def __init__(self, types, length=10, wall=None):
        self.source = "line"
        self._types, self._length, self._wall = types, length, wall

    def objects(self):
        return [{"type": name, "center": (20.0, 0.5, 0.0)} for name in self._types]

    def reachable(self):
        x = np.arange(self._length, dtype=np.float32)
        return np.stack([x, np.zeros_like(x)], axis=1)

    def geodesic(self, targets):
        return np.arange(self._length, dtype=np.float32)

    def blocked(self, x, z, yaw_deg):
        return self._wall is not None and x >= self._wall


def make(config=None, houses=None, seed=3):
    houses = houses or [LineHouse(["Bed", "Apple", "Bed"]), LineHouse(["Sofa"])]
    return EpisodeSampler(houses, DTYPE, config or SamplerConfig(min_distance=2.0), seed)


def keys(n):
    return np.zeros(n, np.int64), np.arange(n)


@given(env=st.integers(0, 1000), episode=st.integers(0, 10**6), seed=st.integers(0, 2**32))
def test_an_episode_is_a_function_of_its_key(env, episode, seed):
    one = make(seed=seed).sample(np.array([env]), np.array([episode]))
    many = make(seed=seed).sample(np.array([env + 1, env]), np.array([episode, episode]))
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


def test_wanted_types_only():
    sampler = make(SamplerConfig(target_types=("Sofa",), min_distance=1.0))
    assert sampler.num_usable_houses == 1
    assert set(sampler.sample(*keys(20)).specs["house"]) == {1}


def test_blocked_starts_are_drawn_again():
    houses = [LineHouse(["Bed"], wall=5.0)]
    episodes = make(houses=houses).sample(*keys(100))
    assert episodes.specs["x"].max() < 5.0


def test_no_goal_in_any_house_is_one_clear_error():
    with pytest.raises(UserError, match="none of the 2 houses") as caught:
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
