"""A furnished layout as a ProcTHOR house document, schema 1.0.0."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from flare.houses.doors import Hole, Pair
from flare.houses.draws import Draws
from flare.houses.furniture import Placed, pair_of
from flare.houses.layout import Layout, Segment
from flare.houses.styles import Style

Document = dict[str, Any]

_AGENT_Y = 0.95  # m; what ProcTHOR writes, the engine lets the agent settle
_SHADOW = {
    "type": "Soft",
    "strength": 1,
    "normalBias": 0,
    "bias": 0.05,
    "nearPlane": 0.2,
    "resolution": "FromQualitySettings",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """Where an agent stands: metres and degrees."""

    x: float
    z: float
    yaw_deg: float


def house_document(
    *,
    layout: Layout,
    holes: Sequence[Hole],
    passages: Collection[Pair],
    objects: Sequence[Placed],
    start: Pose,
    ceiling_height: float,
    style: Style,
    draws: Draws,
) -> Document:
    """Assemble the document; numbers are rounded to a tenth of a millimetre."""
    exterior = draws.choice(style.exterior_materials)
    segments = [segment for room in layout.segments.values() for segment in room]
    wall_material = {room: _wall_material(style, draws) for room in layout.segments}
    walls = [
        _wall(s, ceiling_height, wall_material[s.room], pair_of(s) in passages) for s in segments
    ]
    walls += [_exterior_wall(s, ceiling_height, exterior) for s in segments if s.neighbour == 0]
    floors = style.floor_materials
    return {
        "rooms": [_room(layout, room, draws.choice(floors)) for room in layout.segments],
        "walls": walls,
        "doors": [_opening(hole, i) for i, hole in enumerate(holes) if hole.is_door],
        "windows": [_opening(hole, i) for i, hole in enumerate(holes) if not hole.is_door],
        "objects": _objects(objects),
        "proceduralParameters": _parameters(layout, ceiling_height, draws.choice(style.skyboxes)),
        "metadata": _metadata(layout, start),
    }


def _round(value: float) -> float:
    return round(value, 4) + 0.0  # no negative zero


def _point(x: float, y: float, z: float) -> dict[str, float]:
    return {"x": _round(x), "y": _round(y), "z": _round(z)}


def _room(layout: Layout, room: int, floor_material: str) -> Document:
    return {
        "id": f"room|{room}",
        "roomType": layout.room_types[room],
        "children": [],
        "ceilings": [],
        "floorPolygon": [_point(s.p0[0], 0.0, s.p0[1]) for s in layout.segments[room]],
        "floorMaterial": {"name": floor_material},
        "layer": _layer(room),
    }


def _layer(room: int) -> str:
    return f"Procedural{room % 4}"


def _wall_id(owner: int | str, segment: Segment) -> str:
    (ax, az), (bx, bz) = segment.p0, segment.p1
    low_x, high_x, low_z, high_z = min(ax, bx), max(ax, bx), min(az, bz), max(az, bz)
    return f"wall|{owner}|{low_x:.2f}|{low_z:.2f}|{high_x:.2f}|{high_z:.2f}"


def _wall_material(style: Style, draws: Draws) -> Document:
    """A material as it is, or white in a colour."""
    if style.wall_colors and draws.chance(0.5):
        color = dict(zip("rgb", draws.choice(style.wall_colors), strict=True))
        return {"name": "PureWhite", "color": color}
    return {"name": draws.choice(style.wall_materials)}


def _wall(segment: Segment, height: float, material: Document, is_passage: bool) -> Document:
    """Floor points first, then the upper ones, in the direction that has the room on its right."""
    corners = [(p, y) for y in (0.0, height) for p in (segment.p0, segment.p1)]
    wall: Document = {
        "id": _wall_id(segment.room, segment),
        "roomId": f"room|{segment.room}",
        "polygon": [_point(p[0], y, p[1]) for p, y in corners],
        "material": material,
        "layer": _layer(segment.room),
    }
    return wall | {"empty": True} if is_passage else wall


def _exterior_wall(segment: Segment, height: float, material: str) -> Document:
    """Make the outer face: reversed, upper points first."""
    corners = [(p, y) for y in (height, 0.0) for p in (segment.p1, segment.p0)]
    return {
        "id": _wall_id("exterior", segment),
        "roomId": f"room|{segment.room}",
        "polygon": [_point(p[0], y, p[1]) for p, y in corners],
        "material": {"name": material},
        "layer": _layer(segment.room),
    }


def _opening(hole: Hole, index: int) -> Document:
    segment = hole.segment
    inside = segment.neighbour != 0
    kind = "door" if hole.is_door else "window"
    ends = (segment.room, segment.neighbour) if inside else (1, segment.room)
    document: Document = {
        "id": f"{kind}|{ends[0]}|{ends[1]}|{index}",
        "assetId": hole.asset_id,
        "room0": f"room|{segment.room}",
        "room1": f"room|{segment.neighbour if inside else segment.room}",
        "wall0": _wall_id(segment.room, segment),
        "wall1": _wall_id(segment.neighbour if inside else "exterior", segment),
        "holePolygon": [_point(hole.x0, hole.y0, 0.0), _point(hole.x1, hole.y1, 0.0)],
        "assetPosition": _point((hole.x0 + hole.x1) / 2, (hole.y0 + hole.y1) / 2, 0.0),
    }
    if hole.openness is not None:
        whole = int(hole.openness) == hole.openness  # written as an integer, as ProcTHOR does
        openness = int(hole.openness) if whole else hole.openness
        document |= {"openable": hole.passable, "openness": openness}
    return document


def _objects(objects: Sequence[Placed]) -> list[Document]:
    """Objects with their children, numbered through the house."""
    count = 0
    documents = []
    for item in objects:
        document = _object(item, f"{item.asset.type}|{item.room}|{count}")
        count += 1
        for child in item.children:
            child_id = f"{child.asset.type}|surface|{child.room}|{count}"
            document.setdefault("children", []).append(_object(child, child_id))
            count += 1
        documents.append(document)
    return documents


def _object(item: Placed, object_id: str) -> Document:
    return {
        "id": object_id,
        "assetId": item.asset.asset_id,
        "objectType": item.asset.type,
        "position": _point(item.x, item.base_y + item.asset.size[1] / 2, item.z),
        "rotation": {"x": 0, "y": item.yaw_deg, "z": 0},
        "kinematic": not item.asset.pickupable,
        "layer": _layer(item.room),
    }


def _parameters(layout: Layout, ceiling_height: float, skybox: str) -> Document:
    layers = {_layer(room) for room in layout.segments}
    lights = [
        {
            "id": "DirectionalLight",
            "type": "directional",
            "position": {"x": 0.84, "y": 0.1855, "z": -1.09},
            "rotation": {"x": 66, "y": 75, "z": 0},
            "shadow": _SHADOW,
            "intensity": 1,
            "indirectMultiplier": 1.0,
            "rgb": {"r": 1.0, "g": 1.0, "b": 1.0},
        }
    ]
    for room, segments in layout.segments.items():
        # The first wall's middle, a metre inside: within the room even where it is concave.
        x, z = segments[0].point(segments[0].length / 2, 1.0)
        lights.append(
            {
                "id": f"light_{room}",
                "type": "point",
                "position": _point(x, ceiling_height - 0.2, z),
                "intensity": 0.75,
                "range": 15,
                "rgb": {"r": 1.0, "g": 0.855, "b": 0.722},
                "shadow": _SHADOW,
                "layer": _layer(room),
                "cullingMaskOff": sorted(layers - {_layer(room)}),
            }
        )
    return {
        "floorColliderThickness": 1.0,
        "receptacleHeight": 0.7,
        "lights": lights,
        "reflections": [],
        "ceilingMaterial": {"name": "PureWhite"},
        "skyboxId": skybox,
    }


def _metadata(layout: Layout, start: Pose) -> Document:
    agent = {
        "position": _point(start.x, _AGENT_Y, start.z),
        "rotation": {"x": 0, "y": start.yaw_deg, "z": 0},
        "horizon": 0,
    }
    standing = agent | {"standing": True}
    types = "-".join(sorted(layout.room_types.values())).lower()
    return {
        "agent": standing,
        "agentPoses": {"default": standing, "arm": standing, "stretch": standing, "locobot": agent},
        "roomSpecId": types,
        "schema": "1.0.0",
        "warnings": {},
    }
