import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.houses.doors import open_leaves, place_doors
from flare.houses.draws import Draws
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.houses.layout import RoomSpec, make_layout
from flare.houses.schema import floor_points
from flare.houses.styles import PROCTHOR


def test_leaves_by_hand():
    """A hole from (0, 0) to (1, 0) whose frame takes 0.05 m at each side; room1 lies to +z."""
    [(hinge, tip)] = open_leaves((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), 1.0)
    assert hinge == pytest.approx((0.05, 0.0))
    assert tip == pytest.approx((0.05, 0.9))
    [(_, tip)] = open_leaves((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), 0.5)
    assert tip == pytest.approx((0.05 + 0.9 * math.sqrt(0.5), 0.9 * math.sqrt(0.5)))
    [(_, tip)] = open_leaves((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), 0.0)
    assert tip == pytest.approx((0.95, 0.0))
    [left, right] = open_leaves((0.0, 0.0), (2.0, 0.0), (0.0, 1.0), 1.0)
    assert left == (pytest.approx((0.05, 0.0)), pytest.approx((0.05, 0.95)))
    assert right == (pytest.approx((1.95, 0.0)), pytest.approx((1.95, 0.95)))


def leaves_of(document):
    """Leaves of every door by the rule of the generator: room1 lies to the left of wall0."""
    walls = {wall["id"]: wall for wall in document["walls"]}
    for door in document["doors"]:
        (ax, az), (bx, bz) = floor_points(walls[door["wall0"]])
        length = math.dist((ax, az), (bx, bz))
        dx, dz = (bx - ax) / length, (bz - az) / length
        low, high = (corner["x"] for corner in door["holePolygon"])
        ends = (ax + dx * low, az + dz * low), (ax + dx * high, az + dz * high)
        shut = door["room0"] == door["room1"] or door.get("openness", 0) == 0
        yield [] if shut else open_leaves(*ends, (-dz, dx), door["openness"])


def assert_core_agrees(document, text):
    from flare.worlds.embedded import load_house

    doors = [o for o in load_house(text, "made").openings() if o["kind"] == "door"]
    for opening, leaves in zip(doors, leaves_of(document), strict=True):
        flat = [(*hinge, *tip) for hinge, tip in leaves]
        assert len(opening["leaves"]) == len(flat)
        for one, other in zip(opening["leaves"], flat, strict=True):
            assert one == pytest.approx(other, abs=1e-3)


def test_the_core_hangs_the_same_leaves_in_real_houses(shared_dir):
    for _, text in read_houses(shared_dir / "houses" / "thor_tiny_val.jsonl.gz"):
        assert_core_agrees(json.loads(text), text)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**40))
def test_the_core_hangs_the_same_leaves_in_generated_houses(seed):
    config = GeneratorConfig(num_rooms=(2, 6), half_open_doors=0.5)
    house = generate_house(seed, "train", 0, config)
    assert_core_agrees(house, json.dumps(house))


@given(st.integers(0, 2**32), st.sampled_from([0.0, 1.0]))
def test_doors_stand_as_ordered(seed, half_open):
    rooms = [
        RoomSpec(room_type=name, area=20.0)
        for name in ("Kitchen", "LivingRoom", "Bedroom", "Bathroom")
    ]
    draws = Draws(seed, 0, 0, 0)
    layout = make_layout(rooms, "any", PROCTHOR, draws)
    ways = None if layout is None else place_doors(layout, PROCTHOR, half_open, draws)
    if ways is None:
        return
    inner = [hole for hole in ways.holes if hole.segment.neighbour != 0]
    assert len(inner) + len(ways.passages) == len(rooms) - 1  # a tree
    for hole in inner:
        framed = hole.asset_id.startswith("Doorframe")
        assert (hole.openness is None) == framed
        assert framed or (hole.openness < 1.0 if half_open else hole.openness == 1.0)
    for first, second in ways.passages:
        types = {layout.room_types[first], layout.room_types[second]}
        assert types == {"Kitchen", "LivingRoom"}
    [front] = [hole for hole in ways.holes if hole.segment.neighbour == 0]
    assert front.openness == 0.0
    assert not front.passable
