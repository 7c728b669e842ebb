"""What a house document holds, as plain boxes on the floor: enough to draw it and to report on it.

The rules are those of the simulator's loader (``csrc/sim/object_reader.cpp``), without the core so
that a plan can be drawn where only the JSON is at hand; a test holds the two together.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flare.houses.library import categories, find_asset, synonyms

_UNKNOWN_SIZE = (0.2, 0.2, 0.2)
_UNKNOWN_COLOR = (0.55, 0.55, 0.58)
_SCALES = (0.25, 4.0)  # how far an Objaverse asset may be from its type's default height


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
    return list(_walk(house.get("objects", []), None))


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


def _walk(entries: list[dict[str, Any]], parent: Body | None) -> Iterator[Body]:
    for entry in entries:
        body = _body(entry, parent)
        yield body
        yield from _walk(entry.get("children") or [], body)


def _body(entry: dict[str, Any], parent: Body | None) -> Body:
    name = type_of(entry)
    category = categories().get(name)
    asset = find_asset(entry["assetId"])
    position = entry["position"]
    size = asset.size if asset else _default_size(category, position["y"], parent)
    hung = position["y"] - size[1] / 2 > 0.3
    wall_kind = bool(category and category.get("on_wall")) or bool(entry.get("kinematic"))
    return Body(
        id=entry["id"],
        type=name,
        asset_id=entry["assetId"],
        x=position["x"],
        y=position["y"],
        z=position["z"],
        size=size,
        yaw_deg=entry.get("rotation", {}).get("y", 0.0),
        color=tuple((category or {}).get("color", _UNKNOWN_COLOR)),
        parent=parent.id if parent else None,
        on_wall=parent is None and hung and wall_kind,
        known_size=asset is not None,
        known_type=category is not None,
    )


def _default_size(
    category: dict[str, Any] | None, center_y: float, parent: Body | None
) -> tuple[float, float, float]:
    x, y, z = category["size"] if category else _UNKNOWN_SIZE
    base = parent.y + parent.size[1] / 2 if parent else 0.0
    scale = 2.0 * (center_y - base) / y
    if (category and category.get("on_wall")) or not _SCALES[0] <= scale <= _SCALES[1]:
        scale = 1.0
    return (x * scale, y * scale, z * scale)
