"""Top-down plans of houses with what the robot walked, as inline SVG."""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from flare.houses.bodies import Body, bodies_of

Record = dict[str, Any]
Point = tuple[float, float]

_CHUNKS = 24  # pieces of a trajectory, drawn from faint to full
_ROOM_CLASSES = {
    "bedroom": "bed", "kitchen": "kitchen", "livingroom": "living", "bathroom": "bath",
}  # fmt: skip


def episode_map(house: Record, record: Record) -> str:
    """Draw one evaluated episode.

    Args:
        house: ProcTHOR house JSON; ``floorPolygon`` of rooms, walls, doors and objects are used.
        record: evaluation record with ``trajectory`` [[x, z, yaw], …], ``success``,
            ``target_type``; ``targets`` (indices of objects) and ``first_seen`` (step) if known.

    Returns: an ``<svg>`` element, x to the right and z upwards, in metres.
    """
    rooms = [_polygon(room["floorPolygon"]) for room in house.get("rooms", [])]
    trajectory = [(float(p[0]), float(p[1])) for p in record.get("trajectory", [])]
    everything = [point for polygon in rooms for point in polygon] + trajectory
    if not everything:
        return ""
    low_x, high_x = min(x for x, _ in everything), max(x for x, _ in everything)
    low_z, high_z = min(z for _, z in everything), max(z for _, z in everything)
    extent = max(high_x - low_x, high_z - low_z, 1.0)
    margin, size = 0.07 * extent, 0.11 * extent  # m; size: of marks, a ninth of the house
    width, height = high_x - low_x + 2 * margin, high_z - low_z + 2 * margin
    box = f"{low_x - margin:.2f} {-high_z - margin:.2f} {width:.2f} {height:.2f}"
    bodies = bodies_of(house)
    parts = [
        *_rooms(house, rooms),
        *_openings(house),
        *_objects(bodies),
        *_targets(target_bodies(bodies, record), size),
        *_names(house, rooms, size),
        *_path(trajectory),
        *_first_seen(record, trajectory, size),
        *_ends(record, size),
        _scale(low_x, -low_z + 0.8 * margin, size),
    ]
    return (
        f'<svg class="map" viewBox="{box}" role="img" aria-label="{_label(record)}" '
        f'style="--u:{size / 10:.4f}px">' + "".join(parts) + "</svg>"
    )


def target_bodies(bodies: Sequence[Body], record: Record) -> list[Body]:
    """Choose what the episode asks for: by the record's indices, else everything of the type."""
    wanted = _plain(str(record.get("target_type", "")))
    of_type = [body for body in bodies if _plain(body.type) == wanted]
    named = [bodies[i] for i in record.get("targets", []) if i < len(bodies)]
    # Indices count for the loader, which leaves out what it cannot place; then the type must do.
    return named if named and all(body in of_type for body in named) else of_type


def _rooms(house: Record, polygons: Sequence[Sequence[Point]]) -> Iterable[str]:
    for room, polygon in zip(house["rooms"], polygons, strict=True):
        css = _ROOM_CLASSES.get(str(room.get("roomType")).lower(), "other")
        shape = f'<polygon class="room {css}" points="{_points(polygon)}">'
        yield f"{shape}<title>{escape(_room_name(room))}</title></polygon>"
    for wall in house.get("walls", []):
        floor = sorted(wall["polygon"], key=lambda point: float(point["y"]))[:2]
        (x1, z1), (x2, z2) = _xz(floor[0]), _xz(floor[1])
        yield f'<line class="wall" x1="{x1:.2f}" y1="{-z1:.2f}" x2="{x2:.2f}" y2="{-z2:.2f}"/>'


def _names(house: Record, polygons: Sequence[Sequence[Point]], size: float) -> Iterable[str]:
    for room, polygon in zip(house["rooms"], polygons, strict=True):
        name = _room_name(room)
        x, z, room_width = _widest(polygon)
        letters = min(0.36 * size, room_width / (0.6 * len(name)))  # so wide is a letter, about
        if letters < 0.2 * size:
            continue  # too small to read; the room's title still tells
        yield (
            f'<text class="name" x="{x:.2f}" y="{-z:.2f}" font-size="{letters:.2f}" '
            f'text-anchor="middle">{escape(name)}</text>'
        )


def _room_name(room: Record) -> str:
    """Return "living room" for a LivingRoom."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(room.get("roomType") or "Room")).lower()


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


def _objects(bodies: Sequence[Body]) -> Iterable[str]:
    """Draw the footprints of furniture; small things on it would only clutter the plan."""
    for body in bodies:
        if body.parent is not None or body.on_wall:
            continue
        shape = f'<polygon class="object" points="{_points(body.corners())}">'
        yield f"{shape}<title>{escape(body.type)}</title></polygon>"


def _targets(bodies: Sequence[Body], size: float) -> Iterable[str]:
    for body in bodies:
        yield f'<polygon class="wanted" points="{_points(body.corners())}"/>'
    for body in bodies:
        star = []
        for i, reach in enumerate([0.38 * size, 0.16 * size] * 5):
            angle = i * math.pi / 5
            star.append((body.x + reach * math.sin(angle), body.z + reach * math.cos(angle)))
        mark = f'<polygon class="target" points="{_points(star)}">'
        yield f"{mark}<title>{escape(body.type)}</title></polygon>"


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


def _scale(left: float, y: float, size: float) -> str:
    return (
        f'<line class="scale" x1="{left:.2f}" y1="{y:.2f}" x2="{left + 1:.2f}" y2="{y:.2f}"/>'
        f'<text class="scale-name" x="{left + 1 + 0.1 * size:.2f}" y="{y + 0.1 * size:.2f}" '
        f'font-size="{0.32 * size:.2f}">1 m</text>'
    )


def _label(record: Record) -> str:
    outcome = "success" if record.get("success") else "failure"
    text = (
        f"Plan of house {record.get('house')} with the robot's path: {record.get('instruction')}; "
        f"{outcome} after {record.get('length')} steps"
    )
    return escape(text, quote=True)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("obja")


def _polygon(points: Iterable[Record]) -> list[Point]:
    return [_xz(point) for point in points]


def _xz(point: Record) -> Point:
    return float(point["x"]), float(point["z"])


def _points(points: Iterable[Sequence[float]]) -> str:
    return " ".join(f"{p[0]:.2f},{-p[1]:.2f}" for p in points)


def _widest(polygon: Sequence[Point]) -> tuple[float, float, float]:
    """Return centre (x, z) and width of the roomiest horizontal strip; it lies in the polygon."""
    best = (0.0, *polygon[0], 0.0)
    for low, high in pairwise(sorted({z for _, z in polygon})):
        z = (low + high) / 2
        cuts = sorted(
            x1 + (x2 - x1) * (z - z1) / (z2 - z1)
            for (x1, z1), (x2, z2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True)
            if (z1 - z) * (z2 - z) < 0
        )
        for left, right in zip(cuts[::2], cuts[1::2], strict=True):
            score = min(right - left, 3 * (high - low))
            best = max(best, (score, (left + right) / 2, z, right - left))
    return best[1:]
