import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.assets.looks import GOAL_TYPES
from flare.errors import UserError
from flare.houses.bodies import bodies_of, polygon_contains
from flare.houses.check import check_house
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig, generate_house, generate_houses
from flare.houses.kinds import FETCHED_TYPES, GOAL_ROOMS
from flare.houses.schema import floor_points
from flare.houses.styles import PROCTHOR
from flare.recipes.demo import DemoConfig, generator_config

CONFIG = GeneratorConfig(half_open_doors=0.3)
ROBOT_RADIUS = 0.1855  # m

houses = st.builds(
    lambda seed, rooms: generate_house(seed, "train", 0, replace(CONFIG, num_rooms=(rooms, rooms))),
    st.integers(0, 2**40),
    st.integers(1, 10),
)
few = settings(max_examples=12, deadline=None)


def distance_to_box(body, x, z):
    angle = math.radians(body.yaw_deg)
    dx, dz = x - body.x, z - body.z
    u = dx * math.cos(angle) - dz * math.sin(angle)
    v = dx * math.sin(angle) + dz * math.cos(angle)
    return math.hypot(max(abs(u) - body.size[0] / 2, 0.0), max(abs(v) - body.size[2] / 2, 0.0))


@few
@given(houses)
def test_doors_join_all_rooms(house):
    joined = {house["rooms"][0]["id"]}
    ways = [{d["room0"], d["room1"]} for d in house["doors"] if d.get("openness", 1) > 0]
    empty = [wall for wall in house["walls"] if wall.get("empty")]
    for wall in empty:
        ways.append({w["roomId"] for w in empty if w["id"][-20:] == wall["id"][-20:]})
    for _ in house["rooms"]:
        for ends in ways:
            if ends & joined:
                joined |= ends
    assert joined == {room["id"] for room in house["rooms"]}


@few
@given(houses)
def test_the_start_is_free_and_inside_a_room(house):
    agent = house["metadata"]["agent"]["position"]
    floors = [[(p["x"], p["z"]) for p in room["floorPolygon"]] for room in house["rooms"]]
    assert sum(polygon_contains(floor, agent["x"], agent["z"]) for floor in floors) == 1
    for body in bodies_of(house):
        if body.parent is None and not body.on_wall:
            assert distance_to_box(body, agent["x"], agent["z"]) > ROBOT_RADIUS


def overlap(one, other):
    """Whether two convex polygons share more than a millimetre (separating axes)."""
    for corners in (one, other):
        for (ax, az), (bx, bz) in zip(corners, [*corners[1:], corners[0]], strict=True):
            normal = np.array([az - bz, bx - ax]) / math.hypot(bx - ax, bz - az)
            a, b = np.array(one) @ normal, np.array(other) @ normal
            if a.max() <= b.min() + 1e-3 or b.max() <= a.min() + 1e-3:
                return False
    return True


def standing(house):
    return [b for b in bodies_of(house) if b.parent is None and not b.on_wall]


@few
@given(houses)
def test_furniture_keeps_to_its_room_and_apart(house):
    floors = [[(p["x"], p["z"]) for p in room["floorPolygon"]] for room in house["rooms"]]
    for body in standing(house):
        assert body.known_size
        assert body.y == pytest.approx(body.size[1] / 2, abs=1e-3)  # on the floor
        homes = [f for f in floors if polygon_contains(f, body.x, body.z)]
        assert all(polygon_contains(homes[0], x, z) for x, z in body.corners())
    bodies = standing(house)
    for i, body in enumerate(bodies):
        assert not any(overlap(body.corners(), other.corners()) for other in bodies[:i])


@few
@given(houses)
def test_nothing_stands_in_a_doorway(house):
    """Half a metre before and behind every hole, and where a leaf swings, the floor is empty."""
    walls = {wall["id"]: wall for wall in house["walls"]}
    for door in house["doors"]:
        (ax, az), (bx, bz) = floor_points(walls[door["wall0"]])
        length = math.dist((ax, az), (bx, bz))
        dx, dz = (bx - ax) / length, (bz - az) / length
        low, high = (corner["x"] for corner in door["holePolygon"])
        zone = [
            (ax + dx * t - dz * deep, az + dz * t + dx * deep)
            for t, deep in ((low, -0.5), (high, -0.5), (high, 1.0), (low, 1.0))
        ]
        for body in standing(house):
            assert not overlap(body.corners(), zone), (door["id"], body.id)


@few
@given(houses)
def test_children_rest_on_their_receptacle_and_apart(house):
    bodies = {body.id: body for body in bodies_of(house)}
    assert len(bodies) == sum(1 + len(o.get("children", [])) for o in house["objects"])
    for entry in house["objects"]:
        below = bodies[entry["id"]]
        children = [bodies[child["id"]] for child in entry.get("children", [])]
        for i, body in enumerate(children):
            top = below.y + below.size[1] / 2
            assert body.y - body.size[1] / 2 == pytest.approx(top, abs=1e-3)
            assert top <= PROCTHOR.highest_top
            assert all(distance_to_box(below, x, z) < 1e-3 for x, z in body.corners())
            assert not any(overlap(body.corners(), other.corners()) for other in children[:i])


@few
@given(houses)
def test_every_goal_at_home_is_there(house):
    rooms = {room["roomType"] for room in house["rooms"]}
    wanted = {goal for goal in GOAL_TYPES if rooms & set(GOAL_ROOMS[goal])}
    assert wanted <= {body.type for body in bodies_of(house)}
    if len(house["rooms"]) >= 4:
        assert wanted == set(GOAL_TYPES)


