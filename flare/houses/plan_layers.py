"""The layers of a plan, from the floor up; each draws one kind of thing onto the axes."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Arc, Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from flare.houses.bodies import Body, polygon_contains
from flare.houses.doors import open_leaves
from flare.houses.schema import floor_points
from flare.houses.statistics import is_between_rooms

Pose = tuple[float, float, float]  # x, z in metres, yaw in degrees
Point = NDArray[np.float64]  # [2] (x, z), m

INK = "#2b2f36"
_PAPER = "#ffffff"
_ROOM_TINTS = {
    "Kitchen": "#f6ead2",
    "LivingRoom": "#e3edda",
    "Bedroom": "#dfe6f3",
    "Bathroom": "#d9eeee",
}
_OTHER_TINT = "#ece7f1"
_ROOM_INK = "#4a5160"
_START = "#d1495b"
_TARGET = "#e8590c"
_WOOD = "#8a6d4b"
_GLASS = "#8fc1e3"
_SMALLEST_FONT = 4.2  # points; a label that would be smaller goes beside its body
_LARGEST_FONT = 7.5

# Layers, bottom to top.
_Z_FLOOR, _Z_BODY, _Z_ITEM, _Z_WALL, _Z_OPENING, _Z_LABEL, _Z_ROOM = range(7)
_Z_PATH, _Z_ROBOT, _Z_TARGET = 9, 11, 12


def floor_corners(room: dict[str, Any]) -> list[tuple[float, float]]:
    """Corners (x, z) of a room's floor."""
    return [(point["x"], point["z"]) for point in room["floorPolygon"]]


def draw_rooms(axes: Axes, document: dict[str, Any]) -> None:
    """Tint each floor by the room's type."""
    for room in document["rooms"]:
        axes.add_patch(
            Polygon(floor_corners(room), facecolor=_tint(room), edgecolor="none", zorder=_Z_FLOOR)
        )


def draw_bodies(axes: Axes, bodies: Sequence[Body], points_per_metre: float) -> None:
    """Draw each footprint; furniture pale and with its name, what lies on it in full colour."""
    for body in bodies:
        stands = body.parent is None and not body.on_wall
        axes.add_patch(
            Polygon(
                body.corners(),
                facecolor=_paler(body.color, 0.45 if stands else 0.1),
                edgecolor=INK,
                linewidth=0.7 if stands else 0.4,
                joinstyle="round",
                zorder=_Z_BODY if stands else _Z_ITEM,
            )
        )
        if stands:
            _draw_front(axes, body)
            _draw_label(axes, body, points_per_metre)


def draw_walls(axes: Axes, document: dict[str, Any]) -> None:
    """Draw wall lines, the outer ones thick and on top."""
    for outer, width in ((False, 2.4), (True, 4.0)):
        lines = [
            np.stack(_wall_ends(wall))
            for wall in document.get("walls", [])
            if ("exterior" in wall["id"]) == outer and not wall.get("empty")
        ]
        axes.add_collection(
            LineCollection(
                lines, colors=INK, linewidths=width, capstyle="projecting", zorder=_Z_WALL
            )
        )


def draw_openings(axes: Axes, document: dict[str, Any]) -> None:
    """Draw door gaps with their open leaves, closed front doors and windows."""
    walls = {wall["id"]: wall for wall in document.get("walls", [])}
    rooms = {room["id"]: floor_corners(room) for room in document["rooms"]}
    for kind in ("doors", "windows"):
        for opening in document.get(kind, []):
            p0, p1 = _wall_ends(walls[opening["wall0"]])
            along = (p1 - p0) / np.linalg.norm(p1 - p0)
            low, high = sorted(corner["x"] for corner in opening["holePolygon"])
            a, b = p0 + along * low, p0 + along * high
            if kind == "windows":
                _stroke(axes, a, b, _GLASS, 3.0)
                _stroke(axes, a, b, _PAPER, 1.0)
            elif not is_between_rooms(opening) or opening.get("openness") == 0:
                _stroke(axes, a, b, _WOOD, 4.4)
            else:
                _stroke(axes, a, b, _PAPER, 4.4)
                if "openness" in opening:
                    _draw_leaves(axes, a, b, _across(rooms, opening, a, b), opening["openness"])


def draw_room_names(axes: Axes, document: dict[str, Any], bodies: Sequence[Body]) -> None:
    """Write each room's name and area where there is most room round it."""
    taken = [(b.x, b.z, max(b.size[0], b.size[2]) / 2) for b in bodies if b.parent is None]
    for room in document["rooms"]:
        corners = floor_corners(room)
        x, z = _roomiest_point(corners, taken)
        axes.text(
            x,
            z,
            f"{_spaced(room['roomType'])}\n{_area(corners):.0f} m²",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold",
            color=_ROOM_INK,
            linespacing=1.1,
            zorder=_Z_ROOM,
            path_effects=[withStroke(linewidth=2.2, foreground=_tint(room))],
        )


