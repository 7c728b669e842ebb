import copy
import json

import pytest

from flare.houses.dialect import is_procthor
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.houses.library import materials
from flare.houses.schema import schema_faults
from tests.houses.test_check import REAL_FILES


@pytest.fixture(scope="module")
def house():
    """Two rooms with a leaf between them and something on a receptacle."""
    return generate_house(0, "train", 0, GeneratorConfig(num_rooms=(4, 4)))


@pytest.mark.parametrize("name", [*REAL_FILES, "thor_one_room_train.jsonl.gz"])
def test_real_houses_keep_to_the_schema(shared_dir, name):
    for source, text in read_houses(shared_dir / "houses" / name):
        document = json.loads(text)
        assert schema_faults(document) == [], source
        assert is_procthor(document) == (name != "holodeck_living_room.json")


def test_materials_are_those_of_real_houses(shared_dir):
    for _, text in read_houses(shared_dir / "houses" / "thor_tiny_val.jsonl.gz"):
        document = json.loads(text)
        assert {room["floorMaterial"]["name"] for room in document["rooms"]} <= {
            *materials().floors
        }
        assert {wall["material"]["name"] for wall in document["walls"]} <= {*materials().walls}
        assert document["proceduralParameters"]["skyboxId"] in materials().skyboxes


def edited(document, path, value):
    """A copy with one entry replaced, or taken out if the value is None."""
    result = copy.deepcopy(document)
    *parents, last = path
    place = result
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["rooms"], None, "rooms: is missing"),
        (["rooms"], [], "rooms: has 0 entries; give 1 or more"),
        (["rooms", 0, "id"], 3, "rooms[0].id: is a int; write a text"),
        (["rooms", 0, "layer"], "Procedural9", "rooms[0].layer: is 'Procedural9'"),
        (["rooms", 0, "floorMaterial"], "Wood", "rooms[0].floorMaterial: is a str; write an obj"),
        (["walls", 0, "polygon"], [], "walls[0].polygon: has 0 entries; give 4"),
        (["walls", 1, "polygon", 2, "y"], True, "walls[1].polygon[2].y: is a bool"),
        (["walls", 1, "polygon", 2, "y"], float("nan"), "walls[1].polygon[2].y: is nan"),
        (["walls", 0, "material", "color"], {"r": 2, "g": 0, "b": 0}, "material.color.r: is 2"),
        (["doors", 0, "openness"], 1.5, "doors[0].openness: is 1.5; keep it within 0 and 1"),
        (["objects", 0, "kinematic"], 1, "objects[0].kinematic: is a int; write true or false"),
        (["objects", 0, "rotation", "y"], 400, "objects[0].rotation.y: is 400"),
        (["proceduralParameters", "lights", 0, "type"], "sun", "lights[0].type: is 'sun'"),
        (["metadata", "schema"], "0.0.1", "metadata.schema: is '0.0.1'; use one of 1.0.0"),
        (["metadata", "agentPoses", "stretch", "horizon"], 100, "stretch.horizon: is 100"),
        (["walls", 0, "roomId"], "room|77", "walls[0].roomId: 'room|77' is no room"),
        (["doors", 0, "wall0"], "wall|0", "doors[0].wall0: 'wall|0' is not defined"),
        (["doors", 0, "holePolygon", 1, "x"], 90.0, "doors[0].holePolygon: leaves its wall"),
        (["doors", 0, "holePolygon", 1, "x"], -1.0, "doors[0].holePolygon: has no area"),
        (["doors", 0, "assetPosition", "x"], 90.0, "doors[0].assetPosition: is not in the hole"),
        (["doors", 0, "openable"], None, "doors[0]: has one of openable and openness"),
        (["walls", 0, "polygon", 0, "y"], 1.0, "walls[0].polygon: is no upright rectangle"),
        (["doors", 0, "assetId"], "Gate_1", "doors[0].assetId: 'Gate_1' is no door"),
        (["objects", 0, "assetId"], "Throne", "objects[0].assetId: 'Throne' is neither built in"),
        (["doors", 0, "id"], "gate|1", "doors[0].id: is 'gate|1'"),
    ],
)  # fmt: skip
def test_each_fault_is_named(house, path, value, message):
    assert schema_faults(house) == []
    faults = schema_faults(edited(house, path, value))
    assert any(message in fault for fault in faults), faults


def test_ids_are_given_once(house):
    twice = copy.deepcopy(house)
    twice["objects"][1]["id"] = twice["objects"][0]["id"]
    twice["walls"].append(twice["walls"][0])
    faults = schema_faults(twice)
    assert any(fault.startswith("walls: 'wall|") and "occurs twice" in fault for fault in faults)
    assert any(fault.startswith("objects[1].id: ") for fault in faults)


def test_walls_are_called_after_their_place(house):
    moved = copy.deepcopy(house)
    for wall in moved["walls"]:
        for point in wall["polygon"]:
            point["x"] += 1.0
    assert all("is not where the wall stands" in fault for fault in schema_faults(moved))
    renamed = edited(house, ["walls", 0, "id"], "wall|north")
    for kind in ("doors", "windows"):
        renamed[kind] = []
    assert schema_faults(renamed)[0].startswith("walls[0].id: is 'wall|north'; write wall|<room>|")
    alone = copy.deepcopy(house)
    alone["doors"] = alone["windows"] = []
    alone["walls"] = [wall for wall in alone["walls"] if "exterior" not in wall["id"]]
    assert any("stands alone" in fault for fault in schema_faults(alone))


def test_orders_of_points_are_procthors(house):
    backwards = copy.deepcopy(house)
    backwards["rooms"][0]["floorPolygon"].reverse()
    backwards["walls"][0]["polygon"] = backwards["walls"][0]["polygon"][::-1]
    faults = schema_faults(backwards)
    assert "rooms[0].floorPolygon: runs anticlockwise; reverse it" in faults
    assert "walls[0].polygon: is out of order; list the floor points first" in faults


def test_the_front_door_is_shut(house):
    index = next(i for i, d in enumerate(house["doors"]) if d["room0"] == d["room1"])
    [fault] = schema_faults(edited(house, ["doors", index, "openness"], 1))
    assert fault.startswith(f"doors[{index}].openness: is 1; a door to the outside is shut")
