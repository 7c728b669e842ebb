"""Rooms of a house: recursive splitting of a rectangle on a grid, then corners given away.

A layout is a label a cell (0 is outside, rooms count from 2 as in ProcTHOR's ids), from which the
walls follow: nothing else needs to know how the labels came about, so rooms may be concave.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare.houses.draws import Draws
from flare.houses.styles import Style

GRID = 0.25  # m a layout cell
FIRST_ROOM = 2
_NARROWEST = 8  # cells a room may be wide anywhere
_LONGEST_ASPECT = 2.4

Labels = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomSpec:
    """A room that is wanted."""

    room_type: str
    area: float  # m²


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One side of a straight wall piece, seen from ``room``, which lies to the right of p0 → p1."""

    room: int  # label
    neighbour: int  # label, 0 for the outside
    p0: tuple[float, float]  # (x, z), m
    p1: tuple[float, float]

    @property
    def length(self) -> float:
        """Metres from p0 to p1."""
        return math.dist(self.p0, self.p1)

    @property
    def along(self) -> tuple[float, float]:
        """Unit vector from p0 to p1."""
        return (
            (self.p1[0] - self.p0[0]) / self.length,
            (self.p1[1] - self.p0[1]) / self.length,
        )

    @property
    def inward(self) -> tuple[float, float]:
        """Unit vector into the room."""
        dx, dz = self.along
        return (dz, -dx)

    def point(self, t: float, into: float = 0.0) -> tuple[float, float]:
        """Go t metres along the wall and ``into`` metres into the room."""
        (dx, dz), (nx, nz) = self.along, self.inward
        return (self.p0[0] + dx * t + nx * into, self.p0[1] + dz * t + nz * into)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Room labels and the walls that follow from them."""

    labels: Labels  # [rows along z, columns along x]
    room_types: dict[int, str]  # label → type
    segments: dict[int, list[Segment]]  # label → its outline, clockwise seen from above

    def area(self, room: int) -> float:
        """Floor area in m²."""
        return float(np.count_nonzero(self.labels == room)) * GRID * GRID

    def other_side(self, segment: Segment) -> Segment:
        """The same wall piece seen from the neighbour, which must be a room."""
        return next(
            other
            for other in self.segments[segment.neighbour]
            if other.p0 == segment.p1 and other.p1 == segment.p0
        )


def make_layout(
    rooms: Sequence[RoomSpec], outer_shape: str, style: Style, draws: Draws
) -> Layout | None:
    """Lay the rooms out.

    Args:
        rooms: types and areas; the areas come out within a grid line of what is asked, except where
            a corner is given to a neighbour or cut off.
        outer_shape: "rectangle", or "any" to cut a corner off some houses.
        style: how often corners change hands.
        draws: the house's random numbers.

    Returns: None where these numbers lead to rooms that are too narrow; try other numbers.
    """
    total = sum(room.area for room in rooms) / (GRID * GRID)
    aspect = draws.uniform(0.75, 1.35)
    columns = round(math.sqrt(total * aspect))
    rows = round(total / columns)
    labels = np.zeros((rows, columns), np.int16)
    numbered = [(FIRST_ROOM + i, room.area) for i, room in enumerate(rooms)]
    whole = (0, 0, columns, rows)
    if not _split(labels, whole, draws.shuffled(numbered), style.split_tries, draws):
        return None
    for _ in range(max(round(style.corners_per_room * len(rooms)), 1)):
        if len(rooms) > 1 and draws.chance(style.corner_chance):
            _give_corner_away(labels, draws)
    if outer_shape == "any" and draws.chance(0.5):
        _cut_outer_corner(labels, draws)
    segments = {}
    for label, _ in numbered:
        outline = trace_outline(labels, label)
        if outline is None:
            return None
        segments[label] = outline
    types = {FIRST_ROOM + i: room.room_type for i, room in enumerate(rooms)}
    return Layout(labels=labels, room_types=types, segments=segments)


def _split(
    labels: Labels,
    box: tuple[int, int, int, int],
    rooms: list[tuple[int, float]],
    tries: int,
    draws: Draws,
) -> bool:
    """Fill the box (x0, z0, x1, z1 in cells) with rooms in proportion to their areas."""
    x0, z0, x1, z1 = box
    width, depth = x1 - x0, z1 - z0
    if len(rooms) == 1:
        labels[z0:z1, x0:x1] = rooms[0][0]
        short, long = min(width, depth), max(width, depth)
        return short >= _NARROWEST and long <= _LONGEST_ASPECT * short
    for attempt in range(tries):
        order = draws.shuffled(rooms) if attempt > 0 else rooms
        half = len(order) // 2
        first = draws.integer(max(half - 1, 1), min(half + 1, len(order) - 1))
        share = sum(area for _, area in order[:first]) / sum(area for _, area in order)
        if width >= depth:
            cut = x0 + round(width * share)
            boxes = (x0, z0, cut, z1), (cut, z0, x1, z1)
        else:
            cut = z0 + round(depth * share)
            boxes = (x0, z0, x1, cut), (x0, cut, x1, z1)
        if _split(labels, boxes[0], order[:first], tries, draws) and _split(
            labels, boxes[1], order[first:], tries, draws
        ):
            return True
    return False


def _corner_box(labels: Labels, room: int, draws: Draws) -> tuple[slice, slice] | None:
    """Pick a rectangle in a corner of a rectangular room that leaves most of it."""
    zs, xs = np.nonzero(labels == room)
    x0, x1, z0, z1 = int(xs.min()), int(xs.max()) + 1, int(zs.min()), int(zs.max()) + 1
    if (x1 - x0) * (z1 - z0) != xs.size or min(x1 - x0, z1 - z0) < _NARROWEST + 4:
        return None
    width = draws.integer(4, min(x1 - x0 - _NARROWEST, (x1 - x0) // 2))
    depth = draws.integer(4, min(z1 - z0 - _NARROWEST, (z1 - z0) // 2))
    left = x0 if draws.chance(0.5) else x1 - width
    low = z0 if draws.chance(0.5) else z1 - depth
    return slice(low, low + depth), slice(left, left + width)


def _give_corner_away(labels: Labels, draws: Draws) -> None:
    """Let one room take a corner of another where it borders the corner's whole side."""
    padded = np.pad(labels, 1)
    for room in draws.shuffled(range(FIRST_ROOM, int(labels.max()) + 1)):
        corner = _corner_box(labels, room, draws)
        if corner is None:
            continue
        rows, columns = corner
        sides = (
            padded[rows.start, columns.start + 1 : columns.stop + 1],
            padded[rows.stop + 1, columns.start + 1 : columns.stop + 1],
            padded[rows.start + 1 : rows.stop + 1, columns.start],
            padded[rows.start + 1 : rows.stop + 1, columns.stop + 1],
        )
        for side in sides:
            taker = int(side[0])
            if taker not in (0, room) and bool(np.all(side == taker)):
                labels[rows, columns] = taker
                return