def draw_targets(axes: Axes, targets: Sequence[Body]) -> None:
    """Mark what is searched for by a star and its type."""
    for body in targets:
        axes.plot(
            body.x,
            body.z,
            marker="*",
            markersize=15,
            color=_TARGET,
            markeredgecolor=_PAPER,
            markeredgewidth=1.0,
            zorder=_Z_TARGET,
        )
        axes.annotate(
            _spaced(body.type),
            (body.x, body.z),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            fontweight="bold",
            color=_TARGET,
            zorder=_Z_TARGET,
            path_effects=[withStroke(linewidth=2.5, foreground=_PAPER)],
        )


def draw_start(axes: Axes, document: dict[str, Any]) -> None:
    """Draw the start that the house itself proposes, if it does."""
    agent = document.get("metadata", {}).get("agent")
    if agent is not None:
        position = agent["position"]
        yaw = agent.get("rotation", {}).get("y", 0.0)
        _draw_arrow(axes, (position["x"], position["z"], yaw), _START)


def draw_trajectory(axes: Axes, trajectory: Sequence[Pose]) -> None:
    """Draw where a robot went, from light to dark, with its first and last pose."""
    places = np.array([pose[:2] for pose in trajectory], dtype=np.float64)
    if len(places) > 1:
        axes.plot(
            places[:, 0],
            places[:, 1],
            color=_PAPER,
            linewidth=4.2,
            solid_capstyle="round",
            solid_joinstyle="round",
            zorder=_Z_PATH,
        )
        line = LineCollection(
            list(np.stack([places[:-1], places[1:]], axis=1)),
            cmap="plasma_r",
            linewidths=2.2,
            capstyle="round",
            zorder=_Z_PATH,
        )
        line.set_array(np.linspace(0.2, 1.0, len(places) - 1))
        line.set_clim(0.0, 1.0)
        axes.add_collection(line)
    _draw_arrow(axes, trajectory[0], _START)
    _draw_arrow(axes, trajectory[-1], INK)


def draw_scale(axes: Axes, x: float, z: float) -> None:
    """Draw a bar of one metre that begins at (x, z)."""
    axes.plot([x, x + 1.0], [z, z], color=INK, linewidth=1.6, solid_capstyle="butt")
    for end in (x, x + 1.0):
        axes.plot([end, end], [z - 0.05, z + 0.05], color=INK, linewidth=1.0)
    axes.text(x + 1.1, z, "1 m", va="center", fontsize=7.5, color=INK)


def _tint(room: dict[str, Any]) -> str:
    """Colour of a room's floor; Holodeck writes "living room" where ProcTHOR has "LivingRoom"."""
    words = re.split(" ", room["roomType"])
    return _ROOM_TINTS.get("".join(word[:1].upper() + word[1:] for word in words), _OTHER_TINT)


