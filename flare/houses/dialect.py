"""ProcTHOR's own dialect of house documents: names and orders that readers of its files rely on."""

import re
from collections.abc import Mapping
from typing import Any

from flare.houses.library import find_asset

_ROUNDING = 0.0051  # m; ids of walls carry two decimals
_WALL_ID = re.compile(r"wall\|(exterior|\d+)" + r"\|(-?\d+\.\d\d)" * 4)
_OBJAVERSE_ID = re.compile(r"[0-9A-Za-z]{26,32}")  # 32 hex digits, of later sets 26 signs

Faults = list[str]


def is_procthor(document: Mapping[str, Any]) -> bool:
    """Tell whether the rooms carry ProcTHOR's ids."""
    return all(re.fullmatch(r"room\|\d+", room["id"]) for room in document["rooms"])


def dialect_faults(document: Mapping[str, Any]) -> list[str]:
    """List what breaks the dialect in a sound document, as schema_faults does."""
    faults: Faults = []
    for i, room in enumerate(document["rooms"]):
        corners = [(point["x"], point["z"]) for point in room["floorPolygon"]]
        following = [*corners[1:], corners[0]]
        if (
            sum(ax * bz - bx * az for (ax, az), (bx, bz) in zip(corners, following, strict=True))
            > 0
        ):
            faults.append(f"rooms[{i}].floorPolygon: runs anticlockwise; reverse it")
    places: dict[str, set[str]] = {}  # the four numbers of a wall → whose walls stand there
    for i, wall in enumerate(document["walls"]):
        owner = _check_wall_id(wall, f"walls[{i}]", faults)
        places.setdefault(wall["id"].partition("|")[2].partition("|")[2], set()).add(owner)
    for i, wall in enumerate(document["walls"]):
        numbers = wall["id"].partition("|")[2].partition("|")[2]
        if len(places[numbers]) != 2:
            faults.append(f"walls[{i}]: stands alone; a wall has two sides, one may be exterior")
    for kind in ("doors", "windows"):
        for i, opening in enumerate(document[kind]):
            _check_opening_names(opening, kind[:-1], f"{kind}[{i}]", faults)
    _check_assets(document["objects"], "objects", faults)
    return faults


def _check_wall_id(wall: dict[str, Any], path: str, faults: Faults) -> str:
    """Compare a wall's id with its place; returns whose it is."""
    match = _WALL_ID.fullmatch(wall["id"])
    if match is None:
        faults.append(
            f"{path}.id: is {wall['id']!r}; write wall|<room>|<minx>|<minz>|<maxx>|<maxz>"
        )
        return ""
    xs = [point["x"] for point in wall["polygon"]]
    zs = [point["z"] for point in wall["polygon"]]
    bounds = (min(xs), min(zs), max(xs), max(zs))
    if any(abs(float(match[k + 2]) - bounds[k]) > _ROUNDING for k in range(4)):
        faults.append(f"{path}.id: {wall['id']!r} is not where the wall stands; write its bounds")
    outer = match[1] == "exterior"
    if not outer and wall["roomId"] != f"room|{match[1]}":
        faults.append(f"{path}.roomId: is {wall['roomId']!r}; the id says room|{match[1]}")
    on_floor = [point["y"] == min(p["y"] for p in wall["polygon"]) for point in wall["polygon"]]
    if on_floor != ([False, False, True, True] if outer else [True, True, False, False]):
        order = "upper points first" if outer else "floor points first"
        faults.append(f"{path}.polygon: is out of order; list the {order}")
    return match[1]


def _check_opening_names(opening: dict[str, Any], kind: str, path: str, faults: Faults) -> None:
    if not re.fullmatch(kind + r"(\|\d+)+", opening["id"]):
        faults.append(f"{path}.id: is {opening['id']!r}; write {kind}|<number>|<number>")
    first, second = (opening[key].split("|", 2) for key in ("wall0", "wall1"))
    if first[2] != second[2]:
        faults.append(f"{path}.wall1: is not the other side of wall0; use the wall's twin")
    if first[1] == "exterior" or opening["room0"] != f"room|{first[1]}":
        faults.append(f"{path}.room0: is {opening['room0']!r}; use the room of wall0")
    outside = second[1] == "exterior"
    if opening["room1"] != (opening["room0"] if outside else f"room|{second[1]}"):
        faults.append(f"{path}.room1: is {opening['room1']!r}; use the room of wall1, or room0")
    if outside and opening.get("openness", 0) > 0:
        faults.append(f"{path}.openness: is {opening['openness']}; a door to the outside is shut")
    asset = find_asset(opening["assetId"])
    family = {"door": ("Doorway", "Doorframe"), "window": ("Window",)}[kind]
    if asset is None or asset.type not in family:
        faults.append(f"{path}.assetId: {opening['assetId']!r} is no {kind}; use a built-in one")
    if asset is not None and asset.type == "Doorframe" and "openness" in opening:
        faults.append(f"{path}.openness: a frame has no leaf; leave it out")


def _check_assets(objects: list[dict[str, Any]], path: str, faults: Faults) -> None:
    for i, entry in enumerate(objects):
        asset_id = entry["assetId"]
        if find_asset(asset_id) is None and not _OBJAVERSE_ID.fullmatch(asset_id):
            faults.append(
                f"{path}[{i}].assetId: {asset_id!r} is neither built in nor an Objaverse id; "
                "AI2-THOR would leave the object out"
            )
        _check_assets(entry.get("children") or [], f"{path}[{i}].children", faults)