@few
@given(houses)
def test_the_simulator_gets_everywhere_and_the_arm_at_what_it_fetches(house):
    from flare.worlds.embedded import load_house

    text = json.dumps(house)
    verdict = check_house("made", text)
    assert verdict.ok, verdict
    assert verdict.unknown_types == verdict.guessed_sizes == verdict.schema_faults == ()
    places = load_house(text, "made").reachable()
    within = {
        body.type
        for body in bodies_of(house)
        if body.parent and np.hypot(*(places - (body.x, body.z)).T).min() <= PROCTHOR.arm_reach
    }
    rooms = {room["roomType"] for room in house["rooms"]}
    assert within >= {goal for goal in FETCHED_TYPES if rooms & set(GOAL_ROOMS[goal])}


@few
@given(houses)
def test_walls_carry_procthors_ids_and_point_order(house):
    walls = {wall["id"]: wall for wall in house["walls"]}
    assert len(walls) == len(house["walls"])
    for wall in house["walls"]:
        numbers = [float(text) for text in wall["id"].split("|")[2:]]
        xs, zs = [p["x"] for p in wall["polygon"]], [p["z"] for p in wall["polygon"]]
        assert numbers == pytest.approx([min(xs), min(zs), max(xs), max(zs)], abs=0.006)
        on_floor = [point["y"] == 0 for point in wall["polygon"]]
        outer = "exterior" in wall["id"]
        assert on_floor == ([False, False, True, True] if outer else [True, True, False, False])
    for opening in house["doors"] + house["windows"]:
        inner, outer = walls[opening["wall0"]], walls[opening["wall1"]]
        ends = [
            [(p["x"], p["z"]) for p in wall["polygon"] if p["y"] == 0] for wall in (inner, outer)
        ]
        assert ends[0] == ends[1][::-1]
        low, high = opening["holePolygon"]
        assert 0.0 < low["x"] < high["x"] < math.dist(*ends[0])


def test_a_house_is_a_function_of_its_key():
    first = generate_house(7, "train", 3, CONFIG)
    assert first == generate_house(7, "train", 3, CONFIG)
    others = [
        generate_house(8, "train", 3, CONFIG),
        generate_house(7, "val", 3, CONFIG),
        generate_house(7, "train", 4, CONFIG),
    ]
    texts = {json.dumps(house) for house in [first, *others]}
    assert len(texts) == 4


def test_no_two_houses_are_equal_in_or_across_splits():
    config = replace(CONFIG, num_rooms=(1, 3))
    seen = {
        json.dumps(generate_house(0, split, i, config))
        for split in ("train", "val", "test")
        for i in range(30)
    }
    assert len(seen) == 90


def digest(documents):
    text = json.dumps(documents, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_golden_houses():
    """The same houses on every machine; a change of the generator shows here and is meant."""
    assert digest([generate_house(7, "train", i, GeneratorConfig()) for i in range(10)]) == (
        "d8213ef67b4bb9a6468ef0a3663dafb0561fe361e66e434505f051d35d97e238"
    )


def test_the_demo_plays_in_the_houses_it_was_measured_in():
    config = generator_config(DemoConfig())
    houses = [generate_house(0, split, i, config) for split in ("train", "val") for i in range(10)]
    assert digest(houses) == "6a06d526b87e4d0738ed8981ad5a00b05baef9f732660c91ca5943e678877d13"


def test_the_file_does_not_depend_on_the_workers(tmp_path):
    made = []
    for workers in (1, 2):
        path = tmp_path / f"{workers}.jsonl.gz"
        generate_houses(
            path,
            count=10,
            split="val",
            seed=1,
            config=CONFIG,
            num_workers=workers,
            progress=made.append,
        )
    assert (tmp_path / "1.jsonl.gz").read_bytes() == (tmp_path / "2.jsonl.gz").read_bytes()
    assert made == [*range(1, 11)] * 2
    documents = [json.loads(text) for _, text in read_houses(tmp_path / "1.jsonl.gz")]
    assert documents == [generate_house(1, "val", i, CONFIG) for i in range(10)]


def test_rooms_follow_the_config():
    config = GeneratorConfig(num_rooms=(3, 3), room_area={"Bedroom": (10.0, 12.0)})
    house = generate_house(0, "test", 0, config)
    assert [room["roomType"] for room in house["rooms"]] == ["Bedroom"] * 3


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"num_rooms": (3, 2)}, "num_rooms"),
        ({"num_rooms": (0, 2)}, "num_rooms"),
        ({"outer_shape": "round"}, "outer_shape"),
        ({"room_area": {}}, "room_area"),
        ({"room_area": {"Cellar": (5.0, 9.0)}}, "room_area"),
        ({"goal_types": ("Spaceship",), "num_goal_types": 1}, "goal_types"),
        ({"num_goal_types": 16}, "num_goal_types"),
        ({"style": "baroque"}, "style"),
        ({"half_open_doors": 1.5}, "half_open_doors"),
    ],
)
def test_impossible_configs_are_refused(change, key):
    with pytest.raises(UserError, match=key):
        replace(CONFIG, **change)


def test_what_cannot_be_made_is_said():
    with pytest.raises(UserError, match="no split 'dev'"):
        generate_house(0, "dev", 0, CONFIG)
    narrow = GeneratorConfig(num_rooms=(1, 1), room_area={"Bathroom": (1.0, 1.0)})
    with pytest.raises(UserError, match="200 attempts"):
        generate_house(0, "train", 0, narrow)
    with pytest.raises(UserError, match="at least one house"):
        generate_houses("unused.jsonl", count=0, split="train", seed=0, config=CONFIG)