def _spaced(name: str) -> str:
    """Put a blank between the words of a name: "TVStand" becomes "TV Stand"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)


def _paler(color: Sequence[float], amount: float) -> tuple[float, float, float]:
    r, g, b = (c + (1.0 - c) * amount for c in color)
    return (r, g, b)


def _area(corners: Sequence[tuple[float, float]]) -> float:
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    return abs(sum(ax * bz - bx * az for (ax, az), (bx, bz) in pairs)) / 2


def _to_edges(corners: Sequence[tuple[float, float]], x: float, z: float) -> float:
    """Distance to the nearest edge, sideways distances counted less."""
    nearest = math.inf
    for (ax, az), (bx, bz) in zip(corners, [*corners[1:], corners[0]], strict=True):
        dx, dz = bx - ax, bz - az
        t = ((x - ax) * dx + (z - az) * dz) / max(dx * dx + dz * dz, 1e-9)
        t = min(max(t, 0.0), 1.0)
        nearest = min(nearest, math.hypot((ax + t * dx - x) * 0.6, az + t * dz - z))
    return nearest


def _roomiest_point(
    corners: Sequence[tuple[float, float]], taken: Sequence[tuple[float, float, float]]
) -> tuple[float, float]:
    """Find the point of a room that is farthest from its walls and from discs (x, z, radius)."""
    xs, zs = [x for x, _ in corners], [z for _, z in corners]
    middle = ((min(xs) + max(xs)) / 2, (min(zs) + max(zs)) / 2)
    best, best_score = middle, -math.inf
    for x in np.arange(min(xs) + 0.5, max(xs) - 0.45, 0.25).tolist():
        for z in np.arange(min(zs) + 0.35, max(zs) - 0.3, 0.25).tolist():
            if not polygon_contains(corners, x, z):
                continue
            # Sideways distances count less: a name is wider than it is high.
            gaps = [math.hypot((x - bx) * 0.6, z - bz) - radius for bx, bz, radius in taken]
            score = min([*gaps, _to_edges(corners, x, z), 1.2])
            score -= 0.05 * math.dist((x, z), middle)
            if score > best_score:
                best, best_score = (x, z), score
    return best


def _draw_front(axes: Axes, body: Body) -> None:
    """Mark the side that a body faces with a thin line just inside of it."""
    if min(body.size[0], body.size[2]) < 0.3:
        return
    _, left, right, _ = body.corners()
    inset = 0.05
    s = math.sin(math.radians(body.yaw_deg)) * inset
    c = math.cos(math.radians(body.yaw_deg)) * inset
    axes.plot(
        [left[0] - s, right[0] - s],
        [left[1] - c, right[1] - c],
        color=INK,
        linewidth=0.4,
        alpha=0.6,
        solid_capstyle="butt",
        zorder=_Z_BODY + 0.5,
    )


def _draw_label(axes: Axes, body: Body, points_per_metre: float) -> None:
    """Write the type along the longer side of the footprint, as large as fits, else below it."""
    name = _spaced(body.type)
    along_x = body.size[0] >= body.size[2]
    long, short = (body.size[0], body.size[2]) if along_x else (body.size[2], body.size[0])
    lines = name.split(" ") if short > 0.45 else [name]
    widest = max(len(line) for line in lines)
    font = min(
        long * points_per_metre * 0.9 / (0.6 * widest),
        short * points_per_metre * 0.8 / (1.2 * len(lines)),
        _LARGEST_FONT,
    )
    turned = -(body.yaw_deg + (0.0 if along_x else 90.0))
    angle = (turned + 90.0) % 180.0 - 90.0  # never upside down
    x, z, anchor = body.x, body.z, "center"
    if font < _SMALLEST_FONT:
        lines, font, angle, anchor = [name], _SMALLEST_FONT + 0.8, 0.0, "top"
        z = min(corner_z for _, corner_z in body.corners()) - 0.04
    axes.text(
        x,
        z,
        "\n".join(lines),
        ha="center",
        va=anchor,
        fontsize=font,
        rotation=angle,
        rotation_mode="anchor",
        color=INK,
        linespacing=1.0,
        zorder=_Z_LABEL,
        path_effects=[withStroke(linewidth=1.4, foreground=_paler(body.color, 0.6))],
    )


def _wall_ends(wall: dict[str, Any]) -> tuple[Point, Point]:
    first, second = floor_points(wall)
    return np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)


def _stroke(axes: Axes, a: Point, b: Point, color: str, width: float) -> None:
    axes.plot(
        [a[0], b[0]],
        [a[1], b[1]],
        color=color,
        linewidth=width,
        solid_capstyle="butt",
        zorder=_Z_OPENING,
    )


def _across(
    rooms: dict[str, list[tuple[float, float]]], opening: dict[str, Any], a: Point, b: Point
) -> tuple[float, float]:
    """Unit vector through a door into its room1."""
    along = (b - a) / np.linalg.norm(b - a)
    middle = (a + b) / 2
    left = (-float(along[1]), float(along[0]))
    reach = 0.1  # m beside a wall that lie in its room
    floor = rooms[opening["room1"]]
    sides = [
        polygon_contains(floor, middle[0] + s * reach * left[0], middle[1] + s * reach * left[1])
        for s in (1.0, -1.0)
    ]
    return (-left[0], -left[1]) if sides == [False, True] else left


def _draw_leaves(
    axes: Axes, a: Point, b: Point, across: tuple[float, float], openness: float
) -> None:
    """Draw a door's leaves as they stand, each with the arc that it swung."""
    ends = (float(a[0]), float(a[1])), (float(b[0]), float(b[1]))
    leaves = open_leaves(*ends, across, openness)
    for (hinge, tip), (_, shut) in zip(leaves, open_leaves(*ends, across, 0.0), strict=True):
        axes.plot(*zip(hinge, tip, strict=True), color=_WOOD, linewidth=1.2, zorder=_Z_OPENING)
        angles = [
            math.degrees(math.atan2(end[1] - hinge[1], end[0] - hinge[0])) for end in (shut, tip)
        ]
        if (angles[1] - angles[0]) % 360.0 > 180.0:
            angles.reverse()
        axes.add_patch(
            Arc(
                hinge,
                2 * math.dist(hinge, tip),
                2 * math.dist(hinge, tip),
                theta1=angles[0],
                theta2=angles[1],
                color=_WOOD,
                linewidth=0.6,
                linestyle=(0, (3, 2)),
                zorder=_Z_OPENING,
            )
        )


def _draw_arrow(axes: Axes, pose: Pose, color: str) -> None:
    """Draw a robot as an arrow head that points where it looks."""
    x, z, yaw = pose
    length = 0.24
    s, c = math.sin(math.radians(yaw)) * length, math.cos(math.radians(yaw)) * length
    left, right = ((x - s * 0.8 + c * side, z - c * 0.8 - s * side) for side in (-0.7, 0.7))
    axes.add_patch(
        Polygon(
            [(x + s, z + c), right, (x - s * 0.4, z - c * 0.4), left],
            facecolor=color,
            edgecolor=_PAPER,
            linewidth=1.0,
            zorder=_Z_ROBOT,
        )
    )
