import json
from io import StringIO

import pytest
from rich.console import Console

from flare.houses.files import read_houses, write_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.houses.statistics import file_statistics, house_statistics
from flare.houses.statistics_table import statistics_table


def room(number, kind, *corners):
    return {
        "id": f"room|{number}",
        "roomType": kind,
        "floorPolygon": [{"x": x, "y": 0, "z": z} for x, z in corners],
        "floorMaterial": {"name": "Wood"},
    }


def wall(name, number, p0, p1, **more):
    points = [{"x": x, "y": y, "z": z} for y in (0, 3) for x, z in (p0, p1)]
    material = {"name": "PureWhite"}
    return {
        "id": name,
        "roomId": f"room|{number}",
        "polygon": points,
        "material": material,
    } | more


def door(name, rooms, low, high, **more):
    return {
        "id": name,
        "assetId": "Doorway_9",
        "room0": f"room|{rooms[0]}",
        "room1": f"room|{rooms[1]}",
        "wall0": "a",
        "wall1": "b",
        "holePolygon": [{"x": low, "y": 0}, {"x": high, "y": 2}],
    } | more


def thing(name, asset, y, **more):
    position = {"x": 1.0, "y": y, "z": 1.0}
    return {"id": name, "assetId": asset, "position": position, "kinematic": True} | more


@pytest.fixture
def tiny():
    """A kitchen of 4 m by 3 m, west of a bedroom of 2 m by 3 m; a table with a mug and an apple."""
    table = thing("DiningTable|2|0", "Dining_Table_204_1", 0.4)
    table["children"] = [thing("Mug|2|1", "Mug_1", 0.9), thing("Apple|2|2", "Apple_1", 0.9)]
    return {
        "rooms": [
            room(2, "Kitchen", (0, 0), (0, 3), (4, 3), (4, 0)),
            room(3, "Bedroom", (4, 0), (4, 3), (6, 3), (6, 0)),
        ],
        "walls": [
            wall("a", 2, (4, 3), (4, 0)),
            wall("b", 3, (4, 0), (4, 3)),
            wall("wall|exterior|0", 2, (0, 3), (0, 0)),
        ],
        "doors": [
            door("door|2|3", (2, 3), 0.5, 1.5, openable=True, openness=0.5),
            door("door|3|2", (3, 2), 2.0, 2.8),
            door("door|1|2", (2, 2), 0.0, 2.0, openable=False, openness=0),
        ],
        "windows": [],
        "objects": [table, thing("Bed|3|3", "Bed_1", 0.5)],
    }


def test_numbers_by_hand(tiny):
    result = house_statistics([tiny])
    medians = {name: spread.median for name, spread in result.spreads.items()}
    assert medians == {
        "rooms": 2,
        "floor area, m²": 12 + 6,
        "ceiling height, m": 3,
        "ways between rooms per room": 2 / 2,
        "windows per room": 0,
        "pieces per room": 2 / 2,
        "things on them per room": 2 / 2,
        "target categories": 3,  # Apple, Bed, Mug
        "corners of a room": 4,
        "wall length, m": 3,
        "door width, m": pytest.approx((1.0 + 0.8) / 2),
        "area of a Kitchen, m²": 12,
        "area of a Bedroom, m²": 6,
    }
    assert result.shares["ways between rooms"] == {"half-open door": 0.5, "frame": 0.5}
    assert result.shares["pieces"] == {"DiningTable": 0.5, "Bed": 0.5}
    assert result.shares["things on them"] == {"Mug": 0.5, "Apple": 0.5}
    assert result.targets["Mug"] == 1.0
    assert result.targets["Sofa"] == 0.0


def test_spreads_are_over_all_values(tiny):
    other = {**tiny, "doors": []}
    result = house_statistics([tiny, other], reached=[0.2, 0.6])
    ways = result.spreads["ways between rooms per room"]
    assert (ways.low, ways.median, ways.high, ways.num_values) == pytest.approx((0.1, 0.5, 0.9, 2))
    assert result.spreads["reachable share of the floor"].median == pytest.approx(0.4)
    assert result.spreads["corners of a room"].num_values == 4


def test_an_empty_wall_is_a_passage(tiny):
    tiny["doors"] = []
    for entry in tiny["walls"][:2]:
        entry["empty"] = True
    result = house_statistics([tiny])
    assert result.shares["ways between rooms"] == {"passage": 1.0}
    assert result.spreads["ways between rooms per room"].median == 0.5


def test_the_distance_of_two_files(tiny):
    """Pieces {table ½, bed ½} against {bed 1}: half of |½ - 0| + |½ - 1| is ½."""
    bare = {**tiny, "objects": tiny["objects"][1:]}
    one, other = house_statistics([tiny]), house_statistics([bare])
    assert one.distance(other, "pieces") == pytest.approx(0.5)
    assert one.distance(one, "pieces") == 0.0
    assert one.distance(other, "room types") == 0.0


def test_the_table_has_a_column_for_each_file(tiny):
    result = house_statistics([tiny])
    out = StringIO()
    console = Console(file=out, width=120)
    console.print(statistics_table({"a/one.jsonl": result, "b/two.jsonl": result}))
    text = out.getvalue()
    assert "one.jsonl" in text
    assert "two.jsonl" in text
    assert "pieces: total variation to the first" in text
    assert "0.90 (0.82–0.98)" in text  # door widths 0.8 and 1.0
    assert "houses with: Toilet" in text


def test_a_file_is_counted_with_the_simulators_grid(tmp_path):
    houses = [generate_house(0, "val", i, GeneratorConfig(num_rooms=(1, 2))) for i in range(3)]
    write_houses(tmp_path / "a.jsonl", houses)
    counted = []
    result = file_statistics(tmp_path / "a.jsonl", limit=2, on_house=lambda: counted.append(1))
    assert result.num_houses == len(counted) == 2
    assert 0.3 < result.spreads["reachable share of the floor"].median < 0.9
    assert json.loads(json.dumps(result.as_json()))["spreads"]["rooms"]["num_values"] == 2


def test_generated_houses_are_like_real_ones(shared_dir):
    """Medians of the default generator lie near those of ProcTHOR-Objaverse."""
    real = house_statistics(
        [json.loads(text) for _, text in read_houses(shared_dir / "houses/objaverse_val.jsonl.gz")]
    )
    made = house_statistics([generate_house(0, "train", i, GeneratorConfig()) for i in range(60)])
    assert real.distance(made, "room types") < 0.1
    assert real.distance(made, "ways between rooms") < 0.2
    for measure in (
        "ceiling height, m",
        "ways between rooms per room",
        "pieces per room",
        "door width, m",
        "area of a Bedroom, m²",
        "area of a Bathroom, m²",
    ):
        assert made.spreads[measure].median == pytest.approx(real.spreads[measure].median, rel=0.3)
