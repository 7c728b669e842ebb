from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.errors import UserError
from flare.robots import VariationSpec, load_robot, sample_robots

LOCOBOT = load_robot("locobot")


@given(seed=st.integers(0, 2**40), count=st.integers(1, 12))
def test_a_variation_is_a_function_of_seed_and_index_within_its_ranges(seed, count):
    robots = sample_robots(LOCOBOT, count, seed)
    assert robots == sample_robots(LOCOBOT, count + 3, seed)[:count]
    for index, robot in enumerate(robots):
        assert robot.name == f"locobot-{index}"
        assert 0.15 <= robot.body.radius <= 0.20
        assert 0.6 <= robot.body.height <= 1.2
        camera, base = robot.cameras.navigation, LOCOBOT.cameras.navigation
        assert -0.3 <= camera.position[1] - base.position[1] <= 0.4
        assert -15.0 <= camera.pitch - base.pitch <= 10.0
        assert -10.0 <= camera.fov - base.fov <= 15.0


def test_variations_differ_and_share_bodies_by_the_centimetre():
    robots = sample_robots(LOCOBOT, 200, seed=1)
    assert len({robot.cameras.navigation.pitch for robot in robots}) > 190
    assert {robot.body.radius for robot in robots} == {0.15, 0.16, 0.17, 0.18, 0.19, 0.20}


def test_both_cameras_of_a_robot_move_together():
    stretch = load_robot("stretch")
    first = sample_robots(stretch, 1, 5, ranges=VariationSpec(camera_height=(0.1, 0.1)))[0]
    for before, after in (
        (stretch.cameras.navigation, first.cameras.navigation),
        (stretch.cameras.manipulation, first.cameras.manipulation),
    ):
        assert before is not None
        assert after is not None
        assert after.position[1] == pytest.approx(before.position[1] + 0.1)
        assert after.fov == before.fov
    assert first.body == stretch.body


def test_without_ranges_or_count_nothing_is_drawn():
    with pytest.raises(UserError, match=r"no ranges to draw from. Mend: add a variation section"):
        sample_robots(replace(LOCOBOT, variation=VariationSpec()), 2, 0)
    with pytest.raises(UserError, match=r"draw at least one"):
        sample_robots(LOCOBOT, 0, 0)