def _cut_outer_corner(labels: Labels, draws: Draws) -> None:
    """Take a corner of the house away, which leaves an L."""
    corners = ((0, 0), (0, -1), (-1, 0), (-1, -1))
    for row, column in draws.shuffled(corners):
        corner = _corner_box(labels, int(labels[row, column]), draws)
        if corner is None:
            continue
        rows, columns = corner
        at_row = rows.start == 0 if row == 0 else rows.stop == labels.shape[0]
        at_column = columns.start == 0 if column == 0 else columns.stop == labels.shape[1]
        if at_row and at_column:
            labels[rows, columns] = 0
            return


def trace_outline(labels: Labels, room: int) -> list[Segment] | None:
    """Walk round a room with the room on the right.

    Returns: wall pieces in order, broken at corners and where the neighbour changes; None if the
        room is in several parts, has a hole or touches itself at a corner.
    """
    steps = _unit_edges(labels, room)
    if steps is None:
        return None
    start = next(iter(steps))
    corners: list[tuple[tuple[int, int], tuple[int, int], int]] = []  # point, direction, neighbour
    at = start
    for _ in range(len(steps)):
        end, neighbour = steps[at]
        direction = (end[0] - at[0], end[1] - at[1])
        if not corners or corners[-1][1:] != (direction, neighbour):
            corners.append((at, direction, neighbour))
        at = end
        if at == start:
            break
    walked = sum(
        abs(b[0][0] - a[0][0]) + abs(b[0][1] - a[0][1])
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    )
    if at != start or walked != len(steps):
        return None
    if corners[0][1:] == corners[-1][1:]:  # the walk began in the middle of a wall
        corners.pop(0)
    return [
        Segment(
            room=room,
            neighbour=a[2],
            p0=(a[0][0] * GRID, a[0][1] * GRID),
            p1=(b[0][0] * GRID, b[0][1] * GRID),
        )
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    ]


def _unit_edges(
    labels: Labels, room: int
) -> dict[tuple[int, int], tuple[tuple[int, int], int]] | None:
    """Each step of one cell along a room's outline: start → (end, neighbour's label)."""
    padded = np.pad(labels, 1)
    inside = padded == room
    steps: dict[tuple[int, int], tuple[tuple[int, int], int]] = {}
    # For each side of a cell: offset to the neighbour, then start and end of the edge, clockwise.
    sides = (
        ((0, -1), (0, 0), (0, 1)),  # west, northwards
        ((1, 0), (0, 1), (1, 1)),  # north, eastwards
        ((0, 1), (1, 1), (1, 0)),  # east, southwards
        ((-1, 0), (1, 0), (0, 0)),  # south, westwards
    )
    for (dz, dx), (sx, sz), (ex, ez) in sides:
        other = np.roll(padded, (-dz, -dx), axis=(0, 1))
        for z, x in zip(*np.nonzero(inside & (other != room)), strict=True):
            cell_x, cell_z = int(x) - 1, int(z) - 1
            start = (cell_x + sx, cell_z + sz)
            if start in steps:
                return None
            steps[start] = ((cell_x + ex, cell_z + ez), int(other[z, x]))
    return steps
