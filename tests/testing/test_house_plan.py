"""The oracle of bodies in houses, by hand: rooms x 0 to 4 and 4 to 8, door z 1.5 to 2.5."""

import numpy as np
import pytest

from flare.robots import load_robot
from flare.testing.house_plan import HousePlan, disc_centre
from flare.worlds.embedded import load_house
from tests.worlds.two_rooms import two_rooms

BODY = load_robot("locobot").body  # radius 0.18, no offset
SOFA = 0


@pytest.fixture(scope="module")
def plan() -> HousePlan:
    return HousePlan(load_house(two_rooms(), "two rooms"))


@pytest.mark.parametrize(
    ("x", "z", "meets"),
    [
        (0.19, 2.0, False),
        (0.17, 2.0, True),
        (3.81, 3.0, False),
        (3.83, 3.0, True),
        (4.0, 2.0, False),  # in the middle of the door
        (4.0, 1.69, False),
        (4.0, 1.66, True),  # at its post
        (4.0, 2.34, True),
    ],
)
def test_walls_stand_but_for_doors(plan: HousePlan, x: float, z: float, meets: bool) -> None:
    assert plan.meets_wall(BODY, np.array([x, z])) is meets


def test_objects_stand_where_they_are_unless_away(plan: HousePlan) -> None:
    at_the_sofa = np.array([2.0, 3.4])
    assert plan.met_objects(BODY, at_the_sofa, ()) == [SOFA]
    assert plan.met_objects(BODY, at_the_sofa, {SOFA}) == []
    assert plan.met_objects(BODY, np.array([2.0, 1.0]), ()) == []


def test_a_moved_object_stands_elsewhere_and_turned(plan: HousePlan) -> None:
    width = load_house(two_rooms(), "two rooms").objects()[SOFA]["size"][0]
    depth = load_house(two_rooms(), "two rooms").objects()[SOFA]["size"][2]
    beside = np.array([6.0, 2.0 + width / 2 + 0.1])
    for center, yaw, distance in (
        ((6.0, 0.4, 2.0), 0.0, 0.1 + width / 2 - depth / 2),
        ((6.0, 0.4, 2.0), 90.0, 0.1),
        ((6.0, 4.0, 2.0), 90.0, np.inf),  # above the robot
    ):
        found = plan.distance_to_moved(BODY, beside, SOFA, center, yaw)
        assert found == pytest.approx(distance, abs=1e-6)


@pytest.mark.parametrize("likely_room", [0, 1])
def test_outside_is_farther_than_the_margin_from_every_room(
    plan: HousePlan, likely_room: int
) -> None:
    for point, distance in (((7.0, 3.0), 0.0), ((8.5, 2.0), 0.5), ((11.0, 8.0), 5.0)):
        assert not plan.is_outside(np.array(point), distance + 1e-6, likely_room)
        if distance > 0.0:
            assert plan.is_outside(np.array(point), distance - 1e-6, likely_room)


def test_the_disc_is_behind_a_robot_that_has_it_there() -> None:
    body = load_robot("stretch").body
    np.testing.assert_allclose(
        disc_centre(body, 1.0, 2.0, 90.0), [1.0 + body.centre_offset, 2.0], atol=1e-9
    )
