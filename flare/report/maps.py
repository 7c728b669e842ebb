"""Top-down plans of houses with what the robot walked, as inline SVG."""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Any

Record = dict[str, Any]
Point = tuple[float, float]

_MARGIN = 0.35  # m around the house
_CHUNKS = 24  # pieces of a trajectory, drawn from faint to full
_ROOM_CLASSES = {
    "bedroom": "bed", "kitchen": "kitchen", "livingroom": "living", "bathroom": "bath",
}  # fmt: skip


def episode_map(house: Record, record: Record) -> str:
    """Draw one evaluated episode.

    Args:
        house: ProcTHOR house JSON; ``floorPolygon`` of rooms, walls, doors and objects are used.
        record: evaluation record with ``trajectory`` [[x, z, yaw], …], ``success``,
            ``target_type``; ``first_seen`` (step) and ``target_positions`` [[x, z], …] if known.

    Returns: an ``<svg>`` element, x to the right and z upwards, in metres.
    """
    rooms = [_polygon(room["floorPolygon"]) for room in house.get("rooms", [])]
    trajectory = [(float(p[0]), float(p[1])) for p in record.get("trajectory", [])]
    everything = [point for polygon in rooms for point in polygon] + trajectory
    if not everything:
        return ""
    low_x, high_x = min(x for x, _ in everything), max(x for x, _ in everything)
    low_z, high_z = min(z for _, z in everything), max(z for _, z in everything)
    width, height = high_x - low_x + 2 * _MARGIN, high_z - low_z + 2 * _MARGIN
    size = max(width, height) / 10  # of marks, in units of a tenth of the map
    box = f"{low_x - _MARGIN:.2f} {-high_z - _MARGIN:.2f} {width:.2f} {height:.2f}"
    parts = [
        *_rooms(house, rooms, size),
        *_openings(house),
        *_objects(house),
        *_targets(house, record, size),
        *_path(trajectory),
        *_first_seen(record, trajectory, size),
        *_ends(record, size),
        _scale(low_x - _MARGIN, -low_z + _MARGIN, size),
    ]
    return (
        f'<svg class="map" viewBox="{box}" role="img" aria-label="{_label(record)}" '
        f'style="--u:{size / 10:.4f}px">' + "".join(parts) + "</svg>"
    )


def target_positions(house: Record, record: Record) -> list[Point]:
    """Where the targets are: as the record tells, else every object of the target's type."""
    known = record.get("target_positions")
    if known:
        return [(float(p[0]), float(p[-1])) for p in known]
    wanted = _plain(str(record.get("target_type", "")))
    return [_xz(item["position"]) for item in _all_objects(house) if _plain(_type(item)) == wanted]


def _rooms(house: Record, polygons: Sequence[Sequence[Point]], size: float) -> Iterable[str]:
    names = []
    for room, polygon in zip(house.get("rooms", []), polygons, strict=True):
        kind = str(room.get("roomType", "room"))
        css = _ROOM_CLASSES.get(kind.lower(), "other")
        yield f'<polygon class="room {css}" points="{_points(polygon)}"/>'
        x, z = _centre(polygon)
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
        names.append(
            f'<text class="name" x="{x:.2f}" y="{-z:.2f}" font-size="{0.4 * size:.2f}" '
            f'text-anchor="middle">{escape(name)}</text>'
        )
    for wall in house.get("walls", []):
        floor = sorted(wall["polygon"], key=lambda point: float(point["y"]))[:2]
        (x1, z1), (x2, z2) = _xz(floor[0]), _xz(floor[1])
        yield f'<line class="wall" x1="{x1:.2f}" y1="{-z1:.2f}" x2="{x2:.2f}" y2="{-z2:.2f}"/>'
    yield from names


def _openings(house: Record) -> Iterable[str]:
    """Doors as gaps in their wall, windows as light lines."""
    ends = {}
    for wall in house.get("walls", []):
        floor = [_xz(point) for point in wall["polygon"][:2]]
        ends[wall["id"]] = (floor[0], floor[1])
    for key, css in (("doors", "door"), ("windows", "window")):
        for opening in house.get(key, []):
            wall_ends = ends.get(opening.get("wall0"))
            hole = opening.get("holePolygon", [])
            if wall_ends is None or len(hole) < 2:
                continue
            if css == "door" and opening.get("room0") == opening.get("room1"):
                css_here = "outer"  # leads outside and is shut
            else:
                css_here = css
            yield _segment(wall_ends, float(hole[0]["x"]), float(hole[1]["x"]), css_here)


def _segment(ends: tuple[Point, Point], begin: float, end: float, css: str) -> str:
    """Draw part of a wall, from ``begin`` to ``end`` metres along it."""
    (x1, z1), (x2, z2) = ends
    length = math.hypot(x2 - x1, z2 - z1) or 1.0
    dx, dz = (x2 - x1) / length, (z2 - z1) / length
    return (
        f'<line class="{css}" x1="{x1 + dx * begin:.2f}" y1="{-(z1 + dz * begin):.2f}" '
        f'x2="{x1 + dx * end:.2f}" y2="{-(z1 + dz * end):.2f}"/>'
    )


