import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.assets.looks import GOAL_TYPES
from flare.errors import UserError
from flare.houses.bodies import bodies_of
from flare.houses.check import check_file, check_house
from flare.houses.files import read_houses, write_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.worlds.embedded import load_house

CONFIG = GeneratorConfig(num_rooms=(1, 4), goal_types=GOAL_TYPES, num_goal_types=6)

REAL_FILES = [
    "objaverse_train.jsonl.gz",
    "objaverse_val.jsonl.gz",
    "objaverse_test.jsonl.gz",
    "thor_hard_val.jsonl.gz",
    "thor_tiny_train.jsonl.gz",
    "thor_tiny_val.jsonl.gz",
    "thor_tiny_test.jsonl.gz",
    "thor_misc.jsonl.gz",
    "thor_one_room_val.jsonl.gz",
    "holodeck_living_room.json",
]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**40), st.sampled_from(["train", "val", "test"]), st.integers(0, 1000))
def test_generated_houses_pass(seed, split, index):
    verdict = check_house("made", json.dumps(generate_house(seed, split, index, CONFIG)))
    assert verdict.ok, verdict
    assert verdict.reason == ""
    assert verdict.unknown_types == verdict.guessed_sizes == ()


def test_nearly_all_generated_goals_can_be_walked_to():
    """Furniture may hide one from every place within 2 m; samplers do not offer such a goal."""
    reached = []
    for index in range(40):
        house = load_house(json.dumps(generate_house(0, "train", index, CONFIG)), "made")
        for goal in {object_["type"] for object_ in house.objects()} & set(GOAL_TYPES):
            targets = [i for i, object_ in enumerate(house.objects()) if object_["type"] == goal]
            reached.append(house.geodesic(targets).max() >= 0.0)
    assert sum(reached) >= 0.99 * len(reached) > 100


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_houses_load(shared_dir, name):
    """Every house loads; the loader and the plan agree on every box."""
    for source, text in read_houses(shared_dir / "houses" / name):
        house = load_house(text, source)
        document = json.loads(text)
        assert house.num_rooms == len(document["rooms"])
        objects, bodies = house.objects(), bodies_of(document)
        assert [o["id"] for o in objects] == [b.id for b in bodies]
        for object_, body in zip(objects, bodies, strict=True):
            assert object_["type"] == body.type, source
            assert object_["on_wall"] == body.on_wall, (source, body)
            assert object_["size"] == pytest.approx(body.size, abs=1e-3), (source, body)
            parent = objects[object_["parent"]]["id"] if object_["parent"] >= 0 else None
            assert parent == body.parent
            assert object_["room"] >= 0


@pytest.mark.slow
def test_all_one_room_houses_load(shared_dir):
    for source, text in read_houses(shared_dir / "houses" / "thor_one_room_train.jsonl.gz"):
        assert load_house(text, source).num_rooms == 1


def test_doors_of_real_houses_join_their_rooms(shared_dir):
    """Holes lie within both walls and open ones join the rooms that they name."""
    for source, text in read_houses(shared_dir / "houses" / "thor_tiny_val.jsonl.gz"):
        house = load_house(text, source)
        for opening in house.openings():
            x0, z0, x1, z1 = opening["ends"]
            middle = ((x0 + x1) / 2, (z0 + z1) / 2)
            normal = ((z1 - z0), -(x1 - x0))
            scale = 0.2 / math.hypot(*normal)
            sides = {
                house.room_at(middle[0] + s * scale * normal[0], middle[1] + s * scale * normal[1])
                for s in (-1, 1)
            }
            assert set(opening["rooms"]) <= sides


def test_a_file_of_good_and_bad_houses(tmp_path):
    good = generate_house(0, "train", 0, CONFIG)
    bad = good | {"rooms": []}
    write_houses(tmp_path / "a.jsonl", [good, bad])
    first, second = check_file(tmp_path / "a.jsonl")
    assert first.ok
    assert str(first).startswith("a.jsonl line 1: ")
    assert first.start_is_free
    assert first.hash != 0
    assert not second.ok
    assert "a.jsonl line 2: rooms: is empty" in second.reason
    assert str(second) == second.reason
    with pytest.raises(UserError, match="no such file"):
        check_file(tmp_path / "b.jsonl")


def test_what_is_guessed_and_blocked_is_told():
    house = generate_house(0, "train", 0, GeneratorConfig(num_rooms=(2, 2)))
    agent = house["metadata"]["agent"]["position"]
    house["objects"].append(
        {
            "id": "ObjaTrunk|2|999",
            "assetId": "0" * 32,
            "position": {"x": agent["x"], "y": 0.3, "z": agent["z"]},
            "rotation": {"x": 0, "y": 0, "z": 0},
            "kinematic": True,
        }
    )
    house["objects"].append(
        {
            "id": "Spaceship|2|1000",
            "assetId": "nowhere",
            "position": {"x": agent["x"], "y": 0.1, "z": agent["z"]},
            "kinematic": False,
        }
    )
    verdict = check_house("made", json.dumps(house))
    assert not verdict.ok
    assert "the agent's start is blocked" in str(verdict)
    assert verdict.unknown_types == (("Spaceship", 1),)
    assert dict(verdict.guessed_sizes) == {"Trunk": 1, "Spaceship": 1}


def test_a_room_without_a_door_is_told():
    house = generate_house(0, "train", 0, GeneratorConfig(num_rooms=(2, 2)))
    for door in house["doors"]:
        if door["room0"] != door["room1"]:
            door["openness"] = 0
    verdict = check_house("made", json.dumps(house))
    assert len(verdict.unreachable_rooms) == 1
    assert "no way into room|" in verdict.reason
