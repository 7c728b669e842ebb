"""What a house document holds, as plain boxes on the floor: enough to draw it and to report on it.

The rules are those of the simulator's loader (``csrc/sim/object_reader.cpp``), without the core so
that a plan can be drawn where only the JSON is at hand; a test holds the two together.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flare.houses.library import categories, find_asset, synonyms

_UNKNOWN_SIZE = (0.2, 0.2, 0.2)
_UNKNOWN_COLOR = (0.55, 0.55, 0.58)
_SCALES = (0.25, 4.0)  # how far an Objaverse asset may be from its type's default height
_SMALLEST_SHARE = 0.2  # of a footprint that is cut back to fit its room
_MOUNTED_GAP = 0.3  # m of air below a top-level object: it hangs on a wall

Polygon = Sequence[tuple[float, float]]  # corners (x, z), m


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """The box of an object."""

    id: str
    type: str
    asset_id: str
    x: float  # m, centre
    y: float
    z: float
    size: tuple[float, float, float]  # m along its own axes
    yaw_deg: float
    color: tuple[float, float, float]
    parent: str | None  # id of the receptacle
    on_wall: bool
    known_size: bool  # measured, not a default of its type
    known_type: bool

    def corners(self) -> list[tuple[float, float]]:
        """Footprint corners (x, z) in order."""
        c, s = math.cos(math.radians(self.yaw_deg)), math.sin(math.radians(self.yaw_deg))
        half_x, half_z = self.size[0] / 2, self.size[2] / 2
        return [
            (self.x + u * c + v * s, self.z - u * s + v * c)
            for u, v in (
                (-half_x, -half_z),
                (-half_x, half_z),
                (half_x, half_z),
                (half_x, -half_z),
            )
        ]


def bodies_of(house: dict[str, Any]) -> list[Body]:
    """Every object of a house document, parents before their children."""
    floors = [
        [(point["x"], point["z"]) for point in room["floorPolygon"]] for room in house["rooms"]
    ]
    return list(_walk(house.get("objects") or [], None, floors))


def type_of(entry: dict[str, Any]) -> str:
    """The type of an object entry, by its asset, ``objectType`` or id in this order."""
    asset = find_asset(entry["assetId"])
    if asset is not None:
        return asset.type
    named = entry.get("objectType") or "Undefined"
    name = _plain(entry["id"] if named == "Undefined" else named)
    if not name or not (name[0].isalpha() or " " in name) or name in ("small", "surface", "room"):
        name = _plain(entry["assetId"])
    name = name.removeprefix("Obja")
    name = "".join(word[:1].upper() + word[1:] for word in re.split("[_ ]", name)) or "Unknown"
    return synonyms().get(name, name)


def _plain(name: str) -> str:
    """Everything before "|", " (" and trailing counts: "sofa-0 (living room)" is a "sofa"."""
    return re.sub(r"([-_]\d+)+$", "", name.split("|")[0].split(" (")[0])


def _walk(
    entries: list[dict[str, Any]], parent: Body | None, floors: Sequence[Polygon]
) -> Iterator[Body]:
    for entry in entries:
        body = _body(entry, parent)
        if not body.known_size and not body.on_wall:
            body = _fitted(body, floors)
        yield body
        yield from _walk(entry.get("children") or [], body, floors)


def _body(entry: dict[str, Any], parent: Body | None) -> Body:
    name = type_of(entry)
    category = categories().get(name)
    asset = find_asset(entry["assetId"])
    position = entry["position"]
    height = position.get("y", 0.0)
    size = asset.size if asset else _default_size(category, height, parent)
    hangs = height - size[1] / 2 > _MOUNTED_GAP
    wall_kind = bool(category and category.get("on_wall")) or bool(entry.get("kinematic"))
    return Body(
        id=entry["id"],
        type=name,
        asset_id=entry["assetId"],
        x=position["x"],
        y=height,
        z=position["z"],
        size=size,
        yaw_deg=entry.get("rotation", {}).get("y", 0.0),
        color=tuple((category or {}).get("color", _UNKNOWN_COLOR)),
        parent=parent.id if parent else None,
        on_wall=parent is None and hangs and wall_kind,
        known_size=asset is not None,
        known_type=category is not None,
    )


def _default_size(
    category: dict[str, Any] | None, center_y: float, parent: Body | None
) -> tuple[float, float, float]:
    """Scale a type's default so that the thing rests on what is below it."""
    x, y, z = category["size"] if category else _UNKNOWN_SIZE
    if parent is None and category and category.get("on_wall"):
        return (x, y, z)
    base = parent.y + parent.size[1] / 2 if parent else 0.0
    scale = 2.0 * (center_y - base) / y
    if not _SCALES[0] <= scale <= _SCALES[1]:
        return (x, y, z)
    return (x * min(scale, 1.0), y * scale, z * min(scale, 1.0))


def _fitted(body: Body, floors: Sequence[Polygon]) -> Body:
    """Cut a guessed footprint back to what the walls leave between them and its centre."""
    floor = next((f for f in floors if polygon_contains(f, body.x, body.z)), None)
    if floor is None:
        return body
    c, s = math.cos(math.radians(body.yaw_deg)), math.sin(math.radians(body.yaw_deg))
    share_x = share_z = 1.0
    for (ax, az), (bx, bz) in zip(floor, [*floor[1:], floor[0]], strict=True):
        length = math.hypot(bx - ax, bz - az)
        along = (body.x - ax) * (bx - ax) + (body.z - az) * (bz - az)
        if length == 0.0 or not 0.0 <= along <= length * length:
            continue
        nx, nz = (bz - az) / length, -(bx - ax) / length
        reach_x = body.size[0] / 2 * abs(nx * c - nz * s)
        reach_z = body.size[2] / 2 * abs(nx * s + nz * c)
        room = abs((body.x - ax) * nx + (body.z - az) * nz)
        if reach_x + reach_z <= room:
            continue
        share = room / (reach_x + reach_z)
        if reach_x > 0.1 * reach_z:
            share_x = min(share_x, share)
        if reach_z > 0.1 * reach_x:
            share_z = min(share_z, share)
    x, y, z = body.size
    return replace(
        body, size=(x * max(share_x, _SMALLEST_SHARE), y, z * max(share_z, _SMALLEST_SHARE))
    )


def polygon_contains(corners: Polygon, x: float, z: float) -> bool:
    """Tell whether a point lies inside, by the even-odd rule."""
    inside = False
    for (ax, az), (bx, bz) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (az > z) != (bz > z) and x < ax + (bx - ax) * (z - az) / (bz - az):
            inside = not inside
    return inside