def _objects(house: Record) -> Iterable[str]:
    for item in house.get("objects", []):
        x, z = _xz(item["position"])
        mark = f'<circle class="object" cx="{x:.2f}" cy="{-z:.2f}" r="0.09">'
        yield f"{mark}<title>{escape(_type(item))}</title></circle>"


def _targets(house: Record, record: Record, size: float) -> Iterable[str]:
    for x, z in target_positions(house, record):
        star = []
        for i, reach in enumerate([0.42 * size, 0.17 * size] * 5):
            angle = i * math.pi / 5
            star.append((x + reach * math.sin(angle), z + reach * math.cos(angle)))
        name = escape(str(record.get("target_type")))
        mark = f'<polygon class="target" points="{_points(star)}">'
        yield f"{mark}<title>{name}</title></polygon>"


def _path(trajectory: Sequence[Point]) -> Iterable[str]:
    """Draw the walk, faint at its beginning and full at its end."""
    steps = len(trajectory) - 1
    pieces = min(_CHUNKS, max(steps, 0))
    for i in range(pieces):
        begin, end = i * steps // pieces, (i + 1) * steps // pieces
        opacity = 0.3 + 0.7 * (i + 1) / pieces
        yield (
            f'<polyline class="walk" stroke-opacity="{opacity:.2f}" '
            f'points="{_points(trajectory[begin : end + 1])}"/>'
        )


def _first_seen(record: Record, trajectory: Sequence[Point], size: float) -> Iterable[str]:
    step = record.get("first_seen")
    if step is None or not 0 <= step < len(trajectory):
        return
    x, z = trajectory[step]
    r = 0.24 * size
    diamond = _points([(x, z + r), (x + r, z), (x, z - r), (x - r, z)])
    title = f"<title>target first seen, step {step}</title>"
    yield f'<polygon class="seen" points="{diamond}">{title}</polygon>'


def _ends(record: Record, size: float) -> Iterable[str]:
    trajectory = record.get("trajectory", [])
    if not trajectory:
        return
    (x, z, yaw), (end_x, end_z, end_yaw) = trajectory[0][:3], trajectory[-1][:3]
    yield _arrow(x, z, yaw, 0.34 * size, "start", "start")
    css = "end good" if record.get("success") else "end bad"
    yield _arrow(end_x, end_z, end_yaw, 0.4 * size, css, "end")


def _arrow(x: float, z: float, yaw_deg: float, size: float, css: str, title: str) -> str:
    """Draw a robot as a dart that points where it looks; yaw 0 looks along +z, clockwise."""
    outline = []
    for angle, reach in ((0, 1.0), (140, 0.85), (180, 0.4), (220, 0.85)):
        direction, r = math.radians(yaw_deg + angle), reach * size
        outline.append((x + r * math.sin(direction), z + r * math.cos(direction)))
    shape = f'<polygon class="{css}" points="{_points(outline)}">'
    return f"{shape}<title>{title}</title></polygon>"


def _scale(left: float, bottom: float, size: float) -> str:
    y = bottom - 0.12
    return (
        f'<line class="scale" x1="{left + 0.3:.2f}" y1="{y:.2f}" '
        f'x2="{left + 1.3:.2f}" y2="{y:.2f}">'
        "<title>1 m</title></line>"
        f'<text class="scale-name" x="{left + 1.4:.2f}" y="{y + 0.1 * size:.2f}" '
        f'font-size="{0.34 * size:.2f}">1 m</text>'
    )


def _label(record: Record) -> str:
    outcome = "success" if record.get("success") else "failure"
    text = (
        f"Plan of house {record.get('house')} with the robot's path: {record.get('instruction')}; "
        f"{outcome} after {record.get('length')} steps"
    )
    return escape(text, quote=True)


def _all_objects(house: Record) -> Iterable[Record]:
    stack = list(house.get("objects", []))
    while stack:
        item = stack.pop()
        yield item
        stack.extend(item.get("children", []))


def _type(item: Record) -> str:
    return str(item.get("objectType") or str(item.get("id", "")).split("|")[0])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("obja")


def _polygon(points: Iterable[Record]) -> list[Point]:
    return [_xz(point) for point in points]


def _xz(point: Record) -> Point:
    return float(point["x"]), float(point["z"])


def _points(points: Iterable[Sequence[float]]) -> str:
    return " ".join(f"{p[0]:.2f},{-p[1]:.2f}" for p in points)


def _centre(polygon: Sequence[Point]) -> Point:
    """Return the centre of the widest horizontal strip, which lies inside an L-shaped room too."""
    zs = sorted({z for _, z in polygon})
    best = (0.0, polygon[0])
    for low, high in pairwise(zs):
        z = (low + high) / 2
        cuts = sorted(
            x1 + (x2 - x1) * (z - z1) / (z2 - z1)
            for (x1, z1), (x2, z2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True)
            if (z1 - z) * (z2 - z) < 0
        )
        for left, right in zip(cuts[::2], cuts[1::2], strict=False):
            score = min(right - left, 3 * (high - low))
            best = max(best, (score, ((left + right) / 2, z)))
    return best[1]
