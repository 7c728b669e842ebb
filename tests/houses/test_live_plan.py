import json

import numpy as np

from flare.houses.live_plan import LivePlan
from flare.houses.sources import house_items
from tests.worlds.two_rooms import two_rooms

ROBOT = np.array([209, 73, 91])


def red(picture):
    return np.argwhere((picture == ROBOT).all(-1))


def test_the_robot_stands_and_points_where_it_does():
    plan = LivePlan(two_rooms(), 200)
    places = {}
    for x, z in ((1.0, 1.0), (7.0, 1.0), (1.0, 3.0)):
        picture = plan.draw([(x, z)], 0.0)
        assert picture.shape[0] == 200 and picture.dtype == np.uint8
        places[x, z] = red(picture).mean(0)
    row, column = places[1.0, 1.0]
    # Columns grow with x, rows shrink with z, by the same number of pixels a metre.
    per_metre = (places[7.0, 1.0][1] - column) / 6
    np.testing.assert_allclose(places[7.0, 1.0][0], row, atol=1)
    np.testing.assert_allclose(row - places[1.0, 3.0][0], 2 * per_metre, atol=2)
    north, east = (red(plan.draw([(2.0, 2.0)], yaw)) for yaw in (0.0, 90.0))
    centre = (north.max(0) + east.min(0)) / 2
    assert north[:, 0].min() < centre[0] - 10 and east[:, 1].max() > centre[1] + 10


def test_the_path_is_drawn_and_nothing_stays_from_before():
    plan = LivePlan(two_rooms(), 200)
    alone = plan.draw([(3.0, 2.0)], 0.0)
    walked = plan.draw([(1.0, 2.0), (3.0, 2.0)], 0.0)
    assert len(red(walked)) > len(red(alone)) + 20
    np.testing.assert_array_equal(plan.draw([(3.0, 2.0)], 0.0), alone)


def test_houses_come_from_seeds_documents_and_text():
    a = house_items("generated", count=2, seed=3)
    assert (
        a == house_items("generated", count=2, seed=3) != house_items("generated", count=2, seed=4)
    )
    document = json.loads(a[0][1])
    assert [text for _, text in house_items([document, a[1][1]], count=1, seed=0)] == [
        text for _, text in a
    ]
