"""A house document of two rooms, a door, a sofa and a table, for tests of worlds."""

import json
from typing import Any


def _point(x: float, y: float, z: float) -> dict[str, float]:
    return {"x": x, "y": y, "z": z}


def _wall(room: int, x0: float, z0: float, x1: float, z1: float) -> dict[str, Any]:
    return {
        "id": f"wall|{room}|{x0:.2f}|{z0:.2f}|{x1:.2f}|{z1:.2f}",
        "roomId": f"room|{room}",
        "material": {"name": "WallDrywallGrey"},
        "polygon": [_point(x, y, z) for y in (0, 2.5) for x, z in ((x0, z0), (x1, z1))],
    }


def _room(room: int, x0: float, x1: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    corners = [(x0, 0.0), (x0, 4.0), (x1, 4.0), (x1, 0.0)]
    walls = [_wall(room, *a, *b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
    floor = {
        "id": f"room|{room}",
        "roomType": "Bedroom",
        "floorPolygon": [_point(x, 0, z) for x, z in corners],
        "floorMaterial": {"name": "LightWoodCounters 1"},
        "ceilings": [],
        "children": [],
    }
    return floor, walls


def _object(name: str, asset: str, x: float, y: float, z: float) -> dict[str, Any]:
    return {
        "id": name,
        "assetId": asset,
        "position": _point(x, y, z),
        "rotation": _point(0, 0, 0),
        "kinematic": True,
    }


def two_rooms() -> str:
    """JSON text: rooms x 0 to 4 and 4 to 8, z 0 to 4; a door in x = 4 from z = 1.5 to 2.5."""
    left, left_walls = _room(2, 0.0, 4.0)
    right, right_walls = _room(3, 4.0, 8.0)
    door = {
        "id": "door|2|3",
        "assetId": "Doorframe_1",
        "room0": "room|2",
        "room1": "room|3",
        "wall0": left_walls[2]["id"],  # runs from (4, 4) to (4, 0)
        "wall1": right_walls[0]["id"],
        "holePolygon": [_point(1.5, 0, 0), _point(2.5, 2.1, 0)],
        "assetPosition": _point(2.0, 1.05, 0),
    }
    return json.dumps(
        {
            "rooms": [left, right],
            "walls": left_walls + right_walls,
            "doors": [door],
            "windows": [],
            "objects": [
                _object("Sofa|2|0", "Sofa_203_1", 2.0, 0.4, 3.4),
                _object("ArmChair|3|0", "Armchair_201_1", 7.0, 0.5, 0.8),
            ],
            "proceduralParameters": {"ceilingMaterial": {"name": "GreyWall"}, "lights": []},
            "metadata": {
                "schema": "1.0.0",
                "agent": {"position": _point(2, 0.95, 1.5), "rotation": _point(0, 90, 0)},
            },
        }
    )
