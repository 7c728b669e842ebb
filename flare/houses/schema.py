"""Whether a house document keeps to schema 1.0.0, as AI2-THOR's CreateHouse reads it.

The simulator's loader forgives much; this does not. Fields, their types and ranges are a table;
what they refer to is looked up afterwards. Documents in ProcTHOR's own dialect (rooms are called
``room|<number>``) are held to its naming, too: FLaRe and others parse the ids of walls.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flare.houses.dialect import dialect_faults, is_procthor

SCHEMA = "1.0.0"
AGENT_MODES = ("default", "locobot", "arm", "stretch", "drone")

_LAYER_NAMES = tuple(f"Procedural{i}" for i in range(4))
_FARTHEST = 1000.0  # m
_CENTIMETRE = 0.01  # m

Faults = list[str]
Check = Callable[[Any, str, Faults], None]


def schema_faults(document: Mapping[str, Any]) -> list[str]:
    """List what breaks the schema, each as "path: what is wrong; how to mend it".

    Args:
        document: a parsed house document.

    Returns: in the document's order; references are only followed where the fields are sound.
    """
    faults: Faults = []
    _HOUSE(document, "", faults)
    if not faults:
        _check_references(document, faults)
    if not faults and is_procthor(document):
        faults += dialect_faults(document)
    return faults


def _number(low: float = -_FARTHEST, high: float = _FARTHEST) -> Check:
    def check(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, int | float):
            faults.append(f"{path}: is {_kind(value)}; write a number")
        elif not (math.isfinite(value) and low <= value <= high):
            faults.append(f"{path}: is {value}; keep it within {low:g} and {high:g}")

    return check


def _text(choices: Collection[str] = ()) -> Check:
    def check(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
        if not isinstance(value, str) or not value:
            faults.append(f"{path}: is {_kind(value)}; write a text")
        elif choices and value not in choices:
            faults.append(f"{path}: is {value!r}; use one of {', '.join(choices)}")

    return check


def _flag(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
    if not isinstance(value, bool):
        faults.append(f"{path}: is {_kind(value)}; write true or false")


def _list(item: Check, least: int = 0, most: int | None = None) -> Check:
    def check(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
        if not isinstance(value, list):
            faults.append(f"{path}: is {_kind(value)}; write a list")
            return
        if len(value) < least or (most is not None and len(value) > most):
            span = f"{least}" if least == most else f"{least} or more"
            faults.append(f"{path}: has {len(value)} entries; give {span}")
        for index, entry in enumerate(value):
            item(entry, f"{path}[{index}]", faults)

    return check


def _record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Build the check of an object; keys it does not know are left alone."""
    known = {**required, **(optional or {})}

    def check(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
        if not isinstance(value, dict):
            faults.append(f"{path or 'document'}: is {_kind(value)}; write an object")
            return
        dot = f"{path}." if path else ""
        for key in required:
            if key not in value:
                faults.append(f"{dot}{key}: is missing; the schema needs it")
        for key, entry in value.items():
            if key in known:
                known[key](entry, f"{dot}{key}", faults)

    return check


def _or_null(inner: Check) -> Check:
    def check(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
        if value is not None:
            inner(value, path, faults)

    return check


def _kind(value: Any) -> str:  # noqa: ANN401
    if value is None or value == "":
        return "empty"
    return f"a {type(value).__name__}"


def _children(value: Any, path: str, faults: Faults) -> None:  # noqa: ANN401
    _list(_OBJECT)(value, path, faults)


_POINT = _record({"x": _number(), "y": _number(), "z": _number()})
_ANGLES = _record({axis: _number(-360.0, 360.0) for axis in "xyz"})
_COLOR = _record({channel: _number(0.0, 1.0) for channel in "rgb"}, {"a": _number(0.0, 1.0)})
_LAYER = _text(_LAYER_NAMES)
_MATERIAL = _record(
    {"name": _text()},
    {
        "color": _COLOR,
        "tilingDivisorX": _number(0.001),
        "tilingDivisorY": _number(0.001),
        "unlit": _flag,
    },
)
_ROOM = _record(
    {
        "id": _text(),
        "roomType": _text(),
        "floorPolygon": _list(_POINT, least=3),
        "floorMaterial": _MATERIAL,
    },
    {"ceilings": _list(_record({})), "children": _list(_record({})), "layer": _LAYER},
)
_WALL = _record(
    {"id": _text(), "roomId": _text(), "polygon": _list(_POINT, 4, 4), "material": _MATERIAL},
    {"empty": _flag, "layer": _LAYER},
)
_OPENING = _record(
    {
        "id": _text(),
        "assetId": _text(),
        "room0": _text(),
        "room1": _text(),
        "wall0": _text(),
        "wall1": _text(),
        "holePolygon": _list(_POINT, 2, 2),
        "assetPosition": _POINT,
    },
    {"openable": _flag, "openness": _number(0.0, 1.0), "layer": _LAYER, "material": _MATERIAL},
)
_OBJECT = _record(
    {"id": _text(), "assetId": _text(), "position": _POINT, "kinematic": _flag},
    {
        "rotation": _ANGLES,
        "children": _children,
        "layer": _LAYER,
        "objectType": _text(),
        "openness": _number(0.0, 1.0),
        "isOn": _flag,
        "isDirty": _flag,
        "unlit": _flag,
        "color": _COLOR,
        "material": _or_null(_MATERIAL),
    },
)
_SHADOW = _record(
    {"type": _text(("None", "Hard", "Soft"))},
    {
        "strength": _number(0.0, 1.0),
        "bias": _number(0.0, 2.0),
        "normalBias": _number(0.0, 3.0),
        "nearPlane": _number(0.0, 10.0),
        "resolution": _text(),
    },
)
_LIGHT = _record(
    {
        "id": _text(),
        "type": _text(("directional", "point", "spot")),
        "position": _POINT,
        "rgb": _COLOR,
        "intensity": _number(0.0, 100.0),
    },
    {
        "rotation": _ANGLES,
        "indirectMultiplier": _number(0.0, 10.0),
        "range": _number(0.001),
        "shadow": _SHADOW,
        "layer": _LAYER,
        "cullingMaskOff": _list(_LAYER),
    },
)
_PARAMETERS = _record(
    {"ceilingMaterial": _MATERIAL, "lights": _list(_LIGHT), "floorColliderThickness": _number(0.0)},
    {
        "receptacleHeight": _number(0.0),
        "reflections": _list(_record({})),
        "skyboxId": _text(),
        "skyboxColor": _COLOR,
    },
)
_POSE = _record(
    {"position": _POINT, "horizon": _number(-90.0, 90.0)}, {"rotation": _ANGLES, "standing": _flag}
)
_METADATA = _record(
    {"schema": _text((SCHEMA,))},
    {
        "agent": _POSE,
        "agentPoses": _record({}, dict.fromkeys(AGENT_MODES, _POSE)),
        "roomSpecId": _text(),
        "warnings": _record({}),
    },
)
_HOUSE = _record(
    {
        "rooms": _list(_ROOM, least=1),
        "walls": _list(_WALL, least=3),
        "doors": _list(_OPENING),
        "windows": _list(_OPENING),
        "objects": _list(_OBJECT),
        "proceduralParameters": _PARAMETERS,
        "metadata": _METADATA,
    }
)


def _check_references(document: Mapping[str, Any], faults: Faults) -> None:
    """Ids are given once, references lead somewhere, and holes lie within their walls."""
    rooms = _index(document["rooms"], "rooms", faults)
    walls = _index(document["walls"], "walls", faults)
    for i, wall in enumerate(document["walls"]):
        if wall["roomId"] not in rooms and wall["roomId"] != "exterior":
            faults.append(f"walls[{i}].roomId: {wall['roomId']!r} is no room; use a room's id")
        _check_rectangle(wall, f"walls[{i}].polygon", faults)
    _index(document["doors"] + document["windows"], "doors and windows", faults)
    for kind in ("doors", "windows"):
        for i, opening in enumerate(document[kind]):
            _check_opening(opening, f"{kind}[{i}]", rooms, walls, faults)
    _check_object_ids(document["objects"], "objects", set(), faults)
    _index(document["proceduralParameters"]["lights"], "proceduralParameters.lights", faults)


def _index(entries: list[dict[str, Any]], path: str, faults: Faults) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["id"] in table:
            faults.append(f"{path}: {entry['id']!r} occurs twice; give every entry its own id")
        table[entry["id"]] = entry
    return table


def _check_rectangle(wall: dict[str, Any], path: str, faults: Faults) -> None:
    low, high = floor_points(wall), sorted(point["y"] for point in wall["polygon"])
    if high[0] != high[1] or high[2] != high[3] or high[1] >= high[2]:
        faults.append(f"{path}: is no upright rectangle; give two floor points and two above them")
    elif math.dist(*low) < _CENTIMETRE:
        faults.append(f"{path}: is shorter than 1 cm; give the floor points apart from each other")


def floor_points(wall: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Find the two lowest points (x, z) of a wall, in the order of the document."""
    order = sorted(enumerate(wall["polygon"]), key=lambda pair: (pair[1].get("y", 0.0), pair[0]))
    first, second = (wall["polygon"][i] for i, _ in sorted(order[:2], key=lambda pair: pair[0]))
    return (first["x"], first["z"]), (second["x"], second["z"])


def _check_opening(
    opening: dict[str, Any],
    path: str,
    rooms: Mapping[str, Any],
    walls: Mapping[str, Any],
    faults: Faults,
) -> None:
    for key, table in (("room0", rooms), ("room1", rooms), ("wall0", walls), ("wall1", walls)):
        if opening[key] not in table and not (
            key.startswith("room") and opening[key] == "exterior"
        ):
            faults.append(f"{path}.{key}: {opening[key]!r} is not defined; use an id that is")
            return
    low, high = opening["holePolygon"]
    length = math.dist(*floor_points(walls[opening["wall0"]]))
    top = max(point["y"] for point in walls[opening["wall0"]]["polygon"])
    if not (low["x"] < high["x"] and low["y"] < high["y"]):
        faults.append(f"{path}.holePolygon: has no area; write its lower corner, then its upper")
    elif low["x"] < -_CENTIMETRE or high["x"] > length + _CENTIMETRE or high["y"] > top:
        faults.append(
            f"{path}.holePolygon: leaves its wall of {length:.2f} by {top:.2f} m; "
            "measure x along wall0 from its first floor point"
        )
    middle = opening["assetPosition"]
    inside = low["x"] < middle["x"] < high["x"] and low["y"] < middle["y"] < high["y"]
    if not inside:
        faults.append(f"{path}.assetPosition: is not in the hole; write the middle of the hole")
    if ("openable" in opening) != ("openness" in opening):
        faults.append(f"{path}: has one of openable and openness; write both or neither")


def _check_object_ids(
    objects: list[dict[str, Any]], path: str, seen: set[str], faults: Faults
) -> None:
    for i, entry in enumerate(objects):
        if entry["id"] in seen:
            faults.append(
                f"{path}[{i}].id: {entry['id']!r} occurs twice; give every object its own"
            )
        seen.add(entry["id"])
        _check_object_ids(entry.get("children") or [], f"{path}[{i}].children", seen, faults)
